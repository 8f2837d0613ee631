"""Finished runs beside each other in one table: raw, and with each model's prior taken out."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf
from rich.table import Table

from facebias.fairness.group_report import group_report
from facebias.fairness.predictions import all_group_codes, scored_rows
from facebias.fairness.priors import prior_corrected
from facebias.fairness.settings import Settings
from facebias.fairness.valence import ValenceModel, declared_valences, valence_differences
from facebias.files import whole_file
from facebias.report.paired import TABLE as PAIRED
from facebias.report.summary import console_for_tables, decimal
from facebias.runs.trained import TrainedRun, shared_attributes

TABLE, VALENCES = "comparison.csv", "valence_differences.csv"
RAW, CORRECTED = "raw", "prior-corrected"
_METRICS = ("n", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "status")


def write_comparison(runs: Sequence[TrainedRun], folder: Path) -> pd.DataFrame:
    """Write `comparison.csv`: a row for each run, reading and group.

    A reading is raw, or prior-corrected: as if the training had had as many faces of every class.
    A run whose training lacked a class has no corrected one. Groups are judged alike in all runs,
    by the defaults of `facebias.fairness.group_report`.

    Args:
        runs: with the same faces, as `facebias.runs.trained.load_runs` returns them.
        folder: of the comparison.

    Returns:
        The table: run, folder, reading, split, attribute, group, n (faces), accuracy with its 95 %
        interval, macro_f1, status and, of all faces together, auroc; shares are 0..1, NaN where
        undefined.

    Raises:
        RunError: if the file cannot be written.
    """
    rows = [
        {"run": run.name, "folder": str(run.folder), "reading": reading, **row}
        for run in runs
        for reading, predictions in _readings(run).items()
        for row in _groups(run, predictions)
    ]
    table = pd.DataFrame(rows)
    with whole_file(folder / TABLE) as temporary:
        table.to_csv(temporary, index=False)
    return table


def _readings(run: TrainedRun) -> dict[str, pd.DataFrame]:
    prior = run.train_prior()
    if not all(prior.values()):
        return {RAW: run.rows}
    return {RAW: run.rows, CORRECTED: prior_corrected(run.rows, run.classes, prior)}


def _groups(run: TrainedRun, predictions: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the metrics of all faces and of every group; the AUROC of all faces only."""
    report = group_report(predictions, run.classes, run.attributes)
    found = report.table[report.table["status"] != "unknown"].to_dict(orient="records")
    return [
        {
            "split": run.results.headline_split,
            "attribute": row["attribute"],
            "group": row["group"],
            **{name: row[name] for name in _METRICS},
            "auroc": report.overall["auroc"] if row["attribute"] == "all" else None,
        }
        for row in found
    ]


def write_valence_differences(runs: Sequence[TrainedRun], folder: Path) -> pd.DataFrame | None:
    """Write `valence_differences.csv`: how each two runs differ in reading the same faces.

    Valences are those of the first run's `callbacks.fairness.valences`.

    Args:
        runs: as `facebias.runs.trained.load_runs` returns them.
        folder: of the comparison.

    Returns:
        run and against, then the columns of `facebias.fairness.valence.valence_differences`, by
        attributes that all runs know; None where a label has no valence.

    Raises:
        RunError: if the file cannot be written.
    """
    first = runs[0]
    said = OmegaConf.select(first.config, "callbacks.fairness.valences")
    valences = declared_valences(first.classes, said)
    if valences is None:
        return None
    parts = [
        found
        for pair in combinations(runs, 2)
        for found in _valence_differences(pair, first, shared_attributes(runs), valences)
    ]
    table = pd.concat(parts, ignore_index=True)
    with whole_file(folder / VALENCES) as temporary:
        table.to_csv(temporary, index=False)
    return table


def _valence_differences(
    pair: tuple[TrainedRun, TrainedRun],
    first: TrainedRun,
    attributes: Mapping[str, Sequence[str]],
    valences: Mapping[str, str],
) -> Iterator[pd.DataFrame]:
    """Yield the differences of two runs in the groups of each attribute."""
    one, other = (
        ValenceModel(scored_rows(run.rows.sort_values("id"), first.classes), run.train_prior())
        for run in pair
    )
    for codes in all_group_codes(one.rows.table, attributes, ()):
        found = valence_differences(one, other, codes, first.classes, Settings(), valences=valences)
        names = {"run": pair[0].name, "against": pair[1].name}
        yield pd.concat([pd.DataFrame(names, index=found.index), found], axis=1)


def print_comparison(table: pd.DataFrame, folder: Path) -> None:
    """Print the accuracies by group, and where the rest is.

    Args:
        table: as `write_comparison` returns it.
        folder: of the comparison.
    """
    console = console_for_tables()
    console.print(_accuracies(table))
    for name, run in table.groupby("run", sort=False)["folder"].first().items():
        console.print(f"{name}: {run}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"\nIn {folder}:", style="bold", highlight=False, soft_wrap=True)
    console.print("  maps.png               where each model looks on the same faces")
    console.print(f"  {TABLE:<22} every number, raw and prior-corrected", highlight=False)
    if (folder / PAIRED).is_file():
        console.print(f"  {PAIRED:<22} each two on the same faces, with corrected tests")
    if (folder / VALENCES).is_file():
        console.print(f"  {VALENCES:<22} how the runs read the same faces' valences apart")
    console.print("  twins.csv              do the runs differ in the chosen faces alone?")


def _accuracies(table: pd.DataFrame) -> Table:
    """Return the table to print: groups down, runs across."""
    runs = list(dict.fromkeys(table["run"]))
    first = table.iloc[0]
    title = f"accuracy on the same {first['n']:,} {first['split']} faces, with its 95 % interval"
    printed = Table(title=title)
    printed.add_column("group", overflow="fold")
    for run in runs:
        printed.add_column(run, justify="right", overflow="fold")
    whole = table[table["attribute"] == "all"]
    raw = whole[whole["reading"] == RAW]
    corrected = whole[whole["reading"] == CORRECTED]
    printed.add_row("all", *_cells(raw, runs))
    printed.add_row(f"all, {CORRECTED}", *_cells(corrected, runs))
    printed.add_row("all, AUROC", *(_share(value) for value in raw["auroc"]))
    groups = table[(table["reading"] == RAW) & (table["attribute"] != "all")]
    for attribute, part in groups.groupby("attribute", sort=False):
        printed.add_section()
        for group, rows in part.groupby("group", sort=False):
            status = rows["status"].iloc[0]
            marked = "" if status == "ok" else f" ({status})"
            printed.add_row(f"{attribute}: {group}{marked}", *_cells(rows, runs))
    return printed


def _cells(rows: pd.DataFrame, runs: Sequence[str]) -> list[str]:
    """Return the accuracy of each run; a dash for a run that has none."""
    found = {
        row["run"]: f"{_share(row['accuracy'])} "
        f"[{_share(row['accuracy_low'])}, {_share(row['accuracy_high'])}]"
        for row in rows.to_dict(orient="records")
    }
    return [found.get(run, "–") for run in runs]


def _share(value: float) -> str:
    return decimal(None if pd.isna(value) else value)
