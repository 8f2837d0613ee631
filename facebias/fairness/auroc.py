"""The area under the ROC curve of each class against the rest, by group, and how sure it is.

The area is the chance that a row of the class scores higher than a row of another, ties counting
half (Hanley & McNeil 1982, Radiology 143). A row's placement is the share of the other kind that it
beats, or that beats it; the areas are means of placements, and placements are what DeLong's
variance is made of (DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44). One sort gives all of
them (Sun & Xu 2014, IEEE Signal Processing Letters 21). Where a person has several rows, their
influence values are added up first (Obuchowski 1997, Biometrics 53).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from facebias.errors import DataError
from facebias.fairness.influence import FloatArray, GroupUnits, Orders, divide, group_units
from facebias.fairness.predictions import Codes

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Areas:
    """The areas of one class in all groups.

    Attributes:
        values: shape (G,), 0..1; NaN without rows of the class or without other rows.
        influence: shape (N,), influence value of each row on the area of its group, scaled so that
            the squares add up to DeLong's variance; NaN where fewer than two units of a kind are.
        errors: shape (G,), DeLong's standard errors.
        freedom: shape (G,), degrees of freedom of the errors, by Welch's formula.
        positives: shape (G,), units with rows of the class.
        negatives: shape (G,), units with other rows.
    """

    values: FloatArray
    influence: FloatArray
    errors: FloatArray
    freedom: FloatArray
    positives: Codes
    negatives: Codes


def class_auroc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> FloatArray:
    """Return the area under the ROC curve of each class against the rest.

    Args:
        labels: shape (N,), integers in [0, C).
        scores: shape (N, C), finite; probabilities, or anything that grows with them.

    Returns:
        Shape (C,), values in [0, 1]; NaN for a class without true rows or without other rows.

    Raises:
        DataError: shapes that do not match, labels out of range, scores that are not finite.

    >>> class_auroc([0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]]).tolist()
    [0.75, 0.75]
    """
    truth, values = _checked_scores(labels, scores)
    return np.asarray(group_auroc(truth, values, np.zeros(len(truth), dtype=np.int64), 1)[0])


def auroc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the one-vs-rest AUROC, averaged over the classes where it is defined.

    Args:
        labels: shape (N,), integers in [0, C).
        scores: shape (N, C), finite.

    Returns:
        A number in [0, 1]; NaN where fewer than two classes have true rows.

    Raises:
        DataError: see `class_auroc`.
    """
    return macro_area(class_auroc(labels, scores)).item()


def group_auroc(labels: Codes, scores: FloatArray, groups: Codes, n_groups: int) -> FloatArray:
    """Return the area of each class in each group, shape (G, C), without intervals.

    Args:
        labels: shape (N,), 0 to C - 1.
        scores: shape (N, C), finite.
        groups: shape (N,), 0 to G - 1.
        n_groups: G.

    Raises:
        DataError: scores that are not finite.
    """
    _check_finite(scores)
    units = group_units(groups, None, n_groups)
    columns = [
        group_areas(labels == number, scores[:, number], units).values
        for number in range(scores.shape[1])
    ]
    return np.stack(columns, axis=-1) if columns else np.empty((n_groups, 0))


def macro_area(areas: FloatArray) -> FloatArray:
    """Average areas (..., C) over the classes where they are defined, shape (...)."""
    defined = ~np.isnan(areas)
    return divide(np.where(defined, areas, 0.0).sum(axis=-1), defined.sum(axis=-1))


def group_areas(
    positive: Mask, score: FloatArray, units: GroupUnits, order: Orders | None = None
) -> Areas:
    """Return the area of one class in each group, and what each row contributes.

    Args:
        positive: shape (N,), whether a row is of the class.
        score: shape (N,), finite.
        units: of these rows.
        order: shape (N,), the rows by ascending score, where it is known.
    """
    kinds = 2 * units.groups + positive
    rows = np.bincount(kinds, minlength=2 * units.n_groups)
    place = _placements(positive, score, units, rows, order)
    sums = np.bincount(kinds, place, minlength=len(rows))
    areas = divide(sums[1::2], rows[1::2])
    counted = np.stack([units.count_units(~positive), units.count_units(positive)], axis=-1)
    # DeLong divides the squares of m rows by m - 1.
    scale = divide(np.sqrt(divide(counted, counted - 1)).ravel(), rows)
    influence = (place - np.repeat(areas, 2)[kinds]) * scale[kinds]
    errors = np.sqrt(units.squares(influence))
    freedom = _freedom(positive, influence, units, counted)
    return Areas(areas, influence, errors, freedom, counted[:, 1], counted[:, 0])


def _freedom(
    positive: Mask, influence: FloatArray, units: GroupUnits, counted: Array
) -> FloatArray:
    """Return Welch's degrees of freedom (G,) of the two kinds' variances together."""
    parts = [units.squares(np.where(kind, influence, 0.0)) for kind in (~positive, positive)]
    squares = np.stack(parts, axis=-1)
    # A kind whose placements are all alike adds no variance, and does not bound the freedom.
    terms = divide(squares**2, np.maximum(counted - 1, 1))
    return divide(squares.sum(axis=-1) ** 2, terms.sum(axis=-1))


def _placements(
    positive: Mask, score: FloatArray, units: GroupUnits, rows: Array, order: Orders | None
) -> FloatArray:
    """Return the share of the other kind, in its group, that a row beats or is beaten by (N,).

    For a row of the class: the share of other rows that score lower. For another row: the share of
    rows of the class that score higher. Ties count half; NaN where there is no other kind.
    """
    ordered = units.sort(score, order)
    groups, values, ours = units.groups[ordered], score[ordered], positive[ordered]
    starts = np.ones(len(ordered), dtype=bool)
    starts[1:] = (values[1:] != values[:-1]) | (groups[1:] != groups[:-1])
    firsts = np.flatnonzero(starts)  # of the rows of one score and group
    lengths = np.diff(firsts, append=len(ordered))
    before = np.concatenate([[0], np.cumsum(ours)])
    lower = before[firsts]
    tied = before[firsts + lengths] - lower
    others, those = (firsts - lower, lengths - tied), (lower, tied)
    of_group = groups[firsts]
    shares = [
        _beaten_share(*each, rows[kind::2], of_group) for kind, each in enumerate((others, those))
    ]
    places = np.empty(len(ordered))
    both = (np.repeat(each, lengths) for each in (shares[0], 1 - shares[1]))
    places[ordered] = np.where(ours, *both)
    return places


def _beaten_share(lower: Codes, tied: Codes, rows: Codes, groups: Array) -> FloatArray:
    """Return the share of a kind's rows (G,) in the group that score lower, ties counting half.

    Args:
        lower: rows of this kind that come before, those of earlier groups too.
        tied: rows of this kind with the same score.
        rows: shape (G,), rows of this kind.
        groups: group of each score.
    """
    earlier = np.cumsum(rows) - rows
    return (lower + tied / 2 - earlier[groups]) * divide(np.ones(len(rows)), rows)[groups]


def area_interval(found: Areas, level: float) -> tuple[FloatArray, FloatArray, list[str]]:
    """Return intervals of areas: DeLong's on the logit scale, Newcombe's where areas are 0 or 1.

    The logit keeps the bounds inside 0..1 and covers better near them (Pepe 2003, The Statistical
    Evaluation of Medical Tests, section 5.2), and Student's t with Welch's degrees of freedom
    widens the interval of few rows: in simulations it covers 93 to 99 % with 10 or more rows of the
    rarer kind, and 90 % where 15 of them score far above 200 others. Of kinds that no score mixes
    up, DeLong's variance is 0, as if the area were known exactly; Newcombe's method 5 keeps a width
    there (Newcombe 2006, Statistics in Medicine 25).

    Args:
        found: areas with their errors, freedom and units; influence values are not used.
        level: confidence in (0, 1).

    Returns:
        Low and high, NaN where undefined, and the method: "delong", "newcombe" or "none".
    """
    from scipy.special import stdtrit

    areas, errors = found.values, found.errors
    between = (areas > 0) & (areas < 1) & (errors > 0)
    held = np.where(between, areas, 0.5)
    t = stdtrit(np.where(between, found.freedom, 1.0), 0.5 + level / 2)
    half = t * errors / (held * (1 - held))
    odds = held / (1 - held)
    low, high = (np.where(between, _share(odds * np.exp(each)), np.nan) for each in (-half, half))
    methods = np.where(between, "delong", "none").astype(object)
    for place in np.flatnonzero(((areas == 0) | (areas == 1)) & ~np.isnan(errors)):
        bound = _separated_bound(int(found.positives[place]), int(found.negatives[place]), level)
        low[place], high[place] = (bound, 1) if areas[place] else (0, 1 - bound)
        methods[place] = "newcombe"
    return low, high, [str(name) for name in methods]


def _share(odds: FloatArray) -> FloatArray:
    return odds / (1 + odds)


def _separated_bound(positives: int, negatives: int, level: float) -> float:
    """Return the lower bound of an area of 1, by Newcombe's method 5."""
    from scipy.optimize import brentq

    z = NormalDist().inv_cdf(0.5 + level / 2)
    mean = (positives + negatives) / 2 - 1

    def excess(area: float) -> float:
        spread = 1 + mean * ((1 - area) / (2 - area) + area / (1 + area))
        return float(1 - area - z * np.sqrt(area * (1 - area) * spread / (positives * negatives)))

    return float(brentq(excess, 0.0, 1 - 1e-12))


def _checked_scores(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Array, FloatArray]:
    """Return labels and scores as arrays after checking shape, range and finiteness."""
    truth, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or truth.shape != values.shape[:1]:
        raise DataError(
            f"labels have shape {truth.shape}, scores {values.shape}.", "(N,) and (N, C)"
        )
    _check_finite(values)
    if truth.size and (truth.min() < 0 or truth.max() >= values.shape[1]):
        raise DataError(
            f"labels run from {truth.min()} to {truth.max()}.",
            f"integers from 0 to {values.shape[1] - 1}",
        )
    return truth, values


def _check_finite(scores: FloatArray) -> None:
    """Raise where a score is missing or infinite: it would be sorted as if it were the highest."""
    wrong = int((~np.isfinite(scores)).any(axis=1).sum())
    if wrong:
        raise DataError(
            f"{wrong} of {len(scores)} rows have a score that is missing or infinite.",
            "a finite score for every class",
            "Leave these rows out, or the scores of all rows; of a model that diverged there is no "
            "AUROC.",
        )
