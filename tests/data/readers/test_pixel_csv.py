from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facebias.data.images import FaceFormat, decode_face
from facebias.data.readers.pixel_csv import read_pixel_csv
from facebias.data.table import FaceTable
from facebias.errors import DataError
from tests.lookalikes.pixel_csv import RASAS, gray_face, write_pixel_csv

SIZE = (6, 9)
TWO = ["anger", "peace"]


def read(root: Path, classes: list[str] = TWO, **options: Any) -> FaceTable:  # noqa: ANN401
    width, height = options.pop("size", (2, 1))
    return read_pixel_csv(str(root), width, height, classes, **options)


def written(folder: Path, *lines: str, name: str = "faces.csv") -> Path:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("apart", [False, True], ids=["one column", "a column each"])
def test_nine_emotions_are_read_in_both_forms(tmp_path: Path, apart: bool) -> None:
    write_pixel_csv(tmp_path / "faces.csv", each=2, size=SIZE, apart=apart)
    table = read(tmp_path, list(RASAS), size=SIZE)
    rows = table.rows
    assert rows["label"].value_counts().to_dict() == dict.fromkeys(RASAS, 2)
    assert rows["split"].isna().all()
    assert (rows["left_out"] == "").all()
    face = decode_face(table.root / rows["source"][7], FaceFormat(SIZE[1], SIZE[0], 1))
    assert np.array_equal(face.pixels[..., 0], gray_face(7, 7, *SIZE))


def test_codes_are_told_by_the_configuration(tmp_path: Path) -> None:
    write_pixel_csv(tmp_path / "faces.csv", labels=[*"012345678"], each=1, size=SIZE)
    named = {str(code): name for code, name in enumerate(RASAS)}
    rows = read(tmp_path, list(RASAS), size=SIZE, label_map=named).rows
    assert rows["label"].tolist() == list(RASAS)


def test_what_the_crop_verb_writes_is_read(tmp_path: Path) -> None:
    written(tmp_path, "emotion,pixels", "anger,1 2", ",3 4", name="pixels.csv")
    rows = read(tmp_path).rows
    assert rows["label"].tolist() == ["anger", None]
    assert rows["source"][1] == "pixels.csv#pixels=2x1@1"
    assert (rows["left_out"] == "").all()


def test_columns_splits_and_groups_are_mapped(tmp_path: Path) -> None:
    lines = ["Mood; gray ;Set;Who;Sex", "anger;1 2;A;p1;f", 'peace;"3 4";B;p1;', "peace;5 6;A;p2;m"]
    table = read(
        written(tmp_path, *lines),
        columns={
            "label": "Mood",
            "pixels": "gray",
            "split": "Set",
            "identity": "Who",
            "sex": "Sex",
        },
        splits={"A": "train", "B": "test"},
        attributes={"sex": []},
    )
    assert table.rows["split"].tolist() == ["train", "test", "train"]
    assert table.rows["identity"].tolist() == ["p1", "p1", "p2"]
    assert table.rows["sex"].tolist() == ["f", "unknown", "m"]
    assert table.attributes == {"sex": ("f", "m")}
    quoted = decode_face(table.root / table.rows["source"][1], FaceFormat(8, 8, 1))
    assert set(np.unique(quoted.pixels)) <= {3, 4}


def test_blank_lines_keep_rows_and_lines_in_step(tmp_path: Path) -> None:
    written(tmp_path, "emotion,pixels", "anger,1 2", "", "peace,7 7", "")
    table = read(tmp_path)
    assert table.rows["label"].tolist() == ["anger", "peace"]
    face = decode_face(table.root / table.rows["source"][1], FaceFormat(1, 2, 1))
    assert face.pixels.ravel().tolist() == [7, 7]


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_line_ends_and_byte_order_marks_do_not_matter(tmp_path: Path, end: str) -> None:
    text = "\ufeffemotion,pixels" + end + "anger,1 2" + end + "peace,3 4"
    (tmp_path / "faces.csv").write_bytes(text.encode())
    table = read(tmp_path)
    assert table.rows["label"].tolist() == TWO
    face = decode_face(table.root / table.rows["source"][1], FaceFormat(1, 2, 1))
    assert face.pixels.ravel().tolist() == [3, 4]


def test_faces_of_a_label_that_is_no_class_are_left_out(tmp_path: Path) -> None:
    written(tmp_path, "emotion,pixels", "0,1 2", "1,3 4")
    rows = read(tmp_path, label_map={"0": "anger", "1": "fear"}, classes=["anger"]).rows
    assert rows["left_out"].tolist() == ["", "fear is none of the classes"]
    assert rows["label"].tolist() == ["anger", None]


def test_the_file_may_be_named_and_be_the_root(tmp_path: Path) -> None:
    written(tmp_path, "emotion,pixels", "anger,1 2")
    written(tmp_path, "emotion,pixels", "anger,1 2", "peace,1 2", name="other.csv")
    with pytest.raises(DataError, match=r"faces\.csv, other\.csv") as caught:
        read(tmp_path)
    assert "data.reader.file" in caught.value.todo
    assert len(read(tmp_path, file="other.csv").rows) == 2
    assert len(read(tmp_path / "faces.csv").rows) == 1


def test_without_the_data_the_error_says_what_to_do(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match=r"pixel CSV|no folder") as caught:
            read(root)
        assert "facebias.crop" in caught.value.todo
        assert "data=faces" in caught.value.todo


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["emotion,pixels", "anger,1 2", "", "rage,1 2"], {}, r"line 4: the label is 'rage'"),
        (["emotion,pixels", "9,1 2"], {"label_map": {"0": "anger"}}, r"line 2.*\n.*0 \(anger\)"),
        (["emotion,gray", "anger,1 2"], {}, "no column 'pixels'"),
        (["emotion,a,b,c", "anger,1,2,3"], {}, "3 columns for single pixels"),
        (["emotion,pixels", "anger,1 2"], {"columns": {"split": "Usage"}}, "Usage"),
        (["emotion,pixels", "anger,1 2"], {"attributes": {"sex": []}}, "the column sex"),
        (["emotion,pixels,split", "anger,1 2,dev"], {}, "line 2: split is 'dev'"),
        (["emotion,pixels"], {}, "rows"),
        (["emotion,pixels", 'anger,"1\n2"'], {}, "line"),
        ([""], {}, "empty"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(
    tmp_path: Path, lines: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(written(tmp_path, *lines), **options)
    assert "faces.csv" in str(caught.value)


def test_a_class_that_no_face_can_have_is_refused(tmp_path: Path) -> None:
    written(tmp_path, "emotion,pixels", "0,1 2")
    rows = read(tmp_path, label_map={"0": "anger"}, classes=["anger", "fear"]).rows
    assert rows["label"].tolist() == ["anger"]


def test_utf_16_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "faces.csv").write_text("emotion,pixels\nanger,1 2\n", encoding="utf-16")
    with pytest.raises(DataError, match="not utf-8"):
        read(tmp_path)


def test_a_file_above_the_root_is_refused(tmp_path: Path) -> None:
    written(tmp_path, "emotion,pixels", "anger,1 2")
    (tmp_path / "root").mkdir()
    with pytest.raises(DataError, match="leads out"):
        read(tmp_path / "root", file="../faces.csv")
