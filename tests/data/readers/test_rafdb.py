from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facebias.data.readers.rafdb import GROUPS, read_rafdb
from facebias.data.table import FaceTable
from facebias.errors import ConfigError, DataError
from tests.lookalikes.rafdb import write_kaggle, write_rafdb

CLASSES = ["surprise", "fear", "disgust", "happy", "sad", "anger", "neutral"]
ALL: dict[str, list[str]] = {"gender": [], "race": [], "age": []}


def read(root: Path, **options: Any) -> FaceTable:  # noqa: ANN401
    return read_rafdb(
        str(root),
        options.pop("classes", CLASSES),
        attributes=options.pop("attributes", ALL),
        **options,
    )


def test_aligned_faces_have_their_labels_splits_and_groups(tmp_path: Path) -> None:
    table = read(write_rafdb(tmp_path, train=2, test=1))
    rows = table.rows
    assert rows["label"].tolist() == CLASSES * 3  # codes begin at 1
    assert rows["split"].tolist() == ["train"] * 14 + ["test"] * 7
    assert rows["source"][0] == "Image/aligned/train_00001_aligned.jpg"
    assert table.root == tmp_path / "basic"
    assert rows["gender"].head(4).tolist() == ["male", "female", "male", "female"]
    assert rows["gender"][9] == "unknown"  # "unsure"
    assert rows["race"].head(6).tolist() == [
        "caucasian", "caucasian", "african_american", "african_american", "asian", "asian"
    ]  # fmt: skip
    assert rows["age"][[0, 6, 12]].tolist() == ["0-3", "4-19", "20-39"]
    assert table.attributes == GROUPS
    assert "landmarks" not in rows  # those of the file are of the original photo


def test_original_photos_have_boxes_and_landmarks(tmp_path: Path) -> None:
    rows = read(write_rafdb(tmp_path, train=1, test=1, side=40), images="original").rows
    assert rows["source"][1] == "Image/original/train_00002.jpg"
    assert rows.loc[1, ["left", "top", "right", "bottom"]].tolist() == [1, 5, 41, 45]
    assert rows["landmarks"][1] == pytest.approx([15, 23, 27, 23, 21, 29, 17, 37, 25, 37])


def test_the_folder_may_be_the_subset_and_its_list_be_named_rightly(tmp_path: Path) -> None:
    basic = write_rafdb(tmp_path, train=1, test=1) / "basic"
    (basic / "EmoLabel" / "list_patition_label.txt").rename(
        basic / "EmoLabel" / "list_partition_label.txt"
    )
    assert len(read(basic).rows) == 14


def test_a_face_without_a_file_of_attributes_is_unknown(tmp_path: Path) -> None:
    root = write_rafdb(tmp_path, train=1, test=1)
    (root / "basic" / "Annotation" / "manual" / "train_00003_manu_attri.txt").unlink()
    (root / "basic" / "Annotation" / "boundingbox" / "train_00003_boundingbox.txt").unlink()
    rows = read(root, images="original").rows
    assert rows.loc[2, ["gender", "race", "age"]].tolist() == ["unknown"] * 3
    assert rows["landmarks"][2] is None
    assert rows["left"].isna().tolist() == [False, False, True, *[False] * 11]


def test_the_form_of_kaggle_has_the_same_labels_and_no_groups(tmp_path: Path) -> None:
    root = write_kaggle(tmp_path / "kaggle", train=2, test=1)
    rows = read(root, attributes=None).rows
    official = read(write_rafdb(tmp_path / "own", train=2, test=1)).rows
    for column in ("id", "label", "split"):
        assert rows[column].tolist() == official[column].tolist()
    assert all((root / source).is_file() for source in rows["source"])
    with pytest.raises(DataError, match="says no gender") as caught:
        read(root)
    assert "data.reader.attributes=null" in caught.value.todo


def test_a_class_that_is_not_asked_for_is_left_out(tmp_path: Path) -> None:
    table = read(write_rafdb(tmp_path), classes=["happy", "sad"])
    assert set(table.used()["label"]) == {"happy", "sad"}


def _edit(file: Path, change: Callable[[str], str]) -> None:
    file.write_text(change(file.read_text()))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("train_00003.jpg 8", r"line 3: the label is '8'.*\n.*1 \(surprise\)"),
        ("train_00003.jpg 0", "line 3: the label is '0'"),
        ("train_00003.jpg", "line 3: 'train_00003.jpg'"),
        ("train_00002.jpg 3", "line 3: train_00002.jpg stands twice, the first time in line 2"),
        ("../../secret.jpg 3", "line 3"),
        ("other_00003.jpg 3", "line 3"),
    ],
)
def test_a_wrong_line_of_the_labels_is_named(tmp_path: Path, wrong: str, message: str) -> None:
    file = write_rafdb(tmp_path) / "basic" / "EmoLabel" / "list_patition_label.txt"
    _edit(file, lambda text: text.replace("train_00003.jpg 3", wrong))
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path)
    assert "list_patition_label.txt" in caught.value.found


def test_a_wrong_code_of_a_group_is_named_with_its_file(tmp_path: Path) -> None:
    manual = write_rafdb(tmp_path) / "basic" / "Annotation" / "manual"
    file = manual / "test_0002_manu_attri.txt"
    _edit(file, lambda text: "\n".join([*text.splitlines()[:6], "3", text.splitlines()[7]]))
    with pytest.raises(DataError, match=r"test_0002_manu_attri\.txt, line 7: '3'") as caught:
        read(tmp_path)
    assert "2 (asian)" in caught.value.expected
    _edit(file, lambda text: text.replace("\n", " x ", 1))
    with pytest.raises(DataError, match=r"test_0002_manu_attri\.txt has other than 13 numbers"):
        read(tmp_path)


def test_what_is_not_unpacked_is_told(tmp_path: Path) -> None:
    basic = write_rafdb(tmp_path) / "basic"
    (basic / "Annotation" / "manual").rename(basic / "manual")
    with pytest.raises(DataError, match="no folder Annotation/manual"):
        read(tmp_path)
    assert len(read(tmp_path, attributes=None).rows) == 63
    (basic / "Image" / "aligned").rename(basic / "aligned")
    with pytest.raises(DataError, match="no image Image/aligned"):
        read(tmp_path, attributes=None)


def test_without_the_data_the_error_says_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no files of RAF-DB") as caught:
        read(tmp_path)
    assert "EmoLabel/list_patition_label.txt" in caught.value.expected
    assert "data=faces" in caught.value.todo


def test_unknown_names_in_the_configuration_are_refused(tmp_path: Path) -> None:
    write_rafdb(tmp_path, train=1, test=1)
    with pytest.raises(ConfigError, match="ethnicity"):
        read(tmp_path, attributes={"ethnicity": []})
    with pytest.raises(ConfigError, match="images=cropped"):
        read(tmp_path, images="cropped")
    with pytest.raises(ConfigError, match="surprised"):
        read(tmp_path, classes=["surprised"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("train_00001_aligned.jpg", "line 3: .* stands twice"),
        ("../../a.jpg", "line 3: .*leads out"),
    ],
)
def test_a_wrong_image_in_the_form_of_kaggle_is_named(
    tmp_path: Path, wrong: str, message: str
) -> None:
    file = write_kaggle(tmp_path) / "train_labels.csv"
    _edit(file, lambda text: text.replace("train_00002_aligned.jpg", wrong))
    with pytest.raises(DataError, match=rf"train_labels\.csv, {message}"):
        read(tmp_path, attributes=None)
