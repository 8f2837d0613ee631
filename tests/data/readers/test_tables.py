import logging
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias.data.bias import AttributeShares, compose
from facebias.data.readers.tables import read_table
from facebias.data.split import draw_splits
from facebias.data.table import BOX, FaceTable
from facebias.errors import DataError

CLASSES = ["happy", "neutral"]
GENDER = {"gender": ["female", "male"]}


def written(folder: Path, text: str) -> str:
    (folder / "faces.csv").write_text(text, encoding="utf-8")
    return str(folder / "faces.csv")


def read(folder: Path, text: str, **settings: Any) -> FaceTable:  # noqa: ANN401
    return read_table(written(folder, text), str(folder), CLASSES, GENDER, **settings)


def read_plain(folder: Path, text: str, **settings: Any) -> FaceTable:  # noqa: ANN401
    return read_table(written(folder, text), str(folder), CLASSES, **settings)


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
    table = read_plain(tmp_path, "path\na.png\nb.png\n")
    assert table.rows["label"].isna().all()
    assert table.rows["split"].isna().all()
    assert table.rows["identity"].tolist() == ["a.png", "b.png"]
    assert table.attributes == {}


def test_a_column_of_labels_that_is_not_there_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        read_plain(tmp_path, "file,label\na.png,\n")
        assert not caplog.text
        read_plain(tmp_path, "file,lable\na.png,happy\n")
    for said in ("faces.csv has no column label", "file, lable", "data.reader.columns: {label:"):
        assert said in caplog.text


def test_parquet_with_numbers_and_categories_is_read_as_text(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "image": ["a.png", "b.png", "c.png"],
            "emotion": [0, 1, None],
            "person": [7, 7, 8],
            "gender": ["male", None, " "],
        }
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
    assert table.rows["label"].tolist()[:2] == ["happy", "neutral"]
    assert table.rows["label"].isna().tolist() == [False, False, True]
    assert table.rows["identity"].tolist() == ["7", "7", "8"]
    assert table.rows["gender"].tolist() == ["male", "unknown", "unknown"]


def test_csv_and_parquet_give_the_same_faces(tmp_path: Path) -> None:
    text = "file,label,gender,split,left,top,right,bottom\na.png,happy,male,test,0,1,2,3.5\n"
    from_csv = read(tmp_path, text + "b.png,,,,,,,\n")
    pd.read_csv(tmp_path / "faces.csv").to_parquet(tmp_path / "faces.parquet", index=False)
    place = (str(tmp_path / "faces.parquet"), str(tmp_path))
    pd.testing.assert_frame_equal(read_table(*place, CLASSES, GENDER).rows, from_csv.rows)


def test_labels_may_change_places(tmp_path: Path) -> None:
    swapped = {"happy": "neutral", "neutral": "happy"}
    table = read_plain(tmp_path, "file,label\na.png,happy\nb.png,neutral\n", label_map=swapped)
    assert table.rows["label"].tolist() == ["neutral", "happy"]


def test_faces_of_a_label_that_is_no_class_are_left_out(tmp_path: Path) -> None:
    codes = {"0": "happy", "1": "neutral", "8": "none"}
    table = read_plain(tmp_path, "file,label\na.png,0\nb.png,8\n", label_map=codes)
    assert table.used()["id"].tolist() == ["a.png"]
    assert table.rows["left_out"][1] == "none is none of the classes"


def test_names_of_splits_are_translated(tmp_path: Path) -> None:
    text = "file,Usage\na.png,Training\nb.png,PublicTest\nc.png,\n"
    names = {"Training": "train", "PublicTest": "validation"}
    table = read_plain(tmp_path, text, columns={"split": "Usage"}, splits=names)
    assert table.rows["split"].tolist()[:2] == ["train", "validation"]
    assert table.rows["split"].isna()[2]


@pytest.mark.parametrize("nothing", ["", "NaN", "n/a", "unknown", " ", "?"])
def test_a_group_that_says_nothing_is_unknown(tmp_path: Path, nothing: str) -> None:
    text = f"file,gender\na.png,male\nb.png,{nothing}\n"
    assert read(tmp_path, text).rows["gender"].tolist() == ["male", "unknown"]
    found = read_table(written(tmp_path, text), str(tmp_path), CLASSES, {"gender": []})
    assert found.attributes == {"gender": ("male",)}


def test_a_group_that_is_declared_under_the_name_of_nothing_is_a_group(tmp_path: Path) -> None:
    file = written(tmp_path, "file,glasses\na.png,none\nb.png,\n")
    table = read_table(file, str(tmp_path), CLASSES, {"glasses": ["none", "round"]})
    assert table.rows["glasses"].tolist() == ["none", "unknown"]


# Boxes, and several faces in a photo


@pytest.mark.parametrize(
    ("header", "box"),
    [
        ("left,top,right,bottom", None),
        ("x1,y1,x2,y2", {"left": "x1", "top": "y1", "right": "x2", "bottom": "y2"}),
        ("x,y,w,h", {"left": "x", "top": "y", "width": "w", "height": "h"}),
    ],
)
def test_a_box_is_read_by_its_edges_or_by_its_size(
    tmp_path: Path, header: str, box: dict[str, str] | None
) -> None:
    values = "2.5,4,10,8" if "w" in header else "2.5,4,12.5,12"
    table = read_plain(tmp_path, f"file,{header}\na.png,{values}\nb.png,,,,\n", box=box)
    assert table.boxes(table.rows) == [(2.5, 4, 12.5, 12), None]


def test_several_faces_of_a_photo_are_told_apart_by_their_boxes(tmp_path: Path) -> None:
    text = "file,left,top,right,bottom\na.png,0,0,9,9\nb.png,0,0,9,9\na.png,20.5,0,29,9\n"
    rows = read_plain(tmp_path, text).rows
    assert rows["id"].tolist() == ["a.png#0,0,9,9", "b.png", "a.png#20.5,0,29,9"]
    assert rows["source"].tolist() == rows["identity"].tolist() == ["a.png", "b.png", "a.png"]


def test_an_id_is_read_where_its_column_is_named(tmp_path: Path) -> None:
    text = "file,id,left,top,right,bottom\na.png,7,0,0,9,9\na.png,8,20,0,29,9\n"
    assert read_plain(tmp_path, text, columns={"id": "id"}).rows["id"].tolist() == ["7", "8"]
    assert read_plain(tmp_path, text).rows["id"][0] == "a.png#0,0,9,9"


# Landmarks and credits


@pytest.mark.parametrize("text", ["1 2.5 3 4", "1;2.5;3;4", '"1,2.5, 3,4"', '"[1, 2.5, 3, 4]"'])
def test_landmarks_are_read_from_one_column(tmp_path: Path, text: str) -> None:
    table = read_plain(tmp_path, f"file,landmarks\na.png,{text}\nb.png,\nc.png,5 6\n")
    first, second, third = table.rows["landmarks"]
    assert (first.tolist(), second, third.tolist()) == ([1, 2.5, 3, 4], None, [5, 6])


def test_landmarks_are_read_from_pairs_of_columns(tmp_path: Path) -> None:
    text = "file,eye_x,eye_y,nose_x,nose_y\na.png,1,2.5,3,4\nb.png,,,,\n"
    pairs = [["eye_x", "eye_y"], ["nose_x", "nose_y"]]
    first, second = read_plain(tmp_path, text, landmarks=pairs).rows["landmarks"]
    assert (first.tolist(), second) == ([1, 2.5, 3, 4], None)


def test_landmarks_are_read_from_the_lists_of_a_parquet_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"file": ["a.png", "b.png"], "landmarks": [np.arange(4.0), None]})
    frame.to_parquet(tmp_path / "faces.parquet")
    table = read_table(str(tmp_path / "faces.parquet"), str(tmp_path), CLASSES)
    first, second = table.rows["landmarks"]
    assert (first.tolist(), second) == ([0, 1, 2, 3], None)


def test_a_credit_is_read(tmp_path: Path) -> None:
    table = read_plain(tmp_path, "file,by\na.png,Anna\nb.png,\n", columns={"credit": "by"})
    assert table.rows["credit"][0] == "Anna"
    assert pd.isna(table.rows["credit"][1])


def test_a_row_of_pixels_may_be_a_source(tmp_path: Path) -> None:
    table = read_plain(tmp_path, "file,label\nfer.csv#pixels=48x48@3,happy\n")
    assert table.rows["source"].tolist() == ["fer.csv#pixels=48x48@3"]


# What is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("file,label,gender\n", "has no rows"),
        ("picture,gender\na.png,male\n", "has the columns picture, gender"),
        ("file,label\na.png,happy\n", "the column gender"),
        ("file,label,gender\na.png,happy,male\nb.png,angry,male\n", "line 3: the label is 'angry'"),
        ("file,label,gender\na.png,happy,Male\n", "line 2: gender is 'Male'"),
        ("file,gender,split\na.png,male,valid\n", "line 2: the split is 'valid'"),
        ("file,gender\na.png,male\n\na.png,male\n", "line 4: the source 'a.png' .* in line 2"),
        ("file,gender\n,male\n", "line 2: there is no source"),
        ("file,gender\na.png,male\n../../etc/passwd,male\n", "line 3: .*leads out"),
        ("file,gender\n/etc/passwd,male\n", "line 2: .*leads out"),
        ("file,gender\n..\\..\\etc\\passwd,male\n", "line 2: .*leads out"),
        ("file,gender\n../fer.csv#pixels=48x48@3,male\n", "line 2: .*leads out"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.png,0,0,x,9", "line 2: right is 'x'"),
        ("a.png,0,0,inf,9", "line 2: right is 'inf'"),
        ("a.png,0,0,9,", "line 2: the box has no bottom"),
        ("a.png,9,0,9,9", "line 2: the box is left 9, top 0, right 9, bottom 9"),
        ("a.png,0,9,9,5", "line 2: the box is left 0"),
        ("a.png,0,0,9,9\na.png,0,0,9.0,9", "line 3: the source 'a.png' stands twice"),
    ],
)
def test_a_wrong_box_is_refused(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_plain(tmp_path, f"file,left,top,right,bottom\n{row}\n")


@pytest.mark.parametrize("text", ["1 2 3", "1 two", "1 nan", "inf 1", "1;;2;3;x"])
def test_wrong_landmarks_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="line 3: the landmarks are"):
        read_plain(tmp_path, f"file,landmarks\na.png,1 2\nb.png,{text}\n")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": {"label": "emotion"}}, "the column emotion"),
        ({"columns": {"lable": "emotion"}}, "the column of lable"),
        ({"columns": {"id": "person"}}, "line 3: the id 'p' stands twice"),
        ({"box": {"left": "x", "top": "y"}}, "the columns of left, top"),
        ({"box": dict.fromkeys(BOX, "q")}, "the column q"),
        ({"landmarks": [["x"]]}, "pairs of columns"),
        ({"splits": {"Training": "train"}}, "line 2: the split is 'train'"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_plain(tmp_path, "file,person,split,x\na,p,train,1\nb,p,train,2\n", **settings)


def test_a_missing_file_or_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_table(str(tmp_path / "absent.csv"), str(tmp_path), CLASSES)
    with pytest.raises(DataError, match=r"there is no folder(.|\n)*faces\.csv"):
        read_table(written(tmp_path, "file\na.png\n"), str(tmp_path / "absent"), CLASSES)


# What does not matter

ROWS = st.lists(
    st.tuples(
        st.sampled_from(CLASSES),
        st.sampled_from(["female", "male", ""]),
        st.integers(0, 6),
    ),
    min_size=12,
    max_size=40,
).filter(lambda rows: len({row[:2] for row in rows if row[1]}) == 4)


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_lines_plays_no_part_in_splits_and_draws(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, int]], random: Random
) -> None:
    lines = [f"{n}.png,{label},{group},p{who}" for n, (label, group, who) in enumerate(rows)]
    folder = tmp_path_factory.mktemp("table")
    drawn = []
    for order in (lines, random.sample(lines, len(lines))):
        table = read(folder, "\n".join(["file,label,gender,identity", *order, ""]))
        table = table.with_rows(table.rows.assign(split="train"))
        composed = compose(table, AttributeShares("even", "gender", {"female": 1, "male": 1}), 0)
        split = draw_splits(table.with_rows(table.rows.assign(split=None)),
                            folds=2, fold=0, stratify=("gender",), seed=0)  # fmt: skip
        whole = composed.rows.assign(split=split.rows["split"])
        drawn.append(whole.sort_values("id", ignore_index=True))
    pd.testing.assert_frame_equal(*drawn)
