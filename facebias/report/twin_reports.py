"""Finished runs as twins: `twins.json`, `twins.csv`, and what the console says of them."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from rich.table import Table

from facebias.data.bag import drawn_faces
from facebias.data.prepare import COMPOSITION_FILE, NORMALISATION_FILE
from facebias.data.proof import nested
from facebias.data.twins import TwinReport, Variant, twin_report
from facebias.files import whole_file, write_json
from facebias.report.summary import console_for_tables
from facebias.runs.same_config import SAME_RESULTS
from facebias.runs.settings import flat_settings
from facebias.runs.trained import TrainedRun

JSON, CSV = "twins.json", "twins.csv"
# What variants may differ in, and where files lie: whether it is the same data, the faces say.
_FREE = (
    *("bias", "remedy", "name", "sweep", "paths", "logger", "data.root", "data.reader.root"),
    *SAME_RESULTS,
)
_FREE_ENDINGS = (".cache", ".file")


def write_twins(runs: Sequence[TrainedRun], folder: Path) -> list[TwinReport]:
    """Write `twins.json` and `twins.csv`: each run beside the first, are they twins?

    Args:
        runs: as `facebias.runs.trained.load_runs` returns them.
        folder: of the comparison.

    Returns:
        A report for every run but the first.

    Raises:
        RunError: if a file cannot be written.
    """
    first, *others = (_variant(run) for run in runs)
    reports = [twin_report(first, other) for other in others]
    write_json(folder / JSON, [_content(report) for report in reports])
    with whole_file(folder / CSV) as temporary:
        pd.DataFrame([row for report in reports for row in _rows(report)]).to_csv(
            temporary, index=False
        )
    return reports


def _variant(run: TrainedRun) -> Variant:
    composition = _read(run.folder / COMPOSITION_FILE)
    train = run.faces[(run.faces["split"] == "train") & (run.faces["left_out"] == "")]
    return Variant(
        run.name,
        run.faces,
        tuple(composition.get("attributes", ())),
        _read(run.folder / NORMALISATION_FILE),
        _steps(len(drawn_faces(train)), run.config),
        flat_settings(run.config, _FREE, _FREE_ENDINGS),
    )


def _read(file: Path) -> dict[str, Any]:
    """Read a JSON file; runs of earlier versions have none."""
    content: dict[str, Any] = {}
    if file.is_file():
        content = json.loads(file.read_text(encoding="utf-8"))
    return content


def _steps(faces: int, config: DictConfig) -> int:
    """Return the steps of a whole training; a last batch of one face is dropped."""
    batches, rest = divmod(faces, int(config.data.batch_size))
    epochs = int(config.trainer.max_epochs)
    return epochs * (batches + 1 if rest > 1 else batches)


def _content(report: TwinReport) -> dict[str, Any]:
    return {
        "first": report.first,
        "second": report.second,
        "twins": report.are_twins,
        "sentence": report.sentence,
        "shared": {"n": report.shared, "share": report.share, "relabelled": report.relabelled},
        "answers": [vars(answer) for answer in report.answers],
        "cells": {name: nested(cells) for name, cells in report.cells.items()},
    }


def _rows(report: TwinReport) -> Iterator[dict[str, str]]:
    pair = {"first": report.first, "second": report.second}
    for answer in report.answers:
        yield {**pair, "question": answer.question, "answer": answer.word, "detail": answer.detail}
    yield {**pair, "question": "shared train faces", "answer": "", "detail": _shared(report)}


def _shared(report: TwinReport) -> str:
    said = f"{report.shared:,} ({100 * report.share:.1f} % of the larger train set)"
    return said + (f", {report.relabelled:,} with another label" if report.relabelled else "")


def print_twins(reports: Sequence[TwinReport]) -> None:
    """Print the cells, the answers and the verdict of each pair."""
    console = console_for_tables()
    for report in reports:
        console.print(_cells_table(report))
        table = Table("asked", "answer", "detail", title=f"{report.first} and {report.second}")
        for row in _rows(report):
            table.add_row(row["question"], row["answer"], row["detail"])
        console.print(table)
        console.print(report.sentence, highlight=False, markup=False, soft_wrap=True)


def _cells_table(report: TwinReport) -> Table:
    """Return the table to print: cells down; source and both variants across."""
    table = Table("train faces", title="cells before the bias and after it")
    for name in report.cells:
        table.add_column(name, justify="right", overflow="fold")
    columns = [cells.stack() for cells in report.cells.values()]
    for label, group in columns[0].index:
        table.add_row(
            f"{label}, {group}", *(f"{int(column[label, group]):,}" for column in columns)
        )
    table.add_section()
    table.add_row("total", *(f"{int(column.sum()):,}" for column in columns))
    return table
