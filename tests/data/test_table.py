from pathlib import Path

import pandas as pd
import pytest

from facebias.data.table import FaceTable
from facebias.errors import DataError
from tests.data.made_tables import ATTRIBUTES, CLASSES, face_rows, face_table


def rows_with(column: str, value: object) -> pd.DataFrame:
    rows = face_rows(["happy", "neutral"])
    rows[column] = rows[column].astype(object)
    rows.loc[1, column] = value
    return rows


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", "angry", "undeclared label.*face1.png.*'angry'"),
        ("gender", "f", "undeclared gender.*face1.png.*'f'"),
        ("gender", None, "undeclared gender"),
        ("split", "valid", "undeclared split.*'valid'(.|\n)*train, validation, test"),
        ("id", "face0.png", "stand twice.*'face0.png'"),
        ("id", None, "no id.*row 1"),
        ("source", "", "no source.*row 1"),
        ("identity", None, "no identity.*row 1"),
    ],
)
def test_what_was_not_declared_is_refused(column: str, value: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        face_table(rows_with(column, value))


@pytest.mark.parametrize(
    "source",
    [
        "../face.png",
        "a/../../b.png",
        "/etc/passwd",
        "C:/face.png",
        "a\\..\\b.png",
        "\\\\host\\b.png",
    ],
)
def test_a_source_outside_of_the_root_is_refused(source: str) -> None:
    with pytest.raises(DataError, match="leads out"):
        face_table(rows_with("source", source))


@pytest.mark.parametrize("source", ["a..b.png", "a b/é 顔.png", "...png", "x/12:30.png"])
def test_an_odd_source_inside_of_the_root_is_taken(source: str) -> None:
    assert face_table(rows_with("source", source)).rows["source"][1] == source


def test_unlabelled_faces_without_split_are_taken() -> None:
    table = face_table(face_rows([None, None]))
    assert table.used()["label"].isna().all()
    assert table.cells("train").to_numpy().sum() == 0


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="gender"):
        face_table(face_rows(["happy"]).drop(columns="gender"))


def test_an_attribute_may_not_take_the_name_of_a_column() -> None:
    with pytest.raises(DataError, match="attribute is named split"):
        FaceTable(face_rows(["happy"]), Path(), CLASSES, {"split": ("train",)})


def test_joined_tables_with_the_same_index_are_refused() -> None:
    rows = face_rows(["happy", "neutral"]).set_index(pd.Index([0, 0]))
    with pytest.raises(DataError, match="reset_index"):
        face_table(rows)


def test_used_leaves_out_what_is_left_out() -> None:
    rows = face_rows(["happy"] * 3, splits=["train", "test", "train"])
    rows.loc[2, "left_out"] = "bad image"
    table = face_table(rows)
    assert list(table.used()["id"]) == ["face0.png", "face1.png"]
    assert list(table.used("train")["id"]) == ["face0.png"]


def test_cells_count_declared_groups_that_are_absent_as_zero() -> None:
    rows = face_rows(
        ["happy", "happy", "happy"],
        genders=["female", "female", "unknown"],
        splits=["train"] * 3,
    )
    cells = face_table(rows).cells("train", "gender")
    assert list(cells.index) == list(CLASSES)
    assert list(cells.columns) == [*ATTRIBUTES["gender"], "unknown"]
    assert cells.to_numpy().tolist() == [[2, 0, 1], [0, 0, 0]]
    assert face_table(rows).cells("train")["all"].tolist() == [3, 0]
