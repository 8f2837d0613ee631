from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facebias.fairness import group_pairs, many_groups, significance
from facebias.fairness.group_report import group_report
from facebias.fairness.intervals import Combinations, means
from facebias.fairness.many_groups import EveryPair, IndependentPairs, largest_apart

Array = npt.NDArray[Any]
SEEDS = st.integers(0, 2**32 - 1)


def shares_of_groups(seed: int, n_groups: int) -> Combinations:
    """Return shares of groups of 5 to 500 rows, drawn, each with replicates."""
    random = np.random.default_rng(seed)
    rows = random.integers(5, 500, size=n_groups)
    right = random.binomial(rows, random.uniform(0.5, 1, size=n_groups))
    drawn = random.binomial(rows, right / rows, size=(200, n_groups)) / rows
    return means((right / rows)[:, None], drawn[..., None], rows[:, None], by_person=False)


def pairs_of(groups: Combinations) -> IndependentPairs:
    first, second = np.triu_indices(len(groups.total), 1)
    return IndependentPairs(groups, first, second)


@settings(deadline=None)
@given(seed=SEEDS, n_groups=st.integers(2, 40), zeros=st.floats(0, 1))
def test_the_largest_of_pairs_that_can_be_it_is_the_largest_of_all(
    seed: int, n_groups: int, zeros: float
) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=(5, n_groups)).round(1)
    errors = random.exponential(size=(5, n_groups)) * (random.random((5, n_groups)) > zeros)
    first, second = np.triu_indices(n_groups, 1)
    gaps = np.abs(values[:, first] - values[:, second])
    with np.errstate(divide="ignore", invalid="ignore"):
        every = gaps / np.hypot(errors[:, first], errors[:, second])
    expected = np.where(gaps == 0, 0, every).max(axis=1)
    np.testing.assert_allclose(largest_apart(values, errors), expected, rtol=1e-12)


def test_what_is_undefined_is_infinitely_far_apart() -> None:
    assert np.isinf(largest_apart(np.array([[0.1, np.nan, 0.2]]), np.ones((1, 3)))).all()


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, n_groups=st.integers(2, 25), critical=st.floats(0.1, 6))
def test_all_pairs_at_once_are_what_they_are_one_by_one(
    seed: int, n_groups: int, critical: float
) -> None:
    groups = shares_of_groups(seed, n_groups)
    every, single = EveryPair(groups), pairs_of(groups)
    low, high = single.interval(critical)
    assert every.n_pairs == len(low)
    assert every.leave_out_0(critical) == bool(((low > 0) | (high < 0)).any())
    assert every.smallest_p() == pytest.approx(single.p_value().min(), rel=1e-6, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, n_groups=st.integers(2, 25))
def test_each_group_is_listed_with_the_group_that_it_differs_from_most_surely(
    seed: int, n_groups: int
) -> None:
    groups = shares_of_groups(seed, n_groups)
    first, second = EveryPair(groups).surest(3.0)
    single = pairs_of(groups)
    reach = dict(zip(combinations(range(n_groups), 2), _reach(single, 3.0), strict=True))
    listed = list(zip(first.tolist(), second.tolist(), strict=True))
    assert len(set(listed)) == len(listed) <= n_groups
    for group in range(n_groups):
        own = max(each for pair, each in reach.items() if group in pair)
        assert max(reach[pair] for pair in listed if group in pair) == pytest.approx(own)


def _reach(pairs: IndependentPairs, critical: float) -> Array:
    low, high = pairs.interval(critical)
    return np.maximum(low, -high)


def test_pairs_are_looked_at_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    every = EveryPair(shares_of_groups(0, 25))
    whole = every.surest(2.0)
    monkeypatch.setattr(many_groups, "_CHUNK_NUMBERS", 60)
    np.testing.assert_array_equal(every.surest(2.0), whole)


def faces_of_groups(n_groups: int, *, persons: bool) -> pd.DataFrame:
    """Return 100 faces a group, the first group worse."""
    random = np.random.default_rng(1)
    groups = np.repeat(np.arange(n_groups), 100)
    label = random.integers(2, size=len(groups))
    right = random.random(len(groups)) < np.where(groups == 0, 0.45, 0.85)
    names = np.array(["f", "m"])
    table = {"label": names[label], "predicted": names[np.where(right, label, 1 - label)]}
    table["country"] = np.char.add("c", groups.astype(str))
    if persons:
        person = random.integers(len(groups) // 3, size=len(groups))
        table["identity"] = np.char.add("p", person.astype(str))
    return pd.DataFrame(table)


def gaps_of(faces: pd.DataFrame, n_groups: int) -> pd.DataFrame:
    countries = {"country": [f"c{number}" for number in range(n_groups)]}
    found = group_report(faces, ["f", "m"], countries, pairs=True, replicates=300)
    return found.gaps


@pytest.mark.parametrize("persons", [False, True])
def test_many_groups_find_what_all_pairs_find(
    persons: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces, n_groups = faces_of_groups(12, persons=persons), 12
    every = gaps_of(faces, n_groups)
    for module in (group_pairs, significance):
        monkeypatch.setattr(module, "MOST_PAIRED", 11)
    many = gaps_of(faces, n_groups)
    largest, other = (each[each["kind"] == "largest"].reset_index() for each in (every, many))
    same = ["metric", "first", "second", "difference", "standardised", "deviation", "expected"]
    pd.testing.assert_frame_equal(largest[same], other[same])
    widths = [each["high"] - each["low"] for each in (largest, other)]
    # Of groups that share persons the errors are another estimate.
    np.testing.assert_allclose(widths[0], widths[1], rtol=0.15 if persons else 0.1)
    np.testing.assert_allclose(largest["p"], other["p"], atol=0.05)
    listed = many[many["kind"] == "pair"]
    assert (listed.groupby("metric").size() <= n_groups).all()
    assert {*listed["first"], *listed["second"]} == set(faces["country"])
    np.testing.assert_allclose(listed["p_holm"], np.minimum(66 * listed["p"], 1))
    told = [each[(each["kind"] == "pair") & (each["low"] > 0)] for each in (every, many)]
    assert set(told[0]["second"]) == set(told[1]["second"])


def test_a_thousand_groups_are_compared() -> None:
    random = np.random.default_rng(0)
    groups, label = random.integers(1000, size=40_000), random.integers(2, size=40_000)
    right = random.random(40_000) < np.where(groups == 0, 0.2, 0.85)
    faces = pd.DataFrame(
        {
            "label": np.array(["f", "m"])[label],
            "predicted": np.array(["f", "m"])[np.where(right, label, 1 - label)],
            "country": np.char.add("c", groups.astype(str)),
        }
    )
    countries = {"country": [f"c{number}" for number in range(1000)]}
    found = group_report(faces, ["f", "m"], countries, pairs=True, replicates=50)
    accuracy = found.gaps[found.gaps["metric"] == "accuracy"]
    largest = accuracy[accuracy["kind"] == "largest"].iloc[0]
    assert largest["second"] == "c0"
    assert largest["low"] > 0
    assert len(accuracy) < 1001
