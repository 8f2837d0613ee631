from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from facebias.errors import DataError
from facebias.fairness.auroc import area_interval, auroc, class_auroc, group_areas, group_auroc
from facebias.fairness.group_metrics import group_metrics
from facebias.fairness.influence import group_means, group_units


@pytest.mark.parametrize("decimals", [1, 6])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_auroc_equals_scikit_learn(n_classes: int, decimals: int) -> None:
    rng = np.random.default_rng(n_classes)
    labels = rng.integers(n_classes, size=150)
    scores = rng.dirichlet(np.ones(n_classes), size=150).round(decimals)  # 1 decimal: many ties
    expected = [roc_auc_score(labels == each, scores[:, each]) for each in range(n_classes)]
    np.testing.assert_allclose(class_auroc(labels, scores), expected)
    assert auroc(labels, scores) == pytest.approx(np.mean(expected))


@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), decimals=st.integers(0, 2))
def test_every_group_has_the_area_of_its_rows_alone(seed: int, n: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    labels, groups = rng.integers(3, size=n), rng.integers(4, size=n)
    scores = rng.random((n, 3)).round(decimals)
    found = group_auroc(labels, scores, groups, 5)
    alone = [class_auroc(labels[groups == g], scores[groups == g]) for g in range(5)]
    np.testing.assert_allclose(found, alone)


def test_auroc_is_undefined_without_positives_or_negatives() -> None:
    scores = np.full((3, 3), 1 / 3)
    np.testing.assert_array_equal(class_auroc([0, 0, 1], scores), [0.5, 0.5, np.nan])
    assert auroc([0, 0, 1], scores) == 0.5
    assert np.isnan(auroc([0, 0, 0], scores))
    assert np.isnan(auroc([], np.empty((0, 3))))


@pytest.mark.parametrize(
    ("labels", "scores"),
    [([0], [[np.nan, 0.5]]), ([2], [[0.5, 0.5]]), ([0, 1], [[0.5, 0.5]]), ([0], [0.5])],
)
def test_auroc_refuses(labels: list[int], scores: Any) -> None:  # noqa: ANN401
    with pytest.raises(DataError):
        auroc(labels, scores)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused_by_group_too(wrong: float) -> None:
    scores = np.array([[0.9, 0.1], [wrong, 0.6], [0.3, 0.7]])
    labels, groups = np.array([0, 0, 1]), np.zeros(3, dtype=np.int64)
    with pytest.raises(DataError) as raised:
        group_auroc(labels, scores, groups, 1)
    assert raised.value.found == "1 of 3 rows have a score that is missing or infinite."
    assert raised.value.expected
    assert raised.value.todo


def test_a_run_that_diverged_has_no_auroc_but_all_that_is_counted() -> None:
    rows = {"label": ["f", "m", "f", "m"], "predicted": ["f", "m", "m", "m"]}
    scores = {"p_f": [0.9, np.nan, 0.4, 0.1], "p_m": [0.1, np.nan, 0.6, 0.9]}
    found = group_metrics(pd.DataFrame(rows | scores), ["f", "m"], {}).iloc[0]
    assert np.isnan(found["auroc"])
    assert found["accuracy"] == 0.75


def pairwise(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Return who beats whom, shape (positives, negatives): 1, 0, or 1/2 for ties."""
    return np.asarray(np.sign(positives[:, None] - negatives) / 2 + 0.5)


def test_the_error_is_delongs() -> None:
    rng = np.random.default_rng(2)
    positive, groups = rng.random(200) < 0.3, rng.integers(2, size=200)
    score = (rng.normal(size=200) + positive).round(1)
    found = group_areas(positive, score, group_units(groups, None, 2))
    for group in range(2):
        ours = groups == group
        wins = pairwise(score[ours & positive], score[ours & ~positive])
        # DeLong, DeLong & Clarke-Pearson 1988, by every pair.
        parts = [wins.mean(axis=axis).var(ddof=1) / wins.shape[1 - axis] for axis in (0, 1)]
        assert found.errors[group] ** 2 == pytest.approx(sum(parts))


def test_a_person_copied_has_the_error_of_the_person_alone() -> None:
    rng = np.random.default_rng(3)
    positive = np.arange(60) < 20
    score = rng.normal(size=60) + positive
    once = group_areas(positive, score, group_units(np.zeros(60, dtype=np.int64), None, 1))
    copies = np.repeat(np.arange(60), 5)
    units = group_units(np.zeros(300, dtype=np.int64), copies, 1)
    five = group_areas(positive[copies], score[copies], units)
    rows = group_areas(
        positive[copies], score[copies], group_units(np.zeros(300, dtype=np.int64), None, 1)
    )
    assert five.values == pytest.approx(once.values)
    assert five.errors == pytest.approx(once.errors)
    assert rows.errors < 0.5 * five.errors


def test_the_clustered_error_is_obuchowskis() -> None:
    rng = np.random.default_rng(4)
    positive, persons = rng.random(300) < 0.4, rng.integers(60, size=300)
    score = rng.normal(size=60)[persons] + positive + rng.normal(size=300)
    units = group_units(np.zeros(300, dtype=np.int64), persons, 1)
    found = group_areas(positive, score, units)
    wins = pairwise(score[positive], score[~positive])
    theta, (m, n) = wins.mean(), wins.shape
    of_ours = np.bincount(persons[positive], wins.mean(axis=1) - theta, minlength=60)
    of_rest = np.bincount(persons[~positive], wins.mean(axis=0) - theta, minlength=60)
    ours = len(np.unique(persons[positive]))
    rest = len(np.unique(persons[~positive]))
    variance = (
        (of_ours**2).sum() * ours / (ours - 1) / m**2
        + (of_rest**2).sum() * rest / (rest - 1) / n**2
        + 2 * (of_ours * of_rest).sum() * 60 / 59 / (m * n)
    )
    assert found.errors[0] ** 2 == pytest.approx(variance, rel=0.01)


@pytest.mark.parametrize(("positives", "negatives", "apart"), [(30, 30, 1.0), (10, 40, 1.0)])
def test_intervals_of_areas_cover(positives: int, negatives: int, apart: float) -> None:
    rng = np.random.default_rng(5)
    size = positives + negatives
    positive = np.tile(np.arange(size) < positives, 2000)
    groups = np.repeat(np.arange(2000), size)
    score = rng.normal(size=len(groups)) + apart * positive
    low, high, _ = area_interval(
        group_areas(positive, score, group_units(groups, None, 2000)), 0.95
    )
    truth = norm.cdf(apart / np.sqrt(2))
    assert 0.93 < ((low <= truth) & (truth <= high)).mean() < 0.975


def test_a_separated_class_keeps_an_interval() -> None:
    positive = np.arange(20) < 8
    units = group_units(np.zeros(20, dtype=np.int64), None, 1)
    low, high, methods = area_interval(
        group_areas(positive, positive.astype(np.float64), units), 0.95
    )
    assert methods == ["newcombe"]
    assert (high[0], 0.6 < low[0] < 0.9) == (1, True)
    mirrored = area_interval(group_areas(positive, -positive.astype(np.float64), units), 0.95)
    assert (mirrored[0][0], mirrored[1][0]) == (0, pytest.approx(1 - low[0]))


def test_scores_that_say_nothing_have_no_interval() -> None:
    units = group_units(np.zeros(20, dtype=np.int64), None, 1)
    found = group_areas(np.arange(20) < 8, np.ones(20), units)
    low, _, methods = area_interval(found, 0.95)
    assert (found.values[0], methods) == (0.5, ["none"])
    assert np.isnan(low[0])


def test_means_of_persons_have_the_error_of_their_sums() -> None:
    values = np.array([1.0, 1.0, 0.0, 0.0, 5.0])
    persons, groups = np.array([0, 0, 1, 1, 1]), np.array([0, 0, 0, 0, 1])
    means, errors = group_means(values, group_units(groups, persons, 3))
    np.testing.assert_array_equal(means, [0.5, 5, np.nan])
    # Two persons, sums of (value - mean) / n of .25 and -.25: 2 / 1 x (2 x .25 ** 2).
    np.testing.assert_allclose(errors, [0.5, np.nan, np.nan])
