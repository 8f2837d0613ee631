"""What a model answers, face by face, as a picture."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw

from facebias.data.choice import spread_faces
from facebias.data.predictions import PROBABILITY
from facebias.errors import DataError
from facebias.files import whole_file
from facebias.pictures import INK, PALE, PAPER, fit, font, scaled
from facebias.report.figures import BLUE, GRAY

PICTURE = "answers.png"

_SIDE, _NAME, _BAR, _NUMBER, _LINE, _GAP, _MARGIN, _HEAD = 112, 92, 110, 36, 16, 12, 24, 72
_CARD = _SIDE + 2 * _GAP + _NAME + _BAR + _NUMBER
_COLUMNS = 3
_MOST_BARS = 12  # of a face; beyond, the most probable classes and its own


def choose_answers(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    attributes: Iterable[str],
    per_label: int,
    seed: int,
) -> pd.DataFrame:
    """Choose faces by a seeded order, of every class, whatever was answered.

    Args:
        predictions: of one split.
        classes: in the order of the result.
        attributes: whose groups are spread.
        per_label: faces of each class; as many in all where no face has a label.
        seed: of the order.

    Returns:
        The chosen rows, with the column `position` (row of the predictions).
    """
    each = per_label * (1 if predictions["label"].notna().any() else len(classes))
    return spread_faces(predictions, classes, attributes, each, seed)


def draw_answers(
    path: Path,
    chosen: pd.DataFrame,
    faces: npt.NDArray[np.uint8],
    classes: Sequence[str],
    *,
    title: str,
) -> None:
    """Draw each face beside a bar for the probability of every class; chance is a dotted line.

    Args:
        path: PNG to write.
        chosen: rows of predictions, in the order of the picture, one or more.
        faces: theirs, uint8 (N, H, W, C).
        classes: the bars, from top to bottom; of more than 12 the likeliest, and the face's own.
        title: the head line.

    Raises:
        DataError: if there are no faces.
        RunError: if the file cannot be written.
    """
    if chosen.empty:
        raise DataError("there are no faces to show", "at least one prediction")
    columns, bars = min(_COLUMNS, len(chosen)), min(_MOST_BARS, len(classes))
    high = max(_SIDE, bars * _LINE) + _LINE + 6 + _GAP
    size = 2 * _MARGIN + columns * (_CARD + _GAP), _HEAD + math.ceil(len(chosen) / columns) * high
    page = Image.new("RGB", (size[0], size[1] + _MARGIN), PAPER)
    pen = ImageDraw.Draw(page)
    room = size[0] - 2 * _MARGIN
    note = f"blue: the answer; bold: the label; dotted: chance, 1 in {len(classes)}"
    pen.text((_MARGIN, 14), fit(title, font(20, bold=True), room), INK, font(20, bold=True))
    pen.text((_MARGIN, 42), fit(note, font(13), room), PALE, font(13))
    for number, row in enumerate(chosen.to_dict(orient="records")):
        down, across = divmod(number, columns)
        place = _MARGIN + across * (_CARD + _GAP), _HEAD + down * high
        page.paste(scaled(faces[number], _SIDE), (place[0], place[1] + _LINE + 6))
        _draw_card(pen, row, classes, place)
    with whole_file(path) as temporary:
        page.save(temporary, format="PNG")


def _draw_card(
    pen: ImageDraw.ImageDraw, row: Mapping[str, Any], classes: Sequence[str], place: tuple[int, int]
) -> None:
    """Draw what was answered to one face, and how probable each class seemed."""
    left, top = place
    said = fit(answer_in_words(row), font(13, bold=True), _CARD)
    pen.text((left, top), said, INK, font(13, bold=True))
    left, top = left + _SIDE + _GAP, top + _LINE + 6
    shown = _shown(row, classes)
    for line, name in enumerate(shown):
        middle = top + line * _LINE + _LINE // 2
        lettering = font(12, bold=name == row["label"])
        pen.text((left, middle), fit(name, lettering, _NAME - 4), INK, lettering, anchor="lm")
        share = float(row[PROBABILITY + name])
        bar = (left + _NAME, middle - 5, left + _NAME + max(1, round(share * _BAR)), middle + 5)
        pen.rectangle(bar, BLUE if name == row["predicted"] else GRAY)
        number = (left + _NAME + _BAR + 4, middle)
        pen.text(number, f"{share:.2f}", PALE, font(11), anchor="lm")
    chance = left + _NAME + round(_BAR / len(classes))
    for dot in range(top, top + len(shown) * _LINE, 4):
        pen.line((chance, dot, chance, dot + 1), INK)


def answer_in_words(row: Mapping[str, Any]) -> str:
    """Say what a face is and what it was taken for; without a label only the latter.

    Args:
        row: of predictions.
    """
    label, predicted = row["label"], row["predicted"]
    if not isinstance(label, str):
        return f"answered {predicted}"
    return f"{label}: right" if label == predicted else f"{label}, taken for {predicted}"


def _shown(row: Mapping[str, Any], classes: Sequence[str]) -> list[str]:
    """Return the classes that have a bar, in their order."""
    if len(classes) <= _MOST_BARS:
        return list(classes)
    by_share = sorted(classes, key=lambda name: (name != row["label"], -row[PROBABILITY + name]))
    kept = set(by_share[:_MOST_BARS])
    return [name for name in classes if name in kept]
