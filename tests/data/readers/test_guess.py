import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from facebias.data.readers.folders import read_class_folders
from facebias.data.readers.generated import read_generated_faces
from facebias.data.readers.guess import Guess, guess_reader
from facebias.data.readers.tables import read_table
from facebias.data.table import FaceTable
from facebias.errors import DataError
from tests.generated_folder import generated_rows, write_folder

READERS = {
    "facebias.data.readers.folders.read_class_folders": read_class_folders,
    "facebias.data.readers.tables.read_table": read_table,
    "facebias.data.readers.generated.read_generated_faces": read_generated_faces,
}


def read(guess: Guess) -> FaceTable:
    """Read what was guessed with the reader that was guessed."""
    arguments: dict[str, Any] = dict(guess.data["reader"])
    reader: Any = READERS[arguments.pop("_target_")]
    table = reader(**arguments)
    assert isinstance(table, FaceTable)
    return table


def write_images(folder: Path, names: Sequence[str], size: tuple[int, int] = (20, 24)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("L", size, len(name)).save(folder / name)


def write_csv(file: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_class_folders_are_classes(tmp_path: Path) -> None:
    for name in ("sad", "happy"):
        write_images(tmp_path / name, [f"{name}{n}.png" for n in range(3)])
    guess = guess_reader(tmp_path)
    table = read(guess)
    assert table.classes == ("happy", "sad")
    assert len(table.rows) == 6
    assert table.rows["split"].isna().all()
    assert {key: guess.data[key] for key in ("height", "width", "channels")} == {
        "height": 20,
        "width": 20,
        "channels": 1,
    }


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("val", "validation"),
        ("valid", "validation"),
        ("validation", "validation"),
        ("test", "test"),
    ],
)
def test_split_folders_are_known_by_their_names(tmp_path: Path, folder: str, split: str) -> None:
    for part in {folder, "train"} if split != "train" else {folder}:
        for name in ("sad", "happy"):
            write_images(tmp_path / part / name, ["1.png"])
    table = read(guess_reader(tmp_path))
    assert table.classes == ("happy", "sad")
    assert set(table.rows["split"]) == {"train", split}


def test_a_single_split_is_learned_from(tmp_path: Path) -> None:
    write_images(tmp_path / "test" / "happy", ["1.png"])
    assert read(guess_reader(tmp_path)).rows["split"].tolist() == ["train"]


def test_a_class_that_is_named_as_a_split_beside_others_is_a_split_and_said(tmp_path: Path) -> None:
    write_images(tmp_path / "test", ["1.png"])
    write_images(tmp_path / "train", ["2.png"])
    guess = guess_reader(tmp_path)
    assert read(guess).classes == ()
    assert "splits: test is test, train is train" in guess.said


def test_a_plain_folder_of_images_has_no_classes(tmp_path: Path) -> None:
    write_images(tmp_path, ["1.png", "2.png"])
    (tmp_path / "truth.json").write_text("[]")
    guess = guess_reader(tmp_path)
    table = read(guess)
    assert (table.classes, len(table.rows), dict(table.attributes)) == ((), 2, {})
    assert "no classes: nobody has labelled these faces" in guess.said
    assert any(line.startswith("not read: truth.json") for line in guess.said)


def test_records_that_name_loose_images_are_a_table(tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(8)]
    write_images(tmp_path, names)
    (tmp_path / "a_list.json").write_text("[1, 2]")
    (tmp_path / "other.json").write_text('[{"file": "elsewhere.png"}]')
    records = [{"filename": name, "gender": "mf"[n % 2]} for n, name in enumerate(names)]
    (tmp_path / "truth.json").write_text(json.dumps(records))
    table = read(guess_reader(tmp_path))
    assert (table.classes, table.attributes) == ((), {"gender": ("f", "m")})
    assert table.rows["source"].tolist() == names
    assert table.rows["gender"].tolist() == ["m", "f"] * 4


def test_real_fairface540_is_guessed(real_data: Callable[[str], Path]) -> None:
    table = read(guess_reader(real_data("fairface540")))
    assert {name: len(groups) for name, groups in table.attributes.items()} == {
        "age": 9,
        "gender": 2,
    }
    assert len(table.used()) == 540


def test_columns_that_look_like_groups_are_attributes(tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(8)]
    write_images(tmp_path, names)
    rows = [
        {
            "filename": name,
            "gender": ("female", "male")[n % 2],
            "handedness": "left" if n % 3 else "",
            "years": 20 + n,
            "person": f"p{n}",
            "label": ("a", "b")[n % 2],
            "Skin Tone": ("light", "dark")[n // 4],
        }
        for n, name in enumerate(names)
    ]
    write_csv(tmp_path / "meta.csv", rows)
    write_csv(tmp_path / "notes.csv", [{"topic": "one"}, {"topic": "two"}])
    guess = guess_reader(tmp_path)
    table = read(guess)
    assert dict(table.attributes) == {"gender": ("female", "male"), "skin tone": ("dark", "light")}
    assert table.rows["gender"].tolist() == ["female", "male"] * 4
    assert "columns with too many values for groups: years" in guess.said


def test_attributes_in_annotations_are_found(faces_root: Path) -> None:
    guess = guess_reader(faces_root)
    table = read(guess)
    assert {name: set(groups) for name, groups in table.attributes.items()} == {
        "gender": {"female", "male"},
        "age": {"young", "old"},
    }
    assert set(table.rows["split"]) == {"train", "test"}
    assert (guess.data["height"], guess.data["channels"]) == (48, 1)


def test_a_table_is_read_by_the_names_of_its_columns(tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(6)]
    write_images(tmp_path / "photos", names, (300, 200))
    frame = pd.DataFrame(
        {
            "path": names,
            "Emotion": ["happy", "sad"] * 3,
            "subject": ["a", "a", "b", "b", "c", "c"],
            "gender": ["female", "female", "male", "male", "male", "female"],
            "set": ["Training"] * 3 + ["val"] + ["test"] * 2,
        }
    )
    frame.to_csv(tmp_path / "faces.csv", index=False)
    frame.to_parquet(tmp_path / "faces.parquet")
    for file in ("faces.csv", "faces.parquet"):
        guess = guess_reader(tmp_path / file)
        table = read(guess)
        assert table.classes == ("happy", "sad")
        assert dict(table.attributes) == {"gender": ("female", "male")}
        assert table.rows["identity"].tolist() == ["a", "a", "b", "b", "c", "c"]
        assert table.rows["split"].tolist() == ["train"] * 3 + ["validation"] + ["test"] * 2
        assert guess.data["root"] == str(tmp_path / "photos")
        assert guess.data["height"] == 128


def test_a_column_of_other_splits_is_no_split(tmp_path: Path) -> None:
    write_images(tmp_path, ["1.png", "2.png"])
    rows = [{"path": "1.png", "set": "fold1"}, {"path": "2.png", "set": "fold2"}]
    write_csv(tmp_path / "faces.csv", rows)
    assert read(guess_reader(tmp_path / "faces.csv")).rows["split"].isna().all()


def test_generated_faces_are_known(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "faces", generated_rows(12))
    guess = guess_reader(folder)
    table = read(guess)
    assert set(table.classes) == {"negative", "neutral", "positive"}
    assert set(table.attributes) == {"gender", "age", "skin_tone"}
    assert guess.data["height"] == 32


def test_what_holds_no_faces_is_refused_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_csv(tmp_path / "nameless.csv", [{"gender": "female"}])
    write_csv(tmp_path / "nowhere.csv", [{"path": "1.png"}])
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "1.png").write_bytes(b"no image")
    for name, says in (
        ("nothing", "there is nothing at"),
        ("empty", "holds no images"),
        ("nameless.csv", "has the columns gender"),
        ("nowhere.csv", "none of 1 images"),
        ("broken", "none of 1 images"),
    ):
        with pytest.raises(DataError, match=says):
            guess_reader(tmp_path / name)


def test_hidden_folders_and_deep_ones_are_let_be(tmp_path: Path) -> None:
    write_images(tmp_path / "happy", ["1.png"])
    write_images(tmp_path / ".cache", ["2.png"])
    write_images(tmp_path / "sad" / "deep", ["3.png"])
    assert read(guess_reader(tmp_path)).classes == ("happy",)
