"""One CSV, Parquet or JSON file with a row a face.

    file,emotion,person,x,y,w,h
    images/0001.jpg,happy,anna,20,24,96,96

What a column means is said by its name, or in the configuration (`data=table`).
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from facebias.data.readers.codes import decode, keep_classes
from facebias.data.readers.frames import column_names, read_frame, refuse_wrong_paths
from facebias.data.readers.geometry import (
    box_columns,
    pair_landmarks,
    parse_boxes,
    parse_landmarks,
)
from facebias.data.readers.side_tables import KEYS, NOTHING
from facebias.data.table import (
    BOX,
    COLUMNS,
    CREDIT,
    LANDMARKS,
    OPTIONAL,
    SPLITS,
    UNKNOWN,
    FaceTable,
)
from facebias.errors import DataError

logger = logging.getLogger(__name__)

_MEANINGS = ("id", "source", "label", "identity", "split", LANDMARKS, CREDIT)


def read_table(
    file: str,
    root: str,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]] | None = None,
    label_map: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    provenance: str = "not stated",
    splits: Mapping[str, str] | None = None,
    box: Mapping[str, str] | None = None,
    landmarks: Sequence[Sequence[str]] | None = None,
) -> FaceTable:
    """Read faces from a table.

    Args:
        file: a CSV file in UTF-8 or UTF-16, a Parquet file, or a JSON file of records.
        root: folder that the paths in the table start from.
        classes: labels, in the order of the model's outputs.
        attributes: for each attribute its groups; no groups declares those that are found.
        label_map: label in the table, as text: its class, where they differ; faces of names that
            are no class are left out.
        columns: name of the column for "source", "label", "split", "identity", "landmarks",
            "credit" or an attribute, where it differs; and for "id", where one is to be read. The
            id is the source otherwise, with the box behind it where several faces are in a photo.
        provenance: who said what the groups are.
        splits: value in the table: train, validation or test, where they differ.
        box: columns of "left", "top", and "right" and "bottom" or "width" and "height", in pixels
            of the upright image; None: those of these names, if all are there.
        landmarks: pairs of columns, x and y of each landmark in pixels of the upright image; None:
            the column "landmarks", numbers x, y, x, y, ... with ";", "," or spaces between.

    Returns:
        A row a face. The faces of a photo are one identity where the table says none.

    Raises:
        DataError: for a missing file, folder or column, an unknown label, group or split, a box
            that is none, landmarks that are no pairs of numbers, a source that is empty, leads out
            of the root or stands twice with the same box; with the line.
    """
    path, folder = Path(file).expanduser(), Path(root).expanduser()
    attributes, there = attributes or {}, column_names(path)
    _refuse_missing_root(folder, path)
    places = _places(there, columns or {}, attributes)
    edges, pairs = box_columns(box, there), [tuple(pair) for pair in landmarks or ()]
    wanted = [*places.values(), *edges.values(), *(name for pair in pairs for name in pair)]
    given = read_frame(
        path,
        list(dict.fromkeys(wanted)),
        todo="add it, or name yours with data.reader.columns: {MEANING: COLUMN}",
    )
    text = _texts(given, places, attributes)
    rows = pd.DataFrame({"source": text["source"], "left_out": ""})
    refuse_wrong_paths(rows["source"], path, "source", folder)
    if classes and "label" not in places:
        _say_unlabelled(path, there)
    _add_places(rows, given, edges, pairs, places.get(LANDMARKS), path)
    if CREDIT in text:
        rows[CREDIT] = text[CREDIT]
    rows["id"] = _ids(rows, text.get("id"), path)
    rows["identity"] = text.get("identity", rows["source"]).fillna(rows["source"])
    rows["split"] = decode(
        text["split"], splits or {each: each for each in SPLITS}, path, "the split"
    )
    rows = _with_labels(rows, text["label"], classes, label_map or {}, path)
    declared = {}
    for name, groups in attributes.items():
        rows[name], declared[name] = _groups(text[name], name, groups, path)
    order = [*COLUMNS, *(name for name in OPTIONAL if name in rows), *declared]
    rows = rows[order].reset_index(drop=True)
    return FaceTable(rows, folder, tuple(classes), declared, provenance)


def _add_places(
    rows: pd.DataFrame,
    given: pd.DataFrame,
    edges: Mapping[str, str],
    pairs: Sequence[tuple[str, ...]],
    landmarks: str | None,
    path: Path,
) -> None:
    """Add where each face is in its photo: box and landmarks, as far as the table has them."""
    if edges:
        rows[list(BOX)] = parse_boxes(given, edges, path)
    if pairs:
        rows[LANDMARKS] = pair_landmarks(given, pairs, path)
    elif landmarks is not None:
        rows[LANDMARKS] = parse_landmarks(given[landmarks], path)


def _with_labels(
    rows: pd.DataFrame,
    text: pd.Series,
    classes: Sequence[str],
    label_map: Mapping[str, str],
    path: Path,
) -> pd.DataFrame:
    """Return the rows with their labels; faces of names that are no class are marked."""
    labels = {**{name: name for name in classes}, **label_map}
    rows["label"] = decode(text, labels, path, "the label")
    if not set(labels.values()) <= set(classes):
        return keep_classes(rows, classes, set(labels.values()))
    return rows


def _refuse_missing_root(folder: Path, path: Path) -> None:
    if not folder.is_dir():
        raise DataError(
            f"there is no folder {folder}",
            f"the folder that the paths in {path} start from",
            "give it with data.root=FOLDER",
        )


def _places(
    there: Sequence[str], columns: Mapping[str, str], attributes: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Return the column of each meaning that the table has, or that was named."""
    wrong = [name for name in columns if name not in (*_MEANINGS, *attributes)]
    if wrong:
        raise DataError(
            f"data.reader.columns says the column of {', '.join(wrong)}",
            f"columns of {', '.join((*_MEANINGS, *attributes))}",
            "correct it, or add the attribute to data.reader.attributes",
        )
    found = {name: name for name in ("label", "identity", "split", LANDMARKS, CREDIT)}
    found = {name: column for name, column in found.items() if column in there}
    source = next((key for key in KEYS if key in there), "source")
    return {"source": source, **found, **{name: name for name in attributes}, **columns}


def _texts(
    given: pd.DataFrame, places: Mapping[str, str], attributes: Mapping[str, Sequence[str]]
) -> dict[str, pd.Series]:
    """Return each meaning as text; labels, splits and groups, of which there are few, as codes."""
    text = {name: _text(given[place]) for name, place in places.items() if name != LANDMARKS}
    for name in ("label", "split", *attributes):
        text[name] = text.get(name, pd.Series(None, index=given.index)).astype("category")
    return text


def _text(column: pd.Series) -> pd.Series:
    """Return values as text without spaces around, NaN where there is nothing."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # codes, some of which are missing
    text = column.astype("str").str.strip()
    empty = text == ""
    return text.mask(empty) if empty.any() else text


def _say_unlabelled(path: Path, there: Sequence[str]) -> None:
    """Warn of a table without labels; it is no error, as a finished run can look at its faces."""
    logger.warning(
        "%s has no column label: no face has a label. It has the columns %s; name the one of the "
        "labels with data.reader.columns: {label: COLUMN}",
        *(path, ", ".join(there)),
    )


def _ids(rows: pd.DataFrame, named: pd.Series | None, path: Path) -> pd.Series:
    """Return the ids of the table, or make them of the source, and of the box where it takes it."""
    sources = rows["source"]
    several = None if sources.is_unique else sources.duplicated(keep=False)
    if several is not None:
        edges = [name for name in BOX if name in rows]
        _refuse_twice(rows.loc[several, ["source", *edges]], path)
    if named is not None:
        _refuse_wrong_ids(named, path)
        return named
    if several is None:
        return sources
    boxed = rows.loc[several, ["source", *BOX]].itertuples(index=False)
    ids = sources.copy()
    ids[several] = [
        source + "#" + ",".join(f"{edge:.12g}" for edge in box) for source, *box in boxed
    ]
    return ids


def _refuse_twice(rows: pd.DataFrame, path: Path) -> None:
    """Refuse two rows with the same source and the same box."""
    twice = rows.duplicated()
    if twice.any():
        line = twice.idxmax()
        first = rows.index[(rows["source"] == rows["source"][line])][0]
        raise DataError(
            f"{path}, line {line}: the source {rows['source'][line]!r} stands twice, the first "
            f"time in line {first}",
            "a row a face; several faces of one photo have different boxes",
            "remove one of the lines, or name the columns of the box in data.reader.box",
        )


def _refuse_wrong_ids(ids: pd.Series, path: Path) -> None:
    wrong = ids.isna() | ids.duplicated()
    if wrong.any():
        line = wrong.idxmax()
        raise DataError(
            f"{path}, line {line}: "
            + (f"the id {ids[line]!r} stands twice" if pd.notna(ids[line]) else "there is no id"),
            "an id of its own for every face",
            "correct the table, or name no column for id: the source then is the id",
        )


def _groups(
    text: pd.Series, name: str, groups: Sequence[str], path: Path
) -> tuple[pd.Series, tuple[str, ...]]:
    """Return the group of each face, and the groups that are declared, or else found."""
    found = text.cat.categories
    nothing = {each for each in found if each.lower() in NOTHING and each not in groups}
    declared = tuple(groups) or tuple(sorted(set(found) - nothing))
    codes = {**{group: group for group in declared}, **dict.fromkeys(sorted(nothing), UNKNOWN)}
    return decode(text, codes, path, name).fillna(UNKNOWN), declared
