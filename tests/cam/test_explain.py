from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facebias.cam.explain import class_maps, resize_maps
from facebias.cam.methods import GRADIENT_METHODS
from facebias.errors import ConfigError, DataError, ModelError
from tests.cam.networks import Scaled, noise, small_cnn

TARGETS = torch.tensor([0, 2, 1, 1, 0, 2, 2])


def assert_same(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_shapes_and_ranges() -> None:
    model = small_cnn()
    maps = class_maps(model, noise(7), TARGETS)
    assert (maps.layer, maps.method) == ("2.2", "layer_cam")
    assert maps.values.shape == (7, 12, 12)
    assert maps.values.dtype == maps.logits.dtype == np.float32
    assert maps.defined.all()
    assert_same(maps.values.max(axis=(1, 2)), np.ones(7, np.float32))
    assert maps.values.min() >= 0
    assert_same(maps.logits, model(noise(7)).detach().numpy())
    assert maps.targets.tolist() == TARGETS.tolist()


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_a_mirrored_network_maps_a_mirrored_image_to_a_mirrored_map(method: str) -> None:
    model, mirrored = small_cnn(), small_cnn()
    with torch.no_grad():
        for module in mirrored.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(module.weight.flip(3))
            if isinstance(module, nn.Linear):
                weight = module.weight.view(-1, 16, 6, 6)
                module.weight.copy_(weight.flip(3).reshape(module.weight.shape))
    maps = class_maps(model, noise(7), TARGETS, method=method)
    others = class_maps(mirrored, noise(7).flip(3), TARGETS, method=method)
    assert_same(others.values[:, :, ::-1], maps.values)


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_chunked_is_whole(batch_size: int) -> None:
    whole = class_maps(small_cnn(), noise(7), TARGETS)
    chunked = class_maps(small_cnn(), noise(7), TARGETS, batch_size=batch_size)
    assert_same(chunked.values, whole.values)
    assert_same(chunked.logits, whole.logits)


def test_the_order_of_images_does_not_matter() -> None:
    order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
    maps = class_maps(small_cnn(), noise(7), TARGETS)
    shuffled = class_maps(small_cnn(), noise(7)[order], TARGETS[order])
    assert_same(shuffled.values, maps.values[order.numpy()])


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "mode",
    [
        nullcontext,
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", torch.bfloat16),
    ],
    ids=["plain", "no_grad", "inference_mode", "autocast"],
)
def test_the_callers_mode_changes_nothing(
    mode: Callable[[], AbstractContextManager[object]], training: bool, frozen: bool
) -> None:
    expected = class_maps(small_cnn(), noise(7), TARGETS)
    model = small_cnn().train(training).requires_grad_(not frozen)
    with mode():
        images, targets = noise(7).clone(), TARGETS.clone()
        maps = class_maps(model, images, targets, batch_size=4)
    np.testing.assert_array_equal(maps.values[:4], expected.values[:4])
    assert_same(maps.values, expected.values)


def test_bytes_are_taken_as_they_are() -> None:
    images = (noise(7) * 40 + 128).clamp(0, 255).to(torch.uint8)
    maps = class_maps(Scaled(small_cnn()), images, TARGETS)
    assert_same(maps.values, class_maps(small_cnn(), images / 255 - 0.5, TARGETS).values)


def test_an_activation_in_place_after_the_layer_spoils_nothing() -> None:
    model = small_cnn()
    in_place = class_maps(model, noise(7), TARGETS, layer="2.1")
    activation = model.get_submodule("2.2")
    assert isinstance(activation, nn.LeakyReLU)
    activation.inplace = False
    assert_same(in_place.values, class_maps(model, noise(7), TARGETS, layer="2.1").values)


def test_nothing_before_the_layer_is_recorded() -> None:
    model, recorded = small_cnn(), []

    def note(module: nn.Module, inputs: object, output: Tensor) -> None:
        recorded.append(output.requires_grad)

    for name in ("1.3", "2.0", "2.1", "2.3"):
        model.get_submodule(name).register_forward_hook(note)
    class_maps(model, noise(2), TARGETS[:2], layer="2.2")
    assert recorded == [False, False, False, True]


def test_a_map_of_zeros_is_undefined() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    with torch.no_grad():
        model.get_parameter("0.weight").fill_(1)
        model.get_parameter("3.weight").fill_(1)
    images = torch.ones(4, 1, 8, 8)
    images[2:] = -1
    for method in GRADIENT_METHODS:
        maps = class_maps(model, images, torch.tensor([0, 1, 0, 1]), method=method)
        assert maps.defined.tolist() == [True, True, False, False]
        assert np.isnan(maps.values[2:]).all()
        assert (maps.values[:2] == 1).all()


def test_half_precision_weights_give_maps_in_full() -> None:
    maps = class_maps(small_cnn().bfloat16(), noise(2).bfloat16(), TARGETS[:2])
    assert maps.values.dtype == np.float32
    assert maps.defined.all()


def test_resized_maps_keep_range_and_nan() -> None:
    maps = np.stack([np.eye(3), np.full((3, 3), np.nan)]).astype(np.float32)
    resized = resize_maps(maps, (6, 9))
    assert resized.shape == (2, 6, 9)
    assert resized[0].min() >= 0
    assert resized[0].max() <= 1
    assert np.isnan(resized[1]).all()
    assert not np.isnan(resized[0]).any()


def test_wrong_arguments_say_what_was_found() -> None:
    model, images = small_cnn(), noise(2)
    with pytest.raises(ConfigError, match="layer_cam"):
        class_maps(model, images, TARGETS[:2], method="no_cam")
    with pytest.raises(ConfigError, match="batch size is 0"):
        class_maps(model, images, TARGETS[:2], batch_size=0)
    with pytest.raises(DataError, match=r"\(3,\)"):
        class_maps(model, images, TARGETS[:3])
    with pytest.raises(DataError, match="float32"):
        class_maps(model, images, TARGETS[:2].float())
    with pytest.raises(DataError, match="N >= 1"):
        class_maps(model, images[:0], TARGETS[:0])
    with pytest.raises(ModelError, match="-1 to 0"):
        class_maps(model, images, torch.tensor([0, -1]))
    with pytest.raises(ModelError, match=r"logits \(N, classes\)"):
        class_maps(model.get_submodule("0"), images, TARGETS[:2])


class Aside(nn.Module):
    """A layer that the logits make no use of."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3)

    def forward(self, images: Tensor) -> Tensor:
        self.unused(images)
        return self.used(images).mean((2, 3))  # type: ignore[no-any-return]


def test_a_layer_without_effect_is_refused() -> None:
    with pytest.raises(ModelError, match="do not depend on the layer 'unused'"):
        class_maps(Aside(), noise(1), TARGETS[:1], layer="unused")


class Emptied(nn.Module):
    """Overwrites in place what the layer, which only passes on, was given."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.layer = nn.Conv2d(1, 2, 3), nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.first(images)
        passed = self.layer(hidden)
        hidden.zero_()
        return passed.mean((2, 3))  # type: ignore[no-any-return]


def test_an_overwritten_input_of_the_layer_spoils_nothing() -> None:
    torch.manual_seed(0)
    assert class_maps(Emptied(), noise(2), TARGETS[:2] // 2, layer="layer").defined.all()
