"""A CSV file that holds the pixels of gray faces, a face a line.

    emotion,pixels,Usage                  as FER-2013 has it, and `python -m facebias.crop`
    3,231 212 156 164 174 ...,Training

    emotion,pixel0,pixel1,...             or a column for each pixel, row by row from the top left
    wonder,231,212,...

The pixels are left where they are until the faces are stored (`facebias.data.pixel_rows`).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from facebias.data.pixel_rows import PixelFile, PixelRow, open_pixel_file
from facebias.data.readers.codes import decode, keep_classes
from facebias.data.readers.missing import missing_data
from facebias.data.table import COLUMNS, SPLITS, UNKNOWN, FaceTable
from facebias.errors import DataError

# Columns that are looked for where none is named.
_USUAL = {"label": "emotion", "pixels": "pixels", "split": "split", "identity": "identity"}


def read_pixel_csv(
    root: str,
    width: int,
    height: int,
    classes: Sequence[str],
    file: str | None = None,
    label_map: Mapping[str, str] | None = None,
    attributes: Mapping[str, Sequence[str]] | None = None,
    columns: Mapping[str, str] | None = None,
    splits: Mapping[str, str] | None = None,
    provenance: str = "not stated",
) -> FaceTable:
    """Read faces whose pixels stand in a CSV file in UTF-8.

    Args:
        root: folder of the file, or the file.
        width: of the faces, pixels.
        height: of the faces, pixels.
        classes: labels, in the order of the model's outputs.
        file: its name below the root; None: the only CSV file there.
        label_map: label or code in the file: its name; faces of names that are no class are left
            out.
        attributes: for each attribute its groups; no groups declares those that are found.
        columns: name of the column for "label" ("emotion" otherwise), "pixels" (or `FIRST..LAST`
            where each pixel has a column), "split", "identity" or an attribute, where it differs.
        splits: value in the file: train, validation or test, where they differ.
        provenance: who said what the groups are.

    Returns:
        A row a line; the id is `FILE@ROW`, rows from 0.

    Raises:
        DataError: for a missing file or column, a number of pixels other than width x height, an
            unknown label or split, with the line, or a last line that is cut off.
    """
    path = _find(Path(root).expanduser(), file, width, height)
    folder = path.parent if file is None else Path(root).expanduser()
    pixels, columns, attributes = open_pixel_file(path), columns or {}, attributes or {}
    places = _places(pixels, columns, attributes)
    given = _read_beside(pixels, places)
    name = path.relative_to(folder).as_posix()
    column = _pixel_columns(pixels, places, columns, width * height)
    source = PixelRow(name, column, width, height, 0).source.removesuffix("0")
    numbers = pd.Series((given.index - 2).astype(str), index=given.index)
    rows = pd.DataFrame({"id": f"{name}@" + numbers, "source": source + numbers, "left_out": ""})
    rows["identity"] = given["identity"].fillna(rows["id"])
    rows["split"] = decode(given["split"], splits or {each: each for each in SPLITS}, path, "split")
    codes = {**{each: each for each in classes}, **(label_map or {})}
    rows["label"] = decode(given["label"], codes, path, "the label")
    declared = {}
    for attribute, groups in attributes.items():
        rows[attribute] = given[attribute].fillna(UNKNOWN)
        declared[attribute] = tuple(groups) or tuple(sorted(set(rows[attribute]) - {UNKNOWN}))
    rows = keep_classes(rows, classes, dict.fromkeys(codes.values()))
    rows = rows[[*COLUMNS, *declared]].reset_index(drop=True)
    return FaceTable(rows, folder, tuple(classes), declared, provenance)


def _find(root: Path, file: str | None, width: int, height: int) -> Path:
    """Return the CSV file."""
    if root.is_file():
        return root
    path = None if file is None else root / file
    found = sorted(root.glob("*.csv")) if path is None and root.is_dir() else [path]
    if len(found) > 1:
        raise DataError(
            f"{root} has the CSV files {', '.join(each.name for each in found if each)}",
            "one that holds the pixels of faces",
            "name it with data.reader.file=NAME",
        )
    if not found or found[0] is None or not found[0].is_file():
        raise missing_data(
            root,
            "a pixel CSV",
            f"{root}/{file or 'NAME.csv'} with a label and {width} x {height} gray values a line",
            "whoever made it; `python -m facebias.crop form=pixel_csv` makes one from photos",
        )
    return found[0]


def _places(
    pixels: PixelFile, columns: Mapping[str, str], attributes: Mapping[str, Sequence[str]]
) -> dict[str, str | None]:
    """Return the column of each meaning; one that is not named need not be there."""
    places: dict[str, str | None] = {}
    for meaning in ("label", "split", "identity", *attributes):
        column = columns.get(meaning, _USUAL.get(meaning, meaning))
        if meaning in columns or meaning in attributes:
            pixels.place(column)
        places[meaning] = column if column in pixels.columns else None
    return places


def _read_beside(pixels: PixelFile, places: Mapping[str, str | None]) -> pd.DataFrame:
    """Read the columns beside the pixels as text, None where there is nothing.

    Returns:
        A column a meaning; the index are the lines in the file. Blank lines are left out.
    """
    wanted = {pixels.columns.index(name) for name in places.values() if name is not None}
    given = _read_columns(pixels, sorted(wanted or {0}))
    if len(given) != len(pixels) or given.empty:
        raise DataError(
            f"{pixels.path} has {len(pixels)} lines with {len(given)} rows",
            "a face a line, without line breaks inside of quotes",
            "write it again",
        )
    given.index = pd.RangeIndex(2, len(given) + 2)  # line 1 is the header
    _refuse_cut_off(pixels)
    given = given[np.diff(pixels.starts) > len("\r\n")].apply(lambda column: column.str.strip())
    nothing = pd.Series(None, index=given.index, dtype=object)
    told = {
        meaning: nothing if name is None else given[pixels.columns.index(name)]
        for meaning, name in places.items()
    }
    frame = pd.DataFrame(told, dtype=object)
    return frame.mask(frame == "", None)


def _read_columns(pixels: PixelFile, wanted: Sequence[int]) -> pd.DataFrame:
    """Read columns by their numbers, as text: a row a line behind the header, blank ones too."""
    try:
        return pd.read_csv(
            pixels.path,
            sep=pixels.delimiter,
            header=None,
            skiprows=1,
            names=range(len(pixels.columns)),
            usecols=wanted,
            dtype=str,
            na_filter=False,
            skip_blank_lines=False,
            index_col=False,
            encoding="utf-8",
        )
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise DataError(f"{pixels.path}: {error}", "a CSV file in UTF-8") from error


def _refuse_cut_off(pixels: PixelFile) -> None:
    """Refuse a last line that has fewer columns than the header: the file is not whole."""
    found = len(pixels.fields(len(pixels) - 1))
    if 1 < found < len(pixels.columns):  # a blank line has one
        raise DataError(
            f"{pixels.path}, line {len(pixels) + 1}: the last line has {found} columns",
            f"{len(pixels.columns)}, as its header has",
            "the file seems cut off: copy or unpack it again",
        )


def _pixel_columns(
    pixels: PixelFile, places: Mapping[str, str | None], columns: Mapping[str, str], count: int
) -> str:
    """Return the column of the pixels, or `FIRST..LAST` where each has one."""
    named = columns.get("pixels", _USUAL["pixels"])
    if named in pixels.columns:
        return named
    taken = {name for name in places.values() if name is not None}
    place = pixels.place(named) if "pixels" in columns else _longest_run(pixels.columns, taken)
    found = place.stop - place.start
    if found != count:
        raise DataError(
            f"{pixels.path} has no column {named!r}, and {found} columns for single pixels",
            f"one column of pixels, or {count} columns of one each",
            "name them with data.reader.columns: {pixels: COLUMN} or {pixels: FIRST..LAST}, or "
            "correct data.reader.width and data.reader.height",
        )
    return f"{pixels.columns[place.start]}..{pixels.columns[place.stop - 1]}"


def _longest_run(columns: Sequence[str], taken: set[str]) -> slice:
    """Return the longest run of columns that nothing else is in."""
    edges = [-1, *(n for n, name in enumerate(columns) if name in taken), len(columns)]
    runs = [slice(before + 1, after) for before, after in pairwise(edges)]
    return max(runs, key=lambda run: run.stop - run.start)
