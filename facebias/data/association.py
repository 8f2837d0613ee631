"""Tables of label and group with a wanted Cramer's V and constant margins."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.cells import cramers_v
from facebias.data.composition import (
    Counts,
    GroupShares,
    largest_remainder,
    own_for_each,
    shortage,
)
from facebias.errors import CompositionError

# Whole fractions keep margins whole to the last digit: tables are rounded without losing a face.
Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Direction:
    """Which label goes with which group: by pairs, or by the shares of the groups in each label.

    Attributes:
        pairs: for some labels the group that as many of their faces as possible have.
        shares: for some labels the shares of the groups; in the others all groups are equal.
    """

    pairs: Mapping[str, str] | None = None
    shares: Mapping[str, GroupShares] | None = None


@dataclass(frozen=True)
class _Line:
    """The tables from independence through the strongest one, all with the same whole margins.

    Attributes:
        independent: (labels, groups).
        away: the strongest table less the independent one.
        strength: Cramer's V of the strongest table; V is in proportion to the way gone.
        end: the way, in units of `away`, beyond which a cell would be negative.
    """

    independent: Numbers
    away: Numbers
    strength: float
    end: Fraction | float

    @property
    def reach(self) -> float:
        """The largest V."""
        return float(self.end) * self.strength

    def at(self, target: float) -> Numbers:
        """Return the table with a wanted V, or with the largest one if that is smaller."""
        if not self.strength:
            return self.independent
        way = Fraction(target / self.strength).limit_denominator(10**9)
        table: Numbers = self.independent + type(self.end)(min(way, self.end)) * self.away
        return table


@dataclass(frozen=True)
class _Course:
    """A direction among the faces at hand, whatever the total.

    Attributes:
        labels: their frequencies.
        shares: of the groups, for each label; with ties one row, for all labels together.
        ties: (label, group) that go together as far as they can; None: as the shares say.
    """

    labels: list[float]
    shares: list[list[float]]
    ties: list[tuple[int, int]] | None = None

    def line(self, total: int, number: type = Fraction) -> _Line:
        """Return the tables of a total, in whole fractions or in floats."""
        labels = largest_remainder(total, self.labels)
        strong = self._strongest(labels, number)
        independent = np.outer(_numbers(labels, number), strong.sum(axis=0)) / number(total)
        away = strong - independent
        shrinking = away < -1e-9  # noise of floats
        if not shrinking.any():
            return _Line(independent, away, 0.0, number(0))
        end = np.min(independent[shrinking] / -away[shrinking])
        return _Line(independent, away, cramers_v(strong), end)

    def _strongest(self, labels: Counts, number: type) -> Numbers:
        """Return the table that the direction leads to, with these label counts."""
        if self.ties is not None:
            groups = largest_remainder(int(labels.sum()), self.shares[0])
            return _tied(_numbers(labels, number), _numbers(groups, number), self.ties)
        rows = zip(labels.tolist(), self.shares, strict=True)
        return _numbers(np.array([largest_remainder(n, shares) for n, shares in rows]), number)


def cramers_v_counts(
    available: pd.DataFrame,
    direction: Direction,
    target: float,
    largest_target: float,
    total: int | None = None,
) -> pd.DataFrame:
    """Count the faces of each cell of an association with a wanted Cramer's V.

    On the line from the independent table through the strongest one with the same margins, V is
    in proportion to the way gone, so the table is found in closed form and rounded so that both
    margins stay. The labels keep the mix of `available`; so do the groups where the direction is
    given by pairs, and where it is given by shares they have the mix of those shares. Totals and
    margins are the same for every V up to `largest_target`.

    Args:
        available: faces at hand, labels down, groups across.
        direction: which label goes with which group.
        target: Cramer's V of the table before it is rounded, 0..1; each count is less than 1 from
            its cell.
        largest_target: of the variants that are compared.
        total: faces in all; None takes the most that suffice for every V up to `largest_target`.

    Returns:
        Counts in the shape of `available`.

    Raises:
        CompositionError: if the faces do not suffice (it names the cells), or V cannot be reached
            (it names the largest that can).
    """
    _refuse_unknown_pairs(available, direction)
    course = _course(available, direction)
    largest = _largest_total(available, course, largest_target)
    total = largest if total is None else total
    # Where no total suffices, one that asks for each of the cells names those that are empty.
    needed = _needed(course, largest_target, max(total, 1) if largest else available.size)
    if not 0 < total <= largest or (needed > available.to_numpy()).any():
        raise shortage(available, needed, total, largest)
    line = course.line(total)
    _refuse_unreachable(line, total, cramers_v=target, largest_cramers_v=largest_target)
    counts = round_table(line.at(target))
    return pd.DataFrame(counts, index=available.index, columns=available.columns)


def _refuse_unknown_pairs(available: pd.DataFrame, direction: Direction) -> None:
    for label, group in (direction.pairs or {}).items():
        if label not in available.index or group not in available.columns:
            raise CompositionError(
                f"bias.pairs ties {label} to {group}",
                f"one of the labels {', '.join(available.index)} with one of the groups "
                f"{', '.join(available.columns)}",
                "correct bias.pairs",
            )


def _refuse_unreachable(line: _Line, total: int, **targets: float) -> None:
    for key, wanted in targets.items():
        if wanted > line.reach + 1e-9:  # noise of floats
            reach = floor(line.reach * 1e4) / 1e4
            raise CompositionError(
                f"bias.{key}={wanted:g}: Cramer's V of label and group in {total} faces",
                f"at most {reach:.4f}, the largest in this direction with these margins",
                f"set bias.{key}={reach:.4f} or less, or choose another direction",
            )


def _largest_total(available: pd.DataFrame, course: _Course, largest: float) -> int:
    """Return the largest total that suffices for every V from 0 to the largest; 0 if none does."""
    have = available.to_numpy()
    everyone = int(have.sum())
    if not everyone:
        return 0
    shares = _most(course, largest, everyone, float) / everyone
    asked = shares > 0
    if (have[asked] == 0).any():
        return 0
    # Whole margins may let a few more faces through than the shares of all faces do.
    bound = floor(np.min((have[asked] + 1) / shares[asked]))
    for total in range(min(everyone, bound), 0, -1):
        # Floats are fast, and tell all but the hair's breadth that whole fractions decide.
        excess = _most(course, largest, total, float) - have
        if excess.max() < 1e-6 and (_needed(course, largest, total) <= have).all():
            return total
    return 0


def _most(course: _Course, largest: float, total: int, number: type = Fraction) -> Numbers:
    """Return the most of each cell in any table from independence to the largest V."""
    line = course.line(total, number)
    most: Numbers = np.maximum(line.independent, line.at(largest))
    return most


def _needed(course: _Course, largest: float, total: int) -> Counts:
    """Return the most faces of each cell, however the tables are rounded."""
    most = _most(course, largest, total)
    return np.array([[ceil(cell) for cell in row] for row in most], dtype=np.int64)


def _course(available: pd.DataFrame, direction: Direction) -> _Course:
    """Return where a direction leads, given the faces at hand."""
    # A label or group that nobody at hand has gets nobody; the refusal is that of a shortage.
    labels = np.maximum(available.sum(axis=1).to_numpy(float), 1e-12).tolist()
    if direction.pairs is None:
        return _Course(labels, own_for_each(available, direction.shares or {}).tolist())
    groups = np.maximum(available.sum(axis=0).to_numpy(float), 1e-12).tolist()
    ties = [
        (list(available.index).index(label), list(available.columns).index(group))
        for label, group in direction.pairs.items()
    ]
    return _Course(labels, [groups], ties)


def _tied(labels: Numbers, groups: Numbers, ties: list[tuple[int, int]]) -> Numbers:
    """Return the table with as many faces as possible in tied cells, the rest independent.

    Labels that are tied to the same group share it in proportion to their faces.
    """
    table = np.outer(labels, groups) * 0
    for group in sorted({group for _, group in ties}):
        rows = [row for row, tied in ties if tied == group]
        wanted = labels[rows].sum()
        if wanted:
            table[rows, group] = labels[rows] * min(1, groups[group] / wanted)
    rest, room = labels - table.sum(axis=1), groups - table.sum(axis=0)
    return table + np.outer(rest, room) / rest.sum() if rest.sum() else table


def _numbers(counts: Counts, number: type) -> Numbers:
    """Return the same counts as whole fractions or as floats."""
    if number is float:
        return counts.astype(np.float64)
    flat = np.array([number(int(count)) for count in counts.ravel()], dtype=object)
    return flat.reshape(counts.shape)


def round_table(table: Numbers) -> Counts:
    """Round every cell of a table to a neighbouring whole number; the margins stay.

    While cells are broken, there is a cycle of them along rows and columns in turn: what one
    gains, the next loses, until one is whole (controlled rounding; Bacharach 1966, Management
    Science 12).

    Args:
        table: (rows, columns) of `Fraction`, with whole sums of rows and of columns.

    Returns:
        Counts (rows, columns), each less than 1 from its cell.
    """
    cells = table.copy()
    while cycle := _cycle(np.asarray(cells % 1 != 0, dtype=bool)):
        # The first cell goes to the nearer whole number.
        nearer = cells[cycle[0]] % 1 >= Fraction(1, 2)
        up, down = (cycle[0::2], cycle[1::2]) if nearer else (cycle[1::2], cycle[0::2])
        room = min(*(1 - cells[cell] % 1 for cell in up), *(cells[cell] % 1 for cell in down))
        for cell in up:
            cells[cell] += room
        for cell in down:
            cells[cell] -= room
    return cells.astype(np.int64)


def _cycle(broken: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return broken cells, neighbours along a row and along a column in turn; none: all whole."""
    if not broken.any():
        return []
    first = np.argwhere(broken)[0]
    path = [(int(first[0]), int(first[1]))]
    while True:
        row, column = path[-1]
        axis = (len(path) + 1) % 2  # the next cell is in the same row (0) or column (1)
        # Whole margins: where one cell of a line is broken, so is another.
        line = broken[row] if axis == 0 else broken[:, column]
        place = next(int(n) for n in np.flatnonzero(line) if n != (column if axis == 0 else row))
        path.append((row, place) if axis == 0 else (place, column))
        # The line that the path would take next, it may have been along before.
        closing = [n for n in range(len(path) % 2, len(path) - 1, 2) if _meet(path, n, 1 - axis)]
        if closing:
            return path[closing[-1] :]


def _meet(path: list[tuple[int, int]], earlier: int, axis: int) -> bool:
    return path[earlier][axis] == path[-1][axis]
