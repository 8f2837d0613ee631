from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests

from facebias.fairness import metrics
from facebias.fairness.predictions import GroupCodes, ScoredRows
from facebias.fairness.resampling import CountedGroups, count_groups
from facebias.fairness.settings import Settings
from facebias.fairness.significance import (
    PermutationTest,
    benjamini_hochberg,
    expected_largest_gap,
    holm,
    mcnemar,
    permutation_test,
    sensitivities,
    smallest_detectable,
)

Codes = npt.NDArray[Any]

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def counted(
    groups: Codes,
    labels: Codes,
    predicted: Codes,
    persons: Codes | None = None,
    *,
    n_classes: int = 2,
) -> CountedGroups:
    rows = ScoredRows(pd.DataFrame(), labels, predicted, persons, scores=None, unscored=0)
    names = tuple(map(str, range(int(groups.max()) + 1)))
    codes = GroupCodes("group", names, groups)
    return count_groups(rows, codes, n_classes, Settings(replicates=200))


def permuted(
    found: CountedGroups,
    metric: str = "accuracy",
    *,
    eligible: list[bool] | None = None,
    within_label: bool = False,
    permutations: int = 1000,
    further: int = 0,
) -> PermutationTest:
    return permutation_test(
        found,
        metrics.AVERAGES[metric],
        eligible=np.array(eligible or [True] * len(found.groups)),
        within_label=within_label,
        permutations=permutations,
        further=further,
        rng=np.random.default_rng(0),
    )


@settings(max_examples=10, deadline=None)  # theirs takes long
@given(p=P_VALUES)
def test_holm_and_benjamini_hochberg_are_those_of_statsmodels(p: list[float]) -> None:
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-12)
    np.testing.assert_allclose(
        benjamini_hochberg(p), multipletests(p, method="fdr_bh")[1], atol=1e-12
    )


@given(p=P_VALUES, place=st.integers(0, 12))
def test_an_undefined_p_value_is_outside_the_family(p: list[float], place: int) -> None:
    for adjust in (holm, benjamini_hochberg):
        with_hole = np.insert(np.array(p), min(place, len(p)), np.nan)
        found = adjust(with_hole)
        assert np.isnan(found[np.isnan(with_hole)]).all()
        np.testing.assert_array_equal(found[~np.isnan(with_hole)], adjust(p))


def test_adjusting_nothing_gives_nothing() -> None:
    assert holm([]).size == 0
    assert np.isnan(benjamini_hochberg([np.nan])).all()


@given(only_first=st.integers(0, 200), only_second=st.integers(0, 200))
def test_mcnemar_is_that_of_statsmodels(only_first: int, only_second: int) -> None:
    table = [[5, only_first], [only_second, 7]]
    assert mcnemar(only_first, only_second) == pytest.approx(their_mcnemar(table).pvalue)


def test_smallest_detectable_gap_is_found_with_its_power() -> None:
    gap = smallest_detectable([0.02, 0.05], [1.96, 3.0])
    rng = np.random.default_rng(0)
    found = rng.normal(gap, [0.02, 0.05], size=(40_000, 2)) > np.array([0.02, 0.05]) * [1.96, 3.0]
    np.testing.assert_allclose(found.mean(axis=0), 0.8, atol=0.01)


def test_expected_largest_gap_is_the_mean_range_of_equal_groups() -> None:
    rng = np.random.default_rng(0)
    values = np.array([0.5, 0.9, 0.7, 0.2, np.nan])
    replicates = values + 0.02 * rng.normal(size=(20_000, 5))
    eligible = np.array([True, True, True, False, True])
    # The mean range of three normal numbers is 1.693 standard deviations.
    found = expected_largest_gap(values, replicates, eligible)
    assert found == pytest.approx(1.693 * 0.02, rel=0.02)
    assert np.isnan(expected_largest_gap(values[3:], replicates[:, 3:], eligible[3:]))


def test_sensitivities_are_the_derivatives_by_hand() -> None:
    counts = np.array([[6, 2], [0, 4]])
    found = sensitivities(metrics.accuracy, counts)
    np.testing.assert_allclose(found, np.array([[2, -10], [0, 2]]) / 144, rtol=1e-4)
    by_label = sensitivities(metrics.macro_recall, counts)
    np.testing.assert_allclose(by_label, np.array([[1, -3], [0, 0]]) / 64, rtol=1e-4, atol=1e-9)


def every_permutation(groups: Codes, right: Codes) -> float:
    """Return the exact p-value of two groups, all ways of giving the groups out worked through."""

    def statistic(given_out: Codes) -> float:
        shares = [right[given_out == group].mean() for group in (0, 1)]
        sizes = [(given_out == group).sum() for group in (0, 1)]
        variance = sum(p * (1 - p) / n for p, n in zip(shares, sizes, strict=True))
        difference = abs(shares[0] - shares[1])
        return float(difference / variance**0.5 if variance > 0 else np.inf * (difference > 0))

    observed = statistic(groups)
    places, chosen = np.arange(len(groups)), combinations(range(len(groups)), int(groups.sum()))
    reached = [statistic(np.isin(places, each).astype(int)) >= observed - 1e-9 for each in chosen]
    return float(np.mean(reached))


def test_permutation_test_of_rows_is_the_exact_one() -> None:
    groups = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    right = np.array([1, 1, 1, 0, 0, 0, 1, 0, 0])
    found = permuted(counted(groups, np.zeros(9, int), 1 - right), permutations=20_000)
    assert found.p == pytest.approx(every_permutation(groups, right), abs=0.012)
    assert (found.method, found.reason) == ("permuted rows", "")


def test_permutation_test_of_persons_with_one_pattern_each_is_that_of_their_rows() -> None:
    # Three equal rows a person: whoever has one, has all three, so persons are permuted like rows.
    groups = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    right = np.array([1, 1, 1, 0, 0, 0, 1, 0, 0])
    thrice = [np.repeat(each, 3) for each in (groups, np.zeros(9, int), 1 - right, np.arange(9))]
    found = permuted(counted(*thrice), permutations=20_000)
    assert found.p == pytest.approx(every_permutation(groups, right), abs=0.012)
    assert found.method == "permuted persons"


def test_rows_of_persons_who_agree_are_not_taken_for_independent() -> None:
    rng = np.random.default_rng(3)
    person = np.repeat(np.arange(40), 20)
    right = rng.random(40)[person] < 0.5 + 0.3 * (person < 20) * (rng.random(40) < 0.3)[person]
    columns = (person // 20, np.zeros(800, int), 1 - right.astype(int))
    assert permuted(counted(*columns, person)).p > 10 * permuted(counted(*columns)).p


def test_within_label_equal_recalls_are_equal_whatever_the_mix() -> None:
    # 90 % of label 0 and 60 % of label 1 in both groups; 100 and 400 rows against 400 and 100.
    groups = np.repeat([0, 0, 1, 1], [100, 400, 400, 100])
    labels = np.repeat([0, 1, 0, 1], [100, 400, 400, 100])
    wrong = np.concatenate(
        [
            np.arange(n) < n * miss
            for n, miss in zip((100, 400, 400, 100), (0.1, 0.4, 0.1, 0.4), strict=True)
        ]
    )
    found = counted(groups, labels, np.where(wrong, 1 - labels, labels))
    same = permuted(found, "macro_recall", within_label=True)
    assert same.p == 1
    assert same.statistic == pytest.approx(0, abs=1e-9)
    assert same.method == "permuted rows within label"
    assert permuted(found, "accuracy").p < 0.01


def test_persons_of_one_label_are_permuted_within_it_and_others_among_all() -> None:
    persons = np.repeat(np.arange(30), 2)
    groups, predicted = persons % 2, np.arange(60) % 3 % 2
    alone = counted(groups, persons // 2 % 2, predicted, persons)
    both = counted(groups, np.arange(60) % 2, predicted, persons)
    for found, method in ((alone, "permuted persons within label"), (both, "permuted persons")):
        assert permuted(found, "macro_recall", within_label=True).method == method


def test_persons_in_several_groups_cannot_change_them() -> None:
    rng = np.random.default_rng(0)
    persons, groups = np.repeat(np.arange(60), 4), np.tile([0, 0, 1, 2], 60)
    predicted = (rng.random(240) < 0.3).astype(int)
    found = counted(groups, np.zeros(240, int), predicted, persons)
    whole = permuted(found)
    assert (whole.method, whole.permutations) == ("none", 0)
    assert np.isnan(whole.p)
    assert "several groups" in whole.reason
    # The rows of groups that are left out do not count: nobody is in both 0 and 2 then.
    persons = np.where(groups == 2, 100 + persons, persons)
    split = counted(groups, np.zeros(240, int), predicted, persons)
    assert permuted(split, eligible=[True, False, True]).method == "permuted persons"


def test_groups_that_are_not_eligible_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    groups, predicted = np.arange(300) % 3, (rng.random(300) < 0.3).astype(int)
    eligible = [True, True, False]
    usual = permuted(counted(groups, np.zeros(300, int), predicted), eligible=eligible)
    predicted[groups == 2] = 1
    assert permuted(counted(groups, np.zeros(300, int), predicted), eligible=eligible) == usual


def test_fewer_than_two_groups_have_no_test() -> None:
    found = counted(np.arange(20) % 2, np.zeros(20, int), np.arange(20) % 3 % 2)
    nothing = permuted(found, eligible=[True, False])
    assert np.isnan(nothing.p)
    assert (nothing.method, nothing.permutations) == ("none", 0)
    assert "two groups" in nothing.reason


def test_all_right_against_all_wrong_is_as_far_apart_as_can_be() -> None:
    groups = np.repeat([0, 1], 30)
    found = permuted(counted(groups, np.zeros(60, int), groups))
    assert found.statistic == np.inf
    assert found.p == pytest.approx(1 / 1001)
    more = permuted(counted(groups, np.zeros(60, int), groups), further=1500)
    assert more.p == pytest.approx(1 / 2501)
    assert more.permutations == 2500
    alike = permuted(counted(groups, np.zeros(60, int), np.zeros(60, int)))
    assert (alike.statistic, alike.p) == (0, 1)


def test_no_more_is_drawn_where_a_permutation_reached_what_was_found() -> None:
    predicted = np.arange(60) % 3 % 2
    found = counted(np.arange(60) % 2, np.zeros(60, int), predicted)
    assert permuted(found, further=1500) == permuted(found)


def test_permuting_many_groups_in_chunks_keeps_the_p_value(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    groups, labels = rng.integers(0, 5, 500), rng.integers(0, 3, 500)
    predicted = np.where(rng.random(500) < 0.7, labels, rng.integers(0, 3, 500))
    found = counted(groups, labels, predicted, n_classes=3)
    usual = permuted(found, "macro_f1", permutations=4000).p
    monkeypatch.setattr("facebias.fairness.significance._CHUNK_NUMBERS", 1000)
    assert permuted(found, "macro_f1", permutations=4000).p == pytest.approx(usual, abs=0.04)
