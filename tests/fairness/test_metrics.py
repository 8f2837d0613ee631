from __future__ import annotations

import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    false_negative_rate,
    false_positive_rate,
    selection_rate,
    true_negative_rate,
    true_positive_rate,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import (
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
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


@given(counts=COUNTS)
def test_weighted_averages_equal_scikit_learn(counts: np.ndarray) -> None:
    labels, predicted = rows_of(counts)
    if len(labels):
        options = {"average": "weighted", "zero_division": 0}
        precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, **options)
        assert metrics.weighted_precision(counts) == pytest.approx(precision)
        assert metrics.weighted_f1(counts) == pytest.approx(f1)
        assert metrics.accuracy(counts) == pytest.approx(recall)


@given(counts=COUNTS)
def test_macro_recall_is_scikit_learns_balanced_accuracy(counts: np.ndarray) -> None:
    labels, predicted = rows_of(counts)
    # scikit-learn warns of a single class, and of predicted classes without true rows.
    if len(set(labels)) > 1 and set(predicted) <= set(labels):
        expected = balanced_accuracy_score(labels, predicted)
        assert metrics.macro_recall(counts) == pytest.approx(expected)


@given(counts=COUNTS)
def test_kappa_equals_scikit_learn(counts: np.ndarray) -> None:
    labels, predicted = rows_of(counts)
    if len(set(labels) | set(predicted)) > 1:
        expected = cohen_kappa_score(labels, predicted)
        assert metrics.kappa(counts) == pytest.approx(expected, abs=1e-12)
    else:
        assert np.isnan(metrics.kappa(counts))


def test_kappa_by_hand() -> None:
    # 35 of 50 agree, 25 are expected to by chance: .2 / .5.
    assert metrics.kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)


RATES = {
    "recall": true_positive_rate,
    "false_positive_rate": false_positive_rate,
    "true_negative_rate": true_negative_rate,
    "false_negative_rate": false_negative_rate,
    "predicted_prevalence": selection_rate,
    "precision": lambda y, p: precision_score(y, p, zero_division=np.nan),
    "negative_predictive_value": lambda y, p: precision_score(1 - y, 1 - p, zero_division=np.nan),
}


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_one_versus_rest_rates_of_groups_equal_fairlearn(name: str, n_classes: int) -> None:
    rng = np.random.default_rng(n_classes)
    groups, labels, predicted = rng.integers([[5], [n_classes], [n_classes]], size=(3, 800))
    counts = count_decisions(groups, labels, predicted, n_groups=5, n_classes=n_classes)
    found = metrics.BY_CLASS[name](counts)
    for each in range(n_classes):
        truth, answer = (np.asarray(column == each, int) for column in (labels, predicted))
        frame = MetricFrame(
            metrics=RATES[name], y_true=truth, y_pred=answer, sensitive_features=groups
        )
        np.testing.assert_allclose(found[:, each], frame.by_group.to_numpy(dtype=float))


@given(counts=COUNTS)
def test_rates_are_what_their_names_say(counts: np.ndarray) -> None:
    recall, specificity = metrics.recall(counts), metrics.true_negative_rate(counts)
    np.testing.assert_allclose(metrics.false_negative_rate(counts), 1 - recall)
    np.testing.assert_allclose(metrics.false_positive_rate(counts), 1 - specificity)
    if counts.any():
        assert metrics.prevalence(counts).sum() == pytest.approx(1)
        assert metrics.predicted_prevalence(counts).sum() == pytest.approx(1)


@given(counts=COUNTS)
def test_every_metric_stays_in_its_range_or_is_undefined(counts: np.ndarray) -> None:
    for name, function in (metrics.AVERAGES | metrics.BY_CLASS).items():
        values = function(counts)
        lowest = -1 if name == "kappa" else 0
        assert (np.isnan(values) | ((values >= lowest) & (values <= 1 + 1e-12))).all()


@pytest.mark.parametrize("name", metrics.SHARES)
@given(counts=COUNTS)
def test_a_share_is_its_hits_over_its_rows(name: str, counts: np.ndarray) -> None:
    hits, rows = metrics.share_parts(name, counts)
    assert ((hits >= 0) & (hits <= rows)).all()
    values = (metrics.AVERAGES | metrics.BY_CLASS)[name](counts)
    np.testing.assert_array_equal(np.isnan(values), rows == 0)
    np.testing.assert_allclose(values * rows, np.where(rows, hits, np.nan))


def test_standardised_accuracy_by_hand() -> None:
    # Both groups read 'a' 9 of 10 times and 'b' half of the times; only their mix differs.
    counts = np.array([[[90, 10], [5, 5]], [[9, 1], [50, 50]]])
    np.testing.assert_allclose(metrics.accuracy(counts), [95 / 110, 59 / 110])
    np.testing.assert_allclose(metrics.standardised_accuracy(counts, [0.5, 0.5]), [0.7, 0.7])
    np.testing.assert_allclose(metrics.standardised_accuracy(counts, [3, 1]), [0.8, 0.8])


@given(counts=COUNTS)
def test_a_groups_own_mix_standardises_to_its_own_values(counts: np.ndarray) -> None:
    own = metrics.with_label_mix(counts, counts.sum(axis=-1))
    for function in (metrics.AVERAGES | metrics.BY_CLASS).values():
        np.testing.assert_allclose(function(own), function(counts), atol=1e-12)


def test_a_mix_with_a_class_that_the_group_lacks_is_undefined() -> None:
    counts = np.array([[4, 1], [0, 0]])
    assert np.isnan(metrics.with_label_mix(counts, [0.5, 0.5])).all()
    for name, function in (metrics.AVERAGES | metrics.BY_CLASS).items():
        values = function(metrics.with_label_mix(counts, [0.5, 0.5]))
        assert np.isnan(values).all(), name
    assert metrics.standardised_accuracy(counts, [1.0, 0.0]) == 0.8


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
    for function in (*metrics.AVERAGES.values(), metrics.micro, metrics.majority_rate):
        values = function(counts)
        assert not np.isnan(values[0])
        assert np.isnan(values[1])
    for function in metrics.BY_CLASS.values():
        assert not np.isnan(function(counts)[0]).any()
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
