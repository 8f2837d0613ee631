"""Intervals: Wilson for a share, Student for a mean, the bootstrap, max-t for the largest gap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from facebias.errors import DataError
from facebias.fairness.counts import PersonPatterns

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

UNDEFINED_LIMIT = 0.05
"""An interval is undefined when more than this share of its replicates is."""

_CHUNK_NUMBERS = 2**20  # in an array of the person bootstrap: 8 MiB of int64

_DENSE_NUMBERS = 2**23  # 64 MiB of float64; patterns beyond that stay sparse

_FEW_PERSONS = 10  # a pattern: `rng.multinomial` takes as long for a pattern as ten draws do


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
    z = NormalDist().inv_cdf(0.5 + level / 2)
    rows = np.asarray(total, dtype=np.float64)
    rows = np.where(rows > 0, rows, np.nan)
    share = np.asarray(right) / rows
    centre = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    # Rounding must not push a bound past the share itself, which at 0 or 1 is the edge.
    return np.clip(centre - half, 0, share), np.clip(centre + half, share, 1)


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


def bootstrap_counts(
    counts: Array, replicates: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw bootstrap replicates of the counts, rows resampled inside each group.

    Drawing n rows with replacement from n rows puts each draw into a cell with the chance
    cell / n, independently of the others; the counts of the cells are then exactly
    multinomial(n, cells / n). So the rows themselves are not needed, and the cost does not
    depend on how many there are.

    Args:
        counts: shape (G, C, C), integers.
        replicates: B. The result holds B x G x C x C int64: 3 MB for 1000 x 100 x 2 x 2.
        rng: the generator to draw from.

    Returns:
        Shape (B, G, C, C); the rows of each group stay what they were. An empty group stays empty.
    """
    n_groups = counts.shape[0]
    cells = counts.reshape(n_groups, math.prod(counts.shape[1:]))
    rows = cells.sum(axis=-1)
    shares = cells / np.maximum(rows, 1)[:, None]
    drawn = rng.multinomial(rows, shares, size=(replicates, n_groups))
    return drawn.reshape(replicates, *counts.shape).astype(np.int64, copy=False)


def bootstrap_person_counts(
    patterns: PersonPatterns, replicates: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw bootstrap replicates of the counts, persons resampled with all their rows.

    Photos of one person are right or wrong together, so rows resampled one by one would give
    intervals that are too narrow. P persons are drawn with replacement from P; how often each
    pattern comes is then exactly multinomial(P, persons of the pattern / P), and a replicate is
    the sum over patterns of (times drawn) x (counts of the pattern). Groups are resampled
    together, because one person may have rows in several.

    Args:
        patterns: from `count_patterns`; K patterns with E filled cells of P persons.
        replicates: B.
        rng: the generator to draw from.

    Returns:
        Shape (B, G, C, C). Replicates are made in chunks, which change no number: beyond the
        result, it holds a few arrays of 8 MiB, or of E or P numbers where that is more, and up to
        64 MiB of patterns.
    """
    filled = np.unique(patterns.cells)
    dense = _dense_patterns(patterns, filled)
    result = np.zeros((replicates, math.prod(patterns.shape)), dtype=np.int64)
    chunk = max(1, _CHUNK_NUMBERS // _numbers_held(patterns, sparse=dense is None))
    for start in range(0, replicates if len(filled) else 0, chunk):
        size = min(chunk, replicates - start)
        drawn = _times_drawn(patterns.persons, size, rng)
        result[start : start + size, filled] = (
            _sums_by_cell(drawn, patterns)
            if dense is None
            else np.rint(drawn.astype(np.float64) @ dense)
        )
    return result.reshape(replicates, *patterns.shape)


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


@dataclass(frozen=True)
class LargestGap:
    """The pair of groups that differ most.

    Attributes:
        gap: better minus worse value, at least 0; NaN with fewer than two eligible groups.
        low: lower bound of the gap between this pair; below 0 where it may be reversed.
        high: upper bound.
        best: index of the better group; -1 where there is no pair.
        worst: index of the worse group; -1 where there is no pair.
        eligible: how many groups were compared.
    """

    gap: float
    low: float
    high: float
    best: int
    worst: int
    eligible: int


def largest_gap(
    values: FloatArray,
    replicates: FloatArray,
    *,
    eligible: npt.NDArray[np.bool_] | None = None,
    higher_is_better: bool = True,
    level: float = 0.95,
) -> LargestGap:
    """Find the pair of groups with the largest gap, and an interval that allows for the search.

    The pair is chosen because its gap is the largest, and a maximum is never below 0: in groups
    that are equal it is well above, and so is every bootstrap replicate of it. A percentile
    interval of the maximum therefore excludes 0 even where all groups are alike. Here every
    pair gets its interval d ± q se at once: se is the standard deviation of the pair's
    replicates, and q the `level` quantile, over replicates, of the largest |d* - d| / se of all
    pairs (max-t; Romano & Wolf 2005, Econometrica 73). All pairs are covered together with
    chance `level`, so whichever pair is picked is covered at least as often. The interval is of
    the true gap between the pair that it names; the gap itself still leans high.

    Args:
        values: shape (G,); NaN where undefined.
        replicates: shape (B, G), bootstrap replicates of the values. Holds arrays of (B, G).
        eligible: shape (G,); groups to compare, all if left out. Groups with an undefined value,
            or with more than 5 % undefined replicates, are left out in any case.
        higher_is_better: False for errors, so that `worst` is the group with the largest value.
        level: confidence in (0, 1).

    Returns:
        The pair. The bounds are NaN where the pair's replicates never vary (se = 0).

    Raises:
        DataError: shapes that do not match.
    """
    if values.ndim != 1 or replicates.shape[1:] != values.shape:
        raise DataError(
            f"values have shape {values.shape}, replicates {replicates.shape}.", "(G,) and (B, G)"
        )
    usable = ~np.isnan(values) & _mostly_defined(replicates)
    chosen = np.flatnonzero(usable if eligible is None else usable & eligible)
    if len(chosen) < 2:
        return LargestGap(math.nan, math.nan, math.nan, -1, -1, len(chosen))
    ascending = chosen[np.argsort(values[chosen], kind="stable")]
    low_group, high_group = int(ascending[0]), int(ascending[-1])
    gap = float(values[high_group] - values[low_group])
    half = _simultaneous_half_width(values, replicates, chosen, (high_group, low_group), level)
    best, worst = (high_group, low_group) if higher_is_better else (low_group, high_group)
    return LargestGap(gap, gap - half, gap + half, best, worst, len(chosen))


def _simultaneous_half_width(
    values: FloatArray, replicates: FloatArray, chosen: Array, pair: tuple[int, int], level: float
) -> float:
    """Return q x se of the pair, q over all pairs of the chosen groups; NaN where se is 0."""
    error = _standard_error(replicates[:, pair[0]] - replicates[:, pair[1]])
    if not error > 0:
        return math.nan
    deviations = replicates[:, chosen] - values[chosen]
    largest = np.full(len(replicates), np.nan)
    # One group against all later ones at a time: the pairs never stand in memory all at once.
    for first in range(len(chosen) - 1):
        differences = deviations[:, first, None] - deviations[:, first + 1 :]
        errors = _standard_error(differences)
        scaled = np.abs(differences[:, errors > 0]) / errors[errors > 0]
        if scaled.shape[1]:
            largest = np.fmax(largest, np.fmax.reduce(scaled, axis=1))
    return float(np.nanquantile(largest, level) * error)


def _standard_error(replicates: FloatArray) -> FloatArray:
    """Return the standard deviation over the first axis; 0 where it is only rounding."""
    error = np.asarray(np.nanstd(replicates, axis=0, ddof=1))
    return np.where(error > 1e-12, error, 0.0)


def _mostly_defined(replicates: FloatArray) -> npt.NDArray[np.bool_]:
    """Return, for each column, whether few enough replicates are undefined."""
    return np.asarray(np.isnan(replicates).mean(axis=0) <= UNDEFINED_LIMIT)


def _dense_patterns(patterns: PersonPatterns, filled: npt.NDArray[np.int64]) -> FloatArray | None:
    """Return the patterns in the cells that any fills, shape (K, F); None where too large."""
    shape = (len(patterns.persons), len(filled))
    if math.prod(shape) > _DENSE_NUMBERS:
        return None
    # float64 multiplies by BLAS and is exact for integers below 2 ** 53.
    dense = np.zeros(shape)
    dense[patterns.patterns, np.searchsorted(filled, patterns.cells)] = patterns.times
    return dense


def _numbers_held(patterns: PersonPatterns, *, sparse: bool) -> int:
    """Return the size of the largest array that one replicate needs."""
    drawn = patterns.persons.sum() if _one_by_one(patterns.persons) else len(patterns.persons)
    return max(1, int(drawn), len(patterns.cells) if sparse else 0)


def _sums_by_cell(drawn: npt.NDArray[np.int64], patterns: PersonPatterns) -> npt.NDArray[np.int64]:
    """Return the sum of the drawn patterns in each cell that any fills, shape (B, F)."""
    starts = np.flatnonzero(np.diff(patterns.cells, prepend=-1))
    rows = drawn[:, patterns.patterns] * patterns.times
    return np.asarray(np.add.reduceat(rows, starts, axis=1))


def _one_by_one(persons: npt.NDArray[np.int64]) -> bool:
    """Say whether persons are drawn faster one by one than as one multinomial."""
    return bool(persons.sum() <= _FEW_PERSONS * len(persons))


def _times_drawn(
    persons: npt.NDArray[np.int64], replicates: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw as many persons as there are, with replacement; count each pattern, shape (B, K).

    Counting persons drawn one by one is the same multinomial as `rng.multinomial`.
    """
    total, n_patterns = int(persons.sum()), len(persons)
    if not _one_by_one(persons):
        return rng.multinomial(total, persons / total, size=(replicates,))
    pattern_of = np.repeat(np.arange(n_patterns), persons)
    drawn = pattern_of[rng.integers(total, size=(replicates, total))]
    drawn += np.arange(replicates)[:, None] * n_patterns
    times = np.bincount(drawn.ravel(), minlength=replicates * n_patterns)
    return times.reshape(replicates, n_patterns).astype(np.int64, copy=False)
