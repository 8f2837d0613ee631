from pathlib import Path
from typing import Any

import pytest

from facebias.data.readers.utkface import read_utkface
from facebias.data.table import FaceTable
from facebias.errors import ConfigError, DataError
from tests.lookalikes.utkface import ODD, write_utkface

BANDS = {"young": [0, 29], "old": [30, 116]}
ALL: dict[str, list[str]] = {"gender": [], "race": [], "age": []}


def read(root: Path, classes: list[str] | None = None, **options: Any) -> FaceTable:  # noqa: ANN401
    options = {"age_bands": BANDS, "attributes": ALL, **options}
    return read_utkface(str(root), classes or ["female", "male"], **options)


def named(folder: Path, *names: str) -> FaceTable:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"?")  # a reader reads no pixels
    return read(folder)


def test_names_say_gender_race_and_age(tmp_path: Path) -> None:
    rows = named(tmp_path, "26_0_1_20170116184024662.jpg", "62_1_4_20170109.jpg.chip.jpg").rows
    assert rows["label"].tolist() == ["male", "female"]  # 0 is male
    assert rows["race"].tolist() == ["black", "other"]
    assert rows["age"].tolist() == ["young", "old"]
    assert rows["years"].tolist() == [26, 62]


def test_names_that_lack_a_field_are_listed_and_not_misread(tmp_path: Path) -> None:
    table = read(write_utkface(tmp_path, faces=20))
    left_out = table.rows[table.rows["left_out"] != ""]
    assert set(left_out["source"]) == set(ODD[:3])
    assert left_out["left_out"].str.startswith("its name is not age_gender_race_date").all()
    assert (left_out[["race", "age"]] == "unknown").all(axis=None)
    assert left_out["label"].isna().all()
    assert left_out["years"].isna().all()
    assert len(table.used()) == 22


def test_a_space_or_a_missing_dot_loses_nothing(tmp_path: Path) -> None:
    rows = named(tmp_path, *ODD[3:]).used().set_index("source")
    assert rows.loc[ODD[3], ["label", "race"]].tolist() == ["male", "black"]
    assert rows.loc[ODD[4], ["label", "race"]].tolist() == ["male", "white"]


@pytest.mark.parametrize(
    "name",
    ["26_2_1_20170116184024662.jpg", "26_0_5_20170116184024662.jpg", "117_0_1_20170116184024.jpg",
     "٣_1_1_20170116184024662.jpg", "me.jpg", "26_0_1.jpg", "x26_0_1_20170116184024662.jpg"],
)  # fmt: skip
def test_codes_that_do_not_exist_are_left_out(tmp_path: Path, name: str) -> None:
    rows = named(tmp_path, name, "26_0_1_20170116184024662.jpg").rows.set_index("source")
    assert name in rows.loc[name, "left_out"]
    assert (rows["left_out"] == "").sum() == 1


def test_parts_are_read_as_one_set(tmp_path: Path) -> None:
    parts = read(write_utkface(tmp_path / "parts", parts=3))
    flat = read(write_utkface(tmp_path / "flat"))
    assert len(parts.used()) == len(flat.used()) == 82
    assert {source.split("/")[0] for source in parts.rows["source"]} == {"part1", "part2", "part3"}


def test_a_face_that_lies_there_twice_is_used_once(tmp_path: Path) -> None:
    name = "26_0_1_20170116184024662.jpg"
    table = named(tmp_path, f"UTKFace/{name}.chip.jpg", f"crop_part1/{name}", f"more/{name}")
    assert table.used()["source"].tolist() == [f"UTKFace/{name}.chip.jpg"]
    assert table.rows["left_out"].str.contains("another file has the same face").sum() == 2


@pytest.mark.parametrize(
    ("target", "classes"),
    [("race", ["white", "black", "asian", "indian", "other"]), ("age", ["young", "old"])],
)
def test_any_of_the_three_is_the_target_and_the_others_are_groups(
    tmp_path: Path, target: str, classes: list[str]
) -> None:
    table = read(write_utkface(tmp_path), classes, target=target)
    assert set(table.used()["label"]) == set(classes)
    assert set(table.attributes) == set(ALL) - {target}
    assert table.attributes["gender"] == ("female", "male")


def test_an_age_in_no_band_is_unknown_and_no_label(tmp_path: Path) -> None:
    bands = {"child": [0, 12], "older": [60, 116]}
    write_utkface(tmp_path, odd=False)
    rows = read(tmp_path, age_bands=bands).rows
    assert set(rows.loc[rows["years"].between(13, 59), "age"]) == {"unknown"}
    assert (rows["left_out"] == "").all()
    rows = read(tmp_path, ["child", "older"], age_bands=bands, target="age").rows
    assert set(rows.loc[rows["years"].between(13, 59), "left_out"]) == {"age is not known"}


@pytest.mark.parametrize(
    "bands", [{}, {"young": [30, 0]}, {"young": [0, 30], "old": [30, 116]}, {"young": [0]}]
)
def test_bands_that_are_none_or_overlap_are_refused(
    tmp_path: Path, bands: dict[str, list[int]]
) -> None:
    write_utkface(tmp_path, faces=2)
    with pytest.raises(ConfigError, match="age_bands"):
        read(tmp_path, age_bands=bands)


def test_without_the_data_the_error_says_where_it_comes_from(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match=r"UTKFace|no folder") as caught:
            read(root)
        assert "age_gender_race_date" in caught.value.expected
        assert "data=faces" in caught.value.todo


def test_a_target_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="smile"):
        read(write_utkface(tmp_path, faces=2), target="smile")
