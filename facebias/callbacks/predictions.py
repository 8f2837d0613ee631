"""Collects what the model predicts, and writes the table of predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch
from torch.distributed import is_initialized
from torchmetrics.utilities.distributed import gather_all_tensors

from facebias.data.datamodule import FaceBatch, FaceDataModule
from facebias.data.predictions import predictions_table
from facebias.errors import ConfigError
from facebias.files import whole_file

FILE = "predictions.parquet"


class PredictionsCallback(pl.Callback):
    """Writes `predictions.parquet` when a model has predicted all evaluated splits.

    Under several ranks, the first gathers what all have predicted, once, in the table's order.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._probabilities: dict[int, list[torch.Tensor]] = {}
        self._rows: dict[int, list[torch.Tensor]] = {}
        self.table = pd.DataFrame()

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget what another model predicted."""
        self._probabilities, self._rows = {}, {}

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
        self._rows.setdefault(dataloader_idx, []).append(batch.rows.cpu())

    def on_predict_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the table, before other callbacks ask for it, and write it."""
        module = face_module(trainer)
        splits = list(enumerate(module.evaluated))
        found = {split: self._gathered(number, pl_module) for number, split in splits}
        if not trainer.is_global_zero:
            return
        table = module.faces.table
        parts = [
            predictions_table(table, module.faces.rows(split), each.numpy(), **module.constants)
            for split, each in found.items()
        ]
        self.table = pd.concat(parts, ignore_index=True)
        with whole_file(self._folder / FILE) as temporary:
            self.table.to_parquet(temporary, index=False)

    def _gathered(self, number: int, pl_module: pl.LightningModule) -> torch.Tensor:
        """Return the probabilities of all faces of a split (N, classes), whoever predicted them."""
        rows, probabilities = torch.cat(self._rows[number]), torch.cat(self._probabilities[number])
        if not is_initialized():
            return in_order([rows], [probabilities])
        device = pl_module.device  # NCCL gathers on GPUs only
        everyone = [gather_all_tensors(each.to(device)) for each in (rows, probabilities)]
        return in_order(*everyone).cpu()


def in_order(rows: Sequence[torch.Tensor], values: Sequence[torch.Tensor]) -> torch.Tensor:
    """Put the values of several ranks back into the order of the table.

    Args:
        rows: of each rank, the rows that it had (N of this rank,).
        values: of each rank, what belongs to them (N of this rank, ...).

    Raises:
        ValueError: if a row is missing, or was had twice.
    """
    order = torch.cat(list(rows))
    if not torch.equal(order.sort().values, torch.arange(len(order), device=order.device)):
        raise ValueError("the ranks have not predicted every face exactly once")
    return torch.cat(list(values))[order.argsort()]


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
