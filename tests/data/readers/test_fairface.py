import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facebias.data.readers.fairface import GROUPS, read_fairface
from facebias.data.readers.tables import read_table
from facebias.data.table import FaceTable
from facebias.errors import ConfigError, DataError
from tests.lookalikes.fairface import write_fairface

ALL: dict[str, list[str]] = {"gender": [], "race": [], "age": []}


def read(root: Path, classes: list[str] | None = None, **options: Any) -> FaceTable:  # noqa: ANN401
    options = {"attributes": ALL, **options}
    return read_fairface(str(root), classes or ["female", "male"], **options)


def test_the_official_validation_is_the_test(tmp_path: Path) -> None:
    table = read(write_fairface(tmp_path, train=126, val=42))
    assert table.rows["split"].value_counts().to_dict() == {"train": 126, "test": 42}
    assert table.rows["source"].iloc[[0, 126]].tolist() == ["train/1.jpg", "val/1.jpg"]
    assert all((tmp_path / source).is_file() for source in table.rows["source"])


def test_groups_have_plain_names(tmp_path: Path) -> None:
    table = read(write_fairface(tmp_path))
    first = table.rows.iloc[8]
    assert (first["label"], first["race"], first["age"]) == ("female", "black", "70+")
    assert set(table.rows["race"]) == set(GROUPS["race"])
    assert set(table.rows["age"]) == set(GROUPS["age"])
    assert "latino_hispanic" in GROUPS["race"]
    assert table.rows["service_test"].tolist()[:4] == [True, False, False, True]


@pytest.mark.parametrize("target", ["race", "age"])
def test_any_of_the_three_is_the_target_and_the_others_are_groups(
    tmp_path: Path, target: str
) -> None:
    table = read(write_fairface(tmp_path), list(GROUPS[target]), target=target)
    assert set(table.rows["label"]) == set(GROUPS[target])
    assert set(table.attributes) == set(ALL) - {target}


def test_a_class_that_is_not_asked_for_is_left_out(tmp_path: Path) -> None:
    table = read(write_fairface(tmp_path), ["white", "black"], target="race")
    assert set(table.used()["label"]) == {"white", "black"}
    assert len(table.used()) == 2 * 168 // 7


@pytest.mark.parametrize(
    ("found", "instead", "message"),
    [
        ("train/3.jpg,10-19,Female", "train/3.jpg,10-19,woman", r"train\.csv, line 4: gender is"),
        ("East Asian", "Asian", "line 5: race is 'Asian'"),
        ("more than 70", "70+", "line 10: age is '70\\+'"),
        ("file,age,gender,race", "file,age,sex,race", "the column gender"),
        ("train/2.jpg", "../2.jpg", r"train\.csv, line 3: .*leads out"),
        ("train/2.jpg", "/etc/passwd", r"train\.csv, line 3: .*leads out"),
        ("train/2.jpg", "train/1.jpg", r"train\.csv, line 3: train/1.jpg stands twice"),
        ("train/2.jpg", "", r"train\.csv, line 3: there is no file"),
    ],
)
def test_what_is_wrong_in_a_csv_is_named(
    tmp_path: Path, found: str, instead: str, message: str
) -> None:
    file = write_fairface(tmp_path) / "fairface_label_train.csv"
    file.write_text(file.read_text().replace(found, instead, 1))
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path)
    assert "columns:" not in caught.value.todo  # the reader has no such key


@pytest.mark.parametrize("absent", ["fairface_label_val.csv", "val", "fairface_label_train.csv"])
def test_without_the_data_the_error_says_where_it_comes_from(tmp_path: Path, absent: str) -> None:
    write_fairface(tmp_path)
    (tmp_path / absent).rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="no files of FairFace") as caught:
        read(tmp_path)
    assert "fairface_label_train.csv" in caught.value.expected
    assert "CC BY 4.0" in caught.value.todo
    assert "data=faces" in caught.value.todo


def test_unknown_names_in_the_configuration_are_refused(tmp_path: Path) -> None:
    write_fairface(tmp_path)
    with pytest.raises(ConfigError, match="Male"):
        read(tmp_path, ["Male", "female"])
    with pytest.raises(ConfigError, match="ethnicity"):
        read(tmp_path, attributes={"ethnicity": []})


# Real faces through the readers of any data set


def test_real_fairface540_is_read_as_a_table(
    tmp_path: Path, real_data: Callable[[str], Path]
) -> None:
    folder = real_data("fairface540")
    records = json.loads((folder / "ground_truth.json").read_text())
    with (tmp_path / "faces.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, records[0])
        writer.writeheader()
        writer.writerows(records)
    images = sorted(path.parent for path in folder.rglob(records[0]["filename"]))[0]
    table = read_table(
        str(tmp_path / "faces.csv"),
        str(images),
        ["female", "male"],
        {"age": []},
        label_map={"Female": "female", "Male": "male"},
        columns={"label": "gender", "source": "filename"},
    )
    assert table.used().groupby(["label", "age"]).size().eq(30).all()
    assert len(table.attributes["age"]) == 9
    assert all((images / source).is_file() for source in table.rows["source"])
