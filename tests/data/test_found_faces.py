"""Faces of photos that are found while the store is built."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facebias.data.bias import AllFaces
from facebias.data.found_faces import NO_FACE, count_found, finder_checksum
from facebias.data.images import BadImageError, FaceFormat, decode_face
from facebias.data.prepare import PreparedFaces, store_faces
from facebias.data.readers.folders import read_class_folders
from facebias.data.statistics import PixelStatistics
from facebias.data.store import store_key
from facebias.data.table import BOX
from facebias.errors import DataError
from tests.portraits import photo

FOUND = FaceFormat(40, 30, 1, margin=0.1, finder=finder_checksum())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of two classes, a face and a photo without one in each."""
    for name in ("happy", "neutral"):
        (tmp_path / name).mkdir()
        photo().save(tmp_path / name / "face.png")
        Image.new("RGB", (300, 200), (90, 120, 140)).save(tmp_path / name / "wall.png")
    return tmp_path


def test_a_photo_without_a_face_is_left_out_and_is_no_bad_image(photos: Path) -> None:
    table = read_class_folders(str(photos), ["happy", "neutral"])
    stored, store = store_faces(table, FOUND, photos / "cache", max_bad=0)
    missed = stored.rows[stored.rows["left_out"] != ""]
    assert set(missed["left_out"]) == {NO_FACE}
    assert [Path(source).name for source in missed["source"]] == ["wall.png"] * 2
    again, _ = store_faces(table, FOUND, photos / "cache", max_bad=0)
    assert again.rows["left_out"].tolist() == stored.rows["left_out"].tolist()
    assert np.isnan(store.crops[missed["row"]]).all()


def test_who_is_missed_is_counted_by_group_and_listed(photos: Path) -> None:
    for name in ("happy", "neutral"):
        photo().save(photos / name / "other.png")
    (photos / "happy" / "wall.png").unlink()
    table = read_class_folders(str(photos), ["happy", "neutral"])
    table = table.with_rows(table.rows.assign(split="test"))
    stored, store = store_faces(table, FOUND, photos / "cache", max_bad=0)
    nothing = PixelStatistics(np.zeros(0, np.float32), np.zeros(0, np.float32))
    cells, bias = stored.cells("train"), AllFaces("none")
    faces = PreparedFaces(stored, store, nothing, cells, bias, detected=True)
    assert faces.says() == [
        "faces were found in 4 of 5 photos (80.0%); found.csv",
        "faces found by label: from 66.7% (neutral, 2 of 3) to 100.0% (happy); who is missed is "
        "not in the set",
    ]
    faces.write(photos)
    shares = pd.read_csv(photos / "found.csv").set_index(["by", "group"])["share"]
    assert shares["label", "neutral"] == pytest.approx(2 / 3)
    assert pd.read_csv(photos / "misses.csv")["photo"].tolist() == ["neutral/wall.png"]


def test_a_found_face_is_a_part_of_its_photo_in_the_shape_of_the_face(photos: Path) -> None:
    face = decode_face(photos / "happy" / "face.png", FOUND)
    left, top, right, bottom = face.crop
    assert face.pixels.shape == (40, 30, 1)
    assert (right - left) / (bottom - top) == pytest.approx(30 / 40)
    assert 120 <= (left + right) / 2 <= 376
    assert right - left < 300
    with pytest.raises(BadImageError, match=NO_FACE):
        decode_face(photos / "happy" / "wall.png", FOUND)


def test_the_finder_and_the_margin_make_another_store(photos: Path) -> None:
    sources = [photos / "happy" / "face.png"]
    forms = (
        FOUND,
        FaceFormat(40, 30, 1, 0.2, FOUND.finder),
        FaceFormat(40, 30, 1, 0.1, "0" * 64),
        FaceFormat(40, 30, 1, 0.1),
    )
    assert len({store_key(sources, form) for form in forms}) == len(forms)


def test_boxes_of_a_reader_beside_the_finder_are_refused(photos: Path) -> None:
    table = read_class_folders(str(photos), ["happy", "neutral"])
    boxed = table.with_rows(table.rows.assign(**dict.fromkeys(BOX, 1.0)))
    with pytest.raises(DataError, match="one source of boxes"):
        store_faces(boxed, FOUND, None, max_bad=0)


def test_photos_without_any_face_are_refused(photos: Path) -> None:
    for name in ("happy", "neutral"):
        (photos / name / "face.png").unlink()
    table = read_class_folders(str(photos), ["happy", "neutral"])
    with pytest.raises(DataError, match="no face was found in the 2 photos"):
        store_faces(table, FOUND, None, max_bad=0)


def test_shares_are_of_the_photos_that_can_be_read() -> None:
    rows = pd.DataFrame(
        {
            "label": ["a", "a", "b", "b"],
            "split": ["train"] * 4,
            "sex": ["f", "f", "m", "m"],
            "reason": ["", NO_FACE, "", "bad image: zero bytes"],
        }
    )
    shares = count_found(rows, {"sex": ["f", "m"]}).set_index(["by", "group"])["share"]
    assert shares["all", "all"] == pytest.approx(2 / 3)
    assert shares["sex", "f"] == 0.5
    assert shares["sex", "m"] == 1
