"""Generated faces on one page: over expressions and groups, or beside their twins."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from facebias.errors import DataError
from facebias.faces.arrays import UInt8
from facebias.faces.factors import EXPRESSIONS
from facebias.faces.population import GROUPS
from facebias.files import whole_file

Picture = Callable[[str], UInt8]
"""Gives the image (H, W, 3) of a face by its id."""

SIDE = 128
"""Pixels along a face on the page."""

_GAP, _MARGIN, _CAPTION, _LABEL, _HEAD = 8, 24, 18, 110, 64
_INK, _PALE, _PAPER = "#1b1f24", "#5b636d", "#ffffff"
_SPREAD_OVER = ("skin_tone", "age", "gender")

_Cell = tuple[UInt8, str]  # an image and its caption
_Row = tuple[str, Sequence[_Cell]]  # a label, and the cells beside it


def contact_sheet(
    faces: pd.DataFrame, picture: Picture, path: Path, *, columns: int = 9, title: str = ""
) -> Path:
    """Draw one PNG: a row for each expression, faces spread over skin tone, age and gender.

    Args:
        faces: as `facebias.faces.population.draw_faces` returns them; twins are left out.
        picture: gives the image of a face.
        path: the file to write; it appears whole or not at all.
        columns: faces in a row, at least 1; 18 show every combination of the three.
        title: the head line; the number of faces without it.

    Returns:
        The path.

    Raises:
        DataError: no faces, or fewer than one column.
        RunError: if the file cannot be written.
    """
    if faces.empty or columns < 1:
        raise DataError(f"{len(faces)} faces in {columns} columns", "at least one of each")
    originals = _originals(faces)
    rows = [
        (name, [_cell(face, picture) for face in _spread(of_name, columns)])
        for name in EXPRESSIONS
        if not (of_name := originals[originals["expression"] == name]).empty
    ]
    return _write(_page(title or f"{len(faces):,} generated faces", "", rows, columns), path)


def counterfactual_row(
    faces: pd.DataFrame, picture: Picture, path: Path, *, rows: int = 8, title: str = ""
) -> Path:
    """Draw one PNG: a row for each original face, beside it its twins, a column a value.

    A face that already has a value stands for its own twin there.

    Args:
        faces: originals and twins, as `counterfactuals.with_counterfactuals` gives them.
        picture: gives the image of a face.
        path: the file to write; it appears whole or not at all.
        rows: the most originals.
        title: the head line; "Counterfactual twins" without it.

    Returns:
        The path.

    Raises:
        DataError: if there are no twins whose original is there.
        RunError: if the file cannot be written.
    """
    twins = _twins(faces)
    if twins.empty or rows < 1:
        raise DataError(f"{len(twins)} twins in {rows} rows", "at least one of each")
    values = list(dict.fromkeys(_value(face) for _, face in twins.iterrows()))
    shown = _spread(_originals(faces)[lambda table: table["id"].isin(twins["pair"])], rows)
    drawn = [(str(face["expression"]), _pair_cells(face, values, twins, picture)) for face in shown]
    note = f"{len(twins):,} twins of {twins['pair'].nunique():,} faces"
    return _write(_page(title or "Counterfactual twins", note, drawn, len(values) + 1), path)


def _originals(faces: pd.DataFrame) -> pd.DataFrame:
    return faces if "pair" not in faces else faces[faces["pair"] == faces["id"]]


def _twins(faces: pd.DataFrame) -> pd.DataFrame:
    """Return the twins whose original is in the table."""
    if "pair" not in faces:
        return faces.iloc[:0].assign(pair="")
    return faces[(faces["pair"] != faces["id"]) & faces["pair"].isin(faces["id"])]


def _value(twin: pd.Series) -> str:
    """Return what was changed in a twin, such as "skin_ita=47"."""
    return f"{twin['pair_factor']}={twin['pair_value']}"


def _pair_cells(
    face: pd.Series, values: Sequence[str], twins: pd.DataFrame, picture: Picture
) -> list[_Cell]:
    own = {
        _value(twin): str(twin["id"]) for _, twin in twins[twins["pair"] == face["id"]].iterrows()
    }
    names = [own.get(value, str(face["id"])) for value in values]
    beside = ((picture(name), value) for name, value in zip(names, values, strict=True))
    return [_cell(face, picture), *beside]


def _cell(face: pd.Series, picture: Picture) -> _Cell:
    caption = " ".join(str(face[attribute]) for attribute in ("skin_tone", "gender", "age"))
    return picture(str(face["id"])), caption


def _spread(faces: pd.DataFrame, many: int) -> list[pd.Series]:
    """Choose faces that differ in skin tone, age and gender, and in person where that goes."""
    left = faces.reset_index(drop=True)
    chosen: list[pd.Series] = []
    for place in range(min(many, len(left))):
        fit = sum((left[name] == group).astype(float) for name, group in _wanted(place).items())
        shown = left["identity"].isin([face["identity"] for face in chosen])
        best = int((fit - 0.5 * shown).to_numpy().argmax())
        chosen.append(left.iloc[best])
        left = left.drop(index=best).reset_index(drop=True)
    return chosen


def _wanted(place: int) -> dict[str, str]:
    """Return the groups of a place; 9 in a row hold every skin tone of every age, 18 all."""
    tone, age = place % 3, place // 3 % 3
    numbers = (tone, age, place % 2)
    return {name: GROUPS[name][i] for name, i in zip(_SPREAD_OVER, numbers, strict=True)}


def _page(title: str, note: str, rows: Sequence[_Row], columns: int) -> Image.Image:
    width = 2 * _MARGIN + _LABEL + columns * (SIDE + _GAP)
    height = _HEAD + len(rows) * (SIDE + _CAPTION + _GAP) + _MARGIN
    page = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((_MARGIN, 18), title, _INK, _font(22))
    pen.text((width - _MARGIN, 26), note, _PALE, _font(14), anchor="ra")
    for number, row in enumerate(rows):
        _draw_row(page, pen, row, _HEAD + number * (SIDE + _CAPTION + _GAP))
    return page


def _draw_row(page: Image.Image, pen: ImageDraw.ImageDraw, row: _Row, top: int) -> None:
    label, cells = row
    pen.text((_MARGIN, top + SIDE // 2), label, _INK, _font(17), anchor="lm")
    for number, (image, caption) in enumerate(cells):
        left = _MARGIN + _LABEL + number * (SIDE + _GAP)
        page.paste(_scaled(image), (left, top))
        pen.text((left + SIDE // 2, top + SIDE + 3), caption, _PALE, _font(12), anchor="ma")


def _scaled(image: UInt8) -> Image.Image:
    way = Image.Resampling.BICUBIC if image.shape[0] < SIDE else Image.Resampling.LANCZOS
    return Image.fromarray(np.ascontiguousarray(image)).resize((SIDE, SIDE), way)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _write(page: Image.Image, path: Path) -> Path:
    with whole_file(path) as temporary:
        page.save(temporary, format="PNG")
    return path
