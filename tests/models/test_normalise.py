import numpy as np
import pytest
import torch

from facebias.models.normalise import Normalise

IMAGES = torch.randint(
    0, 256, (5, 3, 6, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 6, 7)])
def test_by_channel_and_by_pixel_equal_numpy(shape: tuple[int, int, int]) -> None:
    random = np.random.default_rng(0)
    mean, deviation = random.random(shape, np.float32), random.random(shape, np.float32) + 0.1
    found = Normalise(mean, deviation, by_image=False)(IMAGES).numpy()
    assert np.allclose(found, (IMAGES.numpy() / 255 - mean) / deviation, atol=1e-5)


def test_by_image_gives_every_image_mean_0_and_deviation_1() -> None:
    nothing = np.zeros((3, 1, 1), np.float32)
    found = Normalise(nothing, nothing, by_image=True)(IMAGES)
    assert torch.allclose(found.mean((1, 2, 3)), torch.zeros(5), atol=1e-5)
    assert torch.allclose(found.std((1, 2, 3), correction=0), torch.ones(5), atol=1e-4)


def test_a_constant_image_stays_finite() -> None:
    nothing = np.zeros((1, 1, 1), np.float32)
    for by_image in (True, False):
        normalised = Normalise(nothing, nothing, by_image)(
            torch.full((1, 1, 4, 4), 9, dtype=torch.uint8)
        )
        assert torch.isfinite(normalised).all()


def test_brightness_and_contrast_vanish_by_image() -> None:
    nothing = np.zeros((1, 1, 1), np.float32)
    normalise = Normalise(nothing, nothing, by_image=True)
    face = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8)
    assert torch.allclose(normalise(face), normalise(face * 2 + 30), atol=1e-5)
