"""Face sets from photos: find the face, cut it out in the wanted shape, write down what was done.

    out/faces.csv       a row a cropped face: its file, photo, label, split, groups, score, boxes
    out/images/...      the faces as PNG, at the photos' relative paths; or
    out/pixels.csv      the faces as lines `emotion,pixels`, gray values row by row, and after them
                        split and groups where they are known
    out/misses.csv      a row a photo without a crop, and why
    out/found.csv       the share of faces found, by class and by group
    out/crops.png, out/misses.png   some of them, to look at

A photo in which no face is found is never cropped at its middle: it is a miss.
"""

import csv
import os
import posixpath
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from facebias.data.face_finder import FaceFinder, FoundFace
from facebias.data.found_faces import (
    BAD,
    FOUND,
    MISSES,
    NO_FACE,
    Edges,
    count_found,
    crop_box,
    one_thread_in_opencv,
)
from facebias.data.images import BadImageError, FaceFormat, cut_face, decode_image
from facebias.data.pixel_rows import PixelRow
from facebias.data.readers.folders import find_images, read_class_folders
from facebias.data.store import progress_bar, thread_count
from facebias.data.table import COLUMNS, FaceTable
from facebias.errors import ConfigError, DataError, RunError
from facebias.pictures import Cell, Row, write_rows

FACES, PIXELS = "faces.csv", "pixels.csv"
CROPS_SHEET, MISSES_SHEET = "crops.png", "misses.png"

_IMAGES = "images"
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CHUNK = 256  # photos whose faces are in memory together
_SHOWN, _SHOWN_ROWS = 8, 24  # pictures in a row of a sheet, rows
_LISTED = 5
_EDGES = ("left", "top", "right", "bottom")
_MEASURES = (
    "score",
    "faces",
    *(f"face_{edge}" for edge in _EDGES),
    *(f"crop_{edge}" for edge in _EDGES),
    *(f"{eye}_{axis}" for eye in ("right_eye", "left_eye") for axis in "xy"),
)

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Crops:
    """What became of a set of photos.

    Attributes:
        rows: a row a photo: `file` (the face, below the output folder), `photo`, `label`, `split`,
            a column for each attribute, `score`, `faces` (how many were found), the box of the face
            and of the crop and the eyes in pixels of the upright photo (right is the person's
            right), and `reason`, "" where there is a crop.
        attributes: for each attribute its groups.
    """

    rows: pd.DataFrame
    attributes: Mapping[str, Sequence[str]]

    @property
    def found(self) -> pd.DataFrame:
        """The rows with a crop."""
        return self.rows[self.rows["reason"] == ""].drop(columns="reason")

    @property
    def missed(self) -> pd.DataFrame:
        """The rows without one, and why."""
        missed = self.rows[self.rows["reason"] != ""]
        return missed[["photo", "label", "split", *self.attributes, "reason"]]

    def shares(self) -> pd.DataFrame:
        """Count photos and faces found, of all, by class, by split and by group.

        Returns:
            `by`, `group`, `photos`, `bad` (that cannot be read), `missed`, `found`, and `share`:
            found / (photos - bad), NaN where there are none.
        """
        return count_found(self.rows, self.attributes)


def read_photos(
    root: Path,
    attributes: Mapping[str, Sequence[str]] | None = None,
    columns: Mapping[str, str] | None = None,
) -> FaceTable:
    """Read what there is to crop: class folders, in split folders or not, or loose photos.

    Args:
        root: folder of the photos. Folders directly below it that are called train, validation
            (or val) and test are splits; every other folder's name is the label of its photos.
        attributes: for each attribute its groups, from CSV files below the root, as
            `facebias.data.readers.folders` reads them.
        columns: name of the column for an attribute, or for "source", where it differs.

    Raises:
        DataError: for a folder without photos, photos in folders deeper than that, names that a
            table of faces could not be read back with, links that lead out of the folder.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}", "a folder of photos", "check photos=FOLDER")
    places = [place.relative_to(root).parts for place in _photo_folders(root)]
    if not places:
        raise DataError(f"{root} holds no photos", "images, or class folders of images")
    splits = {part[0]: _SPLIT_NAMES[part[0]] for part in places if _is_split(part)}
    for parts in places:
        _refuse_place(root, parts, splits)
    classes = sorted({parts[-1] for parts in places if len(parts) > bool(splits)})
    photos = read_class_folders(str(root), classes, attributes, splits or None, columns=columns)
    _refuse_names(photos)
    _refuse_links_outside(photos)
    return photos


def _photo_folders(root: Path) -> list[Path]:
    """Return every folder that holds images, the root included."""
    found = []
    for place, folders, _ in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if find_images(Path(place)):
            found.append(Path(place))
    return found


def _is_split(parts: Sequence[str]) -> bool:
    return bool(parts) and parts[0] in _SPLIT_NAMES


def _refuse_place(root: Path, parts: Sequence[str], splits: Mapping[str, str]) -> None:
    """Refuse photos that lie where neither a class nor a split says what they are."""
    if len(parts) > 1 + bool(splits) or (splits and not _is_split(parts)):
        layout = "SPLIT/CLASS/*" if splits else "CLASS/*"
        raise DataError(
            f"{root.joinpath(*parts)} holds photos",
            f"photos in {root / layout}"
            + (f", as {', '.join(splits)} are splits" if splits else ", or all of them loose"),
            "move them, or crop each folder alone with photos=FOLDER",
        )


def _refuse_names(photos: FaceTable) -> None:
    """Refuse names that would not come back from a CSV file as they are."""
    for source in photos.rows["source"]:
        blanks = any(part != part.strip() for part in posixpath.dirname(source).split("/"))
        if blanks or _CONTROL.search(source):
            raise DataError(
                f"{photos.root} has a photo {source!r}",
                "names without control characters, and folders without blanks around their names",
                "rename it",
            )


def _refuse_links_outside(photos: FaceTable) -> None:
    """Refuse links to photos elsewhere: whoever made the folder would choose what is copied."""
    root = photos.root.resolve()
    for source in photos.used()["source"]:
        photo = photos.root / source
        if not photo.resolve().is_relative_to(root):
            raise DataError(
                f"{photo} is a link that leads out of {photos.root}, to {photo.resolve()}",
                "photos below the folder",
                "copy the photo to its place, or crop the folder that it comes from",
            )


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What became of one photo: a face and where it lies, or why there is none."""

    reason: str = ""
    pixels: Pixels | None = None
    measures: tuple[float, ...] = (float("nan"),) * len(_MEASURES)
    file: str | None = None


def _crop_photo(source: Path, face_format: FaceFormat, finder: FaceFinder) -> _Outcome:
    try:
        photo = decode_image(source)
        faces = finder.find(photo)
        if not faces:
            return _Outcome(NO_FACE)
        crop = crop_box(faces[0].box, photo.size, face_format)
        pixels = cut_face(photo, replace(face_format, margin=0.0), crop).pixels
    except BadImageError as error:
        return _Outcome(f"{BAD}: {error.reason}")
    return _Outcome("", pixels, _measured(faces, crop))


def _measured(faces: Sequence[FoundFace], crop: Edges) -> tuple[float, ...]:
    """Return the values of `_MEASURES`."""
    eyes = faces[0].points[:2].ravel().tolist()
    places = [round(place, 2) for place in (*faces[0].box, *crop, *eyes)]
    return (round(faces[0].score, 4), len(faces), *places)


def crop_photos(
    photos: FaceTable,
    folder: Path,
    face_format: FaceFormat,
    *,
    form: str = "images",
    workers: int | None = None,
) -> Crops:
    """Crop the largest face of each photo into a new folder.

    The folder appears whole or not at all. The result does not depend on the number of workers.

    Args:
        photos: as `read_photos` returns them.
        folder: of the faces; new or empty, outside of the photos' folder.
        face_format: size, channels and margin of the faces.
        form: "images" (PNG at the photos' relative paths) or "pixel_csv" (gray only).
        workers: threads; by default one for each core that may be used.

    Raises:
        ConfigError: for a pixel CSV in colour.
        DataError: if two photos would become one file, photos lack the label that a pixel CSV
            needs, no face is found at all, or the folder is not new.
        RunError: if the folder cannot be written.
    """
    write = _write_images if form == "images" else _write_pixels
    used, finder = photos.used(), FaceFinder()
    _refuse_form(used, form, face_format)
    sources = [photos.root / source for source in used["source"]]

    def crop(row: int) -> _Outcome:
        return _crop_photo(sources[row], face_format, finder)

    with _new_folder(folder, photos.root) as partial, one_thread_in_opencv():
        outcomes = write(partial, used, crop, thread_count(workers))
        crops = Crops(_table(photos, outcomes), photos.attributes)
        _refuse_nothing(crops)
        for name, table in ((FACES, crops.found), (MISSES, crops.missed), (FOUND, crops.shares())):
            table.to_csv(partial / name, index=False)
        _draw_sheets(crops, photos.root, partial)
    return crops


def _refuse_form(used: pd.DataFrame, form: str, face_format: FaceFormat) -> None:
    if form == "images":
        return
    if face_format.channels != 1:
        raise ConfigError(
            "a pixel CSV holds gray faces, and gray is false", "gray=true", "or use form=images"
        )
    if used["label"].isna().any():
        raise DataError(
            f"{used['source'][used['label'].isna()].iloc[0]} has no label",
            "a label for each line of a pixel CSV",
            "put the photos in class folders, or use form=images",
        )


def _write_images(
    folder: Path, used: pd.DataFrame, crop: Callable[[int], _Outcome], workers: int
) -> list[_Outcome]:
    """Write each face to a PNG file of its own."""
    files = _image_files(used["source"])

    def write(row: int) -> _Outcome:
        outcome = crop(row)
        if outcome.pixels is None:
            return outcome
        path = folder / files[row]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(outcome.pixels.squeeze()).save(path, format="PNG")
        return replace(outcome, pixels=None, file=files[row])

    return list(_in_threads(write, len(used), workers))


def _image_files(sources: Iterable[str]) -> list[str]:
    """Return where each photo's face goes, below the output folder."""
    files: dict[str, str] = {}
    for source in sources:
        file = f"{_IMAGES}/{posixpath.splitext(source)[0]}.png"
        if file in files:
            raise DataError(
                f"the faces of {files[file]} and {source} would both be {file}",
                "photos of one folder whose names differ in more than their suffixes",
                "rename one of them",
            )
        files[file] = source
    return list(files)


def _write_pixels(
    folder: Path, used: pd.DataFrame, crop: Callable[[int], _Outcome], workers: int
) -> list[_Outcome]:
    """Write the faces to one CSV file, in the order of the photos, with split and groups if any."""
    said = list(used.columns.difference(COLUMNS, sort=False))
    said = [*(["split"] if used["split"].notna().any() else []), *said]
    besides = used[said].itertuples(index=False, name=None)
    outcomes, line = [], 0
    with (folder / PIXELS).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("emotion", "pixels", *said))
        for outcome, label, words in zip(
            _in_threads(crop, len(used), workers), used["label"], besides, strict=True
        ):
            if outcome.pixels is not None:
                high, wide = outcome.pixels.shape[:2]
                values = " ".join(map(str, outcome.pixels.ravel().tolist()))
                writer.writerow((label, values, *words))
                source = PixelRow(PIXELS, "pixels", wide, high, line).source
                outcome, line = replace(outcome, pixels=None, file=source), line + 1
            outcomes.append(outcome)
    return outcomes


def _in_threads(work: Callable[[int], _Outcome], count: int, workers: int) -> Iterator[_Outcome]:
    """Yield the outcome of each row, in order."""
    bar = progress_bar("cropping faces", count)
    with bar as advance, ThreadPoolExecutor(workers, thread_name_prefix="crop") as pool:
        for start in range(0, count, _CHUNK):  # in chunks, so that few faces wait in memory
            rows = range(start, min(start + _CHUNK, count))
            yield from pool.map(work, rows)
            advance(len(rows))


def _table(photos: FaceTable, outcomes: Sequence[_Outcome]) -> pd.DataFrame:
    """Return a row for each photo, and for each line of a CSV file that names none."""
    names = ["label", "split", *photos.attributes]
    used, absent = photos.used(), photos.rows[photos.rows["left_out"] != ""]
    rows = used[names].reset_index(drop=True)
    rows.insert(0, "file", [outcome.file for outcome in outcomes])
    rows.insert(1, "photo", used["source"].tolist())
    measures = np.array([outcome.measures for outcome in outcomes]).reshape(-1, len(_MEASURES))
    rows[list(_MEASURES)] = measures
    rows["faces"] = rows["faces"].astype("Int64")
    rows["reason"] = [outcome.reason for outcome in outcomes]
    others = absent[names].assign(photo=absent["source"], reason=absent["left_out"])
    return pd.concat([rows, others], ignore_index=True) if len(others) else rows


def _refuse_nothing(crops: Crops) -> None:
    """Refuse a set without a single face."""
    if crops.found.empty:
        listed = [f"{row.photo}: {row.reason}" for row in crops.missed.head(_LISTED).itertuples()]
        raise DataError(
            "\n  ".join([f"no face was found in {len(crops.rows):,} photos, such as", *listed]),
            "photos of faces that take up a good part of them, upright",
            "look at the photos",
        )


@contextmanager
def _new_folder(folder: Path, photos: Path) -> Iterator[Path]:
    """Give a folder to fill; it takes the final name when the block ends well."""
    folder = folder.absolute()
    if folder.resolve().is_relative_to(photos.resolve()):
        raise DataError(f"{folder} lies in the folder of the photos", "a place outside")
    partial = None
    todo = "free some space and give the same command again, or choose another with out=FOLDER"
    try:
        if folder.exists() and any(folder.iterdir()):
            raise DataError(f"{folder} is not empty", "a new folder", "choose another out=FOLDER")
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(".partial", f".{folder.name}.", folder.parent))
        yield partial
        partial.chmod(0o755)  # the temporary folder was this user's only
        if folder.exists():
            folder.rmdir()  # empty
        partial.rename(folder)
    except OSError as error:
        raise RunError(
            f"{folder} cannot be written: {error.strerror or error}",
            "a folder that can be written to, with free space",
            todo,
        ) from error
    except RunError as error:
        found = error.found.replace(str(partial), str(folder))  # which is gone by then
        raise RunError(found, error.expected, todo) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


def _draw_sheets(crops: Crops, photos: Path, folder: Path) -> None:
    """Draw some crops of each class, and some of the photos without a face."""
    found, missed = crops.found, crops.missed[crops.missed["reason"] == NO_FACE]
    title = f"{len(found):,} faces cropped from {crops.shares()['photos'].iloc[0]:,} photos"
    _draw_sheet(folder / CROPS_SHEET, found, folder, "file", title)
    if len(missed):
        title = f"{len(missed):,} photos in which no face was found"
        _draw_sheet(folder / MISSES_SHEET, missed, photos, "photo", title)


def _draw_sheet(path: Path, rows: pd.DataFrame, root: Path, named: str, title: str) -> None:
    """Draw a row for each class: faces that stand at equal distances in the table."""
    labels = rows["label"].astype(object).fillna("no label")
    shown = []
    for label in sorted(set(labels))[:_SHOWN_ROWS]:
        faces = rows[labels == label]
        places = np.unique(np.linspace(0, len(faces) - 1, _SHOWN).round().astype(int))
        cells = [
            Cell(np.asarray(decode_image(root / face[named])), posixpath.basename(face["photo"]))
            for face in faces.iloc[places].to_dict(orient="records")
        ]
        shown.append(Row(label, cells))
    write_rows(path, shown, title=title, note="each class: some of its photos, at equal distances")
