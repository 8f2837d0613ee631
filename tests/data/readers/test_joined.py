import logging
from pathlib import Path

import pytest

from facebias.data.readers.joined import join_side_table
from facebias.data.table import FaceTable
from facebias.errors import DataError
from tests.data.made_tables import face_rows, face_table


def faces() -> FaceTable:
    rows = face_rows(["happy", "neutral", "happy"])
    return face_table(rows.assign(source=["a/face0.png", "a/face1.png", "b/face2.png"]))


def written(folder: Path, *lines: str) -> Path:
    file = folder / "groups.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("key", ["face{}.png", "face{}", "a/face{}.png"])
def test_groups_are_joined_by_any_name_of_the_face(tmp_path: Path, key: str) -> None:
    file = written(tmp_path, "file,tone", f"{key.format(1)},dark", f"{key.format(0)},light")
    joined = join_side_table(faces(), file, {"tone": []}, provenance="estimated by a model")
    assert joined.rows["tone"].tolist() == ["light", "dark", "unknown"]
    assert joined.attributes["tone"] == ("dark", "light")
    assert joined.who_said("tone") == "estimated by a model"
    assert joined.who_said("gender") == "not stated"


def test_column_and_key_may_be_named(tmp_path: Path) -> None:
    file = written(tmp_path, "who;Tone", "face0;light", "face1;n/a")
    joined = join_side_table(
        faces(), file, {"tone": ["light", "dark"]}, key="who", columns={"tone": "Tone"}
    )
    assert joined.rows["tone"].tolist() == ["light", "unknown", "unknown"]
    assert joined.attributes["tone"] == ("light", "dark")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["file,tone", "else.png,dark"], "names a face"),
        (["file,tone", "face0,dark", "face0,light"], "two things"),
        (["file,skin", "face0,dark"], "the column tone"),
        (["file,tone", "face0,green"], "undeclared tone"),
        (["file,tone"], "no rows"),
    ],
)
def test_what_cannot_be_joined_is_told(tmp_path: Path, lines: list[str], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        join_side_table(faces(), written(tmp_path, *lines), {"tone": ["light", "dark"]})


def test_an_attribute_that_the_faces_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="already"):
        join_side_table(faces(), tmp_path / "none.csv", {"gender": []})


def test_equal_rows_of_one_face_are_one(tmp_path: Path) -> None:
    file = written(tmp_path, "file,tone", "face0,dark", "face0,dark")
    joined = join_side_table(faces(), file, {"tone": []})
    assert joined.rows["tone"].tolist() == ["dark", "unknown", "unknown"]


def test_a_file_name_of_two_faces_is_refused(tmp_path: Path) -> None:
    table = faces()
    twins = table.rows.assign(source=["a/x.png", "b/x.png", "b/y.png"])
    with pytest.raises(DataError, match="several"):
        join_side_table(
            table.with_rows(twins), written(tmp_path, "file,tone", "x.png,dark"), {"tone": []}
        )


def test_a_name_without_suffix_of_two_people_is_refused(tmp_path: Path) -> None:
    table = faces()
    twins = table.with_rows(table.rows.assign(source=["train/1.jpg", "val/1.jpg", "val/2.jpg"]))
    file = written(tmp_path, "id,tone", "1,dark", "2,light")
    with pytest.raises(DataError, match=r"groups\.csv .*'1'.*train/1.jpg, val/1.jpg"):
        join_side_table(twins, file, {"tone": []})


def test_a_name_of_one_person_stands_for_all_of_the_faces(tmp_path: Path) -> None:
    table = faces()
    rows = table.rows.assign(
        source=["happy/1.jpg", "sad/1.jpg", "sad/2.jpg"], identity=["anna", "anna", "ben"]
    )
    file = written(tmp_path, "id,tone", "1,dark", "2,light")
    joined = join_side_table(table.with_rows(rows), file, {"tone": []})
    assert joined.rows["tone"].tolist() == ["dark", "dark", "light"]


def test_how_many_faces_have_no_row_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        join_side_table(faces(), written(tmp_path, "id,tone", "face0,dark"), {"tone": []})
        assert "groups.csv has rows of 1 of 3 faces" in caplog.text
        caplog.clear()
        lines = [f"face{number},dark" for number in range(3)]
        join_side_table(faces(), written(tmp_path, "id,tone", *lines), {"tone": []})
    assert not caplog.text
