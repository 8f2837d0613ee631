"""Trainings that are stopped and go on, and what must be the same in the end."""

import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import pytest
import torch
from omegaconf import DictConfig

from facebias.runs import assemble, training
from facebias.train import train


class Stopped(Exception):  # noqa: N818 - no error
    """Ends a training like a kill would, but within the test's process."""


class StopAt(pl.Callback):
    """Raises in one hook, when it is called in one epoch for the n-th time; counts train steps."""

    def __init__(self, hook: str = "", epoch: int = 0, call: int = 0) -> None:
        self.steps = 0
        self._left, self._epoch = call, epoch
        if hook:
            setattr(self, hook, self._stop)

    def on_train_batch_end(self, *_: object, **__: object) -> None:
        self.steps += 1

    def _stop(self, trainer: pl.Trainer, *_: object, **__: object) -> None:
        if trainer.current_epoch < self._epoch:
            return
        if not self._left:
            raise Stopped
        self._left -= 1


def add_callback(monkeypatch: pytest.MonkeyPatch, callback: pl.Callback) -> None:
    """Have every training in this process call this one too, before all others."""
    original: Callable[..., pl.Trainer] = assemble.assemble_trainer

    def assemble_with(*arguments: object) -> pl.Trainer:
        trainer = original(*arguments)
        callbacks = trainer.callbacks  # type: ignore[attr-defined] # Lightning sets it late
        callbacks.insert(0, callback)
        return trainer

    monkeypatch.setattr(training, "assemble_trainer", assemble_with)


def assert_same_results(run: Path, other: Path) -> None:
    """Hold two run folders against each other, bit for bit."""
    for which in ("best", "last"):
        saved, expected = (_checkpoint(folder, which) for folder in (run, other))
        for part in ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers"):
            _assert_same(saved[part], expected[part], f"{which}.ckpt: {part}")
    tables = [pd.read_parquet(folder / "predictions.parquet") for folder in (run, other)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    for name in ("metrics.csv", "fairness.json", "fairness.csv"):
        assert (run / name).read_bytes() == (other / name).read_bytes(), name
    for folder in (run, other):
        assert json.loads((folder / "status.json").read_text())["status"] == "done"
        hidden = [path.name for path in folder.rglob(".*") if path.name != ".lock"]
        assert not hidden


def _checkpoint(folder: Path, which: str) -> dict[str, Any]:
    saved: dict[str, Any] = torch.load(
        folder / "checkpoints" / f"{which}.ckpt", weights_only=True, map_location="cpu"
    )
    return saved


def _assert_same(found: Any, expected: Any, where: str) -> None:  # noqa: ANN401
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected), where
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for name, value in expected.items():
            _assert_same(found[name], value, f"{where}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for number, value in enumerate(expected):
            _assert_same(found[number], value, f"{where}[{number}]")
    else:
        assert found == expected, where


def train_in_child(config: DictConfig, log: Path) -> None:
    """Train in a process of its own, what it says in a file."""
    with log.open("a") as file, redirect_stdout(file), redirect_stderr(file):
        train(config)
