"""Finding the layer whose activations the maps are made of."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from facebias.cam.state import explaining
from facebias.errors import ModelError

SMALLEST = 7
"""The fewest cells along a side that still tell the regions of a face apart."""

_LISTED = 8  # names in a message
_LINEAR = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.LayerNorm,
)
_RESIZING = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Upsample)


@dataclass(frozen=True)
class _Output:
    """A module with an output (N, K, h, w), in the order in which the modules completed.

    Attributes:
        name: of the module.
        size: h, w.
        learned: whether weights have gone into it; a normalised image has none.
    """

    name: str
    size: tuple[int, int]
    learned: bool

    @property
    def large(self) -> bool:
        return min(self.size) >= SMALLEST

    def __str__(self) -> str:
        return f"{self.name} {self.size[0]} x {self.size[1]}"


def find_layer(model: nn.Module, images: Tensor | Sequence[int], name: str = "auto") -> str:
    """Return the dotted name of the layer to explain.

    "auto" is the deepest layer with at least 7 x 7 cells: of the modules that ran once and gave
    (N, K, h, w) with h, w >= 7, the last to complete that

    - is not the whole model,
    - is no bare convolution or normalisation (its output is taken before the activation) and no
      adaptive pool or upsampling (which sets the number of cells instead of having it),
    - comes after weights: a normalised image is no layer, and
    - carries all that the logits know of the image: a module inside a residual branch, which
      the shortcut goes around, explains only a part.

    So a plain CNN gives its last activation before the pool that goes below 7 x 7, and:

    ===================== ========================= ========
    timm backbone         112 px                    224 px
    ===================== ========================= ========
    resnet18, resnet50    layer3                    layer4
    vgg16                 features.29               features
    densenet121           features.transition3.norm features
    efficientnet_b2       blocks.5.0.bn1            bn2
    tf_efficientnet_lite0 blocks.5.0.bn1            bn2
    mobilenetv3_small_100 blocks.4.0.bn1            blocks
    ===================== ========================= ========

    Each is the output of an activation, or of a pool or concatenation of such. timm's `bn1` and
    `bn2` here are normalisation and activation in one; the expansion `blocks.5.0.bn1` is taken
    rather than the stage `blocks.4` before it, since an inverted residual ends in a bare
    convolution.

    Args:
        model: maps images to logits; it is left as found.
        images: an example (N, C, H, W), of which the first is used, or a shape (C, H, W) or
            (N, C, H, W), for which zeros stand in.
        name: "auto", or the dotted name of a module.

    Returns:
        The name, as in `model.named_modules()`.

    Raises:
        ModelError: no such module, or its output is not (N, K, h, w), or it ran not once, or no
            layer has 7 x 7 cells.
    """
    if name != "auto":
        named_layer(model, name)
    with explaining(model):
        example = _example(model, images)
        outputs, calls = _census(model, example)
        if name != "auto":
            return _checked(name, outputs, calls)
        for output in reversed(outputs):
            if _eligible(model, output) and _carries_everything(model, example, output.name):
                return output.name
    raise _too_coarse(outputs)


def find_stages(model: nn.Module, images: Tensor | Sequence[int]) -> tuple[str, ...]:
    """Return the layers that LayerCAM fuses: the last of each size, shallow ones first.

    Each is fit as `find_layer` describes, and the last of them is what that finds. So resnet18 at
    112 px gives act1, layer1, layer2 and layer3: 56, 28, 14 and 7 cells a side.

    Args:
        model: maps images to logits; it is left as found.
        images: an example, or a shape, as for `find_layer`.

    Returns:
        The names, as in `model.named_modules()`.

    Raises:
        ModelError: no layer has 7 x 7 cells.
    """
    stages: dict[tuple[int, int], str] = {}
    with explaining(model):
        example = _example(model, images)
        outputs, _ = _census(model, example)
        for output in reversed(outputs):
            if output.size in stages or not _eligible(model, output):
                continue
            if _carries_everything(model, example, output.name):
                stages[output.size] = output.name
    if not stages:
        raise _too_coarse(outputs)
    return tuple(reversed(stages.values()))


def find_pooled(model: nn.Module, images: Tensor, name: str = "auto") -> tuple[str, str]:
    """Return the layer that the head averages, and the head: what CAM is defined for.

    The head is the last `nn.Linear`; it must give the logits, and what it is given must be the
    mean of each channel of the layer. Both are checked on numbers.

    Args:
        model: maps images to logits; it is left as found.
        images: (N, C, H, W), of which the first is used.
        name: "auto", or the dotted name of the layer.

    Returns:
        The names of the layer and of the head. "auto" is the last such layer, however few its
        cells.

    Raises:
        ModelError: the head is no average and linear layer, or does not average the layer named.
    """
    with explaining(model), torch.no_grad():
        logits, means, linear = _heads(model, _example(model, images))
    if not linear or not torch.allclose(linear[-1].output, logits):
        raise _no_average("its logits are not what a linear layer gives")
    head = linear[-1]
    fit = [each for each, mean in means if _same(mean, head.input)]
    if not fit:
        raise _no_average(f"what {head.name!r} is given is not the mean of each channel of a layer")
    if name not in ("auto", *fit):
        raise _no_average(f"its head averages {fit[-1]!r}, not {name!r}")
    return (fit[-1] if name == "auto" else name), head.name


def named_layer(model: nn.Module, name: str) -> nn.Module:
    """Return the module of a dotted name.

    Args:
        model: the whole model.
        name: as in `model.named_modules()`.

    Raises:
        ModelError: no module has this name; the message lists the nearest ones.
    """
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if name in modules and name:
        return modules[name]
    nearest = get_close_matches(name, [each for each in modules if each], n=5, cutoff=0.4)
    some = [each for each in modules if each][-_LISTED:]
    raise ModelError(
        f"The model has no layer named {name!r}.",
        f"the name of a module inside it, such as {', '.join(nearest or some) or 'none'}",
        'Name one of model.named_modules(), or "auto".',
    )


def _example(model: nn.Module, images: Tensor | Sequence[int]) -> Tensor:
    """One image on the model's device."""
    parameter = next(model.parameters(), torch.empty(0))
    if isinstance(images, Tensor):
        return images[:1].to(parameter.device, copy=True)
    return torch.zeros(1, *images[-3:], dtype=parameter.dtype, device=parameter.device)


@contextmanager
def _hooked(model: nn.Module, hook: Any) -> Iterator[None]:  # noqa: ANN401 - see below
    """Call `hook(name, output)` after each module but the whole; what it returns is passed on."""
    with ExitStack() as stack:
        for name, module in model.named_modules():
            if name:
                handle = module.register_forward_hook(
                    lambda _module, _inputs, output, name=name: hook(name, output)
                )
                stack.callback(handle.remove)
        yield


def _census(model: nn.Module, example: Tensor) -> tuple[list[_Output], Counter[str]]:
    """All outputs of four dimensions in order of completion, and how often each module ran."""
    outputs: list[_Output] = []
    calls: Counter[str] = Counter()
    learned = _has_weights(model)

    def note(name: str, output: object) -> None:
        nonlocal learned
        calls[name] += 1
        learned = learned or _has_weights(model.get_submodule(name))
        if isinstance(output, Tensor) and output.ndim == 4:
            outputs.append(_Output(name, (output.shape[2], output.shape[3]), learned))

    with _hooked(model, note), torch.no_grad():
        model(example)
    return [output for output in outputs if calls[output.name] == 1], calls


def _has_weights(module: nn.Module) -> bool:
    return next(module.parameters(recurse=False), None) is not None


def _eligible(model: nn.Module, output: _Output) -> bool:
    module = model.get_submodule(output.name)
    # timm's normalisation with activation derives from the bare one; its activation is a child.
    bare = isinstance(module, _LINEAR) and not any(module.children())
    return output.large and output.learned and not bare and not isinstance(module, _RESIZING)


def _carries_everything(model: nn.Module, example: Tensor, name: str) -> bool:
    """Whether each path from the image to the logits goes through the layer.

    The first floating output is made to require a gradient and the layer's output is cut off from
    it. As all parameters are frozen, the logits still require one only by a way around the layer.
    """
    started = False

    def cut(current: str, output: object) -> object:
        nonlocal started
        if not isinstance(output, Tensor) or not output.is_floating_point():
            return None
        if not started:
            started = True
            # A copy of the leaf, so that an in-place activation may follow.
            output = output.detach().requires_grad_().clone()
        return output.detach().clone() if current == name else output

    with _hooked(model, cut):
        logits = model(example)
    return not logits.requires_grad


class _Linear(NamedTuple):
    """What a linear layer was given and what it made of it."""

    name: str
    input: Tensor
    output: Tensor


def _heads(
    model: nn.Module, example: Tensor
) -> tuple[Tensor, list[tuple[str, Tensor]], list[_Linear]]:
    """The logits, the mean of each layer with more than a cell, and each linear layer."""
    means: list[tuple[str, Tensor]] = []
    linear: list[_Linear] = []

    def note(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        if not isinstance(output, Tensor):
            return
        if isinstance(module, nn.Linear):
            linear.append(_Linear(name, inputs[0], output))
        elif output.ndim == 4 and output.shape[2:].numel() > 1:
            means.append((name, output.mean(dim=(2, 3))))

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if name:
                hook = partial(_named_hook, note, name)
                stack.callback(module.register_forward_hook(hook).remove)
        logits: Tensor = model(example)
    return logits, means, linear


def _named_hook(
    note: Callable[[str, nn.Module, tuple[Tensor, ...], object], None],
    name: str,
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    output: object,
) -> None:
    note(name, module, inputs, output)


def _same(mean: Tensor, given: Tensor) -> bool:
    return mean.shape == given.shape and torch.allclose(mean, given, rtol=1e-3, atol=1e-5)


def _no_average(reason: str) -> ModelError:
    return ModelError(
        f"CAM is not defined for this model: {reason}.",
        "a head that averages each channel of the last maps and is linear after that",
        "Use layer_cam or grad_cam, which need no such head.",
    )


def _checked(name: str, outputs: list[_Output], calls: Counter[str]) -> str:
    if any(output.name == name for output in outputs):
        return name
    found = f"ran {calls[name]} times in one forward" if calls[name] != 1 else "gave no map"
    raise ModelError(
        f"The layer {name!r} {found}.",
        "a layer that runs once and gives (N, K, h, w)",
        f"Name another, such as {outputs[-1].name!r}." if outputs else "",
    )


def _too_coarse(outputs: list[_Output]) -> ModelError:
    learned = [output for output in outputs if output.learned]
    found = ", ".join(str(output) for output in learned[-5:]) or "none"
    return ModelError(
        f"No layer is fit for maps; the last outputs of four dimensions: {found}.",
        f"a layer of at least {SMALLEST} x {SMALLEST} cells that all of the network goes through",
        "Enlarge the images, or name a layer.",
    )
