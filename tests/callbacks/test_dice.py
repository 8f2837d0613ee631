"""Dropout draws by the place in the training, not by what was drawn before."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from facebias.callbacks.dice import DiceCallback


def dropped(seed: int, epoch: int, batch: int, rank: int = 0) -> list[float]:
    trainer: Any = SimpleNamespace(current_epoch=epoch, global_rank=rank)
    module: Any = None
    DiceCallback(seed).on_train_batch_start(trainer, module, None, batch)
    values: list[float] = nn.Dropout(0.5)(torch.ones(64)).tolist()
    return values


def test_dropout_is_a_function_of_the_place() -> None:
    first = dropped(3, 2, 7)
    torch.rand(5)
    assert dropped(3, 2, 7) == first


def test_every_place_has_its_own_dropout() -> None:
    places = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    assert len({tuple(dropped(*place)) for place in places}) == len(places)
