"""Several seeds on the same faces: intervals that hold other seeds and other faces at once.

A run is one seed, scored on one set of faces. Another seed would give other numbers, and so would
other faces; an interval over the seeds alone holds the faces fixed, one over the faces alone holds
the training fixed. Here both are random and crossed: every seed answers on every face. With R
seeds and N faces, and effects of the seed, of the face and of both together, the variance of the
mean is

    seeds / R + faces / N + both / (R N)

(Searle, Casella & McCulloch 1992, Variance Components, chapter 4; Owen 2007, Annals of Applied
Statistics 1, on why resampling one of the two does not do). The mean square of the seeds estimates
the first and the last term together, with R - 1 degrees of freedom; that of the faces less that of
both estimates the second. Satterthwaite's one t for their sum covers as little as 87 % with two
seeds and 92 % with three, because two seeds that agree by chance make it think that faces are all
that varies. So each term gets its own quantile (Banerjee 1960, Sankhya 22):

    half width squared = t(R - 1)^2 * seeds' term + t(persons - 1)^2 * faces' term

It never covers less than it says, where effects are normal, and at most 98.7 % instead of 95 % with
two seeds, 97.7 % with three, 96.6 % with five, 95.8 % with ten; it is exact where either term is
all there is. The difference of two variants has a seeds' term of each, and is more careful still:
about 99 % with two or three seeds, 97.5 % with five, 96 % with ten. Two seeds give wide intervals,
because they tell little.
`tests/fairness/test_seeds_coverage.py` simulates it.

Where a person has several faces, persons take the place of faces. Metrics that are no means, such
as macro recall, enter by their derivatives in the counts (the infinitesimal jackknife: Jaeckel
1972; `facebias.fairness.significance.sensitivities`).
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
from facebias.fairness import metrics
from facebias.fairness.counts import Codes, count_decisions
from facebias.fairness.group_pairs import GAP_METRICS
from facebias.fairness.intervals import wilson_interval
from facebias.fairness.paired import distinct_persons, same_faces
from facebias.fairness.predictions import UNKNOWN, GroupCodes, ScoredRows, all_group_codes
from facebias.fairness.settings import Settings
from facebias.fairness.significance import sensitivities

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Crossed:
    """One metric of an attribute's groups in one variant, or in two; the last group is unknown.

    Attributes:
        attribute: its name.
        metric: its name.
        groups: G names.
        values: shape (V, G), means over each variant's seeds.
        seed_covariances: shape (V, G, G), of the seeds' terms of these means.
        face_covariance: shape (G, G), of the faces' term; of two variants, of their difference.
        seeds: shape (V,).
        n: shape (G,), rows.
        units: shape (G,), rows or persons.
        rarest: shape (G,), units that a value of 0 or 1 rests on: those of the rarest class where
            the metric is an average over classes, else all.
        judged: shape (G,), whether the metric rests on enough rows of every class.
        by_person: whether units are persons.
    """

    attribute: str
    metric: str
    groups: tuple[str, ...]
    values: FloatArray
    seed_covariances: FloatArray
    face_covariance: FloatArray
    seeds: Codes
    n: Codes
    units: Codes
    rarest: Codes
    judged: npt.NDArray[np.bool_]
    by_person: bool

    def shown(self) -> range:
        """Return the declared groups, and the unknown one where it has rows."""
        return range(len(self.groups) - (self.n[-1] == 0))

    def eligible(self, min_group: int) -> list[int]:
        """Return the groups that gaps compare."""
        enough = (self.n >= min_group) & self.judged
        return [group for group in range(len(enough) - 1) if enough[group]]


@dataclass(frozen=True)
class Estimate:
    """A value or a gap, and how sure it is.

    Attributes:
        values: in each variant.
        half_width: of its interval, of two variants that of their difference; NaN without one.
        columns: method, seed_error, face_error, reason (see `facebias.fairness.seeds`).
    """

    values: tuple[float, ...]
    half_width: float
    columns: dict[str, Any]


def crossed_groups(
    variants: Sequence[Sequence[pd.DataFrame]],
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    intersections: Sequence[Sequence[str]],
    settings: Settings,
    names: Sequence[str] = GAP_METRICS,
) -> Iterator[Crossed]:
    """Yield metrics of every attribute, crossed.

    Args:
        variants: the runs of one variant or of two, see `facebias.fairness.seeds`.
        classes: the declared classes.
        attributes: the declared groups of each attribute.
        intersections: sets of attributes whose combinations are groups too.
        settings: how groups are judged.
        names: metrics of `facebias.fairness.metrics.AVERAGES`.

    Raises:
        DataError: see `facebias.fairness.seeds.seed_measures`.
    """
    for runs in variants:
        _check_seeds(runs)
    tables = [table for runs in variants for table in runs]
    rows, predicted = same_faces(tables, classes, tuple(attributes))
    splits = np.cumsum([len(runs) for runs in variants])[:-1]
    by_variant = np.split(predicted, splits)
    for codes in all_group_codes(rows.table, attributes, intersections):
        for metric in names:
            yield cross(metric, rows, by_variant, codes, len(classes), settings.min_class)


def estimate(crossed: Crossed, place: Sequence[int], level: float) -> Estimate:
    """Estimate the value of one group, or the gap between two.

    Args:
        crossed: of one variant or two.
        place: index of the group; or of two, of which the second is subtracted.
        level: confidence in (0, 1).
    """
    weights = np.array([1.0, -1.0])[: len(place)]
    block = np.ix_(place, place)
    values = tuple((crossed.values[:, place] @ weights).tolist())
    terms = np.array(
        [
            weights @ each[block] @ weights
            for each in (*crossed.seed_covariances, crossed.face_covariance)
        ]
    )
    # The faces' term is a difference: chance, like rounding, may bring it below 0.
    *seeds, faces = np.maximum(terms, 0.0).tolist()
    units = int(crossed.units[[*place]].min())
    reason = _reason(crossed, place, values)
    if not reason and sum(seeds) + faces == 0 and not (len(values) == len(place) == 1):
        reason = "it is the same whichever faces and seeds are drawn"
    if reason:
        nothing = {"method": "none", "seed_error": math.nan, "face_error": math.nan}
        return Estimate(values, math.nan, nothing | {"reason": reason})
    freedom = np.array([*crossed.seeds, units]) - 1
    square = float(_student(freedom, level) ** 2 @ [*seeds, faces])
    found = {
        "method": f"crossed seeds x {'persons' if crossed.by_person else 'faces'}",
        "seed_error": math.sqrt(sum(seeds)),
        "face_error": math.sqrt(faces),
        "reason": "",
    }
    return Estimate(values, math.sqrt(square), found)


def _reason(crossed: Crossed, place: Sequence[int], values: tuple[float, ...]) -> str:
    """Say why a contrast has no interval; nothing where it has one."""
    if np.isnan(values).any():
        return "no rows"
    if crossed.seeds.min() < 2:
        return "one seed tells nothing of other seeds"
    if crossed.units[[*place]].min() < 2:
        return "one unit tells nothing of others"
    return "" if crossed.judged[[*place]].all() else "too few rows of a class"


def _student(freedom: Codes, level: float) -> FloatArray:
    """Return the two-sided quantile of Student's t."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(freedom, 0.5 + level / 2))


def share_bounds(
    value: float, half_width: float, units: int, level: float = 0.95
) -> tuple[float, float]:
    """Shape an interval of a share as Wilson's: inside 0..1, and not a point at its ends.

    The half width says how many independent rows would know the share as well; Wilson's interval
    of so many has these bounds (Korn & Graubard 1998, Survey Methodology 24, do the same with
    another interval).

    Args:
        value: the share, 0..1.
        half_width: what value ± half_width would be; not used at 0 and 1, where it is 0.
        units: independent rows, or persons; used at 0 and 1.
        level: confidence in (0, 1), used at 0 and 1.

    >>> [round(bound, 3) for bound in share_bounds(0.9, 0.0588, 100)]  # 1.96 standard errors
    [0.826, 0.945]
    """
    if not 0 < value < 1:
        low, high = wilson_interval(value * units, units, level)
        return float(low), float(high)
    # Wilson's formula with half_width squared for z squared times spread / rows.
    spread, square = value * (1 - value), half_width**2
    centre = value * spread + square / 2
    half = half_width * math.sqrt(spread**2 + square / 4)
    return (centre - half) / (spread + square), (centre + half) / (spread + square)


def _check_seeds(runs: Sequence[pd.DataFrame]) -> None:
    """Raise without runs, or where two of them are of one seed."""
    if not runs:
        raise DataError("A variant without runs.", "one run or more of each variant")
    known = [run["seed"].iloc[0] for run in runs if "seed" in run.columns and len(run)]
    if len(set(known)) < len(known):
        raise DataError(
            f"Two runs of one variant have the same seed, of {', '.join(map(str, known))}.",
            "runs that differ in their seed: a repeated one, or folds of one seed, narrow the "
            "interval without telling of other seeds",
            "Give one run a seed; pool folds first with `pool_folds`.",
        )


def cross(
    metric: str,
    rows: ScoredRows,
    by_variant: Sequence[Codes],
    codes: GroupCodes,
    n_classes: int,
    min_class: int,
) -> Crossed:
    """Work out values and terms of one metric in the groups of one attribute.

    Args:
        metric: one of `facebias.fairness.metrics.AVERAGES`.
        rows: labels and persons of the faces, N of them.
        by_variant: for each variant, what its seeds predict: shape (R, N).
        codes: the group of each row.
        n_classes: C.
        min_class: true rows of each class that an average over classes needs.
    """
    persons = np.arange(len(rows.labels)) if rows.persons is None else rows.persons
    parts = [
        _variant(metric, rows.labels, predicted, codes, persons, n_classes)
        for predicted in by_variant
    ]
    means = parts[0].faces if len(parts) == 1 else parts[0].faces - parts[1].faces
    both = sum(part.both for part in parts)
    n_groups = len(codes.groups) + 1
    units = distinct_persons(persons, codes.codes, n_groups)
    # As with n - 1 in a variance: within a group, units' parts add up to 0.
    scale = np.sqrt(units / np.maximum(units - 1, 1))
    faces = ((means @ means.T).toarray() - both) * np.outer(scale, scale)
    required = np.bincount(rows.labels, minlength=n_classes) > 0
    of_label, size = codes.codes * n_classes + rows.labels, n_groups * n_classes
    n = np.bincount(of_label, minlength=size).reshape(-1, n_classes)
    class_units = distinct_persons(persons, of_label, size).reshape(-1, n_classes)[:, required]
    complete = np.asarray((n[:, required] >= min_class).all(axis=1))
    is_average = metric != "accuracy"
    return Crossed(
        attribute=codes.attribute,
        metric=metric,
        groups=(*codes.groups, UNKNOWN),
        values=np.stack([part.values.mean(axis=0) for part in parts]),
        seed_covariances=np.stack([part.seed_covariance() for part in parts]),
        face_covariance=faces,
        seeds=np.array([len(predicted) for predicted in by_variant]),
        n=n.sum(axis=1),
        units=units,
        rarest=class_units.min(axis=1) if is_average else units,
        judged=complete if is_average else np.ones_like(complete),
        by_person=rows.persons is not None,
    )


@dataclass(frozen=True, eq=False)
class _Variant:
    """What the runs of one variant say of a metric in each group.

    Attributes:
        values: shape (R, G).
        faces: sparse (G, P), the part of each person in each group's mean over seeds.
        both: shape (G, G), covariance of the means from what seeds and faces do together.
    """

    values: FloatArray
    faces: Any
    both: FloatArray

    def seed_covariance(self) -> FloatArray:
        """Return the covariance of the means over seeds (G, G); NaN for one seed."""
        seeds = len(self.values)
        deviations = self.values - self.values.mean(axis=0)
        if seeds < 2:
            return np.full((self.values.shape[1],) * 2, np.nan)
        return np.asarray(deviations.T @ deviations / (seeds - 1) / seeds)


def _variant(
    metric: str,
    labels: Codes,
    predicted: Codes,
    codes: GroupCodes,
    persons: Codes,
    n_classes: int,
) -> _Variant:
    """Return values and parts of the runs (R, N) of one variant."""
    from scipy.sparse import csr_array

    seeds, shape = len(predicted), (len(codes.groups) + 1, int(persons.max()) + 1)
    size = {"n_groups": shape[0], "n_classes": n_classes}
    counts = np.stack([count_decisions(codes.codes, labels, each, **size) for each in predicted])
    slopes = sensitivities(metrics.AVERAGES[metric], counts)
    parts = np.stack(
        [slope[codes.codes, labels, each] for slope, each in zip(slopes, predicted, strict=True)]
    )
    mean = csr_array((parts.mean(axis=0), (codes.codes, persons)), shape=shape)
    # Seeds side by side: one product adds up over persons and over seeds.
    places = (np.arange(seeds)[:, None] * shape[1] + persons).ravel()
    beside = csr_array(
        (parts.ravel(), (np.tile(codes.codes, seeds), places)), shape=(shape[0], seeds * shape[1])
    )
    around = (beside @ beside.T).toarray() - seeds * (mean @ mean.T).toarray()
    return _Variant(metrics.AVERAGES[metric](counts), mean, around / (max(seeds - 1, 1) * seeds))
