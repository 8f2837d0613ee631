"""One attribute's groups, counted and resampled: what every metric and gap is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facebias.fairness.counts import PersonPatterns, count_decisions, count_patterns, distinct
from facebias.fairness.predictions import GroupCodes, ScoredRows
from facebias.fairness.settings import Settings

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

_CHUNK_NUMBERS = 2**20  # in an array of the person bootstrap: 8 MiB of int64

_DENSE_NUMBERS = 2**23  # 64 MiB of float64; patterns beyond that stay sparse

_FEW_PERSONS = 10  # a pattern: `rng.multinomial` takes as long for a pattern as ten draws do


@dataclass(frozen=True, eq=False)
class CountedGroups:
    """One attribute's groups, counted, with bootstrap replicates of the counts.

    The last place of the groups' axis, index G, holds the rows whose group nobody recorded.

    Attributes:
        attribute: "gender", or "gender x age".
        groups: the G declared groups in their order.
        counts: shape (G + 1, C, C), `counts[group, label, predicted]`.
        units: shape (G + 1,), independent units: persons where they are resampled, else rows.
        class_units: shape (G + 1, C), units with rows of each true label.
        by_person: whether persons were resampled instead of rows.
        drawn: shape (B, G + 1, C, C), the replicates.
        patterns: the persons' counts; None where rows were resampled.
    """

    attribute: str
    groups: tuple[str, ...]
    counts: Array
    units: Array
    class_units: Array
    by_person: bool
    drawn: Array
    patterns: PersonPatterns | None


def count_groups(
    rows: ScoredRows, codes: GroupCodes, n_classes: int, settings: Settings
) -> CountedGroups:
    """Count the decisions in each group of one attribute, and resample them.

    Where a person has several rows, persons are resampled with all their rows; else rows, inside
    each group.

    Args:
        rows: the scored rows, N of them.
        codes: the group of each row.
        n_classes: C.
        settings: its `replicates` and `seed` are used. Every attribute has a generator of its
            own: another attribute beside it changes no number.
    """
    rng = np.random.default_rng(settings.seed)
    size = {"n_groups": len(codes.groups) + 1, "n_classes": n_classes}
    decisions = (codes.codes, rows.labels, rows.predicted)
    counts = count_decisions(*decisions, **size)
    if rows.persons is None:
        drawn = bootstrap_counts(counts, settings.replicates, rng)
        class_units, units, patterns = counts.sum(axis=-1), counts.sum(axis=(-2, -1)), None
    else:
        patterns = count_patterns(rows.persons, *decisions, **size)
        drawn = bootstrap_person_counts(patterns, settings.replicates, rng)
        class_units, units = patterns.persons_with(2), patterns.persons_with(1)
    by_person = rows.persons is not None
    return CountedGroups(
        codes.attribute, codes.groups, counts, units, class_units, by_person, drawn, patterns
    )


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
    filled = distinct(patterns.cells)
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
