from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from facebias.errors import DataError
from facebias.fairness.counts import PersonPatterns, count_decisions, count_patterns

Row = tuple[int, int, int]
ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)), max_size=40)


def count(rows: list[Row]) -> np.ndarray:
    groups, labels, predicted = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return count_decisions(groups, labels, predicted, n_groups=4, n_classes=3)


PersonRow = tuple[int, int, int, int]
PERSON_ROWS = st.lists(st.tuples(*[st.integers(0, 2)] * 4), max_size=30)


def patterns_of(rows: list[PersonRow]) -> PersonPatterns:
    """Count rows of (person, group, label, predicted)."""
    persons, *decisions = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    numbers = np.unique(persons, return_inverse=True)[1]
    return count_patterns(numbers, *decisions, n_groups=3, n_classes=3)


def dense(patterns: PersonPatterns) -> np.ndarray:
    """Return the counts of each pattern, shape (K, G, C, C)."""
    cells = np.zeros((len(patterns.persons), 27), dtype=np.int64)
    cells[patterns.patterns, patterns.cells] = patterns.times
    return cells.reshape(-1, *patterns.shape)


def test_by_hand() -> None:
    counts = count([(0, 1, 2), (0, 1, 2), (3, 0, 0)])
    expected = np.zeros((4, 3, 3), dtype=np.int64)
    expected[0, 1, 2], expected[3, 0, 0] = 2, 1
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, expected)


def test_each_group_is_scikit_learns_confusion_matrix() -> None:
    rng = np.random.default_rng(0)
    groups, labels, predicted = rng.integers(3, size=(3, 200))
    counts = count_decisions(groups, labels, predicted, n_groups=3, n_classes=3)
    for group in range(3):
        inside = groups == group
        expected = confusion_matrix(labels[inside], predicted[inside], labels=range(3))
        np.testing.assert_array_equal(counts[group], expected)


def test_an_absent_group_keeps_its_place() -> None:
    # Fault seen elsewhere: a group absent from a batch shifts the ids of the others.
    counts = count([(0, 0, 0), (3, 1, 1)])
    assert counts.sum(axis=(1, 2)).tolist() == [1, 0, 0, 1]


@given(rows=ROWS, order=st.randoms(use_true_random=False))
def test_order_does_not_matter(rows: list[Row], order: Random) -> None:
    shuffled = list(rows)
    order.shuffle(shuffled)
    np.testing.assert_array_equal(count(shuffled), count(rows))


@given(rows=ROWS, cut=st.integers(0, 40))
def test_parts_add_up_to_the_whole(rows: list[Row], cut: int) -> None:
    np.testing.assert_array_equal(count(rows[:cut]) + count(rows[cut:]), count(rows))
    assert count(rows).sum() == len(rows)


def test_patterns_by_hand() -> None:
    one, other = (0, 1, 2), (2, 0, 0)
    rows = [(0, *one), (1, *one), (2, *other), (3, *one), (3, *one), (4, *one), (4, *other)]
    patterns = patterns_of(rows)
    assert patterns.persons.tolist() == [2, 1, 1, 1]
    counts = dense(patterns)
    assert counts[:, *one].tolist() == [1, 0, 2, 1]
    assert counts[:, *other].tolist() == [0, 1, 0, 1]
    assert counts.sum() == 6
    assert patterns.persons_with(1).tolist() == [4, 0, 2]


@given(rows=PERSON_ROWS)
def test_patterns_are_the_different_counts_of_the_persons(rows: list[PersonRow]) -> None:
    counts = np.zeros((3, 3, 3, 3), dtype=np.int64)
    for row in rows:
        counts[row] += 1
    counts = counts[counts.any(axis=(1, 2, 3))]
    patterns = patterns_of(rows)
    expected, persons = np.unique(counts.reshape(-1, 27), axis=0, return_counts=True)
    found = dense(patterns).reshape(-1, 27)
    order = np.lexsort(found.T[::-1])
    np.testing.assert_array_equal(found[order], expected)
    np.testing.assert_array_equal(patterns.persons[order], persons)
    np.testing.assert_array_equal(patterns.persons_with(1), counts.any(axis=(2, 3)).sum(axis=0))
    np.testing.assert_array_equal(patterns.persons_with(2), counts.any(axis=3).sum(axis=0))


@given(rows=PERSON_ROWS, order=st.permutations(range(3)), shuffle=st.randoms())
def test_patterns_depend_on_no_order(
    rows: list[PersonRow], order: list[int], shuffle: Random
) -> None:
    renamed: list[PersonRow] = [(order[person], *rest) for person, *rest in rows]  # type: ignore[misc]
    shuffle.shuffle(renamed)
    first, second = patterns_of(rows), patterns_of(renamed)
    for name in ("persons", "patterns", "cells", "times"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize(
    ("persons", "words"), [([0], "1 persons and 2 rows"), ([0, 2], "persons runs from 0 to 2")]
)
def test_refuses_persons(persons: list[int], words: str) -> None:
    with pytest.raises(DataError, match=words):
        count_patterns(persons, [0, 0], [0, 0], [0, 0], n_groups=1, n_classes=1)


@pytest.mark.parametrize(
    ("groups", "labels", "predicted", "words"),
    [
        ([-1], [0], [0], "groups runs from -1"),
        ([2], [0], [0], "groups runs from 2 to 2"),
        ([0], [3], [0], "labels runs from 3"),
        ([0], [0], [3], "predicted runs from 3"),
        ([0, 1], [0], [0], "2 groups, 1 labels"),
        ([0.0], [0], [0], "float64"),
        ([[0]], [0], [0], "shape"),
        ([True], [0], [0], "bool"),
    ],
)
def test_refuses(groups: list[int], labels: list[int], predicted: list[int], words: str) -> None:
    with pytest.raises(DataError, match=words):
        count_decisions(groups, labels, predicted, n_groups=2, n_classes=3)
