import numpy as np
import pytest
import timm
import torch
from torch import nn

from facebias.cam.layers import find_layer
from facebias.errors import ModelError
from facebias.models.classifier import FaceClassifier
from facebias.models.explained import network_layers, plain_layer
from facebias.models.normalise import Normalise


def classifier(network: nn.Module, channels: int = 3) -> FaceClassifier:
    half = np.full((channels, 1, 1), 0.5, np.float32)
    return FaceClassifier(
        network=network,
        normalise=Normalise(half, half, by_image=False),
        class_counts=torch.ones(3),
    )


def faces(channels: int, side: int) -> torch.Tensor:
    shape = (2, channels, side, side)
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_stages_are_the_networks_own() -> None:
    model = classifier(timm.create_model("resnet10t", pretrained=False, num_classes=3)).eval()
    found = network_layers(model, faces(3, 112), "stages", "layer_cam")
    assert all(name.startswith("network.") for name in found)
    assert len(found) == 4
    assert plain_layer(" + ".join(found)).count("network.") == 0
    assert network_layers(model, faces(3, 112), "auto", "grad_cam") == found[-1]
    assert network_layers(model, faces(3, 112), "layer4", "cam") == "network.layer4"


def test_a_network_of_few_cells_is_refused_and_not_its_normalisation_explained() -> None:
    coarse = nn.Sequential(nn.Conv2d(1, 4, 8, 8), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    model = classifier(coarse, channels=1).eval()
    for layer in ("auto", "stages"):
        with pytest.raises(ModelError, match="No layer is fit for maps") as refused:
            network_layers(model, faces(1, 32), layer, "layer_cam")
        assert "0 4 x 4, 1 4 x 4" in refused.value.found  # as they have to be typed
        assert "normalise" not in refused.value.found
    with pytest.raises(ModelError, match="No layer is fit for maps"):
        find_layer(model, faces(1, 32))
    assert network_layers(model, faces(1, 32), "1", "layer_cam") == "network.1"
    assert network_layers(model, faces(1, 32), ["0", "1"], "layer_cam") == (
        "network.0",
        "network.1",
    )
    with pytest.raises(ModelError, match="no layer named '7'"):
        network_layers(model, faces(1, 32), "7", "layer_cam")
