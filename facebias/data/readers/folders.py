"""Class folders: `[split/]class/image.png`, with CSV files that give the groups.

    root/train/happy/im749.png        the label is the folder's name
    root/train/happy/metadata.csv     says more about the images below its folder
    root/test/...

Without split folders the classes lie directly below the root; without class folders the faces
have no labels, which is enough to predict them. Files and folders whose names begin with a dot are
not read.
"""

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from facebias.data.readers.side_tables import SideRow, read_side_table
from facebias.data.table import COLUMNS, UNKNOWN, FaceTable
from facebias.errors import ConfigError, DataError

Record = dict[str, str | None]

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
)


def read_class_folders(
    root: str,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]] | None = None,
    splits: Mapping[str, str] | None = None,
    label_map: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    identity_pattern: str | None = None,
    provenance: str = "not stated",
) -> FaceTable:
    """Read faces whose folder names their class.

    Args:
        root: the data set's folder.
        classes: labels, in the order of the model's outputs.
        attributes: for each attribute its groups; no groups declares those that are found.
        splits: name of a folder below the root: train, validation or test. Empty: no splits.
        label_map: name of a folder: its class, where they differ.
        columns: name of the column for an attribute, or for "source", where it differs.
        identity_pattern: regular expression whose group is the person in a file name, such as
            `(S[0-9]+)_` in `S010_004_00000017.png`; None: each image is a person of its own.
        provenance: who said what the groups are.

    Returns:
        A row for each image and for each line that names an image that is not there; an image
        without a line has the group "unknown".

    Raises:
        DataError: for a missing or empty folder, an unknown class, a CSV file that cannot be read,
            a file name that does not say the person.
    """
    folder = Path(root).expanduser()
    attributes = attributes or {}
    _refuse_missing(folder, classes, splits or {})
    records: list[Record] = []
    parts: Mapping[str, str | None] = splits or {"": None}
    for part, split in parts.items():
        records += _read_split(folder, folder / part, split, classes, label_map or {})
    _refuse_unlike(records, folder, classes, splits or {})
    if identity_pattern is not None:
        _name_people(records, identity_pattern)
    side_rows = [
        row
        for file in find_side_tables(folder)
        for row in read_side_table(file, attributes, columns or {})
    ]
    records += _join(records, side_rows, folder, attributes)
    declared = {name: tuple(groups) or _seen(records, name) for name, groups in attributes.items()}
    rows = pd.DataFrame.from_records(records, columns=[*COLUMNS, *attributes])
    return FaceTable(rows, folder, tuple(classes), declared, provenance)


def find_images(folder: Path) -> list[Path]:
    """Return the images directly in a folder, by name.

    Raises:
        DataError: for a name that is not text in UTF-8.
    """
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if not entry.name.startswith(".")
            and posixpath.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES
            and entry.is_file()
        ]
    for name in names:
        _refuse_undecodable(folder, name)
    return [folder / name for name in sorted(names)]


def _refuse_undecodable(folder: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{folder} has an image whose name is not UTF-8: {os.fsencode(name)!r}",
            "file names in UTF-8",
            "rename it",
        ) from error


def find_side_tables(folder: Path) -> list[Path]:
    """Return the CSV files at any depth below a folder, by path."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(place, name)
            for name in files
            if name.lower().endswith(".csv") and not name.startswith(".")
        ]
    return sorted(found)


def _refuse_missing(folder: Path, classes: Sequence[str], splits: Mapping[str, str]) -> None:
    layout = f"{'/'.join([str(folder), *([next(iter(splits))] if splits else [])])}/<class>/*.png"
    if not folder.is_dir():
        raise DataError(
            f"there is no folder {folder}",
            f"a data set laid out as {layout}, classes {', '.join(classes)}",
            "give the folder with data.root=FOLDER",
        )
    for part in splits:
        if not (folder / part).is_dir():
            raise DataError(
                f"{folder} has no folder {part!r}",
                f"a data set laid out as {layout}",
                "check data.root, and data.reader.splits",
            )


def _read_split(
    root: Path,
    folder: Path,
    split: str | None,
    classes: Sequence[str],
    label_map: Mapping[str, str],
) -> list[Record]:
    """Return a record for each image of one split."""
    records, named = [], 0
    for place in sorted(folder.iterdir()):
        if place.name.startswith(".") or not place.is_dir():
            continue
        images, label = find_images(place), label_map.get(place.name, place.name)
        _refuse_class_folder(place, len(images), label, classes)
        records += _records(root, place, images, label, split)
        named += bool(images)
    loose = find_images(folder)
    if loose and named:
        raise DataError(
            f"{folder} has {len(loose)} images beside its class folders",
            "every image in the folder of its class",
            "move them",
        )
    return records + _records(root, folder, loose, None, split)


def _refuse_class_folder(place: Path, images: int, label: str, classes: Sequence[str]) -> None:
    """Refuse a class without images, and images without a class; other folders are let be."""
    if images and label not in classes:
        raise DataError(
            f"{place.parent} has a folder {place.name!r} with {images} images",
            f"folders named as the classes {', '.join(classes)}",
            f"map it to a class with label_map: {{{place.name}: CLASS}}, or move it away",
        )
    if not images and label in classes:
        raise DataError(
            f"{place} has no images directly in it",
            f"images ({', '.join(sorted(IMAGE_SUFFIXES))})",
            "put the images there, or move the folder away",
        )


def _records(
    root: Path, folder: Path, images: Sequence[Path], label: str | None, split: str | None
) -> list[Record]:
    below = folder.relative_to(root).as_posix()
    return [_record(posixpath.normpath(f"{below}/{path.name}"), label, split) for path in images]


def _record(source: str, label: str | None, split: str | None) -> Record:
    return {
        "id": source,
        "source": source,
        "label": label,
        "identity": source,
        "split": split,
        "left_out": "",
    }


def _refuse_unlike(
    records: Sequence[Record],
    folder: Path,
    classes: Sequence[str],
    splits: Mapping[str, str],
) -> None:
    """Refuse a data set without images, or with classes that a split lacks."""
    if not records:
        raise DataError(
            f"{folder} holds no images",
            f"images ({', '.join(sorted(IMAGE_SUFFIXES))}), or folders named as the classes "
            f"{', '.join(classes)} that hold them",
            "check data.root, and data.reader.splits if its folders are splits",
        )
    for part, split in splits.items():
        seen = {record["label"] for record in records if record["split"] == split}
        empty = [name for name in classes if name not in seen]
        if empty:
            raise DataError(
                f"{folder / part} has no images of {', '.join(empty)}",
                f"images of every class: {', '.join(classes)}",
                "add them, or leave the class out of data.reader.classes",
            )


def _name_people(records: Sequence[Record], pattern: str) -> None:
    """Put the person that a file name says into each record."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"data.reader.identity_pattern={pattern!r} is no regular expression ({error})",
            "one such as (S[0-9]+)_",
        ) from error
    if expression.groups != 1:
        raise ConfigError(
            f"data.reader.identity_pattern={pattern!r} has {expression.groups} groups",
            "one group, which is the person, such as (S[0-9]+)_",
        )
    for record in records:
        found = expression.match(posixpath.basename(str(record["source"])))
        if found is None or not found[1]:
            raise DataError(
                f"the name of {record['source']} does not say the person",
                f"names that begin as {pattern}",
                "correct data.reader.identity_pattern, or move the image away",
            )
        record["identity"] = found[1]


def _join(
    records: list[Record],
    side_rows: Sequence[SideRow],
    root: Path,
    attributes: Mapping[str, Sequence[str]],
) -> list[Record]:
    """Put groups into the records; return a record for each line whose image is missing."""
    for record in records:
        record.update(dict.fromkeys(attributes, UNKNOWN))
    folders = {
        file: file.parent.relative_to(root).as_posix() for file in {r.file for r in side_rows}
    }
    by_source = {str(record["source"]): record for record in records}
    by_name = _names(records, set(folders.values()))
    missing: dict[str, Record] = {}
    for row in side_rows:
        source = _named(row, root, folders[row.file])
        exact = by_source.get(source)
        found = [exact] if exact else by_name[folders[row.file]].get(row.key.lower(), [])
        _refuse_ambiguous(row, found)
        for record in found:
            known = {name: group for name, group in row.groups.items() if group != UNKNOWN}
            _refuse_contradiction(record, known, row)
            record.update(known)
        if not found:
            missing[source] = _record(source, None, None) | {
                "left_out": f"no image: named in {row.file.name}, line {row.line}",
                **dict.fromkeys(attributes, UNKNOWN),
            }
    return list(missing.values())


def _refuse_ambiguous(row: SideRow, found: Sequence[Record]) -> None:
    """Refuse a file name that several images have; a bare name may be a person's, in several."""
    if len(found) > 1 and posixpath.splitext(row.key)[1].lower() in IMAGE_SUFFIXES:
        raise DataError(
            f"{row.file}, line {row.line}: {row.key} names {len(found)} images, "
            f"{found[0]['source']} and {found[1]['source']} among them",
            "a line that names one image",
            "write the path from the folder of the CSV file, such as CLASS/NAME.png",
        )


def _named(row: SideRow, root: Path, folder: str) -> str:
    """Return the path below the root that a line names, which need not exist."""
    source = posixpath.normpath(posixpath.join(folder, row.key.replace("\\", "/")))
    if source.startswith("/") or source.split("/")[0] == ".." or row.key[1:2] == ":":
        raise DataError(
            f"{row.file}, line {row.line}: {row.key!r} leads out of {root}",
            "the path of an image, from the folder of the CSV file, or its bare name",
            "correct the line",
        )
    return source


def _names(
    records: Sequence[Record], folders: Container[str]
) -> defaultdict[str, dict[str, list[Record]]]:
    """Index records by each of the folders above them, and there by path, file name and stem."""
    index: defaultdict[str, dict[str, list[Record]]] = defaultdict(dict)
    for record in records:
        source = str(record["source"]).lower()
        name = posixpath.basename(source)
        for folder, inside in _above(str(record["source"])):
            if folder in folders:
                for key in {inside.lower(), name, posixpath.splitext(name)[0]}:
                    index[folder].setdefault(key, []).append(record)
    return index


def _above(source: str) -> Iterator[tuple[str, str]]:
    """Yield each folder above a path, and the path from there."""
    place = source
    while place := posixpath.dirname(place):
        yield place, source[len(place) + 1 :]
    yield ".", source


def _refuse_contradiction(record: Record, groups: Mapping[str, str], row: SideRow) -> None:
    for name, group in groups.items():
        if record[name] not in (UNKNOWN, group):
            raise DataError(
                f"{row.file}, line {row.line}: {name} of {record['source']} is {group!r}, "
                f"and {record[name]!r} in another line",
                "one value",
                "correct one of the lines",
            )


def _seen(records: Sequence[Record], attribute: str) -> tuple[str, ...]:
    return tuple(sorted({str(record[attribute]) for record in records} - {UNKNOWN}))
