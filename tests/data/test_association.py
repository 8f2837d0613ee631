from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from facebias.data.association import Direction, cramers_v_counts, round_table
from facebias.data.cells import cramers_v
from facebias.data.composition import largest_remainder
from facebias.errors import CompositionError

GROUPS = ["light", "medium", "dark"]
CELLS = st.lists(st.lists(st.integers(5, 60), min_size=3, max_size=3), min_size=2, max_size=4)
PAIRS = st.dictionaries(st.sampled_from(["class0", "class1"]), st.sampled_from(GROUPS), min_size=1)
SHARE = st.fixed_dictionaries({name: st.integers(0, 9) for name in GROUPS})
SHARES = st.dictionaries(
    st.sampled_from(["class0", "class1"]), SHARE.filter(lambda each: any(each.values())), min_size=1
)
DIRECTIONS = st.one_of(
    PAIRS.map(lambda pairs: Direction(pairs=pairs)),
    SHARES.map(lambda shares: Direction(shares=shares)),
)


def frame(cells: list[list[int]]) -> pd.DataFrame:
    return pd.DataFrame(cells, [f"class{n}" for n in range(len(cells))], GROUPS)


def counts_at(
    available: pd.DataFrame, direction: Direction, target: float, largest: float
) -> pd.DataFrame:
    try:
        return cramers_v_counts(available, direction, target, largest)
    except CompositionError:
        assume(False)
        raise


def within_rounding(counts: pd.DataFrame, target: float) -> bool:
    """V is a norm of the distance from independence, and each cell is less than 1 face away."""
    n = counts.to_numpy().sum()
    margins = counts.to_numpy().sum(axis=1), counts.to_numpy().sum(axis=0)
    expected = np.outer(*margins) / n
    least = min((margin > 0).sum() for margin in margins) - 1
    bound = np.sqrt((1 / expected[expected > 0]).sum() / n / least)
    return bool(abs(cramers_v(counts) - target) <= bound)


@given(CELLS, DIRECTIONS, st.integers(0, 60), st.integers(0, 60))
def test_v_is_the_target_within_the_rounding_and_margins_are_those_of_all_twins(
    cells: list[list[int]], direction: Direction, one: int, other: int
) -> None:
    available = frame(cells)
    target, largest = sorted((one / 100, other / 100))
    independent = counts_at(available, direction, 0, largest)
    found = [counts_at(available, direction, v, largest) for v in (target, largest)]
    total = independent.to_numpy().sum()
    labels = largest_remainder(int(total), available.sum(axis=1).tolist())
    groups = [sum(column) for column in zip(*independent.to_numpy().tolist(), strict=True)]
    for v, counts in zip((0, target, largest), (independent, *found), strict=True):
        assert (counts.to_numpy() >= 0).all()
        assert (counts <= available).to_numpy().all()
        assert counts.sum(axis=1).tolist() == labels.tolist()
        assert counts.sum(axis=0).tolist() == groups
        if (counts.sum(axis=1) > 0).sum() > 1 and sum(group > 0 for group in groups) > 1:
            assert within_rounding(counts, v)


@given(CELLS, PAIRS)
def test_pairs_keep_the_mix_of_the_groups(cells: list[list[int]], pairs: dict[str, str]) -> None:
    available = frame(cells)
    counts = counts_at(available, Direction(pairs=pairs), 0.1, 0.1)
    total = int(counts.to_numpy().sum())
    groups = largest_remainder(total, available.sum(axis=0).tolist())
    assert counts.sum(axis=0).tolist() == groups.tolist()


@given(CELLS, st.sampled_from(GROUPS), st.integers(1, 20), st.integers(1, 20))
def test_a_pair_grows_with_the_target(
    cells: list[list[int]], group: str, one: int, other: int
) -> None:
    available, direction = frame(cells), Direction(pairs={"class0": group})
    less, more = sorted((one / 100, other / 100))
    counts = [counts_at(available, direction, v, more).loc["class0", group] for v in (less, more)]
    assert counts[1] - counts[0] > -1  # whole numbers: not smaller


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=2, max_size=4),
    st.integers(1, 12),
    st.integers(1, 12),
)
def test_a_rounded_table_has_the_same_margins_and_neighbouring_cells(
    cells: list[list[int]], numerator: int, denominator: int
) -> None:
    whole = np.array([[Fraction(cell) for cell in row] for row in cells], dtype=object)
    assume(whole.sum() > 0)
    independent = np.outer(whole.sum(axis=1), whole.sum(axis=0)) / whole.sum()
    way = Fraction(numerator, numerator + denominator)
    table = independent + way * (whole - independent)
    counts = round_table(table)
    assert (np.abs(counts - table) < 1).all()
    for axis in (0, 1):
        assert counts.sum(axis=axis).tolist() == whole.sum(axis=axis).tolist()


def test_an_association_in_full() -> None:
    available = frame([[600, 700, 500], [650, 640, 710], [900, 1000, 800]])
    direction = Direction(pairs={"class0": "dark"})
    found = {v: cramers_v_counts(available, direction, v, 0.6) for v in (0.0, 0.3, 0.6)}
    assert found[0.6].to_numpy().tolist() == [[14, 16, 500], [264, 286, 39], [356, 387, 53]]
    assert cramers_v(found[0.6]) == pytest.approx(0.6, abs=1e-3)
    assert cramers_v(found[0.3]) == pytest.approx(0.3, abs=1e-3)
    assert cramers_v(found[0.0]) == pytest.approx(0, abs=1e-2)
    assert found[0.6].loc["class0", "dark"] == 500  # no larger total would do


def test_two_labels_tied_to_one_group_share_it() -> None:
    available = frame([[60, 60, 60], [60, 60, 60], [60, 60, 60]])
    direction = Direction(pairs={"class0": "dark", "class1": "dark"})
    counts = cramers_v_counts(available, direction, 0.3, 0.3)
    assert counts.loc["class0", "dark"] == pytest.approx(counts.loc["class1", "dark"], abs=1)
    assert counts.loc["class2", "dark"] < counts.loc["class2", "light"]


def test_a_v_out_of_reach_is_refused_with_the_largest_that_is_not() -> None:
    available = frame([[600, 700, 500], [650, 640, 710], [900, 1000, 800]])
    direction = Direction(pairs={"class0": "dark"})
    with pytest.raises(CompositionError, match=r"bias\.cramers_v=0\.9") as caught:
        cramers_v_counts(available, direction, 0.9, 0.9)
    reach = float(caught.value.todo.split("=")[1].split(" ")[0])
    assert cramers_v(cramers_v_counts(available, direction, reach, reach)) == pytest.approx(
        reach, abs=5e-3
    )
    with pytest.raises(CompositionError):
        cramers_v_counts(available, direction, reach + 0.02, reach + 0.02)


def test_a_direction_that_leads_nowhere_reaches_nothing() -> None:
    available = frame([[60, 60, 60], [60, 60, 60]])
    same = {"light": 1, "medium": 1, "dark": 1}
    with pytest.raises(CompositionError, match="Cramer's V"):
        cramers_v_counts(available, Direction(shares={"class0": same}), 0.1, 0.1)


def test_too_few_faces_name_cells_and_the_largest_total() -> None:
    available = frame([[60, 60, 60], [60, 60, 60]])
    direction = Direction(pairs={"class0": "dark"})
    with pytest.raises(CompositionError, match="class0, dark: 60 of") as caught:
        cramers_v_counts(available, direction, 0.4, 0.4, total=300)
    largest = int(caught.value.todo.rpartition("=")[2])
    assert cramers_v_counts(available, direction, 0.4, 0.4, largest).to_numpy().sum() == largest
    with pytest.raises(CompositionError):
        cramers_v_counts(available, direction, 0.4, 0.4, largest + 1)


def test_an_empty_cell_is_named_and_no_total_is_offered() -> None:
    with pytest.raises(CompositionError, match="class1, dark: 0 of 1") as caught:
        cramers_v_counts(frame([[9, 9, 9], [9, 9, 0]]), Direction(pairs={"class0": "dark"}), 0, 0)
    assert caught.value.todo == "choose shares that the data has"


@pytest.mark.parametrize("pairs", [{"joy": "dark"}, {"class0": "blue"}])
def test_pairs_name_labels_and_groups_that_there_are(pairs: dict[str, str]) -> None:
    with pytest.raises(CompositionError, match=r"bias\.pairs ties") as caught:
        cramers_v_counts(frame([[9, 9, 9], [9, 9, 9]]), Direction(pairs=pairs), 0.1, 0.1)
    assert "class0" in caught.value.expected
    assert "dark" in caught.value.expected
