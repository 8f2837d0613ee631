from pathlib import Path

import pandas as pd
import pytest

from facebias.data.readers.tables import read_table, table_columns
from facebias.data.table import FaceTable
from facebias.errors import DataError

CLASSES = ["happy", "neutral"]
GENDER = {"gender": ["female", "male"]}


def written(folder: Path, text: str) -> str:
    (folder / "faces.csv").write_text(text, encoding="utf-8")
    return str(folder / "faces.csv")


def read(folder: Path, text: str) -> FaceTable:
    return read_table(written(folder, text), str(folder), CLASSES, GENDER)


def test_a_csv_is_read(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "file,label,gender,split,identity\na b.png,happy,male,train,p1\né.png,,,,\n",
    )
    assert table.rows.drop(columns=["id", "left_out"]).astype(object).where(
        table.rows.drop(columns=["id", "left_out"]).notna(), None
    ).to_dict("list") == {
        "source": ["a b.png", "é.png"],
        "label": ["happy", None],
        "identity": ["p1", "é.png"],
        "split": ["train", None],
        "gender": ["male", "unknown"],
    }
    assert table.root == tmp_path


def test_a_table_of_sources_alone_is_enough_to_predict(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "path\na.png\nb.png\n"), str(tmp_path), CLASSES)
    assert table.rows["label"].isna().all()
    assert table.rows["split"].isna().all()
    assert table.rows["identity"].tolist() == ["a.png", "b.png"]
    assert table.attributes == {}


def test_parquet_with_numbers_and_categories_is_read_as_text(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"image": ["a.png", "b.png"], "emotion": [0, 1], "person": [7, 7], "gender": ["male", None]}
    ).astype({"gender": "category"})
    frame.to_parquet(tmp_path / "faces.parquet")
    table = read_table(
        str(tmp_path / "faces.parquet"),
        str(tmp_path),
        CLASSES,
        GENDER,
        label_map={"0": "happy", "1": "neutral"},
        columns={"label": "emotion", "identity": "person"},
    )
    assert table.rows["label"].tolist() == ["happy", "neutral"]
    assert table.rows["identity"].tolist() == ["7", "7"]
    assert table.rows["gender"].tolist() == ["male", "unknown"]


def test_labels_may_change_places(tmp_path: Path) -> None:
    file = written(tmp_path, "file,label\na.png,happy\nb.png,neutral\n")
    swapped = {"happy": "neutral", "neutral": "happy"}
    table = read_table(file, str(tmp_path), CLASSES, label_map=swapped)
    assert table.rows["label"].tolist() == ["neutral", "happy"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("file,label,gender\n", "has no rows"),
        ("picture,gender\na.png,male\n", "has the columns picture, gender"),
        ("file,label\na.png,happy\n", "a column 'gender'"),
        ("file,label,gender\na.png,angry,male\n", "undeclared label"),
        ("file,label,gender\na.png,happy,Male\n", "undeclared gender"),
        ("file,gender,split\na.png,male,valid\n", "splits valid"),
        ("file,gender\na.png,male\na.png,male\n", "stand twice"),
        ("file,gender\n,male\n", "no id"),
        ("file,gender\n../../etc/passwd,male\n", "leads out"),
        ("file,gender\n/etc/passwd,male\n", "leads out"),
        ("file,gender\n..\\..\\etc\\passwd,male\n", "leads out"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_table(str(tmp_path / "absent.csv"), str(tmp_path), CLASSES)


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "faces.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(DataError, match=r"faces\.parquet is no Parquet file"):
        read_table(str(tmp_path / "faces.parquet"), str(tmp_path), CLASSES)


def test_a_named_column_that_is_absent_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "file\na.png\n")
    with pytest.raises(DataError, match="no column 'emotion'"):
        read_table(file, str(tmp_path), CLASSES, columns={"label": "emotion"})


def test_columns_are_listed(tmp_path: Path) -> None:
    assert table_columns(Path(written(tmp_path, "file,age\na.png,3\n"))) == {"file", "age"}
