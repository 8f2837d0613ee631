"""What a training would do, told instead of done: `dry_run=true`."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from facebias.data.prepare import PreparedFaces
from facebias.data.proof import SOURCE
from facebias.data.store import estimate_bytes
from facebias.models.classifier import FaceClassifier
from facebias.runs.assemble import assemble_classifier, assemble_faces, face_format
from facebias.runs.checks import check_training

_TIMED_STEPS = 3


def print_plan(config: DictConfig, console: Console | None = None) -> None:
    """Print the cells before and after the composition, the size on disk and a time estimate.

    Nothing is trained, and nothing is written below the outputs; the faces are decoded, since
    copies and bad images are part of the plan.
    """
    console = console or Console()
    faces = assemble_faces(config)
    for stage, cells in faces.stages().items():
        title = "split before the composition" if stage == SOURCE else f"faces, {stage}"
        console.print(_cells_table(f"train {title} ({faces.bias.variant})", cells))
    for line in faces.says():
        console.print(line, highlight=False, soft_wrap=True)
    sizes = {split: len(faces.rows(split)) for split in faces.splits}
    console.print("faces: " + ", ".join(f"{split} {size:,}" for split, size in sizes.items()))
    left_out = faces.table.rows["left_out"].ne("").sum()
    console.print(f"left out: {left_out:,} (split.parquet of a run says why)")
    disk = estimate_bytes(len(faces.store), face_format(config))
    place = faces.store.path or "not stored: decoded on every read"
    console.print(f"store: {disk / 1e6:.1f} MB, {place}", soft_wrap=True)
    model = assemble_classifier(config, torch.tensor(faces.class_counts()), faces.statistics)
    check_training(config, model, faces)
    seconds = _estimate_seconds(config, model, faces)
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
    return [f"{round(count):,}" for count in counts]


def _estimate_seconds(config: DictConfig, model: FaceClassifier, faces: PreparedFaces) -> float:
    """Time a few train steps, and scale them to the whole training and its validations."""
    size = min(config.data.batch_size, sum(faces.class_counts()))
    rows = faces.drawn()
    images = torch.from_numpy(faces.store.read(rows["row"].to_numpy(np.int64)[:size]))
    labels = torch.arange(size) % len(faces.table.classes)
    model.train()
    spent = []
    for _ in range(_TIMED_STEPS):
        start = time.perf_counter()
        model.loss(model(images.permute(0, 3, 1, 2)), labels, torch.ones(size)).backward()
        spent.append(time.perf_counter() - start)
    steps: float = len(rows) / size + len(faces.rows("validation")) / size / 3
    return float(np.median(spent)) * steps * int(config.trainer.max_epochs)
