from typing import Any

import pytest
import torch
from torch import nn

from facebias.errors import ConfigError
from facebias.models.cnn import CNN, even_cnn

SHAPE: dict[str, Any] = {"classes": 4, "channels": 1, "height": 48, "width": 48}


def test_cnn3_is_the_network_of_its_description() -> None:
    network = CNN([16, 32, 64], [3, 5, 7], **SHAPE)
    layers = [type(layer).__name__ for layer in network.modules() if not list(layer.children())]
    block = ["Conv2d", "BatchNorm2d", "LeakyReLU", "MaxPool2d", "Dropout"]
    assert layers == [*block, *block, *block, "Identity", "Linear"]
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [16, 32, 64]
    assert [layer.kernel_size for layer in convolutions] == [(3, 3), (5, 5), (7, 7)]
    assert network.head.in_features == 64 * 6 * 6
    assert network.blocks[0].activation.negative_slope == 0.01  # type: ignore[union-attr]
    assert network.blocks[0].dropout.p == 0.1  # type: ignore[union-attr]


def test_number_of_parameters_by_hand() -> None:
    network = CNN([16], [3], **SHAPE)
    convolution, norm, head = 16 * 9 + 16, 16 * 2, 16 * 24 * 24 * 4 + 4
    assert sum(p.numel() for p in network.parameters()) == convolution + norm + head


@pytest.mark.parametrize("head", ["flatten", "average"])
@pytest.mark.parametrize(("height", "width", "channels"), [(48, 48, 1), (75, 110, 1), (20, 31, 3)])
def test_logits_for_every_size(head: str, height: int, width: int, channels: int) -> None:
    network = CNN(
        [4, 8], [3, 5], head=head, classes=3, channels=channels, height=height, width=width
    )
    assert network(torch.zeros(2, channels, height, width)).shape == (2, 3)


def test_average_head_does_not_see_where_and_flatten_does() -> None:
    image = torch.zeros(1, 1, 48, 48)
    image[..., 16:24, 16:24] = 1  # far from the edges, where padding would tell
    moved = image.roll((8, 8), (2, 3))
    for head, same in (("average", True), ("flatten", False)):
        torch.manual_seed(0)
        network = CNN([4, 8], [3, 5], head=head, **SHAPE).eval()
        assert torch.allclose(network(image), network(moved), atol=1e-5) is same


@pytest.mark.parametrize(
    ("filters", "kernels", "pool"),
    [([4, 8], [3], 2), ([4], [4], 2), ([], [], 2), ([4] * 6, [3] * 6, 2)],
)
def test_lists_that_do_not_fit_are_refused(
    filters: list[int], kernels: list[int], pool: int
) -> None:
    with pytest.raises(ConfigError):
        CNN(filters, kernels, pool, **SHAPE)


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kernel", [3, 5, 7, 9])
def test_depth_and_kernel_size_are_two_numbers(layers: int, kernel: int) -> None:
    network = even_cnn(layers, kernel, first=4, **SHAPE)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [4, 8, 16, 32, 64][:layers]
    assert {layer.kernel_size for layer in convolutions} == {(kernel, kernel)}
    assert network(torch.zeros(2, 1, 48, 48)).shape == (2, 4)


def test_an_even_cnn_is_a_cnn_with_the_same_numbers() -> None:
    torch.manual_seed(0)
    even = even_cnn(2, 5, first=8, dropout=0.3, head="average", **SHAPE)
    torch.manual_seed(0)
    listed = CNN([8, 16], [5, 5], dropout=0.3, head="average", **SHAPE)
    images = torch.rand(2, 1, 48, 48)
    assert torch.equal(even.eval()(images), listed.eval()(images))


def test_more_layers_than_the_faces_have_pixels_for_are_refused() -> None:
    with pytest.raises(ConfigError, match="leave nothing"):
        even_cnn(6, 3, **SHAPE)
