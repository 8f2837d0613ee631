"""The page of a run: one HTML file that needs nothing beside it."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from omegaconf import OmegaConf

from facebias.files import write_text
from facebias.report.by_class import read_by_class
from facebias.report.figures import confusion_matrix, group_forest, learning_curves
from facebias.report.page_parts import embed
from facebias.report.readings import read_readings
from facebias.report.results import RunResults, read_results
from facebias.report.summary import composition_lines, decimal, leak_lines, signed
from facebias.report.unlabelled import SHARE, SURE, read_answers

PAGE = "report.html"


def write_run_report(folder: Path) -> None:
    """Draw the pictures of a run folder and write its `report.html`.

    Args:
        folder: with the tables of a finished run.
    """
    results = read_results(folder)
    _draw(results)
    pictures = {
        name: embed(folder / f"{name}.png")
        for name in ("learning_curves", "fairness", "confusion", "answers", "cam/sheet", "leaks")
        if (folder / f"{name}.png").is_file()
    }
    page = render_page(
        "run.html.j2",
        results=results,
        split=results.headline_split,
        report=results.fairness.get(results.headline_split),
        left_out=results.left_out.to_dict(orient="records"),
        leaks=leak_lines(folder, results.headline_split),
        says=composition_lines(folder),
        by_class=read_by_class(folder, results.headline_split),
        answers=_answers(folder),
        readings=read_readings(folder, results.headline_split),
        pictures=pictures,
        config=OmegaConf.to_yaml(results.config),
        environment=json.dumps(results.environment, indent=2),
    )
    write_text(folder / PAGE, page)


def _answers(folder: Path) -> dict[str, Any] | None:
    """Return the table of answers to faces without labels; None where they have some."""
    table = read_answers(folder)
    if table is None:
        return None
    classes = [name.removeprefix(SHARE) for name in table if name.startswith(SHARE)]
    filled = table.astype(object).where(table.notna(), None)
    return {"classes": classes, "rows": filled.to_dict(orient="records"), "sure": SURE}


def _draw(results: RunResults) -> None:
    """Draw what the tables allow."""
    folder, split = results.folder, results.headline_split
    if "train/loss" in results.metrics:
        learning_curves(results.metrics, folder / "learning_curves.png")
    if split in results.fairness:
        report = results.fairness[split]
        group_forest(pd.DataFrame(report["groups"]), folder / "fairness.png")
        rows = results.predictions[results.predictions["split"] == split]
        confusion_matrix(rows, report["settings"]["classes"], folder / "confusion.png")


def render_page(template: str, **content: Any) -> str:  # noqa: ANN401
    """Fill a template of `facebias/report/templates/`; all text is escaped.

    Args:
        template: its file name.
        content: what it names; a name that is missing is an error.
    """
    environment = Environment(
        loader=PackageLoader("facebias.report"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {"decimal": decimal, "signed": signed}
    return environment.get_template(template).render(**content)
