"""The files of an audit: `audit.json`, a CSV file a table, pictures, and the page."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

import facebias
from facebias.data.audited import Note
from facebias.fairness.audit import Audit
from facebias.files import whole_file, write_text
from facebias.report.audit_page import sections
from facebias.report.audit_words import Statement, interval_name, note_words, statements
from facebias.report.page_parts import save_pictures
from facebias.report.pages import PAGE, render_page
from facebias.report.summary import console_for_tables

SCHEMA_VERSION = 1
"""Of `audit.json`; a higher one may have other keys."""

CONTENT, PICTURES = "audit.json", "pictures"

_FILES = {
    PAGE: "everything on one page",
    CONTENT: "every number, with settings, notes and summary",
    "measures.csv": "every metric of every group, with its interval",
    "gaps.csv": "the largest gap of each metric, and every pair of groups",
    "criteria.csv": "demographic parity, equalised odds and the like",
    "confusion.csv": "what was taken for what, in every group",
    "scores.csv": "AUROC, log loss, Brier score and calibration error of every group",
    "reliability.csv": "how often answers of a certainty are right",
    "paired.csv": "models beside each other on the same faces",
    "estimated.csv": "the true groups' values and gaps, where groups were estimated",
    "valence.csv": "how faces of one valence are read as another, in every group",
    "valence_differences.csv": "the same between models on the same faces",
    "amplification.csv": "bias amplification, or why it is undefined",
    "notes.csv": "what was read, and what could not be used",
    PICTURES: "the pictures, as PNG and SVG",
}
_INTERVAL = (
    "of a single share Wilson's; where persons have several faces, and of other "
    "metrics, the bootstrap's. It covers other faces of the same kind. That of the largest gap "
    "comes from simultaneous intervals of all pairs (max-t), as the pair was picked."
)
_MEANINGS = {
    "ratio": "the lower value divided by the higher one.",
    "same labels' mix": "the gap if every group had the same mix of labels.",
    "if equal": "the largest gap that groups of these sizes would show on average if all were "
    "equal: it is above 0, because it is a largest one.",
    "detectable": "the smallest true gap that these faces would have shown in four of five cases.",
    "p": "permutation test of all groups being equal in the metric.",
    "p Holm, p BH": "the same, allowing for all largest gaps that are tested of the model: Holm's "
    "keeps the chance of any false finding, Benjamini and Hochberg's the share of false findings.",
    "other composition": "share of the faces that would need another label or group to have the "
    "training's shares.",
    "compared": "groups with enough faces; the others are shown and left out of gaps.",
}


def write_audit(audit: Audit, notes: Sequence[Note], config: DictConfig, folder: Path) -> None:
    """Write all files of an audit.

    Args:
        audit: what was found.
        notes: of the data.
        config: the checked configuration.
        folder: to write to.

    Raises:
        RunError: if a file cannot be written.
    """
    said = statements(audit)
    for name, table in {**audit.tables, "notes": pd.DataFrame(map(asdict, notes))}.items():
        with whole_file(folder / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    content = {"label": config.label, "provenance": config.provenance}
    content |= audit_content(audit, notes, said)
    # Not indented: of thousands of rows that is half of the file.
    whole = json.dumps(_short(content), allow_nan=False, separators=(",", ":"))
    write_text(folder / CONTENT, f"{whole}\n")
    parts = list(sections(audit))
    page = render_page(
        "audit.html.j2",
        label=config.label,
        settings=audit.settings,
        provenance=config.provenance,
        version=facebias.__version__,
        said=said,
        notes=[note_words(note) for note in notes],
        sections=parts,
        pictures=save_pictures(parts, folder / PICTURES),
        meanings={interval_name(audit): _INTERVAL} | _MEANINGS,
        files={name: meaning for name, meaning in _FILES.items() if (folder / name).exists()},
        config=OmegaConf.to_yaml(config),
    )
    write_text(folder / PAGE, page)


def audit_content(audit: Audit, notes: Sequence[Note], said: Sequence[Statement]) -> dict[str, Any]:
    """Return what `audit.json` says; what is undefined is None there.

    Args:
        audit: what was found.
        notes: of the data.
        said: the summary.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "facebias": facebias.__version__,
        "settings": audit.settings,
        "notes": [asdict(note) for note in notes],
        "summary": [asdict(statement) for statement in said],
        "tables": {name: _records(table) for name, table in audit.tables.items()},
    }


def _records(table: pd.DataFrame) -> list[dict[Any, Any]]:
    """Return the rows of a table, without headlines: those say a row's own numbers in words."""
    numbers = table.drop(columns="headline", errors="ignore").astype(object)
    rows: list[dict[Any, Any]] = numbers.where(numbers.notna(), None).to_dict(orient="records")
    return rows


def _short(content: Any) -> Any:  # noqa: ANN401
    """Return content for JSON with numbers of 6 digits; what is undefined or infinite is None."""
    if isinstance(content, float):
        return float(f"{content:.6g}") if math.isfinite(content) else None
    if isinstance(content, dict):
        return {str(key): _short(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_short(value) for value in content]
    return content


def print_audit(audit: Audit, folder: Path, console: Console | None = None) -> None:
    """Print the summary of an audit, and where the rest is.

    Args:
        audit: what was found.
        folder: of the audit.
        console: to print on.
    """
    console = console or console_for_tables()
    for statement in statements(audit):
        line = f"{statement.verdict}: {statement.text}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(f"\nIn {folder}:", style="bold", highlight=False, markup=False, soft_wrap=True)
    for name, meaning in _FILES.items():
        if (folder / name).exists():
            console.print(f"  {name:<22} {meaning}", highlight=False)
