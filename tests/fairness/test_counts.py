from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from facebias.errors import DataError
from facebias.fairness.counts import count_decisions

Row = tuple[int, int, int]
ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)), max_size=40)


def count(rows: list[Row]) -> np.ndarray:
    groups, labels, predicted = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return count_decisions(groups, labels, predicted, n_groups=4, n_classes=3)


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
