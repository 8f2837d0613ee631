"""AffectNet: half a million faces from the web, with expression, valence and arousal.

Mollahosseini, Hasani & Mahoor (2017), "AffectNet: A Database for Facial Expression, Valence, and
Arousal Computing in the Wild", IEEE Transactions on Affective Computing 10(1), 18-31 (2019; online
2017). It is given out in two forms, and both are read. Whole photos with lists, whose columns are
those of the authors' description of the manually annotated part:

    root/Manually_Annotated_file_lists/training.csv     or below the root, or Manually_Annotated/
    root/Manually_Annotated_file_lists/validation.csv
    root/Manually_Annotated/Manually_Annotated_Images/689/737db24.jpg  or Manually_Annotated_Images/

    subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,...
    689/737db24.jpg,134,134,899,899,181.64;530.91;...,1,0.785714,-0.055556

and cut faces of 224 pixels with arrays (the authors' later and smaller release of eight
expressions), each of which holds a text:

    root/train_set/images/12.jpg            root/val_set/...
    root/train_set/annotations/12_exp.npy   "1"; 12_val.npy, 12_aro.npy; 12_lnd.npy: 136 numbers

Some public copies of the lists have no header line; the columns are the same. The form with
arrays is not in the paper: its layout is the one that published loaders of it read. Nobody says in
AffectNet who the people are, nor their gender, age or skin: groups come from `data.side_table`.
The official validation set is the test split, as no other labelled test set is given out.
"""

import logging
import math
import os
import time
import tokenize
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from facebias.data.readers.folders import IMAGE_SUFFIXES
from facebias.data.readers.frames import read_frame, refuse_wrong_paths
from facebias.data.readers.missing import image_folder, missing_data
from facebias.data.store import progress_bar, thread_count
from facebias.data.table import BOX, COLUMNS, FaceTable
from facebias.errors import DataError

logger = logging.getLogger(__name__)

# The expressions in the order of their codes 0 to 7, and how they are valued.
EXPRESSIONS = {
    "neutral": "neutral",
    "happy": "positive",
    "sad": "negative",
    "surprise": "positive",
    "fear": "negative",
    "disgust": "negative",
    "anger": "negative",
    "contempt": "negative",
}
TARGETS = {"expression": tuple(EXPRESSIONS), "valence": ("negative", "neutral", "positive")}

_NAME = "AffectNet"
_LAYOUT = (
    "Manually_Annotated_file_lists/{training,validation}.csv with "
    "Manually_Annotated/Manually_Annotated_Images/; or "
    "{train_set,val_set}/{images/ID.jpg,annotations/ID_exp.npy}"
)
_SOURCE = (
    "its authors' site (Mollahosseini, Hasani & Mahoor 2017), under a licence agreement that a "
    "research institution signs"
)
_LISTS = {"training.csv": "train", "validation.csv": "test"}
_LIST_FOLDERS = ("", "Manually_Annotated_file_lists", "Manually_Annotated")
_IMAGE_FOLDERS = (
    "Manually_Annotated_Images",
    "Manually_Annotated/Manually_Annotated_Images",
    "Manually_Annotated_compressed/Manually_Annotated_Images",
)
_SETS = {"train_set": "train", "val_set": "test"}
_PATH, _POINTS = "subDirectory_filePath", "facial_landmarks"
_CORNER = ("face_x", "face_y", "face_width", "face_height")
_SCORES = {"valence": "valence_score", "arousal": "arousal_score"}
_LISTED = (_PATH, *_CORNER, _POINTS, "expression", *_SCORES)
_UNUSED = {8: "none", 9: "uncertain", 10: "no face"}  # codes that are no expressions
_MISSING = -2  # the valence and arousal of a face that nobody rated
_NUMBERS = 136  # of 68 landmarks
_LARGEST = 1 << 16  # bytes of an array that are read
# What a header that is no Python literal leads numpy to.
_DAMAGED = (
    ValueError, TypeError, SyntaxError, tokenize.TokenError, OverflowError, MemoryError,
    RecursionError,
)  # fmt: skip
_CHUNK = 500  # faces that a thread reads at a time


def read_affectnet(
    root: str,
    target: str = "expression",
    classes: Sequence[str] = tuple(EXPRESSIONS),
) -> FaceTable:
    """Read AffectNet in the form that lies in the root.

    Args:
        root: the data set's folder.
        target: what the label is: expression or valence (of the expression, as of generated faces).
        classes: labels, in the order of the model's outputs; a face with another is left out.

    Returns:
        Beside the columns of every FaceTable `expression`, `valence` (negative, neutral, positive),
        `valence_score` and `arousal_score` (-1 to 1, NaN where nobody rated them), `landmarks`
        (68 points, None for a face that is left out), and in the form with lists the face's box.
        Left out are the codes 8 to 10, faces without a box or an annotation, and faces whose
        valence or arousal is beyond -1 and 1.

    Raises:
        DataError: for a missing folder, file or column, a code or number that is none, a path that
            leads out of the root, a target or a class that does not exist.
    """
    folder = Path(root).expanduser()
    _refuse_other_target(target, classes)
    lists = next((folder / name for name in _LIST_FOLDERS if _has_list(folder / name)), None)
    if lists is not None:
        faces = _read_lists(folder, lists)
    elif any((folder / name / "annotations").is_dir() for name in _SETS):
        faces = pd.concat([_read_arrays(folder, *item) for item in _SETS.items()])
    else:
        raise missing_data(folder, _NAME, _LAYOUT, _SOURCE)
    rows = _rows(faces.reset_index(drop=True), target, classes)
    return FaceTable(rows, folder, tuple(classes))


def _refuse_other_target(target: str, classes: Sequence[str]) -> None:
    if target not in TARGETS or not set(classes) <= set(TARGETS[target]):
        raise DataError(
            f"data.reader.target={target} with the classes {', '.join(classes)}",
            "; or ".join(
                f"{name} with some of {', '.join(all_)}" for name, all_ in TARGETS.items()
            ),
            "change data.reader.target and data.reader.classes together",
        )


def _rows(faces: pd.DataFrame, target: str, classes: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a FaceTable.

    Args:
        faces: `source`, `split`, `code` (NaN where there is none), `left_out` and what is kept.
        target: as for `read_affectnet`.
        classes: as for `read_affectnet`.
    """
    expressions = faces["code"].map(dict(enumerate(EXPRESSIONS))).astype(object)
    valences = expressions.map(EXPRESSIONS).astype(object)
    faces = faces.assign(
        expression=expressions.where(expressions.notna(), None),
        valence=valences.where(valences.notna(), None),
        left_out=_why_left_out(faces, expressions),
    )
    faces = _without_wrong_scores(faces)
    unwanted = (faces["left_out"] == "") & ~faces[target].isin(classes)
    why = faces[target].astype(str) + " is none of the classes"
    faces["left_out"] = faces["left_out"].mask(unwanted, why)
    faces["label"] = faces[target].where(faces["left_out"] == "", None)
    faces["id"] = _unique(faces["source"])
    faces["identity"] = faces["id"]
    kept = ("expression", "valence", *_SCORES.values(), *BOX, "landmarks")
    return faces[[*COLUMNS, *(name for name in kept if name in faces)]]


def _without_wrong_scores(faces: pd.DataFrame) -> pd.DataFrame:
    """Leave out the faces whose scores are none; -2 says that nobody rated the face."""
    scores = faces[list(_SCORES.values())].replace(_MISSING, np.nan)
    wrong = scores.abs() > 1
    beyond = wrong.any(axis=1) & (faces["left_out"] == "")
    left_out = faces["left_out"].mask(beyond, "valence or arousal is beyond -1 and 1")
    return faces.assign(**scores.mask(wrong), left_out=left_out)


def _why_left_out(faces: pd.DataFrame, expressions: pd.Series) -> pd.Series:
    codes = faces["code"].map(_UNUSED)
    reason = "no expression: " + codes.astype(object).where(codes.notna(), "")
    return faces["left_out"].mask((faces["left_out"] == "") & expressions.isna(), reason)


def _unique(sources: pd.Series) -> pd.Series:
    """Return the sources as ids; the second row of a photo that is listed twice has `#2`."""
    nth = sources.groupby(sources).cumcount() + 1
    return sources.where(nth == 1, sources + "#" + nth.astype(str))


# Whole photos with lists


def _has_list(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _LISTS)


def _read_lists(folder: Path, lists: Path) -> pd.DataFrame:
    """Return the faces of both lists."""
    faces = pd.concat([_read_list(folder, lists / name, split) for name, split in _LISTS.items()])
    used = faces.loc[faces["left_out"] == "", "source"]
    images = image_folder(folder, _IMAGE_FOLDERS, used.tolist(), lists / "training.csv")
    return faces.assign(source=images + "/" + faces["source"])


def _read_list(folder: Path, file: Path, split: str) -> pd.DataFrame:
    """Return the faces of one list; paths are as the list has them."""
    if not file.is_file():
        raise missing_data(folder, _NAME, _LAYOUT, _SOURCE, file)
    frame = read_frame(file, _LISTED, names=_LISTED if _is_headless(file) else None)
    refuse_wrong_paths(frame[_PATH], file, _PATH, folder)
    codes = _numbers(frame, "expression", file)
    _refuse_codes(codes, frame, file)
    left, top, width, height = (_numbers(frame, name, file) for name in _CORNER)
    boxed = (width > 0) & (height > 0)
    faces = pd.DataFrame({"source": frame[_PATH].astype(object), "split": split, "code": codes})
    faces["left_out"] = pd.Series("", frame.index, dtype=object).mask(~boxed, "no face was found")
    for name, score in _SCORES.items():
        faces[score] = _numbers(frame, name, file, optional=True)
    for name, edge in zip(BOX, (left, top, left + width, top + height), strict=True):
        faces[name] = edge.where(boxed)
    used = boxed & ~codes.isin(list(_UNUSED))
    faces["landmarks"] = _landmarks(frame[_POINTS].where(used, None), file)
    return faces


def _is_headless(file: Path) -> bool:
    """Tell whether the first line of a list is a face already, as in some public copies."""
    with file.open(encoding="utf-8-sig", errors="replace") as stream:
        first = [part.strip().strip('"') for part in stream.readline().split(",")]
    an_image = Path(first[0]).suffix.lower() in IMAGE_SUFFIXES
    return len(first) == len(_LISTED) and an_image and first[_LISTED.index("expression")].isdigit()


def _numbers(frame: pd.DataFrame, column: str, file: Path, optional: bool = False) -> pd.Series:
    """Return a column of text as numbers; the index is the line in the file."""
    numbers = pd.to_numeric(frame[column], errors="coerce").astype(np.float64)
    wrong = numbers.isna() & (frame[column].notna() if optional else True)
    if wrong.any():
        line = wrong.idxmax()
        raise DataError(f"{file}, line {line}: {column} is {frame.at[line, column]!r}", "a number")
    return numbers


def _refuse_codes(codes: pd.Series, frame: pd.DataFrame, file: Path) -> None:
    wrong = ~codes.isin(range(len(EXPRESSIONS) + len(_UNUSED)))
    if wrong.any():
        line = wrong.idxmax()
        raise _wrong_code(f"{file}, line {line}", frame.at[line, "expression"])


def _wrong_code(place: str, code: object) -> DataError:
    known = [*EXPRESSIONS, *_UNUSED.values()]
    return DataError(
        f"{place}: expression is {code!r}",
        ", ".join(f"{number} {name}" for number, name in enumerate(known)),
        "correct it",
    )


def _landmarks(texts: pd.Series, file: Path) -> pd.Series:
    """Return the points of each text `x;y;x;y;...`, None where there are not 68 of them."""
    values: npt.NDArray[np.object_] = np.full(len(texts), None, object)
    for start in range(0, len(texts), 10_000):  # a piece at a time: the parts are large
        whole, points = _split_points(texts.iloc[start : start + 10_000], file)
        for place, row in zip(np.flatnonzero(whole), points, strict=True):
            values[start + place] = row
    found = pd.Series(values, texts.index, dtype=object)
    unlike = texts.notna() & found.isna()
    if unlike.any():
        logger.warning(
            "%s: %s faces have other than 68 landmarks, the first in line %s: they have none",
            *(file, f"{unlike.sum():,}", unlike.idxmax()),
        )
    return found


def _split_points(
    texts: pd.Series, file: Path
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Return which texts have 136 numbers, and these (N, 136)."""
    parts = pc.split_pattern(pa.array(texts, pa.string(), from_pandas=True), ";")
    whole = pc.fill_null(pc.equal(pc.list_value_length(parts), _NUMBERS), False)
    flat = pc.list_flatten(parts.filter(whole))
    try:
        numbers = np.asarray(pc.cast(pc.utf8_trim_whitespace(flat), pa.float32()))
        _refuse_infinite(numbers)
    except ValueError as error:  # what pyarrow raises, too
        raise DataError(
            f"{file}, lines {texts.index[0]} to {texts.index[-1]}: {_POINTS}: {error}",
            "136 numbers with ; between",
            "correct them",
        ) from error
    return np.asarray(whole, dtype=bool), numbers.reshape(-1, _NUMBERS)


def _refuse_infinite(numbers: npt.NDArray[np.float32]) -> None:
    if not np.isfinite(numbers).all():
        raise ValueError("a number is not finite")


# Cut faces with arrays


def _read_arrays(folder: Path, part: str, split: str) -> pd.DataFrame:
    """Return the faces of `train_set` or `val_set`."""
    start = time.perf_counter()
    place = folder / part
    images, annotations = (_listed(folder, place / name) for name in ("images", "annotations"))
    names = sorted(name for name in images if Path(name).suffix.lower() in IMAGE_SUFFIXES)
    if not names:
        raise DataError(f"{place / 'images'} has no images", "images as 12.jpg", "unpack them")
    stems = [name.rpartition(".")[0] for name in names]
    read = partial(_read_annotations, place / "annotations", frozenset(annotations))
    told = _in_threads(read, stems, f"reading annotations of {part}")
    faces = pd.DataFrame(told, columns=["code", *_SCORES.values(), "landmarks"])
    logger.info(
        "%s: %s annotated faces in %.0f seconds",
        *(part, f"{len(faces):,}", time.perf_counter() - start),
    )
    faces["left_out"] = np.where(faces["code"].isna(), "no annotation of the expression", "")
    faces["left_out"] = faces["left_out"].astype(object)
    return faces.assign(source=[f"{part}/images/{name}" for name in names], split=split)


def _listed(root: Path, folder: Path) -> list[str]:
    if not folder.is_dir():
        raise missing_data(root, _NAME, _LAYOUT, _SOURCE, folder)
    return os.listdir(folder)


Told = tuple[float, float, float, npt.NDArray[np.float32] | None]


def _in_threads(read: Callable[[str], Told], stems: Sequence[str], what: str) -> list[Told]:
    """Read the annotations of all faces: a million small files, most of the time is waiting."""
    chunks = [stems[start : start + _CHUNK] for start in range(0, len(stems), _CHUNK)]
    told: list[Told] = []
    with ThreadPoolExecutor(thread_count(None)) as threads, progress_bar(what, len(stems)) as bar:
        for part in threads.map(lambda chunk: [read(stem) for stem in chunk], chunks):
            told += part
            bar(len(part))
    return told


def _read_annotations(folder: Path, there: frozenset[str], stem: str) -> Told:
    """Return code, valence, arousal and landmarks of a face; NaN and None where there is none."""
    code, valence, arousal = (
        _scalar(f"{folder}/{name}") if (name := f"{stem}_{kind}.npy") in there else np.nan
        for kind in ("exp", "val", "aro")
    )
    if not (np.isnan(code) or code in range(len(EXPRESSIONS) + len(_UNUSED))):
        raise _wrong_code(f"{folder}/{stem}_exp.npy", code)
    name = f"{stem}_lnd.npy"
    wanted = code in range(len(EXPRESSIONS)) and name in there
    points = _points(f"{folder}/{name}") if wanted else None
    return code, valence, arousal, points


def _scalar(file: str) -> float:
    """Return the number that an array holds, as text or as a number."""
    array = _read_array(file)
    try:
        return float(array.reshape(()).item())
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{file} holds {array.tolist()!r}", "one number", "unpack it again"
        ) from error


def _points(file: str) -> npt.NDArray[np.float32]:
    array = _read_array(file)
    try:
        points = array.reshape(_NUMBERS).astype(np.float32)
        _refuse_infinite(points)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{file} holds {array.size} values of {array.dtype} ({error})",
            "136 numbers, x and y of 68 points",
            "unpack it again",
        ) from error
    return points


def _read_array(file: str) -> npt.NDArray[np.generic]:
    """Read a .npy file; of those that hold Python objects nothing is run.

    Several times as fast as `numpy.load`, which reads the same few headers a million times.
    """
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        content = os.read(descriptor, _LARGEST)
    finally:
        os.close(descriptor)
    end = 10 + int.from_bytes(content[8:10], "little")
    try:
        shape, order, kind = _header(content[:end])
        values = np.frombuffer(content, kind, math.prod(shape), end)
        return values.reshape(shape, order=order)
    except _DAMAGED as error:
        raise DataError(
            f"{file} is no array of text or numbers ({error})",
            "a .npy file as AffectNet has them",
            "unpack it again",
        ) from error


@lru_cache(maxsize=256)  # a few headers are those of all files
def _header(header: bytes) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype[np.generic]]:
    stream = BytesIO(header)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("another version of the format")
    shape, by_columns, kind = np.lib.format.read_array_header_1_0(stream)
    if kind.hasobject:
        raise ValueError("it holds Python objects")
    return shape, "F" if by_columns else "C", kind
