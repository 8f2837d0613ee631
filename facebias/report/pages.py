"""The page of a run: one HTML file that needs nothing beside it."""

import base64
import json
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from omegaconf import OmegaConf

from facebias.files import write_text
from facebias.report.figures import confusion_matrix, group_forest, learning_curves
from facebias.report.results import RunResults, read_results
from facebias.report.summary import decimal

PAGE = "report.html"


def write_run_report(folder: Path) -> None:
    """Draw the pictures of a run folder and write its `report.html`.

    Args:
        folder: with the tables of a finished run.
    """
    results = read_results(folder)
    _draw(results)
    pictures = {
        name: _embed(folder / f"{name}.png")
        for name in ("learning_curves", "fairness", "confusion", "cam/sheet")
        if (folder / f"{name}.png").is_file()
    }
    environment = Environment(
        loader=PackageLoader("facebias.report"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["decimal"] = decimal
    page = environment.get_template("run.html.j2").render(
        results=results,
        split=results.headline_split,
        report=results.fairness.get(results.headline_split),
        left_out=results.left_out.to_dict(orient="records"),
        pictures=pictures,
        config=OmegaConf.to_yaml(results.config),
        environment=json.dumps(results.environment, indent=2),
    )
    write_text(folder / PAGE, page)


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


def _embed(picture: Path) -> str:
    """Return a PNG as a data URL."""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")
