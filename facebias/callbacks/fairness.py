"""Measures every group: its worst accuracy while training, the whole report in the end."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from facebias.callbacks.predictions import face_module, predictions_of
from facebias.data.datamodule import FaceBatch, FaceDataModule
from facebias.data.remedy import loss_shares
from facebias.errors import ConfigError
from facebias.fairness.accumulate import DecisionCounts
from facebias.fairness.group_report import GroupReport
from facebias.fairness.metrics import accuracy, support
from facebias.report.groups import measure_splits, write_flips, write_group_reports
from facebias.report.readings import TrainFaces, write_readings


class FairnessCallback(pl.Callback):
    """Writes what was found of every group, and logs the worst group's validation accuracy.

    `fairness.json`, `fairness.csv` and `fairness_measures.csv`.

    `amplification.csv`, `fairness_scores.csv`, and where labels have valences `valence.csv`.

    Of counterfactual faces it writes `counterfactual.json` too, labelled or not.

    Args:
        folder: of the run.
        intersections: sets of attributes whose combinations are groups too; None: every pair.
        min_group: faces below which a group is shown and left out of gaps.
        min_class: faces of every class that a group needs before its macro metrics are compared.
        replicates: of the bootstrap.
        seed: of the bootstrap.
        valences: of labels; where every class has one, or is one, it is measured how faces of one
            valence are read as another.
    """

    def __init__(
        self,
        folder: str,
        intersections: Sequence[Sequence[str]] | None = None,
        min_group: int = 30,
        min_class: int = 5,
        replicates: int = 1000,
        seed: int = 0,
        valences: Mapping[str, str] | None = None,
    ) -> None:
        self._valences = valences
        self._folder, self._intersections = Path(folder), intersections
        self._options = {
            "min_group": min_group,
            "min_class": min_class,
            "replicates": replicates,
            "seed": seed,
        }
        self._groups: dict[str, torch.Tensor] = {}
        self._counts: dict[str, DecisionCounts] = {}
        self.reports: dict[str, GroupReport] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse attributes that the data set lacks, and something that collects predictions.

        Raises:
            ConfigError: if one is missing.
        """
        attributes = face_module(trainer).faces.table.attributes
        asked = {name for names in self._intersections or () for name in names}
        if asked - set(attributes):
            raise ConfigError(
                f"callbacks.fairness.intersections names {', '.join(asked - set(attributes))}",
                f"attributes of the data set: {', '.join(attributes) or 'it has none'}",
                "correct the name",
            )
        for names in self._intersections or ():
            if len(set(names)) < 2 or len(set(names)) < len(names):
                raise ConfigError(
                    f"callbacks.fairness.intersections has {list(names)}",
                    "two or more different attributes; each one alone is measured anyway",
                    "correct the intersection",
                )
        predictions_of(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count the decisions of each group."""
        module = face_module(trainer)
        table, device = module.faces.table, pl_module.device
        if not self._groups:
            self._groups = {
                name: torch.from_numpy(module.groups("validation", name)).to(device)
                for name in table.attributes
            }
        self._counts = {
            name: DecisionCounts(len(groups), len(table.classes)).to(device)
            for name, groups in table.attributes.items()
        }

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401 - as Lightning declares it
        batch: FaceBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch's decisions."""
        for name, counts in self._counts.items():
            counts.update(self._groups[name][batch.rows], batch.labels, outputs)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the accuracy of the worst group that is large enough."""
        for name, metric in self._counts.items():
            counts = metric.compute().cpu().numpy()
            large = support(counts).sum(-1) >= self._options["min_group"]
            if large.any():
                worst = float(np.min(accuracy(counts)[large]))
                pl_module.log(f"validation/worst_{name}_accuracy", worst)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure every evaluated split with labels, and write what was found; the first rank's."""
        if not trainer.is_global_zero:
            return
        module = face_module(trainer)
        predictions = predictions_of(trainer)
        table = module.faces.table
        self.reports = measure_splits(
            predictions,
            module.evaluated,
            table.classes,
            table.attributes,
            intersections=self._intersections,
            **self._options,
        )
        write_group_reports(self.reports, self._folder)
        train = _train_faces(module, pl_module)
        write_readings(
            predictions, self.reports, self._folder, train=train, valences=self._valences
        )
        options = {name: self._options[name] for name in ("replicates", "seed")}
        write_flips(predictions, table.classes, self._folder, **options)


def _train_faces(module: FaceDataModule, model: pl.LightningModule) -> TrainFaces | None:
    """Return what a model was trained on; None where the data have no train faces."""
    rows = module.faces.drawn()
    if rows.empty:
        return None
    balanced = getattr(getattr(model, "loss", None), "weight", None) is not None
    shares = loss_shares(rows, module.faces.table.classes, balanced=balanced)
    return TrainFaces(rows, shares)
