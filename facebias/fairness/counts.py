"""Hard decisions, counted: the tensor that every metric of hard decisions is a function of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facebias.errors import DataError

Codes = npt.NDArray[np.int64]

_NONE: Codes = np.zeros(0, dtype=np.int64)


def count_decisions(
    groups: npt.ArrayLike,
    labels: npt.ArrayLike,
    predicted: npt.ArrayLike,
    *,
    n_groups: int,
    n_classes: int,
) -> npt.NDArray[np.int64]:
    """Count the rows of each group, label and predicted class.

    The sizes are declared, not read off the data, so a group or class without rows keeps its
    place as zeros instead of shifting the ones after it. Counts of parts add up to the counts
    of the whole, in any order.

    Args:
        groups: shape (N,), integers in [0, n_groups).
        labels: shape (N,), integers in [0, n_classes).
        predicted: shape (N,), integers in [0, n_classes).
        n_groups: G, how many groups were declared.
        n_classes: C, how many classes were declared.

    Returns:
        Shape (G, C, C), `counts[group, label, predicted]`; the sum is N.

    Raises:
        DataError: an array is not a vector of integers, is out of range or differs in length.

    >>> count_decisions([0, 0, 2], [0, 1, 1], [0, 0, 1], n_groups=3, n_classes=2).tolist()
    [[[1, 0], [1, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 1]]]
    """
    cells = _cells(groups, labels, predicted, n_groups, n_classes)
    flat = np.bincount(cells, minlength=n_groups * n_classes * n_classes)
    return flat.reshape(n_groups, n_classes, n_classes).astype(np.int64, copy=False)


@dataclass(frozen=True, eq=False)
class PersonPatterns:
    """The different counts that persons have, and how many persons have each.

    Persons with the same counts can stand in for one another, so this is all that resampling
    persons needs. Persons with one row share G x C x C patterns at most. Only the filled cells of
    the patterns are held, and there are never more of them than rows.

    Attributes:
        persons: shape (K,), how many persons have each pattern, at least 1; the sum is P.
        patterns: shape (E,), the pattern that each filled cell belongs to.
        cells: shape (E,), index of this cell in the flattened (G, C, C); ascending.
        times: shape (E,), how many rows each person of this pattern has there.
        shape: (G, C, C).
    """

    persons: Codes
    patterns: Codes
    cells: Codes
    times: Codes
    shape: tuple[int, int, int]

    def persons_with(self, axes: int) -> Codes:
        """Count the persons that have any row, by the first axes of (G, C, C).

        Args:
            axes: 1: in each group, shape (G,). 2: of each label in each group, shape (G, C).
        """
        kept = self.shape[:axes]
        n_patterns = max(len(self.persons), 1)
        places = self.cells // math.prod(self.shape[axes:])
        # A person with several cells in one place is still one person there.
        once = distinct(np.sort(places * n_patterns + self.patterns))
        persons = np.zeros(math.prod(kept), dtype=np.int64)
        np.add.at(persons, once // n_patterns, self.persons[once % n_patterns])
        return persons.reshape(kept)


def count_patterns(
    persons: npt.ArrayLike,
    groups: npt.ArrayLike,
    labels: npt.ArrayLike,
    predicted: npt.ArrayLike,
    *,
    n_groups: int,
    n_classes: int,
) -> PersonPatterns:
    """Count the decisions of each person, and the persons of equal counts.

    Memory grows with the rows, not with persons x cells. Patterns come in the order of their rows
    and cells, so neither the order of the rows nor the numbers of the persons matter.

    Args:
        persons: shape (N,), integers in [0, N); a number without rows is no person.
        groups: see `count_decisions`.
        labels: see `count_decisions`.
        predicted: see `count_decisions`.
        n_groups: see `count_decisions`.
        n_classes: see `count_decisions`.

    Raises:
        DataError: see `count_decisions`.

    >>> found = count_patterns([0, 1, 1, 2], *[[0, 0, 0, 0]] * 3, n_groups=1, n_classes=2)
    >>> found.persons.tolist(), found.times.tolist()  # two have one row, one has two rows
    ([2, 1], [1, 2])
    """
    cells = _cells(groups, labels, predicted, n_groups, n_classes)
    person_codes = _checked_codes("persons", persons, len(cells))
    if len(person_codes) != len(cells):
        raise DataError(f"{len(person_codes)} persons and {len(cells)} rows.", "one person a row")
    found = [_distinct_rows(each) for each in _cells_of_persons(person_codes, cells)]
    n_persons = np.concatenate([_NONE, *(repeats for _, repeats in found)])
    lengths = np.concatenate([_NONE, *(np.full(len(rows), rows.shape[1]) for rows, _ in found)])
    members = np.concatenate([_NONE, *(rows.ravel() for rows, _ in found)])
    n_patterns = max(len(n_persons), 1)
    owners = np.repeat(np.arange(len(n_persons)), lengths)
    filled, times = np.unique(members * n_patterns + owners, return_counts=True)
    shape = (n_groups, n_classes, n_classes)
    return PersonPatterns(n_persons, filled % n_patterns, filled // n_patterns, times, shape)


def distinct(ascending: Codes) -> Codes:
    """Return the different ones of sorted codes from 0; `np.unique` takes ten times as long.

    >>> distinct(np.array([0, 0, 2, 5, 5])).tolist()
    [0, 2, 5]
    """
    return ascending[np.diff(ascending, prepend=-1) > 0]


def _cells_of_persons(persons: Codes, cells: Codes) -> Iterator[Codes]:
    """Yield the sorted cells of all persons with n rows, shape (persons, n), for each n."""
    ordered = cells[np.lexsort((cells, persons))]
    rows = np.bincount(persons)
    rows = rows[rows > 0]
    starts = np.cumsum(rows) - rows
    for n_rows in np.unique(rows):
        yield ordered[starts[rows == n_rows, None] + np.arange(n_rows)]


def _distinct_rows(table: Codes) -> tuple[Codes, Codes]:
    """Return the different rows of a table in ascending order, and how often each comes.

    As `np.unique` with an axis, which is many times slower.
    """
    ordered = table[np.lexsort(table.T[::-1])]
    changes = (ordered[1:] != ordered[:-1]).any(axis=1)
    firsts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    return ordered[firsts], np.diff(firsts, append=len(ordered))


def _cells(
    groups: npt.ArrayLike,
    labels: npt.ArrayLike,
    predicted: npt.ArrayLike,
    n_groups: int,
    n_classes: int,
) -> Codes:
    """Return the index of each row's cell in the flattened (G, C, C), after checking."""
    group_codes = _checked_codes("groups", groups, n_groups)
    label_codes = _checked_codes("labels", labels, n_classes)
    predicted_codes = _checked_codes("predicted", predicted, n_classes)
    if not len(group_codes) == len(label_codes) == len(predicted_codes):
        raise DataError(
            f"{len(group_codes)} groups, {len(label_codes)} labels and "
            f"{len(predicted_codes)} predicted classes.",
            "one of each a row",
        )
    return (group_codes * n_classes + label_codes) * n_classes + predicted_codes


def _checked_codes(name: str, codes: npt.ArrayLike, size: int) -> Codes:
    """Return `codes` as int64 after checking kind, shape and range."""
    array = np.asarray(codes)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise DataError(
            f"{name} has shape {array.shape} and type {array.dtype}.", "a vector of integers"
        )
    if array.size and (array.min() < 0 or array.max() >= size):
        raise DataError(
            f"{name} runs from {array.min()} to {array.max()}.",
            f"integers from 0 to {size - 1}",
            "Leave out rows without a label or group before counting.",
        )
    return array.astype(np.int64, copy=False)
