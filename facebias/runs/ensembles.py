"""Ensembles of finished runs, made of their predictions alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from facebias.data.predictions import PREDICTIONS_FILE
from facebias.data.prepare import SPLIT_FILE
from facebias.data.votes import combined_predictions
from facebias.files import whole_file
from facebias.runs.trained import TrainedRun, shared_splits


def combine_runs(runs: Sequence[TrainedRun], vote: str, name: str = "ensemble") -> pd.DataFrame:
    """Return what finished runs predict together, on the splits that they share entirely.

    No model is loaded. Folds have other validation and train faces each, and share the test split.

    Args:
        runs: as `facebias.runs.trained.load_runs` returns them.
        vote: "soft" (mean of the probabilities) or "hard" (plurality of the predicted classes, ties
            broken by mean probability; the probabilities are vote shares), see
            `facebias.data.votes`.
        name: of the ensemble, for the column `run`.

    Returns:
        Predictions as a run has them; `variant`, `seed` and `fold` are missing where the members
        differ.
    """
    first = runs[0]
    tables = [run.results.predictions for run in runs]
    same: dict[str, Any] = {
        column: _common(tables, column) for column in ("variant", "seed", "fold")
    }
    parts = [
        combined_predictions(
            [table[table["split"] == split] for table in tables],
            first.classes,
            vote,
            run=name,
            **same,
        )
        for split in shared_splits(runs)
    ]
    return pd.concat(parts, ignore_index=True).astype({"seed": "Int64", "fold": "Int64"})


def write_combined(runs: Sequence[TrainedRun], predictions: pd.DataFrame, folder: Path) -> None:
    """Write `predictions.parquet`, and `split.parquet` of the same splits.

    Args:
        runs: the members.
        predictions: of the ensemble.
        folder: of the ensemble.

    Raises:
        RunError: if a file cannot be written.
    """
    faces = runs[0].faces
    shared = faces[faces["split"].isin(predictions["split"])]
    for name, table in ((PREDICTIONS_FILE, predictions), (SPLIT_FILE, shared)):
        with whole_file(folder / name) as temporary:
            table.to_parquet(temporary, index=False)


def _common(tables: Sequence[pd.DataFrame], column: str) -> Any:  # noqa: ANN401
    """Return the value that a column has in all tables; None where there are several."""
    values = {value for table in tables for value in table[column].unique().tolist()}
    return values.pop() if len(values) == 1 else None
