import numpy as np
import pytest
from numpy.typing import NDArray

from facebias.data.statistics import pixel_statistics


def noise(count: int, channels: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(channels)
    return random.integers(0, 256, (count, 5, 4, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_are_those_of_numpy(channels: int) -> None:
    faces, rows = noise(90, channels), np.arange(3, 83)
    measured = pixel_statistics(faces.__getitem__, rows, "channel")
    scaled = faces[rows] / 255
    assert measured.mean.shape == measured.deviation.shape == (channels, 1, 1)
    assert measured.mean.dtype == measured.deviation.dtype == np.float32
    np.testing.assert_allclose(measured.mean.ravel(), scaled.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(measured.deviation.ravel(), scaled.std((0, 1, 2)), rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_those_of_numpy(channels: int) -> None:
    faces, rows = noise(90, channels), np.arange(80)
    measured = pixel_statistics(faces.__getitem__, rows, "pixel")
    scaled = (faces[rows] / 255).transpose(0, 3, 1, 2)
    assert measured.mean.shape == (channels, 5, 4)
    np.testing.assert_allclose(measured.mean, scaled.mean(0), rtol=1e-6)
    np.testing.assert_allclose(measured.deviation, scaled.std(0), rtol=1e-6)


@pytest.mark.parametrize("kind", ["channel", "pixel"])
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_leave_no_trace(monkeypatch: pytest.MonkeyPatch, kind: str, chunk: int) -> None:
    faces, rows = noise(90, 3), np.arange(90)
    whole = pixel_statistics(faces.__getitem__, rows, kind)
    monkeypatch.setattr("facebias.data.statistics._CHUNK", chunk)
    again = pixel_statistics(faces.__getitem__, rows, kind)
    np.testing.assert_array_equal(again.mean, whole.mean)
    np.testing.assert_array_equal(again.deviation, whole.deviation)


@pytest.mark.parametrize("kind", ["channel", "pixel"])
def test_faces_of_one_gray_deviate_by_exactly_nothing(kind: str) -> None:
    faces = np.full((70, 3, 3, 1), 77, np.uint8)
    measured = pixel_statistics(faces.__getitem__, np.arange(70), kind)
    assert (measured.deviation == 0).all()
    np.testing.assert_array_equal(measured.mean, np.float32(77 / 255))
