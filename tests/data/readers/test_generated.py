import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facebias.data.bias import AllFaces
from facebias.data.images import FaceFormat
from facebias.data.prepare import prepare_faces
from facebias.data.readers import generated
from facebias.data.readers.generated import (
    is_generated,
    read_generated_faces,
    read_generated_folder,
    target_for,
)
from facebias.data.split import draw_splits
from facebias.errors import DataError
from tests.generated_folder import GROUPS, generated_rows, with_twins, write_folder

EXPRESSIONS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("generated") / "faces", generated_rows(48))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """Draw faces in place of rendering them; return what was asked for."""
    asked: list[Mapping[str, Any]] = []

    def generate(folder: Path, size: int, population: Mapping[str, Any]) -> None:
        asked.append({"size": size, **population})
        time.sleep(0.2)
        write_folder(folder, generated_rows(population["n"]), size)

    monkeypatch.setattr(generated, "_generate", generate)
    return asked


def test_a_folder_is_read_by_valence(folder: Path) -> None:
    table = read_generated_faces(str(folder), attributes=GROUPS)
    assert table.classes == ("negative", "neutral", "positive")
    assert table.rows["label"].value_counts().to_dict() == dict.fromkeys(table.classes, 16)
    first = table.rows.iloc[0]
    assert (first["id"], first["source"]) == ("000000", "images/000000.png")
    assert (first["label"], first["expression"], first["identity"]) == (
        "positive",
        "happy",
        "person00000",
    )
    assert (first["skin_tone"], first["regions"]) == ("light", "regions/000000.png")
    assert table.attributes == GROUPS
    assert table.provenance == "set by the generator"


def test_or_by_expression_with_attributes_that_are_found(folder: Path) -> None:
    table = read_generated_faces(
        str(folder), target="expression", classes=EXPRESSIONS, attributes={"gender": []}
    )
    assert (table.rows["label"] == table.rows["expression"]).all()
    assert table.classes == EXPRESSIONS
    assert table.attributes == {"gender": ("female", "male")}
    assert "skin_tone" not in table.rows


def test_or_by_gender_which_is_no_attribute_then(folder: Path) -> None:
    table = read_generated_faces(
        str(folder), target="gender", classes=("female", "male"), attributes=GROUPS
    )
    assert table.rows["label"].value_counts().to_dict() == {"female": 24, "male": 24}
    assert list(table.attributes) == ["age", "skin_tone"]
    assert "gender" not in table.rows
    assert target_for(("male", "female")) == "gender"


def test_no_split_parts_a_person(folder: Path) -> None:
    table = read_generated_faces(str(folder), attributes=GROUPS)
    for fold in range(3):
        split = draw_splits(table, folds=3, fold=fold, stratify=tuple(GROUPS), seed=1)
        assert set(split.rows["split"]) == {"train", "validation", "test"}
        assert (split.rows.groupby("identity")["split"].nunique() == 1).all()


def test_the_leak_gate_finds_a_copy_and_nothing_else(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "faces", generated_rows(48))
    dice = np.random.default_rng(0)
    for image in (root / "images").iterdir():  # drawn faces differ by shift and light alone
        blocks = dice.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((32, 32)).save(image)
    (root / "images" / "000042.png").write_bytes((root / "images" / "000000.png").read_bytes())
    faces = prepare_faces(
        read_generated_faces(str(root), attributes=GROUPS),
        AllFaces(),
        face_format=FaceFormat(32, 32, 3),
        cache=None,
        seed=0,
        folds=3,
        fold=1,
    )
    rows = faces.table.rows.set_index("id")
    assert rows.loc["000000", "identity"] == rows.loc["000042", "identity"]
    assert rows["identity"].nunique() == 48 // 4 - 1
    assert (rows["left_out"] == "").all()
    assert rows.loc["000001", ["regions", "regions_top"]].tolist() == ["regions/000000.png", 0]


def test_pairs_are_kept(tmp_path: Path) -> None:
    rows = with_twins(generated_rows(6), "skin_ita", "-50")
    kept = read_generated_faces(str(write_folder(tmp_path / "pairs", rows))).rows
    assert kept["pair"].tolist() == [f"{number:06d}" for number in range(6)] * 2
    assert kept["pair_value"].tolist()[6:] == ["-50"] * 6
    assert kept["pair_factor"].isna().sum() == 6


def test_pairs_that_do_not_say_what_was_changed_are_refused_at_once(tmp_path: Path) -> None:
    rows = with_twins(generated_rows(6), "skin_ita", "-50").drop(columns="pair_factor")
    with pytest.raises(DataError, match="lacks pair_factor"):
        read_generated_faces(str(write_folder(tmp_path / "pairs", rows)))


def test_faces_of_another_size_are_warned_of(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_generated_faces(str(folder), size=32)
    assert not caplog.messages
    read_generated_faces(str(folder), size=64)
    (said,) = caplog.messages
    assert "have 32x32 pixels and are resampled to 64x64; data.height=32 takes" in said


def test_twins_are_warned_of_where_they_would_be_trained_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_folder(tmp_path / "twins", with_twins(generated_rows(6), "skin_ita", "-50"))
    read_generated_folder(root, "valence", ("negative", "neutral", "positive"))
    assert not caplog.messages
    table = read_generated_faces(str(root), size=32)
    (said,) = caplog.messages
    assert "6 of the 12 faces" in said
    assert "stays in the split of its original's person" in said
    assert (table.rows.groupby("pair")["identity"].nunique() == 1).all()


def test_a_set_is_made_once_and_found_again(tmp_path: Path, made: list[Mapping[str, Any]]) -> None:
    asked = {"n": 24, "size": 16, "seed": 3, "population": "realistic", "equal_by": "expression"}
    tables = [read_generated_faces(cache=str(tmp_path), **asked) for _ in range(2)]  # type: ignore[arg-type]
    assert made == [{**asked, "faces_per_identity": 4}]
    assert tables[0].rows.equals(tables[1].rows)
    name = tables[0].root.name
    assert tables[0].root.parent == tmp_path / "faces"
    for part in ("n24", "16px", "realistic", "expression", "4each", "seed3", "_v"):
        assert part in name


@pytest.mark.parametrize(
    "other",
    [
        {"n": 25},
        {"size": 17},
        {"seed": 1},
        {"population": "realistic"},
        {"equal_by": "expression"},
        {"faces_per_identity": 2},
    ],
)
def test_another_set_has_another_folder(
    other: dict[str, Any], tmp_path: Path, made: list[Mapping[str, Any]]
) -> None:
    for asked in ({"n": 24, "size": 16}, {"n": 24, "size": 16, **other}):
        read_generated_faces(cache=str(tmp_path), **asked)
    assert len(made) == 2


def test_of_two_processes_one_generates_and_the_other_waits_and_says_so(
    tmp_path: Path, made: list[Mapping[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sizes = []

    def read() -> None:
        sizes.append(len(read_generated_faces(cache=str(tmp_path), n=24, size=16).rows))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sizes, len(made)) == ([24, 24], 1)
    assert "waiting for another process that generates these faces" in caplog.text


def test_the_true_generator_says_what_it_does_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    table = read_generated_faces(cache=str(tmp_path), n=30, size=16, attributes=GROUPS)
    assert table.rows["label"].value_counts().to_dict() == dict.fromkeys(table.classes, 10)
    assert (table.root / table.rows["source"].iloc[0]).is_file()
    assert "generating 30 faces of 16 pixels, once, in about" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"target": "mood"}, "target=mood"),
        ({"classes": ["negative", "neutral"]}, "classes negative, neutral"),
        ({"target": "expression"}, "target=expression"),
        ({"attributes": {"hat": []}}, "no column 'hat'"),
        ({"attributes": {"gender": ["female"]}}, "undeclared gender"),
    ],
)
def test_what_the_faces_do_not_have_is_told(
    arguments: dict[str, Any], says: str, folder: Path
) -> None:
    with pytest.raises(DataError, match=says):
        read_generated_faces(str(folder), **arguments)


def test_a_folder_of_something_else_is_told(tmp_path: Path, faces_root: Path) -> None:
    for root in (tmp_path, faces_root):
        assert not is_generated(root)
        with pytest.raises(DataError, match="no folder of generated faces"):
            read_generated_faces(str(root))


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "faces").write_text("a file")
    with pytest.raises(DataError, match="cannot be written"):
        read_generated_faces(cache=str(tmp_path), n=6)


def test_classes_say_what_generated_faces_are_labelled_by() -> None:
    assert target_for(["positive", "negative"]) == "valence"
    assert target_for(EXPRESSIONS) == "expression"


def test_images_differ(folder: Path) -> None:
    """The drawn faces stand for others, so no two may be copies."""
    sources = read_generated_faces(str(folder)).rows["source"]
    assert len(np.unique([(folder / source).read_bytes() for source in sources])) == len(sources)
