"""CelebA: 202,599 photos of 10,177 celebrities, with 40 attributes of two values each.

Liu, Luo, Wang & Tang (2015), "Deep Learning Face Attributes in the Wild", ICCV. As the authors give
it out (lists in Anno/ and Eval/, images in Img/), flat as torchvision lays it, or with CSV lists:

    root/list_attr_celeba.txt      line 1: the number of faces; line 2: the names of the attributes
        202599
        5_o_Clock_Shadow Arched_Eyebrows ... Young
        000001.jpg -1  1 ...  1
    root/list_attr_celeba.csv      image_id,5_o_Clock_Shadow,...  with -1 and 1, or 0 and 1
    root/list_eval_partition.txt   000001.jpg 0   (0 train, 1 validation, 2 test); or .csv
    root/identity_CelebA.txt       000001.jpg 2880
    root/list_landmarks_align_celeba.txt  five points of the aligned image; or .csv
    root/img_align_celeba/000001.jpg      178 x 218 pixels; also img_align_celeba/img_align_celeba/

Photos in the wild lie in img_celeba/; their faces are cut out by list_bbox_celeba.

What the labels cannot say: annotators looked at photos and had two answers. Male and Young are
impressions, not what people say of themselves; nobody could answer otherwise, and Pale_Skin tells
pale from everything else. No person is in two of the official splits.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.readers.frames import refuse_twice, require_columns
from facebias.data.readers.missing import image_folder, missing_data
from facebias.data.table import BOX, COLUMNS, LANDMARKS, FaceTable
from facebias.errors import DataError

logger = logging.getLogger(__name__)

_NAME = "CelebA"
_LAYOUT = (
    "list_attr_celeba.txt, list_eval_partition.txt and img_align_celeba/000001.jpg; or the same "
    "in Anno/, Eval/ and Img/; or lists as .csv"
)
_SOURCE = (
    "the site of its authors, the Multimedia Laboratory of the Chinese University of Hong Kong "
    "(Liu et al. 2015), whose agreement allows non-commercial research only"
)
_LIST_FOLDERS = ("", "Anno", "Eval")
_ALIGNED = ("img_align_celeba", "img_align_celeba/img_align_celeba", "Img/img_align_celeba")
_WILD = ("img_celeba", "img_celeba/img_celeba", "Img/img_celeba")
_SPLITS = {0: "train", 1: "validation", 2: "test"}
_CORNER = ("x_1", "y_1", "width", "height")
_IMAGE = "image_id"
_CHOOSE = (
    "choose attributes of the list: data.reader.target, and data.reader.attributes, whose columns "
    "data.reader.columns names: {ATTRIBUTE: COLUMN}"
)


def read_celeba(
    root: str,
    target: str,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]] | None = None,
    columns: Mapping[str, str] | None = None,
    provenance: str = "not stated",
) -> FaceTable:
    """Read CelebA with any of its attributes as the label and any others as groups.

    Args:
        root: the data set's folder.
        target: the attribute that is the label, such as Smiling.
        classes: what -1 (or 0) and 1 of it are called, in this order.
        attributes: for each attribute what -1 (or 0) and 1 are called. One whose column is the
            target is left out: it would be the label once more.
        columns: CelebA's name of an attribute, where it differs: {gender: Male}.
        provenance: who said what the groups are.

    Returns:
        The faces with the official splits, the person as identity where identity_CelebA.txt is
        there, the five landmarks where they are, and boxes where the images are in the wild.

    Raises:
        DataError: for a missing folder, list or attribute, a value that is none, a line with
            more or fewer values than there are columns, a face that stands twice, a list that lacks
            faces, or other than two groups.
    """
    folder = Path(root).expanduser()
    found = _find(folder, "list_attr_celeba")
    if found is None:
        raise missing_data(folder, _NAME, _LAYOUT, _SOURCE)
    asked = {
        name: (columns or {}).get(name, name)
        for name in attributes or {}
        if (columns or {}).get(name, name) != target
    }
    for groups in (classes, *(attributes or {}).values()):
        _refuse_other_than_two(groups)
    listed = _read(found, [target, *asked.values()])
    rows = pd.DataFrame({"left_out": "", "label": _named(listed, target, classes)})
    declared = {name: tuple((attributes or {})[name]) for name in asked}
    for name, column in asked.items():
        rows[name] = _named(listed, column, declared[name])
    rows = _with_places(rows, folder, listed)
    rows["split"] = _splits(folder, listed)
    rows["identity"] = _identities(folder, listed)
    kept = [name for name in (*COLUMNS, *declared, *BOX, LANDMARKS) if name in rows]
    return FaceTable(rows[kept], folder, tuple(classes), declared, provenance)


def _refuse_other_than_two(groups: Sequence[str]) -> None:
    if len(set(groups)) != 2:
        raise DataError(
            f"{', '.join(groups) or 'nothing'} for an attribute of CelebA",
            "two names: of -1 (or 0) and of 1",
            "correct data.reader.classes and data.reader.attributes",
        )


@dataclass(frozen=True)
class _List:
    """A list of CelebA: the numbers that it says of each image, in the order of its lines."""

    file: Path
    first: int  # line of the first image
    images: pd.Index
    numbers: pd.DataFrame  # NaN where there is none

    def line(self, row: int) -> str:
        return f"{self.file}, line {self.first + row}"

    def of(self, listed: "_List") -> pd.DataFrame:
        """Return what it says of the images of another list, in their order."""
        if self.images.equals(listed.images):
            return self.numbers
        absent = ~listed.images.isin(self.images)
        if absent.any():
            raise DataError(
                f"{self.file} lacks {absent.sum():,} images of {listed.file}, the first is "
                f"{listed.images[absent][0]}",
                "a line for each",
                "take both files from one release",
            )
        return self.numbers.set_axis(self.images).loc[listed.images].reset_index(drop=True)


def _find(folder: Path, name: str) -> Path | None:
    files = (folder / place / f"{name}{end}" for place in _LIST_FOLDERS for end in (".txt", ".csv"))
    return next((file for file in files if file.is_file()), None)


def _read(file: Path, columns: Sequence[str] | None = None) -> _List:
    """Read a list: CSV, or columns with spaces between, with or without count and names."""
    skipped, count, names = _header(file)
    columns = names[1:] if columns is None else list(dict.fromkeys(columns))
    require_columns(pd.DataFrame(columns=names), file, columns, _CHOOSE)
    _refuse_unlike(file, skipped, len(names))
    try:
        frame = pd.read_csv(
            file,
            sep="," if file.suffix == ".csv" else r"\s+",
            header=None,
            names=names,
            usecols=[_IMAGE, *columns],
            index_col=False,
            skiprows=skipped,
            dtype={_IMAGE: str},
            low_memory=False,
            na_filter=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file}: {str(error).strip()}", f"lines of {len(names)} columns"
        ) from error
    if count is not None and count != len(frame):
        raise DataError(
            f"{file} says {count:,} faces in line 1 and lists {len(frame):,}",
            "as many as it says",
            "unpack it again",
        )
    frame.index += skipped + 1
    refuse_twice(frame[_IMAGE], file)
    images = pd.Index(frame[_IMAGE].astype(object))
    values = frame[list(columns)].reset_index(drop=True)
    numbers = values.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    return _List(file, skipped + 1, images, numbers)


def _refuse_unlike(file: Path, skipped: int, values: int) -> None:
    """Refuse a line with other than a value for each name: all behind a gap would be misread."""
    separator = "," if file.suffix == ".csv" else None
    with file.open(encoding="utf-8-sig", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            found = line.split(separator)
            if number > skipped and len(found) != values and line.strip():
                raise DataError(
                    f"{file}, line {number}: {found[0]} has {len(found) - 1} values",
                    f"{values - 1}, one for each column",
                    "correct the line, or unpack the file again",
                )


def _header(file: Path) -> tuple[int, int | None, list[str]]:
    """Return the lines before the first image, the count in them, and the names of the columns."""
    separator = "," if file.suffix == ".csv" else None
    with file.open(encoding="utf-8-sig", errors="replace") as stream:
        lines = [[part.strip() for part in stream.readline().split(separator)] for _ in range(3)]
    if separator:
        return 1, None, [_IMAGE, *lines[0][1:]]
    if len(lines[0]) == 1 and lines[0][0].isdigit():
        named = lines[1][1:] if lines[1][:1] == [_IMAGE] else lines[1]
        return 2, int(lines[0][0]), [_IMAGE, *named]
    return 0, None, [_IMAGE, "value"]  # partition and identity


def _named(listed: _List, column: str, groups: Sequence[str]) -> npt.NDArray[np.object_]:
    """Return the groups of a column: the first where it is -1 or 0, the second where it is 1."""
    numbers = listed.numbers[column]
    found = set(numbers.unique())
    if not (found <= {-1, 1} or found <= {0, 1}):
        wrong = ~numbers.isin((-1, 0, 1))
        if not wrong.any():  # both ways at once: 0 may stand for "not known"
            wrong = numbers == 0
        row = int(wrong.argmax())
        raise DataError(
            f"{listed.line(row)} ({listed.images[row]}): {column} is {_shown(numbers[row])}",
            "-1 or 1 in the whole column, or 0 or 1",
            "correct it",
        )
    return _pick(groups, (numbers == 1).to_numpy(np.int64))


def _pick(names: Sequence[str], places: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
    """Return the name at each of these places."""
    picked: npt.NDArray[np.object_] = np.array(names, object)[places]
    return picked


def _shown(number: float) -> str:
    return "no number" if np.isnan(number) else f"{number:g}"


def _splits(folder: Path, listed: _List) -> npt.NDArray[np.object_]:
    """Return the official split of each face, None where the list is not there."""
    file = _find(folder, "list_eval_partition")
    if file is None:
        logger.warning("%s has no list_eval_partition: splits are drawn", folder)
        return np.full(len(listed.images), None, object)
    partition = _read(file)
    wrong = ~partition.numbers.iloc[:, 0].isin(list(_SPLITS))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{partition.line(row)}: the split is {_shown(partition.numbers.iloc[row, 0])}",
            "0 (train), 1 (validation) or 2 (test)",
            "correct it",
        )
    codes = partition.of(listed).iloc[:, 0].to_numpy(np.int64)
    return _pick(list(_SPLITS.values()), codes)


def _identities(folder: Path, listed: _List) -> npt.NDArray[np.object_]:
    """Return the person in each photo, or the photo where nobody says who it is."""
    file = _find(folder, "identity_CelebA")
    if file is None:
        return np.asarray(listed.images, object)
    people = _read(file)
    unnamed = people.numbers.iloc[:, 0].isna()
    if unnamed.any():
        raise DataError(f"{people.line(int(unnamed.argmax()))} has no person's number", "a number")
    numbers = people.of(listed).iloc[:, 0].astype(int).astype(str)
    return np.asarray("person" + numbers, object)


def _with_places(rows: pd.DataFrame, folder: Path, listed: _List) -> pd.DataFrame:
    """Add where each face is: its image, the landmarks, and the box if the image is a photo."""
    images = image_folder(folder, (*_ALIGNED, *_WILD), listed.images[:10].tolist(), listed.file)
    sources = images + "/" + pd.Series(listed.images, dtype=object)
    rows = rows.assign(id=listed.images.to_numpy(object), source=sources)
    wild = images in _WILD
    if wild:
        rows = _with_boxes(rows, folder, listed)
    points = _find(folder, "list_landmarks_celeba" if wild else "list_landmarks_align_celeba")
    if points is not None:
        found = _read(points).of(listed).to_numpy(np.float32)
        rows[LANDMARKS] = pd.Series(list(found), dtype=object)
    return rows


def _with_boxes(rows: pd.DataFrame, folder: Path, listed: _List) -> pd.DataFrame:
    """Add the boxes of faces in the wild; a few of CelebA's are empty."""
    file = _find(folder, "list_bbox_celeba")
    if file is None:
        raise DataError(
            f"{folder} has photos in the wild and no list_bbox_celeba",
            "the list of the faces' boxes, or aligned images in img_align_celeba",
            "unpack it",
        )
    left, top, width, height = (
        _read(file, _CORNER).of(listed)[name].to_numpy() for name in _CORNER
    )
    there = (width > 0) & (height > 0)
    for name, edge in zip(BOX, (left, top, left + width, top + height), strict=True):
        rows[name] = np.where(there, edge, np.nan)
    rows["left_out"] = np.where(there, "", "no box of the face").astype(object)
    return rows
