import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from facebias.data.bias import NOT_COMPOSED, AllFaces, AttributeShares
from facebias.data.images import FaceFormat
from facebias.data.prepare import PreparedFaces, prepare_faces, store_faces
from facebias.data.readers.folders import read_class_folders
from facebias.data.table import FaceTable
from facebias.errors import DataError
from tests.data.made_tables import face_rows, face_table
from tests.drawn_faces import ATTRIBUTES, CLASSES

SPLITS = {"train": "train", "test": "test"}
WOMEN = AttributeShares("women", "gender", {"female": 1}, [{"male": 1}])


def prepared(
    root: Path,
    bias: AllFaces | AttributeShares | None = None,
    *,
    cache: Path | None = None,
    copies: str = "drop",
    folds: int = 4,
    statistics: str = "channel",
    max_bad: int = 0,
    table: FaceTable | None = None,
) -> PreparedFaces:
    return prepare_faces(
        table or read_class_folders(str(root), CLASSES, ATTRIBUTES, SPLITS),
        bias or AllFaces(),
        face_format=FaceFormat(16, 16, 1),
        cache=cache,
        seed=0,
        folds=folds,
        fold=0,
        stratify=("gender",),
        copies=copies,
        statistics=statistics,
        max_bad=max_bad,
    )


@pytest.fixture
def own_root(faces_root: Path, tmp_path: Path) -> Path:
    """Return a copy of the drawn faces that a test may change."""
    return shutil.copytree(faces_root, tmp_path / "faces")


def test_copies_are_dropped_and_splits_drawn(faces_root: Path) -> None:
    faces = prepared(faces_root)
    assert faces.splits == ("train", "validation", "test")
    assert {split: len(faces.rows(split)) for split in faces.splits} == {
        "train": 120,
        "validation": 40,
        "test": 64,
    }
    assert faces.class_counts() == [30] * 4
    assert not faces.table.used()["id"].str.contains("_flipped").any()


def test_copies_are_used_when_they_are_only_reported(faces_root: Path) -> None:
    faces = prepared(faces_root, copies="report")
    assert len(faces.table.used()) == 384


def test_each_row_finds_its_own_pixels(faces_root: Path) -> None:
    faces = prepared(faces_root)
    rows = faces.rows("validation")
    stored = faces.store.read(rows["row"].to_numpy())
    single = decoded_alone(faces_root, rows["source"].iloc[5])
    np.testing.assert_array_equal(stored[5], single)


def decoded_alone(root: Path, source: str) -> NDArray[np.uint8]:
    table = face_table(face_rows(["happy"]).assign(source=source))
    _, store = store_faces(
        FaceTable(table.rows, root, table.classes, table.attributes),
        FaceFormat(16, 16, 1),
        None,
        0,
    )
    face: NDArray[np.uint8] = store.read(np.array([0]))[0]
    return face


def test_store_on_disk_and_decoding_on_read_prepare_the_same(
    faces_root: Path, tmp_path: Path
) -> None:
    disk, read = prepared(faces_root, cache=tmp_path), prepared(faces_root)
    pd.testing.assert_frame_equal(disk.table.rows, read.table.rows)
    rows = np.arange(len(disk.store))
    np.testing.assert_array_equal(disk.store.read(rows), read.store.read(rows))


@pytest.mark.parametrize("statistics", ["channel", "pixel"])
def test_twins_share_validation_test_statistics_and_source(
    faces_root: Path, statistics: str
) -> None:
    everyone = prepared(faces_root, statistics=statistics)
    women = prepared(faces_root, WOMEN, statistics=statistics)
    for split in ("validation", "test"):
        pd.testing.assert_frame_equal(women.rows(split), everyone.rows(split))
    np.testing.assert_array_equal(women.statistics.mean, everyone.statistics.mean)
    pixels = everyone.store.read(everyone.rows("train")["row"].to_numpy()) / 255
    axes = (0, 1, 2) if statistics == "channel" else 0
    np.testing.assert_allclose(
        women.statistics.mean.squeeze(), pixels.mean(axes).squeeze(), rtol=1e-5
    )
    assert women.source_cells.to_numpy().sum() == 120
    assert women.cells()["male"].sum() == 0
    assert women.class_counts() == women.cells()["female"].tolist()


def test_bad_images_are_listed_and_the_rest_goes_on(own_root: Path) -> None:
    (own_root / "train" / "happy" / "im1.png").write_bytes(b"")
    (own_root / "test" / "happy" / "im1.png").write_text("no image")
    rows = prepared(own_root, max_bad=2).table.rows.set_index("id")
    assert rows.loc["train/happy/im1.png", "left_out"] == "bad image: zero bytes"
    assert rows.loc["test/happy/im1.png", "left_out"].startswith("bad image: not an image")
    # Its upside-down copy is no copy of a face that is used, so it stays.
    assert rows.loc["train/happy/im1_flipped.png", "left_out"] == ""


def test_too_many_bad_images_stop(own_root: Path) -> None:
    for number in (1, 5):
        (own_root / "train" / "happy" / f"im{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match="zero bytes") as caught:
        prepared(own_root, max_bad=1)
    assert "max_bad" in caught.value.todo


def test_a_line_without_image_has_no_row_in_the_store(own_root: Path) -> None:
    (own_root / "train" / "happy" / "im1.png").unlink()
    rows = prepared(own_root).table.rows.set_index("id")
    assert rows.loc["train/happy/im1.png", "row"] == -1
    assert rows.loc["train/happy/im1.png", "left_out"].startswith("no image: named in meta.csv")
    assert sorted(rows["row"]) == list(range(-1, 383))


def test_a_table_without_faces_is_refused() -> None:
    rows = face_rows(["happy"]).assign(left_out="no image")
    with pytest.raises(DataError, match="no face that can be used: left out 1: no image"):
        store_faces(face_table(rows), FaceFormat(16, 16, 1), None, 0)


def test_a_table_without_labels_says_where_they_are_looked_for() -> None:
    table = face_table(face_rows([None, None]))
    with pytest.raises(DataError, match="left out 2: no label") as caught:
        prepared(Path("faces"), table=table)
    assert caught.value.expected == "faces with a label, one of happy, neutral"
    assert "data.reader.columns: {label: COLUMN}" in caught.value.todo


def test_a_validation_split_without_a_class_is_refused(own_root: Path) -> None:
    for path in (own_root / "train" / "happy").glob("im*.png"):
        if path.name not in ("im1.png", "im5.png"):
            path.unlink()
    with pytest.raises(DataError, match=r"the validation split has .* none of happy") as caught:
        prepared(own_root, folds=30)
    assert "data.folds" in caught.value.todo


def test_the_split_file_says_of_every_face_where_it_went(faces_root: Path, tmp_path: Path) -> None:
    faces = prepared(faces_root, WOMEN)
    faces.write(tmp_path)
    written = pd.read_parquet(tmp_path / "split.parquet")
    assert len(written) == len(faces.table.rows) == 384
    reasons = written["left_out"].str.replace(r"of .*", "of", regex=True).value_counts().to_dict()
    taken = sum(faces.class_counts())
    assert reasons == {"flipped copy of": 160, "": 104 + taken, NOT_COMPOSED: 120 - taken}
    assert {path.name for path in tmp_path.iterdir()} == {
        "split.parquet",
        "composition.json",
        "normalisation.json",
        "leaks.csv",
        "leaks.png",
    }


def test_a_bad_image_is_found_behind_a_face_that_was_left_out(tmp_path: Path) -> None:
    (tmp_path / "face1.png").write_bytes(b"")
    (tmp_path / "face2.png").write_bytes(b"P5 1 1 255 x")
    rows = face_rows(["happy"] * 3)
    rows.loc[0, "left_out"] = "no image"
    table, _ = store_faces(FaceTable(rows, tmp_path, ("happy",), {}), FaceFormat(4, 4, 1), None, 1)
    assert table.rows["left_out"].tolist() == ["no image", "bad image: zero bytes", ""]
    assert table.rows["row"].tolist() == [-1, 0, 1]


def test_copies_that_are_used_after_all_are_reported(
    faces_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        faces = prepared(faces_root, copies="report")
    assert len(faces.rows("train")) + len(faces.rows("validation")) == 320
    assert "(data.copies=report uses all, and may part near copies)" in caplog.text
    assert "160 upside_down (0 across splits)" in caplog.text
    assert faces.leaks is not None
    assert set(faces.leaks["left_out"]) == {""}


def test_copies_stop_where_they_are_errors(faces_root: Path) -> None:
    with pytest.raises(DataError, match=r"160 upside_down \(0 across splits\)") as caught:
        prepared(faces_root, copies="error")
    assert "data.copies=drop" in caught.value.todo


def test_unlabelled_faces_are_left_out(faces_root: Path) -> None:
    table = read_class_folders(str(faces_root), CLASSES, ATTRIBUTES, SPLITS)
    rows = table.rows.copy()
    unlabelled = rows.index[rows["split"] == "train"][:5]
    rows.loc[unlabelled, "label"] = None
    faces = prepared(faces_root, table=table.with_rows(rows), copies="report")
    assert (faces.table.rows.loc[unlabelled, "left_out"] == "no label").all()
    assert len(faces.rows("train")) + len(faces.rows("validation")) == 320 - 5


def test_attributes_that_nobody_speaks_of_are_refused(own_root: Path) -> None:
    for file in own_root.rglob("*.csv"):
        file.unlink()
    with pytest.raises(DataError, match="nobody says the gender"):
        prepared(own_root)


def test_how_many_groups_are_unknown_is_said(
    faces_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        prepared(faces_root)
    assert "age: 2 of 384 unknown" in caplog.text
    assert "gender:" not in caplog.text


def test_one_class_is_refused(faces_root: Path) -> None:
    table = read_class_folders(str(faces_root / "test" / "happy"), ["happy"])
    with pytest.raises(DataError, match="classes happy"):
        prepared(faces_root, table=table)
