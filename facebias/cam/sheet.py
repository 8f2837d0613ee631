"""One page of faces and their maps, a row for each group."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facebias.cam.overlay import colour_bar
from facebias.errors import DataError
from facebias.pictures import INK, PALE, PAPER, fit, font, wrapped

SIDE = 112
"""Pixels along the longer side of a face on the page."""

_FRAME, _GAP, _MARGIN, _TITLE = 4, 14, 28, 26
_RULE = "#d9dde2"
# Okabe and Ito's bluish green and vermilion, which the colour-blind tell apart.
_RIGHT, _WRONG = "#009e73", "#d55e00"

# A sign as well as a colour for each.
_VERDICTS: dict[bool | None, tuple[str, str, str]] = {
    True: ("✓", "correct", _RIGHT),
    False: ("✗", "wrong", _WRONG),
    None: ("?", "no label", PALE),
}


@dataclass(frozen=True)
class FaceCell:
    """A face on the sheet.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3), 0..255.
        overlay: (H, W, 3), 0..255, as `overlay` gives it.
        title: what was said of it, such as "happy -> neutral 0.61".
        correct: whether that was right; None where there is no label to tell.
        row: the name of its group.
    """

    image: NDArray[np.uint8]
    overlay: NDArray[np.uint8]
    title: str
    correct: bool | None
    row: str


@dataclass(frozen=True)
class _Layout:
    """Where things stand on the page, in pixels."""

    cell: tuple[int, int]
    label: int
    columns: tuple[int, int]

    @property
    def split(self) -> int:
        """The left edge of the wrong faces."""
        return _MARGIN + self.label + self.columns[0] * self.cell[0] + 2 * _GAP

    @property
    def width(self) -> int:
        return max(self.split + self.columns[1] * self.cell[0] + _MARGIN - _GAP, 900)

    def lines(self, sides: tuple[list[FaceCell], list[FaceCell]]) -> int:
        """How many lines of faces a group takes."""
        return max(1, *(-(-len(s) // n) for s, n in zip(sides, self.columns, strict=True)))


def contact_sheet(
    cells: Sequence[FaceCell],
    path: str | os.PathLike[str],
    *,
    title: str = "Where the network looks",
    note: str = "",
    columns: int = 3,
) -> Path:
    """Draw one PNG: a row for each group, the correct faces at the left, the wrong at the right.

    Each face is a pair, plain and overlaid, in a green frame with a check mark or an orange one
    with a cross. Rows keep the order in which the groups first appear, faces their order within.

    Args:
        cells: the faces; images may differ in size.
        path: the file to write; it appears whole or not at all.
        title: the head line.
        note: the line at the foot; name the method, the layer and the class explained.
        columns: the most pairs beside each other on each side; more go on in a further line.

    Returns:
        The path.

    Raises:
        DataError: no faces, or fewer than one column.
    """
    if not cells or columns < 1:
        raise DataError(f"{len(cells)} faces in {columns} columns.", "at least one of each")
    groups = _groups(cells)
    layout = _layout(cells, groups, columns)
    heights = [layout.lines(sides) * layout.cell[1] + _GAP for sides in groups.values()]
    head, foot = 118, 64
    page = Image.new("RGB", (layout.width, head + sum(heights) + foot), PAPER)
    draw = ImageDraw.Draw(page)
    _draw_head(page, draw, title, groups, layout)
    top = head
    for (name, sides), height in zip(groups.items(), heights, strict=True):
        _draw_group(page, draw, name, sides, layout, top)
        top += height
    draw.line((_MARGIN, top, layout.width - _MARGIN, top), _RULE)
    between = layout.split - 3 * _GAP // 2
    draw.line((between, head, between, top), _RULE)
    room = layout.width - 2 * _MARGIN
    draw.text((_MARGIN, top + 16), fit(note, font(14), room), PALE, font(14))
    return _write(page, Path(path))


def _groups(cells: Sequence[FaceCell]) -> dict[str, tuple[list[FaceCell], list[FaceCell]]]:
    """The correct (and unlabelled) and the wrong faces of each group."""
    groups: dict[str, tuple[list[FaceCell], list[FaceCell]]] = {}
    for cell in cells:
        groups.setdefault(cell.row, ([], []))[1 if cell.correct is False else 0].append(cell)
    return groups


def _layout(
    cells: Sequence[FaceCell],
    groups: dict[str, tuple[list[FaceCell], list[FaceCell]]],
    columns: int,
) -> _Layout:
    sizes = [_scaled(cell.image) for cell in cells]
    width = 2 * max(size[0] for size in sizes) + 2 * _FRAME + 2 + _GAP
    height = max(size[1] for size in sizes) + 2 * _FRAME + _TITLE + _GAP
    most = [max(len(sides[side]) for sides in groups.values()) for side in (0, 1)]
    label = min(240, max(int(font(17, bold=True).getlength(name)) for name in groups))
    used = (min(columns, max(1, most[0])), min(columns, max(1, most[1])))
    return _Layout((width, height), label + 24, used)


def _draw_head(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    title: str,
    groups: dict[str, tuple[list[FaceCell], list[FaceCell]]],
    layout: _Layout,
) -> None:
    """The title, the legend at the right, and how many are correct and wrong."""
    bar = colour_bar(22, 220)
    left = layout.width - _MARGIN - bar.shape[1] - 18
    room = left - 2 * _MARGIN - 18
    draw.text((_MARGIN, 22), fit(title, font(24, bold=True), room), INK, font(24, bold=True))
    page.paste(Image.fromarray(bar), (left, 22))
    draw.text((left - 8, 33), "0", INK, font(14), anchor="rm")
    draw.text((left + bar.shape[1] + 8, 33), "1", INK, font(14), anchor="lm")
    legend = "share of the map's maximum"
    draw.text((left + bar.shape[1] / 2, 50), legend, PALE, font(12), anchor="ma")
    counts = Counter(cell.correct for sides in groups.values() for side in sides for cell in side)
    left_side = [verdict for verdict in (True, None) if counts[verdict]] or [True]
    _draw_verdicts(draw, _MARGIN + layout.label, left_side, counts)
    if counts[None] < counts.total():
        _draw_verdicts(draw, layout.split, [False], counts)


def _draw_verdicts(
    draw: ImageDraw.ImageDraw,
    left: float,
    verdicts: Sequence[bool | None],
    counts: Counter[bool | None],
) -> None:
    """How many faces there are of each verdict, beside each other."""
    lettering = font(16, bold=True)
    for verdict in verdicts:
        sign, word, colour = _VERDICTS[verdict]
        text = f"{sign} {word} ({counts[verdict]})"
        draw.text((left, 86), text, colour, lettering)
        left += lettering.getlength(text) + _GAP


def _draw_group(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    name: str,
    sides: tuple[list[FaceCell], list[FaceCell]],
    layout: _Layout,
    top: int,
) -> None:
    """The name of a group and its faces."""
    draw.line((_MARGIN, top, layout.width - _MARGIN, top), _RULE)
    lettering = font(17, bold=True)
    middle = top + _GAP + _TITLE + (layout.cell[1] - _TITLE - _GAP) // 2
    lines = wrapped(name, lettering, layout.label - 16)
    for number, text in enumerate(lines):
        height = middle + 22 * number - 11 * (len(lines) - 1)
        draw.text((_MARGIN, height), text, INK, lettering, anchor="lm")
    for left, cells, columns in zip(
        (_MARGIN + layout.label, layout.split), sides, layout.columns, strict=True
    ):
        if not cells:
            draw.text((left, middle), "none", PALE, font(14), anchor="lm")
        for index, cell in enumerate(cells):
            line, column = divmod(index, columns)
            x, y = left + column * layout.cell[0], top + _GAP + line * layout.cell[1]
            _draw_cell(page, draw, cell, (x, y))


def _draw_cell(
    page: Image.Image, draw: ImageDraw.ImageDraw, cell: FaceCell, at: tuple[int, int]
) -> None:
    """A title with its sign, and below it the pair in its frame."""
    left, top = at
    sign, _, colour = _VERDICTS[cell.correct]
    width, height = _scaled(cell.image)
    whole = 2 * width + 2 * _FRAME + 2
    draw.text((left, top), sign, colour, font(16, bold=True))
    title = fit(cell.title, font(15), whole - 20)
    draw.text((left + 20, top), title, INK, font(15))
    top += _TITLE
    box = (left, top, left + whole - 1, top + height + 2 * _FRAME - 1)
    draw.rectangle(box, fill=colour)
    for index, picture in enumerate((cell.image, cell.overlay)):
        x = left + _FRAME + index * (width + 2)
        page.paste(_picture(picture, (width, height)), (x, top + _FRAME))


def _scaled(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height on the page."""
    factor = SIDE / max(image.shape[:2])
    return max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))


def _picture(image: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    plain = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    picture = Image.fromarray(np.ascontiguousarray(plain)).convert("RGB")
    return picture.resize(size, Image.Resampling.BICUBIC)


def _write(page: Image.Image, path: Path) -> Path:
    """Write beside the file, then rename, so that nobody reads half a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        page.save(temporary, format="PNG")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
