"""How to read faces that nobody has described: guessed from names of folders and columns.

    ROOT/happy/1.jpg                 classes are the folders with images in them
    ROOT/train/happy/1.jpg           folders named train, val, test and the like are splits
    ROOT/1.jpg                       no classes
    faces.csv, .parquet, .json       a table; its columns are known by their names
    ROOT/1.jpg, ROOT/truth.json      loose images and a JSON file of records that names them
    ROOT/faces.json, faces.parquet   as `python -m facebias.faces` leaves it

A guess is no second reader: it is the configuration of `read_class_folders`, `read_table` or
`read_generated_faces`. Attributes are the columns, of the table or of CSV files beside the images,
whose values look like groups.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from facebias.data.image_headers import read_headers
from facebias.data.readers.folders import find_images, find_side_tables
from facebias.data.readers.frames import read_frame
from facebias.data.readers.generated import TABLE, is_generated
from facebias.data.readers.side_tables import KEYS, NOTHING, nested_records, read_csv_records
from facebias.data.table import COLUMNS, OPTIONAL, SPLITS
from facebias.errors import DataError

_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
# Names of columns, the first that is there is taken.
_MEANINGS = {
    "label": ("label", "class", "emotion", "expression", "target", "category"),
    "split": ("split", "set", "usage", "partition"),
    "identity": ("identity", "person", "person_id", "subject", "subject_id"),
}
_RESERVED = frozenset(
    {*COLUMNS, *OPTIONAL, *KEYS, *(name for names in _MEANINGS.values() for name in names)}
)
_OF_GENERATED = ("gender", "age", "skin_tone")  # as data=faces takes them
_MOST_GROUPS = 20  # more values are names or measurements
_MOST_NUMBERS = 5  # a scale of more steps is a measurement
_FACES_A_GROUP = 2  # at least so many on average; else the values are names
_UNREAD = frozenset({".json", ".jsonl", ".txt", ".tsv", ".xlsx", ".mat", ".parquet"})
_SAMPLE = 200  # images whose headers say the size and the colour of all
_LARGEST = 128  # pixels along a side of the stored faces
_PROVENANCE = "not stated: columns of the data set that look like groups"


@dataclass(frozen=True)
class Guess:
    """How to read a set of faces.

    Attributes:
        data: the keys of a `data` configuration that the guess decides: root, reader, height,
            width and channels.
        said: what was found and how it was taken, a sentence each.
    """

    data: dict[str, Any]
    said: list[str] = field(default_factory=list)


def guess_reader(faces: Path) -> Guess:
    """Guess how to read faces from the names of folders and columns.

    Args:
        faces: a folder of images, of class folders, of split folders or of generated faces; or a
            CSV, Parquet or JSON table.

    Raises:
        DataError: if there is nothing, or nothing that looks like faces.
    """
    faces = faces.expanduser().absolute()
    if faces.is_file():
        return _guess_table(faces)
    if not faces.is_dir():
        raise DataError(
            f"there is nothing at {faces}",
            "a folder of images, of class folders or of generated faces, or a CSV, Parquet or JSON "
            "table",
            "give faces=FOLDER_OR_TABLE",
        )
    if is_generated(faces):
        return _guess_generated(faces)
    table = _records_beside(faces)
    return _guess_folders(faces) if table is None else _guess_table(table)


def _records_beside(folder: Path) -> Path | None:
    """Return the JSON file of records that names the loose images of a folder, if there is one."""
    images = {image.name for image in find_images(folder)}
    for file in sorted(folder.glob("*.json")) if images else ():
        try:
            frame = read_frame(file)
            sources = frame[_named_columns(frame, file)["source"]]
        except DataError:
            continue  # it holds something else, and is listed as not read
        if set(sources.astype(str)) & images:
            return file
    return None


def _guess_generated(folder: Path) -> Guess:
    there = set(read_frame(folder / TABLE).columns)
    attributes: dict[str, list[str]] = {name: [] for name in _OF_GENERATED if name in there}
    form = _format(sorted(folder.glob("images/*"))[:1], folder)
    reader = {
        "_target_": "facebias.data.readers.generated.read_generated_faces",
        "root": str(folder),
        "size": form["height"],
        "attributes": attributes,
    }
    said = ["faces that facebias has generated; their label is the valence"]
    return Guess({"root": str(folder), "reader": reader, **form}, said)


def _guess_folders(root: Path) -> Guess:
    splits = _find_splits(root)
    parts = [root / part for part in splits] or [root]
    classes = sorted({place.name for part in parts for place in _class_folders(part)})
    images = [image for part in parts for image in _images_below(part)]
    if not images:
        raise DataError(
            f"{root} holds no images, neither directly nor in folders of classes",
            "ROOT/CLASS/*.png, ROOT/train/CLASS/*.png, or ROOT/*.png",
            "give the folder right above the classes or the images, or a table of faces",
        )
    found = _columns_beside(root)
    attributes, said_of_columns = _attributes(found, len(images))
    reader: dict[str, Any] = {
        "_target_": "facebias.data.readers.folders.read_class_folders",
        "root": str(root),
        "classes": classes,
        "attributes": {name: [] for name in attributes} or None,
        "splits": splits or None,
        "provenance": _PROVENANCE if attributes else "not stated",
    }
    said = [_say_classes(classes), _say_splits(splits), *said_of_columns, *_say_unread(root)]
    return Guess({"root": str(root), "reader": reader, **_format(images, root)}, said)


def _find_splits(root: Path) -> dict[str, str]:
    """Return the folders that are named as splits and hold images; one for each split."""
    found: dict[str, str] = {}
    for place in _folders(root):
        split = _SPLIT_NAMES.get(place.name.lower())
        if split and split not in found.values() and _images_below(place):
            found[place.name] = split
    if found and "train" not in found.values():
        found[next(iter(found))] = "train"  # something has to be learned from
    return found


def _folders(place: Path) -> list[Path]:
    return sorted(
        each for each in place.iterdir() if each.is_dir() and not each.name.startswith(".")
    )


def _class_folders(part: Path) -> list[Path]:
    return [place for place in _folders(part) if find_images(place)]


def _images_below(part: Path) -> list[Path]:
    """Return the images directly in a folder and in the folders below it."""
    return [image for place in (part, *_folders(part)) for image in find_images(place)]


def _columns_beside(root: Path) -> dict[str, list[str]]:
    """Return the values of each column of the CSV files that name images, in lower case."""
    values: dict[str, list[str]] = defaultdict(list)
    for file in find_side_tables(root):
        records = read_csv_records(file)
        if not records or not {name.lower() for name in records[0][1]} & set(KEYS):
            continue
        for line, record in records:
            for said in (record, *nested_records(file, line, record)):
                for name, value in said.items():
                    values[str(name).lower()].append(str(value).strip())
    return values


def _attributes(
    columns: Mapping[str, Iterable[str]], faces: int
) -> tuple[dict[str, list[str]], list[str]]:
    """Return the groups of each column that looks like groups, and what is said of the others."""
    attributes, aside = {}, []
    for name, values in columns.items():
        if name.lower() in _RESERVED:
            continue
        groups = sorted({value for value in values if value.lower() not in NOTHING})
        if _look_like_groups(groups, faces):
            attributes[name] = groups
        elif len(groups) > 1:
            aside.append(name)
    said = []
    if attributes:
        said.append("attributes, from columns that look like groups: " + ", ".join(attributes))
    if aside:
        more = f" and {len(aside) - 8} more" if len(aside) > 8 else ""
        said.append("columns with too many values for groups: " + ", ".join(aside[:8]) + more)
    return attributes, said


def _look_like_groups(groups: Sequence[str], faces: int) -> bool:
    """Tell groups from names and measurements."""
    most = _MOST_NUMBERS if all(_is_number(group) for group in groups) else _MOST_GROUPS
    short = all(len(group) <= 40 and not group.startswith(("{", "[")) for group in groups)
    return 2 <= len(groups) <= most and len(groups) * _FACES_A_GROUP <= faces and short


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _guess_table(file: Path) -> Guess:
    frame = read_frame(file)
    columns = _named_columns(frame, file)
    texts = {
        str(name): frame[name].dropna().astype(str).tolist()
        for name in frame
        if str(name) not in columns.values()
    }
    attributes, said_of_columns = _attributes(texts, len(frame))
    labels = frame[columns["label"]].dropna() if "label" in columns else []
    classes = sorted({str(label) for label in labels})
    root = _image_root(file, frame[columns["source"]].astype(str).tolist())
    reader: dict[str, Any] = {
        "_target_": "facebias.data.readers.tables.read_table",
        "file": str(file),
        "root": str(root),
        "classes": classes,
        "attributes": {name: [] for name in attributes} or None,
        "columns": columns,
        "splits": _split_names(frame[columns["split"]]) if "split" in columns else None,
        "provenance": _PROVENANCE if attributes else "not stated",
    }
    images = [root / source for source in frame[columns["source"]].astype(str)]
    said = [f"{meaning}: the column {name}" for meaning, name in columns.items()]
    said += [_say_classes(classes), *said_of_columns]
    return Guess({"root": str(root), "reader": reader, **_format(images, file)}, said)


def _named_columns(frame: pd.DataFrame, file: Path) -> dict[str, str]:
    """Return meaning: column for what a table says of its faces.

    Raises:
        DataError: if no column names the image.
    """
    there = {str(name).lower(): str(name) for name in reversed(frame.columns)}
    meanings = {"source": KEYS, **_MEANINGS}
    named = {
        meaning: next((there[name] for name in names if name in there), None)
        for meaning, names in meanings.items()
    }
    if named["source"] is None:
        raise DataError(
            f"{file} has the columns {', '.join(map(str, frame.columns[:10]))}",
            f"one of {', '.join(KEYS)} that names the image",
            "rename the column, or write a configuration with data.reader.columns",
        )
    split = named["split"]
    if split is not None and not set(_split_names(frame[split]).values()) <= set(SPLITS):
        named["split"] = None  # says something else
    return {meaning: name for meaning, name in named.items() if name is not None}


def _split_names(column: pd.Series) -> dict[str, str]:
    """Return value: split of a column of splits; what is no split stays as it is."""
    values = sorted({str(value) for value in column.dropna()})
    return {value: _SPLIT_NAMES.get(value.lower(), value) for value in values}


def _image_root(file: Path, sources: Sequence[str]) -> Path:
    """Return the folder that a table's paths start from: its own, or one beside the table."""
    first = sources[:_SAMPLE]
    candidates = [file.parent, *_folders(file.parent)]
    found = {place: sum((place / source).is_file() for source in first) for place in candidates}
    return max(candidates, key=lambda place: found[place])


def _format(images: Sequence[Path], place: Path) -> dict[str, int]:
    """Return height, width and channels to store faces with, from some of the images."""
    step = max(1, len(images) // _SAMPLE)
    headers = read_headers(images[::step])
    if headers.empty:
        raise DataError(
            f"none of {len(images)} images of {place} can be read, the first is "
            f"{os.fspath(images[0]) if images else 'not there'}",
            "images that can be decoded",
            "check the paths, and the files",
        )
    shorter = headers[["width", "height"]].min(axis=1)
    side = int(min(max(shorter.median(), 8), _LARGEST))
    return {"height": side, "width": side, "channels": int(headers["channels"].max())}


def _say_classes(classes: Sequence[str]) -> str:
    if not classes:
        return "no classes: nobody has labelled these faces"
    return f"{len(classes)} classes: {', '.join(classes)}"


def _say_unread(root: Path) -> list[str]:
    """Name the files beside the images that may say groups in a form that is not read."""
    names = sorted(
        place.name
        for place in root.iterdir()
        if place.suffix.lower() in _UNREAD and not place.name.startswith(".")
    )
    if not names:
        return []
    return [f"not read: {', '.join(names[:8])}; groups come from CSV files, or from a table"]


def _say_splits(splits: Mapping[str, str]) -> str:
    if not splits:
        return "no split folders: train, validation and test are drawn"
    return "splits: " + ", ".join(f"{part} is {split}" for part, split in splits.items())
