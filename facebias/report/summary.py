"""What a run prints when it ends, and what a dry run prints instead."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from facebias.data.leaks import inflation_lines, read_leaks
from facebias.data.prepare import COMPOSITION_FILE, SPLIT_FILE
from facebias.fairness.counterfactual import OWN
from facebias.report.results import RunResults, read_results
from facebias.report.unlabelled import answer_lines

_MOST_ROWS = 50  # of a table on the console
_METRICS = ("n", "accuracy [95 % interval]", "macro P", "macro R", "macro F1", "majority")
_FILES = {
    "report.html": "everything below on one page",
    "learning_curves.png": "loss, accuracy and F1 by epoch",
    "members.csv": "the ensemble beside each member (ensemble.json: the same)",
    "fairness.csv": "every group's metrics (fairness.json: with gaps)",
    "fairness_measures.csv": "every metric of every group and class, with its interval",
    "fairness_scores.csv": "AUROC, log loss, Brier score and calibration of every group",
    "valence.csv": "how faces of one valence are read as another, in every group",
    "amplification.csv": "bias amplification of every attribute, or why it is undefined",
    "fairness.png": "every group's accuracy with its interval",
    "counterfactual.json": "how often the answer changes with one cause",
    "confusion.png": "which class is taken for which",
    "answers.png": "faces beside the probability of each class",
    "answers.csv": "what is answered, and how confident; no labels, no accuracy",
    "cam/sheet.png": "where the network looks",
    "predictions.parquet": "probabilities of every face",
    "found.csv": "in how many photos a face was found, by group (misses.csv: the others)",
    "split.parquet": "every face: its split, and why it is left out",
    "leaks.csv": "pairs of faces that leak, or of two labels (leaks.png shows some)",
    "composition.json": "train faces by label and group, before and after the bias",
    "checkpoints": "weights",
}


def print_summary(folder: Path, console: Console | None = None) -> None:
    """Print the metrics, the fairness table and the files of a run."""
    console = console or console_for_tables()
    results = read_results(folder)
    if results.fairness:
        console.print(metrics_table(results))
        console.print(fairness_table(results))
        for gap in results.fairness[results.headline_split]["gaps"]:
            if gap["metric"] == "accuracy":
                console.print(f"{gap['attribute']}, accuracy: {gap['headline']}", highlight=False)
    else:
        console.print(results.why_unmeasured)
    for line in answer_lines(folder):
        console.print(line, highlight=False, soft_wrap=True)
    for line in [*composition_lines(folder), *flip_lines(folder, results.headline_split)]:
        console.print(line, highlight=False, soft_wrap=True)
    for line in leak_lines(folder, results.headline_split):
        console.print(line, highlight=False, soft_wrap=True)
    for row in results.left_out.itertuples():
        console.print(f"left out, {row.split}: {row.n} ({row.left_out})", highlight=False)
    console.print(f"\nIn {folder}:", style="bold", highlight=False, soft_wrap=True)
    for name, meaning in _FILES.items():
        if (folder / name).exists():
            console.print(f"  {name:<22} {meaning}", highlight=False)


def composition_lines(folder: Path) -> list[str]:
    """Return what a run says of its train faces: label noise, how label and group go together."""
    file = folder / COMPOSITION_FILE
    content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return list(content.get("says", []))


def leak_lines(folder: Path, split: str) -> list[str]:
    """Say how many faces of a split have a copy, or their person, in train, and of which groups."""
    pairs = read_leaks(folder)
    return (
        [] if pairs is None else inflation_lines(pairs, pd.read_parquet(folder / SPLIT_FILE), split)
    )


def flip_lines(folder: Path, split: str) -> list[str]:
    """Say of the counterfactual faces of a run how many change their predicted label.

    Where a factor was set to several values, the faces as they were drawn are left out.
    """
    file = folder / "counterfactual.json"
    content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    found = content.get(split, [])
    set_to = [each for each in found if each["before"] != OWN]
    return [_flip_line(each) for each in set_to or found]


def _flip_line(flips: dict[str, Any]) -> str:
    """Format one comparison of two values; without pairs there is no share."""
    share, low, high = (
        "–" if flips[name] is None else f"{100 * flips[name]:.{digits}f}"
        for name, digits in (("share", 1), ("low", 0), ("high", 0))
    )
    return (
        f"flips: {share} % ({low} to {high}) of {flips['n']:,} faces change their predicted label "
        f"when only {flips['factor']} changes from {flips['before']} to {flips['after']}"
    )


def metrics_table(results: RunResults) -> Table:
    """Return accuracy and macro metrics of every evaluated split, chance and majority beside."""
    table = Table(title=f"{results.config.name}, evaluated without augmentation")
    _add_columns(table, "split", *_METRICS, "AUROC")
    for split, report in results.fairness.items():
        overall = report["overall"]
        table.add_row(split, *_metric_cells(overall), decimal(overall["auroc"]))
    return table


def fairness_table(results: RunResults) -> Table:
    """Return the metrics of every group of the split that counts."""
    split = results.headline_split
    chance = results.fairness[split]["overall"]["chance"]
    table = Table(title=f"{split} faces by group; chance {decimal(chance)}")
    _add_columns(table, "group", *_METRICS)
    previous = "all"
    rows = results.fairness[split]["groups"]
    for row in rows[:_MOST_ROWS]:
        if row["attribute"] != previous:
            table.add_section()
        previous = row["attribute"]
        status = "" if row["status"] == "ok" else f" ({row['status']})"
        table.add_row(row["group"] + status, *_metric_cells(row))
    if len(rows) > _MOST_ROWS:
        table.caption = f"{len(rows) - _MOST_ROWS} more groups in fairness.csv"
    return table


def _add_columns(table: Table, first: str, *others: str) -> None:
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)


def _metric_cells(row: dict[str, Any]) -> list[str]:
    """Format the values of one row under the headings of `_METRICS`."""
    interval = f"[{decimal(row['accuracy_low'])}, {decimal(row['accuracy_high'])}]"
    macro = [decimal(row[f"macro_{name}"]) for name in ("precision", "recall", "f1")]
    return [
        f"{row['n']:,}",
        f"{decimal(row['accuracy'])} {interval}",
        *macro,
        decimal(row["majority"]),
    ]


def console_for_tables() -> Console:
    """Return a console wide enough for the tables where output goes to a file."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, 100))


def decimal(value: float | None) -> str:
    """Format a share; what is undefined is a dash."""
    return "–" if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """Format a difference of shares; what is undefined is a dash."""
    return "–" if value is None else f"{value:+.3f}"
