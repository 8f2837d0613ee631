import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facebias.data.readers.folders import find_images, read_class_folders
from facebias.data.table import FaceTable
from facebias.errors import ConfigError, DataError
from tests.drawn_faces import ATTRIBUTES, CLASSES
from tests.lookalikes.ckplus import write_ckplus

SPLITS = {"train": "train", "test": "test"}
CLASSES_OF_TWO = ["happy", "neutral"]
GENDER = {"gender": ["female", "male"]}


def add_image(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), value, np.uint8)).save(path, format="PNG")
    return path


def two_classes(root: Path) -> Path:
    for number, name in enumerate(("happy/im1.png", "happy/im2.png", "neutral/im3.png")):
        add_image(root / name, number)
    return root


def read(
    root: Path, csv: str | None = None, label_map: Mapping[str, str] | None = None
) -> FaceTable:
    if csv is not None:
        (root / "happy" / "meta.csv").write_text(csv, encoding="utf-8")
    return read_class_folders(str(root), ["happy", "neutral"], GENDER, label_map=label_map)


def genders(table: FaceTable) -> dict[str, str]:
    return dict(zip(table.used()["id"], table.used()["gender"], strict=True))


# Whole data sets


def test_drawn_faces_are_read_with_their_quirks(faces_root: Path) -> None:
    rows = read_class_folders(str(faces_root), CLASSES, ATTRIBUTES, SPLITS).used()
    assert rows.groupby(["split", "label"]).size().to_dict() == {
        (split, label): each for split, each in (("train", 80), ("test", 16)) for label in CLASSES
    }
    assert rows.loc[rows["age"] == "unknown", "id"].tolist() == [
        "train/focused/im0.png",
        "train/focused/im0_flipped.png",
    ]
    assert (rows["gender"] != "unknown").all()
    assert rows.loc[rows["id"] == "train/happy/im5.png", "gender"].item() == "male"


def test_real_emotions_have_the_published_counts(real_data: Callable[[str], Path]) -> None:
    table = read_class_folders(str(real_data("emotions")), CLASSES, ATTRIBUTES, SPLITS)
    rows = table.used()
    flipped = rows["id"].str.endswith("_flipped.png")
    assert len(table.rows) == len(rows) == 2796
    assert rows.groupby([rows["split"], flipped]).size().to_dict() == {
        ("train", False): 1196,
        ("train", True): 1196,
        ("test", False): 404,
    }
    assert (rows["gender"] != "unknown").all()
    unknown = rows.loc[rows["age"] == "unknown", "id"].tolist()
    assert len(unknown) == 2
    assert unknown[1] == unknown[0].replace(".png", "_flipped.png")


def test_real_london_is_read_by_the_ids_at_its_root(real_data: Callable[[str], Path]) -> None:
    table = read_class_folders(
        str(real_data("london")),
        ["happy", "neutral"],
        {"gender": ["female", "male"], "ethnicity": []},
        label_map={"smiling": "happy"},
        columns={"source": "face_id", "gender": "face_gender", "ethnicity": "face_eth"},
    )
    rows = table.used()
    assert rows["label"].value_counts().to_dict() == {"happy": 102, "neutral": 102}
    assert (rows["gender"] != "unknown").all()
    assert rows.loc[rows["id"] == "smiling/001.jpg", "gender"].item() == "female"
    assert table.attributes["ethnicity"] == (
        "black", "east_asian", "east_asian/white", "west_asian", "white"
    )  # fmt: skip
    assert table.used()["split"].isna().all()


# Layouts


def test_own_folder_without_splits_is_read(tmp_path: Path) -> None:
    rows = read(two_classes(tmp_path)).used()
    assert rows["source"].tolist() == ["happy/im1.png", "happy/im2.png", "neutral/im3.png"]
    assert rows["label"].tolist() == ["happy", "happy", "neutral"]
    assert rows["split"].isna().all()


def test_flat_folder_has_no_labels(tmp_path: Path) -> None:
    add_image(tmp_path / "b.png")
    add_image(tmp_path / "a.png")
    (tmp_path / "notes").mkdir()
    (tmp_path / "meta.csv").write_text("filename,gender\na,male\n")
    table = read(tmp_path)
    assert genders(table) == {"a.png": "male", "b.png": "unknown"}
    assert table.rows["label"].isna().all()


def test_odd_names_are_read(tmp_path: Path) -> None:
    names = ["a b.png", "é 顔.PNG", "x..y.jpeg", "c,d.png"]
    for name in names:
        add_image(tmp_path / "happy" / name)
    csv = 'filename,gender\na b.png,male\né 顔.PNG,male\nX..Y,male\n"c,d.png",male\n'
    assert genders(read(tmp_path, csv)) == {f"happy/{name}": "male" for name in names}


def test_hidden_and_other_files_are_let_be(tmp_path: Path) -> None:
    root = two_classes(tmp_path)
    add_image(root / ".checkpoints" / "im1.png")
    (root / "happy" / "._im1.png").write_bytes(b"\0\5\26\7")
    (root / "happy" / "._meta.csv").write_bytes(b"\0\5\26\7")
    (root / "happy" / "readme.txt").write_text("hello")
    (root / "happy" / "folder.png").mkdir()
    assert len(read(root).rows) == 3
    assert [path.name for path in find_images(root / "happy")] == ["im1.png", "im2.png"]


@pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="needs such names")
def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    root = two_classes(tmp_path)
    add_image(Path(os.fsdecode(os.fsencode(root) + b"/happy/im\xff.png")))
    with pytest.raises(DataError, match=r"not UTF-8: b'im\\xff.png'"):
        read(root)


# Wrong layouts


def test_a_missing_root_is_named_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder") as caught:
        read_class_folders(str(tmp_path / "absent"), ["happy"], splits=SPLITS)
    assert "train/<class>/*.png" in caught.value.expected
    assert "data.root" in caught.value.todo


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    add_image(tmp_path / "train" / "happy" / "im1.png")
    with pytest.raises(DataError, match="no folder 'test'"):
        read_class_folders(str(tmp_path), ["happy"], splits=SPLITS)


def test_an_empty_class_folder_is_refused(tmp_path: Path) -> None:
    root = two_classes(tmp_path)
    (root / "neutral" / "im3.png").unlink()
    with pytest.raises(DataError, match="neutral has no images"):
        read(root)


def test_a_class_that_a_split_lacks_is_refused(tmp_path: Path) -> None:
    for name in ("train/happy/a.png", "train/neutral/b.png", "test/happy/c.png"):
        add_image(tmp_path / name)
    with pytest.raises(DataError, match="test has no images of neutral"):
        read_class_folders(str(tmp_path), ["happy", "neutral"], splits=SPLITS)


def test_a_folder_without_images_hints_at_splits(tmp_path: Path) -> None:
    add_image(tmp_path / "train" / "happy" / "a.png")
    with pytest.raises(DataError, match="holds no images") as caught:
        read(tmp_path)
    assert "data.reader.splits" in caught.value.todo


def test_an_unknown_class_folder_is_refused_until_it_is_mapped(tmp_path: Path) -> None:
    add_image(two_classes(tmp_path) / "joy" / "im4.png")
    with pytest.raises(DataError, match="folder 'joy' with 1 images") as caught:
        read(tmp_path)
    assert "label_map: {joy: CLASS}" in caught.value.todo
    assert read(tmp_path, label_map={"joy": "happy"}).rows["label"].eq("happy").sum() == 3


def test_images_beside_class_folders_are_refused(tmp_path: Path) -> None:
    add_image(two_classes(tmp_path) / "im4.png")
    with pytest.raises(DataError, match="1 images beside its class folders"):
        read(tmp_path)


# People


def test_faces_of_a_person_whose_name_is_in_the_files_share_an_identity(tmp_path: Path) -> None:
    write_ckplus(tmp_path, people=3)
    table = read_class_folders(
        str(tmp_path),
        ["anger", "contempt", "disgust", "fear", "happy", "sad", "surprise"],
        label_map={"sadness": "sad"},
        identity_pattern="(S[0-9]+)_",
    )
    assert table.rows["identity"].value_counts().to_dict() == {"S010": 21, "S017": 21, "S024": 21}
    assert table.rows["id"].is_unique
    assert set(table.rows["label"]) == set(table.classes)


def test_a_name_that_does_not_say_the_person_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"happy/im1\.png does not say the person"):
        read_class_folders(
            str(two_classes(tmp_path)), CLASSES_OF_TWO, identity_pattern="(S[0-9]+)_"
        )


@pytest.mark.parametrize("pattern", ["S[0-9]+", "(S)([0-9]+)", "(S"])
def test_a_pattern_without_one_group_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match="identity_pattern"):
        read_class_folders(str(two_classes(tmp_path)), CLASSES_OF_TWO, identity_pattern=pattern)


# Side tables


def test_a_line_without_its_image_is_listed_with_the_reason(tmp_path: Path) -> None:
    table = read(two_classes(tmp_path), "filename,gender\nim1.png,male\nim9.png,male\n")
    left_out = table.rows[table.rows["left_out"] != ""]
    assert left_out["source"].tolist() == ["happy/im9.png"]
    assert left_out["left_out"].tolist() == ["no image: named in meta.csv, line 3"]
    assert len(table.used()) == 3


def test_an_image_without_its_line_is_unknown(tmp_path: Path) -> None:
    table = read(two_classes(tmp_path), "filename,gender\nim1.png,male\n")
    assert genders(table) == {
        "happy/im1.png": "male",
        "happy/im2.png": "unknown",
        "neutral/im3.png": "unknown",
    }


@pytest.mark.parametrize(
    "key", ["im1.png", "im1", "IM1.PNG", "./im1.png", "../happy/im1.png", ".\\im1.png"]
)
def test_an_image_may_be_named_in_many_ways(tmp_path: Path, key: str) -> None:
    table = read(two_classes(tmp_path), f"filename,gender\n{key},male\n")
    assert genders(table)["happy/im1.png"] == "male"
    assert len(table.rows) == 3


def test_names_that_differ_by_case_are_two_images(tmp_path: Path) -> None:
    add_image(tmp_path / "happy" / "im1.png")
    add_image(tmp_path / "happy" / "IM1.png")
    if len(list((tmp_path / "happy").iterdir())) == 1:
        pytest.skip("this file system knows one case")
    table = read(tmp_path, "filename,gender\nim1.png,male\nIM1.png,female\n")
    assert genders(table) == {"happy/im1.png": "male", "happy/IM1.png": "female"}


def test_a_file_speaks_of_the_images_below_its_folder_only(tmp_path: Path) -> None:
    add_image(two_classes(tmp_path) / "neutral" / "im1.png")
    table = read(tmp_path, "filename,gender\nim1.png,male\n")
    assert genders(table)["neutral/im1.png"] == "unknown"


def test_files_with_an_upper_case_suffix_are_read(tmp_path: Path) -> None:
    (two_classes(tmp_path) / "META.CSV").write_text("filename,gender\nhappy/im1.png,male\n")
    assert genders(read(tmp_path))["happy/im1.png"] == "male"


@pytest.mark.parametrize(
    "key",
    [
        "../../etc/passwd",
        "../../../../../../etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        "..\\..\\etc\\passwd",
        "\\etc\\passwd",
        "C:\\secret.png",
        "C:/secret.png",
        "im1.png/../../../secret.png",
    ],
)
def test_a_path_out_of_the_root_names_file_and_line(tmp_path: Path, key: str) -> None:
    add_image(tmp_path / "secret.png")
    root = two_classes(tmp_path / "root")
    with pytest.raises(DataError, match=r"meta\.csv, line 3: .* leads out of"):
        read(root, f"filename,gender\nim1.png,male\n{key},male\n")


def test_two_files_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    (two_classes(tmp_path) / "all.csv").write_text("filename,gender\nim1.png,female\n")
    with pytest.raises(DataError, match=r"line 2: gender of happy/im1\.png is 'male'.*'female'"):
        read(tmp_path, "filename,gender\nim1.png,male\n")


def test_a_missing_value_does_not_wipe_a_known_one(tmp_path: Path) -> None:
    (two_classes(tmp_path) / "all.csv").write_text("filename,gender\nim1.png,female\n")
    assert genders(read(tmp_path, "filename,gender\nim1.png,\n"))["happy/im1.png"] == "female"


def test_groups_that_are_not_declared_are_those_found(tmp_path: Path) -> None:
    (two_classes(tmp_path) / "m.csv").write_text("filename,mood\nim1,b\nim2,a\n")
    table = read_class_folders(str(tmp_path), ["happy", "neutral"], {"mood": []})
    assert table.attributes == {"mood": ("a", "b")}


def test_a_file_name_of_several_images_is_refused_and_a_path_or_a_person_is_not(
    tmp_path: Path,
) -> None:
    for label in ("happy", "neutral"):
        (tmp_path / label).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / label / "0.png")

    def read(*lines: str) -> list[str]:
        (tmp_path / "people.csv").write_text("\n".join(["filename,gender", *lines]))
        table = read_class_folders(str(tmp_path), ["happy", "neutral"], {"gender": []})
        return [str(group) for group in table.rows["gender"]]

    with pytest.raises(DataError, match="names 2 images"):
        read("0.png,female")
    assert read("happy/0.png,female", "neutral/0.png,male") == ["female", "male"]
    assert read("0,female") == ["female", "female"]
