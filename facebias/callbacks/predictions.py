"""Collects what the model predicts, and writes the table of predictions."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch

from facebias.data.datamodule import FaceBatch, FaceDataModule
from facebias.data.predictions import predictions_table
from facebias.errors import ConfigError
from facebias.files import whole_file

FILE = "predictions.parquet"


class PredictionsCallback(pl.Callback):
    """Writes `predictions.parquet` when a model has predicted all evaluated splits.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._probabilities: dict[int, list[torch.Tensor]] = {}
        self.table = pd.DataFrame()

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget what another model predicted."""
        self._probabilities = {}

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401 - as Lightning declares it
        batch: FaceBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch's probabilities."""
        self._probabilities.setdefault(dataloader_idx, []).append(outputs.cpu())

    def on_predict_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the table, before other callbacks ask for it, and write it."""
        module = face_module(trainer)
        parts = [
            predictions_table(
                module.faces.table,
                module.faces.rows(split),
                torch.cat(self._probabilities[number]).numpy(),
                **module.constants,
            )
            for number, split in enumerate(module.evaluated)
        ]
        self.table = pd.concat(parts, ignore_index=True)
        with whole_file(self._folder / FILE) as temporary:
            self.table.to_parquet(temporary, index=False)


def face_module(trainer: pl.Trainer) -> FaceDataModule:
    """Return the trainer's FaceDataModule.

    Raises:
        ConfigError: if it works with another one.
    """
    module = getattr(trainer, "datamodule", None)
    if not isinstance(module, FaceDataModule):
        raise ConfigError(
            f"the trainer works with {type(module).__name__}", "a FaceDataModule, for its groups"
        )
    return module


def predictions_of(trainer: pl.Trainer) -> pd.DataFrame:
    """Return what the trainer's PredictionsCallback has collected.

    Raises:
        ConfigError: if it has none.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined] # Lightning sets it late
        if isinstance(callback, PredictionsCallback):
            return callback.table
    raise ConfigError(
        "the callbacks fairness and cam read predictions, and nothing collects them",
        "callbacks.predictions beside them",
        "leave callbacks.predictions in place",
    )
