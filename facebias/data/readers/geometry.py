"""Boxes and landmarks of faces as tables write them, in pixels of the upright image."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from facebias.data.readers.side_tables import NOTHING
from facebias.data.table import BOX
from facebias.errors import DataError

_BY_SIZE = ("left", "top", "width", "height")
_PART = 1 << 14  # faces whose landmarks are parsed at a time; many numbers take much memory as text


def box_columns(box: Mapping[str, str] | None, there: Sequence[str]) -> dict[str, str]:
    """Return the columns of a box.

    Args:
        box: as configured: columns of left, top, right, bottom or of left, top, width, height.
        there: the names of the table's columns.

    Returns:
        The column of each side; without a `box`, the columns of these names if all four are there.

    Raises:
        DataError: for a box that is said otherwise.
    """
    if box is None:
        return {name: name for name in BOX} if set(BOX) <= set(there) else {}
    if set(box) not in (set(BOX), set(_BY_SIZE)):
        raise DataError(
            f"data.reader.box says the columns of {', '.join(box)}",
            f"of {', '.join(BOX)}; or of {', '.join(_BY_SIZE)}",
            "correct it, such as {left: face_x, top: face_y, width: face_width, height: face_h}",
        )
    return dict(box)


def parse_boxes(given: pd.DataFrame, columns: Mapping[str, str], path: Path) -> pd.DataFrame:
    """Return left, top, right, bottom of each face, NaN where nothing is said.

    Args:
        given: a table as it was read; its index are the lines.
        columns: as `box_columns` returns them.
        path: of the table, for the message.

    Raises:
        DataError: for what is no number, half a box, or an empty one, with the line.
    """
    sides = pd.DataFrame({side: _numbers(given[name], path) for side, name in columns.items()})
    _refuse_gaps(sides.set_axis(list(columns.values()), axis=1), path, "the box")
    if "width" in sides:
        sides["right"] = sides["left"] + sides["width"]
        sides["bottom"] = sides["top"] + sides["height"]
    empty = (sides["right"] <= sides["left"]) | (sides["bottom"] <= sides["top"])
    if empty.any():
        line = empty.idxmax()
        said = ", ".join(f"{name} {given[name][line]}" for name in columns.values())
        raise DataError(
            f"{path}, line {line}: the box is {said}",
            "a box with one pixel or more inside, or nothing",
            "correct the line, or empty all four where there is no box",
        )
    return sides[list(BOX)]


def pair_landmarks(given: pd.DataFrame, pairs: Sequence[tuple[str, ...]], path: Path) -> pd.Series:
    """Return x, y, x, y, ... of each face from columns, None where nothing is said.

    Args:
        given: a table as it was read; its index are the lines.
        pairs: columns of x and y of each landmark.
        path: of the table, for the message.

    Raises:
        DataError: for a pair that is none, what is no number, or a gap, with the line.
    """
    wrong = [pair for pair in pairs if len(pair) != 2]
    if wrong:
        raise DataError(
            f"data.reader.landmarks has {', '.join(map(str, wrong))}",
            "pairs of columns, such as [[eye_x, eye_y], [nose_x, nose_y]]",
            "correct it",
        )
    names = [name for pair in pairs for name in pair]
    numbers = pd.DataFrame({name: _numbers(given[name], path) for name in names})
    _refuse_gaps(numbers, path, "the landmarks")
    there = numbers.notna().any(axis=1)
    listed = [row if known else None for row, known in zip(numbers.to_numpy(), there, strict=True)]
    return pd.Series(listed, index=given.index, dtype=object)


def parse_landmarks(column: pd.Series, path: Path) -> pd.Series:
    """Return x, y, x, y, ... of each face from one column, None where nothing is said.

    Args:
        column: text of numbers with ";", "," or spaces between, or lists; its index are the lines.
        path: of the table, for the message.

    Raises:
        DataError: for anything else than pairs of numbers, with the line.
    """
    parts = [column.iloc[start : start + _PART] for start in range(0, len(column), _PART)]
    listed = [face for part in parts for face in _parse_part(part, path)]
    return pd.Series(listed, index=column.index, dtype=object)


def _parse_part(part: pd.Series, path: Path) -> list[npt.NDArray[np.float64] | None]:
    """Return the numbers of each face, all of them read at once."""
    values = pa.array(part, from_pandas=True)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if not pa.types.is_list(values.type):
        trimmed = pc.utf8_trim(values.cast(pa.string()), characters=" \t\r\n;,[]()")
        values = pc.split_pattern_regex(trimmed, r"[;,\s]+")
    sizes = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    flat = values.flatten()
    try:
        numbers = flat.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        numbers = pd.to_numeric(flat.to_pandas(), errors="coerce").to_numpy(np.float64)
    ends = np.cumsum(sizes)
    good = np.concatenate([[0], np.cumsum(np.isfinite(numbers))])
    wrong = (sizes % 2 == 1) | (good[ends] - good[ends - sizes] != sizes)
    if wrong.any():
        face = int(wrong.argmax())
        shown = str(part.iloc[face])
        raise DataError(
            f"{path}, line {part.index[face]}: the landmarks are "
            f"{shown[:40]!r}{' and so on' if len(shown) > 40 else ''}",
            "pairs of numbers x, y, x, y, ..., with ; or , or spaces between, or nothing",
            "correct the line",
        )
    faces = np.split(numbers, ends[:-1])
    return [face if len(face) else None for face in faces]


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    """Return a column as numbers, NaN where there is nothing."""
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    wrong = (numbers.isna() & column.notna()) | np.isinf(numbers)
    if wrong.any():
        wrong &= ~column.astype("str").str.lower().isin(NOTHING)
    if wrong.any():
        line = wrong.idxmax()
        raise DataError(
            f"{path}, line {line}: {column.name} is {column[line]!r}",
            "a number of pixels, or nothing",
            "correct the line",
        )
    return numbers


def _refuse_gaps(numbers: pd.DataFrame, path: Path, what: str) -> None:
    """Refuse a row of which some numbers are there, and others are not."""
    missing = numbers.isna()
    gaps = missing.any(axis=1) & ~missing.all(axis=1)
    if gaps.any():
        line = gaps.idxmax()
        lacking = ", ".join(name for name in numbers if missing[name][line])
        raise DataError(
            f"{path}, line {line}: {what} has no {lacking}",
            f"all of {', '.join(numbers)}, or none",
            "fill the line, or empty all of them",
        )
