"""FairFace: 97,698 photos of faces, balanced by race, with gender, race and age.

    root/fairface_label_train.csv    file,age,gender,race,service_test
    root/fairface_label_val.csv      val/1.jpg,3-9,Male,East Asian,False
    root/train/1.jpg, root/val/1.jpg

Karkkainen and Joo, "FairFace: Face Attribute Dataset for Balanced Race, Gender, and Age for Bias
Measurement and Mitigation", WACV 2021; layout: the authors' repository FairFace, either margin.
The official validation split is our test split; ours comes from train. `service_test` marks the
faces with which the authors tested commercial services, evenly by gender and race.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from facebias.data.readers.codes import decode, keep_classes, other_groups
from facebias.data.readers.frames import read_frame, refuse_twice, refuse_wrong_paths
from facebias.data.readers.missing import missing_data
from facebias.data.table import COLUMNS, UNKNOWN, FaceTable

_RACES = ("White", "Black", "Latino_Hispanic", "East Asian", "Southeast Asian", "Indian")
_YEARS = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69")
# What a column may say: the names of the groups here.
CODES = {
    "gender": {"Female": "female", "Male": "male"},
    "race": {name: name.lower().replace(" ", "_") for name in (*_RACES, "Middle Eastern")},
    "age": {**{name: name for name in _YEARS}, "more than 70": "70+"},
}
GROUPS = {name: tuple(codes.values()) for name, codes in CODES.items()}
PROVENANCE = "annotators, by looking at the photo (Karkkainen and Joo 2021)"
_FILES = {"train": "fairface_label_train.csv", "test": "fairface_label_val.csv"}


def read_fairface(
    root: str,
    classes: Sequence[str],
    target: str = "gender",
    attributes: Mapping[str, Sequence[str]] | None = None,
    provenance: str = PROVENANCE,
) -> FaceTable:
    """Read FairFace.

    Args:
        root: folder of the two CSV files and of `train/` and `val/`.
        classes: groups of the target, in the order of the model's outputs; faces of others are
            left out.
        target: gender, race or age: what the label is.
        attributes: gender, race or age, and the groups of each, [] for all; that of the target is
            passed over.
        provenance: who said what the groups are.

    Returns:
        A row a face, with `service_test` as a further column.

    Raises:
        DataError: for a missing folder, file or column, or a group that FairFace does not have,
            with the line.
    """
    folder = Path(root).expanduser()
    declared = other_groups(attributes, GROUPS, target)
    parts = [_read(folder, split, file, {target, *declared}) for split, file in _FILES.items()]
    rows = pd.concat(parts, ignore_index=True)
    rows["label"] = rows[target].where(rows[target] != UNKNOWN, None)
    rows = keep_classes(rows, classes, GROUPS[target])
    rows = rows[[*COLUMNS, *declared, "service_test"]]
    return FaceTable(rows, folder, tuple(classes), declared, provenance)


def _read(folder: Path, split: str, file: str, wanted: set[str]) -> pd.DataFrame:
    """Read one of the two CSV files."""
    path = folder / file
    there = path.is_file()
    frame = read_frame(path, ["file", *CODES, "service_test"]) if there else pd.DataFrame()
    if not there or not (folder / str(frame["file"].iloc[0])).is_file():
        raise missing_data(
            folder,
            "FairFace",
            f"{folder}/{{{', '.join(_FILES.values())}}} and the images that they name, "
            f"{folder}/train/1.jpg and {folder}/val/1.jpg",
            "the repository FairFace of its authors (CC BY 4.0); Karkkainen and Joo, WACV 2021",
        )
    refuse_wrong_paths(frame["file"], path, "file", folder)
    refuse_twice(frame["file"], path)
    said = {name: decode(frame[name], CODES[name], path, name).fillna(UNKNOWN) for name in wanted}
    return pd.DataFrame(
        {
            "id": frame["file"],
            "source": frame["file"],
            "identity": frame["file"],
            "split": split,
            "left_out": "",
            **said,
            "service_test": frame["service_test"].str.lower() == "true",
        }
    )
