import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facebias.data.bag import DRAWS, NOT_DRAWN, bag_line, draw_bag, drawn_faces
from facebias.data.table import FaceTable
from facebias.errors import DataError
from tests.data.made_tables import face_rows, face_table, random_table, shuffled


def made(count: int, seed: int = 0) -> FaceTable:
    """Return faces of which every fifth is test and every seventh is left out."""
    table = random_table(count, seed, "train")
    rows = table.rows.copy()
    rows.loc[rows.index[::5], "split"] = "test"
    rows.loc[rows.index[::7], "left_out"] = "copy"
    return table.with_rows(rows)


@settings(deadline=None, max_examples=25)
@given(st.integers(40, 200), st.integers(0, 5), st.integers(0, 5))
def test_a_bag_is_as_large_as_the_train_split(count: int, seed: int, bag: int) -> None:
    table = made(count)
    drawn = draw_bag(table, seed, bag)
    assert drawn.rows[DRAWS].sum() == len(table.used("train"))
    assert len(drawn_faces(drawn.used("train"))) == len(table.used("train"))
    assert (drawn.used("train")[DRAWS] > 0).all()
    left = drawn.rows["left_out"] == NOT_DRAWN
    assert (drawn.rows.loc[left, DRAWS] == 0).all()
    assert set(drawn.rows.index[left]) <= set(table.used("train").index)


def test_no_other_face_changes() -> None:
    table = made(100)
    drawn = draw_bag(table, 0, 0)
    others = table.rows.index.difference(table.used("train").index)
    pd.testing.assert_frame_equal(
        drawn.rows.loc[others].drop(columns=DRAWS), table.rows.loc[others]
    )
    assert (drawn.rows.loc[others, DRAWS] == 0).all()


def test_a_bag_is_a_function_of_seed_number_and_ids() -> None:
    table = made(100)
    draws = [
        draw_bag(each, seed, bag).rows.set_index("id")[DRAWS].sort_index().tolist()
        for each, seed, bag in (
            (table, 3, 1),
            (shuffled(table), 3, 1),
            (table, 3, 2),
            (table, 4, 1),
        )
    ]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    assert draws[0] != draws[3]


def test_a_bag_leaves_out_about_a_share_of_one_in_e() -> None:
    table = random_table(4000, split="train")
    left = [(draw_bag(table, 0, bag).rows[DRAWS] == 0).mean() for bag in range(5)]
    assert np.mean(left) == pytest.approx(np.exp(-1), abs=0.01)
    draws = draw_bag(table, 0, 0).rows[DRAWS]
    assert draws.var() == pytest.approx(1, abs=0.1)  # close to Poisson's


def test_drawn_faces_stand_as_often_as_they_are_drawn() -> None:
    rows = face_rows(["happy", "neutral", "happy"]).assign(**{DRAWS: [2, 0, 1]})
    assert drawn_faces(rows)["id"].tolist() == ["face0.png", "face0.png", "face2.png"]
    plain = rows.drop(columns=DRAWS)
    assert drawn_faces(plain) is plain


def test_a_bag_without_a_class_is_refused() -> None:
    labels = ["happy"] * 30 + ["neutral"]
    table = face_table(face_rows(labels, splits=["train"] * 31))
    refused = 0
    for bag in range(12):
        try:
            draw_bag(table, 0, bag)
        except DataError:
            refused += 1
            with pytest.raises(DataError, match=f"bag={bag} draws no train face of neutral"):
                draw_bag(table, 0, bag)
    assert 0 < refused < 12


def test_a_bag_says_what_was_drawn() -> None:
    table = draw_bag(face_table(face_rows(["happy"] * 9, splits=["train"] * 9)), 0, 0)
    once = int((table.rows[DRAWS] > 0).sum())
    line = bag_line(table.rows)
    assert line is not None
    assert line.startswith(f"bag: 9 draws with replacement (data.bag) took {once} of 9 train faces")
    assert bag_line(table.rows.drop(columns=DRAWS)) is None
