from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from facebias.cam.explain import class_maps
from facebias.cam.layers import find_layer
from facebias.cam.state import explaining
from facebias.errors import ModelError
from tests.cam.networks import noise, small_cnn


def snapshot(model: nn.Module) -> list[object]:
    """All that must not change, by value and by identity."""
    state: list[object] = []
    for module in model.modules():
        state += [module.training, len(module._forward_hooks), len(module._forward_pre_hooks)]
    for parameter in model.parameters():
        gradient = None if parameter.grad is None else (id(parameter.grad), parameter.grad.tolist())
        state += [id(parameter), parameter.requires_grad, parameter.tolist(), gradient]
    return state + [(id(buffer), buffer.tolist()) for buffer in model.buffers()]


def mixed_model() -> nn.Sequential:
    """Some of it trains, some is frozen, some has gradients, some has hooks."""
    model = small_cnn()
    assert isinstance(model, nn.Sequential)
    model.train()
    model[1].eval()
    model.get_submodule("2.1").eval()
    model[2].training = False
    model.get_parameter("0.0.weight").requires_grad_(False)
    weight = model.get_parameter("1.0.weight")
    weight.grad = torch.ones_like(weight)
    model[2].register_forward_hook(lambda module, inputs, output: None)
    return model


def good_maps(model: nn.Module) -> None:
    class_maps(model, noise(3), torch.tensor([0, 1, 2]))


def wrong_target(model: nn.Module) -> None:
    with pytest.raises(ModelError, match="3 classes"):
        class_maps(model, noise(3), torch.tensor([0, 1, 3]))


def wrong_layer(model: nn.Module) -> None:
    with pytest.raises(ModelError, match="gave"):
        class_maps(model, noise(1), torch.tensor([0]), layer="3")


def wrong_images(model: nn.Module) -> None:
    with pytest.raises(RuntimeError):
        class_maps(model, noise(1, channels=2), torch.tensor([0]), layer="2.2")


def wrong_images_for_auto(model: nn.Module) -> None:
    with pytest.raises(RuntimeError):
        find_layer(model, (2, 48, 48))


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize(
    "use", [good_maps, wrong_target, wrong_layer, wrong_images, wrong_images_for_auto]
)
def test_the_model_is_left_as_found(use: Callable[[nn.Module], None], inference: bool) -> None:
    model = mixed_model()
    before = snapshot(model)
    with torch.inference_mode(inference):
        use(model)
    assert snapshot(model) == before


def test_the_callers_modes_are_left_as_found() -> None:
    model = small_cnn()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        with explaining(model):
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
            assert not torch.is_autocast_enabled("cpu")
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")


def test_parameters_of_inference_mode_are_refused() -> None:
    with torch.inference_mode():
        model = small_cnn()
    with pytest.raises(ModelError, match="inference_mode"):
        class_maps(model, noise(1), torch.tensor([0]))


@pytest.mark.parametrize("affine", [True, False])
def test_a_frozen_normalisation_and_its_gradient_are_those_of_torch(affine: bool) -> None:
    norm = nn.BatchNorm2d(3, affine=affine).double().eval()
    for values in norm.state_dict().values():
        if values.is_floating_point():
            values.uniform_(0.5, 2)
    images = noise(4, channels=3).double().requires_grad_()
    weights = torch.linspace(-1, 1, images.numel()).double().view_as(images)
    expected = norm(images)
    (gradient,) = torch.autograd.grad((expected * weights).sum(), images)
    with explaining(norm):
        found = functional.batch_norm(
            input=images,
            running_mean=norm.running_mean,
            running_var=norm.running_var,
            weight=norm.weight,
            bias=norm.bias,
        )
        torch.testing.assert_close(norm(images), found, rtol=0, atol=0)
        assert "Addcmul" in type(found.grad_fn).__name__
        (found_gradient,) = torch.autograd.grad((found * weights).sum(), images)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_gradient, gradient)


@pytest.mark.parametrize(
    "average",
    [
        lambda images: images.mean(),
        lambda images: images.mean(()),
        lambda images: images.mean(1),
        lambda images: images.mean((2, 3), keepdim=True),
        lambda images: images.mean(axis=(2, 3), keepdims=True),
        lambda images: torch.mean(images, dim=[-1, -2]),
        lambda images: torch.mean(input=images, dim=1),
        lambda images: torch.mean(images, (2, 3), True, dtype=torch.float32),
        lambda images: functional.adaptive_avg_pool2d(images, 1),
        lambda images: functional.adaptive_avg_pool2d(images, (1, 1)),
        lambda images: functional.adaptive_avg_pool2d(images, (2, None)),
        nn.AdaptiveAvgPool2d((1, None)),
    ],
)
def test_a_mean_and_its_gradient_are_those_of_torch(average: Callable[[Tensor], Tensor]) -> None:
    images = torch.randn(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)
    expected = average(images)
    weights = torch.randn_like(expected)
    (wanted,) = torch.autograd.grad(expected, images, weights)
    with explaining(nn.Identity()):
        found = average(images)
        (gradient,) = torch.autograd.grad(found, images, weights)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, wanted)


def test_the_way_back_through_a_mean_over_places_is_not_written_out() -> None:
    pooled = nn.AdaptiveAvgPool2d(1)
    images = torch.randn(2, 3, 4, 4, requires_grad=True)
    with explaining(pooled):
        (gradient,) = torch.autograd.grad(pooled(images).sum(), images)
    assert gradient.stride()[2:] == (0, 0)


def test_a_normalisation_by_the_batch_stays_what_it_is() -> None:
    norm = nn.BatchNorm2d(3, track_running_stats=False).eval()
    images = noise(4, channels=3).requires_grad_()
    with explaining(norm):
        torch.testing.assert_close(norm(images), norm(images.detach()))
