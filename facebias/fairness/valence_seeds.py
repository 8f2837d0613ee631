"""How the seeds of a variant read the valences of the same faces, and how two variants differ.

Whether a neutral face is read as positive is 0 or 1 for each face and seed, as it is for being
right, so the same analysis holds: seeds and faces are crossed (`facebias.fairness.crossed`). The
scores' areas enter by their placements, which are the part that each face has in them (DeLong,
DeLong & Clarke-Pearson 1988, Biometrics 44). With one seed the network is taken as it is, and
intervals hold other faces alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import DataError
from facebias.fairness.auroc import group_areas
from facebias.fairness.crossed import (
    BY_FACE,
    CROSSED,
    Contrast,
    Counted,
    Crossed,
    FloatArray,
    SeedTerms,
    SeedValues,
    contrast,
    count_rows,
    estimate,
    join,
    seed_terms,
    share_bounds,
    share_values,
    touching_p,
)
from facebias.fairness.intervals import agresti_min_interval
from facebias.fairness.paired import BY_PERSON, MCNEMAR
from facebias.fairness.predictions import UNKNOWN, Codes, GroupCodes
from facebias.fairness.settings import Settings
from facebias.fairness.significance import mcnemar
from facebias.fairness.valence import (
    READINGS,
    SCORES,
    VALENCES,
    ValenceAnswers,
    ValenceFaces,
    ValenceModel,
    check_same,
    valence_codes,
    valence_readings,
)

_UNDEFINED = "undefined: "  # as a status begins

_COLUMNS = [
    *("attribute", "group", "true", "read", "reading", "value", "low", "high"),
    *("resampled", "n", "units", "status", "reason"),
]


@dataclass(frozen=True, eq=False)
class Reading:
    """How the R seeds of a variant read faces of one valence, in the groups of one attribute.

    Attributes:
        reading: one of `facebias.fairness.valence.READINGS`.
        true: the faces' valence.
        read: the valence that they are read as.
        counted: these faces, N of them; for the scores also those of the valence they are read as.
        size: shape (G,), all faces of each group.
        terms: values and what they are made of; None where there is no such reading.
        hits: shape (R, N), whether a seed reads a face so; None for scores.
        reason: why there is no such reading; empty where there is.
    """

    reading: str
    true: str
    read: str
    counted: Counted
    size: Codes
    terms: SeedTerms | None
    hits: FloatArray | None
    reason: str


def read_by_seeds(
    models: Sequence[ValenceModel],
    codes: GroupCodes,
    classes: Sequence[str],
    settings: Settings,
    *,
    valences: Mapping[str, str] | None = None,
    trues: Sequence[str] = VALENCES,
) -> list[Reading]:
    """Read the valences of the same faces by every seed of a variant.

    Args:
        models: one a seed, of the same rows in the same order.
        codes: the group of each row.
        classes: the declared classes.
        settings: how groups are judged.
        valences: valence of each class; None: the classes are valences themselves.
        trues: valences of the faces that are asked for.

    Returns:
        By reading, true and read valence, of those that the classes have.

    Raises:
        DataError: as of `facebias.fairness.valence.valence_differences`, or no model.
    """
    if not models:
        raise DataError("A variant without runs.", "one run or more of each variant")
    for model in models[1:]:
        check_same(models[0].rows, model.rows)
    faces = ValenceFaces(models[0].rows, codes, valence_codes(classes, valences), settings)
    answers = [ValenceAnswers.of(model, classes, faces) for model in models]
    present = sorted(set(faces.of_class.tolist()))
    asked = [place for place in present if VALENCES[place] in trues]
    return [
        (_areas if reading == SCORES else _shares)(faces, codes, answers, reading, true, read)
        for reading in READINGS
        for true in asked
        for read in present
    ]


def _shares(
    faces: ValenceFaces,
    codes: GroupCodes,
    answers: Sequence[ValenceAnswers],
    reading: str,
    true: int,
    read: int,
) -> Reading:
    """Return the shares of the faces of a valence that are read as another."""
    chosen = faces.true == true
    counted = _counted(faces, codes, chosen, reading)
    found = [answer.read[reading] for answer in answers]
    names = (reading, VALENCES[true], VALENCES[read], counted, faces.size)
    reasons = [each for each in found if isinstance(each, str)]
    if reasons:
        return Reading(*names, None, None, reasons[0])
    hits = np.array([np.asarray(each)[chosen] == read for each in found], np.float64)
    return Reading(*names, seed_terms(share_values(hits, counted), counted), hits, "")


def _areas(
    faces: ValenceFaces,
    codes: GroupCodes,
    answers: Sequence[ValenceAnswers],
    reading: str,
    true: int,
    read: int,
) -> Reading:
    """Return how often a face of a valence scores more like another than a face of that does."""
    chosen, positive = faces.compared(true, read)
    names = (reading, VALENCES[true], VALENCES[read])
    scores = [answer.likeness(chosen, true, read) for answer in answers]
    reasons = [each for each in scores if isinstance(each, str)]
    if reasons:
        counted = _counted(faces, codes, chosen, reading)
        return Reading(*names, counted, faces.size, None, None, reasons[0])
    units = faces.units(chosen)
    found = [group_areas(positive, np.asarray(each), units) for each in scores]
    errors = np.stack([each.errors for each in found])
    rarest = np.minimum(found[0].positives, found[0].negatives)
    judged = np.asarray(~np.isnan(errors).any(axis=0))
    counted = _counted(faces, codes, chosen, reading, rarest, judged)
    values = SeedValues(
        np.stack([each.values for each in found]),
        np.stack([each.influence for each in found]),
        np.fmin.reduce([each.freedom for each in found]),
    )
    return Reading(*names, counted, faces.size, seed_terms(values, counted), None, "")


def _counted(
    faces: ValenceFaces,
    codes: GroupCodes,
    chosen: npt.NDArray[np.bool_],
    reading: str,
    rarest: Codes | None = None,
    judged: npt.NDArray[np.bool_] | None = None,
) -> Counted:
    persons = None if faces.persons is None else faces.persons[chosen]
    own = GroupCodes(codes.attribute, codes.groups, codes.codes[chosen])
    return count_rows(reading, own, persons, rarest, judged)


def seed_valences(
    models: Sequence[ValenceModel],
    codes: GroupCodes,
    classes: Sequence[str],
    settings: Settings,
    *,
    valences: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Measure how the seeds of a variant read the valences of every group, on average.

    Args:
        models: as of `read_by_seeds`.
        codes: the group of each row.
        classes: the declared classes.
        settings: how groups are judged.
        valences: as of `read_by_seeds`.

    Returns:
        The columns of `facebias.fairness.valence.valence_readings`, value being the mean over
        seeds, but for method: `resampled` ("seeds x faces", "seeds x persons"; of one seed "faces"
        or "persons", as `valence_readings` has it; "none" without an interval) and `reason` (why
        there is no interval). Intervals over seeds are shaped as Wilson's (`share_bounds`).

    Raises:
        DataError: as of `read_by_seeds`.
    """
    if len(models) == 1:
        found = valence_readings(models[0], codes, classes, settings, valences=valences)
        return _of_one(found)
    rows = [
        row
        for reading in read_by_seeds(models, codes, classes, settings, valences=valences)
        for row in _rows(reading, settings)
    ]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    order = {name: place for place, name in enumerate((*codes.groups, UNKNOWN))}
    places = np.argsort(table["group"].map(order).to_numpy(), kind="stable")
    return table.iloc[places].reset_index(drop=True)


def _of_one(found: pd.DataFrame) -> pd.DataFrame:
    """Say of one network's readings what was drawn anew, and why there is no interval."""
    resampled, reasons = [], []
    for method, status in zip(found["method"], found["status"], strict=True):
        by_person = "persons" if method.endswith("by person") else "faces"
        resampled.append("none" if method == "none" else by_person)
        why = "no faces" if status == "empty" else "too few faces"
        if status.startswith(_UNDEFINED):
            why = status.removeprefix(_UNDEFINED)
        reasons.append(why if method == "none" else "")
    return found.assign(resampled=resampled, reason=reasons)[_COLUMNS]


def _rows(reading: Reading, settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the row of each group."""
    counted = reading.counted
    names = {"attribute": counted.attribute, "true": reading.true, "read": reading.read}
    crossed = None if reading.terms is None else join(counted, [reading.terms])
    for group in shown_groups(reading):
        value, low, high, resampled, reason = _value(reading, crossed, group, settings.level)
        yield names | {
            "group": counted.groups[group],
            "reading": reading.reading,
            **{"value": value, "low": low, "high": high, "resampled": resampled},
            **{"n": int(counted.n[group]), "units": int(counted.units[group])},
            "status": _status(reading, group, value, settings.min_group),
            "reason": reason,
        }


def shown_groups(reading: Reading) -> range:
    """Return the places of the declared groups, and of the unknown one where it has faces."""
    return range(len(reading.counted.groups) - (reading.size[-1] == 0))


def _value(
    reading: Reading, crossed: Crossed | None, group: int, level: float
) -> tuple[float, float, float, str, str]:
    """Return value, low, high, what was drawn anew, and why there is no interval."""
    if crossed is None:
        return math.nan, math.nan, math.nan, "none", reading.reason
    found = estimate(crossed, [group], level)
    reason = _in_faces(str(found.columns["reason"]), reading)
    if reason:
        return found.values[0], math.nan, math.nan, "none", reason
    bounds = share_bounds(found.values[0], found.half_width, int(crossed.rarest[group]), level)
    return found.values[0], *bounds, str(found.columns["method"]).removeprefix("crossed "), ""


def _in_faces(reason: str, reading: Reading) -> str:
    """Say a reason of `facebias.fairness.crossed` of the faces that are read."""
    others = "" if reading.reading != SCORES else f", or no {_others(reading)}"
    few = f"too few {reading.true} faces" + ("" if not others else f" or {_others(reading)}")
    words = {
        "no rows": f"no {reading.true} faces{others}",
        "too few rows of a class": few,
        "one unit tells nothing of others": f"one unit of {reading.true} faces tells nothing of "
        "others",
    }
    return words.get(reason, reason)


def _others(reading: Reading) -> str:
    return "others" if reading.read == reading.true else f"{reading.read} ones"


def _status(reading: Reading, group: int, value: float, min_group: int) -> str:
    """Return the status of a group, as `valence_readings` has it."""
    if reading.size[group] == 0:
        return "empty"
    if math.isnan(value):
        return f"{_UNDEFINED}{reading.reason or _in_faces('no rows', reading)}"
    if group == len(reading.size) - 1:
        return UNKNOWN
    return "too small" if reading.counted.n[group] < min_group else "ok"


def seed_valence_shifts(
    first: Sequence[Reading], second: Sequence[Reading], settings: Settings
) -> list[dict[str, Any]]:
    """Measure how two variants differ in reading the same faces, with a test of each difference.

    With two or more seeds of both, intervals and p-values hold other seeds and other faces. With
    one seed of either the networks are taken as they are: a difference of two single networks in
    shares of independent faces has the interval of Agresti & Min (2005, Statistics in Medicine 24:
    half a face is added to each way of differing) and McNemar's exact test; everything else
    Student's t over the faces' (or persons') parts.

    Args:
        first: as `read_by_seeds` returns it.
        second: of the other variant, with the same faces, groups and readings.
        settings: how groups are judged.

    Returns:
        A row a reading and group: attribute, group, reading, true, read, n, units, first_value,
        second_value, difference (first minus second, -1..1), low, high, resampled ("seeds x faces",
        "seeds x persons", "faces", "persons", "none"), test (`CROSSED`, `MCNEMAR`, `BY_FACE`,
        `BY_PERSON` or "none"), p, status (as of `valence_readings`), reason (why there is no
        interval). Undefined is NaN.
    """
    rows = [
        row
        for one, other in zip(first, second, strict=True)
        for row in _shift_rows(one, other, settings)
    ]
    _add_tests(rows, settings.level)
    return rows


def _shift_rows(one: Reading, other: Reading, settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the rows of one reading; intervals and tests that follow from terms come later."""
    counted = one.counted
    sides = [each.terms for each in (one, other) if each.terms is not None]
    alone = len(sides) == 2 and min(len(each.values) for each in sides) < 2
    crossed = join(counted, sides, other_seeds=not alone) if len(sides) == 2 else None
    for group in shown_groups(one):
        found = _missing(one, other) if crossed is None else contrast(crossed, [group])
        difference = found.values[0] - found.values[1]
        reason = found.reason if crossed is None else _in_faces(found.reason, one)
        yield {
            **{"attribute": counted.attribute, "group": counted.groups[group]},
            **{"reading": one.reading, "true": one.true, "read": one.read},
            **{"n": int(counted.n[group]), "units": int(counted.units[group])},
            **dict(zip(("first_value", "second_value"), found.values, strict=True)),
            **{"difference": difference, "low": math.nan, "high": math.nan},
            "resampled": "none" if reason else _resampled(counted, alone=alone),
            **{"test": "none", "p": math.nan},
            "status": _status(one, group, difference, settings.min_group),
            "reason": reason,
            "_terms": found,
            "_apart": _apart(one, other, group),
        }


def _missing(one: Reading, other: Reading) -> Contrast:
    """Return what is known of a reading that one of two variants does not have."""
    reason = one.reason or other.reason
    return Contrast((math.nan, math.nan), (math.nan,), (math.nan,), reason)


def _resampled(counted: Counted, *, alone: bool) -> str:
    units = "persons" if counted.by_person else "faces"
    return units if alone else f"seeds x {units}"


def _apart(one: Reading, other: Reading, group: int) -> tuple[int, int] | None:
    """Return the faces that only one of two single networks reads so; None for all else."""
    if one.hits is None or other.hits is None or one.counted.by_person:
        return None
    if len(one.hits) > 1 or len(other.hits) > 1:
        return None
    difference = (one.hits[0] - other.hits[0])[one.counted.codes == group]
    return int((difference > 0).sum()), int((difference < 0).sum())


def _add_tests(rows: Sequence[dict[str, Any]], level: float) -> None:
    """Add interval, test and p to the rows, and take out what they are made of."""
    by_terms: dict[int, list[tuple[dict[str, Any], Contrast]]] = {}
    for row in rows:
        found, apart = row.pop("_terms"), row.pop("_apart")
        if apart is not None and row["n"] > 0:
            _of_two_networks(row, apart, level)
        elif not row["reason"]:
            by_terms.setdefault(len(found.terms), []).append((row, found))
    for members in by_terms.values():
        terms, freedom = (
            np.array([getattr(each, name) for _, each in members], np.float64)
            for name in ("terms", "freedom")
        )
        distance = np.array([row["difference"] for row, _ in members])
        tests = touching_p(terms, freedom, np.abs(distance))
        for (row, found), p in zip(members, tests.tolist(), strict=True):
            half = found.half_width(level)
            low, high = row["difference"] - half, row["difference"] + half
            row |= {"low": max(low, -1.0), "high": min(high, 1.0), "p": p}
            row["test"] = {"faces": BY_FACE, "persons": BY_PERSON}.get(row["resampled"], CROSSED)


def _of_two_networks(row: dict[str, Any], apart: tuple[int, int], level: float) -> None:
    """Add interval and test of two networks' shares of independent faces."""
    only_first, only_second = apart
    low, high = agresti_min_interval(
        np.array(only_first - only_second), np.array(only_first + only_second), row["n"], level
    )
    row |= {"low": float(low), "high": float(high), "resampled": "faces", "reason": ""}
    row |= {"test": MCNEMAR, "p": mcnemar(only_first, only_second)}
