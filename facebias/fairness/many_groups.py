"""Many groups: what holds for all pairs of them, without a number for each pair.

Pairs grow with the square of the groups: 1,000 groups have 499,500. Beyond `MOST_PAIRED` groups
the bounds of two groups are put together as of independent groups (Newcombe 1998, Statistics in
Medicine 17; Zou & Donner 2008, the same 27), so that two numbers a group tell of all pairs. How far
all pairs deviate at once is read off the replicates, in the same errors. There groups that share
persons vary together, so the intervals hold for all pairs at once whatever groups share; those of
groups that share persons may be wider than they would have to be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facebias.fairness.intervals import (
    Combinations,
    MaxT,
    farthest_p,
    replicate_errors,
)

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

MOST_PAIRED = 100
"""Groups up to which every pair is compared by itself: 4,950 pairs."""

_CHUNK_NUMBERS = 2**20  # pairs that are held at a time: 8 MiB an array

_ROUNDING = 1e-12  # a difference or standard error below this is none

_ROOT = math.sqrt(0.5)


@dataclass(frozen=True, eq=False)
class IndependentPairs:
    """Differences between pairs of groups, as of independent groups.

    Attributes:
        groups: of each group, shape (G,).
        first: shape (P,), place of each pair's first group.
        second: shape (P,).
    """

    groups: Combinations
    first: Array
    second: Array

    def interval(self, critical: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return low and high of first - second, each (P,).

        Args:
            critical: how many standard errors to each side, shape () or (P,).
        """
        reach = np.broadcast_to(np.asarray(critical, np.float64), self.first.shape)
        one, other = self._group_bounds(self.first, reach), self._group_bounds(self.second, reach)
        values = self.groups.total
        gap = values[self.first] - values[self.second]
        return gap - np.hypot(one[0], other[1]), gap + np.hypot(one[1], other[0])

    def p_value(self) -> FloatArray:
        """Return the p-value of "the difference is 0", two-sided, shape (P,)."""
        return farthest_p(self.interval, self.first.shape)

    def _group_bounds(self, places: Array, critical: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how far the bounds of these groups are below and above, each (P,)."""
        chosen = self.groups.chosen(places)
        low, high = chosen.interval(critical)
        return chosen.total - low, high - chosen.total


@dataclass(frozen=True, eq=False)
class EveryPair:
    """All pairs of many groups, as of independent groups; none stands in memory by itself.

    Attributes:
        groups: of each group, shape (G,).
    """

    groups: Combinations

    @property
    def n_pairs(self) -> int:
        """How many pairs there are."""
        return math.comb(len(self.groups.total), 2)

    def leave_out_0(self, critical: float) -> bool:
        """Tell whether the interval of any pair leaves out 0.

        Args:
            critical: how many standard errors to each side.
        """
        low, high = self.groups.interval(critical)
        values = self.groups.total
        # As in `_largest_apart`: only these can be far enough apart.
        upper, lower = values - _ROOT * (values - low), values + _ROOT * (high - values)
        ups, downs = np.flatnonzero(upper > lower.min()), np.flatnonzero(lower < upper.max())
        gaps = _reaches(values[ups], low[ups], values[downs], high[downs])
        return any(bool((reach > 0).any()) for reach in gaps)

    def smallest_p(self) -> float:
        """Return the smallest p-value of a pair, of its own difference."""

        def touches(critical: FloatArray) -> tuple[FloatArray, FloatArray]:
            apart = self.leave_out_0(float(critical[0]))
            return np.array([1.0 if apart else -1.0]), np.ones(1)

        return float(farthest_p(touches, (1,))[0])

    def surest(self, critical: float) -> tuple[Array, Array]:
        """Return for each group the pair whose interval is farthest from 0, or nearest to be.

        Args:
            critical: how many standard errors to each side.

        Returns:
            First and second, each (P,) with P up to G, ascending; each pair once.
        """
        low, high = self.groups.interval(critical)
        values = self.groups.total
        upwards = _farthest(values, low, high)
        downwards = _farthest(-values, -high, -low)
        others = np.where(upwards[0] >= downwards[0], upwards[1], downwards[1]).astype(np.int64)
        pairs = np.sort(np.stack([np.arange(len(values)), others]), axis=0)
        first, second = np.unique(pairs, axis=1)
        return first, second


def max_t_of_many(values: FloatArray, replicates: FloatArray) -> MaxT:
    """Return how far all pairs deviate at once, in the errors of independent groups.

    Args:
        values: shape (G,).
        replicates: shape (B, G); an undefined one does not deviate.
    """
    errors = replicate_errors(replicates)
    if not errors.any():
        return MaxT(np.full(len(replicates), np.nan))
    return MaxT(largest_apart(np.nan_to_num(replicates - values), errors))


def largest_apart(values: FloatArray, errors: FloatArray) -> FloatArray:
    """Return the largest |difference| / standard error of independent groups, (B,).

    Args:
        values: shape (B, G).
        errors: shape (B, G) or (G,). Without any, equal values are 0 errors apart and different
            ones infinitely many.

    Returns:
        Shape (B,); infinite too where a value or an error is undefined.
    """
    pairs = zip(values, np.broadcast_to(errors, values.shape), strict=True)
    return np.array([_largest_apart(*each) for each in pairs])


def _largest_apart(values: FloatArray, errors: FloatArray) -> float:
    """Return the largest difference of one row; only pairs that can be it are looked at."""
    if np.isnan(values).any() or np.isnan(errors).any():
        return math.inf
    found = 0.0
    while True:
        # A hypotenuse is at least the sum of both sides times the root of 1/2: whoever is farther
        # apart than what was found has upper > lower.
        upper, lower = values - found * _ROOT * errors, values + found * _ROOT * errors
        one, other = np.asarray(np.argmax(upper)), np.asarray(np.argmin(lower))
        here = float(_errors_apart(values, errors, one, other))
        if math.isinf(here):
            return here
        if not here > found:
            break
        found = here
    ups, downs = np.flatnonzero(upper > lower[other]), np.flatnonzero(lower < upper[one])
    far = _errors_apart(values, errors, ups[:, None], downs)
    return max(found, float(far.max(initial=0.0)))


def _errors_apart(values: FloatArray, errors: FloatArray, first: Array, second: Array) -> Array:
    """Return by how many standard errors the first is above the second."""
    gap, error = values[first] - values[second], np.hypot(errors[first], errors[second])
    scaled = np.where(gap > _ROUNDING, np.inf, 0.0)
    return np.divide(gap, error, out=scaled, where=error > _ROUNDING)


def _reaches(
    values: FloatArray, low: FloatArray, others: FloatArray, high: FloatArray
) -> Iterator[FloatArray]:
    """Yield how far the intervals of value - other (b, P) lie above 0, some values at a time.

    Args:
        values: shape (G,).
        low: their lower bounds.
        others: shape (P,).
        high: their upper bounds.
    """
    step = max(1, _CHUNK_NUMBERS // max(len(others), 1))
    above = high - others
    for start in range(0, len(values), step):
        some = slice(start, start + step)
        gap = values[some, None] - others
        yield gap - np.hypot((values - low)[some, None], above)


def _farthest(values: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return how far each group is above another at most, and above which, shape (2, G)."""
    parts, start = [], 0
    for reach in _reaches(values, low, values, high):
        rows = np.arange(len(reach))
        reach[rows, start + rows] = -np.inf  # a group is no pair with itself
        parts.append(np.stack([reach.max(axis=1), reach.argmax(axis=1)]))
        start += len(reach)
    return np.concatenate(parts, axis=1)
