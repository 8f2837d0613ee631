"""The files of a comparison: the page, its tables and its pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

import facebias
from facebias.files import write_text
from facebias.report.audit_words import Statement
from facebias.report.compare_attention import attention_section
from facebias.report.compare_measures import Comparison, compare_runs
from facebias.report.compare_page import sections
from facebias.report.compare_tables import duration
from facebias.report.compare_words import statements
from facebias.report.page_parts import save_pictures
from facebias.report.pages import PAGE, render_page
from facebias.report.summary import console_for_tables
from facebias.report.tables import write_table
from facebias.runs.trained import TrainedRun

TABLES, PICTURES = "tables", "pictures"

_MOST_NAMED = 4  # variants in the title
_MOST_PRINTED = 14  # sentences

_TABLES = {
    "summary": "what is said in plain words",
    "variants": "what each variant was trained with",
    "runs": "every run: folder, commit, device, CPU time",
    "settings": "every setting in which variants differ",
    "cells": "train faces by label and group, before the bias and after it",
    "left_out": "why faces are not used",
    "twins": "do variants differ in the chosen train faces alone?",
    "leaks": "pairs of faces that are copies, or contradict each other",
    "comparison": "every run's accuracy by group, raw and prior-corrected",
    "groups": "every metric of every group and variant, with its interval",
    "gaps": "gaps between groups of each variant",
    "paired_differences": "each two variants on the same faces, with corrected tests",
    "valence": "how faces of one valence are read by each variant",
    "valence_differences": "shifts between variants in how faces are read",
    "dose_response": "how readings change with the dose of a bias",
    "calibration": "AUROC, Brier score, log loss and calibration error by variant",
    "reliability": "how often answers of a certainty are right",
    "learning_curves": "mean, least and most over seeds, by epoch",
    "attention": "the share of the maps in each region, by group and variant",
    "attention_between": "whether variants look elsewhere by more than seeds do",
    "attention_between_maps": "how alike maps are between variants and between seeds",
    "attention_stability": "how alike the maps of seeds are",
}
_MEANINGS = {
    "95 % interval": "with two seeds or more of a variant: other seeds and other faces of the same "
    "kind (persons, where one has several faces); with one seed, other faces alone. The tables "
    "say which in their column “resampled”.",
    "difference, shift": "first minus second, in points of a share; what is in brackets is its "
    "interval, for itself.",
    "p": "of one comparison for itself: 1 - the confidence at which the interval over seeds and "
    "faces touches 0; of two single networks McNemar's exact test or that of the interval over "
    "persons.",
    "p Holm": "the same, allowing for all comparisons of its family (Holm 1979).",
    "largest gap": "between the two groups that are farthest apart; its interval allows for all "
    "pairs having been looked at.",
    "without the training's shares": "each model's own shares of the classes in its training are "
    "divided out of its answers, as if all classes had been as many.",
    "macro recall": "the mean of the classes' recalls.",
    "groups compared": "groups with enough faces; the others are shown and left out of gaps.",
    "twins": "variants with the same source, total, validation, test, normalisation, steps, "
    "data.seed, checkpoint rule and settings otherwise: they differ in the chosen train faces.",
    "CPU time": "of all processes of a run, as the operating system counts it.",
}


def write_comparison(
    runs: Sequence[TrainedRun], config: DictConfig, folder: Path
) -> list[Statement]:
    """Write the page of a comparison, its tables and its pictures.

    Args:
        runs: with the same faces, as `facebias.runs.trained.load_runs` returns them.
        config: a checked `facebias.schemas.Compare`.
        folder: to write to.

    Returns:
        What the page says in plain words.

    Raises:
        FacebiasError: for faces, layers or folders that do not fit.
    """
    comparison = compare_runs(runs)
    attention, maps = attention_section(runs, comparison.variants, folder, config)
    said = statements(comparison, maps)
    tables = {"summary": pd.DataFrame([vars(each) for each in said]), **comparison.tables, **maps}
    for name, table in tables.items():
        write_table(table, folder / TABLES / name)
    parts = list(sections(comparison, attention))
    page = render_page(
        "compare.html.j2",
        title=_title(comparison, config),
        counted=_count(comparison),
        classes=runs[0].classes,
        provenance=runs[0].results.provenance,
        version=facebias.__version__,
        said=said,
        sections=parts,
        pictures=save_pictures(parts, folder / PICTURES),
        cost=_cost(comparison),
        meanings=_MEANINGS,
        environment=_environment(comparison),
        files=_files(tables),
        config=OmegaConf.to_yaml(config),
        first_config=OmegaConf.to_yaml(runs[0].config),
    )
    write_text(folder / PAGE, page)
    return said


def _title(comparison: Comparison, config: DictConfig) -> str:
    """Name what is compared: the sweep, or its first variants."""
    if config.sweep is not None:
        return f"sweep {Path(config.sweep).name}"
    names = [each.name for each in comparison.variants]
    return " | ".join(names[:_MOST_NAMED]) + (" and others" if len(names) > _MOST_NAMED else "")


def _count(comparison: Comparison) -> str:
    """Say how many variants and runs there are."""
    variants, runs = len(comparison.variants), len(comparison.runs)
    return f"{variants} {'variant' if variants == 1 else 'variants'}, {runs} runs"


def _cost(comparison: Comparison) -> str:
    """Say what was spent, and on what."""
    runs = comparison.tables["runs"]
    known = runs["cpu_seconds"].dropna()
    devices = ", ".join(dict.fromkeys(runs["device"].dropna())) or "a device that is not recorded"
    commits = [str(each) for each in dict.fromkeys(runs["commit"].dropna())]
    code = f"commit {', '.join(each[:12] for each in commits)}" if commits else "no commit recorded"
    spent = f"{duration(known.sum())} of CPU time in {len(known)} of {len(runs)} runs"
    if known.empty:
        spent = "their CPU time was not recorded"
    return (
        f"The {len(runs)} runs were trained on {devices}; {spent}. facebias "
        f"{', '.join(dict.fromkeys(runs['facebias'].dropna().astype(str)))}, {code}."
    )


def _environment(comparison: Comparison) -> str:
    """Return what the first run ran with, and the seeds of all."""
    first = comparison.runs[0].results.environment
    seeds = {each.name: [int(run.config.seed) for run in each.runs] for each in comparison.variants}
    return json.dumps({**first, "seeds": seeds}, indent=2, ensure_ascii=False)


def _files(tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    """Return the files beside the page and what they hold."""
    named = {f"{TABLES}/{name}": _TABLES[name] for name in _TABLES if name in tables}
    return {
        **{f"{name} (.csv, .json, .tex)": meaning for name, meaning in named.items()},
        PICTURES: "the pictures, as PNG and SVG",
        "attention": "the map of each face and run, and its share in each region",
    }


def print_comparison(
    said: Sequence[Statement], folder: Path, console: Console | None = None
) -> None:
    """Print what a comparison says first, and where its page is.

    Args:
        said: as `write_comparison` returns it.
        folder: of the comparison.
        console: to print on.
    """
    console = console or console_for_tables()
    for statement in said[:_MOST_PRINTED]:
        line = f"{statement.verdict}: {statement.text}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if len(said) > _MOST_PRINTED:
        console.print(f"{len(said) - _MOST_PRINTED} more such sentences are on the page.")
    page = (folder / PAGE).resolve().as_uri()
    line = f"\nOpen in a browser: {page}"
    console.print(line, style="bold", highlight=False, markup=False, soft_wrap=True)
