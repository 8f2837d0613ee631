"""RAF-DB, the basic subset: 15,339 faces, seven emotions, with gender, race and age.

    root/EmoLabel/list_patition_label.txt               (sic) lines as `train_00001.jpg 5`
    root/Image/aligned/train_00001_aligned.jpg          100 x 100 pixels
    root/Image/original/train_00001.jpg                 the whole photo
    root/Annotation/manual/train_00001_manu_attri.txt   five landmarks, a line each, `x y`; then
                                                        gender, race, age, a line each
    root/Annotation/boundingbox/train_00001_boundingbox.txt    left top right bottom

or, as it is on Kaggle, without attributes,

    root/train_labels.csv, root/test_labels.csv         image,label
    root/DATASET/train/5/train_00001_aligned.jpg

The codes begin at 1. Li, Deng and Du, "Reliable Crowdsourcing and Deep Locality-Preserving Learning
for Expression Recognition in the Wild", CVPR 2017; layout and codes: the data set's readme.
Landmarks and boxes are in pixels of the original photo.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from facebias.data.readers.codes import decode, keep_classes, other_groups
from facebias.data.readers.frames import read_frame, refuse_twice, refuse_wrong_paths
from facebias.data.readers.missing import missing_data
from facebias.data.table import BOX, COLUMNS, LANDMARKS, UNKNOWN, FaceTable
from facebias.errors import ConfigError, DataError

_NAMES = ("surprise", "fear", "disgust", "happy", "sad", "anger", "neutral")
EMOTIONS = {str(code): name for code, name in enumerate(_NAMES, start=1)}
# The three lines below the landmarks, in this order.
CODES = {
    "gender": {"0": "male", "1": "female", "2": UNKNOWN},
    "race": {"0": "caucasian", "1": "african_american", "2": "asian"},
    "age": {"0": "0-3", "1": "4-19", "2": "20-39", "3": "40-69", "4": "70+"},
}
GROUPS = {
    "gender": ("female", "male"),
    "race": tuple(CODES["race"].values()),
    "age": tuple(CODES["age"].values()),
}
PROVENANCE = "annotators, by looking at the photo (Li et al. 2017)"
_LABELS = ("EmoLabel/list_patition_label.txt", "EmoLabel/list_partition_label.txt")
_KAGGLE = {"train": "train_labels.csv", "test": "test_labels.csv"}
_POINTS = 5  # landmarks: the eyes, the nose, the corners of the mouth
_NUMBERS = 2 * _POINTS + len(CODES)  # in a file of attributes


def read_rafdb(
    root: str,
    classes: Sequence[str],
    images: str = "aligned",
    attributes: Mapping[str, Sequence[str]] | None = None,
    provenance: str = PROVENANCE,
) -> FaceTable:
    """Read the basic subset of RAF-DB.

    Args:
        root: the folder `basic`, or the one above it; or that of the Kaggle form.
        classes: some of surprise, fear, disgust, happy, sad, anger, neutral, in the order of the
            model's outputs; faces of others are left out.
        images: aligned; or original, with landmarks, and boxes where the data set has them.
        attributes: gender, race or age, and the groups of each, [] for all. Who is marked as
            "unsure" is unknown.
        provenance: who said what the groups are.

    Raises:
        DataError: for a missing folder or file, or a wrong code, with file and line.
    """
    above = Path(root).expanduser()
    if images not in ("aligned", "original"):
        raise ConfigError(f"data.reader.images={images}", "one of aligned, original", "correct it")
    declared = other_groups(attributes, GROUPS)
    folder = next((each for each in (above, above / "basic") if _labels_of(each)), above)
    labels = _labels_of(folder)
    if labels is not None:
        rows = _read_official(folder, labels, images, bool(declared))
    elif all((above / name).is_file() for name in _KAGGLE.values()) and images == "aligned":
        rows = _read_kaggle(above, bool(declared))
    else:
        raise missing_data(
            above,
            "RAF-DB",
            f"{above}/{_LABELS[0]} and {above}/Image/{images}/*.jpg, unpacked; or, aligned and "
            f"without attributes, {above}/train_labels.csv, test_labels.csv, DATASET/train/1/*.jpg",
            "its authors on request (research, not commercial); Li, Deng and Du, CVPR 2017",
        )
    rows = keep_classes(rows.reset_index(drop=True), classes, _NAMES)
    kept = [name for name in (*BOX, LANDMARKS) if name in rows and images == "original"]
    return FaceTable(
        rows[[*COLUMNS, *declared, *kept]], folder, tuple(classes), declared, provenance
    )


def _labels_of(folder: Path) -> Path | None:
    """Return the file of labels, under the name that it was published with or the right one."""
    return next((folder / name for name in _LABELS if (folder / name).is_file()), None)


def _read_official(folder: Path, file: Path, images: str, with_groups: bool) -> pd.DataFrame:
    """Read the form of the authors."""
    labels = _read_labels(file)
    stems = labels["name"].str.removesuffix(".jpg")
    ending = "_aligned.jpg" if images == "aligned" else ".jpg"
    rows = _rows(f"Image/{images}/" + stems + ending, stems, labels["label"])
    _refuse_no_images(folder, rows)
    if with_groups or images == "original":
        rows = rows.join(_read_attributes(folder, stems))
    if images == "original" and (folder / "Annotation" / "boundingbox").is_dir():
        rows = rows.join(_read_boxes(folder, stems))
    return rows


def _read_labels(path: Path) -> pd.DataFrame:
    """Read the names and the labels of all faces."""
    lines = pd.Series(path.read_text(encoding="utf-8", errors="replace").splitlines())
    lines.index = pd.RangeIndex(1, len(lines) + 1)
    lines = lines[lines.str.strip() != ""]
    parts = lines.str.extract(r"^\s*((?:train|test)_\d+\.jpg)\s+(\S+)\s*$")
    wrong = parts.isna().any(axis=1)
    if wrong.any() or parts.empty:
        line = wrong.idxmax() if wrong.any() else 1
        raise DataError(
            f"{path}, line {line}: {lines.get(line, '')!r}",
            "lines as `train_00001.jpg 5`",
            "take the file as it was published",
        )
    refuse_twice(parts[0], path)
    return pd.DataFrame({"name": parts[0], "label": decode(parts[1], EMOTIONS, path, "the label")})


def _rows(sources: pd.Series, stems: pd.Series, labels: pd.Series) -> pd.DataFrame:
    """Return the reserved columns; a name says the split."""
    return pd.DataFrame(
        {
            "id": stems,
            "source": sources,
            "label": labels,
            "identity": stems,
            "split": stems.str.partition("_")[0],
            "left_out": "",
        }
    )


def _refuse_no_images(folder: Path, rows: pd.DataFrame) -> None:
    first = rows["source"].iloc[0]
    if not (folder / first).is_file():
        raise DataError(
            f"{folder} has no image {first}",
            "the images that its labels name",
            "unpack the images, or choose others with data.reader.images (aligned, original)",
        )


def _read_attributes(folder: Path, stems: pd.Series) -> pd.DataFrame:
    """Read the groups and the landmarks of each face; who has no file is unknown."""
    place = folder / "Annotation" / "manual"
    if not place.is_dir():
        raise DataError(
            f"{folder} has no folder Annotation/manual",
            "a file NAME_manu_attri.txt a face, with its gender, race and age",
            "unpack manual.zip, or read no groups with data.reader.attributes=null",
        )
    numbers = _read_numbers(place, stems, "_manu_attri.txt", _NUMBERS)
    points = numbers[list(range(2 * _POINTS))].astype(float)
    there = points.notna().all(axis=1)
    landmarks = pd.Series([list(row) for row in points.to_numpy()], index=stems.index, dtype=object)
    told = {LANDMARKS: landmarks.where(there, None)}
    named = numbers.set_axis(stems)
    for number, (name, codes) in enumerate(CODES.items()):
        groups = _decoded(named[2 * _POINTS + number], codes, place, _POINTS + 1 + number)
        told[name] = groups.set_axis(stems.index)
    return pd.DataFrame(told)


def _decoded(column: pd.Series, codes: Mapping[str, str], place: Path, line: int) -> pd.Series:
    """Decode one line of the files of attributes, whose names are the index."""
    wrong = column.notna() & ~column.isin(list(codes))
    if wrong.any():
        file = place / f"{wrong.idxmax()}_manu_attri.txt"
        listed = ", ".join(f"{code} ({name})" for code, name in codes.items())
        raise DataError(
            f"{file}, line {line}: {column[wrong.idxmax()]!r}", f"one of {listed}", "correct it"
        )
    return column.map(dict(codes)).fillna(UNKNOWN)


def _read_boxes(folder: Path, stems: pd.Series) -> pd.DataFrame:
    """Read the box of each face; who has no file has none."""
    place = folder / "Annotation" / "boundingbox"
    numbers = _read_numbers(place, stems, "_boundingbox.txt", len(BOX))
    return numbers.astype(float).set_axis(list(BOX), axis=1)


def _read_numbers(place: Path, stems: pd.Series, ending: str, count: int) -> pd.DataFrame:
    """Read a small file of numbers for each face, as text; nothing where there is no file."""
    records: list[list[str | None]] = []
    for stem in stems:
        path = place / f"{stem}{ending}"
        try:
            words: list[str | None] = [*path.read_text(encoding="utf-8", errors="replace").split()]
        except FileNotFoundError:
            words = [None] * count
        if len(words) != count or not all(word is None or _is_number(word) for word in words):
            raise DataError(
                f"{path} has other than {count} numbers", f"{count} numbers", "unpack it again"
            )
        records.append(words)
    return pd.DataFrame(records, index=stems.index, dtype=object)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _read_kaggle(folder: Path, with_groups: bool) -> pd.DataFrame:
    """Read the form of Kaggle: aligned images in folders named as their codes."""
    if with_groups:
        raise DataError(
            f"{folder} says no gender, race or age: the Kaggle form of RAF-DB has none",
            "Annotation/manual of the data set as its authors give it out",
            "read no groups with data.reader.attributes=null, or add them with data.side_table",
        )
    parts = []
    for split, file in _KAGGLE.items():
        frame = read_frame(folder / file, ["image", "label"])
        refuse_wrong_paths(frame["image"], folder / file, "image", folder)
        refuse_twice(frame["image"], folder / file)
        labels = decode(frame["label"], EMOTIONS, folder / file, "the label")
        sources = f"DATASET/{split}/" + frame["label"] + "/" + frame["image"]
        stems = frame["image"].str.removesuffix(".jpg").str.removesuffix("_aligned")
        parts.append(_rows(sources, stems, labels).assign(split=split))
    rows = pd.concat(parts, ignore_index=True)
    _refuse_no_images(folder, rows)
    return rows
