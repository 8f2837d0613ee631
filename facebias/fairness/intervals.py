"""Intervals: Wilson for a share, Student for a mean, the bootstrap, max-t for the largest gap.

Averages over classes and gaps between groups are weighted sums of shares (`means`, `differences`).
docs/statistics.md says what each interval means, and how often it holds the truth in simulations.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
Interval = Callable[[FloatArray], tuple[FloatArray, FloatArray]]

UNDEFINED_LIMIT = 0.05
"""An interval is undefined when more than this share of its replicates is."""

_FARTHEST, _HALVINGS = 12.0, 40  # a p-value is sought down to that of 12 standard errors


def wilson_interval(
    right: npt.ArrayLike, total: npt.ArrayLike, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Return Wilson's score interval of a share of independent rows.

    It keeps its width where the share is 0 or 1 and the bootstrap collapses to a point (Wilson
    1927, JASA 22; Brown, Cai & DasGupta 2001, Statistical Science 16).

    Args:
        right: shape (...), in [0, total].
        total: shape (...); 0 gives NaN.
        level: confidence in (0, 1).

    Returns:
        Low and high, each of shape (...), in [0, 1].

    >>> [round(float(bound), 3) for bound in wilson_interval(10, 10)]
    [0.722, 1.0]
    """
    rows = np.asarray(total, dtype=np.float64)
    rows = np.where(rows > 0, rows, np.nan)
    return _wilson(np.asarray(right) / rows, rows, np.asarray(normal_critical(level)))


def normal_critical(level: float = 0.95) -> float:
    """Return how many standard errors reach to each side at this confidence: 1.96 for 95 %."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def student_interval(
    mean: npt.ArrayLike, deviation: npt.ArrayLike, n: npt.ArrayLike, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Return Student's interval of the mean of n independent values (Student 1908, Biometrika 6).

    Args:
        mean: shape (...).
        deviation: standard deviation with n - 1, shape (...).
        n: shape (...); below 2 there is no interval: NaN.
        level: confidence in (0, 1).

    Returns:
        Low and high, each of shape (...); they may leave the range of what is averaged.

    >>> [round(float(bound), 3) for bound in student_interval(0.5, 0.1, 3)]
    [0.252, 0.748]
    """
    from scipy.special import stdtrit

    values = np.asarray(n, dtype=np.float64)
    values = np.where(values > 1, values, np.nan)
    half = stdtrit(values - 1, 0.5 + level / 2) * np.asarray(deviation) / np.sqrt(values)
    centre = np.asarray(mean, dtype=np.float64)
    return np.asarray(centre - half), np.asarray(centre + half)


def agresti_min_interval(
    net: npt.ArrayLike, apart: npt.ArrayLike, n: npt.ArrayLike, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Return the interval of the difference of two shares of the same independent rows.

    Half a row is added to each way of differing (Agresti & Min 2005, Statistics in Medicine 24).

    Args:
        net: rows that count for the first alone, less those for the second alone, shape (...).
        apart: rows that count for one of them alone, shape (...).
        n: all rows, shape (...); without any there is no interval: NaN.
        level: confidence in (0, 1).

    Returns:
        Low and high, each of shape (...).

    >>> [round(float(bound), 3) for bound in agresti_min_interval(10, 30, 100)]
    [-0.007, 0.203]
    """
    values = np.asarray(n, dtype=np.float64)
    rows = np.where(values > 0, values + 2, np.nan)
    centre = np.asarray(net) / rows
    spread = np.sqrt(((np.asarray(apart) + 1) / rows - centre**2) / rows)
    half = normal_critical(level) * spread
    return np.asarray(centre - half), np.asarray(centre + half)


def spread_constant(
    values: FloatArray, replicates: FloatArray, units: Array, rng: np.random.Generator
) -> FloatArray:
    """Give a spread to groups whose value is 0 or 1 in every replicate.

    30 right of 30 is right in every replicate too: the bootstrap would say that the group is
    known exactly. Such a group's replicates are drawn from the Jeffreys posterior of a share,
    Beta(right + 1/2, wrong + 1/2), instead (Brown, Cai & DasGupta 2001).

    Args:
        values: shape (G,).
        replicates: shape (B, G).
        units: shape (G,), the independent rows (or persons) behind each value.
        rng: the generator to draw from.

    Returns:
        Shape (B, G); the replicates of all other groups are untouched.
    """
    constant = ((replicates == values) | np.isnan(replicates)).all(axis=0)
    constant &= ((values == 0) | (values == 1)) & (units > 0)
    right = np.where(constant, values * units, 0) + 0.5
    wrong = np.where(constant, (1 - values) * units, 0) + 0.5
    drawn = rng.beta(right, wrong, size=replicates.shape)
    return np.where(constant & ~np.isnan(replicates), drawn, replicates)


def percentile_interval(
    replicates: FloatArray, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Return the percentile interval of each column of replicates.

    Undefined replicates are left out, up to 5 % of them; beyond that the interval describes
    another quantity ("the value where it happens to be defined") and is NaN.

    Args:
        replicates: shape (B, ...), NaN where undefined.
        level: confidence in (0, 1).

    Returns:
        Low and high, each of shape (...).

    >>> low, high = percentile_interval(np.arange(101.0)[:, None], level=0.9)
    >>> low.round(9).tolist(), high.round(9).tolist()
    ([5.0], [95.0])
    """
    known = _mostly_defined(replicates)
    # Columns without an interval are filled, so that no quantile is taken of nothing.
    filled = np.where(known, replicates, 0.0)
    quantile = np.nanquantile if np.isnan(filled).any() else np.quantile
    bounds = quantile(filled, [(1 - level) / 2, (1 + level) / 2], axis=0)
    low, high = np.where(known, bounds, np.nan)
    return low, high


@dataclass(frozen=True, eq=False)
class Combinations:
    """Weighted sums of shares: a share itself, an average over classes, a gap between groups.

    Each part is a share, or another value in [0, 1], with the spread of its replicates. It counts
    as the share of as many independent units as give that spread, value x (1 - value) / squared
    error; where the value is 0 or 1 the replicates never vary, and it counts as the share of its
    units. Part by part that gives Wilson's interval (Korn & Graubard 1998, Survey Methodology 24),
    and the distances of the bounds are added up as standard errors are (Newcombe 1998, Statistics
    in Medicine 17; Zou & Donner 2008, the same 27). The spread of rows follows from the share, but
    that between persons is only known as well as they are many: there Student's t takes the place
    of the normal quantile, with the degrees of freedom of Satterthwaite (1946, Biometrics
    Bulletin 2).

    Attributes:
        weights: shape (..., K); 0 for a part that is left out; NaN where the sum is undefined.
        values: shape (..., K), in [0, 1].
        errors: shape (..., K), standard errors; NaN makes the whole undefined.
        units: shape (..., K), independent units behind each, at least 1.
        correlations: shape (..., K, K), of the parts' replicates.
        by_person: whether units are persons with several rows.
    """

    weights: FloatArray
    values: FloatArray
    errors: FloatArray
    units: FloatArray
    correlations: FloatArray
    by_person: bool

    @property
    def total(self) -> FloatArray:
        """The weighted sums, shape (...)."""
        return np.asarray((self.weights * self.values).sum(axis=-1))

    def interval(self, critical: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return low and high, each of shape (...), in the range that the sums can have.

        Args:
            critical: how many standard errors to each side, shape () or (...): `normal_critical`
                of the confidence, or the quantile of `max_t` where the largest of many is shown.
        """
        rows = self._effective_units()
        normal = np.broadcast_to(np.asarray(critical, np.float64), self.total.shape)[..., None]
        low, high = _wilson(
            self.values, rows, self._student(rows, normal) if self.by_person else normal
        )
        up, down = self.weights * (high - self.values), self.weights * (self.values - low)
        # What is subtracted moves the sum the other way, and keeps its sign: parts that vary
        # together cancel in a difference.
        above, below = np.where(self.weights > 0, (up, down), (down, up))
        return self.total - self._added(below), self.total + self._added(above)

    def p_value(self) -> FloatArray:
        """Return the p-value of "the sum is 0", two-sided, shape (...).

        It is 1 - the confidence at which the interval just touches 0, so it is below .05 exactly
        where the 95 % interval excludes 0.
        """
        return farthest_p(self.interval, self.total.shape)

    @property
    def n_pairs(self) -> int:
        """How many sums there are."""
        return self.total.size

    def leave_out_0(self, critical: float) -> bool:
        """Tell whether an interval of any sum leaves out 0.

        Args:
            critical: how many standard errors to each side.
        """
        low, high = self.interval(critical)
        return bool(((low > 0) | (high < 0)).any())

    def smallest_p(self) -> float:
        """Return the smallest p-value of a sum."""
        return float(np.nanmin(self.p_value()))

    def chosen(self, places: Array) -> Combinations:
        """Return the sums at these places (P,) of the first axis, in this order."""
        parts = ("weights", "values", "errors", "units", "correlations")
        return replace(self, **{name: getattr(self, name)[places] for name in parts})

    def _effective_units(self) -> FloatArray:
        """Return as how many independent units each part tells, shape (..., K)."""
        inner = (self.values > 0) & (self.values < 1) & (self.errors != 0)
        errors = np.where(inner, self.errors, 1.0)
        # The bootstrap's variance has n where that of a sample of persons has n - 1.
        few = np.maximum(self.units - 1, 1) / np.maximum(self.units, 2) if self.by_person else 1.0
        return np.where(inner, few * self.values * (1 - self.values) / errors**2, self.units)

    def _student(self, rows: FloatArray, normal: FloatArray) -> FloatArray:
        """Return Student's quantile for the same confidence, shape (..., 1)."""
        from scipy.special import ndtr, stdtrit

        low, high = _wilson(self.values, rows, np.asarray(normal_critical()))
        squares = (self.weights * (high - low)) ** 2
        uncertain = (squares**2 / np.maximum(self.units - 1, 1)).sum(axis=-1, keepdims=True)
        degrees = squares.sum(axis=-1, keepdims=True) ** 2 / np.where(uncertain > 0, uncertain, 1)
        return np.asarray(-stdtrit(np.fmax(degrees, 1), ndtr(-normal)))

    def _added(self, distances: FloatArray) -> FloatArray:
        """Return the length of the parts' signed distances (..., K), as of correlated errors."""
        squares = np.einsum("...k,...kl,...l->...", distances, self.correlations, distances)
        return np.asarray(np.sqrt(np.maximum(squares, 0)))


def farthest_p(interval: Interval, shape: tuple[int, ...]) -> FloatArray:
    """Return the p-value of "it is 0": 1 - the confidence at which its interval just touches 0.

    Args:
        interval: low and high at a number of standard errors, all of this shape.
        shape: of what is tested.
    """
    from scipy.special import ndtr

    inside, beyond = np.zeros(shape), np.full(shape, _FARTHEST)
    for _ in range(_HALVINGS):
        middle = (inside + beyond) / 2
        low, high = interval(middle)
        touches = (low <= 0) & (high >= 0)
        inside, beyond = np.where(touches, inside, middle), np.where(touches, middle, beyond)
    return np.where(np.isnan(low), np.nan, 2 * ndtr(-beyond))


def shares(
    values: FloatArray, errors: FloatArray, units: Array, *, by_person: bool
) -> Combinations:
    """Return a share of each group whose standard error is known without replicates.

    Args:
        values: shape (G,), in [0, 1]; NaN where undefined.
        errors: shape (G,), standard errors of the mean of independent units, with n - 1; NaN where
            there are fewer than two.
        units: shape (G,), the independent units (persons, or rows) behind each.
        by_person: whether units are persons with several rows.
    """
    # As the bootstrap's, which has n where that of a sample has n - 1, and none of one unit.
    bootstrapped = np.nan_to_num(errors) * np.sqrt(np.maximum(units - 1, 0) / np.maximum(units, 1))
    if not by_person:
        bootstrapped = np.zeros_like(bootstrapped)  # rows are known to be as many as they are
    parts = values[:, None]
    own = np.ones((len(values), 1, 1))
    sides = bootstrapped[:, None], units[:, None], own
    return _combinations(_mean_weights(parts), parts, *sides, by_person)


def means(
    values: FloatArray, replicates: FloatArray, units: Array, *, by_person: bool
) -> Combinations:
    """Return the mean of the parts of each group, such as the macro average of classes.

    Args:
        values: shape (G, K), in [0, 1]; a part that is NaN is left out of the mean.
        replicates: shape (B, G, K). A group with a part that is undefined in more than 5 % of them
            has no interval.
        units: shape (G, K), the independent units (persons, or rows) behind each part.
        by_person: whether units are persons with several rows.
    """
    errors, scaled = _scaled_deviations(replicates)
    correlations = np.einsum("bgk,bgl->gkl", scaled, scaled, optimize=True)
    return _combinations(_mean_weights(values), values, errors, units, correlations, by_person)


def differences(
    values: FloatArray,
    replicates: FloatArray,
    units: Array,
    first: Array,
    second: Array,
    *,
    by_person: bool,
) -> Combinations:
    """Return the differences between pairs of groups: mean of the first's parts - of the second's.

    Args:
        values: see `means`.
        replicates: see `means`; groups that share persons vary together, which is allowed for.
        units: see `means`.
        first: shape (P,), index of each pair's first group.
        second: shape (P,).
        by_person: see `means`.
    """
    both = np.stack([first, second], axis=1)
    parts = np.arange(values.size).reshape(values.shape)[both].reshape(len(both), -1)
    errors, scaled = _scaled_deviations(replicates.reshape(len(replicates), -1))
    correlations = (scaled.T @ scaled)[parts[:, :, None], parts[:, None, :]]
    signs = np.repeat([1.0, -1.0], values.shape[1])
    weights = _mean_weights(values).ravel()[parts] * signs
    chosen = values.ravel()[parts], errors[parts], np.ravel(units)[parts]
    return _combinations(weights, *chosen, correlations, by_person)


def paired_contrasts(
    values: FloatArray, replicates: FloatArray, units: Array, *, by_person: bool
) -> Combinations:
    """Return differences within P pairs of parts that are drawn together: mean of the first's - ...

    As `differences` between two groups that vary together, P of them at a time.

    Args:
        values: shape (P, 2, K); see `means`.
        replicates: shape (B, P, 2, K).
        units: shape (P, K), the independent units behind each part of either.
        by_person: see `means`.
    """
    errors, scaled = _scaled_deviations(replicates.reshape(*replicates.shape[:2], -1))
    correlations = scaled.transpose(1, 2, 0) @ scaled.transpose(1, 0, 2)
    weights = (_mean_weights(values) * np.array([1.0, -1.0])[:, None]).reshape(len(values), -1)
    both = np.concatenate([units, units], axis=-1)
    parts = values.reshape(len(values), -1)
    return _combinations(weights, parts, errors, both, correlations, by_person)


class Pairs(Protocol):
    """Differences that one test is made of."""

    @property
    def n_pairs(self) -> int:
        """How many there are."""

    def leave_out_0(self, critical: float) -> bool:
        """Tell whether an interval of any, at so many standard errors, leaves out 0."""

    def smallest_p(self) -> float:
        """Return the smallest p-value of one."""


@dataclass(frozen=True, eq=False)
class MaxT:
    """How far the differences of all pairs of groups lie from the truth at once.

    Attributes:
        largest: shape (B,), the largest deviation of a pair in each replicate, in its standard
            errors; NaN where no pair has any spread.
    """

    largest: FloatArray

    def critical(self, level: float = 0.95) -> float:
        """Return how many standard errors hold all pairs at once with this confidence."""
        known = self.largest[~np.isnan(self.largest)]
        # The order statistic above the quantile: between two, the chance would stay below `level`.
        return float(np.quantile(known, level, method="higher")) if known.size else math.nan

    def p_value(self, pairs: Sequence[Pairs]) -> float:
        """Return the p-value of "all these differences are 0".

        It is at most 1 - `level` exactly where an interval at `critical(level)` leaves out 0: the
        share of replicates that deviate as far as the last interval that does. Where none deviates
        so far, it may go below what the replicates can show, to Bonferroni's bound from the pairs'
        own p-values; below that step both tests have to reject, so neither makes the other loose.

        Args:
            pairs: the differences that vary so.

        Returns:
            In (0, 1]; NaN where no pair has any spread.
        """
        known = np.sort(self.largest[~np.isnan(self.largest)])
        if not known.size:
            return math.nan
        told = bisect_left(
            known, True, key=lambda critical: not any(each.leave_out_0(critical) for each in pairs)
        )
        p = (1 + known.size - told) / (1 + known.size)
        if told < known.size:
            return p
        own = min(each.smallest_p() for each in pairs)
        return min(p, own * sum(each.n_pairs for each in pairs))


def max_t(values: FloatArray, replicates: FloatArray) -> MaxT:
    """Return the distribution of the largest studentised deviation over all pairs of groups.

    The largest difference is chosen because it is the largest, and a maximum is never below 0: in
    equal groups it is well above, and so is every bootstrap replicate of it. A percentile interval
    of the maximum excludes 0 even where all groups are alike. Intervals d ± q se with q from here
    hold for all pairs together, so for whichever is picked (max-t; Romano & Wolf 2005,
    Econometrica 73).

    Args:
        values: shape (G,), of the groups that are compared.
        replicates: shape (B, G). Pairs whose replicates never vary are passed over.
    """
    deviations = replicates - values
    largest = np.full(len(replicates), np.nan)
    # One group against all later ones at a time: the pairs never stand in memory all at once.
    for first in range(len(values) - 1):
        apart = deviations[:, first, None] - deviations[:, first + 1 :]
        errors = replicate_errors(apart)
        spread = errors > 0
        if spread.any():
            scaled = np.abs(apart[:, spread]) / errors[spread]
            largest = np.fmax(largest, np.fmax.reduce(scaled, axis=1))
    return MaxT(largest)


def _wilson(share: Array, rows: Array, critical: Array) -> tuple[FloatArray, FloatArray]:
    """Return Wilson's bounds of a share of as many independent rows, which need not be whole."""
    square = critical**2 / rows
    centre = (share + square / 2) / (1 + square)
    half = critical / (1 + square) * np.sqrt(share * (1 - share) / rows + square / (4 * rows))
    # Rounding must not push a bound past the share itself, which at 0 or 1 is the edge.
    return np.clip(centre - half, 0, share), np.clip(centre + half, share, 1)


def _mean_weights(values: FloatArray) -> FloatArray:
    """Return equal weights of the defined parts (G, K); NaN for a group without any."""
    defined = ~np.isnan(values)
    n_defined = defined.sum(axis=-1, keepdims=True).astype(np.float64)
    return defined / np.where(n_defined > 0, n_defined, np.nan)


def _combinations(
    weights: FloatArray,
    values: FloatArray,
    errors: FloatArray,
    units: Array,
    correlations: FloatArray,
    by_person: bool,
) -> Combinations:
    """Return combinations whose parts without a weight cannot make the others undefined."""
    counted = weights != 0
    # Each part goes with itself, even one that never varies.
    own = np.eye(correlations.shape[-1], dtype=bool)
    return Combinations(
        weights,
        np.where(counted, values, 0.0),
        np.where(counted, errors, 0.0),
        np.maximum(np.where(counted, units, 1), 1).astype(np.float64),
        np.where(own, 1.0, correlations),
        by_person,
    )


def _scaled_deviations(replicates: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return standard errors, and deviations of which the products add up to correlations.

    Errors are NaN where too many replicates are undefined; an undefined one does not deviate.
    """
    known = _mostly_defined(replicates)
    filled = np.where(known, replicates, 0.0)
    errors = replicate_errors(filled)
    centre = np.nanmean(filled, axis=0)
    scale = np.where(errors > 0, errors, 1.0) * math.sqrt(max(len(replicates) - 1, 1))
    deviations = np.nan_to_num((filled - centre) / scale, nan=0.0)
    return np.where(known, errors, np.nan), deviations


def replicate_errors(replicates: FloatArray) -> FloatArray:
    """Return the standard deviation over the first axis (B, ...); 0 where it is only rounding."""
    error = np.asarray(np.nanstd(replicates, axis=0, ddof=1))
    return np.where(error > 1e-12, error, 0.0)


def _mostly_defined(replicates: FloatArray) -> npt.NDArray[np.bool_]:
    """Return, for each column, whether few enough replicates are undefined."""
    return np.asarray(np.isnan(replicates).mean(axis=0) <= UNDEFINED_LIMIT)
