"""What `python -m facebias.cam` writes and prints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from facebias.cam.attention import OUTSIDE
from facebias.fairness.valence import declared_valences
from facebias.files import whole_file, write_json
from facebias.report.attention import (
    ALL,
    SHARE,
    attention_means,
    even_shares,
    region_words,
)
from facebias.report.attention_compared import (
    BETWEEN,
    BETWEEN_MAPS,
    STABILITY,
    compared,
    verdicts,
)
from facebias.report.cam_curves import measure_curves
from facebias.report.cam_figures import draw_curves, draw_randomised, draw_regions
from facebias.report.cam_maps import (
    ATTENTION,
    MAPS,
    SOURCES,
    ExplainedRun,
    Question,
    Regions,
    explain_runs,
    question_words,
    read_attention,
    read_question,
)
from facebias.report.cam_pictures import (
    draw_differences,
    draw_faces,
    draw_means,
    joined_means,
    mean_maps,
    shown_runs,
    variant_runs,
)
from facebias.report.cam_sanity import measure_sanity
from facebias.report.paired import find_variants
from facebias.report.summary import console_for_tables
from facebias.runs.explained import ExplainedFaces
from facebias.runs.trained import TrainedRun

RECORD, MEANS = "cam.json", "attention.csv"
CURVES, FAITHFULNESS = "curves.csv", "faithfulness.csv"
RANDOMISED, NOISE = "randomised.csv", "noise.csv"
_FILES = {
    "faces.png": "the same faces under each model (faces.svg: the same)",
    "means.png": "the mean map of each group and model",
    "differences.png": "where models look differently",
    "regions.png": "the share of each region, by group and model",
    "curves.png": "whether the maps say what the models go by",
    "randomised.png": "what is left of the maps as weights become random",
    MEANS: "every measure by group and model, with intervals",
    f"{BETWEEN}.csv": "shares of regions: variants against what seeds differ by",
    f"{BETWEEN_MAPS}.csv": "whole maps: variants against what seeds differ by",
    f"{STABILITY}.csv": "how alike the maps of the runs of one variant are",
    FAITHFULNESS: "deletion and insertion against random maps",
    RANDOMISED: "maps of networks with random weights against those of the trained ones",
    NOISE: "infidelity and sensitivity: the maps, and noise on the image",
    ATTENTION: "a row a model and face",
    MAPS: "every map, float16, in the order of the rows",
    RECORD: "what was asked, and which regions",
}
_MOST_INTERVALS = 2  # columns of the table on the console with intervals


@dataclass(frozen=True, eq=False)
class CamResults:
    """What was found.

    Attributes:
        runs: explained.
        regions: that maps were held against.
        means: of every measure by run and group.
        areas: what an even map has in each region.
        between: of the shares of regions between variants; None where nothing is compared.
        why: why nothing is compared.
        faithfulness: of deletion and insertion; None where they were not asked for.
        randomised: of networks with random weights; None where they were not asked for.
    """

    runs: list[ExplainedRun]
    regions: Regions
    means: pd.DataFrame
    areas: pd.Series
    between: pd.DataFrame | None
    why: str
    faithfulness: pd.DataFrame | None
    randomised: pd.DataFrame | None


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
    variants = {run.name: each.name for each in find_variants(runs) for run in each.runs}
    found, regions = explain_runs(runs, faces, question, folder, variants)
    attention = read_attention(folder)
    means = attention_means(attention, faces[0].table.attributes, min_group=config.min_group)
    _write(means.assign(regions=regions.source), folder / MEANS)
    tables, why = compared(found, attention, question)
    for name, table in tables.items():
        _write(table, folder / f"{name}.csv")
    words = question_words(question, found)
    faithfulness = randomised = None
    if config.curve_faces:
        faithfulness = _write_curves(config, question, found, words, folder)
    if config.sanity_faces:
        randomised = _write_sanity(config, question, found, words, folder)
    _draw(config, found, attention, words, folder)
    areas = even_shares(attention)
    of_regions = f"{words}; regions from {SOURCES[regions.source]}; 95 % intervals over persons"
    draw_regions(
        means.assign(model=means["run"]),
        areas,
        [run.name for run in shown_runs(found)],
        folder / "regions",
        words=of_regions,
    )
    write_json(folder / RECORD, _record(question, found, regions, why))
    between = tables.get(BETWEEN)
    return CamResults(found, regions, means, areas, between, why, faithfulness, randomised)


def _write(table: pd.DataFrame, path: Path) -> None:
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False)


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


def _write_sanity(
    config: DictConfig,
    question: Question,
    runs: Sequence[ExplainedRun],
    words: str,
    folder: Path,
) -> pd.DataFrame:
    """Write what becomes of maps as weights become random, and images noisy."""
    shown = shown_runs(runs)
    given = {"faces": config.sanity_faces, "seed": config.seed}
    randomised, noise = measure_sanity(shown, question, **given)
    _write(randomised, folder / RANDOMISED)
    _write(noise, folder / NOISE)
    draw_randomised(randomised, [run.name for run in shown], folder / "randomised", words=words)
    return randomised


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
        {run.name: run for run in shown_runs(runs)},
        attention,
        folder / "faces",
        words=words,
        per_label=config.per_label,
        seed=config.seed,
        valences=declared_valences(runs[0].faces.table.classes, said),
    )
    of_runs = mean_maps(runs)
    told = {"words": words, "min_group": config.min_group}
    shown = {run.name: [run.name] for run in shown_runs(runs)}
    draw_means(joined_means(of_runs, shown), folder / "means", **told)
    if config.target != "predicted":  # there each model may be asked about another class
        variants = variant_runs(runs)
        of_variants = joined_means(of_runs, variants) if len(variants) > 1 else of_runs
        draw_differences(of_variants, folder / "differences", **told)


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
    say(f"Regions are from {SOURCES[results.regions.source]}. Groups: {faces.table.provenance}.")
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
    for name, area in results.areas.items():
        measure = name if name == OUTSIDE else f"{SHARE}{name}"
        cells = (_cell(whole.loc[(run.name, measure)], intervals) for run in shown)
        table.add_row(region_words(str(name)), f"{area:.3f}", *cells)
    return table


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
        yield from verdicts(results.between)
    if results.faithfulness is not None:
        for row in results.faithfulness[results.faithfulness["gain"].notna()].itertuples():
            yield (
                f"{row.run}, {row.kind}: area {row.area:.3f}, of random maps "
                f"{row.random_area:.3f}; gain {row.gain:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
            )
    if results.randomised is not None:
        last = results.randomised.groupby("run", sort=False).tail(1)
        for row in last[last["correlation"].notna()].itertuples():
            yield (
                f"{row.run}, all weights random: the maps correlate with those of the trained "
                f"network by {row.correlation:.2f} [{row.low:.2f}, {row.high:.2f}]"
            )
