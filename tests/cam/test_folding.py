from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from facebias.cam.explain import class_maps
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


class ByInput(Convolved):
    """Scaled by what is seen."""

    def forward(self, images: Tensor) -> Tensor:
        raw, layer = self.first(images), self.norms[0]
        mean, variance = layer.get_buffer("running_mean"), layer.get_buffer("running_var")
        weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
        scaled = weight * images.mean()
        found = nn.functional.batch_norm(raw, mean, variance, scaled, bias)
        logits: Tensor = self.norms[1](self.second(found)).mean((2, 3))
        return logits


class Counting(Convolved):
    """Changes its own statistics."""

    def forward(self, images: Tensor) -> Tensor:
        self.norms[0].get_buffer("running_mean").add_(0.5)
        return super().forward(images)


class UsedWhenBright(Convolved):
    """What the second convolution gives is used after its normalisation, of bright images."""

    def forward(self, images: Tensor) -> Tensor:
        raw = self.second(self.norms[0](self.first(images)).relu_())
        found = self.norms[1](raw)
        logits: Tensor = (found + raw if images.mean() > 2 else found).mean((2, 3))
        return logits


class CutWhenBright(Convolved):
    """What the second convolution gives is changed in place before, of bright images."""

    def forward(self, images: Tensor) -> Tensor:
        raw = self.second(self.norms[0](self.first(images)).relu_())
        raw = raw.clamp_(-1, 1) if images.mean() > 2 else raw
        logits: Tensor = self.norms[1](raw).mean((2, 3))
        return logits


class Mapped(Convolved):
    """What the second convolution gives is used where no function mode sees it."""

    def forward(self, images: Tensor) -> Tensor:
        raw = self.second(self.norms[0](self.first(images)).relu_())
        doubled = torch.func.vjp(lambda each: each * each, raw)[0]
        logits: Tensor = (self.norms[1](raw) + doubled).mean((2, 3))
        return logits


@pytest.mark.parametrize(
    ("network", "left"), [(Convolved, 0), (Shortcut, 1), (Repeated, 2), (ByBatch, 1), (Mapped, 2)]
)
def test_only_what_nothing_else_uses_is_folded(
    network: Callable[[], nn.Module], left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, images = network().eval(), noise(3)
    with explaining(model), torch.no_grad():
        folded, expected = FoldedNorms(model, images[:1]), model(images)
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
    with explaining(model), torch.no_grad():
        folded, before = FoldedNorms(model, images[:1]), calls(monkeypatch)
        expected = model(images)
        plain = len(before)
        found = folded.run(lambda: model(images))
    assert len(before) - plain < plain
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("network", [OwnWay, UsedWhenBright, CutWhenBright, ByInput, Counting])
def test_a_network_that_does_otherwise_is_computed_again(
    network: Callable[[], nn.Module],
) -> None:
    model = network().eval()
    dark, bright = noise(2), noise(2) + 5
    with explaining(model), torch.no_grad():
        folded = FoldedNorms(model, dark[:1])
        for images in (dark, bright, dark):
            state = {name: value.clone() for name, value in model.state_dict().items()}
            found = folded.run(lambda: model(images))  # noqa: B023
            model.load_state_dict(state)
            torch.testing.assert_close(found, model(images))
            model.load_state_dict(state)


@pytest.mark.parametrize("method", ["layer_cam", "grad_cam", "hires_cam"])
def test_maps_do_not_depend_on_the_size_of_batches(method: str) -> None:
    model, images, targets = Convolved().eval(), noise(6), torch.tensor([0, 1, 2, 3, 0, 1])
    for layer in ("first", "norms.0", "second", "norms.1"):
        given: dict[str, Any] = {"layer": layer, "method": method}
        one = class_maps(model, images, targets, batch_size=6, **given)
        three = class_maps(model, images, targets, batch_size=2, **given)
        np.testing.assert_allclose(three.values, one.values, atol=1e-4)
        np.testing.assert_allclose(three.logits, one.logits, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # of the compiler
def test_compiled_networks_are_left_alone() -> None:
    model, images = Convolved().eval(), noise(4)
    compiled: Any = torch.compile(model, backend="eager")
    targets = torch.zeros(4, dtype=torch.int64)
    given: dict[str, Any] = {"batch_size": 2}
    found = class_maps(compiled, images, targets, layer="_orig_mod.norms.0", **given)
    expected = class_maps(model, images, targets, layer="norms.0", **given)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-4)


@pytest.mark.parametrize("before", [False, True])
def test_a_hook_sees_what_it_saw_before(before: bool) -> None:
    model, images, kept = Convolved().eval(), noise(2), list[Tensor]()
    if before:
        model.norms[0].register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0] * 1))
    else:
        model.first.register_forward_hook(lambda module, inputs, output: kept.append(output * 1))
    with explaining(model), torch.no_grad():
        folded = FoldedNorms(model, images[:1])
        model(images)
        folded.run(lambda: model(images))
    assert torch.equal(kept[-2], kept[-1])


def test_weights_stay() -> None:
    model, images = Convolved().eval(), noise(2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with explaining(model), torch.no_grad():
        FoldedNorms(model, images[:1]).run(lambda: model(images))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
