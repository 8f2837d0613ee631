"""Pages of pictures with a few words: rows of faces, each with a caption."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from facebias.errors import DataError
from facebias.files import whole_file

INK, PALE, PAPER = "#1b1f24", "#5b636d", "#ffffff"
SIDE = 128
"""Pixels along the longer side of a picture on a page."""

_GAP, _MARGIN, _CAPTION, _LABEL, _HEAD, _LINE = 10, 24, 20, 104, 76, 17


@dataclass(frozen=True)
class Cell:
    """A picture and what is said of it.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3), 0..255.
        caption: one line; what is too long for the picture is cut.
    """

    image: npt.NDArray[np.uint8]
    caption: str = ""


@dataclass(frozen=True)
class Row:
    """Pictures beside each other.

    Args:
        label: what they have in common; what is too long is cut.
        cells: from left to right.
    """

    label: str
    cells: Sequence[Cell]


def write_rows(
    path: Path, rows: Sequence[Row], *, title: str, note: str = "", columns: Sequence[str] = ()
) -> None:
    """Write one PNG of rows of pictures.

    Args:
        path: the file; it appears whole or not at all.
        rows: from top to bottom, at least one; they may differ in length.
        title: the head line.
        note: a smaller line below it.
        columns: names above the columns, in as many lines as they take.

    Raises:
        DataError: if there are no rows.
        RunError: if the file cannot be written.
    """
    if not rows:
        raise DataError("there are no pictures for the page", "at least one row")
    many = max(len(columns), *(len(row.cells) for row in rows))
    width = 2 * _MARGIN + _LABEL + many * (SIDE + _GAP)
    names = [wrapped(name, font(13, bold=True), SIDE) for name in columns]
    head = _HEAD + max(map(len, names), default=0) * _LINE
    page = Image.new("RGB", (width, head + len(rows) * _row_height() + _MARGIN), PAPER)
    pen = ImageDraw.Draw(page)
    room = width - 2 * _MARGIN
    pen.text((_MARGIN, 16), fit(title, font(22, bold=True), room), INK, font(22, bold=True))
    pen.text((_MARGIN, 46), fit(note, font(14), room), PALE, font(14))
    for number, lines in enumerate(names):
        for line, text in enumerate(lines):
            place = (_left(number) + SIDE // 2, _HEAD - 4 + line * _LINE)
            pen.text(place, text, INK, font(13, bold=True), anchor="ma")
    for number, row in enumerate(rows):
        _draw_row(page, pen, row, head + number * _row_height())
    with whole_file(path) as temporary:
        page.save(temporary, format="PNG")


def _row_height() -> int:
    return SIDE + _CAPTION + _GAP


def _left(column: int) -> int:
    return _MARGIN + _LABEL + column * (SIDE + _GAP)


def _draw_row(page: Image.Image, pen: ImageDraw.ImageDraw, row: Row, top: int) -> None:
    label = fit(row.label, font(15, bold=True), _LABEL - _GAP)
    pen.text((_MARGIN, top + SIDE // 2), label, INK, font(15, bold=True), anchor="lm")
    for number, cell in enumerate(row.cells):
        picture = scaled(cell.image, SIDE)
        left = _left(number)
        page.paste(picture, (left + (SIDE - picture.width) // 2, top))
        caption = fit(cell.caption, font(11), SIDE + _GAP - 2)
        pen.text((left + SIDE // 2, top + SIDE + 3), caption, PALE, font(11), anchor="ma")


def scaled(image: npt.NDArray[np.uint8], side: int) -> Image.Image:
    """Return an image in colour whose longer side is `side` pixels.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3), 0..255.
        side: pixels.
    """
    plain = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    picture = Image.fromarray(np.ascontiguousarray(plain)).convert("RGB")
    factor = side / max(picture.size)
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    way = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.LANCZOS
    return picture.resize(size, way)


@cache
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which comes with matplotlib and has the check mark and the cross."""
    from matplotlib import get_data_path

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", name), size)


def fit(text: str, lettering: ImageFont.FreeTypeFont, room: float) -> str:
    """Return the text in one line, or as much of it as there is room for, in pixels."""
    line = " ".join(text.replace("->", "→").split())
    return next(
        short for short in _shortened(line) if lettering.getlength(short) <= room or not short
    )


def wrapped(text: str, lettering: ImageFont.FreeTypeFont, room: float) -> list[str]:
    """Return the text in as few lines as it takes; a single word too long is cut short."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lettering.getlength(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return [fit(line, lettering, room) for line in lines if line]


def _shortened(line: str) -> Iterator[str]:
    yield line
    for length in range(len(line) - 1, 0, -1):
        yield line[:length].rstrip() + "…"
    yield ""
