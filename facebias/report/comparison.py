"""Finished runs in one table: raw, and with each model's prior taken out."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from facebias.fairness.group_report import group_table
from facebias.fairness.priors import prior_corrected
from facebias.fairness.valence import CORRECTED, RAW
from facebias.runs.trained import TrainedRun

_METRICS = ("n", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "status")


def run_comparison(runs: Sequence[TrainedRun]) -> pd.DataFrame:
    """Return a row for each run, reading and group.

    A reading is raw, or prior-corrected: as if the training had had as many faces of every class.
    A run whose training lacked a class has no corrected one. Groups are judged alike in all runs,
    by the defaults of `facebias.fairness.group_report`.

    Args:
        runs: with the same faces, as `facebias.runs.trained.load_runs` returns them.

    Returns:
        run, folder, reading, split, attribute, group, n (faces), accuracy with its 95 % interval
        over faces (or persons), macro_f1, status and, of all faces together, auroc; shares are
        0..1, NaN where undefined.
    """
    rows = [
        {"run": run.name, "folder": str(run.folder), "reading": reading, **row}
        for run in runs
        for reading, predictions in _readings(run).items()
        for row in _groups(run, predictions)
    ]
    return pd.DataFrame(rows)


def _readings(run: TrainedRun) -> dict[str, pd.DataFrame]:
    prior = run.train_prior()
    if not all(prior.values()):
        return {RAW: run.rows}
    return {RAW: run.rows, CORRECTED: prior_corrected(run.rows, run.classes, prior)}


def _groups(run: TrainedRun, predictions: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the metrics of all faces and of every group; the AUROC of all faces only."""
    table, area = group_table(predictions, run.classes, run.attributes)
    found = table[table["status"] != "unknown"].to_dict(orient="records")
    split = run.results.headline_split
    return [
        {
            "split": split,
            "attribute": row["attribute"],
            "group": row["group"],
            **{name: row[name] for name in _METRICS},
            "auroc": area if row["attribute"] == "all" else None,
        }
        for row in found
    ]
