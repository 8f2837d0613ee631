from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from facebias.cam.folding import FoldedNorms
from facebias.cam.state import explaining
from tests.cam.networks import noise


def norm(channels: int) -> nn.BatchNorm2d:
    """A normalisation that has seen something."""
    layer = nn.BatchNorm2d(channels)
    generator = torch.Generator().manual_seed(channels)
    layer.get_buffer("running_mean").normal_(generator=generator)
    layer.get_buffer("running_var").uniform_(0.1, 1.1, generator=generator)
    nn.init.normal_(layer.weight, generator=generator)
    nn.init.normal_(layer.bias, generator=generator)
    return layer


class Convolved(nn.Module):
    """Two convolutions and a normalisation of each; subclasses say what else happens."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([norm(4), norm(4)])

    def forward(self, images: Tensor) -> Tensor:
        found = self.norms[0](self.first(images)).relu_()
        logits: Tensor = self.norms[1](self.second(found)).relu_().mean((2, 3))
        return logits


class Shortcut(Convolved):
    """What the second convolution gives is used beside its normalisation."""

    def forward(self, images: Tensor) -> Tensor:
        found = self.norms[0](self.first(images)).relu_()
        raw = self.second(found)
        logits: Tensor = (raw + self.norms[1](raw)).mean((2, 3))
        return logits


class Repeated(Convolved):
    """The second convolution runs twice, with another normalisation each time."""

    def forward(self, images: Tensor) -> Tensor:
        found = self.norms[0](self.second(self.first(images))).relu_()
        logits: Tensor = self.norms[1](self.second(found)).relu_().mean((2, 3))
        return logits


class ByBatch(Convolved):
    """Normalised by the faces at hand."""

    def forward(self, images: Tensor) -> Tensor:
        found = nn.functional.batch_norm(self.first(images), None, None, training=True)
        logits: Tensor = self.norms[1](self.second(found)).mean((2, 3))
        return logits


class OwnWay(Convolved):
    """Bright images are not normalised."""

    def forward(self, images: Tensor) -> Tensor:
        found = self.first(images)
        found = found if images.mean() > 2 else self.norms[0](found)
        logits: Tensor = self.norms[1](self.second(found)).mean((2, 3))
        return logits


def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count normalisations, from now on."""
    done: list[int] = []
    plain = torch.batch_norm

    def counted(*args: Any) -> Tensor:  # noqa: ANN401 - torch's own
        done.append(1)
        result: Tensor = plain(*args)
        return result

    monkeypatch.setattr(torch, "batch_norm", counted)
    return done


@pytest.mark.parametrize(
    ("network", "left"), [(Convolved, 0), (Shortcut, 1), (Repeated, 2), (ByBatch, 1)]
)
def test_only_what_nothing_else_uses_is_folded(
    network: Callable[[], nn.Module], left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, images = network().eval(), noise(3)
    folded = FoldedNorms(model)
    with explaining(model):
        expected = folded.run(lambda: model(images))
        done = calls(monkeypatch)
        found = folded.run(lambda: model(images))
        assert len(done) == left
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(folded.run(lambda: model(2 * images)), model(2 * images))


@pytest.mark.parametrize(
    "name", ["resnet18", "tf_efficientnet_lite0", "densenet121", "mobilenetv3_small_100"]
)
def test_networks_of_timm_answer_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, num_classes=3).eval()
    images = noise(4, channels=3, side=64)
    folded = FoldedNorms(model)
    with explaining(model):
        before = calls(monkeypatch)
        expected = folded.run(lambda: model(images))
        first = len(before)
        found = folded.run(lambda: model(images))
    assert len(before) - first < first
    torch.testing.assert_close(found, expected)


def test_gradients_are_the_same() -> None:
    model, images = Convolved().eval(), noise(2).requires_grad_()
    folded = FoldedNorms(model)
    with explaining(model):
        expected, found = (
            torch.autograd.grad(folded.run(lambda: model(images))[:, 0].sum(), images)[0]
            for _ in range(2)
        )
    torch.testing.assert_close(found, expected)


def test_a_network_that_goes_another_way_is_computed_again() -> None:
    model = OwnWay().eval()
    dark, bright = noise(2), noise(2) + 5
    folded = FoldedNorms(model)
    with explaining(model):
        folded.run(lambda: model(dark))
        for images in (dark, bright, dark):
            torch.testing.assert_close(folded.run(lambda: model(images)), model(images))  # noqa: B023


def test_a_hook_sees_what_it_saw_before() -> None:
    model, images, kept = Convolved().eval(), noise(2), []
    model.first.register_forward_hook(lambda module, inputs, output: kept.append(output.clone()))
    folded = FoldedNorms(model)
    with explaining(model):
        for _ in range(2):
            folded.run(lambda: model(images))
    assert torch.equal(kept[0], kept[1])


def test_weights_stay() -> None:
    model, images = Convolved().eval(), noise(2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = FoldedNorms(model)
    with explaining(model):
        for _ in range(2):
            folded.run(lambda: model(images))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
