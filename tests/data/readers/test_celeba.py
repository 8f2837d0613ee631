"""CelebA in its layouts, and what of it cannot be read."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from facebias.data.images import FaceFormat
from facebias.data.prepare import store_faces
from facebias.data.readers.celeba import read_celeba
from facebias.data.table import BOX, FaceTable
from facebias.errors import DataError
from tests.lookalikes.celeba import (
    PHOTOS_EACH,
    Celebrity,
    points_of,
    split_of,
    write_celeba,
    write_celeba_csv,
    write_wild,
)

PEOPLE = 10
FACES = PEOPLE * PHOTOS_EACH
GROUPS = {"gender": ["female", "male"], "age": ["older", "young"]}
COLUMNS = {"gender": "Male", "age": "Young"}


def read(root: Path, target: str = "Smiling", **changed: Any) -> FaceTable:  # noqa: ANN401
    """Read CelebA with two groups, unless something else is said."""
    arguments = {"classes": ["not_smiling", "smiling"], "attributes": GROUPS, "columns": COLUMNS}
    return read_celeba(str(root), target, **{**arguments, **changed})


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CelebA as its authors give it out. Read only."""
    return write_celeba(tmp_path_factory.mktemp("celeba"), people=PEOPLE)


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """CelebA as torchvision lays it, for a test to change."""
    return write_celeba(tmp_path, people=PEOPLE, original=False)


def change(file: Path, line: int, old: str, new: str) -> None:
    """Change a text in one line of a file."""
    lines = file.read_text().splitlines()
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    file.write_text("\n".join(lines) + "\n")


def expected(part: str) -> list[str]:
    """Return what the faces show, as they were drawn."""
    names = {
        "Smiling": ("not_smiling", "smiling"),
        "Male": ("female", "male"),
        "Young": ("older", "young"),
    }[part]
    return [names[Celebrity(number).says[part]] for number in range(FACES)]


# Layouts


def test_labels_groups_splits_and_people_are_read(original: Path) -> None:
    table = read(original, provenance="annotators")
    rows = table.rows
    assert rows["label"].tolist() == expected("Smiling")
    assert rows["gender"].tolist() == expected("Male")
    assert rows["age"].tolist() == expected("Young")
    people = [Celebrity(number).person for number in range(FACES)]
    splits = ("train", "validation", "test")
    assert rows["split"].tolist() == [splits[split_of(person, PEOPLE)] for person in people]
    assert rows["identity"].tolist() == [f"person{person + 100}" for person in people]
    assert rows["source"].iloc[0] == "Img/img_align_celeba/000001.jpg"
    assert rows["landmarks"].iloc[3].tolist() == points_of(36)
    assert table.attributes == {"gender": ("female", "male"), "age": ("older", "young")}
    assert table.provenance == "annotators"
    assert not set(BOX) & set(rows)


def test_nobody_is_in_two_official_splits(original: Path) -> None:
    assert (read(original).rows.groupby("identity")["split"].nunique() == 1).all()


def test_all_layouts_say_the_same(original: Path, flat: Path, tmp_path: Path) -> None:
    tables = [
        read(original),
        read(flat),
        read(write_celeba_csv(tmp_path / "signs", people=PEOPLE)),
        read(write_celeba_csv(tmp_path / "zeros", people=PEOPLE, no=0)),
    ]
    columns = ["id", "label", "split", "gender", "age"]
    for table in tables:
        pd.testing.assert_frame_equal(table.rows[columns], tables[0].rows[columns])
        _, store = store_faces(table, FaceFormat(24, 24, 3), None, 0)
        assert not store.bad


def test_lists_in_another_order_are_joined_by_name(flat: Path) -> None:
    before = read(flat).rows
    for name in ("list_eval_partition.txt", "identity_CelebA.txt"):
        lines = (flat / name).read_text().splitlines()
        (flat / name).write_text("\n".join(reversed(lines)) + "\n")
    pd.testing.assert_frame_equal(read(flat).rows, before)


def test_windows_line_ends_are_read(flat: Path) -> None:
    before = read(flat).rows
    for file in flat.glob("*.txt"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(read(flat).rows, before)


def test_faces_in_the_wild_are_cut_by_their_boxes(tmp_path: Path) -> None:
    table = read(write_wild(tmp_path, people=PEOPLE))
    rows = table.rows
    assert rows[list(BOX)].iloc[0].tolist() == [4, 6, 32, 36]
    assert rows["left_out"].tolist() == [""] * (FACES - 1) + ["no box of the face"]
    assert np.isnan(rows["left"].iloc[-1])
    assert "landmarks" not in rows  # those of the aligned images do not fit


def test_without_people_each_photo_is_its_own(flat: Path) -> None:
    (flat / "identity_CelebA.txt").unlink()
    (flat / "list_landmarks_align_celeba.txt").unlink()
    rows = read(flat).rows
    assert rows["identity"].equals(rows["id"])
    assert "landmarks" not in rows


def test_without_official_splits_it_is_said(flat: Path, caplog: pytest.LogCaptureFixture) -> None:
    (flat / "list_eval_partition.txt").unlink()
    with caplog.at_level(logging.WARNING):
        assert read(flat).rows["split"].isna().all()
    assert "splits are drawn" in caplog.text


# What is asked for


def test_an_attribute_that_is_the_target_is_no_group(original: Path) -> None:
    table = read(original, "Male", classes=["female", "male"])
    assert table.rows["label"].tolist() == expected("Male")
    assert table.attributes == {"age": ("older", "young")}
    assert "gender" not in table.rows


def test_an_attribute_without_a_column_has_celebas_name(original: Path) -> None:
    table = read(original, attributes={"Eyeglasses": ["without", "with"]}, columns=None)
    glasses = [Celebrity(number).says["Eyeglasses"] for number in range(FACES)]
    assert (table.rows["Eyeglasses"] == "with").tolist() == glasses


def test_an_attribute_that_celeba_has_not_is_told(original: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)list_attr_celeba\.txt.*Smile") as caught:
        read(original, "Smile")
    assert "data.reader.target" in caught.value.todo


@pytest.mark.parametrize("classes", [["smiling"], ["a", "b", "c"], ["a", "a"]])
def test_an_attribute_has_two_groups(classes: list[str], original: Path) -> None:
    with pytest.raises(DataError, match="two names"):
        read(original, classes=classes)
    with pytest.raises(DataError, match="two names"):
        read(original, attributes={"gender": classes})


# What cannot be read


@pytest.mark.parametrize("there", [True, False])
def test_without_the_data_it_says_where_from_and_what_else(there: bool, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path if there else tmp_path / "none")
    told = str(caught.value)
    for words in ("list_attr_celeba", "Liu et al", "agreement", "data=faces"):
        assert words in told


@pytest.mark.parametrize(
    ("name", "line", "old", "new", "expected"),
    [
        ("list_attr_celeba", 5, " 1\n", " 2\n", r"line 5 \(000003\.jpg\): Young is 2"),
        ("list_attr_celeba", 5, " 1\n", " yes\n", "line 5 .*: Young is no number"),
        ("list_attr_celeba", 5, " 1\n", " 0\n", "line 5 .*: Young is 0"),
        ("list_attr_celeba", 5, " 1\n", "\n", r"line 5: 000003\.jpg has 5 values.*\n.*: 6"),
        ("list_attr_celeba", 3, " -1", "", r"line 3: 000001\.jpg has 5 values"),
        ("list_attr_celeba", 3, " -1", " -1 1", r"line 3: 000001\.jpg has 7 values"),
        ("list_attr_celeba", 4, "000002", "000001", "line 4: 000001.jpg stands twice.* in line 3"),
        ("list_attr_celeba", 1, "40", "41", "says 41 faces in line 1 and lists 40"),
        ("list_eval_partition", 3, " 0", " 3", "line 3: the split is 3"),
        ("list_eval_partition", 3, "000003", "000093", "lacks 1 images .*000003.jpg"),
        ("list_eval_partition", 3, "000003", "000004", "000004.jpg stands twice"),
        ("identity_CelebA", 3, " 100", " nobody", "line 3 has no person's number"),
    ],
)
def test_a_wrong_line_is_told(
    name: str, line: int, old: str, new: str, expected: str, flat: Path
) -> None:
    file = flat / f"{name}.txt"
    if old.endswith("\n"):  # the last value of the line
        text = file.read_text().splitlines(keepends=True)
        assert text[line - 1].endswith(old)
        text[line - 1] = text[line - 1].removesuffix(old) + new
        file.write_text("".join(text))
    else:
        change(file, line, old, new)
    with pytest.raises(DataError, match=expected) as caught:
        read(flat)
    assert f"{name}.txt" in str(caught.value)


def test_images_that_are_not_unpacked_are_told_at_once(flat: Path) -> None:
    (flat / "img_align_celeba").rename(flat / "pictures")
    with pytest.raises(DataError, match=r"(?s)none of the first 5 lies.*img_align_celeba"):
        read(flat)


def test_photos_in_the_wild_without_boxes_are_told(tmp_path: Path) -> None:
    root = write_wild(tmp_path, people=PEOPLE)
    (root / "Anno" / "list_bbox_celeba.txt").unlink()
    with pytest.raises(DataError, match="list_bbox_celeba"):
        read(root)


def test_an_empty_list_is_told(flat: Path) -> None:
    (flat / "list_attr_celeba.txt").write_text("")
    with pytest.raises(DataError, match="list_attr_celeba"):
        read(flat)
