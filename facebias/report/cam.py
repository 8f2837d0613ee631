"""What `python -m facebias.cam` writes and prints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from facebias.cam.attention import OUTSIDE
from facebias.cam.between import (
    DESCRIPTIVE,
    DIFFERENT,
    MIN_SEEDS,
    compare_attention,
    compare_maps,
)
from facebias.cam.regions import FACE
from facebias.cam.sanity import stability
from facebias.fairness.valence import declared_valences
from facebias.files import whole_file, write_json
from facebias.report.attention import ALL, DENSITY, SHARE, attention_means, region_names
from facebias.report.cam_curves import measure_curves
from facebias.report.cam_figures import draw_curves, draw_regions
from facebias.report.cam_maps import (
    ATTENTION,
    MAPS,
    ExplainedRun,
    Question,
    Regions,
    explain_runs,
    read_question,
)
from facebias.report.cam_pictures import (
    draw_differences,
    draw_faces,
    draw_means,
    mean_maps,
    shown_runs,
)
from facebias.report.summary import console_for_tables
from facebias.runs.explained import ExplainedFaces
from facebias.runs.trained import TrainedRun

RECORD, MEANS, BETWEEN, BETWEEN_MAPS = (
    "cam.json",
    "attention.csv",
    "between.csv",
    "between_maps.csv",
)
STABILITY, CURVES, FAITHFULNESS = "stability.csv", "curves.csv", "faithfulness.csv"
_FILES = {
    "faces.png": "the same faces under each model (faces.svg: the same)",
    "means.png": "the mean map of each group and model",
    "differences.png": "where models look differently",
    "regions.png": "the share of each region, by group and model",
    "curves.png": "whether the maps say what the models go by",
    MEANS: "every measure by group and model, with intervals",
    BETWEEN: "shares of regions: variants against what seeds differ by",
    BETWEEN_MAPS: "whole maps: variants against what seeds differ by",
    STABILITY: "how alike the maps of the runs of one variant are",
    FAITHFULNESS: "deletion and insertion against random maps",
    ATTENTION: "a row a model and face",
    MAPS: "every map, float16, in the order of the rows",
    RECORD: "what was asked, and which regions",
}
_MOST_INTERVALS = 3  # columns of the table on the console with intervals
_SOURCES = {
    "masks": "the data set's masks",
    "landmarks": "the data set's landmarks",
    "template": "a template, the same for every face (no masks or landmarks are known)",
}


@dataclass(frozen=True, eq=False)
class CamResults:
    """What was found.

    Attributes:
        runs: explained.
        regions: that maps were held against.
        means: of every measure by run and group.
        areas: the share of the image that each region covers, on average.
        between: of the shares of regions between variants; None where nothing is compared.
        why: why nothing is compared.
        faithfulness: of deletion and insertion; None where they were not asked for.
    """

    runs: list[ExplainedRun]
    regions: Regions
    means: pd.DataFrame
    areas: pd.Series
    between: pd.DataFrame | None
    why: str
    faithfulness: pd.DataFrame | None


def write_cam(
    config: DictConfig,
    runs: Sequence[TrainedRun],
    faces: Sequence[ExplainedFaces],
    folder: Path,
) -> CamResults:
    """Write maps, tables and pictures of runs.

    Args:
        config: a checked `facebias.schemas.Cam`.
        runs: to explain.
        faces: of each run, as `facebias.runs.explained.load_explained` returns them.
        folder: of the results.

    Raises:
        FacebiasError: for a class, layer or faces that do not fit, or a folder that cannot be
            written.
    """
    question = read_question(config)
    found, regions = explain_runs(runs, faces, question, folder)
    table = faces[0].table
    attention = _read_attention(folder)
    means = attention_means(attention, table.attributes, min_group=config.min_group)
    _write(means.assign(regions=regions.source), folder / MEANS)
    between, why = _compared(found, attention, question, folder)
    words = _words(question, found)
    faithfulness = None
    if config.curve_faces:
        faithfulness = _write_curves(config, question, found, words, folder)
    _draw(config, found, attention, words, folder)
    shown, areas = [run.name for run in shown_runs(found)], _areas(attention)
    of_regions = f"{words}; regions from {_SOURCES[regions.source]}"
    draw_regions(means, areas, shown, folder / "regions", words=of_regions)
    write_json(folder / RECORD, _record(question, found, regions, why))
    return CamResults(found, regions, means, areas, between, why, faithfulness)


def _read_attention(folder: Path) -> pd.DataFrame:
    """Return the table of attention; words that stand often are kept once."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(folder / ATTENTION)
    text = [field.name for field in file.schema_arrow if str(field.type) == "string"]
    return pq.read_table(folder / ATTENTION, read_dictionary=text).to_pandas()


def _write(table: pd.DataFrame, path: Path) -> None:
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False)


def _compared(
    runs: Sequence[ExplainedRun], attention: pd.DataFrame, question: Question, folder: Path
) -> tuple[pd.DataFrame | None, str]:
    """Compare variants, or the runs of one variant; return why nothing is compared, if so."""
    models = pd.DataFrame([(run.variant, run.seed) for run in runs], columns=["variant", "seed"])
    if len(runs) < 2:
        return None, "one model: nothing to compare"
    if not question.comparable:
        return None, "maps of each model's own answer are for different classes: name one"
    alike = len({run.cells for run in runs}) == 1
    maps = {run.name: np.load(run.maps, mmap_mode="r", allow_pickle=False) for run in runs}
    if models["variant"].nunique() == 1:
        if not alike:
            return None, "one variant, and maps of different sizes"
        persons = list(runs[0].faces.table.rows["identity"])
        _write(stability(maps, persons), folder / STABILITY)
        return None, f"one variant: {STABILITY} says how alike its runs are"
    if models.duplicated().any():
        return None, "several runs of one variant and seed: their differences have another cause"
    between = compare_attention(attention)
    _write(between, folder / BETWEEN)
    if alike:
        variants = {run.name: run.variant for run in runs}
        _write(compare_maps(maps, variants), folder / BETWEEN_MAPS)
    return between, ""


def _words(question: Question, runs: Sequence[ExplainedRun]) -> str:
    layers = " and ".join(dict.fromkeys(run.layer for run in runs))
    return f"{question.method} of {layers}, for {question.words}"


def _write_curves(
    config: DictConfig,
    question: Question,
    runs: Sequence[ExplainedRun],
    words: str,
    folder: Path,
) -> pd.DataFrame:
    """Write what comes of taking faces away and putting them back."""
    shown = shown_runs(runs)
    given = {"faces": config.curve_faces, "seed": config.seed}
    curves, faithfulness = measure_curves(shown, question, **given)
    _write(curves, folder / CURVES)
    _write(faithfulness, folder / FAITHFULNESS)
    draw_curves(curves, [run.name for run in shown], folder / "curves", words=words)
    return faithfulness


def _draw(
    config: DictConfig,
    runs: Sequence[ExplainedRun],
    attention: pd.DataFrame,
    words: str,
    folder: Path,
) -> None:
    """Draw faces, means and differences."""
    said = OmegaConf.select(runs[0].run.config, "callbacks.fairness.valences")
    draw_faces(
        runs,
        attention,
        folder / "faces",
        words=words,
        per_label=config.per_label,
        seed=config.seed,
        valences=declared_valences(runs[0].faces.table.classes, said),
    )
    of_groups = mean_maps(runs)
    told = {"words": words, "min_group": config.min_group}
    draw_means(runs, of_groups, folder / "means", **told)
    if config.target != "predicted":  # there each model may be asked about another class
        draw_differences(runs, of_groups, folder / "differences", **told)


def _areas(attention: pd.DataFrame) -> pd.Series:
    """Return the share of the image that each region covers, on average."""
    found = {}
    for name in region_names(attention):
        share, density = attention[f"{SHARE}{name}"], attention[f"{DENSITY}{name}"]
        # The one by the other, where a map has anything there.
        found[name] = float((share / density.where(density > 0)).mean())
    return pd.Series(found)


def _record(
    question: Question, runs: Sequence[ExplainedRun], regions: Regions, why: str
) -> dict[str, Any]:
    """Return what was asked, what it was held against, and which file is whose."""
    faces = runs[0].faces
    return {
        "method": question.method,
        "target": question.target,
        "faces": len(faces),
        "split": faces.split,
        "provenance": faces.table.provenance,
        "regions": {
            "source": regions.source,
            "names": regions.names,
            "merged": dict(regions.merged),
            "eyes": question.eyes if regions.source == "template" else None,
        },
        "not_compared": why or None,
        "runs": [
            {
                "run": run.name,
                "folder": str(run.run.folder),
                "variant": run.variant,
                "seed": run.seed,
                "layer": run.layer,
                "cells": run.cells,
                "maps": f"{MAPS}/{run.maps.name}",
                "undefined": run.undefined,
            }
            for run in runs
        ],
    }


def print_attention(results: CamResults, folder: Path, console: Console | None = None) -> None:
    """Print the shares of regions of every run, what is behind them, and the files."""
    console = console or console_for_tables()
    say = partial(console.print, highlight=False, soft_wrap=True, markup=False)
    faces = results.runs[0].faces
    console.print(_shares_table(results))
    say(f"Regions are from {_SOURCES[results.regions.source]}. Groups: {faces.table.provenance}.")
    for run in results.runs:
        if run.undefined:
            whole = f"{run.undefined:,} of {len(faces):,} faces"
            say(f"{run.name}: {whole} have no map: nothing speaks for what is explained.")
    for line in _verdicts(results):
        say(line)
    say(f"\nIn {folder}:", style="bold")
    for name, meaning in _FILES.items():
        if (folder / name).exists():
            say(f"  {name:<19} {meaning}")


def _shares_table(results: CamResults) -> Table:
    whole = results.means[results.means["attribute"] == ALL].set_index(["run", "measure"])
    shown = shown_runs(results.runs)
    intervals = len(shown) <= _MOST_INTERVALS  # more do not fit beside each other
    said = "95 % intervals" if intervals else f"intervals in {MEANS}"
    faces = len(results.runs[0].faces)
    table = Table("region", title=f"share of the maps' mass, {faces:,} faces, {said}")
    table.add_column("an even map", justify="right")
    for run in shown:
        table.add_column(run.name, justify="right")
    outside = 1 - results.areas[[name for name in results.areas.index if _in_face(name)]].sum()
    named = {name: (f"{SHARE}{name}", area) for name, area in results.areas.items()}
    for name, (measure, area) in (named | {"not on the face": (OUTSIDE, outside)}).items():
        cells = (_cell(whole.loc[(run.name, measure)], intervals) for run in shown)
        table.add_row(str(name).replace("_", " "), f"{area:.3f}", *cells)
    return table


def _in_face(region: object) -> bool:
    return set(str(region).split("_and_")) <= set(FACE)


def _cell(row: pd.Series, intervals: bool) -> str:
    if row["n"] == 0:
        return "–"
    value = f"{row['value']:.3f}"
    return f"{value} [{row['low']:.3f}, {row['high']:.3f}]" if intervals else value


def _verdicts(results: CamResults) -> Iterator[str]:
    """Yield what can be said of differences between variants, and of the maps themselves."""
    if results.between is None:
        yield f"Variants are not compared: {results.why}."
    else:
        for (first, second), rows in results.between.groupby(["first", "second"], sort=False):
            different = rows[rows["verdict"] == DIFFERENT]
            if (rows["verdict"] == DESCRIPTIVE).any():
                said = f"descriptive only, with fewer than {MIN_SEEDS} seeds of each"
            elif different.empty:
                said = "no region differs by more than seeds do"
            else:
                listed = (f"{row.region} {row.difference:+.3f}" for row in different.itertuples())
                said = f"more than seeds differ by: {', '.join(listed)}"
            yield f"{first} against {second}: {said}."
    if results.faithfulness is not None:
        for row in results.faithfulness.itertuples():
            yield (
                f"{row.run}, {row.kind}: area {row.area:.3f}, of random maps "
                f"{row.random_area:.3f}; gain {row.gain:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
            )
