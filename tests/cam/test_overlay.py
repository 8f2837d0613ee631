import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from facebias.cam.overlay import colour_bar, overlay
from facebias.errors import DataError

# The lightest, a middle and the darkest of the ten Monk skin tones.
SKINS = np.array([[246, 237, 228], [160, 126, 86], [41, 36, 32]], np.uint8)


def faces(side: int = 32) -> NDArray[np.uint8]:
    return np.tile(SKINS[:, None, None], (1, side, side, 1))


def test_skin_shows_as_is_where_the_map_is_zero() -> None:
    maps = np.zeros((3, 32, 32), np.float32)
    maps[:, 8, 8] = 1
    painted = overlay(faces(), maps)
    changed = (painted != faces()).any(axis=3)
    assert changed.sum() == 3
    assert changed[:, 8, 8].all()


def test_the_map_shows_on_every_skin_and_grows() -> None:
    ramp = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (3, 32, 1))
    distance = np.abs(overlay(faces(), ramp).astype(int) - faces()).sum(axis=3)[:, 0]
    assert (distance[:, -1] > 180).all()
    assert (np.diff(distance[:, ::4]) > 0).all()


def test_an_undefined_map_leaves_the_face_inside_a_border() -> None:
    maps = np.full((3, 32, 32), np.nan, np.float32)
    painted = overlay(faces(), maps)
    np.testing.assert_array_equal(painted[:, 2:-2, 2:-2], faces()[:, 2:-2, 2:-2])
    assert set(painted[:, 0].ravel()) == {0, 255}


def test_one_channel_or_none_is_grey() -> None:
    grey = np.full((2, 8, 8), 90, np.uint8)
    maps = np.full((2, 8, 8), 0.5, np.float32)
    expected = overlay(np.repeat(grey[..., None], 3, axis=3), maps)
    np.testing.assert_array_equal(overlay(grey, maps), expected)
    np.testing.assert_array_equal(overlay(grey[..., None], maps), expected)


def test_the_colour_bar_starts_without_colour() -> None:
    bar = colour_bar(20, 100)
    assert bar.shape == (20, 100, 3)
    assert bar[0, 0].tolist() == [205, 205, 205]
    assert bar[-1, 0].tolist() == [60, 60, 60]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="resize_maps"):
        overlay(faces(), np.zeros((3, 7, 7), np.float32))
    with pytest.raises(DataError, match="uint8"):
        overlay(faces().astype(np.float32), np.zeros((3, 32, 32)))


def test_pictures_need_no_torch() -> None:
    code = "import sys, facebias.cam, facebias.cam.sheet; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own line
