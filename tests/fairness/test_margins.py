"""Published tables against themselves."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias.errors import DataError
from facebias.fairness.margins import check_margins

# Buolamwini & Gebru 2018, Gender Shades (PMLR 81): error of gender classification in percent, and
# the share of each group among the 1,270 images.
SKINS = ["darker", "darker", "lighter", "lighter"]
GENDERS = ["female", "male", "female", "male"]
SHARES = [21.3, 25.0, 23.3, 30.3]
MARGINS = {
    "all": (None, None),
    "female": (None, "female"),
    "male": (None, "male"),
    "darker": ("darker", None),
    "lighter": ("lighter", None),
}
PUBLISHED = {
    "Microsoft": ([6.3, 10.7, 2.6, 12.9, 0.7], [20.8, 6.0, 1.7, 0.0]),
    "Face++": ([10.0, 21.3, 0.7, 16.5, 4.7], [34.5, 0.7, 9.8, 0.8]),
    "IBM": ([12.1, 20.3, 5.6, 22.4, 3.2], [34.7, 12.0, 7.1, 0.3]),
}


def cells(values: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"skin": SKINS, "gender": GENDERS, "share": SHARES, "value": values})


def margins(values: list[float]) -> pd.DataFrame:
    skin, gender = zip(*MARGINS.values(), strict=True)
    return pd.DataFrame({"skin": skin, "gender": gender, "value": values})


@pytest.mark.parametrize("model", PUBLISHED)
def test_every_margin_of_gender_shades_follows_from_its_cells(model: str) -> None:
    published, found = PUBLISHED[model]
    table = check_margins(cells(found), margins(published), tolerance=0.35)
    assert len(table) == 5
    assert table["within"].all()
    assert table["difference"].abs().max() > 0


def test_the_figure_of_the_press_cannot_be_right() -> None:
    published, found = PUBLISHED["Face++"]
    press = [6.0 if value == 9.8 else value for value in found]
    table = check_margins(cells(press), margins(published), tolerance=0.35)
    table.index = pd.Index(MARGINS)
    assert table.loc["all", "implied"] == pytest.approx(9.18, abs=0.01)
    # The margins that hold this cell give it away, the others do not.
    assert table.index[~table["within"]].tolist() == ["all", "female", "lighter"]
    assert not table.loc[["all", "female", "lighter"], "possible"].any()


def test_some_margins_of_gender_shades_are_near_but_no_rounding_of_their_cells() -> None:
    impossible = {
        (model, name)
        for model, (published, found) in PUBLISHED.items()
        for name, possible in zip(
            MARGINS,
            check_margins(cells(found), margins(published), tolerance=0.35)["possible"],
            strict=True,
        )
        if not possible
    }
    assert impossible == {
        ("Microsoft", "female"),
        ("Microsoft", "male"),
        ("Face++", "female"),
        ("Face++", "darker"),
    }


@given(
    st.lists(st.integers(0, 1000), min_size=4, max_size=4),
    st.lists(st.integers(1, 500), min_size=4, max_size=4),
)
def test_the_range_is_that_of_all_corners(values: list[int], shares: list[int]) -> None:
    table = cells([value / 10 for value in values]).assign(share=[each / 10 for each in shares])
    found = check_margins(table, margins([1.0] * 5), tolerance=1).iloc[0]
    half = np.array(list(itertools.product([-0.05, 0.05], repeat=4)))
    weights = np.maximum(np.array(shares) / 10 + half, 0)
    for bound, sign in (("implied_low", -1), ("implied_high", 1)):
        moved = np.maximum(np.array(values) / 10 + sign * 0.05, 0)
        means = weights @ moved / weights.sum(axis=1)
        extreme = means.max() if sign > 0 else means.min()
        assert found[bound] == pytest.approx(extreme, abs=1e-12)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(1, 100)), min_size=4, max_size=4))
def test_margins_that_were_worked_out_before_rounding_are_possible(
    true: list[tuple[float, float]],
) -> None:
    values, shares = np.array(true).T
    exact = cells(list(values)).assign(share=shares)
    named = check_margins(exact, margins([0.0] * 5), tolerance=1)["implied"].round(1)
    printed = exact.round({"value": 1, "share": 1})
    assert check_margins(printed, margins(list(named)), tolerance=1)["possible"].all()


def test_shares_may_be_numbers_of_rows() -> None:
    table = pd.DataFrame({"sex": ["f", "m"], "share": [10, 30], "value": [8.0, 4.0]})
    found = check_margins(table, pd.DataFrame({"sex": [None], "value": [5.0]}), tolerance=0.1)
    assert found["implied"].tolist() == [5.0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table.drop(columns="share"), "columns"),
        (lambda table: table.assign(value=-1.0), "below 0"),
        (lambda table: table.assign(value=float("nan")), "below 0"),
        (lambda table: table.assign(skin="darker"), "twice"),
        (lambda table: table[table["skin"] == "darker"], "no cells"),
    ],
)
def test_tables_that_cannot_be_checked_are_refused(change: object, says: str) -> None:
    assert callable(change)
    with pytest.raises(DataError, match=says):
        check_margins(change(cells([1.0] * 4)), margins([1.0] * 5), tolerance=1)
