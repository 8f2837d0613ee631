import pytest
import torch

from facebias.cam.methods import GRADIENT_METHODS, grad_cam, layer_cam, normalise

FIRST = torch.tensor([[1.0, 2.0, 0.0, 1.0], [0.0, 3.0, 1.0, 0.0], [2.0, 0.0, 0.0, 1.0], [1.0] * 4])
SECOND = torch.tensor([[0.0, 1.0, 4.0, 0.0], [2.0, 0.0, 0.0, 2.0], [0.0] * 4, [1.0, 0.0, 0.0, 3.0]])
ACTIVATIONS = torch.stack([FIRST, SECOND])[None]


def test_grad_cam_by_hand() -> None:
    gradients = torch.zeros(1, 2, 4, 4)
    gradients[0, 0, 0, :2] = torch.tensor([16.0, 16.0])  # mean 2
    gradients[0, 1, 3, 3] = -16.0  # mean -1
    expected = torch.tensor(
        [[2.0, 3.0, 0.0, 2.0], [0.0, 6.0, 2.0, 0.0], [4.0, 0.0, 0.0, 2.0], [1.0, 2.0, 2.0, 0.0]]
    )
    torch.testing.assert_close(grad_cam(ACTIVATIONS, gradients), expected[None])


def test_layer_cam_by_hand() -> None:
    gradients = torch.zeros(1, 2, 4, 4)
    gradients[0, 0, 0] = torch.tensor([1.0, -5.0, 3.0, 0.5])
    gradients[0, 1, 1] = torch.tensor([2.0, 7.0, 1.0, -1.0])
    gradients[0, :, 3, 0] = torch.tensor([0.5, 2.0])
    expected = torch.zeros(4, 4)
    expected[0] = torch.tensor([1.0, 0.0, 0.0, 0.5])
    expected[1] = torch.tensor([4.0, 0.0, 0.0, 0.0])
    expected[3, 0] = 2.5
    torch.testing.assert_close(layer_cam(ACTIVATIONS, gradients), expected[None])


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_maps_are_not_negative_even_where_activations_are(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    activations, gradients = torch.randn(2, 5, 6, 7, 8, generator=generator)
    maps = GRADIENT_METHODS[name](activations, gradients)
    assert maps.shape == (5, 7, 8)
    assert maps.min() == 0


def test_normalise_divides_each_map_by_its_own_maximum() -> None:
    maps = torch.tensor([[[0.0, 2.0], [4.0, 1.0]], [[0.0, 1e-20], [0.0, 5e-21]]])
    expected = torch.tensor([[[0.0, 0.5], [1.0, 0.25]], [[0.0, 1.0], [0.0, 0.5]]])
    torch.testing.assert_close(normalise(maps), expected)


@pytest.mark.parametrize("value", [0.0, float("inf"), float("nan")])
def test_an_undefined_map_is_nan_throughout(value: float) -> None:
    maps = torch.ones(2, 2, 2)
    maps[1] = 0
    maps[1, 0, 0] = value
    assert normalise(maps)[0].eq(1).all()
    assert normalise(maps)[1].isnan().all()
