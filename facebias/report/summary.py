"""What a run prints when it ends, and what a dry run prints instead."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from facebias.data.prepare import PreparedFaces
from facebias.data.store import estimate_bytes
from facebias.report.results import RunResults, read_results
from facebias.runs.assemble import assemble_classifier, assemble_faces, face_format

_TIMED_STEPS = 3
_METRICS = ("n", "accuracy [95 % interval]", "macro P", "macro R", "macro F1", "majority")
_FILES = {
    "report.html": "everything below on one page",
    "learning_curves.png": "loss, accuracy and F1 by epoch",
    "fairness.csv": "every group's metrics (fairness.json: with gaps)",
    "fairness.png": "every group's accuracy with its interval",
    "confusion.png": "which class is taken for which",
    "cam/sheet.png": "where the network looks",
    "predictions.parquet": "probabilities of every face",
    "split.parquet": "every face: its split, and why it is left out",
    "checkpoints": "weights",
}


def print_summary(folder: Path, console: Console | None = None) -> None:
    """Print the metrics, the fairness table and the files of a run."""
    console = console or _console()
    results = read_results(folder)
    if results.fairness:
        console.print(metrics_table(results))
        console.print(fairness_table(results))
        for gap in results.fairness[results.headline_split]["gaps"]:
            if gap["metric"] == "accuracy":
                console.print(f"{gap['attribute']}, accuracy: {gap['headline']}", highlight=False)
    else:
        console.print("No labels: predictions and maps only, nothing to measure.")
    for row in results.left_out.itertuples():
        console.print(f"left out of {row.split}: {row.n} ({row.left_out})", highlight=False)
    console.print(f"\nIn {folder}:", style="bold", highlight=False, soft_wrap=True)
    for name, meaning in _FILES.items():
        if (folder / name).exists():
            console.print(f"  {name:<22} {meaning}", highlight=False)


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
    for row in results.fairness[split]["groups"]:
        if row["attribute"] != previous:
            table.add_section()
        previous = row["attribute"]
        status = "" if row["status"] == "ok" else f" ({row['status']})"
        table.add_row(row["group"] + status, *_metric_cells(row))
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


def _console() -> Console:
    """Return a console wide enough for the tables where output goes to a file."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, 100))


def decimal(value: float | None) -> str:
    """Format a share; what is undefined is a dash."""
    return "–" if value is None else f"{value:.3f}"


def print_plan(config: DictConfig, console: Console | None = None) -> None:
    """Print the cells before and after the composition, the size on disk and a time estimate.

    Nothing is trained, and nothing is written below the outputs; the faces are decoded, since
    copies and bad images are part of the plan.
    """
    console = console or _console()
    faces = assemble_faces(config)
    for title, cells in (
        ("train split before the composition", faces.source_cells),
        (f"train faces after it ({faces.bias.variant})", faces.cells()),
    ):
        console.print(_cells_table(title, cells))
    sizes = {split: len(faces.rows(split)) for split in faces.splits}
    console.print("faces: " + ", ".join(f"{split} {size:,}" for split, size in sizes.items()))
    left_out = faces.table.rows["left_out"].ne("").sum()
    console.print(f"left out: {left_out:,} (split.parquet of a run says why)")
    disk = estimate_bytes(len(faces.store), face_format(config))
    place = faces.store.path or "not stored: decoded on every read"
    console.print(f"store: {disk / 1e6:.1f} MB, {place}", soft_wrap=True)
    seconds = _estimate_seconds(config, faces)
    epochs = config.trainer.max_epochs
    console.print(
        f"time: about {seconds / 60:.1f} minutes for {epochs} epochs, from {_TIMED_STEPS} steps "
        "on this processor, without augmentation"
    )


def _cells_table(title: str, cells: pd.DataFrame) -> Table:
    table = Table("label", title=title)
    for group in (*cells.columns, "total"):
        table.add_column(str(group), justify="right")
    for label, row in cells.iterrows():
        table.add_row(str(label), *_numbers([*row, row.sum()]))
    table.add_section()
    table.add_row("total", *_numbers([*cells.sum(), cells.to_numpy().sum()]))
    return table


def _numbers(counts: Sequence[Any]) -> list[str]:
    return [f"{int(count):,}" for count in counts]


def _estimate_seconds(config: DictConfig, faces: PreparedFaces) -> float:
    """Time a few train steps, and scale them to the whole training and its validations."""
    model = assemble_classifier(config, torch.tensor(faces.class_counts()), faces.statistics)
    size = min(config.data.batch_size, sum(faces.class_counts()))
    rows = faces.rows("train")
    images = torch.from_numpy(faces.store.read(rows["row"].to_numpy(np.int64)[:size]))
    labels = torch.arange(size) % len(faces.table.classes)
    model.train()
    spent = []
    for _ in range(_TIMED_STEPS):
        start = time.perf_counter()
        model.loss(model(images.permute(0, 3, 1, 2)), labels).backward()
        spent.append(time.perf_counter() - start)
    steps: float = len(rows) / size + len(faces.rows("validation")) / size / 3
    return float(np.median(spent)) * steps * int(config.trainer.max_epochs)
