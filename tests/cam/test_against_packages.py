"""Our maps beside those of pytorch-grad-cam, torch-cam and Captum, on four kinds of network."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facebias.cam.explain import class_maps, resize_maps
from facebias.cam.layers import named_layer
from facebias.models.cnn import CNN

SIDE = 112
TARGETS = torch.tensor([0, 2])
PEERS = {
    "grad_cam": ("GradCAM", "GradCAM"),
    # torch-cam multiplies by A within the sum of the denominator, cell by cell, where the paper
    # has the sum of A times the cube of the gradient; so it is no reference for Grad-CAM++.
    "grad_cam_plus_plus": ("GradCAMPlusPlus", ""),
    "x_grad_cam": ("XGradCAM", "XGradCAM"),
    "hires_cam": ("HiResCAM", ""),
    "layer_cam": ("LayerCAM", "LayerCAM"),
}


def timm_network(name: str) -> nn.Module:
    return timm.create_model(name, pretrained=False, num_classes=3)


def cnn3() -> nn.Module:
    filters, kernels = [16, 32, 64], [5, 3, 3]
    return CNN(filters, kernels, classes=3, channels=3, height=SIDE, width=SIDE)


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "resnet18": lambda: timm_network("resnet18"),
    "efficientnet_b2": lambda: timm_network("efficientnet_b2"),
    "vgg16": lambda: timm_network("vgg16"),
    "cnn3": cnn3,
}


@cache
def network(name: str) -> nn.Module:
    """Drawn weights, with scores of a spread of about 1.

    Untrained logits have gradients so small that the additions against division by zero of
    pytorch-grad-cam (1e-6) would count.
    """
    torch.manual_seed(0)
    model = BUILDERS[name]().eval()
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        head.weight *= 1 / model(faces()).std()
    return model


def faces() -> Tensor:
    """Blurred noise whose channels have mean 0: our "nothing there" is then the packages' 0."""
    drawn = torch.randn(2, 3, 14, 14, generator=torch.Generator().manual_seed(1))
    large = nn.functional.interpolate(drawn, size=(SIDE, SIDE), mode="bilinear")
    return large - large.mean(dim=(2, 3), keepdim=True)


def correlations(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> list[float]:
    return [
        float(np.corrcoef(our.ravel(), their.ravel())[0, 1])
        for our, their in zip(ours, theirs, strict=True)
    ]


def from_grad_cam(name: str, model: nn.Module, layer: str) -> NDArray[np.float32]:
    package: Any = pytest.importorskip("pytorch_grad_cam")
    goals: Any = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    with getattr(package, name)(model, [named_layer(model, layer)]) as peer:
        outputs = [goals.ClassifierOutputTarget(int(target)) for target in TARGETS]
        return np.asarray(peer(faces(), outputs), np.float32)


def from_torch_cam(name: str, model: nn.Module, *layers: str, **options: str) -> list[Tensor]:
    package: Any = pytest.importorskip("torchcam.methods")
    with getattr(package, name)(model, list(layers), **options) as peer:
        maps: list[Tensor] = peer(TARGETS.tolist(), model(faces()), normalized=False)
    # It would take away each map's minimum, too, which ours keep.
    return [(each / each.amax(dim=(1, 2), keepdim=True)).detach() for each in maps]


@pytest.mark.slow
@pytest.mark.parametrize("method", PEERS)
@pytest.mark.parametrize("name", BUILDERS)
def test_gradient_methods(name: str, method: str) -> None:
    model, (first, second) = network(name), PEERS[method]
    maps = class_maps(model, faces(), TARGETS, method=method)
    ours = resize_maps(maps.values, (SIDE, SIDE))
    assert min(correlations(ours, from_grad_cam(first, model, maps.layer))) > 0.999
    if second:
        (theirs,) = from_torch_cam(second, model, maps.layer)
        assert min(correlations(maps.values, theirs.numpy())) > 0.999


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b2"])
def test_cam(name: str) -> None:
    model = network(name)
    maps = class_maps(model, faces(), TARGETS, method="cam")
    head = {"resnet18": "fc", "efficientnet_b2": "classifier"}[name]
    # torch-cam keeps what is negative, as the paper does.
    (theirs,) = from_torch_cam("CAM", model, maps.layer, fc_layer=head)
    assert min(correlations(maps.values, theirs.relu().numpy())) > 0.999


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDERS)
def test_fusion_of_stages(name: str) -> None:
    model = network(name)
    maps = class_maps(model, faces(), TARGETS, layer="stages")
    package: Any = pytest.importorskip("torchcam.methods")
    theirs = package.LayerCAM.fuse_cams(from_torch_cam("LayerCAM", model, *maps.layer.split(" + ")))
    assert min(correlations(maps.values, theirs.numpy())) > 0.999


@pytest.mark.slow
def test_score_cam() -> None:
    model = network("cnn3")
    maps = class_maps(model, faces(), TARGETS, method="score_cam")
    (theirs,) = from_torch_cam("ScoreCAM", model, maps.layer)
    assert min(correlations(maps.values, theirs.numpy())) > 0.999


@pytest.mark.slow
def test_ablation_cam() -> None:
    """Where the activations are not negative: else pytorch-grad-cam ablates to -1e7, not to 0."""
    model = deepcopy(network("resnet18"))
    # It divides by the score, which turns the map round where the score is negative.
    model.get_parameter("fc.bias").data.add_(10)
    maps = class_maps(model, faces(), TARGETS, method="ablation_cam")
    theirs = from_grad_cam("AblationCAM", model, maps.layer)
    assert min(correlations(resize_maps(maps.values, (SIDE, SIDE)), theirs)) > 0.999


def test_integrated_gradients_add_up_to_the_difference_of_the_scores() -> None:
    from facebias.cam.attribution import integrated_gradients
    from facebias.cam.targets import directions

    model = network("cnn3")
    with torch.no_grad():
        logits, base = model(faces()), model(torch.zeros_like(faces()))
    direction = directions(TARGETS, logits)
    attributions = integrated_gradients(model, faces(), direction, 16)
    expected = ((logits - base) * direction).sum(dim=1)
    torch.testing.assert_close(attributions.sum(dim=(1, 2)), expected, rtol=0.03, atol=0.02)
