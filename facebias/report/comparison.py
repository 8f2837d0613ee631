"""Finished runs beside each other in one table: raw, and with each model's prior taken out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from facebias.fairness.group_report import group_report
from facebias.fairness.priors import prior_corrected
from facebias.files import whole_file
from facebias.report.summary import console_for_tables, decimal
from facebias.runs.trained import TrainedRun

TABLE = "comparison.csv"
RAW, CORRECTED = "raw", "prior-corrected"
_COLUMNS = ("n", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "status")


def write_comparison(runs: Sequence[TrainedRun], folder: Path) -> None:
    """Write `comparison.csv`: a row for each run, reading and group.

    Args:
        runs: with the same test faces.
        folder: of the comparison.
    """
    rows = [
        {"run": run.name, "folder": str(run.folder), "reading": reading, **row}
        for run in runs
        for reading in (RAW, CORRECTED)
        for row in _groups(run, reading)
    ]
    with whole_file(folder / TABLE) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


def _groups(run: TrainedRun, reading: str) -> list[dict[str, Any]]:
    """Return the metrics of all faces and of every group; the AUROC of all faces only."""
    predictions = run.results.predictions
    rows = predictions[predictions["split"] == run.results.headline_split]
    if reading == CORRECTED:
        rows = prior_corrected(rows, run.classes, _train_shares(run))
    attributes = run.results.fairness[run.results.headline_split]["settings"]["attributes"]
    report = group_report(rows, run.classes, attributes)
    found = report.table[report.table["status"] != "unknown"].to_dict(orient="records")
    return [
        {
            "attribute": row["attribute"],
            "group": row["group"],
            **{name: row[name] for name in _COLUMNS},
            "auroc": report.overall["auroc"] if row["attribute"] == "all" else None,
        }
        for row in found
    ]


def _train_shares(run: TrainedRun) -> dict[str, float]:
    """Return the share of each class among the faces that a run was trained on."""
    faces = pd.read_parquet(run.folder / "split.parquet")
    train = faces[(faces["split"] == "train") & (faces["left_out"] == "")]
    shares: dict[str, float] = train["label"].value_counts(normalize=True).to_dict()
    return shares


def print_comparison(folder: Path) -> None:
    """Print the accuracies by group, and where the pictures are."""
    console = console_for_tables()
    rows = pd.read_csv(folder / TABLE)
    console.print(_table(rows))
    console.print(f"\nIn {folder}:", style="bold", highlight=False, soft_wrap=True)
    console.print("  maps.png               where each model looks on the same faces")
    console.print(f"  {TABLE:<22} every number, raw and prior-corrected")


def _table(rows: pd.DataFrame) -> Table:
    """Return the table: groups down, runs across."""
    runs = list(dict.fromkeys(rows["run"]))
    table = Table(title="accuracy on the same test faces, with its 95 % interval")
    table.add_column("group")
    for run in runs:
        table.add_column(run, justify="right", no_wrap=True)
    whole = rows[rows["attribute"] == "all"].set_index(["reading", "run"])
    table.add_row("all", *(_accuracy(whole.loc[RAW, run]) for run in runs))
    table.add_row(f"all, {CORRECTED}", *(_accuracy(whole.loc[CORRECTED, run]) for run in runs))
    table.add_row("all, AUROC", *(decimal(whole.loc[RAW, run]["auroc"]) for run in runs))
    raw = rows[(rows["reading"] == RAW) & (rows["attribute"] != "all")]
    for attribute, part in raw.groupby("attribute", sort=False):
        table.add_section()
        for group, cells in part.groupby("group", sort=False):
            by_run = cells.set_index("run")
            table.add_row(f"{attribute}: {group}", *(_accuracy(by_run.loc[run]) for run in runs))
    return table


def _accuracy(row: pd.Series) -> str:
    low, high = decimal(row["accuracy_low"]), decimal(row["accuracy_high"])
    return f"{decimal(row['accuracy'])} [{low}, {high}]"
