"""Throws the dice of dropout anew before every step, so that an interruption changes nothing."""

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch


class DiceCallback(pl.Callback):
    """Seeds PyTorch by (seed, epoch, batch, rank) before every train step.

    What a network draws, such as dropout, is then a function of where the training is, and not of
    what was drawn before: a training that goes on after a kill draws the same.

    Args:
        seed: the run's seed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,  # noqa: ANN401 - as Lightning declares it
        batch_idx: int,
    ) -> None:
        """Seed the generators of every device."""
        place = (self._seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> 1))
