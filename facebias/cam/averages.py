"""The mean of what was measured on each face, with an interval by person."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Persons: TypeAlias = Sequence[Any] | NDArray[Any] | None
"""Who each of N faces is, (N,); None where each is a person of its own."""


@dataclass(frozen=True)
class Average:
    """A mean over faces.

    Attributes:
        value: the mean; NaN of no face.
        low: lower bound of its interval; NaN with fewer than two units.
        high: upper bound.
        n: the faces that it is of.
        units: the persons among them, or again the faces.
    """

    value: float
    low: float
    high: float
    n: int
    units: int


def average(values: ArrayLike, persons: Persons = None, *, level: float = 0.95) -> Average:
    """Return the mean over faces with Student's interval over persons.

    The faces of a person are not independent: what they deviate from the mean is added up before
    it is squared (Liang & Zeger 1986, Biometrika 73). With a face a person this is Student's
    interval of a mean.

    Args:
        values: (N,), of any range; faces with NaN are left out.
        persons: who each face is, (N,); None where each is a person of its own.
        level: confidence, within (0, 1).

    >>> found = average([0.4, 0.5, 0.6, np.nan])
    >>> found.value, round(found.low, 3), round(found.high, 3), found.n
    (0.5, 0.252, 0.748, 3)
    """
    from scipy.special import stdtrit

    numbers = np.asarray(values, np.float64)
    known = ~np.isnan(numbers)
    numbers, n = numbers[known], int(known.sum())
    if n == 0:
        return Average(math.nan, math.nan, math.nan, 0, 0)
    units, value = np.arange(n), float(numbers.mean())
    if persons is not None:
        units, _ = pd.factorize(np.asarray(persons, object)[known])
        # A face of nobody known is a person of its own.
        units = np.where(units < 0, n + np.arange(n), units)
    sums = np.bincount(np.unique(units, return_inverse=True)[1], numbers - value)
    count, half = len(sums), math.nan
    if count > 1:
        error = math.sqrt(float((sums**2).sum()) * count / (count - 1)) / n
        half = float(stdtrit(count - 1, 0.5 + level / 2)) * error
    return Average(value, value - half, value + half, n, count)
