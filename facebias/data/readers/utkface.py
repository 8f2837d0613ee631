"""UTKFace: some 23,700 faces whose names say age, gender and race.

    root/61_1_3_20170109150557335.jpg            age_gender_race_date
    root/61_1_3_20170109150557335.jpg.chip.jpg   the same face, aligned and cut out
    root/part1/..., root/part2/...               or in folders

Age in years, 0 to 116; gender 0 male, 1 female; race 0 White, 1 Black, 2 Asian, 3 Indian, 4 others
(as Hispanic, Latino, Middle Eastern). Zhang, Song and Qi, "Age Progression/Regression by
Conditional Adversarial Autoencoder", CVPR 2017; layout of the names: the data set's page. The
authors estimated the labels by the DEX algorithm and had a person check them.

A few names lack a field, such as `61_1_20170109142408075.jpg.chip.jpg`, whose race would be read
as 20170109142408075: they are left out and listed. Others have a space or no dot before `jpg`;
nothing of what they say is missing.
"""

import os
import posixpath
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pandas as pd

from facebias.data.readers.codes import keep_classes, other_groups
from facebias.data.readers.folders import find_images
from facebias.data.readers.missing import missing_data
from facebias.data.table import COLUMNS, UNKNOWN, FaceTable
from facebias.errors import ConfigError

GENDERS = {"0": "male", "1": "female"}
RACES = {"0": "white", "1": "black", "2": "asian", "3": "indian", "4": "other"}
PROVENANCE = "estimated by a model (DEX), checked by a person (Zhang et al. 2017)"
_OLDEST = 116  # years
# The date has 17 digits; shorter ones are dates all the same, but longer than any age or code.
_NAME = r"(?P<years>[0-9]{1,3})_(?P<gender>[0-9])_(?P<race>[0-9])_[0-9]{8,}"


def read_utkface(
    root: str,
    classes: Sequence[str],
    age_bands: Mapping[str, Sequence[int]],
    target: str = "gender",
    attributes: Mapping[str, Sequence[str]] | None = None,
    provenance: str = PROVENANCE,
) -> FaceTable:
    """Read UTKFace.

    Args:
        root: folder of the images, at any depth.
        classes: groups of the target, in the order of the model's outputs; faces of others are
            left out.
        age_bands: for each age group its youngest and its oldest age, years; a face whose age is
            in none has the age "unknown".
        target: gender, race or age: what the label is.
        attributes: gender, race or age, and the groups of each, [] for all; that of the target is
            passed over.
        provenance: who said what the groups are.

    Returns:
        A row an image, with the age in years as the column `years`, NaN where the name lacks it. A
        name that lacks a field, and all but the first image of one name, are left out.

    Raises:
        DataError: for a missing folder.
        ConfigError: for age bands that overlap or are none.
    """
    folder = Path(root).expanduser()
    _refuse_bands(age_bands)
    groups = {
        "gender": tuple(sorted(GENDERS.values())),
        "race": tuple(RACES.values()),
        "age": tuple(age_bands),
    }
    declared = other_groups(attributes, groups, target)
    rows = _read_names(_find(folder), age_bands)
    rows["label"] = rows[target].where(rows[target] != UNKNOWN, None)
    rows["left_out"] = rows["left_out"].mask(
        rows["label"].isna() & (rows["left_out"] == ""), f"{target} is not known"
    )
    rows = keep_classes(rows, classes, groups[target])
    rows = rows[[*COLUMNS, *declared, "years"]]
    return FaceTable(rows, folder, tuple(classes), declared, provenance)


def _refuse_bands(bands: Mapping[str, Sequence[int]]) -> None:
    """Refuse bands that are not of two ages each, or that share an age."""
    wrong = [name for name, ages in bands.items() if len(ages) != 2 or ages[0] > ages[1]]
    ordered = sorted((name for name in bands if name not in wrong), key=lambda name: bands[name][0])
    for before, after in pairwise(ordered):
        wrong += [f"{before} and {after}"] if bands[before][1] >= bands[after][0] else []
    if wrong or not bands:
        raise ConfigError(
            f"data.reader.age_bands is wrong in {', '.join(wrong) or 'that there are none'}",
            "for each age group its youngest and its oldest age, no age in two of them, such as "
            "{young: [0, 39], old: [40, 116]}",
            "correct data.reader.age_bands",
        )


def _find(folder: Path) -> pd.Series:
    """Return the images below a folder, as paths from there."""
    found: list[str] = []
    for place, folders, _ in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(place).relative_to(folder).as_posix()
        found += [posixpath.normpath(f"{below}/{path.name}") for path in find_images(Path(place))]
    if not found:
        raise missing_data(
            folder,
            "UTKFace",
            f"{folder}/61_1_3_20170109150557335.jpg (age_gender_race_date), or in folders",
            "the page of its authors (research, not commercial); Zhang et al., CVPR 2017",
        )
    return pd.Series(found, dtype=object)


def _read_names(sources: pd.Series, bands: Mapping[str, Sequence[int]]) -> pd.DataFrame:
    """Read what the names of images say."""
    names = sources.map(posixpath.basename)
    said = names.str.extract(f"^{_NAME}")
    years = pd.to_numeric(said["years"])
    years = years.where(years <= _OLDEST)
    gender, race = said["gender"].map(GENDERS), said["race"].map(RACES)
    wrong = years.isna() | gender.isna() | race.isna()
    age = pd.Series(UNKNOWN, index=sources.index, dtype=object)
    for name, (youngest, oldest) in bands.items():
        age = age.mask(years.between(youngest, oldest), name)
    left_out = pd.Series("", index=sources.index, dtype=object)
    stems = names.str.partition(".")[0].str.strip()
    left_out = left_out.mask(stems.duplicated(), "another file has the same face: " + stems)
    left_out = left_out.mask(wrong, "its name is not age_gender_race_date: " + names)
    rows = {"id": sources, "source": sources, "identity": sources, "split": None}
    known = {"gender": gender, "race": race, "age": age, "years": years}
    known = {
        name: values.mask(wrong, None if name == "years" else UNKNOWN)
        for name, values in known.items()
    }
    return pd.DataFrame({**rows, **known, "left_out": left_out})
