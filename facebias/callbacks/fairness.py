"""Measures every group: its worst accuracy while training, the whole report in the end."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch

from facebias.callbacks.predictions import face_module, predictions_of
from facebias.data.datamodule import FaceBatch
from facebias.errors import ConfigError
from facebias.fairness.accumulate import DecisionCounts
from facebias.fairness.counterfactual import counterfactual_flips
from facebias.fairness.group_report import GroupReport, group_report
from facebias.fairness.metrics import accuracy, support
from facebias.files import whole_file, write_json

TABLE, REPORT, FLIPS = "fairness.csv", "fairness.json", "counterfactual.json"


class FairnessCallback(pl.Callback):
    """Writes `fairness.json` and `fairness.csv`, and logs the worst group's validation accuracy.

    Of counterfactual faces it writes `counterfactual.json` too, labelled or not.

    Args:
        folder: of the run.
        intersections: sets of attributes whose combinations are groups too; None: every pair.
        min_group: faces below which a group is shown and left out of gaps.
        min_class: faces of every class that a group needs before its macro metrics are compared.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """

    def __init__(
        self,
        folder: str,
        intersections: Sequence[Sequence[str]] | None = None,
        min_group: int = 30,
        min_class: int = 5,
        replicates: int = 1000,
        seed: int = 0,
    ) -> None:
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
        """Measure every evaluated split with labels, and write what was found."""
        module = face_module(trainer)
        predictions = predictions_of(trainer)
        self.reports = {}
        for split in module.evaluated:
            rows = predictions[predictions["split"] == split]
            if rows["label"].notna().any():
                self.reports[split] = self._measure(rows, module.faces.table)
        self._write()
        self._write_flips(predictions, module.faces.table.classes)
        self._log_tables(trainer)

    def _measure(self, rows: pd.DataFrame, table: Any) -> GroupReport:  # noqa: ANN401
        attributes: Mapping[str, Sequence[str]] = table.attributes
        pairs = list(combinations(attributes, 2))
        chosen = pairs if self._intersections is None else self._intersections
        return group_report(rows, table.classes, attributes, intersections=chosen, **self._options)

    def _write(self) -> None:
        if not self.reports:
            return
        write_json(
            self._folder / REPORT,
            {split: report.to_dict() for split, report in self.reports.items()},
        )
        parts = [report.table.assign(split=split) for split, report in self.reports.items()]
        with whole_file(self._folder / TABLE) as temporary:
            pd.concat(parts, ignore_index=True).to_csv(temporary, index=False)

    def _write_flips(self, predictions: pd.DataFrame, classes: Sequence[str]) -> None:
        """Write how often predictions differ within pairs, where there are any."""
        if "pair" not in predictions or predictions["pair"].isna().all():
            return
        options = {name: self._options[name] for name in ("replicates", "seed")}
        flips = {
            str(split): counterfactual_flips(rows, classes, **options)
            for split, rows in predictions.groupby("split")
        }
        write_json(
            self._folder / FLIPS,
            {split: [each.to_dict() for each in found] for split, found in flips.items() if found},
        )

    def _log_tables(self, trainer: pl.Trainer) -> None:
        """Give the tables to loggers that show tables, such as W&B."""
        for logger in trainer.loggers:
            log_table = getattr(logger, "log_table", None)
            if log_table is not None:
                for split, report in self.reports.items():
                    log_table(key=f"{split}/fairness", dataframe=report.table)
