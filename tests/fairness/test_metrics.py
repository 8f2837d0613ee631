from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import (
    f1_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
    roc_auc_score,
)

from facebias.errors import DataError
from facebias.fairness import metrics
from facebias.fairness.counts import count_decisions

COUNTS = arrays(np.int64, (3, 3), elements=st.integers(0, 6))
PER_CLASS = {
    "precision": (metrics.precision, metrics.macro_precision, precision_score),
    "recall": (metrics.recall, metrics.macro_recall, recall_score),
    "f1": (metrics.f1, metrics.macro_f1, f1_score),
}


def rows_of(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, predicted = np.indices(counts.shape).reshape(2, -1)
    return np.repeat(labels, counts.ravel()), np.repeat(predicted, counts.ravel())


@pytest.mark.parametrize("name", PER_CLASS)
@given(counts=COUNTS)
def test_equals_scikit_learn_per_class(name: str, counts: np.ndarray) -> None:
    function, _, reference = PER_CLASS[name]
    labels, predicted = rows_of(counts)
    if len(labels):
        expected = reference(labels, predicted, labels=range(3), average=None, zero_division=np.nan)
        np.testing.assert_allclose(function(counts), expected, atol=1e-12)


@pytest.mark.parametrize("name", PER_CLASS)
@given(counts=COUNTS)
def test_macro_equals_scikit_learn_over_the_classes_with_true_rows(
    name: str, counts: np.ndarray
) -> None:
    # labels=seen leaves out the classes without true rows; where all have some, it is the default.
    _, macro, reference = PER_CLASS[name]
    labels, predicted = rows_of(counts)
    if len(labels):
        seen = np.unique(labels)
        expected = reference(labels, predicted, labels=seen, average="macro", zero_division=0)
        assert macro(counts) == pytest.approx(expected)


@given(counts=COUNTS)
def test_micro_is_accuracy_as_in_scikit_learn(counts: np.ndarray) -> None:
    labels, predicted = rows_of(counts)
    if len(labels):
        three = precision_recall_fscore_support(labels, predicted, average="micro")[:3]
        np.testing.assert_allclose(metrics.micro(counts), three)


def test_a_class_never_predicted_has_no_precision_and_counts_as_zero_in_the_macro() -> None:
    counts = np.array([[4, 0], [4, 0]])
    np.testing.assert_array_equal(metrics.precision(counts), [0.5, np.nan])
    assert metrics.macro_precision(counts) == 0.25  # not 0.5, which would reward giving up
    assert metrics.f1(counts)[1] == 0


def test_a_class_without_true_rows_is_left_out_of_the_macro() -> None:
    counts = np.array([[3, 0, 1], [0, 4, 0], [0, 0, 0]])
    assert metrics.macro_recall(counts) == (0.75 + 1) / 2
    assert metrics.macro_precision(counts) == 1.0
    assert np.isnan(metrics.recall(counts)[2])


def test_an_empty_group_is_undefined() -> None:
    # Fault seen elsewhere: an empty group scores 0, 1 or 100 %.
    counts = np.zeros((2, 3, 3), dtype=np.int64)
    counts[0] = np.eye(3)
    for function in (
        metrics.accuracy,
        metrics.macro_precision,
        metrics.macro_recall,
        metrics.macro_f1,
        metrics.micro,
        metrics.majority_rate,
    ):
        values = function(counts)
        assert not np.isnan(values[0])
        assert np.isnan(values[1])
    for function in (metrics.precision, metrics.recall, metrics.f1):
        assert np.isnan(function(counts)[1]).all()


def test_leading_dimensions_are_kept() -> None:
    counts = np.random.default_rng(0).integers(5, size=(2, 4, 3, 3))
    assert metrics.f1(counts).shape == (2, 4, 3)
    assert metrics.support(counts).shape == (2, 4, 3)
    each = [[metrics.macro_f1(one) for one in row] for row in counts]
    np.testing.assert_array_equal(metrics.macro_f1(counts), each)


@given(counts=COUNTS, times=st.integers(2, 5))
def test_copies_of_the_rows_change_nothing(counts: np.ndarray, times: int) -> None:
    np.testing.assert_allclose(metrics.macro_f1(counts * times), metrics.macro_f1(counts))


def test_chance_and_majority() -> None:
    assert metrics.chance_level(4) == 0.25
    assert metrics.majority_rate(np.array([[1, 2], [0, 1]])) == 0.75
    with pytest.raises(DataError):
        metrics.chance_level(0)


def test_gender_shades_margins_follow_from_the_cells() -> None:
    # Buolamwini & Gebru 2018, Microsoft: error of DF, DM, LF, LM and of the margins, in %.
    rows = np.round(np.array([21.3, 25.0, 23.3, 30.3]) / 100 * 1270).astype(int)
    wrong = np.round(rows * np.array([20.8, 6.0, 1.7, 0.0]) / 100).astype(int)
    labels, groups = np.array([0, 1, 0, 1]), np.arange(4)
    counts = count_decisions(
        np.repeat(groups, rows),
        np.repeat(labels, rows),
        np.concatenate(
            [
                np.where(np.arange(n) < bad, 1 - label, label)
                for n, bad, label in zip(rows, wrong, labels, strict=True)
            ]
        ),
        n_groups=4,
        n_classes=2,
    )
    margins = np.stack(
        [counts.sum(axis=0), *(counts[list(pair)].sum(axis=0) for pair in ((0, 2), (1, 3), (0, 1)))]
    )
    error = 100 * (1 - metrics.accuracy(margins))
    np.testing.assert_allclose(error, [6.3, 10.7, 2.6, 12.9], atol=0.35)


@pytest.mark.parametrize("decimals", [1, 6])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_auroc_equals_scikit_learn(n_classes: int, decimals: int) -> None:
    rng = np.random.default_rng(n_classes)
    labels = rng.integers(n_classes, size=150)
    scores = rng.dirichlet(np.ones(n_classes), size=150).round(decimals)  # 1 decimal: many ties
    expected = [roc_auc_score(labels == each, scores[:, each]) for each in range(n_classes)]
    np.testing.assert_allclose(metrics.class_auroc(labels, scores), expected)
    assert metrics.auroc(labels, scores) == pytest.approx(np.mean(expected))


def test_auroc_is_undefined_without_positives_or_negatives() -> None:
    scores = np.full((3, 3), 1 / 3)
    np.testing.assert_array_equal(metrics.class_auroc([0, 0, 1], scores), [0.5, 0.5, np.nan])
    assert metrics.auroc([0, 0, 1], scores) == 0.5
    assert np.isnan(metrics.auroc([0, 0, 0], scores))
    assert np.isnan(metrics.auroc([], np.empty((0, 3))))


@pytest.mark.parametrize(
    ("labels", "scores"),
    [([0], [[np.nan, 0.5]]), ([2], [[0.5, 0.5]]), ([0, 1], [[0.5, 0.5]]), ([0], [0.5])],
)
def test_auroc_refuses(labels: list[int], scores: Any) -> None:  # noqa: ANN401
    with pytest.raises(DataError):
        metrics.auroc(labels, scores)
