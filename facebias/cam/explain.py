"""Maps of a batch of images: where the network finds the evidence for a class."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from facebias.cam import attribution, methods, perturbation
from facebias.cam.layers import find_layer, find_pooled, find_stages, named_layer
from facebias.cam.state import explaining
from facebias.cam.targets import Targets, check_targets, directions, part, scores, settled
from facebias.errors import ConfigError, DataError, ModelError


@dataclass(frozen=True)
class Maps:
    """The maps of N images and how they were made.

    Args:
        values: (N, h, w), float32, 0..1 with a maximum of 1 each; NaN throughout where undefined.
        logits: (N, classes), float32, of the forward that the maps explain.
        targets: (N,), int64, the class that each map is for.
        layer: the dotted name of the layer, several joined by " + ", or "image" for pixels.
        method: the name of the method.
        against: (N,), int64, the class that it is set against in a contrast, else None.
    """

    values: NDArray[np.float32]
    logits: NDArray[np.float32]
    targets: NDArray[np.int64]
    layer: str
    method: str
    against: NDArray[np.int64] | None = None

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Which images have a map, (N,)."""
        return np.asarray(np.isfinite(self.values).all(axis=(1, 2)))


@dataclass(frozen=True)
class _Plan:
    """What is done with each chunk: the method, its layers, and the head where CAM needs it."""

    method: str
    names: tuple[str, ...]
    head: str
    batch_size: int


def class_maps(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    layer: str | Sequence[str] = "auto",
    method: str = "layer_cam",
    batch_size: int = 64,
) -> Maps:
    """Show where the network finds the evidence for one class of each image.

    The gradient of the score by the layer's output is taken with `torch.autograd.grad`; all
    before the layer runs without recording. The model is left as found (modes, hooks, `.grad`,
    frozen or not), and the caller may be in autocast, `torch.no_grad()` or
    `torch.inference_mode()`. Of a model wrapped for several processes, give the module inside.

    Args:
        model: maps images to logits (N, classes) and normalises inside.
        images: (N, C, H, W), as the model takes them, on any device.
        targets: the class to explain in each image, (N,), integers; a pair of such for what
            speaks for the first against the second; or "predicted", each image's own answer.
        layer: "auto" (see `find_layer`; for CAM `find_pooled`) or the dotted name of a module
            with output (N, K, h, w). For LayerCAM also "stages" (see `find_stages`) or several
            names, whose maps are fused (see `fuse`).
        method: a name in `METHODS`.
        batch_size: images in one forward; it changes speed and memory only.

    Returns:
        Maps (N, h, w) in the layer's cells, the largest of several, or in pixels for methods
        without a layer; `resize_maps` brings them to the image.

    Raises:
        ConfigError: an unknown method, a batch size below 1, or layers that the method does not
            have.
        DataError: images and targets that do not fit each other.
        ModelError: an unknown or unfit layer, logits that are not (N, classes), a target that
            is not among the classes, or a model that the method is not defined for.
    """
    _check_method(method, layer, batch_size)
    _check_images(images)
    check_targets(targets, len(images))
    plan = _plan(model, images, layer, method, batch_size)
    device = next((parameter.device for parameter in model.parameters()), images.device)
    maps, logits, positive, negative = [], [], [], []
    with explaining(model):
        for start in range(0, len(images), batch_size):
            rows = slice(start, start + batch_size)
            # A copy, since a tensor made in inference mode can't be part of a recorded forward;
            # channels last in memory, which convolutions are faster on.
            chunk = images[rows].to(device, copy=True).contiguous(memory_format=torch.channels_last)
            raw, answers = _explain(model, plan, chunk, part(targets, rows))
            classes, others = settled(part(targets, rows), answers)
            maps.append(methods.normalise(raw).cpu().numpy())
            logits.append(answers.float().cpu().numpy())
            positive.append(classes.cpu().numpy())
            negative += [] if others is None else [others.cpu().numpy()]
    return Maps(
        np.concatenate(maps),
        np.concatenate(logits),
        np.concatenate(positive),
        " + ".join(plan.names) or "image",
        method,
        np.concatenate(negative) if negative else None,
    )


def resize_maps(maps: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Bring maps to the size of the image, bilinear between the centres of the cells.

    Args:
        maps: (N, h, w), 0..1 or NaN throughout.
        size: H, W.

    Returns:
        (N, H, W), float32, within the range of each map; NaN stays NaN.

    >>> resize_maps(np.array([[[0.0, 1.0]]], dtype=np.float32), (1, 4))
    array([[[0.  , 0.25, 0.75, 1.  ]]], dtype=float32)
    """
    tensor = torch.from_numpy(np.array(maps, dtype=np.float32))[:, None]
    resized = functional.interpolate(tensor, size=size, mode="bilinear", align_corners=False)
    values: NDArray[np.float32] = resized[:, 0].numpy()
    return values


def _check_method(method: str, layer: str | Sequence[str], batch_size: int) -> None:
    if method not in methods.METHODS:
        raise ConfigError(
            f"There is no CAM method {method!r}.", f"one of {', '.join(methods.METHODS)}"
        )
    if batch_size < 1:
        raise ConfigError(f"The batch size is {batch_size}.", "1 or more")
    if method in methods.PIXEL_METHODS and layer != "auto":
        raise ConfigError(f"The layer {layer!r} for {method}.", '"auto": it looks at no layer')
    several = layer == "stages" or not isinstance(layer, str)
    if several and method != "layer_cam":
        raise ConfigError(f"Several layers for {method}.", "one: only layer_cam fuses stages")
    if not layer:
        raise ConfigError("No layer.", 'a name, names, "stages" or "auto"')


def _check_images(images: Tensor) -> None:
    if images.ndim != 4 or len(images) == 0:
        raise DataError(f"Images of shape {tuple(images.shape)}.", "(N, C, H, W) with N >= 1")


def _plan(
    model: nn.Module, images: Tensor, layer: str | Sequence[str], method: str, batch_size: int
) -> _Plan:
    """Settle the layers, once for all chunks."""
    if method in methods.PIXEL_METHODS:
        return _Plan(method, (), "", batch_size)
    if not isinstance(layer, str):
        return _Plan(method, tuple(layer), "", batch_size)
    if layer == "stages":
        return _Plan(method, find_stages(model, images), "", batch_size)
    if layer != "auto":
        named_layer(model, layer)
    if method == "cam":
        name, head = find_pooled(model, images, layer)
        return _Plan(method, (name,), head, batch_size)
    return _Plan(method, (find_layer(model, images) if layer == "auto" else layer,), "", batch_size)


def _explain(
    model: nn.Module, plan: _Plan, images: Tensor, targets: Targets
) -> tuple[Tensor, Tensor]:
    """Raw maps (N, h, w), float32, and logits (N, classes) of one chunk."""
    if plan.method in methods.GRADIENT_METHODS:
        return _by_gradients(model, plan, images, targets)
    if plan.method in methods.PIXEL_METHODS:
        return _by_pixels(model, plan, images, targets)
    return _by_channels(model, plan, images, targets)


def _by_gradients(
    model: nn.Module, plan: _Plan, images: Tensor, targets: Targets
) -> tuple[Tensor, Tensor]:
    logits, kept = _forward(model, plan.names, images)
    score = scores(logits, directions(targets, logits)).sum()
    gradients: Sequence[Tensor | None] = [None]
    if score.requires_grad:
        gradients = torch.autograd.grad(score, kept, allow_unused=True)
    method, maps = methods.GRADIENT_METHODS[plan.method], []
    for name, activations, gradient in zip(plan.names, kept, gradients, strict=False):
        if gradient is None:
            raise ModelError(
                f"The logits do not depend on the layer {name!r}.", todo="Name another."
            )
        maps.append(method(activations.detach().float(), gradient.float()))
    if len(maps) > 1:
        return methods.fuse([methods.normalise(each) for each in maps]), logits.detach()
    return maps[0], logits.detach()


def _by_channels(
    model: nn.Module, plan: _Plan, images: Tensor, targets: Targets
) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        logits, (kept,) = _forward(model, plan.names, images)
    direction, activations = directions(targets, logits), kept.detach().float()
    if plan.method == "cam":
        weights = named_layer(model, plan.head).get_parameter("weight").detach().float()
        return methods.cam(activations, direction.float() @ weights), logits
    if plan.method == "eigen_cam":
        return methods.eigen_cam(activations), logits
    if plan.method == "score_cam":
        floats = perturbation.floating(model, images, logits)
        found = perturbation.masked_scores(model, floats, activations, direction, plan.batch_size)
        return methods.score_cam(activations, found), logits
    module, channels = named_layer(model, plan.names[0]), activations.shape[1]
    drops = perturbation.ablation_drops(model, module, images, channels, direction, plan.batch_size)
    return methods.ablation_cam(activations, drops), logits


def _by_pixels(
    model: nn.Module, plan: _Plan, images: Tensor, targets: Targets
) -> tuple[Tensor, Tensor]:
    """What speaks for the class, as CAM methods show it: negative attributions are 0."""
    with torch.no_grad():
        logits = model(images)
    direction = directions(targets, logits)
    floats = perturbation.floating(model, images, logits)
    if plan.method == "occlusion":
        return attribution.occlusion(model, floats, direction).relu(), logits
    found = attribution.integrated_gradients(model, floats, direction, plan.batch_size)
    return found.relu(), logits


def _forward(model: nn.Module, names: Sequence[str], images: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Logits, and the output of each layer; the first layers start the recorded graph."""
    kept: dict[str, list[Tensor]] = {name: [] for name in names}
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(_keeping(named_layer(model, name), name, kept[name]))
        logits: Tensor = model(images)
    for name, outputs in kept.items():
        if len(outputs) != 1:
            raise ModelError(
                f"The layer {name!r} ran {len(outputs)} times in one forward.",
                "a layer that runs once",
                'Name the block around it, or "auto".',
            )
    return logits, [outputs[0] for outputs in kept.values()]


@contextmanager
def _keeping(module: nn.Module, name: str, kept: list[Tensor]) -> Iterator[None]:
    """Collect what the module gives in each call."""

    def keep(_module: nn.Module, _inputs: object, output: object) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ModelError(
                f"The layer {name!r} gave {found}.", "(N, K, h, w)", 'Name another, or "auto".'
            )
        # Copies on both sides: in-place steps of the network, before or after, spoil neither.
        # What an earlier layer has made part of the graph stays so.
        copy = output.clone()
        kept.append(copy if copy.requires_grad else copy.detach().requires_grad_())
        return kept[-1].clone()

    handle = module.register_forward_hook(keep)
    try:
        yield
    finally:
        handle.remove()
