"""Paired comparisons: two models on the same faces are not two samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import DataError
from facebias.fairness import metrics
from facebias.fairness.counts import Codes, count_decisions, count_patterns
from facebias.fairness.group_pairs import GAP_METRICS
from facebias.fairness.influence import divide
from facebias.fairness.intervals import (
    Combinations,
    differences,
    normal_critical,
    paired_contrasts,
)
from facebias.fairness.many_groups import MOST_PAIRED
from facebias.fairness.measures import MACRO, of_seen_classes
from facebias.fairness.predictions import (
    UNKNOWN,
    GroupCodes,
    ScoredRows,
    all_group_codes,
    scored_rows,
)
from facebias.fairness.resampling import bootstrap_counts, bootstrap_person_counts
from facebias.fairness.settings import Settings
from facebias.fairness.significance import mcnemar

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

Place = tuple[int, ...]
"""A group; or two, between which a gap is."""

COMPARED = GAP_METRICS
"""The metrics in which models are compared; higher is better in all of them."""

_COLUMNS = [
    *("attribute", "metric", "group", "against", "first_value", "second_value", "difference"),
    *("low", "high", "method", "n", "units", "reason"),
    *("only_first", "only_second", "test", "p", "p_reason"),
]

MCNEMAR, BY_PERSON = "McNemar, exact", "interval over persons"
"""The tests of accuracies: of independent rows, and where persons have several."""

CONSTANT = "the models do not differ in any replicate"

_CHUNK = 2**22  # draws that are held at a time: 32 MiB


@dataclass(frozen=True)
class PairedDifference:
    """The accuracy of a model minus that of another, on the same faces.

    Attributes:
        difference: -1..1.
        low: lower bound of its interval; NaN where no replicate differs from another.
        high: upper bound.
    """

    difference: float
    low: float
    high: float


def paired_difference(
    right: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    persons: npt.NDArray[np.int64] | None = None,
    replicates: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """Return the difference of two accuracies with its bootstrap interval.

    Faces are drawn with what both models say of them, so what is hard for both cancels out; where
    a person has several faces, persons are drawn with all of theirs. The interval is that of the
    difference of two shares that vary together (`facebias.fairness.intervals.differences`). It
    covers other faces of the same kind, not other trainings of the models. Where every face has the
    same difference, replicates say nothing and there is no interval.

    Args:
        right: of each face (N,), whether the model is right, 0..1.
        reference: the same of the other model; the share of models that are right, of several.
        persons: number of each face's person (N,), from 0; None: every face is its own.
        replicates: of the bootstrap.
        level: confidence of the interval, in (0, 1).
        seed: of the bootstrap.

    Raises:
        DataError: for no faces, or vectors of different length.
    """
    one, other = np.asarray(right, np.float64), np.asarray(reference, np.float64)
    if not one.size or one.shape != other.shape or one.ndim != 1:
        raise DataError(f"shapes {one.shape} and {other.shape}", "the same faces, one or more")
    difference = float(one.mean() - other.mean())
    if np.ptp(one - other) == 0:
        return PairedDifference(difference, math.nan, math.nan)
    units = np.arange(len(one)) if persons is None else persons
    sizes = np.bincount(units)
    added = np.stack([np.bincount(units, each) for each in (one, other)])
    sums = np.asarray(added[:, sizes > 0], np.float64)
    sizes = sizes[sizes > 0]
    drawn = _replicates(sums, sizes, replicates, np.random.default_rng(seed))
    by_person = len(sizes) < len(one)
    values, behind = np.array([[one.mean()], [other.mean()]]), np.full((2, 1), len(sizes))
    found = _between(values, drawn[..., None], behind, by_person=by_person)
    low, high = (float(bound[0]) for bound in found.interval(normal_critical(level)))
    return PairedDifference(difference, low, high)


def _replicates(
    sums: FloatArray, sizes: npt.NDArray[Any], replicates: int, dice: np.random.Generator
) -> FloatArray:
    """Return the means of both models (2, units) in each sample of units, (replicates, 2)."""
    means = np.empty((replicates, 2))
    step = max(1, _CHUNK // len(sizes))
    for start in range(0, replicates, step):
        chosen = dice.integers(len(sizes), size=(min(step, replicates - start), len(sizes)))
        rows = sizes[chosen].sum(axis=1)
        for model, each in enumerate(sums):
            means[start : start + step, model] = each[chosen].sum(axis=1) / rows
    return means


def _between(
    values: FloatArray, replicates: FloatArray, units: Array, *, by_person: bool
) -> Combinations:
    """Return the mean of the first's parts minus that of the second's.

    Args:
        values: shape (2, K).
        replicates: shape (B, 2, K), drawn together.
        units: shape (2, K), independent units behind each.
        by_person: whether units are persons.
    """
    first, second = np.array([0]), np.array([1])
    return differences(values, replicates, units, first, second, by_person=by_person)


def compare_models(
    first: pd.DataFrame,
    second: pd.DataFrame,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    *,
    intersections: Sequence[Sequence[str]] = (),
    settings: Settings | None = None,
) -> pd.DataFrame:
    """Compare two models on the same faces: all of them, every group, every gap between groups.

    Faces are drawn with what both models say of them; where a person has several, persons with all
    of theirs. Intervals are those of differences between groups, the models in the place of groups
    that vary together (`facebias.fairness.intervals.differences`): they cover other faces, not
    other trainings (see `facebias.fairness.seeds`). Accuracies are tested with McNemar's exact
    test (McNemar 1947, Psychometrika 12), where rows are independent. Where a person has several it
    would take them for independent; there the test is that of the interval over persons.

    Args:
        first: predictions of one model, one row a face, see `facebias.fairness.group_report`, with
            the column `id`. Groups are read here.
        second: those of the other, of the same faces in any order.
        classes: the declared classes.
        attributes: the declared groups of each attribute.
        intersections: sets of attributes whose combinations are groups too.
        settings: how groups are judged.

    Returns:
        A row for each group and metric (accuracy, macro_recall, macro_f1), and for each metric and
        pair of groups of an attribute that both have `min_group` rows and, for macro metrics,
        `min_class` of each class; no pairs where more than `MOST_PAIRED` groups have them (see
        `facebias.fairness.many_groups`). Columns: attribute, metric, group, against (of a gap: the
        other group; None: no gap), first_value and second_value (of a gap: the value of `group`
        minus that of `against`), difference (first minus second), low, high, method ("paired
        shares", with ", by person" where persons were resampled, or "none"), n (rows), units (rows,
        or persons; of a gap in both groups together), reason (why there is no interval; empty where
        there is), only_first and only_second (rows that only this model has right; of a group's
        accuracy), test (there: `MCNEMAR` or `BY_PERSON`), p (of that test), p_reason (why there is
        no p). Undefined is NaN.

    Raises:
        DataError: if the models have not the same faces with the same labels and groups; see
            `facebias.fairness.predictions`.
    """
    settings = settings or Settings()
    rows, predicted = same_faces([first, second], classes, tuple(attributes))
    parts = [
        compared.row
        for codes in all_group_codes(rows.table, attributes, intersections)
        for compared in compare_places(rows, predicted, codes, len(classes), settings)
    ]
    return pd.DataFrame(parts, columns=_COLUMNS)


@dataclass(frozen=True, eq=False)
class Compared:
    """Two models in one group, or in the gap between two.

    Attributes:
        row: the columns of `compare_models`.
        combined: what the interval is made of, of a gap half of it; None without an interval.
        times: how many of these the difference is: 1, of a gap 2.
    """

    row: dict[str, Any]
    combined: Combinations | None
    times: int

    def interval(self, level: float) -> tuple[float, float]:
        """Return low and high at a confidence in (0, 1); NaN without an interval."""
        if self.combined is None:
            return math.nan, math.nan
        low, high = self.combined.interval(normal_critical(level))
        return self.times * float(low[0]), self.times * float(high[0])


def same_faces(
    tables: Sequence[pd.DataFrame], classes: Sequence[str], attributes: Sequence[str] = ()
) -> tuple[ScoredRows, Codes]:
    """Bring the predictions of several models of the same faces into one order.

    Args:
        tables: M tables of predictions with the column `id`, one row a face.
        classes: the declared classes.
        attributes: columns in which the tables must not contradict each other either.

    Returns:
        The rows of the first table, N of them; what each model predicts of them, shape (M, N).

    Raises:
        DataError: no table, one without ids, other faces, or other labels or groups.
    """
    if not tables or any("id" not in table.columns for table in tables):
        raise DataError("A table of predictions without ids.", "the column id in every table")
    coded = [scored_rows(table, classes) for table in tables]
    faces = pd.Index(coded[0].table["id"])
    predicted = []
    for number, each in enumerate(coded):
        places = pd.Index(each.table["id"]).get_indexer(faces)
        if len(each.table) != len(faces) or (places < 0).any():
            raise DataError(
                f"Table {number + 1} has {len(each.table)} faces, {(places >= 0).sum()} of the "
                f"{len(faces)} of the first.",
                "the same faces with a label in all tables",
                "Keep the faces that all have.",
            )
        _check_agreement(coded[0], each, places, attributes, number + 1)
        predicted.append(each.predicted[places])
    return coded[0], np.stack(predicted)


def _check_agreement(
    first: ScoredRows, other: ScoredRows, places: Codes, attributes: Sequence[str], number: int
) -> None:
    """Raise where a face has another label, person or group than in the first table."""
    differing = {"label": int((first.labels != other.labels[places]).sum())}
    for name in ("identity", *attributes):
        if name in first.table.columns and name in other.table.columns:
            one, two = first.table[name], other.table[name].iloc[places].reset_index(drop=True)
            differing[name] = int(((one != two) & ~(one.isna() & two.isna())).sum())
    wrong = [f"{faces} another {name}" for name, faces in differing.items() if faces]
    if wrong:
        raise DataError(
            f"Of the faces of table {number}, {' and '.join(wrong)} than in the first.",
            "the same labels and groups of the same faces",
            "Join all tables with one table of the truth.",
        )


@dataclass(frozen=True, eq=False)
class _Pair:
    """The counts of two models in each group of an attribute; the last group is the unknown one.

    Attributes:
        groups: their names, G of them.
        joint: shape (G, C, C, C): group, second prediction, label, first prediction. Both models'
            counts are sums of it, so whoever draws it draws them together.
        units: shape (G,), persons where they are drawn, else rows.
        class_units: shape (G, C), those with rows of each true label.
        complete: shape (G,), whether macro metrics rest on enough rows of every class.
        by_person: whether persons are drawn.
        draw: from a number of replicates to that many joints.
    """

    groups: tuple[str, ...]
    joint: Array
    units: Array
    class_units: Array
    complete: Array
    by_person: bool
    draw: Callable[[int], Array]


def _count_pair(
    rows: ScoredRows, predicted: Codes, codes: GroupCodes, n_classes: int, settings: Settings
) -> _Pair:
    groups = (*codes.groups, UNKNOWN)
    size = {"n_groups": len(groups) * n_classes, "n_classes": n_classes}
    decisions = (codes.codes * n_classes + predicted[1], rows.labels, predicted[0])
    shape = (len(groups), n_classes, n_classes, n_classes)
    joint = count_decisions(*decisions, **size).reshape(shape)
    rng = np.random.default_rng(settings.seed)
    if rows.persons is None:
        units, class_units = joint.sum(axis=(1, 2, 3)), joint.sum(axis=(1, 3))
        by_group = joint.reshape(len(groups), n_classes**2, n_classes)
        draw = partial(bootstrap_counts, by_group, rng=rng)
    else:
        units = distinct_persons(rows.persons, codes.codes, len(groups))
        places = codes.codes * n_classes + rows.labels
        class_units = distinct_persons(rows.persons, places, len(groups) * n_classes)
        class_units = class_units.reshape(len(groups), n_classes)
        draw = partial(
            bootstrap_person_counts, count_patterns(rows.persons, *decisions, **size), rng=rng
        )
    required = np.bincount(rows.labels, minlength=n_classes) > 0
    labels = joint.sum(axis=(1, 3))
    complete = (labels[:, required] >= settings.min_class).all(axis=-1)
    return _Pair(groups, joint, units, class_units, complete, rows.persons is not None, draw)


def distinct_persons(persons: Codes, places: Codes, n_places: int) -> Codes:
    """Count the persons with rows in each place.

    Args:
        persons: shape (N,), integers from 0.
        places: shape (N,), integers in [0, n_places).
        n_places: how many there are.

    Returns:
        Shape (n_places,).
    """
    size = int(persons.max()) + 1
    return np.bincount(np.unique(places * size + persons) // size, minlength=n_places)


def compare_places(
    rows: ScoredRows,
    predicted: Codes,
    codes: GroupCodes,
    n_classes: int,
    settings: Settings,
    names: Sequence[str] = COMPARED,
) -> Iterator[Compared]:
    """Compare two models in every group of one attribute, and in the gaps between groups.

    Args:
        rows: labels and persons of the faces, N of them.
        predicted: shape (2, N), what each model predicts.
        codes: the group of each row.
        n_classes: C.
        settings: how groups are judged.
        names: metrics of `COMPARED`.
    """
    pair = _count_pair(rows, predicted, codes, n_classes, settings)
    n = pair.joint.sum(axis=(1, 2, 3))
    drawn = _drawn_parts(pair, settings.replicates, names)
    required = _required(pair.joint)
    for name in names:
        macro = name in MACRO
        behind = pair.class_units[:, required] if macro else pair.units[:, None]
        parts = _Parts(_both(pair.joint, name, required), drawn[name], behind, pair.by_person)
        judged = pair.complete | (not macro)
        groups = [(group,) for group in range(len(n) - (n[-1] == 0))]
        eligible = np.flatnonzero((n >= settings.min_group) & judged)
        known = eligible[eligible < len(n) - 1].tolist()
        gaps = list(combinations(known, 2)) if len(known) <= MOST_PAIRED else []
        for places in (*_chunks(groups, parts), *_chunks(gaps, parts)):
            for place, found in zip(
                places, _described(parts, places, settings, judged), strict=True
            ):
                own = {
                    "attribute": codes.attribute,
                    "metric": name,
                    "group": pair.groups[place[0]],
                    "against": pair.groups[place[1]] if len(place) > 1 else None,
                    **found.row,
                    "n": int(n[[*place]].sum()),
                    "units": int(pair.units[[*place]].sum()),
                    **dict.fromkeys(("only_first", "only_second", "p"), math.nan),
                }
                if name == "accuracy" and len(place) == 1:
                    own |= _tested(pair, found, place[0])
                yield replace(found, row=own)


def _chunks(places: Sequence[Place], parts: _Parts) -> Iterator[Sequence[Place]]:
    """Yield so many places at a time that what is drawn of them fits into memory."""
    step = max(1, _CHUNK // (4 * len(parts.replicates) * parts.values.shape[-1]))
    for start in range(0, len(places), step):
        yield places[start : start + step]


@dataclass(frozen=True, eq=False)
class _Parts:
    """What a metric of both models is the mean of, in each group.

    Attributes:
        values: shape (2, G, K).
        replicates: shape (B, 2, G, K).
        units: shape (G, K).
        by_person: whether units are persons.
    """

    values: FloatArray
    replicates: FloatArray
    units: Array
    by_person: bool


def _required(joint: Array) -> Array:
    """Return which classes have rows, shape (C,)."""
    return np.asarray(joint.sum(axis=(0, 1, 3)) > 0)


def _both(joint: Array, metric: str, required: Array) -> FloatArray:
    """Return the parts of a metric of the first and of the second model, shape (..., 2, G, K)."""
    models = joint.sum(axis=-3), joint.sum(axis=-1).swapaxes(-1, -2)
    if metric in MACRO:
        function = metrics.BY_CLASS[MACRO[metric]]
        parts = [of_seen_classes(function, each)[..., required] for each in models]
    else:
        parts = [metrics.AVERAGES[metric](each)[..., None] for each in models]
    return np.stack(parts, axis=-3)


def _drawn_parts(pair: _Pair, replicates: int, names: Sequence[str]) -> dict[str, FloatArray]:
    """Return the parts of each metric of the replicates, shape (B, 2, G, K)."""
    required = _required(pair.joint)
    parts: dict[str, list[FloatArray]] = {name: [] for name in names}
    step = max(1, _CHUNK // pair.joint.size)
    for start in range(0, replicates, step):
        drawn = pair.draw(min(step, replicates - start)).reshape(-1, *pair.joint.shape)
        for name in names:
            parts[name].append(_both(drawn, name, required))
    return {name: np.concatenate(each) for name, each in parts.items()}


def _described(
    parts: _Parts, places: Sequence[Place], settings: Settings, judged: Array
) -> list[Compared]:
    """Return values, differences and intervals, all of groups or all of gaps.

    A gap g - h of the first model minus that of the second is (first's g + second's h) minus
    (second's g + first's h): twice the difference of two means of twice as many parts.
    """
    first, *others = np.array(places).T
    values = _contrast(_means(parts.values), first, *others)
    sides, drawn = (_sides(each, first, *others) for each in (parts.values, parts.replicates))
    units = np.concatenate([parts.units[each] for each in (first, *others)], axis=-1)
    combined = paired_contrasts(sides, drawn, units, by_person=parts.by_person)
    times = len(places[0])
    low, high = (times * each for each in combined.interval(normal_critical(settings.level)))
    means = _contrast(_means(parts.replicates), first, *others)
    apart = means[:, 0] - means[:, 1]
    found = []
    for place in range(len(places)):
        reason = ""
        if math.isnan(values[0, place]):
            reason = "no rows"
        elif not judged[first[place]]:
            reason = "too few rows of a class"
        elif math.isnan(low[place]):
            reason = "a class is often lost in resampling"
        elif np.nanmax(apart[:, place]) == np.nanmin(apart[:, place]):
            reason = CONSTANT
        bounds = (math.nan, math.nan) if reason else (float(low[place]), float(high[place]))
        row = _row(values[:, place].tolist(), bounds, reason, by_person=parts.by_person)
        own = None if reason else combined.chosen(np.array([place]))
        found.append(Compared(row, own, times))
    return found


def _row(
    values: Sequence[float], bounds: tuple[float, float], reason: str, *, by_person: bool
) -> dict[str, Any]:
    method = "paired shares, by person" if by_person else "paired shares"
    return {
        **dict(zip(("first_value", "second_value"), values, strict=True)),
        "difference": values[0] - values[1],
        **dict(zip(("low", "high"), bounds, strict=True)),
        "method": "none" if reason else method,
        "reason": reason,
    }


def _contrast(values: FloatArray, first: Array, second: Array | None = None) -> FloatArray:
    """Return the values (..., G) of groups, or gaps between two, shape (..., P)."""
    chosen = values[..., first]
    return chosen if second is None else np.asarray(chosen - values[..., second])


def _means(parts: FloatArray) -> FloatArray:
    """Return the mean of the defined parts (..., K); NaN where none is."""
    known = ~np.isnan(parts)
    return divide(np.where(known, parts, 0.0).sum(axis=-1), known.sum(axis=-1))


def _sides(values: FloatArray, first: Array, second: Array | None = None) -> FloatArray:
    """Return what is added and what is subtracted (..., P, 2, K), of gaps (..., P, 2, 2 K)."""
    chosen = values[..., first, :]
    if second is not None:
        chosen = np.concatenate([chosen, values[..., ::-1, second, :]], axis=-1)
    return chosen.swapaxes(-3, -2)


def _tested(pair: _Pair, found: Compared, group: int) -> dict[str, Any]:
    """Return the rows of a group that only one model has right, and the test of its accuracies."""
    joint = pair.joint[group]  # second prediction, label, first prediction
    right = np.einsum("alc,lc->al", joint, np.eye(joint.shape[0], dtype=np.int64))
    first, second = int(right.sum()), int(np.einsum("lla->", joint))
    both = int(np.trace(right))
    only = {"only_first": first - both, "only_second": second - both}
    if not joint.any():
        return only | {"test": None, "p": math.nan, "p_reason": "no rows"}
    if not pair.by_person:
        return only | {"test": MCNEMAR, "p": mcnemar(**only), "p_reason": ""}
    if found.combined is None:
        return only | {"test": None, "p": math.nan, "p_reason": found.row["reason"]}
    return only | {
        "test": BY_PERSON,
        "p": float(found.combined.p_value()[0]),
        "p_reason": "",
    }
