from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from facebias.errors import DataError
from facebias.fairness.predictions import all_group_codes, attribute_codes, scored_rows


def small_table(**columns: list[object]) -> pd.DataFrame:
    table = {"label": ["a", "b", "a"], "predicted": ["a", "a", "b"], "gender": ["f", "m", "f"]}
    return pd.DataFrame(table | columns)


def test_codes_follow_the_declared_order() -> None:
    rows = scored_rows(small_table(), ["b", "a"])
    assert rows.labels.tolist() == [1, 0, 1]
    assert rows.predicted.tolist() == [1, 1, 0]
    assert attribute_codes(rows.table, "gender", ["m", "x", "f"]).codes.tolist() == [2, 0, 2]


def test_rows_without_a_label_are_not_scored() -> None:
    rows = scored_rows(small_table(label=["a", None, np.nan]), ["a", "b"])
    assert (len(rows.table), rows.unscored) == (1, 2)


def test_unknown_and_missing_groups_are_one() -> None:
    table = small_table(gender=["unknown", None, "f"])
    codes = attribute_codes(table, "gender", ["f", "unknown", "m"])
    assert codes.groups == ("f", "m")
    assert codes.codes.tolist() == [2, 2, 0]


def test_joint_groups_can_be_walked_twice() -> None:
    # Fault seen elsewhere: an iterator over joint groups that is used up after the first pass.
    table = small_table(age=["old", "young", "unknown"])
    joint = all_group_codes(
        table, {"gender": ["f", "m"], "age": ["young", "old"]}, [("gender", "age")]
    )[-1]
    assert list(joint.groups) == list(joint.groups) == ["f, young", "f, old", "m, young", "m, old"]
    assert joint.codes.tolist() == [1, 2, 4]


def test_persons_are_numbered_by_name_and_rows_without_identity_stand_alone() -> None:
    table = small_table(identity=["zoe", None, "zoe"])
    assert scored_rows(table, ["a", "b"]).persons is not None
    persons = scored_rows(table, ["a", "b"]).persons
    assert persons is not None
    assert persons.tolist() == [0, 1, 0]
    assert scored_rows(small_table(identity=["zoe", None, "al"]), ["a", "b"]).persons is None
    assert scored_rows(small_table(), ["a", "b"]).persons is None


def test_scores_are_optional() -> None:
    assert scored_rows(small_table(p_a=[1.0, 0.5, 0.2]), ["a", "b"]).scores is None
    scores = scored_rows(small_table(p_a=[1.0, 0.5, 0.2], p_b=[0, 0.5, 0.8]), ["b", "a"]).scores
    assert scores is not None
    assert scores[2].tolist() == [0.8, 0.2]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"label": ["a", "b", "c"]}, "undeclared label class: c"),
        ({"predicted": ["a", None, "a"]}, "undeclared predicted class"),
        ({"label": [None, None, None]}, "None of the 3 rows has a label"),
        # Fault seen elsewhere: a sampler pads the test set and rows count twice.
        ({"id": ["1", "2", "1"]}, "1 ids come more than once, such as 1"),
        ({"split": ["train", "test", "test"]}, "mix the splits test, train"),
    ],
)
def test_refuses_rows(columns: dict[str, list[object]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        scored_rows(small_table(**columns), ["a", "b"])


def test_refuses_a_table_without_predictions() -> None:
    with pytest.raises(DataError, match="no column predicted"):
        scored_rows(small_table().drop(columns="predicted"), ["a", "b"])


@pytest.mark.parametrize(
    ("attributes", "intersections", "words"),
    [
        ({"gender": ["f"]}, [], "1 rows have an undeclared gender: m"),
        ({"age": ["old"]}, [], "no column age"),
        ({"gender": ["f", "m", "f"]}, [], "each group once"),
        ({"all": ["f", "m"]}, [], "other than 'all'"),
        ({"gender": ["f", "m"]}, [("gender", "age")], "Intersection gender x age"),
        ({"gender": ["f", "m"]}, [("gender", "gender")], "two or more different"),
        ({"gender": ["f", "m"]}, [("gender",)], "two or more different"),
    ],
)
def test_refuses_groups(
    attributes: dict[str, list[str]], intersections: list[tuple[str, ...]], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        all_group_codes(small_table(), attributes, intersections)
