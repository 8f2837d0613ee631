"""Paired comparisons: two models on the same faces are not two samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facebias.errors import DataError
from facebias.fairness.intervals import percentile_interval

FloatArray = npt.NDArray[np.float64]

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
    percentiles (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13). It covers
    other faces of the same kind, not other trainings of the models. Where every face has the same
    difference, replicates say nothing and there is no interval.

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
    differences = one - other
    units = np.arange(len(differences)) if persons is None else persons
    sums, sizes = np.bincount(units, differences).astype(np.float64), np.bincount(units)
    sums, sizes = sums[sizes > 0], sizes[sizes > 0]
    drawn = _replicates(sums, sizes, replicates, np.random.default_rng(seed))
    low, high = math.nan, math.nan
    if np.ptp(drawn) > 0:
        low, high = (float(bound[0]) for bound in percentile_interval(drawn[:, None], level))
    return PairedDifference(float(differences.mean()), low, high)


def _replicates(
    sums: FloatArray, sizes: npt.NDArray[Any], replicates: int, dice: np.random.Generator
) -> FloatArray:
    """Return the mean difference of each bootstrap sample of units (replicates,)."""
    means = np.empty(replicates)
    step = max(1, _CHUNK // len(sums))
    for start in range(0, replicates, step):
        chosen = dice.integers(len(sums), size=(min(step, replicates - start), len(sums)))
        means[start : start + step] = sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1)
    return means
