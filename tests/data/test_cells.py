import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias.data.cells import count_cells, cramers_v, group_names, joint_groups
from facebias.data.table import UNKNOWN
from tests.data.made_tables import with_age

CELLS = st.lists(st.lists(st.integers(1, 50), min_size=3, max_size=3), min_size=2, max_size=4)


def test_joint_groups_are_counted_each_and_unknown_where_one_part_is() -> None:
    table = with_age(300)
    cells = count_cells(table, table.used("train"), ("gender", "age"))
    assert list(cells.columns) == group_names(table, ("gender", "age"))
    assert list(cells.columns)[:2] == ["female, young", "female, old"]
    rows = table.rows
    asked = (rows["label"] == "happy") & (rows["gender"] == "male") & (rows["age"] == "old")
    assert cells.loc["happy", "male, old"] == asked.sum() > 0
    unknown = (rows["gender"] == UNKNOWN) | (rows["age"] == UNKNOWN)
    assert cells[UNKNOWN].sum() == unknown.sum() > 0
    assert cells.to_numpy().sum() == len(rows)


def test_one_attribute_or_none_count_as_the_table_does() -> None:
    table = with_age(300)
    for attributes, alone in ((("gender",), "gender"), ((), None)):
        found = count_cells(table, table.used("train"), attributes)
        pd.testing.assert_frame_equal(
            found, table.cells("train", alone), check_names=False, check_dtype=False
        )
    assert set(joint_groups(table.rows, ())) == {"all"}


def test_cramers_v_by_hand() -> None:
    """By hand: chi2 = 4 * 10^2 / 25 = 16 of n = 100, so V = 0.4, and no Yates."""
    assert cramers_v([[35, 15], [15, 35]]) == pytest.approx(0.4)
    assert cramers_v([[9, 0, 0], [0, 7, 0], [0, 0, 4]]) == pytest.approx(1)
    assert cramers_v([[10, 20], [20, 40]]) == pytest.approx(0)
    assert cramers_v([[35, 15, 0], [15, 35, 0], [0, 0, 0]]) == pytest.approx(0.4)


@pytest.mark.parametrize("cells", [[[3, 4]], [[3], [4]], [[3, 0], [4, 0]], [[0, 0], [0, 0]]])
def test_cramers_v_of_one_label_or_group_is_undefined(cells: list[list[int]]) -> None:
    assert np.isnan(cramers_v(cells))


@given(CELLS)
def test_cramers_v_knows_no_order_of_labels_and_groups(cells: list[list[int]]) -> None:
    table = np.array(cells)
    value = cramers_v(table)
    assert 0 <= value <= 1 + 1e-12
    for other in (table[::-1], table[:, ::-1], table.T, 3 * table):
        assert cramers_v(other) == pytest.approx(value, abs=1e-12)
