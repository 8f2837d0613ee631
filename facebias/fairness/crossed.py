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
1972; `facebias.fairness.significance.sensitivities`). Anything else that is measured on every face
enters by what each face has to do with it, `SeedValues`: the share of neutral faces that are read
as positive, or an area under a curve by the placements of DeLong.

With one seed of a variant nothing is known of other seeds. `join(..., other_seeds=False)` takes the
networks as they are, and its intervals hold other faces alone: the sum of squares of the faces'
parts, with Student's t over persons, or over independent rows the normal quantile, whose spread
follows from the share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import DataError
from facebias.fairness import metrics
from facebias.fairness.counts import Codes, count_decisions
from facebias.fairness.group_pairs import GAP_METRICS
from facebias.fairness.influence import divide
from facebias.fairness.intervals import wilson_interval
from facebias.fairness.paired import distinct_persons, same_faces
from facebias.fairness.predictions import UNKNOWN, GroupCodes, ScoredRows, all_group_codes
from facebias.fairness.settings import Settings
from facebias.fairness.significance import Metric, sensitivities

FloatArray = npt.NDArray[np.float64]

CROSSED, BY_FACE = "crossed seeds", "interval over faces"
"""Tests: over seeds and faces (or persons), and over faces with the networks as they are."""

_SMALLEST_P = 1e-12


@dataclass(frozen=True, eq=False)
class Crossed:
    """One metric of an attribute's groups in one variant, or in two; the last group is unknown.

    Attributes:
        attribute: its name.
        metric: its name.
        groups: G names.
        values: shape (V, G), means over each variant's seeds.
        seed_covariances: shape (V, G, G), of the seeds' terms of these means; without any where
            the networks are taken as they are, shape (0, G, G).
        face_covariance: shape (G, G), of the faces' term; of two variants, of their difference.
        seeds: shape (V,).
        n: shape (G,), rows.
        units: shape (G,), rows or persons.
        freedom: shape (G,), degrees of freedom of the faces' term; infinite for the normal
            quantile.
        rarest: shape (G,), units that a value of 0 or 1 rests on: those of the rarest class where
            the metric is an average over classes, else all.
        judged: shape (G,), whether the metric rests on enough rows of every class.
        by_person: whether units are persons.
        other_seeds: whether intervals hold other seeds too.
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
    freedom: FloatArray
    rarest: Codes
    judged: npt.NDArray[np.bool_]
    by_person: bool
    other_seeds: bool

    def shown(self) -> range:
        """Return the declared groups, and the unknown one where it has rows."""
        return range(len(self.groups) - (self.n[-1] == 0))

    def eligible(self, min_group: int) -> list[int]:
        """Return the groups that gaps compare."""
        enough = (self.n >= min_group) & self.judged
        return [group for group in range(len(enough) - 1) if enough[group]]


@dataclass(frozen=True, eq=False)
class Counted:
    """The rows that a metric is about, N of them, by group; the last of G groups is unknown.

    Attributes:
        attribute: its name.
        metric: its name.
        groups: G names.
        codes: shape (N,), group of each row.
        persons: shape (N,), unit of each row; rows are numbered where each is its own.
        by_person: whether units are persons with several rows.
        n: shape (G,), rows.
        units: shape (G,), rows or persons.
        rarest: see `Crossed`.
        judged: see `Crossed`.
    """

    attribute: str
    metric: str
    groups: tuple[str, ...]
    codes: Codes
    persons: Codes
    by_person: bool
    n: Codes
    units: Codes
    rarest: Codes
    judged: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SeedValues:
    """What each seed of a variant gets in each group, and each row's part in it.

    Attributes:
        values: shape (R, G).
        parts: shape (R, N), influence of each row on the value of its group: they add up to 0 in
            it, and the sum of their squares is the variance of the value over other rows.
        freedom: shape (G,), degrees of freedom of that variance, where parts are scaled to be
            without bias already, as DeLong's are; None: units - 1, and they are scaled here.
    """

    values: FloatArray
    parts: FloatArray
    freedom: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class SeedTerms:
    """What the runs of one variant say of a metric in each group, ready to be joined.

    Attributes:
        values: shape (R, G).
        faces: sparse (G, P), the part of each person in each group's mean over seeds.
        both: shape (G, G), covariance of the means from what seeds and faces do together.
        freedom: see `SeedValues`.
    """

    values: FloatArray
    faces: Any
    both: FloatArray
    freedom: FloatArray | None

    def seed_covariance(self) -> FloatArray:
        """Return the covariance of the means over seeds (G, G); NaN for one seed."""
        seeds = len(self.values)
        deviations = self.values - self.values.mean(axis=0)
        if seeds < 2:
            return np.full((self.values.shape[1],) * 2, np.nan)
        return np.asarray(deviations.T @ deviations / (seeds - 1) / seeds)


@dataclass(frozen=True)
class Contrast:
    """A value of one group or two, and what its interval is made of.

    Attributes:
        values: in each variant; of two groups, the first minus the second.
        terms: variances: of each variant's seeds (where other seeds are held), and of the faces.
        freedom: degrees of freedom of each term.
        reason: why there is no interval; empty where there is one.
    """

    values: tuple[float, ...]
    terms: tuple[float, ...]
    freedom: tuple[float, ...]
    reason: str

    def half_width(self, level: float) -> float:
        """Return half the width of the interval at a confidence in (0, 1); NaN without one."""
        if self.reason:
            return math.nan
        tail = (1 - level) / 2
        # A term of 0 adds nothing, whatever its quantile.
        parts = zip(self.terms, self.freedom, strict=True)
        return math.sqrt(sum(term * _quantile(own, tail) ** 2 for term, own in parts if term))


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
    rows, by_variant = seeds_of_variants(variants, classes, attributes)
    for codes in all_group_codes(rows.table, attributes, intersections):
        for metric in names:
            yield cross(metric, rows, by_variant, codes, len(classes), settings.min_class)


def seeds_of_variants(
    variants: Sequence[Sequence[pd.DataFrame]],
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
) -> tuple[ScoredRows, list[Codes]]:
    """Bring the runs of all variants into one order.

    Args:
        variants: the runs of each, see `facebias.fairness.seeds`.
        classes: the declared classes.
        attributes: the declared groups of each attribute.

    Returns:
        The rows of the first run, N of them; what the R runs of each variant predict, (R, N) each.

    Raises:
        DataError: see `facebias.fairness.seeds.seed_measures`.
    """
    for runs in variants:
        _check_seeds(runs)
    tables = [table for runs in variants for table in runs]
    rows, predicted = same_faces(tables, classes, tuple(attributes))
    splits = np.cumsum([len(runs) for runs in variants])[:-1]
    return rows, np.split(predicted, splits)


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
    counted = count_average(metric, rows, codes, n_classes, min_class)
    function = metrics.AVERAGES[metric]
    sides = [
        seed_terms(decision_values(function, rows.labels, each, counted, n_classes), counted)
        for each in by_variant
    ]
    return join(counted, sides)


def count_rows(
    metric: str,
    codes: GroupCodes,
    persons: Codes | None,
    rarest: Codes | None = None,
    judged: npt.NDArray[np.bool_] | None = None,
) -> Counted:
    """Count the rows and units of each group.

    Args:
        metric: its name.
        codes: the group of each row that the metric is about.
        persons: person of each of these rows; None: every row is its own.
        rarest: see `Crossed`; None: all units.
        judged: see `Crossed`; None: all groups.
    """
    own = np.arange(len(codes.codes)) if persons is None else persons
    groups = (*codes.groups, UNKNOWN)
    n = np.bincount(codes.codes, minlength=len(groups))
    units = distinct_persons(own, codes.codes, len(groups)) if len(own) else n
    return Counted(
        codes.attribute,
        metric,
        groups,
        codes.codes,
        own,
        persons is not None,
        n,
        units,
        units if rarest is None else rarest,
        np.ones(len(groups), dtype=bool) if judged is None else judged,
    )


def count_average(
    metric: str, rows: ScoredRows, codes: GroupCodes, n_classes: int, min_class: int
) -> Counted:
    """Count the rows of accuracy or of an average over classes; arguments as of `cross`."""
    if metric == "accuracy":
        return count_rows(metric, codes, rows.persons)
    persons = np.arange(len(rows.labels)) if rows.persons is None else rows.persons
    required = np.bincount(rows.labels, minlength=n_classes) > 0
    of_label, size = codes.codes * n_classes + rows.labels, (len(codes.groups) + 1) * n_classes
    n = np.bincount(of_label, minlength=size).reshape(-1, n_classes)
    units = distinct_persons(persons, of_label, size).reshape(-1, n_classes)[:, required]
    judged = np.asarray((n[:, required] >= min_class).all(axis=1))
    return count_rows(metric, codes, rows.persons, units.min(axis=1), judged)


def decision_values(
    function: Metric, labels: Codes, predicted: Codes, counted: Counted, n_classes: int
) -> SeedValues:
    """Return values and parts of a metric of decisions.

    Args:
        function: of counts (..., C, C), gives (...).
        labels: shape (N,).
        predicted: shape (R, N), a row a seed.
        counted: the rows.
        n_classes: C.
    """
    size = {"n_groups": len(counted.groups), "n_classes": n_classes}
    counts = np.stack([count_decisions(counted.codes, labels, each, **size) for each in predicted])
    slopes = sensitivities(function, counts)
    parts = [
        slope[counted.codes, labels, each] for slope, each in zip(slopes, predicted, strict=True)
    ]
    return SeedValues(function(counts), np.stack(parts))


def share_values(
    hits: FloatArray, counted: Counted, members: npt.NDArray[np.bool_] | None = None
) -> SeedValues:
    """Return values and parts of a share of the rows.

    Args:
        hits: shape (R, N), 0 or 1, of each seed and row.
        counted: the rows.
        members: shape (R, N), the rows that each seed's share is of; None: all.
    """
    size = len(counted.groups)
    weights = np.ones_like(hits) if members is None else members.astype(np.float64)
    sums, rows = (
        np.stack([np.bincount(counted.codes, each, minlength=size) for each in found])
        for found in (hits * weights, weights)
    )
    values = divide(sums, rows)
    deviations = weights * (hits - values[:, counted.codes])
    return SeedValues(values, divide(deviations, rows[:, counted.codes]))


def seed_terms(found: SeedValues, counted: Counted) -> SeedTerms:
    """Add up the parts of the runs of one variant, over persons and over seeds.

    Args:
        found: of R seeds.
        counted: the rows.
    """
    from scipy.sparse import csr_array

    codes, persons = counted.codes, counted.persons
    n_persons = int(persons.max()) + 1 if len(persons) else 1
    seeds, shape = len(found.parts), (len(counted.groups), n_persons)
    parts = np.nan_to_num(found.parts)  # of rows whose group has no value
    mean = csr_array((parts.mean(axis=0), (codes, persons)), shape=shape)
    if seeds == 1:
        return SeedTerms(found.values, mean, np.zeros((shape[0],) * 2), found.freedom)
    # Seeds side by side: one product adds up over persons and over seeds.
    places = (np.arange(seeds)[:, None] * shape[1] + persons).ravel()
    beside = csr_array(
        (parts.ravel(), (np.tile(codes, seeds), places)), shape=(shape[0], seeds * shape[1])
    )
    around = (beside @ beside.T).toarray() - seeds * (mean @ mean.T).toarray()
    return SeedTerms(found.values, mean, around / ((seeds - 1) * seeds), found.freedom)


def join(counted: Counted, sides: Sequence[SeedTerms], *, other_seeds: bool = True) -> Crossed:
    """Put one variant's terms, or the difference of two, together.

    Args:
        counted: the rows.
        sides: terms of one variant or of two.
        other_seeds: whether intervals are to hold other seeds; False takes the networks as they
            are.
    """
    means = sides[0].faces if len(sides) == 1 else sides[0].faces - sides[1].faces
    faces = (means @ means.T).toarray()
    if other_seeds:
        faces -= sum(side.both for side in sides)
    units = counted.units
    freedom = (units - 1).astype(np.float64)
    known = [side.freedom for side in sides if side.freedom is not None]
    if known:
        freedom = np.fmin.reduce(known)
    elif other_seeds or counted.by_person:
        # As with n - 1 in a variance: within a group, units' parts add up to 0.
        scale = np.sqrt(units / np.maximum(units - 1, 1))
        faces = faces * np.outer(scale, scale)
    else:
        freedom = np.full(len(units), np.inf)
    covariances = [side.seed_covariance() for side in sides] if other_seeds else []
    return Crossed(
        attribute=counted.attribute,
        metric=counted.metric,
        groups=counted.groups,
        values=np.stack([side.values.mean(axis=0) for side in sides]),
        seed_covariances=np.reshape(covariances, (-1, *faces.shape)),
        face_covariance=faces,
        seeds=np.array([len(side.values) for side in sides]),
        n=counted.n,
        units=units,
        freedom=freedom,
        rarest=counted.rarest,
        judged=counted.judged,
        by_person=counted.by_person,
        other_seeds=other_seeds,
    )


def contrast(crossed: Crossed, place: Sequence[int]) -> Contrast:
    """Return the value of one group, or the gap between two, with its terms.

    Args:
        crossed: of one variant or two.
        place: index of the group; or of two, of which the second is subtracted.
    """
    values = tuple(_at(each, place) for each in crossed.values)
    covariances = (*crossed.seed_covariances, crossed.face_covariance)
    # The faces' term is a difference: chance, like rounding, may bring it below 0.
    terms = tuple(max(_variance(each, place), 0.0) for each in covariances)
    reason = _reason(crossed, place, values)
    if not reason and not any(terms) and not (len(values) == len(place) == 1):
        drawn = "faces and seeds" if crossed.other_seeds else "faces"
        reason = f"it is the same whichever {drawn} are drawn"
    seeds = (crossed.seeds - 1).tolist() if crossed.other_seeds else []
    faces = min(float(crossed.freedom[group]) for group in place)
    return Contrast(values, terms, (*seeds, faces), reason)


def _at(values: FloatArray, place: Sequence[int]) -> float:
    """Return the value (G,) of a group, or the gap between two."""
    return float(values[place[0]] - sum(values[group] for group in place[1:]))


def _variance(covariance: FloatArray, place: Sequence[int]) -> float:
    """Return the variance of a group's value, or of the gap between two, from (G, G)."""
    if len(place) == 1:
        return float(covariance[place[0], place[0]])
    one, two = place
    return float(covariance[one, one] + covariance[two, two] - 2 * covariance[one, two])


def estimate(crossed: Crossed, place: Sequence[int], level: float) -> Estimate:
    """Estimate the value of one group, or the gap between two.

    Args:
        crossed: of one variant or two.
        place: index of the group; or of two, of which the second is subtracted.
        level: confidence in (0, 1).
    """
    found = contrast(crossed, place)
    if found.reason:
        nothing = {"method": "none", "seed_error": math.nan, "face_error": math.nan}
        return Estimate(found.values, math.nan, nothing | {"reason": found.reason})
    *seeds, faces = found.terms
    units = "persons" if crossed.by_person else "faces"
    columns = {
        "method": f"crossed seeds x {units}" if crossed.other_seeds else units,
        "seed_error": math.sqrt(sum(seeds)) if crossed.other_seeds else math.nan,
        "face_error": math.sqrt(faces),
        "reason": "",
    }
    return Estimate(found.values, found.half_width(level), columns)


@lru_cache(maxsize=4096)
def _quantile(freedom: float, tail: float) -> float:
    """Return the quantile of Student's t, below 0."""
    from scipy.special import ndtri, stdtrit

    return float(ndtri(tail) if math.isinf(freedom) else stdtrit(freedom, tail))


def touching_p(terms: FloatArray, freedom: FloatArray, distance: FloatArray) -> FloatArray:
    """Return 1 - the confidence at which an interval just touches what is so far away.

    Args:
        terms: shape (M, T), variances.
        freedom: shape (M, T), their degrees of freedom.
        distance: shape (M,), of the value from what is tested; 0 or more.

    Returns:
        Shape (M,), 1e-12 or more; NaN where the terms are undefined or nothing varies.
    """
    from scipy.optimize.elementwise import find_root

    if terms.shape[1] == 1:
        return _student_p(terms[:, 0], freedom[:, 0], distance)
    p = np.full(len(distance), np.nan)
    known = terms.any(axis=-1) & ~np.isnan(terms).any(axis=-1) & ~np.isnan(distance)
    p[known] = 1.0
    far = _half_widths(terms, freedom, np.full(len(p), _SMALLEST_P / 2)) <= distance
    p[known & far] = _SMALLEST_P
    sought = np.flatnonzero(known & ~far & (distance > 0))
    if len(sought):
        asked = (*terms[sought].T, *freedom[sought].T, distance[sought])
        ends = (math.log(_SMALLEST_P), 0.0)
        found = find_root(_beyond, ends, args=asked)
        p[sought] = np.exp(found.x)
    return p


def _student_p(square: FloatArray, freedom: FloatArray, distance: FloatArray) -> FloatArray:
    """Return the p-values of one term each, shape (M,)."""
    from scipy.special import ndtr, stdtr

    errors = divide(distance, np.sqrt(square))
    normal = np.isinf(freedom)
    tail = np.where(normal, ndtr(-errors), stdtr(np.where(normal, 1.0, freedom), -errors))
    return np.asarray(np.maximum(2 * tail, _SMALLEST_P))


def _beyond(logarithm: FloatArray, *asked: FloatArray) -> FloatArray:
    """Return how far the interval of 1 - exp(logarithm) reaches beyond what is tested."""
    columns, distance = np.stack(asked[:-1], axis=-1), asked[-1]
    terms, freedom = np.split(columns, 2, axis=-1)
    return np.asarray(_half_widths(terms, freedom, np.exp(logarithm) / 2) - distance)


def _half_widths(terms: FloatArray, freedom: FloatArray, tail: FloatArray) -> FloatArray:
    """Return half widths (...) of terms (..., T), for the chance of each tail (...)."""
    from scipy.special import ndtri, stdtrit

    tails = np.broadcast_to(np.asarray(tail)[..., None], terms.shape)
    normal = np.isinf(freedom)
    quantile = np.where(
        normal, ndtri(tails), stdtrit(np.where(normal, 1.0, np.maximum(freedom, 1e-3)), tails)
    )
    # A term of 0 adds nothing, whatever its quantile.
    squares = np.where(terms == 0, 0.0, terms * quantile**2)
    return np.asarray(np.sqrt(squares.sum(axis=-1)))


def _reason(crossed: Crossed, place: Sequence[int], values: tuple[float, ...]) -> str:
    """Say why a contrast has no interval; nothing where it has one."""
    if any(map(math.isnan, values)):
        return "no rows"
    if crossed.other_seeds and crossed.seeds.min() < 2:
        return "one seed tells nothing of other seeds"
    if any(crossed.units[group] < 2 for group in place):
        return "one unit tells nothing of others"
    judged = all(crossed.judged[group] for group in place)
    return "" if judged else "too few rows of a class"


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
