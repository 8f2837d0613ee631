"""What each group's faces make each model look at: means of the attention, with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.cam.attention import OUTSIDE
from facebias.cam.regions import FACE
from facebias.data.table import UNKNOWN
from facebias.fairness.intervals import normal_critical, shares, student_interval

FloatArray = npt.NDArray[np.float64]

SHARE, DENSITY, TOP, POINTING = "share_", "density_", "top20_", "pointing_"
_SHARES = (SHARE, TOP, POINTING, OUTSIDE)
_MEASURES = (SHARE, DENSITY, TOP)
_SINGLE = ("outside", "centre_x", "centre_y", "spread", "entropy")
ALL = "all"

COLUMNS = [
    *("run", "variant", "seed", "attribute", "group", "measure", "value", "low", "high"),
    *("n", "units", "faces", "status"),
]


def bounded(names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which measures are shares, within 0..1."""
    return np.array([name.startswith(_SHARES) for name in names])


def measure_names(faces: pd.DataFrame) -> list[str]:
    """Return the columns of `attention` that have a mean: all but `pointing`."""
    return [name for name in faces if name.startswith(_MEASURES) or name in _SINGLE]


def region_names(faces: pd.DataFrame) -> list[str]:
    """Return the regions that a table of attention has."""
    return [name.removeprefix(SHARE) for name in faces if name.startswith(SHARE)]


def region_words(name: str) -> str:
    """Return how a region is written for people.

    >>> region_words("eyes_and_brows"), region_words("outside")
    ('eyes and brows', 'not on the face')
    """
    return "not on the face" if name == OUTSIDE else name.replace("_", " ")


def even_shares(faces: pd.DataFrame) -> pd.Series:
    """Return what an even map has in each region, and outside the face: their area, on average.

    Args:
        faces: a row a run and face, as `facebias.cam.attention.attention` measures them.
    """
    found = {}
    for name in region_names(faces):
        share, density = faces[f"{SHARE}{name}"], faces[f"{DENSITY}{name}"]
        # The one by the other, where a map has anything there.
        found[name] = float((share / density.where(density > 0)).mean())
    in_face = [name for name in found if set(name.split("_and_")) <= set(FACE)]
    return pd.Series(found | {OUTSIDE: 1 - pd.Series(found)[in_face].sum()})


def attention_means(
    faces: pd.DataFrame, attributes: Mapping[str, Sequence[str]], *, min_group: int = 30
) -> pd.DataFrame:
    """Return the mean of every measure of attention, for each run and group.

    Beside the columns of `facebias.cam.attention.attention` there is `pointing_<region>`: the share
    of faces whose map is highest there.

    Intervals are of 95 %, over persons where several faces are of one: the deviations of a person's
    faces are added up before they are squared (Liang & Zeger 1986, Biometrika 73). Shares have
    Wilson's interval for the units that this spread is worth, with Student's t
    (`facebias.fairness.intervals.shares`), so that none leaves 0..1; the others have Student's.

    Args:
        faces: a row a run and face: run, variant, seed, identity, label, a column for each
            attribute, and those of `attention`.
        attributes: groups of each attribute.
        min_group: fewer faces with a map are marked.

    Returns:
        A row a run, group and measure: the mean, its interval, n (faces that it is of), units
        (persons among them), faces (of the group, those whose map is undefined too) and status:
        "ok", "too small", or "empty". Groups are "all", those of each attribute, those of which
        nobody knows theirs, and, as attribute "label", the faces of each class.
    """
    rows = [
        row
        for key, own in faces.groupby(["run", "variant", "seed"], sort=False, observed=True)
        for row in _of_run(dict(zip(("run", "variant", "seed"), key, strict=True)), own, attributes)
    ]
    table = pd.DataFrame(rows)
    table["status"] = np.select(
        [table["n"] == 0, table["n"] < min_group], ["empty", "too small"], "ok"
    )
    return table[COLUMNS]


def _of_run(
    constants: Mapping[str, Any], faces: pd.DataFrame, attributes: Mapping[str, Sequence[str]]
) -> Iterator[dict[str, Any]]:
    values = measured(faces)
    persons = pd.factorize(faces["identity"])[0]
    for attribute, group, mask in face_groups(faces, attributes):
        means = means_of(values[mask].to_numpy(np.float64), persons[mask], list(values))
        for number, measure in enumerate(values):
            yield {
                **constants,
                "attribute": attribute,
                "group": group,
                "measure": measure,
                **{name: column[number] for name, column in means.items()},
                "faces": int(mask.sum()),
            }


def measured(faces: pd.DataFrame) -> pd.DataFrame:
    """Return what has a mean: the measures, and for each region whether the map points there.

    Args:
        faces: a row a face, as `facebias.cam.attention.attention` measures them.

    Returns:
        A column a measure; NaN is undefined.
    """
    names = [*region_names(faces), OUTSIDE]
    pointing = faces["pointing"]
    known = pointing.notna()
    hits = {f"{POINTING}{name}": (pointing == name).astype(float).where(known) for name in names}
    return pd.concat([faces[measure_names(faces)], pd.DataFrame(hits)], axis=1)


def face_groups(
    faces: pd.DataFrame, attributes: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    """Yield attribute, name and faces (N,) of each group that a table of attention has."""
    yield ALL, ALL, np.ones(len(faces), bool)
    for attribute, groups in attributes.items():
        column = faces[attribute]
        known = (*groups, UNKNOWN) if (column == UNKNOWN).any() else groups
        for group in known:
            yield attribute, group, (column == group).to_numpy(bool)
    for label in sorted(faces["label"].dropna().unique()):
        yield "label", str(label), (faces["label"] == label).to_numpy(bool)


def means_of(
    values: FloatArray, persons: npt.NDArray[np.int64], names: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """Return the mean of each column (N, K) over its defined rows, with its interval.

    Args:
        values: of measures, (N, K); NaN is undefined.
        persons: who each face is, (N,), from 0.
        names: of the K measures.

    Returns:
        value, low, high (95 %), n (faces) and units (persons), each (K,).
    """
    known = ~np.isnan(values)
    n = known.sum(axis=0)
    # The mean of nothing is undefined.
    mean = np.where(known, values, 0).sum(axis=0) / np.where(n > 0, n, np.nan)
    codes = np.unique(persons, return_inverse=True)[1]
    count = int(codes.max(initial=-1)) + 1
    deviations = np.where(known, values - mean, 0)
    sums, seen = np.zeros((count, len(names))), np.zeros((count, len(names)))
    np.add.at(sums, codes, deviations)
    np.add.at(seen, codes, known)
    units = (seen > 0).sum(axis=0)
    few = np.where(units > 1, units / np.maximum(units - 1, 1), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.sqrt((sums**2).sum(axis=0) * few) / n
    low, high = student_interval(mean, errors * np.sqrt(units), units)
    share = bounded(names)
    # Single precision may leave a share a hair above 1.
    parts = shares(np.clip(mean[share], 0, 1), errors[share], units[share], by_person=True)
    within = parts.interval(normal_critical())
    low[share], high[share] = (np.where(units[share] > 1, side, np.nan) for side in within)
    return {"value": mean, "low": low, "high": high, "n": n, "units": units}
