"""Standard errors through influence values, summed by person.

A value that is made of rows moves by its influence value when a row gets more weight. Independent
units (persons where they have several rows, else rows) contribute the sums of theirs, and the
variance of the value is the sum of the squares (the infinitesimal jackknife; Jaeckel 1972; for
clusters Liang & Zeger 1986, Biometrika 73).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facebias.fairness.predictions import Codes

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
Orders = npt.NDArray[np.int32]

_ROUNDING = 1e-12  # an error below this is none


@dataclass(frozen=True, eq=False)
class GroupUnits:
    """Which group a row is in, and which independent unit of that group it belongs to.

    Attributes:
        groups: shape (N,), group of each row, 0 to G - 1.
        n_groups: G.
        units: shape (N,), unit of each row, 0 to U - 1; None where every row is its own.
        unit_groups: shape (U,), group of each unit; a person in two groups is a unit in each.
    """

    groups: Codes
    n_groups: int
    units: Codes | None
    unit_groups: Codes

    @property
    def by_person(self) -> bool:
        """Whether units are persons with several rows."""
        return self.units is not None

    def sums(self, values: Array) -> FloatArray:
        """Add up the values (N,) of the rows of each group, shape (G,)."""
        added = np.bincount(self.groups, values, minlength=self.n_groups)
        return np.asarray(added, dtype=np.float64)

    def count_units(self, chosen: npt.NDArray[np.bool_]) -> Codes:
        """Count the units of each group that have a chosen row (N,), shape (G,)."""
        if self.units is None:
            return np.bincount(self.groups[chosen], minlength=self.n_groups)
        present = np.zeros(len(self.unit_groups), dtype=bool)
        present[self.units[chosen]] = True
        return np.bincount(self.unit_groups[present], minlength=self.n_groups)

    def squares(self, influence: FloatArray) -> FloatArray:
        """Add up the squared sums of the units' influence values (N,), shape (G,)."""
        by_unit: Array = influence
        if self.units is not None:
            by_unit = np.bincount(self.units, influence, minlength=len(self.unit_groups))
        added = np.bincount(self.unit_groups, by_unit**2, minlength=self.n_groups)
        return np.asarray(added, dtype=np.float64)

    def sort(self, score: FloatArray, order: Orders | None = None) -> Array:
        """Return the rows by group and, in each, by ascending score, shape (N,).

        Args:
            score: shape (N,).
            order: shape (N,), all rows by ascending score, where it is known.
        """
        by_score: Array = np.argsort(score) if order is None else order
        # Sorting small integers keeps the order inside a group, and is done by counting.
        small = self.groups.astype(np.min_scalar_type(self.n_groups))
        return np.asarray(by_score[np.argsort(small[by_score], kind="stable")])


def group_units(groups: Codes, persons: Codes | None, n_groups: int) -> GroupUnits:
    """Find the independent units of each group.

    Args:
        groups: shape (N,), 0 to G - 1.
        persons: shape (N,), person of each row; None where every row is its own person.
        n_groups: G.
    """
    if persons is None:
        return GroupUnits(groups, n_groups, None, groups)
    pairs, units = np.unique(persons * n_groups + groups, return_inverse=True)
    return GroupUnits(groups, n_groups, np.asarray(units, dtype=np.int64), pairs % n_groups)


def group_means(values: FloatArray, units: GroupUnits) -> tuple[FloatArray, FloatArray]:
    """Return the mean of each group and its standard error, each of shape (G,).

    The error is undefined (NaN) for fewer than two units, and 0 where the values do not differ.

    Args:
        values: shape (N,), finite.
        units: of these rows.
    """
    rows = np.bincount(units.groups, minlength=units.n_groups)
    means = divide(units.sums(values), rows)
    influence = (values - means[units.groups]) / rows[units.groups]
    n_units = np.bincount(units.unit_groups, minlength=units.n_groups)
    errors = np.sqrt(units.squares(influence) * divide(n_units, n_units - 1))
    return means, np.where(errors < _ROUNDING, 0.0, errors)


def divide(numerator: Array, denominator: Array) -> FloatArray:
    """Divide where the denominator is above 0; NaN elsewhere, without a warning."""
    top, bottom = np.broadcast_arrays(numerator, denominator)
    undefined = np.full(top.shape, np.nan)
    return np.asarray(np.divide(top, bottom, out=undefined, where=bottom > 0))
