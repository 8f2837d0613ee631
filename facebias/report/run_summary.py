"""The summary of several runs: tables, and what the console says of them."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from facebias.data.table import SPLITS
from facebias.files import whole_file
from facebias.report.folds import LATEX as FOLDS_LATEX
from facebias.report.folds import TABLE as FOLDS_FILE
from facebias.report.folds import printed_folds, write_folds
from facebias.report.summary import console_for_tables, decimal
from facebias.runs.summary import FOLDS, GAP, MEAN_OF_FOLDS, POOLED, SEEDS, FinishedRun

SUMMARY_FILE, RUNS_FILE = "summary.csv", "runs.csv"
_SHOWN = {"accuracy": "accuracy", "macro_f1": "macro F1", "auroc": "AUROC"}
_NOTES = {
    SEEDS: "Mean ± standard deviation over seeds [95 % interval of the mean]. It holds other seeds "
    "and other faces; of AUROC and means of folds other seeds alone, by Student's t "
    "(summary.csv: interval).",
    FOLDS: "Mean ± standard deviation over folds.",
    MEAN_OF_FOLDS: "Folds share most of their train faces: a spread over folds makes no interval.",
    POOLED: "Pooled folds: each train face scored once, by the run that had it in validation.",
    GAP: "A largest gap is between the two groups that are named, whose means over the seeds are "
    "farthest apart of all that are large enough; its interval allows for all pairs having been "
    "compared. One without names is the mean of each run's own largest: it leans high, and has no "
    "interval.",
}


def write_summary(
    runs: Sequence[FinishedRun], table: pd.DataFrame, folds: pd.DataFrame | None, folder: Path
) -> None:
    """Write `summary.csv`, `runs.csv` (every run, all settings that differ), and the folds' table.

    Args:
        runs: that were summarised.
        table: as `facebias.runs.summary.summarise` returns it.
        folds: as `facebias.report.folds.fold_table` returns it.
        folder: of the summary.

    Raises:
        RunError: if a file cannot be written.
    """
    listed = pd.DataFrame(
        [
            {"folder": str(run.folder), "seed": run.seed, "fold": run.fold, **run.settings}
            for run in runs
        ]
    )
    for name, content in ((SUMMARY_FILE, table), (RUNS_FILE, listed)):
        with whole_file(folder / name) as temporary:
            content.to_csv(temporary, index=False)
    if folds is not None:
        write_folds(folds, folder)


def print_runs(
    table: pd.DataFrame, folds: pd.DataFrame | None, folder: Path, console: Console | None = None
) -> None:
    """Print the metrics of all faces, the gaps in accuracy and the folds, and where the rest is.

    Args:
        table: as `facebias.runs.summary.summarise` returns it.
        folds: as `facebias.report.folds.fold_table` returns it.
        folder: of the summary.
        console: to print on.
    """
    console = console or console_for_tables()
    present = set(table["split"])
    split = next(name for name in reversed(SPLITS) if name in present)
    keys = list(table.columns[: list(table.columns).index("split")])
    whole = table[(table["attribute"] == "all") & table["metric"].isin(_SHOWN)]
    console.print(_metrics(whole[whole["split"] == split], keys, f"{split} faces"))
    if split != "validation" and (table["reading"] == POOLED).any():
        pooled = whole[(whole["split"] == "validation") & (whole["reading"] == POOLED)]
        console.print(_metrics(pooled, keys, "validation faces of all folds, pooled"))
    gaps = table[(table["group"] == GAP) & (table["metric"] == "accuracy")]
    gaps = gaps[(gaps["split"] == split) & ~gaps["attribute"].str.contains(" x ")]
    if len(gaps):
        console.print(_gaps(gaps, keys, f"largest gaps in accuracy, {split} faces"))
    by_fold = None if folds is None else printed_folds(folds, "validation")
    if by_fold is not None:
        console.print(by_fold)
    said = {*table["reading"], *table["group"], *table["over"][table["sd"].notna()]}
    for name, note in _NOTES.items():
        if name in said:
            console.print(note, highlight=False, soft_wrap=True)
    console.print(f"\nIn {folder}:", style="bold", highlight=False, soft_wrap=True)
    console.print(f"  {SUMMARY_FILE:<22} every split, attribute, group and metric", highlight=False)
    console.print(f"  {RUNS_FILE:<22} the runs, and every setting that differs", highlight=False)
    if folds is not None:
        console.print(
            f"  {FOLDS_FILE:<22} every fold, and the mean ({FOLDS_LATEX})", highlight=False
        )


def _metrics(rows: pd.DataFrame, keys: Sequence[str], title: str) -> Table:
    """Return the table to print: settings and readings down, metrics across."""
    printed = Table(*keys, "of", title=title)
    for name in _SHOWN.values():
        printed.add_column(name, justify="right", overflow="fold")
    for _, part in rows.groupby([*keys, "reading"], sort=False, dropna=False):
        first, by_metric = part.iloc[0], part.set_index("metric")
        cells = [_cell(by_metric.loc[name]) if name in by_metric.index else "–" for name in _SHOWN]
        printed.add_row(*(str(first[key]) for key in keys), _counted(first), *cells)
    return printed


def _gaps(rows: pd.DataFrame, keys: Sequence[str], title: str) -> Table:
    """Return the table to print: settings down, attributes across."""
    attributes = list(dict.fromkeys(rows["attribute"]))
    printed = Table(*keys, "of", title=title)
    for name in attributes:
        printed.add_column(name, justify="right", overflow="fold")
    for _, part in rows.groupby([*keys, "reading"], sort=False, dropna=False):
        first, by_attribute = part.iloc[0], part.set_index("attribute")
        cells = [_gap_cell(by_attribute.loc[name]) for name in attributes]
        printed.add_row(*(str(first[key]) for key in keys), _counted(first), *cells)
    return printed


def _counted(row: pd.Series) -> str:
    """Say what a mean is of: 3 seeds; 10 folds; pooled folds (10) of 3 seeds."""
    if row["over"] == FOLDS:
        return f"{row['n']} folds"
    seeds = f"{row['n']} seed" + ("s" if row["n"] > 1 else "")
    return seeds if row["folds"] == 1 else f"{row['reading']} ({row['folds']}), {seeds}"


def _cell(row: pd.Series) -> str:
    """Format mean, deviation and interval, as far as there are any."""
    mean, deviation, low, high = (
        None if pd.isna(row[name]) else float(row[name]) for name in ("mean", "sd", "low", "high")
    )
    said = decimal(mean)
    if deviation is not None:
        said += f" ± {decimal(deviation)}"
    return said if low is None else f"{said} [{decimal(low)}, {decimal(high)}]"


def _gap_cell(row: pd.Series) -> str:
    """Format a gap, and between which groups it is, where all runs have the same."""
    return (
        _cell(row) if pd.isna(row["first"]) else f"{_cell(row)}\n{row['first']} – {row['second']}"
    )
