"""AffectNet in both of its forms, and what of it cannot be read."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facebias.config import conf_folder
from facebias.data.images import FaceFormat
from facebias.data.prepare import store_faces
from facebias.data.readers.affectnet import EXPRESSIONS, read_affectnet
from facebias.data.readers.joined import join_side_table
from facebias.errors import DataError
from tests.lookalikes.affectnet import HEADER, write_arrays, write_lists

VALENCES = ["negative", "neutral", "positive"]
SEVEN = [name for name in EXPRESSIONS if name != "contempt"]


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole photos with lists. Read only."""
    return write_lists(tmp_path_factory.mktemp("lists") / "affectnet")


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cut faces with arrays. Read only."""
    return write_arrays(tmp_path_factory.mktemp("arrays") / "affectnet")


@pytest.fixture
def own_lists(tmp_path: Path) -> Path:
    """A few photos with lists that a test may change."""
    return write_lists(tmp_path / "affectnet", train=1, test=1)


@pytest.fixture
def own_arrays(tmp_path: Path) -> Path:
    """A few cut faces with arrays that a test may change."""
    return write_arrays(tmp_path / "affectnet", train=1, test=1)


def change(root: Path, line: int, column: str, text: str, file: str = "training.csv") -> None:
    """Change one value of a list; line 1 is the header."""
    path = root / "Manually_Annotated_file_lists" / file
    lines = [row.split(",") for row in path.read_text().splitlines()]
    lines[line - 1][HEADER.index(column)] = text
    path.write_text("\n".join(map(",".join, lines)) + "\n")


# Both forms


@pytest.mark.parametrize("form", ["lists", "arrays"])
def test_the_official_validation_is_the_test_split(
    form: str, request: pytest.FixtureRequest
) -> None:
    table = read_affectnet(str(request.getfixturevalue(form)))
    used = table.used()
    assert used.groupby(["split", "label"]).size().unstack().to_dict("index") == {
        "train": dict.fromkeys(sorted(EXPRESSIONS), 6),
        "test": dict.fromkeys(sorted(EXPRESSIONS), 2),
    }
    assert table.attributes == {}


@pytest.mark.parametrize("form", ["lists", "arrays"])
def test_a_valence_is_that_of_the_expression_and_the_score_is_kept(
    form: str, request: pytest.FixtureRequest
) -> None:
    root = str(request.getfixturevalue(form))
    by_valence, by_expression = (
        read_affectnet(root, "valence", VALENCES),
        read_affectnet(root),
    )
    used = by_valence.used()
    assert (used["label"] == used["expression"].map(EXPRESSIONS)).all()
    assert (used["label"] == used["valence"]).all()
    assert used["label"].value_counts().to_dict() == {"negative": 40, "positive": 16, "neutral": 8}
    assert used["valence_score"].between(-1, 1).all()
    assert by_expression.used()["valence"].equals(used["valence"])


def test_expressions_are_valued_as_biases_by_valence_do() -> None:
    from omegaconf import OmegaConf

    bias = OmegaConf.load(conf_folder() / "bias" / "_valence.yaml")
    assert {name: bias.valences[name] for name in EXPRESSIONS} == EXPRESSIONS


def test_without_contempt_its_faces_are_left_out_and_say_so(lists: Path) -> None:
    rows = read_affectnet(str(lists), classes=SEVEN).rows
    contempt = rows[rows["expression"] == "contempt"]
    assert set(contempt["left_out"]) == {"contempt is none of the classes"}
    assert contempt["label"].isna().all()
    assert len(contempt) == 8


@pytest.mark.parametrize("form", ["lists", "arrays"])
def test_every_used_face_has_68_landmarks_on_its_image(
    form: str, request: pytest.FixtureRequest
) -> None:
    table = read_affectnet(str(request.getfixturevalue(form)))
    points = np.stack(table.used()["landmarks"].to_list()).reshape(-1, 68, 2)
    left, top = (table.used()["left"], table.used()["top"]) if form == "lists" else (0, 0)
    assert np.allclose(points[:, :, 0].mean(axis=1) - left, 16, atol=0.1)
    assert np.allclose(points[:, :, 1].mean(axis=1) - top, 16, atol=0.1)
    left_out = table.rows.loc[table.rows["left_out"] != "", "landmarks"]
    assert all(points is None for points in left_out)


@pytest.mark.parametrize("form", ["lists", "arrays"])
def test_every_used_face_can_be_stored(form: str, request: pytest.FixtureRequest) -> None:
    table = read_affectnet(str(request.getfixturevalue(form)))
    _, store = store_faces(table, FaceFormat(32, 32, 3), None, 0)
    assert len(store) == 64
    assert not store.bad


def test_a_face_is_cut_out_by_its_box(lists: Path) -> None:
    table = read_affectnet(str(lists))
    _, store = store_faces(table, FaceFormat(32, 32, 3, 0.0), None, 0)
    blue = (store.read(np.arange(len(store))) == (30, 90, 160)).all(axis=-1)
    assert not blue.any()  # the photo around the faces is blue
    _, wider = store_faces(table, FaceFormat(32, 32, 3, 0.2), None, 0)
    edges = wider.read(np.arange(len(wider)))[:, -1, -1].astype(int)
    assert (edges[:, 2] - edges[:, 0] > 60).all()


def test_groups_come_from_a_side_table(lists: Path) -> None:
    table = join_side_table(
        read_affectnet(str(lists)),
        lists / "groups.csv",
        {"gender": ["female", "male"]},
        provenance="estimated by a model",
    )
    assert table.used()["gender"].value_counts().to_dict() == {"female": 32, "male": 32}
    assert table.who_said("gender") == "estimated by a model"


@pytest.mark.parametrize(
    ("target", "classes"),
    [("expression", ["happy", "joy"]), ("valence", ["happy"]), ("arousal", ["high", "low"])],
)
def test_a_target_or_class_that_it_has_not_is_told(
    target: str, classes: list[str], lists: Path
) -> None:
    with pytest.raises(DataError, match=r"data\.reader\.target.*") as caught:
        read_affectnet(str(lists), target, classes)
    assert "valence with some of negative, neutral, positive" in str(caught.value)


@pytest.mark.parametrize("there", [True, False])
def test_without_the_data_it_says_where_from_and_what_else(there: bool, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_affectnet(str(tmp_path if there else tmp_path / "none"))
    told = str(caught.value)
    for words in ("training", "train_set", "Mollahosseini", "licence agreement", "data=faces"):
        assert words in told


# Photos with lists


def test_codes_that_are_no_expressions_are_left_out_with_the_reason(lists: Path) -> None:
    rows = read_affectnet(str(lists)).rows
    assert len(rows) == 11 * 8
    assert rows["left_out"].value_counts().to_dict() == {
        "": 64,
        "no expression: none": 8,
        "no expression: uncertain": 8,
        "no expression: no face": 6,
        "no face was found": 2,
    }
    assert rows.loc[rows["left_out"] != "", "label"].isna().all()


def test_a_score_of_minus_two_or_nothing_is_missing(lists: Path) -> None:
    rows = read_affectnet(str(lists)).rows
    unused = rows["expression"].isna()
    assert rows.loc[unused, "valence_score"].isna().all()
    assert not (rows[["valence_score", "arousal_score"]] == -2).any(axis=None)
    assert rows.loc[~unused, "arousal_score"].isna().sum() == 2  # the empty ones


@pytest.mark.parametrize("place", ["", "Manually_Annotated"])
def test_lists_may_lie_elsewhere(place: str, own_lists: Path) -> None:
    for file in (own_lists / "Manually_Annotated_file_lists").iterdir():
        file.rename(own_lists / place / file.name)
    assert len(read_affectnet(str(own_lists)).used()) == 16


def test_images_may_lie_directly_below_the_root(own_lists: Path) -> None:
    nested = own_lists / "Manually_Annotated" / "Manually_Annotated_Images"
    nested.rename(own_lists / "Manually_Annotated_Images")
    table = read_affectnet(str(own_lists))
    assert table.rows["source"].str.startswith("Manually_Annotated_Images/").all()


def test_a_photo_that_is_listed_twice_has_two_ids(own_lists: Path) -> None:
    file = own_lists / "Manually_Annotated_file_lists" / "training.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines, lines[1]]) + "\n")
    rows = read_affectnet(str(own_lists)).rows
    twice = rows[rows["source"] == rows["source"].iloc[0]]
    assert twice["id"].tolist() == [twice["source"].iloc[0], twice["source"].iloc[0] + "#2"]


def test_a_face_with_other_landmarks_is_kept_without_them(
    own_lists: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change(own_lists, 3, "facial_landmarks", "1.5;2.5")
    with caplog.at_level(logging.WARNING):
        used = read_affectnet(str(own_lists)).used()
    assert used["landmarks"].isna().sum() == 1
    assert used["landmarks"].iloc[1] is None
    assert "line 3" in caplog.text


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        ("expression", "11", r"training\.csv, line 4: expression is '11'"),
        ("expression", "happy", r"training\.csv, line 4: expression is 'happy'"),
        ("face_width", "", r"training\.csv, line 4: face_width is"),
        ("valence", "high", r"training\.csv, line 4: valence is 'high'"),
        ("subDirectory_filePath", "", r"training\.csv, line 4: there is no subDirectory"),
        ("subDirectory_filePath", "../../face.jpg", r"training\.csv, line 4: .* leads out"),
        ("facial_landmarks", ";".join(["x"] * 136), "facial_landmarks"),
        ("facial_landmarks", ";".join(["nan"] * 136), "facial_landmarks"),
    ],
)
def test_a_wrong_value_is_told_with_file_and_line(
    column: str, text: str, expected: str, own_lists: Path
) -> None:
    change(own_lists, 4, column, text)
    with pytest.raises(DataError, match=expected):
        read_affectnet(str(own_lists))


def test_a_missing_column_or_list_is_told(own_lists: Path) -> None:
    folder = own_lists / "Manually_Annotated_file_lists"
    change(own_lists, 1, "expression", "emotion")
    with pytest.raises(DataError, match=r"(?s)training\.csv.*expression") as caught:
        read_affectnet(str(own_lists))
    assert "columns:" not in caught.value.todo  # the reader has no such key
    change(own_lists, 1, "expression", "expression")
    (folder / "validation.csv").unlink()
    with pytest.raises(DataError, match=r"there is no .*validation\.csv") as caught:
        read_affectnet(str(own_lists))
    assert "Manually_Annotated_file_lists" in caught.value.expected
    for words in ("Mollahosseini", "data=faces"):
        assert words in caught.value.todo


def test_lists_without_a_header_line_are_read(own_lists: Path) -> None:
    before = read_affectnet(str(own_lists)).rows
    for file in (own_lists / "Manually_Annotated_file_lists").iterdir():
        file.write_text(file.read_text().partition("\n")[2])
    pd.testing.assert_frame_equal(read_affectnet(str(own_lists)).rows, before)
    change(own_lists, 3, "expression", "11")
    with pytest.raises(DataError, match=r"training\.csv, line 3: expression is '11'"):
        read_affectnet(str(own_lists))


SCORES_THAT_CANNOT_BE = [("5", "0"), ("0", "7"), ("-1.5", "-2")]


def assert_one_is_left_out(root: Path) -> None:
    rows = read_affectnet(str(root)).rows
    wrong = rows[rows["left_out"] == "valence or arousal is beyond -1 and 1"]
    assert wrong["expression"].tolist() == ["happy"]
    assert wrong["label"].isna().all()
    assert not (rows[["valence_score", "arousal_score"]].abs() > 1).any(axis=None)


@pytest.mark.parametrize(("valence", "arousal"), SCORES_THAT_CANNOT_BE)
def test_a_face_whose_scores_cannot_be_is_left_out(
    valence: str, arousal: str, own_lists: Path
) -> None:
    change(own_lists, 3, "valence", valence)
    change(own_lists, 3, "arousal", arousal)
    assert_one_is_left_out(own_lists)


@pytest.mark.parametrize(("valence", "arousal"), SCORES_THAT_CANNOT_BE)
def test_an_array_whose_scores_cannot_be_leaves_its_face_out(
    valence: str, arousal: str, own_arrays: Path
) -> None:
    annotations = own_arrays / "train_set" / "annotations"
    np.save(annotations / "1_val.npy", np.array(valence))
    np.save(annotations / "1_aro.npy", np.array(arousal))
    assert_one_is_left_out(own_arrays)


def test_images_that_are_not_unpacked_are_told_at_once(own_lists: Path) -> None:
    (own_lists / "Manually_Annotated").rename(own_lists / "elsewhere")
    with pytest.raises(DataError, match="none of the first 5 lies"):
        read_affectnet(str(own_lists))


# Cut faces with arrays


def test_arrays_hold_texts_or_numbers(own_arrays: Path) -> None:
    annotations = own_arrays / "train_set" / "annotations"
    before = read_affectnet(str(own_arrays)).rows
    assert np.load(annotations / "1_exp.npy").dtype == np.dtype("<U1")
    np.save(annotations / "1_exp.npy", np.array([1]))
    np.save(annotations / "1_lnd.npy", np.load(annotations / "1_lnd.npy").reshape(68, 2))
    pd.testing.assert_frame_equal(read_affectnet(str(own_arrays)).rows, before)


def test_a_face_without_annotation_is_left_out(own_arrays: Path) -> None:
    annotations = own_arrays / "train_set" / "annotations"
    (annotations / "1_exp.npy").unlink()
    (annotations / "2_val.npy").unlink()
    rows = read_affectnet(str(own_arrays)).rows.set_index("id")
    assert rows.at["train_set/images/1.jpg", "left_out"] == "no annotation of the expression"
    assert rows.at["train_set/images/2.jpg", "left_out"] == ""
    assert np.isnan(rows.at["train_set/images/2.jpg", "valence_score"])


def _object_array(file: Path) -> None:
    np.save(file, np.array({"code": 1}), allow_pickle=True)


def _code(file: Path) -> None:
    np.save(file, np.array("12"))


def _word(file: Path) -> None:
    np.save(file, np.array("happy"))


def _several(file: Path) -> None:
    np.save(file, np.array([1, 2]))


def _text(file: Path) -> None:
    file.write_text("1")


def _unclosed(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"}", b"(", 1))


def _huge(file: Path) -> None:
    shape = b"'shape': (), }"
    content = file.read_bytes()
    assert shape in content
    wide = b"'shape': (" + b"9" * 25 + b",), }"
    spare = b" " * (len(wide) - len(shape))
    file.write_bytes(content.replace(shape + spare, wide))


def _complex(file: Path) -> None:
    np.save(file, np.array(1j))


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-2])


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_object_array, "Python objects"),
        (_code, "expression is 12"),
        (_word, "holds 'happy'"),
        (_several, r"holds \[1, 2\]"),
        (_text, "no array"),
        (_cut, "no array"),
        (_unclosed, "no array"),
        (_huge, "no array"),
        (_complex, "holds 1j"),
    ],
)
def test_a_wrong_array_is_told_with_its_file(
    spoil: Callable[[Path], None], expected: str, own_arrays: Path
) -> None:
    file = own_arrays / "val_set" / "annotations" / "0_exp.npy"
    spoil(file)
    with pytest.raises(DataError, match=expected) as caught:
        read_affectnet(str(own_arrays))
    assert str(file) in str(caught.value)


def test_other_landmarks_in_an_array_are_told(own_arrays: Path) -> None:
    file = own_arrays / "train_set" / "annotations" / "0_lnd.npy"
    np.save(file, np.zeros(135))
    with pytest.raises(DataError, match=r"0_lnd\.npy holds 135 values"):
        read_affectnet(str(own_arrays))


def test_landmarks_that_are_not_finite_are_told(own_arrays: Path) -> None:
    file = own_arrays / "train_set" / "annotations" / "0_lnd.npy"
    np.save(file, np.array(["nan"] * 136))
    with pytest.raises(DataError, match=r"0_lnd\.npy .*not finite"):
        read_affectnet(str(own_arrays))


def test_landmarks_may_lie_column_by_column(own_arrays: Path) -> None:
    before = read_affectnet(str(own_arrays)).rows
    file = own_arrays / "train_set" / "annotations" / "1_lnd.npy"
    np.save(file, np.asfortranarray(np.load(file).reshape(68, 2)))
    pd.testing.assert_frame_equal(read_affectnet(str(own_arrays)).rows, before)


def test_a_set_that_is_not_there_is_told(own_arrays: Path) -> None:
    (own_arrays / "val_set").rename(own_arrays / "other")
    with pytest.raises(DataError, match=r"there is no .*val_set") as caught:
        read_affectnet(str(own_arrays))
    assert "data=faces" in caught.value.todo
