from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facebias.errors import DataError
from facebias.fairness.counts import PersonPatterns, count_patterns
from facebias.fairness.intervals import (
    bootstrap_counts,
    bootstrap_person_counts,
    largest_gap,
    percentile_interval,
    spread_constant,
    wilson_interval,
)
from facebias.fairness.metrics import accuracy


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(total=st.integers(1, 500), data=st.data(), level=st.sampled_from([0.8, 0.95]))
def test_wilson_bounds_are_the_shares_that_the_score_test_just_accepts(
    total: int, data: st.DataObject, level: float
) -> None:
    right = data.draw(st.integers(0, total))
    low, high = wilson_interval(right, total, level)
    bounds = np.array([low, high])
    distance = NormalDist().inv_cdf(0.5 + level / 2) * np.sqrt(bounds * (1 - bounds) / total)
    np.testing.assert_allclose(np.abs(bounds - right / total), distance, atol=1e-7)
    assert 0 <= low <= right / total <= high <= 1


def test_wilson_of_nothing_is_undefined() -> None:
    assert np.isnan(wilson_interval(0, 0)).all()


def test_bootstrap_keeps_the_rows_of_each_group_and_empty_cells() -> None:
    counts = np.array([[[5, 1], [0, 4]], [[0, 0], [0, 0]], [[1, 0], [0, 0]]])
    drawn = bootstrap_counts(counts, 200, generator())
    assert drawn.shape == (200, 3, 2, 2)
    assert (drawn.sum(axis=(2, 3)) == [10, 0, 1]).all()
    assert (drawn[:, counts == 0] == 0).all()


def test_bootstrap_of_counts_is_the_bootstrap_of_rows() -> None:
    right = np.repeat([1, 0], [30, 20])
    rows = generator().choice(right, size=(4000, 50)).mean(axis=1)
    drawn = bootstrap_counts(np.array([[[30, 20], [0, 0]]]), 4000, generator(1))
    from_counts = accuracy(drawn)[:, 0]
    assert from_counts.mean() == pytest.approx(rows.mean(), abs=0.005)
    assert from_counts.std() == pytest.approx(rows.std(), rel=0.06)


def patterns_of(rows: list[tuple[int, int, int, int]], n_groups: int = 1) -> PersonPatterns:
    """Count rows of (person, group, label, predicted) in two classes."""
    columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    return count_patterns(*columns, n_groups=n_groups, n_classes=2)


def random_patterns(persons: int, rows: int = 400, n_groups: int = 3) -> PersonPatterns:
    sizes = (persons, n_groups, 2, 2)
    columns = [generator(each).integers(size, size=rows) for each, size in enumerate(sizes)]
    return count_patterns(*columns, n_groups=n_groups, n_classes=2)


def test_person_bootstrap_with_one_row_a_person_is_the_row_bootstrap() -> None:
    patterns = patterns_of([(person, 0, 0, int(person >= 30)) for person in range(50)])
    drawn = bootstrap_person_counts(patterns, 4000, generator())
    assert (drawn.sum(axis=(1, 2, 3)) == 50).all()
    assert accuracy(drawn).std() == pytest.approx((0.6 * 0.4 / 50) ** 0.5, rel=0.06)


def test_person_bootstrap_is_wider_when_rows_of_a_person_agree() -> None:
    patterns = patterns_of([(row // 20, 0, 0, int(row >= 120)) for row in range(200)])
    by_person = accuracy(bootstrap_person_counts(patterns, 4000, generator())).std()
    assert by_person == pytest.approx((0.6 * 0.4 / 10) ** 0.5, rel=0.06)


@pytest.mark.parametrize("few_persons", [0, 1000])
def test_person_bootstrap_has_the_moments_of_persons_drawn_one_by_one(
    monkeypatch: pytest.MonkeyPatch, few_persons: int
) -> None:
    monkeypatch.setattr("facebias.fairness.intervals._FEW_PERSONS", few_persons)
    rows = [(person, person % 2, 0, int(person < 4)) for person in range(12)]
    rows += [(12, 0, 0, 0), (12, 1, 0, 1), (12, 1, 0, 1), (13, 0, 0, 1), (13, 0, 0, 1)]
    counts = np.zeros((14, 2, 2, 2))
    np.add.at(counts, tuple(np.array(rows).T), 1)
    persons = counts.reshape(14, 8)
    drawn = bootstrap_person_counts(patterns_of(rows, 2), 20_000, generator()).reshape(-1, 8)
    np.testing.assert_allclose(drawn.mean(axis=0), persons.sum(axis=0), atol=0.08)
    # A sum of 14 independent persons has 14 times the covariance of one.
    covariance = 14 * np.cov(persons, rowvar=False, ddof=0)
    np.testing.assert_allclose(np.cov(drawn, rowvar=False), covariance, atol=0.2)


@pytest.mark.parametrize("persons", [20, 150, 400])
def test_person_bootstrap_in_chunks_and_sparse_is_the_same(
    monkeypatch: pytest.MonkeyPatch, persons: int
) -> None:
    patterns = random_patterns(persons)
    whole = bootstrap_person_counts(patterns, 10, generator())
    for name, value in (("_CHUNK_NUMBERS", 1000), ("_DENSE_NUMBERS", 0)):
        monkeypatch.setattr(f"facebias.fairness.intervals.{name}", value)
        drawn = bootstrap_person_counts(patterns, 10, generator())
        np.testing.assert_array_equal(drawn, whole)


def test_person_bootstrap_of_one_pattern_never_varies_and_of_nobody_is_nothing() -> None:
    patterns = patterns_of([(person, 0, label, 1) for person in range(3) for label in (0, 1)])
    drawn = bootstrap_person_counts(patterns, 10, generator())
    np.testing.assert_array_equal(drawn, np.tile([[0, 3], [0, 3]], (10, 1, 1, 1)))
    nobody = bootstrap_person_counts(patterns_of([]), 4, generator())
    assert (nobody.shape, nobody.sum()) == ((4, 1, 2, 2), 0)


def test_percentile_interval_is_undefined_beyond_five_percent() -> None:
    replicates = np.tile(np.arange(100.0)[:, None], 3)
    replicates[:5, 1] = np.nan
    replicates[:6, 2] = np.nan
    low, high = percentile_interval(replicates, 0.9)
    expected = np.nanquantile(replicates[:, :2], [0.05, 0.95], axis=0)
    np.testing.assert_allclose([low[:2], high[:2]], expected)
    assert np.isnan([low[2], high[2]]).all()


def test_spread_constant_touches_only_groups_that_never_vary_at_the_edge() -> None:
    replicates = np.tile([1.0, 0.0, 0.5, 0.7, np.nan], (2000, 1))
    replicates[::2, 3] = 0.8
    values = np.array([1.0, 0.0, 0.5, 0.75, np.nan])
    spread = spread_constant(values, replicates, np.array([30, 30, 30, 30, 0]), generator())
    np.testing.assert_array_equal(spread[:, 2:], replicates[:, 2:])
    # 5 % quantile of Beta(30.5, 0.5), from scipy.stats.beta.
    assert np.quantile(spread[:, 0], 0.05) == pytest.approx(0.9374, abs=0.01)
    assert np.quantile(spread[:, 1], 0.95) == pytest.approx(0.0626, abs=0.01)


def test_largest_gap_by_hand() -> None:
    # Two groups: one pair, so q is the quantile of that pair's own |d* - d| / se.
    deviations = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    replicates = np.stack([0.9 + 0.01 * deviations, np.full(5, 0.7)], axis=1)
    found = largest_gap(np.array([0.9, 0.7]), replicates, level=0.5)
    assert (found.best, found.worst, found.eligible) == (0, 1, 2)
    assert found.gap == pytest.approx(0.2)
    assert found.low == pytest.approx(0.19)
    assert found.high == pytest.approx(0.21)


def test_largest_gap_widens_with_the_number_of_pairs() -> None:
    replicates = 0.5 + 0.02 * generator().normal(size=(4000, 10))
    few = largest_gap(np.full(2, 0.5), replicates[:, :2])
    many = largest_gap(np.full(10, 0.5), replicates)
    # The studentised range: 2.77 / sqrt(2) for 2 groups, 4.47 / sqrt(2) for 10.
    error = 0.02 * 2**0.5
    assert few.high == pytest.approx(2.77 / 2**0.5 * error, rel=0.05)
    assert many.high == pytest.approx(4.47 / 2**0.5 * error, rel=0.05)


def test_largest_gap_of_errors_names_the_larger_one_worst() -> None:
    # Fault seen elsewhere: a minimum taken over metrics for which lower is better.
    values = np.array([0.1, 0.3, 0.2])
    replicates = values + 0.01 * generator().normal(size=(100, 3))
    as_error = largest_gap(values, replicates, higher_is_better=False)
    as_score = largest_gap(values, replicates)
    assert (as_error.best, as_error.worst) == (0, 1)
    assert (as_score.best, as_score.worst) == (1, 0)
    assert as_error.gap == as_score.gap == pytest.approx(0.2)


def test_largest_gap_leaves_out_ineligible_and_undefined_groups() -> None:
    values = np.array([0.5, np.nan, 0.9, 0.1, 0.6, 0.99])
    replicates = values + 0.01 * generator().normal(size=(100, 6))
    replicates[:6, 5] = np.nan
    eligible = np.array([True, True, True, False, True, True])
    found = largest_gap(values, replicates, eligible=eligible)
    assert (found.best, found.worst, found.eligible) == (2, 0, 3)


def test_largest_gap_needs_two_groups() -> None:
    found = largest_gap(np.array([0.5, np.nan]), np.full((10, 2), 0.5))
    assert np.isnan([found.gap, found.low, found.high]).all()
    assert (found.best, found.worst, found.eligible) == (-1, -1, 1)
    assert largest_gap(np.array([]), np.empty((10, 0))).eligible == 0


def test_largest_gap_without_spread_has_no_interval() -> None:
    found = largest_gap(np.array([1.0, 0.0, 0.0]), np.tile([1.0, 0.0, 0.0], (10, 1)))
    assert found.gap == 1.0
    assert np.isnan([found.low, found.high]).all()


def test_largest_gap_passes_over_pairs_without_spread() -> None:
    replicates = np.tile([0.5, 0.5, 0.9], (200, 1))
    replicates[:, 2] += 0.01 * generator().normal(size=200)
    found = largest_gap(np.array([0.5, 0.5, 0.9]), replicates)
    assert 0.36 < found.low < 0.39 < found.high < 0.44


def test_largest_gap_of_equal_groups_names_two_groups() -> None:
    replicates = 0.5 + 0.01 * generator().normal(size=(100, 3))
    found = largest_gap(np.full(3, 0.5), replicates)
    assert found.gap == 0
    assert found.best != found.worst
    assert found.low < 0 < found.high


def test_largest_gap_refuses_other_shapes() -> None:
    with pytest.raises(DataError):
        largest_gap(np.zeros(3), np.zeros((10, 2)))


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(5)), seed=st.integers(0, 99))
def test_largest_gap_does_not_depend_on_the_order_of_groups(order: list[int], seed: int) -> None:
    values = generator(seed).uniform(size=5)
    replicates = values + 0.05 * generator(seed + 1).normal(size=(50, 5))
    found = largest_gap(values, replicates)
    other = largest_gap(values[order], replicates[:, order])
    assert (order[other.best], order[other.worst]) == (found.best, found.worst)
    np.testing.assert_allclose([other.low, other.high], [found.low, found.high])


@pytest.mark.parametrize("rights", [[0.8] * 6, [0.6, 0.7, 0.7, 0.8, 0.8, 0.85]])
def test_largest_gap_covers(rights: list[float]) -> None:
    truth, sets, rows = np.array(rights), 400, 150
    rng = generator(3)
    covered = percentile_covered = 0
    for right in rng.binomial(rows, truth, size=(sets, len(truth))):
        counts = np.zeros((len(truth), 2, 2), dtype=np.int64)
        counts[:, 0, 0], counts[:, 0, 1] = right, rows - right
        replicates = accuracy(bootstrap_counts(counts, 400, rng))
        found = largest_gap(accuracy(counts), replicates)
        true_gap = truth[found.best] - truth[found.worst]
        covered += found.low <= true_gap <= found.high
        naive, _ = percentile_interval(np.ptp(replicates, axis=1))
        percentile_covered += naive <= np.ptp(truth)
    # The binomial standard error of 400 sets at 95 % is 1.1 points.
    assert covered / sets >= 0.91
    if np.ptp(truth) == 0:
        # Equal groups: some pair is the largest, so the coverage is 95 %, not more.
        assert covered / sets <= 0.99
        # And the plain percentile interval of the maximum never holds the true gap of 0.
        assert percentile_covered == 0
