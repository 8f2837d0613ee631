from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from facebias.fairness.intervals import (
    FloatArray,
    differences,
    max_t,
    means,
    normal_critical,
    percentile_interval,
    shares,
    spread_constant,
    wilson_interval,
)


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


def test_max_t_by_hand() -> None:
    # Two groups: one pair, so the quantile is that of the pair's own |d* - d| / se.
    deviations = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    replicates = np.stack([0.9 + 0.01 * deviations, np.full(5, 0.7)], axis=1)
    found = max_t(np.array([0.9, 0.7]), replicates)
    error = 0.01 * np.std(deviations, ddof=1)
    assert found.critical(0.5) * error == pytest.approx(0.01)


def test_max_t_grows_with_the_number_of_pairs() -> None:
    replicates = 0.5 + 0.02 * generator().normal(size=(4000, 10))
    # The studentised range: 2.77 / sqrt(2) for 2 groups, 4.47 / sqrt(2) for 10.
    for n_groups, studentised_range in ((2, 2.77), (10, 4.47)):
        found = max_t(np.full(n_groups, 0.5), replicates[:, :n_groups])
        assert found.critical() == pytest.approx(studentised_range / 2**0.5, rel=0.05)


def test_max_t_without_spread_is_undefined_and_passes_over_pairs_without_it() -> None:
    nothing = max_t(np.array([1.0, 0.0]), np.tile([1.0, 0.0], (10, 1)))
    assert np.isnan([nothing.critical(), nothing.p_value([])]).all()
    replicates = np.tile([0.5, 0.5, 0.9], (200, 1))
    replicates[:, 2] += 0.01 * generator().normal(size=200)
    found = max_t(np.array([0.5, 0.5, 0.9]), replicates)
    assert found.critical() == pytest.approx(1.96, rel=0.15)


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(5)), seed=st.integers(0, 99))
def test_max_t_does_not_depend_on_the_order_of_groups(order: list[int], seed: int) -> None:
    values = generator(seed).uniform(size=5)
    replicates = values + 0.05 * generator(seed + 1).normal(size=(50, 5))
    found, other = max_t(values, replicates), max_t(values[order], replicates[:, order])
    np.testing.assert_allclose(other.largest, found.largest)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(8, 400),
    level=st.sampled_from([0.8, 0.9, 0.95, 0.98]),
    seed=st.integers(0, 99),
    by_person=st.booleans(),
)
def test_max_ts_p_value_rejects_exactly_where_an_interval_of_all_pairs_leaves_out_0(
    rows: int, level: float, seed: int, by_person: bool
) -> None:
    values = generator(seed).uniform(0.4, 0.8, size=(4, 1))
    noise = np.sqrt(values * (1 - values) / rows)
    replicates = np.clip(values + noise * generator(seed).normal(size=(400, 4, 1)), 0, 1)
    pairs = np.triu_indices(4, 1)
    units = np.full((4, 1), rows)
    found = differences(values, replicates, units, *pairs, by_person=by_person)
    together = max_t(values[:, 0], replicates[:, :, 0])
    low, high = found.interval(together.critical(level))
    told = bool(((low > 0) | (high < 0)).any())
    assert (together.p_value([found]) <= 1 - level) == told


def test_max_ts_p_value_goes_below_what_the_replicates_can_show() -> None:
    values = np.array([[0.9], [0.5]])
    replicates = values + 0.02 * generator().normal(size=(200, 2, 1))
    pair = np.array([0]), np.array([1])
    found = differences(values, replicates, np.full((2, 1), 400), *pair, by_person=False)
    p = max_t(values[:, 0], replicates[:, :, 0]).p_value([found])
    assert p == pytest.approx(float(found.p_value()[0]))
    assert 0 < p < 1 / 201


@given(right=st.integers(0, 200), total=st.integers(1, 200), level=st.sampled_from([0.8, 0.95]))
def test_wilson_is_that_of_statsmodels(right: int, total: int, level: float) -> None:
    right = min(right, total)
    theirs = proportion_confint(right, total, alpha=1 - level, method="wilson")
    np.testing.assert_allclose(wilson_interval(right, total, level), theirs, atol=1e-9)


def spread_of(values: FloatArray, errors: FloatArray, replicates: int = 1000) -> FloatArray:
    """Return independent replicates with exactly these means and standard errors."""
    noise = generator(7).normal(size=(replicates, values.size))
    noise -= noise.mean(axis=0)
    exact = np.linalg.qr(noise)[0] * (replicates - 1) ** 0.5
    spread = values.ravel() + exact * errors.ravel()
    return np.asarray(spread.reshape(replicates, *values.shape))


@given(right=st.tuples(st.integers(1, 49), st.integers(0, 80)))
def test_the_difference_of_two_shares_of_rows_is_newcombes(right: tuple[int, int]) -> None:
    rows = np.array([[50], [80]])
    values = np.array(right)[:, None] / rows
    replicates = spread_of(values, np.sqrt(values * (1 - values) / rows))
    pair = np.array([0]), np.array([1])
    low, high = differences(values, replicates, rows, *pair, by_person=False).interval(1.959964)
    theirs = confint_proportions_2indep(right[0], 50, right[1], 80, method="newcomb")
    np.testing.assert_allclose([low[0], high[0]], theirs, atol=1e-6)


@given(right=st.integers(0, 60))
def test_the_mean_of_one_share_of_rows_is_wilsons(right: int) -> None:
    value = np.array([[right / 60]])
    replicates = spread_of(value, np.sqrt(value * (1 - value) / 60))
    found = means(value, replicates, np.array([[60]]), by_person=False)
    bounds = np.concatenate(found.interval(normal_critical()))
    np.testing.assert_allclose(bounds, wilson_interval(right, 60), atol=1e-9)


def test_few_persons_get_wider_bounds_than_as_many_rows() -> None:
    value, units = np.array([[0.8]]), np.array([[9]])
    replicates = spread_of(value, np.array([[0.1]]))
    rows, persons = (
        means(value, replicates, units, by_person=by_person).interval(1.96)
        for by_person in (False, True)
    )
    # Student's t with 8 degrees is 2.31, and n / (n - 1) widens by 6 %.
    assert np.diff(persons, axis=0) / np.diff(rows, axis=0) == pytest.approx(1.2, abs=0.06)


def test_parts_that_vary_together_cancel_in_a_difference_and_not_in_a_mean() -> None:
    values = np.array([[0.6, 0.6], [0.5, 0.5]])
    shared = 0.05 * generator().normal(size=(1000, 1, 1))
    replicates, units = values + shared, np.full((2, 2), 100)
    pair = np.array([0]), np.array([1])
    low, high = differences(values, replicates, units, *pair, by_person=True).interval(1.96)
    assert (low[0], high[0]) == (pytest.approx(0.1, abs=0.01), pytest.approx(0.1, abs=0.01))
    low, high = means(values, replicates, units, by_person=True).interval(1.96)
    np.testing.assert_allclose(high - low, 4 * 0.05, rtol=0.1)


def test_a_class_without_rows_is_left_out_and_one_often_lost_has_no_interval() -> None:
    values = np.array([[0.6, np.nan], [0.6, 0.8], [np.nan, np.nan]])
    replicates = np.tile(values, (100, 1, 1)) + 0.1 * generator().normal(size=(100, 3, 2))
    units = np.array([[50, 0], [50, 50], [0, 0]])
    found = means(values, replicates, units, by_person=True)
    np.testing.assert_allclose(found.total, [0.6, 0.7, np.nan])
    alone = means(values[:1, :1], replicates[:, :1, :1], units[:1, :1], by_person=True)
    np.testing.assert_allclose([each[0] for each in found.interval(2)], np.ravel(alone.interval(2)))
    replicates[:6, 1, 1] = np.nan
    low, high = means(values, replicates, units, by_person=True).interval(2)
    assert np.isnan([low[1:], high[1:]]).all()
    assert np.isfinite([low[0], high[0]]).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), by_person=st.booleans())
def test_p_is_below_a_level_exactly_where_the_interval_excludes_zero(
    seed: int, by_person: bool
) -> None:
    values = generator(seed).uniform(0.3, 1, size=(4, 3))
    errors, units = np.full((4, 3), 0.08), np.full((4, 3), 12)
    first, second = np.triu_indices(4, 1)
    replicates = spread_of(values, errors)
    found = differences(values, replicates, units, first, second, by_person=by_person)
    low, high = found.interval(normal_critical(0.9))
    np.testing.assert_array_equal(found.p_value() < 0.1, (low > 0) | (high < 0))
    turned = differences(values, replicates, units, second, first, by_person=by_person)
    np.testing.assert_allclose(turned.interval(1.5), [-each for each in found.interval(1.5)[::-1]])
    assert (low >= -1).all()
    assert (high <= 1).all()


def test_a_share_with_a_known_error_is_wilsons_of_rows_and_wider_of_persons() -> None:
    # 12 of 40 units: squared error .3 x .7 / 39.
    values, errors = np.array([0.3, math.nan, 1.0]), np.array([math.sqrt(0.21 / 39), math.nan, 0])
    units = np.array([40, 0, 1])
    low, high = shares(values, errors, units, by_person=False).interval(normal_critical())
    expected = wilson_interval([12, 0, 1], [40, 0, 1])
    np.testing.assert_allclose(low, expected[0])
    np.testing.assert_allclose(high, expected[1])
    # .21 / squared error = 39; Student's t of 39 degrees of freedom reaches 2.0227, not 1.96.
    wide = shares(values, errors, units, by_person=True).interval(normal_critical())
    level = 2 * NormalDist().cdf(2.0227) - 1
    assert [float(bound[0]) for bound in wide] == pytest.approx(
        [float(bound) for bound in wilson_interval(0.3 * 39, 39, level)], abs=1e-4
    )
