import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias.data.cells import count_cells, cramers_v
from facebias.data.remedy import (
    UNDERSAMPLED,
    WEIGHT,
    CellWeights,
    NoRemedy,
    Remedy,
    Undersample,
    inverse_frequency,
    loss_weights,
    reweighing,
)
from facebias.data.table import UNKNOWN, FaceTable
from facebias.errors import CompositionError, DataError
from tests.data.made_tables import random_table, shuffled, with_age

CELLS = st.lists(st.lists(st.integers(1, 50), min_size=3, max_size=3), min_size=2, max_size=4)


def train_and_test(count: int = 300) -> FaceTable:
    table = random_table(count)
    return table.with_rows(table.rows.assign(split=(["train"] * 2 + ["test"]) * (count // 3)))


def cells_of(table: FaceTable, *attributes: str) -> pd.DataFrame:
    counts = count_cells(table, table.used("train"), attributes)
    return counts.drop(columns=UNKNOWN, errors="ignore")


def test_none_changes_nothing() -> None:
    table = train_and_test()
    assert NoRemedy().apply(table, 0) is table
    assert loss_weights(table.used("train")).tolist() == [1.0] * len(table.used("train"))


@pytest.mark.parametrize("attributes", [(), ("gender",), ("gender", "age")])
def test_undersampling_leaves_as_many_of_every_cell_as_the_smallest_has(
    attributes: tuple[str, ...],
) -> None:
    table = with_age(400)
    before = cells_of(table, *attributes)
    remedied = Undersample(attributes).apply(table, 0)
    after = cells_of(remedied, *attributes)
    assert (after == before.to_numpy().min()).to_numpy().all()
    assert set(remedied.rows["left_out"]) == {"", UNDERSAMPLED}
    assert len(remedied.used("train")) == after.to_numpy().sum(), "nobody of unknown group stays"


def test_undersampling_is_nested_in_its_total_and_spares_test_faces() -> None:
    table = train_and_test()
    sizes = [Undersample(["gender"], total).apply(table, 0) for total in (8, 21, None)]
    faces = [set(each.used("train")["id"]) for each in sizes]
    assert faces[0] < faces[1] < faces[2]
    assert [len(each) for each in faces[:2]] == [8, 21]
    for each in sizes:
        pd.testing.assert_frame_equal(each.used("test"), table.used("test"))


@given(
    st.integers(20, 60),
    st.integers(0, 1000),
    st.sampled_from([Undersample(), Undersample(["gender"]), CellWeights(["gender"])]),
)
def test_the_order_of_rows_plays_no_part(count: int, seed: int, remedy: Remedy) -> None:
    table = random_table(count, seed, split="train")
    try:
        one = remedy.apply(table, seed).rows.set_index("id").sort_index()
    except CompositionError:
        return
    other = remedy.apply(shuffled(table, seed), seed).rows.set_index("id").sort_index()
    pd.testing.assert_frame_equal(one, other)


def test_undersampling_beyond_the_smallest_cell_is_refused() -> None:
    table = train_and_test()
    smallest = int(cells_of(table, "gender").to_numpy().min())
    with pytest.raises(CompositionError, match=f"; {smallest} of ") as caught:
        Undersample(["gender"], 4 * smallest + 1).apply(table, 0)
    assert f"remedy.total={4 * smallest}" in caught.value.todo
    women = table.with_rows(table.rows.assign(gender="female"))
    with pytest.raises(CompositionError, match="0 of happy, male; neutral, male"):
        Undersample(["gender"]).apply(women, 0)


@given(CELLS)
def test_reweighing_makes_label_and_group_independent(cells: list[list[int]]) -> None:
    counts = np.array(cells, dtype=np.float64)
    weighted = counts * reweighing(counts)
    assert cramers_v(weighted) == pytest.approx(0, abs=1e-6)
    for axis in (0, 1):
        np.testing.assert_allclose(weighted.sum(axis), counts.sum(axis))


@given(CELLS)
def test_inverse_frequency_makes_every_cell_weigh_the_same(cells: list[list[int]]) -> None:
    counts = np.array(cells, dtype=np.float64)
    counts[0, 0] = 0
    weights = inverse_frequency(counts)
    weighted = (counts * weights)[counts > 0]
    np.testing.assert_allclose(weighted, counts.sum() / len(weighted))
    assert np.isnan(weights[0, 0])


def test_reweighing_by_hand() -> None:
    """By hand: P = .5 * .4 / .3 = 2/3 and .5 * .4 / .1 = 2."""
    weights = reweighing(np.array([[30.0, 20.0], [10.0, 40.0]]))
    np.testing.assert_allclose(weights, [[2 / 3, 1.5], [2, 0.75]])


def test_weights_are_a_column_of_train_faces_with_mean_1() -> None:
    table = train_and_test()
    weighted = CellWeights(["gender"]).apply(table, 0)
    train, test = weighted.used("train"), weighted.used("test")
    assert len(train) == len(table.used("train"))
    assert test[WEIGHT].isna().all()
    assert (train[train["gender"] == UNKNOWN][WEIGHT] == 1).all()
    assert loss_weights(train).mean() == pytest.approx(1)
    assert loss_weights(train).dtype == np.float32
    sums = train[train["gender"] != UNKNOWN].groupby(["label", "gender"])[WEIGHT].sum().unstack()
    assert cramers_v(sums) == pytest.approx(0, abs=1e-6)


def test_labels_alone_are_weighed_inversely() -> None:
    train = CellWeights([], "inverse").apply(train_and_test(), 0).used("train")
    sums = train.groupby("label")[WEIGHT].sum()
    np.testing.assert_allclose(sums, len(train) / 2)


@pytest.mark.parametrize(("attributes", "kind"), [([], "reweighing"), (["gender"], "square")])
def test_weights_that_are_none_are_told(attributes: list[str], kind: str) -> None:
    with pytest.raises(DataError, match=f"remedy.kind={kind}"):
        CellWeights(attributes, kind)


def test_an_attribute_that_is_absent_is_named() -> None:
    for remedy in (Undersample(["age"]), CellWeights(["age"])):
        with pytest.raises(DataError, match=r"remedy\.attribute is 'age'"):
            remedy.apply(train_and_test(), 0)
