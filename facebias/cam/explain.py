"""Maps of a batch of images: where the network finds the evidence for a class."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from facebias.cam.layers import find_layer, named_layer
from facebias.cam.methods import METHODS, Method, normalise
from facebias.cam.state import explaining
from facebias.errors import ConfigError, DataError, ModelError


@dataclass(frozen=True)
class Maps:
    """The maps of N images and how they were made.

    Args:
        values: (N, h, w), float32, 0..1 with a maximum of 1 each; NaN throughout where undefined.
        logits: (N, classes), float32, of the forward that the maps explain.
        targets: (N,), int64, the class that each map is for.
        layer: the dotted name of the layer.
        method: the name of the method.
    """

    values: NDArray[np.float32]
    logits: NDArray[np.float32]
    targets: NDArray[np.int64]
    layer: str
    method: str

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Which images have a map, (N,)."""
        return np.asarray(np.isfinite(self.values).all(axis=(1, 2)))


def class_maps(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    layer: str = "auto",
    method: str = "layer_cam",
    batch_size: int = 64,
) -> Maps:
    """Show where the network finds the evidence for one class of each image.

    The gradient of the class logit by the layer's output is taken with `torch.autograd.grad`; all
    before the layer runs without recording. The model is left as found (modes, hooks, `.grad`,
    frozen or not), and the caller may be in autocast, `torch.no_grad()` or
    `torch.inference_mode()`.

    Args:
        model: maps images to logits (N, classes) and normalises inside.
        images: (N, C, H, W), as the model takes them, on any device.
        targets: the class to explain in each image, (N,), integers.
        layer: "auto" (see `find_layer`) or the dotted name of a module with output (N, K, h, w).
        method: a name in `METHODS`.
        batch_size: images in one forward; it changes speed and memory only.

    Returns:
        Maps (N, h, w) in the layer's cells; `resize_maps` brings them to the image.

    Raises:
        ConfigError: an unknown method, or a batch size below 1.
        DataError: images and targets that do not fit each other.
        ModelError: an unknown or unfit layer, logits that are not (N, classes), or a target that
            is not among the classes.
    """
    if method not in METHODS:
        raise ConfigError(f"There is no CAM method {method!r}.", f"one of {', '.join(METHODS)}")
    _check_batch(images, targets, batch_size)
    name = find_layer(model, images) if layer == "auto" else layer
    module = named_layer(model, name)
    device = next((parameter.device for parameter in model.parameters()), images.device)
    maps, logits = [], []
    with explaining(model):
        for start in range(0, len(images), batch_size):
            # A copy, since a tensor made in inference mode can't be part of a recorded forward.
            chunk = images[start : start + batch_size].to(device, copy=True)
            classes = targets[start : start + batch_size].to(device, torch.int64, copy=True)
            some_maps, some_logits = _explain(model, module, name, chunk, classes, METHODS[method])
            maps.append(some_maps.cpu().numpy())
            logits.append(some_logits.cpu().numpy())
    classes_array = targets.to("cpu", torch.int64).numpy().copy()
    return Maps(np.concatenate(maps), np.concatenate(logits), classes_array, name, method)


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


def _check_batch(images: Tensor, targets: Tensor, batch_size: int) -> None:
    if batch_size < 1:
        raise ConfigError(f"The batch size is {batch_size}.", "1 or more")
    if images.ndim != 4 or len(images) == 0:
        raise DataError(f"Images of shape {tuple(images.shape)}.", "(N, C, H, W) with N >= 1")
    if targets.shape != images.shape[:1] or targets.is_floating_point():
        raise DataError(
            f"Targets of shape {tuple(targets.shape)} and {targets.dtype}.",
            f"({len(images)},) integers: one class for each image",
        )


def _explain(
    model: nn.Module,
    module: nn.Module,
    name: str,
    images: Tensor,
    targets: Tensor,
    method: Method,
) -> tuple[Tensor, Tensor]:
    """Maps (N, h, w) and logits (N, classes) of one chunk, float32."""
    with _keeping(module, name) as kept:
        logits = model(images)
    if len(kept) != 1:
        raise ModelError(
            f"The layer {name!r} ran {len(kept)} times in one forward.",
            "a layer that runs once",
            'Name the block around it, or "auto".',
        )
    _check_logits(logits, targets)
    score = logits.gather(1, targets[:, None]).sum()
    if not score.requires_grad:
        raise ModelError(f"The logits do not depend on the layer {name!r}.", todo="Name another.")
    (gradients,) = torch.autograd.grad(score, kept)
    maps = normalise(method(kept[0].detach().float(), gradients.float()))
    return maps, logits.detach().float()


def _check_logits(logits: object, targets: Tensor) -> None:
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(f"The model gave {found}.", "logits (N, classes)")
    if targets.min() < 0 or targets.max() >= logits.shape[1]:
        raise ModelError(
            f"Targets from {int(targets.min())} to {int(targets.max())}.",
            f"0 to {logits.shape[1] - 1}, as the model has {logits.shape[1]} classes",
        )


@contextmanager
def _keeping(module: nn.Module, name: str) -> Iterator[list[Tensor]]:
    """Collect what the module gives in each call, as the start of the recorded graph."""
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: object) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ModelError(
                f"The layer {name!r} gave {found}.", "(N, K, h, w)", 'Name another, or "auto".'
            )
        # Copies on both sides: in-place steps of the network, before or after, spoil neither.
        kept.append(output.detach().clone().requires_grad_())
        return kept[-1].clone()

    handle = module.register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()
