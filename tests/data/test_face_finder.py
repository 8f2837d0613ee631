"""Finding faces: rendered ones at known places, and none where there are none."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facebias.data.face_finder import MIN_SCORE, NETWORK_FILE, POINTS, FaceFinder, FoundFace
from tests.portraits import SIZE, landmark, photo

PLACE = (120, 60, SIZE)


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


def assert_is_the_face(face: FoundFace, place: tuple[int, int, int], person: int = 0) -> None:
    """Hold a found face against what was rendered, to 8 % of the side: less than an eye's width."""
    near = 0.08 * place[2]
    for point, name in ((0, "right eye"), (1, "left eye"), (2, "nose tip")):
        off = face.points[point] - landmark(name, place, person)
        assert np.hypot(*off) < near, name
    left, top, right, bottom = face.box
    for name in ("left eye", "right eye", "left mouth corner", "right mouth corner"):
        x, y = landmark(name, place, person)
        assert left < x < right
        assert top < y < bottom
    assert 0.3 * place[2] < right - left < 0.9 * place[2]
    assert MIN_SCORE <= face.score <= 1


@pytest.mark.parametrize("place", [PLACE, (0, 0, SIZE), (224, 104, SIZE), (200, 150, 128)])
def test_a_face_is_found_where_it_is(finder: FaceFinder, place: tuple[int, int, int]) -> None:
    (face,) = finder.find(photo([place]))
    assert_is_the_face(face, place)


@pytest.mark.parametrize("size", [(800, 300), (300, 800)])
def test_a_long_photo_is_not_squeezed(finder: FaceFinder, size: tuple[int, int]) -> None:
    place = (size[0] - 270, size[1] - 270, SIZE)
    (face,) = finder.find(photo([place], size))
    assert_is_the_face(face, place)


def test_the_largest_face_comes_first(finder: FaceFinder) -> None:
    small, large = (10, 30, 160), (200, 60, 260)
    faces = finder.find(photo([small, large]))
    assert len(faces) == 2
    assert faces[0].area > faces[1].area
    assert_is_the_face(faces[0], large, person=1)
    assert_is_the_face(faces[1], small)


def test_a_gray_photo_and_a_colour_one_of_the_same_gray_are_alike(finder: FaceFinder) -> None:
    gray = photo().convert("L")
    (one,), (other,) = finder.find(gray), finder.find(gray.convert("RGB"))
    assert (one.box, one.score) == (other.box, other.score)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 2000), (2000, 1), (480, 360)])
def test_there_is_no_face_in_one_colour(finder: FaceFinder, size: tuple[int, int]) -> None:
    assert finder.find(Image.new("RGB", size, (92, 118, 140))) == []


def test_there_is_no_face_in_noise(finder: FaceFinder) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert finder.find(Image.fromarray(noise)) == []


def test_a_mirrored_photo_has_the_mirrored_face(finder: FaceFinder) -> None:
    (face,) = finder.find(photo())
    (mirrored,) = finder.find(photo().transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    left, top, right, bottom = mirrored.box
    assert (480 - right, top, 480 - left, bottom) == pytest.approx(face.box, abs=0.03 * SIZE)
    assert 480 - mirrored.points[0, 0] == pytest.approx(face.points[1, 0], abs=0.03 * SIZE)


def test_threads_find_what_one_finds(finder: FaceFinder) -> None:
    photos = [photo([(shift, shift // 2, SIZE)]) for shift in range(0, 200, 10)]
    alone = [face.box for each in photos for face in finder.find(each)]
    with ThreadPoolExecutor(4) as pool:
        together = [face.box for faces in pool.map(finder.find, photos) for face in faces]
    assert together == alone
    assert len(alone) == len(photos)


def test_the_network_is_the_one_that_the_notice_names() -> None:
    digest, name = NETWORK_FILE.with_suffix(".sha256").read_text(encoding="utf-8").split()
    assert name == NETWORK_FILE.name
    assert hashlib.sha256(NETWORK_FILE.read_bytes()).hexdigest() == digest
    assert "Apache License" in NETWORK_FILE.with_suffix(".LICENSE.md").read_text(encoding="utf-8")


def test_points_have_names(finder: FaceFinder) -> None:
    (face,) = finder.find(photo())
    assert face.points.shape == (len(POINTS), 2)


def test_every_face_of_the_real_photos_is_found(
    finder: FaceFinder, real_data: Callable[[str], Path]
) -> None:
    photos = sorted(real_data("london").glob("*/*.jpg"))[::10]
    found = [finder.find(Image.open(path)) for path in photos]
    assert len(photos) == 21
    assert [len(faces) for faces in found] == [1] * len(photos)
