import pytest
import timm
import torch
from torch import Tensor, nn

from facebias.cam.layers import find_layer
from facebias.errors import ModelError
from tests.cam.networks import Scaled, noise, small_cnn


def test_a_small_cnn_gives_its_last_activation_before_the_pool() -> None:
    assert find_layer(small_cnn(), (1, 48, 48)) == "2.2"
    assert find_layer(small_cnn(), noise(2)) == "2.2"


def test_bytes_and_a_wrapper_make_no_difference() -> None:
    images = torch.zeros(1, 1, 48, 48, dtype=torch.uint8)
    assert find_layer(Scaled(small_cnn()), images) == "network.2.2"


# At 112 px the last stage has 4 x 4 cells, so the one before it is the deepest that is fit.
# Each choice is an activation's output, or a pool or concatenation of such: timm's bn1 and bn2 of
# these networks hold the activation, and `features` of densenet121 ends in norm5, which holds it.
CHOICES = [
    ("resnet18", 112, "layer3"),
    ("resnet18", 224, "layer4"),
    ("resnet50", 112, "layer3"),  # not layer4.0.act1, which its shortcut goes around
    ("vgg16", 112, "features.29"),
    ("vgg16", 224, "features"),
    ("densenet121", 112, "features.transition3.norm"),  # not the bare convolution after it
    ("densenet121", 224, "features"),
    ("efficientnet_b2", 112, "blocks.5.0.bn1"),  # blocks.4 ends in a bare convolution
    ("efficientnet_b2", 224, "bn2"),
    ("tf_efficientnet_lite0", 112, "blocks.5.0.bn1"),
    ("tf_efficientnet_lite0", 224, "bn2"),
    ("mobilenetv3_small_100", 112, "blocks.4.0.bn1"),
    ("mobilenetv3_small_100", 224, "blocks"),
]


@pytest.mark.parametrize(("name", "side", "expected"), CHOICES)
def test_timm_backbones(name: str, side: int, expected: str) -> None:
    with torch.device("meta"):  # shapes without numbers
        model = timm.create_model(name, pretrained=False, num_classes=3)
    assert find_layer(model, (3, side, side)) == expected


class Stretched(nn.Module):
    """A pool that gives 7 x 7 cells whatever came in, as in torchvision's VGG."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.MaxPool2d(8))
        self.avgpool = nn.AdaptiveAvgPool2d(7)

    def forward(self, images: Tensor) -> Tensor:
        return self.avgpool(self.features(images)).flatten(1)  # type: ignore[no-any-return]


def test_cells_made_by_an_adaptive_pool_do_not_count() -> None:
    assert find_layer(Stretched(), (3, 64, 64)) == "features.1"


class Shared(nn.Module):
    """One activation module in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)
        self.act = nn.ReLU()
        self.pool = nn.MaxPool2d(2)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.pool(self.act(self.first(images)))
        return self.act(self.second(hidden)).mean((2, 3))  # type: ignore[no-any-return]


def test_a_module_that_runs_twice_is_not_chosen() -> None:
    assert find_layer(Shared(), (1, 32, 32)) == "pool"
    with pytest.raises(ModelError, match="ran 2 times"):
        find_layer(Shared(), (1, 32, 32), "act")


def test_a_wrong_name_lists_the_nearest() -> None:
    model = timm.create_model("resnet18", pretrained=False)
    with pytest.raises(ModelError, match="layer4"):
        find_layer(model, (3, 64, 64), "layer_4")
    with pytest.raises(ModelError, match="no layer named ''"):
        find_layer(model, (3, 64, 64), "")
    assert find_layer(model, (3, 64, 64), "layer4.1") == "layer4.1"


def test_a_layer_without_cells_is_refused() -> None:
    with pytest.raises(ModelError, match="gave no map"):
        find_layer(small_cnn(), (1, 48, 48), "4")


def test_too_coarse_a_network_says_what_was_found() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, stride=8), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
    with pytest.raises(ModelError, match="0 6 x 6, 1 6 x 6"):
        find_layer(model, (1, 48, 48))
