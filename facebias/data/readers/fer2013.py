"""FER-2013: 35,887 gray faces of 48 x 48 pixels, seven emotions.

    root/fer2013.csv              emotion,pixels,Usage (Training, PublicTest, PrivateTest)
    root/icml_face_data.csv       the same, with spaces in its header: "emotion, Usage, pixels"
    root/fer2013new.csv           FER+: the votes of ten people, row by row as in fer2013.csv

or, as images that others made of it,

    root/train/angry/Training_3908.jpg
    root/test/angry/PrivateTest_88305.jpg, PublicTest_77211.jpg

Goodfellow et al., "Challenges in Representation Learning: A report on three machine learning
contests", ICONIP 2013; layout of the CSV files: the contest's data page. Barsoum et al., "Training
Deep Networks for Facial Expression Recognition with Crowd-Sourced Label Distribution", ICMI 2016;
layout of the votes, and the rule of the majority: the authors' repository FERPlus.

In the CSV file 3 is happy; in the order of the folders' names 3 would be happy too, but 4 neutral
and not sad. So classes are told by name here, and both forms give the same labels. The public test
faces are the validation split, the private ones the test split, in both forms.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.readers.codes import keep_classes
from facebias.data.readers.folders import read_class_folders
from facebias.data.readers.frames import read_frame
from facebias.data.readers.missing import missing_data
from facebias.data.readers.pixel_csv import read_pixel_csv
from facebias.data.table import FaceTable
from facebias.errors import ConfigError, DataError

EMOTIONS = ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # by their codes
VOTES = {  # columns of FER+
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprise",
    "sadness": "sad",
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "contempt": "contempt",
    "unknown": "unknown",
    "NF": "no face",
}
_FILES = ("fer2013.csv", "icml_face_data.csv", "fer2013/fer2013.csv")
_VOTES_FILE = "fer2013new.csv"
_USAGE = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
_CODES = {str(code): name for code, name in enumerate(EMOTIONS)}
_FOLDERS = {"angry": "anger", **{name: name for name in EMOTIONS}}
_SIDE = 48  # pixels
_VOTERS = 10
_SOURCE = (
    "the contest Challenges in Representation Learning on Kaggle (free account; research), the "
    "votes from the repository FERPlus of Microsoft (MIT); Goodfellow et al. 2013, Barsoum et al. "
    "2016"
)


def read_fer2013(
    root: str,
    classes: Sequence[str],
    labels: str = "fer",
    attributes: Mapping[str, Sequence[str]] | None = None,
    provenance: str = "not stated",
) -> FaceTable:
    """Read FER-2013, from its CSV file or from class folders.

    FER+ labels follow the rule of its authors: a label with a single vote counts as none; what has
    more than half of the remaining votes is the label. A face without such a majority, or whose
    majority says unknown or no face, is left out.

    Args:
        root: folder of the CSV file, or of `train/` and `test/`.
        classes: some of anger, disgust, fear, happy, sad, surprise, neutral, and with FER+
            contempt, in the order of the model's outputs; faces of others are left out.
        labels: fer, those of the contest; ferplus, the majority of the votes.
        attributes: for each attribute its groups: columns of the CSV file, or of CSV files beside
            the images.
        provenance: who said what the groups are.

    Returns:
        A row a face; in the CSV form the id is the image name of FER+, `fer0000000.png`.

    Raises:
        DataError: for a missing folder, file or column, a wrong code, with its line, or votes that
            are not of the same faces.
    """
    folder = Path(root).expanduser()
    if labels not in ("fer", "ferplus"):
        raise ConfigError(f"data.reader.labels={labels}", "one of fer, ferplus", "correct it")
    file = next((name for name in _FILES if (folder / name).is_file()), None)
    if file is not None:
        table = _read_csv(folder, file, attributes, provenance)
    elif (folder / "train").is_dir() and labels == "fer":
        table = _read_folders(folder, attributes, provenance)
    else:
        raise missing_data(
            folder,
            "FER+" if labels == "ferplus" else "FER-2013",
            _layout(folder),
            _SOURCE,
        )
    known: tuple[str, ...] = EMOTIONS
    rows = table.rows
    if labels == "ferplus" and file is not None:
        known = tuple(VOTES.values())[:-2]
        rows = _with_votes(rows, folder, file)
    return replace(table, rows=keep_classes(rows, classes, known), classes=tuple(classes))


def _layout(folder: Path) -> str:
    return (
        f"{folder}/fer2013.csv (emotion,pixels,Usage), for FER+ with {_VOTES_FILE} beside it; "
        f"or class folders {folder}/train/angry/*.jpg, {folder}/test/angry/*.jpg"
    )


def _read_csv(
    folder: Path, file: str, attributes: Mapping[str, Sequence[str]] | None, provenance: str
) -> FaceTable:
    """Read the form of the contest."""
    table = read_pixel_csv(
        str(folder),
        _SIDE,
        _SIDE,
        EMOTIONS,
        file=file,
        label_map=_CODES,
        attributes=attributes,
        columns={"label": "emotion", "split": "Usage"},
        splits=_USAGE,
        provenance=provenance,
    )
    numbers = table.rows["source"].str.rpartition("@")[2]
    unsaid = table.rows["split"].isna()
    if unsaid.any():
        line = int(numbers[unsaid].iloc[0]) + 2  # rows from 0, line 1 is the header
        raise DataError(
            f"{folder / file}, line {line}: there is no Usage",
            f"one of {', '.join(_USAGE)}",
            "unpack the file again, or correct the line",
        )
    names = "fer" + numbers.str.zfill(7) + ".png"
    return table.with_rows(table.rows.assign(id=names, identity=names))


def _read_folders(
    folder: Path, attributes: Mapping[str, Sequence[str]] | None, provenance: str
) -> FaceTable:
    """Read the images that others made; their names say which test faces were the public ones."""
    splits = {name: name for name in ("train", "validation", "test") if (folder / name).is_dir()}
    table = read_class_folders(
        str(folder), EMOTIONS, attributes, splits, _FOLDERS, provenance=provenance
    )
    public = table.rows["source"].map(posixpath.basename).str.startswith("PublicTest")
    return table.with_rows(table.rows.assign(split=table.rows["split"].mask(public, "validation")))


def _with_votes(rows: pd.DataFrame, folder: Path, file: str) -> pd.DataFrame:
    """Put the majority of the votes in the place of the labels."""
    places = (folder, (folder / file).parent)
    path = next((each for each in places if (each / _VOTES_FILE).is_file()), folder) / _VOTES_FILE
    if not path.is_file():
        raise missing_data(folder, "FER+", _layout(folder), _SOURCE, path)
    votes = read_frame(path, ["Usage", *VOTES])
    usage = votes["Usage"].map(_USAGE)
    if len(votes) != len(rows) or not np.array_equal(usage.to_numpy(), rows["split"].to_numpy()):
        raise DataError(
            f"{path} has {len(votes):,} rows and {file} {len(rows):,}, or others",
            f"the votes of the faces of {file}, in the same order",
            "take the two files as they were published",
        )
    counts = votes[list(VOTES)].apply(pd.to_numeric, errors="coerce")
    wrong = ~((counts >= 0) & (counts <= _VOTERS)).all(axis=1)
    if wrong.any():
        raise DataError(
            f"{path}, line {wrong.idxmax()}: a vote is no number of people",
            f"0 to {_VOTERS}",
            "correct the line",
        )
    labels, reasons = majority(counts.to_numpy())
    return rows.assign(label=labels, left_out=reasons)


def majority(
    votes: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """Return the label that most people gave, by the rule of FER+ (Barsoum et al. 2016).

    Args:
        votes: (N, 10) counts, in the order of `VOTES`.

    Returns:
        Labels (N,), None where there is none, and why (N,), "" where there is one.

    >>> labels, reasons = majority(np.array([[5, 0, 3, 1, 1, 0, 0, 0, 0, 0], [5, 5] + 8 * [0]]))
    >>> labels.tolist(), reasons.tolist()
    (['neutral', None], ['', 'FER+: no majority'])
    """
    counted = np.where(votes > 1, votes, 0)
    best = counted.argmax(axis=1)
    labels = np.array(list(VOTES.values()), dtype=object)[best]
    reasons = np.full(len(votes), "", dtype=object)
    nobody = best >= len(VOTES) - 2
    reasons[nobody] = "FER+: most say " + labels[nobody]
    reasons[counted.max(axis=1) <= counted.sum(axis=1) / 2] = "FER+: no majority"
    labels[reasons != ""] = None
    return labels, reasons
