from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facebias.data.images import FaceFormat, decode_face
from facebias.data.readers.fer2013 import EMOTIONS, VOTES, majority, read_fer2013
from facebias.data.table import FaceTable
from facebias.errors import ConfigError, DataError
from tests.lookalikes.fer2013 import write_csv, write_folders, write_votes
from tests.lookalikes.pixel_csv import gray_face

EIGHT = [*EMOTIONS, "contempt"]


def read(root: Path, classes: list[str] | None = None, **options: Any) -> FaceTable:  # noqa: ANN401
    return read_fer2013(str(root), classes or list(EMOTIONS), **options)


def counts(table: FaceTable) -> dict[tuple[str, str], int]:
    cells: dict[tuple[str, str], int] = table.used().groupby(["split", "label"]).size().to_dict()
    return cells


@pytest.mark.parametrize("spaces", [False, True], ids=["fer2013.csv", "icml_face_data.csv"])
def test_the_pixel_csv_is_read_under_both_names(tmp_path: Path, spaces: bool) -> None:
    table = read(write_csv(tmp_path, train=2, test=1, spaces=spaces))
    assert table.rows["label"].tolist() == list(EMOTIONS) * 4
    assert table.rows["split"].tolist() == ["train"] * 14 + ["validation"] * 7 + ["test"] * 7
    assert table.rows["id"][10] == "fer0000010.png"
    face = decode_face(tmp_path / table.rows["source"][10], FaceFormat(48, 48, 1))
    assert np.array_equal(face.pixels[..., 0], gray_face(10, 3, 48, 48))


def test_it_may_lie_in_the_folder_that_the_archive_has(tmp_path: Path) -> None:
    write_votes(write_csv(tmp_path / "fer2013", train=2, test=1), train=2, test=1)
    table = read(tmp_path, EIGHT, labels="ferplus")
    assert table.rows["source"][0] == "fer2013/fer2013.csv#pixels=48x48@0"


def test_folders_and_csv_give_the_same_labels_and_splits(tmp_path: Path) -> None:
    folders = read(write_folders(tmp_path / "folders", train=2, test=1))
    table = read(write_csv(tmp_path / "csv", train=2, test=1))
    assert counts(folders) == counts(table)
    assert len(counts(folders)) == 3 * len(EMOTIONS)
    rows = folders.rows
    angry = rows[rows["source"].str.contains("/angry/")]
    assert set(angry["label"]) == {"anger"}
    public = rows["source"].str.contains("PublicTest")
    assert set(rows.loc[public, "split"]) == {"validation"}


def test_a_class_that_is_not_asked_for_is_left_out(tmp_path: Path) -> None:
    for root in (write_csv(tmp_path / "csv"), write_folders(tmp_path / "folders")):
        table = read(root, ["happy", "sad"])
        assert set(table.used()["label"]) == {"happy", "sad"}
        assert "fear is none of the classes" in set(table.rows["left_out"])


def test_votes_follow_the_rule_of_their_authors(tmp_path: Path) -> None:
    rows = read(write_votes(write_csv(tmp_path)), EIGHT, labels="ferplus").rows
    assert rows["label"].head(6).tolist() == ["anger", None, None, None, "sad", "contempt"]
    assert rows["left_out"].head(6).tolist() == [
        "", "FER+: no majority", "FER+: most say unknown", "FER+: most say no face", "", ""
    ]  # fmt: skip
    assert rows["label"][7:].tolist() == read(tmp_path).rows["label"][7:].tolist()


def test_contempt_is_left_out_where_it_is_no_class(tmp_path: Path) -> None:
    rows = read(write_votes(write_csv(tmp_path)), labels="ferplus").rows
    assert rows["left_out"][5] == "contempt is none of the classes"


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 10), min_size=10, max_size=10), min_size=1, max_size=20))
def test_every_face_has_a_label_or_a_reason(votes: list[list[int]]) -> None:
    labels, reasons = majority(np.array(votes))
    for row, label, reason in zip(votes, labels, reasons, strict=True):
        assert (label is None) == bool(reason)
        if label is not None:
            counted = [number if number > 1 else 0 for number in row]
            place = list(VOTES.values()).index(label)
            assert 2 * counted[place] > sum(counted)


def test_votes_of_other_faces_are_refused(tmp_path: Path) -> None:
    root = write_votes(write_csv(tmp_path))
    file = root / "fer2013new.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]))
    with pytest.raises(DataError, match=r"fer2013new\.csv has 69 rows and fer2013\.csv 70"):
        read(root, EIGHT, labels="ferplus")
    file.write_text("\n".join([lines[0], *lines[:0:-1]]))
    with pytest.raises(DataError, match="or others"):
        read(root, EIGHT, labels="ferplus")
    file.write_text("\n".join([*lines[:3], lines[3].replace(",8,", ",many,"), *lines[4:]]))
    for votes in ("many", "-8", "11", ""):
        file.write_text("\n".join([*lines[:3], lines[3].replace(",8,", f",{votes},"), *lines[4:]]))
        with pytest.raises(DataError, match="line 4: a vote is no number"):
            read(root, EIGHT, labels="ferplus")


@pytest.mark.parametrize(("cut", "message"), [(30, "line 71: .*2 columns"), (11, "no Usage")])
def test_a_csv_that_is_cut_off_is_refused(tmp_path: Path, cut: int, message: str) -> None:
    file = write_csv(tmp_path) / "fer2013.csv"
    file.write_text(file.read_text().removesuffix("\n")[:-cut])
    with pytest.raises(DataError, match=f"fer2013.csv.*{message}"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("found", "instead", "message"),
    [
        ("\n2,", "\n7,", r"line 4: the label is '7'.*\n.*0 \(anger\)"),
        ("PublicTest", "Public", "line 44: split is 'Public'"),
        ("emotion", "label", "the column emotion"),
        ("Usage", "Split", "the column Usage"),
    ],
)
def test_what_is_wrong_in_the_csv_is_named(
    tmp_path: Path, found: str, instead: str, message: str
) -> None:
    file = write_csv(tmp_path) / "fer2013.csv"
    file.write_text(file.read_text().replace(found, instead, 1))
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path)
    assert "fer2013.csv" in caught.value.found


@pytest.mark.parametrize("labels", ["fer", "ferplus"])
def test_without_the_data_the_error_says_where_it_comes_from(tmp_path: Path, labels: str) -> None:
    with pytest.raises(DataError, match="no files of FER") as caught:
        read(tmp_path, labels=labels)
    assert "fer2013.csv (emotion,pixels,Usage)" in caught.value.expected
    assert "Kaggle" in caught.value.todo
    assert "data=faces" in caught.value.todo


def test_votes_need_the_csv_and_their_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no files of FER"):
        read(write_folders(tmp_path / "folders"), EIGHT, labels="ferplus")
    with pytest.raises(DataError, match=r"there is no .*fer2013new\.csv") as caught:
        read(write_csv(tmp_path / "csv"), EIGHT, labels="ferplus")
    assert "FERPlus" in caught.value.todo
    assert "data=faces" in caught.value.todo


def test_unknown_classes_and_labels_are_refused(tmp_path: Path) -> None:
    write_csv(tmp_path)
    with pytest.raises(ConfigError, match="angry"):
        read(tmp_path, ["angry", "happy"])
    with pytest.raises(ConfigError, match="labels=votes"):
        read(tmp_path, labels="votes")
