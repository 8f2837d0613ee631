"""Class folders: `[split/]class/image.png`, with CSV files that give the groups.

    root/train/happy/im749.png        the label is the folder's name
    root/train/happy/metadata.csv     says more about the images below its folder
    root/test/...

Without split folders the classes lie directly below the root; without class folders the faces
have no labels, which is enough to predict them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from facebias.data.readers.side_tables import SideRow, read_side_table
from facebias.data.table import COLUMNS, UNKNOWN, FaceTable
from facebias.errors import DataError

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
        provenance: who said what the groups are.

    Returns:
        A row for each image and for each line that names an image that is not there; an image
        without a line has the group "unknown".

    Raises:
        DataError: for a missing or empty folder, an unknown class, a CSV file that cannot be read.
    """
    folder = Path(root).expanduser()
    attributes = attributes or {}
    _refuse_missing(folder, classes, splits or {})
    records: list[dict[str, str | None]] = []
    for part, split in (splits or {"": None}).items():
        records += _read_split(folder, folder / part, split, classes, label_map or {})
    _refuse_unlike(records, folder, classes, splits or {})
    side_rows = [
        row
        for file in sorted(folder.rglob("*.csv"))
        for row in read_side_table(file, attributes, columns or {})
    ]
    records += _join(records, side_rows, folder, attributes)
    declared = {name: tuple(groups) or _seen(records, name) for name, groups in attributes.items()}
    rows = pd.DataFrame.from_records(records, columns=[*COLUMNS, *attributes])
    return FaceTable(rows, folder, tuple(classes), declared, provenance)


def find_images(folder: Path) -> list[Path]:
    """Return the images directly in a folder, by name."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )


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
) -> list[dict[str, str | None]]:
    """Return a record for each image of one split."""
    records = []
    found = [path for path in sorted(folder.iterdir()) if path.is_dir() and find_images(path)]
    for place in found:
        label = label_map.get(place.name, place.name)
        if label not in classes:
            raise DataError(
                f"{folder} has a folder {place.name!r} with {len(find_images(place))} images",
                f"folders named as the classes {', '.join(classes)}",
                f"map it to a class with label_map: {{{place.name}: CLASS}}, or move it away",
            )
        records += [_record(root, path, label, split) for path in find_images(place)]
    loose = find_images(folder)
    if loose and found:
        raise DataError(
            f"{folder} has {len(loose)} images beside its class folders",
            "every image in the folder of its class",
            "move them",
        )
    return records + [_record(root, path, None, split) for path in loose]


def _record(root: Path, path: Path, label: str | None, split: str | None) -> dict[str, str | None]:
    source = path.relative_to(root).as_posix()
    return {
        "id": source,
        "source": source,
        "label": label,
        "identity": source,
        "split": split,
        "left_out": "",
    }


def _refuse_unlike(
    records: Sequence[Mapping[str, str | None]],
    folder: Path,
    classes: Sequence[str],
    splits: Mapping[str, str],
) -> None:
    """Refuse a data set without images, or with classes that a split lacks."""
    if not records:
        raise DataError(
            f"{folder} holds no images", f"images ({', '.join(sorted(IMAGE_SUFFIXES))})"
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


def _join(
    records: list[dict[str, str | None]],
    side_rows: Sequence[SideRow],
    root: Path,
    attributes: Mapping[str, Sequence[str]],
) -> list[dict[str, str | None]]:
    """Put groups into the records; return a record for each line whose image is missing."""
    for record in records:
        record.update(dict.fromkeys(attributes, UNKNOWN))
    by_key = _keys(records, root)
    missing: dict[str, dict[str, str | None]] = {}
    for row in side_rows:
        found = by_key.get(row.file.parent, {}).get(row.key.lower(), [])
        for record in found:
            known = {name: group for name, group in row.groups.items() if group != UNKNOWN}
            _refuse_contradiction(record, known, row)
            record.update(known)
        if not found:
            source = (row.file.parent / row.key).relative_to(root).as_posix()
            missing[source] = _record(root, root / source, None, None) | {
                "left_out": f"no image: named in {row.file.name}, line {row.line}",
                **dict.fromkeys(attributes, UNKNOWN),
            }
    return list(missing.values())


def _keys(
    records: Sequence[dict[str, str | None]], root: Path
) -> dict[Path, dict[str, list[dict[str, str | None]]]]:
    """Index records by each folder above them, and there by path, file name and bare name."""
    index: dict[Path, dict[str, list[dict[str, str | None]]]] = {}
    for record in records:
        path = root / str(record["source"])
        for folder in path.relative_to(root).parents:
            place = index.setdefault(root / folder, {})
            inside = path.relative_to(root / folder).as_posix()
            for key in {inside.lower(), path.name.lower(), path.stem.lower()}:
                place.setdefault(key, []).append(record)
    return index


def _refuse_contradiction(
    record: Mapping[str, str | None], groups: Mapping[str, str], row: SideRow
) -> None:
    for name, group in groups.items():
        if record[name] not in (UNKNOWN, group):
            raise DataError(
                f"{row.file}, line {row.line}: {name} of {record['source']} is {group!r}, "
                f"and {record[name]!r} in another line",
                "one value",
                "correct one of the lines",
            )


def _seen(records: Sequence[Mapping[str, str | None]], attribute: str) -> tuple[str, ...]:
    return tuple(sorted({str(record[attribute]) for record in records} - {UNKNOWN}))
