import numpy as np
import pytest
from PIL import Image

from facebias.data.follow import follow_codes, follow_points
from facebias.data.images import FaceFormat, cut_face
from facebias.errors import DataError


def picture(points: list[tuple[int, int]], size: tuple[int, int]) -> Image.Image:
    """Return a black image with a white square of 6 x 6 pixels around each point."""
    pixels = np.zeros((size[1], size[0]), np.uint8)
    for x, y in points:
        pixels[y - 3 : y + 3, x - 3 : x + 3] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("box", [None, (10, 20, 70, 90)])
@pytest.mark.parametrize("size", [(60, 50), (30, 20)])
def test_a_landmark_stays_on_what_it_marks(
    box: tuple[int, ...] | None, size: tuple[int, int]
) -> None:
    face_format = FaceFormat(*size, 1, margin=0.1)
    face = cut_face(picture([(40, 55)], (80, 100)), face_format, box)
    (found,) = follow_points([[40.0, 55.0]], np.array([face.crop]), size)
    assert found is not None
    light = face.pixels[..., 0].astype(float)
    middle = [
        (light.sum(axis=axis) @ (np.arange(side) + 0.5)) / light.sum()
        for axis, side in ((0, size[1]), (1, size[0]))
    ]
    assert found[0].tolist() == pytest.approx(middle, abs=0.3)


@pytest.mark.parametrize("box", [None, (10, 20, 70, 90)])
def test_a_region_stays_on_what_it_marks(box: tuple[int, ...] | None) -> None:
    image = picture([(30, 40), (50, 70)], (80, 100))
    face = cut_face(image, FaceFormat(56, 48, 1), box)
    codes = (np.asarray(image) > 0).astype(np.uint8)
    followed = follow_codes([codes], np.array([face.crop]), (56, 48))[0]
    light = face.pixels[..., 0] > 127
    assert (followed == light).mean() > 0.99
    assert followed.sum() == pytest.approx(light.sum(), rel=0.15)


def test_a_whole_image_keeps_its_codes_and_points() -> None:
    codes = np.random.default_rng(0).integers(0, 22, (2, 9, 7)).astype(np.uint8)
    crops = np.array([[0, 0, 7, 9]] * 2, np.float32)
    assert (follow_codes(codes, crops, (9, 7)) == codes).all()
    kept = follow_points([[1, 2, 3, 4], None], crops, (9, 7))
    assert kept[0] is not None
    assert kept[0].tolist() == [[1, 2], [3, 4]]
    assert kept[1] is None


def test_who_has_no_landmarks_or_no_image_has_no_points() -> None:
    crops = np.array([[0, 0, 4, 4], [np.nan] * 4], np.float32)
    assert follow_points([float("nan"), [1, 2]], crops, (4, 4)) == [None, None]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="3 numbers"):
        follow_points([[1, 2, 3]], np.array([[0, 0, 4, 4]]), (4, 4))
    with pytest.raises(DataError, match="one a face"):
        follow_points([[1, 2]], np.zeros((2, 4)), (4, 4))
    with pytest.raises(DataError, match="of which 0 known"):
        follow_codes(np.zeros((1, 4, 4), np.uint8), np.full((1, 4), np.nan), (4, 4))
