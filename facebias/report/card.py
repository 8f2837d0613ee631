"""The card of a data set: one page, the same in JSON, and its pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from facebias.data.image_headers import read_headers
from facebias.data.leaks import inflated_groups, no_pairs
from facebias.data.prepare import PreparedFaces, hindrances
from facebias.data.split import seeded_order
from facebias.data.table import CREDIT, FaceTable
from facebias.files import write_json, write_text
from facebias.report import card_figures
from facebias.report.card_measures import (
    ASSOCIATION,
    REPRESENTATION,
    count_classes,
    headline,
    measure_attributes,
)
from facebias.report.card_pixels import PixelSummary, summarise_pixels
from facebias.report.page_parts import embed
from facebias.report.pages import render_page
from facebias.report.results import count_reasons
from facebias.report.summary import console_for_tables, decimal, leak_lines

PAGE, CONTENT = "card.html", "card.json"
MOST_HEADERS = 2_000
"""Images whose size is read."""
MOST_PIXELS = 20_000
"""Faces whose pixels are read."""

_LISTED = 50  # bad images, credits
_MOST_GRIDS = 16  # classes with a grid of samples
_LABEL = "class"  # the set of mean faces that classes make

Normalised = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class CardSettings:
    """What a card has to know beside the faces.

    Attributes:
        title: name of the data set.
        labelled: whether somebody has labelled the faces.
        normalise: channel, pixel or image.
        seed: the data seed, for the choice of samples.
        reading: the configuration that reads the faces, as YAML.
        command: that trains on them, where the reading is a guess.
        guessed: what was found and how it was taken, where the reading is a guess.
    """

    title: str
    labelled: bool
    normalise: str
    seed: int
    reading: str
    command: str = ""
    guessed: tuple[str, ...] = ()


def write_card(
    faces: PreparedFaces, normalised: Normalised, settings: CardSettings, folder: Path
) -> dict[str, Any]:
    """Write `card.html`, `card.json` and their pictures.

    Args:
        faces: read, stored, gated and split.
        normalised: uint8 (B, H, W, C) -> what a network sees of it.
        settings: what is said beside the faces.
        folder: of the card.

    Returns:
        The content of `card.json`.
    """
    headers = _sample_headers(faces, settings.seed)
    pixels = _summarise(faces, normalised, settings.seed)
    content = card_content(faces, headers, pixels, settings)
    write_json(folder / CONTENT, content)
    pictures = _draw(faces, headers, pixels, content, settings, folder)
    page = render_page(
        "card.html.j2",
        card=content,
        settings=settings,
        pictures=pictures,
        representation=REPRESENTATION,
        association=ASSOCIATION,
        headline=headline,
        number=number,
    )
    write_text(folder / PAGE, page)
    return content


def card_content(
    faces: PreparedFaces, headers: pd.DataFrame, pixels: PixelSummary, settings: CardSettings
) -> dict[str, Any]:
    """Return what `card.json` says.

    Args:
        faces: read, stored, gated and split.
        headers: of a sample of the images.
        pixels: of the used faces.
        settings: what is said beside the faces.
    """
    table = faces.table
    attributes, joint = measure_attributes(table)
    statistics = faces.statistics
    return {
        "name": settings.title,
        "root": str(table.root),
        "faces": {"read": len(table.rows), "used": len(table.used())},
        "labelled": settings.labelled,
        "hindrances": [str(error) for error in hindrances(table)],
        "classes": count_classes(table),
        "attributes": attributes,
        "joint": joint,
        "left_out": _left_out(table),
        "bad_images": _bad_images(table),
        "leaks": _count_leaks(faces),
        "sizes": _sizes(headers),
        "credits": _credits(table),
        "pixels": {
            "faces": pixels.n,
            "train_mean": (255 * statistics.mean.mean((1, 2))).tolist(),
            "train_deviation": (255 * statistics.deviation.mean((1, 2))).tolist(),
            "normalise": settings.normalise,
        },
        "stored": _stored(faces),
        "guessed": list(settings.guessed),
        "command": settings.command,
        "reading": settings.reading,
    }


def _stored(faces: PreparedFaces) -> dict[str, int]:
    _, height, width, channels = faces.store.faces.shape
    return {"height": height, "width": width, "channels": channels}


def _left_out(table: FaceTable) -> list[dict[str, Any]]:
    counted = count_reasons(table.rows[table.rows["left_out"] != ""])
    return [
        {"split": row["split"], "n": row["n"], "why": row["left_out"]}
        for row in counted.to_dict(orient="records")
    ]


def _bad_images(table: FaceTable) -> dict[str, Any]:
    bad = table.rows[table.rows["left_out"].str.startswith("bad image: ")]
    first = bad[["source", "left_out"]].head(_LISTED).to_dict(orient="records")
    listed = [
        {"source": row["source"], "why": row["left_out"].removeprefix("bad image: ")}
        for row in first
    ]
    return {"n": len(bad), "first": listed}


def _credits(table: FaceTable) -> list[dict[str, Any]]:
    """Return whom to name, most faces first."""
    if CREDIT not in table.rows:
        return []
    counted = table.used()[CREDIT].fillna("not stated").value_counts().head(_LISTED)
    return [{"credit": str(credit), "n": int(n)} for credit, n in counted.items()]


def _sizes(headers: pd.DataFrame) -> dict[str, Any]:
    """Return how large the images are before they are resized."""
    if headers.empty:
        return {"n": 0}
    area = headers["width"] * headers["height"]
    sides = headers[["width", "height"]]
    kinds = headers.groupby(["width", "height"]).size().sort_values(ascending=False)
    width, height = kinds.index[0]
    return {
        "n": len(headers),
        "kinds": len(kinds),
        "smallest": sides.loc[area.idxmin()].tolist(),
        "largest": sides.loc[area.idxmax()].tolist(),
        "median": [int(side) for side in sides.median()],
        "most_frequent": {"size": [int(width), int(height)], "n": int(kinds.iloc[0])},
        "gray": int((headers["channels"] == 1).sum()),
    }


def _sample(rows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """Return up to so many rows, drawn by their ids, in the order of the store."""
    order = seeded_order(rows["id"], seed)
    return rows.iloc[np.sort(np.argsort(order, kind="stable")[:most])]


def _sample_headers(faces: PreparedFaces, seed: int) -> pd.DataFrame:
    drawn = _sample(faces.table.used(), MOST_HEADERS, seed)
    return read_headers([faces.table.root / source for source in drawn["source"]])


def _summarise(faces: PreparedFaces, normalised: Normalised, seed: int) -> PixelSummary:
    rows = _sample(faces.table.used(), MOST_PIXELS, seed)
    members = {
        (name, group): (rows[column] == group).to_numpy(bool)
        for name, column, groups in _sets(faces.table)
        for group in groups
    }
    return summarise_pixels(faces.store.read, rows["row"].to_numpy(np.int64), normalised, members)


def _sets(table: FaceTable) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (printed name, column, values) of the classes and of each attribute."""
    return [
        (_LABEL, "label", table.classes),
        *((name, name, groups) for name, groups in table.attributes.items()),
    ]


def _draw(
    faces: PreparedFaces,
    headers: pd.DataFrame,
    pixels: PixelSummary,
    content: dict[str, Any],
    settings: CardSettings,
    folder: Path,
) -> dict[str, Any]:
    """Draw the pictures into the folder; return them as the page embeds them."""
    card_figures.class_bars(content["classes"], folder / "classes.png")
    card_figures.pixel_histograms(pixels, settings.normalise, folder / "pixels.png")
    drawn = ["classes", "pixels"]
    if content["sizes"].get("kinds", 0) > 1:
        card_figures.size_scatter(headers, folder / "sizes.png")
        drawn.append("sizes")
    counts = _counts(faces.table)
    card_figures.write_means(pixels.means, counts, folder / "means.png")
    grids = _grids(faces, settings.seed)
    for number, grid in enumerate(grids.values()):
        card_figures.write_picture(grid, folder / f"samples_{number:02d}.png")
    embedded = {name: embed(folder / f"{name}.png") for name in drawn}
    samples = {name: card_figures.jpeg_url(grid) for name, grid in grids.items()}
    return {**embedded, "samples": samples, "means": _mean_tiles(pixels, counts)}


def _mean_tiles(
    pixels: PixelSummary, counts: dict[tuple[str, str], int]
) -> dict[str, list[dict[str, Any]]]:
    """Return for the classes and each attribute the mean faces as the page embeds them."""
    tiles: dict[str, list[dict[str, Any]]] = {}
    for (name, group), face in pixels.means.items():
        picture = card_figures.jpeg_url(card_figures.face_tile(face))
        tiles.setdefault(name, []).append(
            {"group": group, "n": counts[name, group], "picture": picture}
        )
    return tiles


def _counts(table: FaceTable) -> dict[tuple[str, str], int]:
    rows = table.used()
    return {
        (name, group): int((rows[column] == group).sum())
        for name, column, groups in _sets(table)
        for group in groups
    }


def _grids(faces: PreparedFaces, seed: int) -> dict[str, Image.Image]:
    """Return a grid of samples of each of the first classes that have faces."""
    grids = {}
    for label, rows in faces.table.used().groupby("label", sort=False):
        drawn = _sample(rows, card_figures.GRID**2, seed)["row"].to_numpy(np.int64)
        grids[str(label)] = card_figures.sample_grid(list(faces.store.read(drawn)))
    ordered = [name for name in faces.table.classes if name in grids]
    return {name: grids[name] for name in ordered[:_MOST_GRIDS]}


def _count_leaks(faces: PreparedFaces) -> dict[str, Any]:
    """Count the pairs of the leak gate by kind and official splits, and the test faces copied."""
    pairs = no_pairs(faces.table.attributes) if faces.leaks is None else faces.leaks
    columns = ["kind", "first_split", "second_split"]
    named = pairs[columns].astype(object).fillna("none")
    counted = named.groupby(columns).size().reset_index(name="n")
    inflated = inflated_groups(pairs, faces.table.rows, "test")
    return {
        "pairs": len(pairs),
        "by_kind": counted.to_dict(orient="records"),
        "inflated": inflated[inflated["copied"] > 0].to_dict(orient="records"),
    }


_FILES = {
    PAGE: "everything below on one page",
    CONTENT: "every number",
    "classes.png": "faces of each class by split",
    "samples_00.png": "faces of each class (one file a class)",
    "means.png": "the mean face of each class and group",
    "pixels.png": "levels before and after normalisation",
    "sizes.png": "width and height before resizing",
    "leaks.csv": "pairs of copies (leaks.png: beside each other)",
    "split.parquet": "every face: its split, and why it is left out",
    "conf": "how to read these faces, as a data option",
}


def print_card(content: dict[str, Any], folder: Path, console: Console | None = None) -> None:
    """Print the measures of a card, and where the rest is.

    Args:
        content: of `card.json`.
        folder: of the card.
        console: to print on.
    """
    console = console or console_for_tables()
    faces = content["faces"]
    for line in content["guessed"]:
        console.print(f"guessed: {line}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"{faces['used']:,} of {faces['read']:,} faces are used", highlight=False)
    if content["attributes"]:
        console.print(_measures(content))
    for line in leak_lines(folder, "test"):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for row in content["left_out"]:
        line = f"left out, {row['split']}: {row['n']} ({row['why']})"
        console.print(line, highlight=False, markup=False)
    for hindrance in content["hindrances"]:
        console.print(f"no training yet: {hindrance}", highlight=False, markup=False)
    console.print(f"\nIn {folder}:", style="bold", highlight=False, markup=False, soft_wrap=True)
    for name, meaning in _FILES.items():
        if (folder / name).exists():
            console.print(f"  {name:<22} {meaning}", highlight=False)
    if content["command"] and not content["hindrances"]:
        console.print(f"\nTo train on them:\n  {content['command']}", markup=False, soft_wrap=True)


def _measures(content: dict[str, Any]) -> Table:
    """Return the table to print: attributes and pairs down, measures across."""
    table = Table(title="bias of the used faces; declared groups")
    table.add_column("attribute", overflow="fold")
    for name in ("n", "groups", "ENS", "SEI", "IR", "DS_R", "V", "U(label)", "DS_S"):
        table.add_column(name, justify="right", no_wrap=True)
    for axis in (*content["attributes"], *content["joint"]):
        by_group = {key: value["declared"] for key, value in axis["representation"].items()}
        tied = axis["association"]
        table.add_row(
            escape(" × ".join(axis["attributes"])),
            f"{axis['n']:,}",
            f"{len(axis['groups']) - len(axis['absent'])}/{len(axis['groups'])}",
            number(by_group["effective_number"]),
            number(by_group["shannon_evenness"]),
            number(by_group["imbalance_ratio"]),
            number(by_group["representational_similarity"]),
            number(tied["cramers_v"]),
            number(tied["theils_u_label"]),
            number(tied["stereotypical_similarity"]),
        )
    return table


def number(value: float) -> str:
    """Format a measure; what is undefined is a dash.

    >>> number(0.12345), number(float("nan")), number(float("inf"))
    ('0.123', '–', '∞')
    """
    return "∞" if np.isposinf(value) else decimal(None if np.isnan(value) else value)
