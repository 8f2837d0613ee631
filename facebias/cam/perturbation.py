"""How a score changes if a channel masks the image or is taken out of the network."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from facebias.cam.targets import scores
from facebias.errors import ModelError


def mean_colour(images: Tensor) -> Tensor:
    """Return what stands for "nothing there": each image's own mean of each channel.

    Black would not do for faces: it leaves dark skin as it is and changes light skin most.

    Args:
        images: (N, C, H, W), floating.

    Returns:
        (N, C, 1, 1).
    """
    return images.mean(dim=(2, 3), keepdim=True)


def floating(model: nn.Module, images: Tensor, logits: Tensor) -> Tensor:
    """Return images of bytes as floats of the same values, which can be mixed.

    Args:
        model: that normalises inside.
        images: (N, C, H, W).
        logits: what the model gave for them, (N, classes).

    Raises:
        ModelError: if the model answers otherwise to floats.
    """
    if images.is_floating_point():
        return images
    floats = images.float()
    with torch.no_grad():
        same = torch.allclose(model(floats).float(), logits.float(), rtol=1e-3, atol=1e-3)
    if not same:
        raise ModelError(
            "The model answers otherwise to floats of 0 to 255 than to the same bytes.",
            "the same answer",
            "Explain it by a method that leaves the image as it is, such as layer_cam.",
        )
    return floats


def masked_scores(
    model: nn.Module, images: Tensor, activations: Tensor, direction: Tensor, batch_size: int
) -> Tensor:
    """Score each image seen through each channel alone (Score-CAM).

    A channel is brought to the image's size (bilinear between the centres of cells) and to 0..1;
    where it is 0, the image gives way to its mean colour. On images of mean 0, as networks without
    their own normalisation take them, this is the paper's product of image and mask. A channel
    that is constant lets nothing through.

    Args:
        model: in eval mode, as `state.explaining` holds it.
        images: (N, C, H, W), floating.
        activations: (N, K, h, w).
        direction: (N, classes), as `targets.directions` gives it.
        batch_size: masked images in one forward.

    Returns:
        (N, K), float32: K forwards an image.
    """
    size = images.shape[2:]
    rows = []
    with torch.no_grad():
        for image, channels, wanted in zip(images, activations, direction, strict=True):
            base = mean_colour(image[None])
            found = []
            for some in channels.split(batch_size):
                masks = _masks(some[:, None].to(image.dtype), size)
                found.append(scores(model(base + (image - base) * masks), wanted))
            rows.append(torch.cat(found))
    return torch.stack(rows).float()


def _masks(channels: Tensor, size: torch.Size) -> Tensor:
    """Bring channels (K, 1, h, w) to (K, 1, H, W), each 0..1."""
    large = functional.interpolate(channels, size=size, mode="bilinear", align_corners=False)
    lowest = large.amin(dim=(2, 3), keepdim=True)
    span = large.amax(dim=(2, 3), keepdim=True) - lowest
    return ((large - lowest) / span).where(span > 0, 0)


def ablation_drops(
    model: nn.Module,
    module: nn.Module,
    images: Tensor,
    channels: int,
    direction: Tensor,
    batch_size: int,
) -> Tensor:
    """Measure what each score loses if a channel of a layer is set to 0 (Ablation-CAM).

    Args:
        model: in eval mode, as `state.explaining` holds it.
        module: the layer, with output (N, K, h, w).
        images: (N, C, H, W), as the model takes them.
        channels: K.
        direction: (N, classes), as `targets.directions` gives it.
        batch_size: copies of an image in one forward, each without another channel.

    Returns:
        Score with all channels less score without channel k, (N, K), float32: K forwards an
        image.
    """
    rows = []
    with torch.no_grad():
        for image, wanted in zip(images, direction, strict=True):
            found = []
            for start in range(0, channels, batch_size):
                removed = torch.arange(
                    start, min(start + batch_size, channels), device=image.device
                )
                # One more copy stays whole, so that both scores share their rounding.
                with _ablated(module, removed):
                    score = scores(model(image.expand(len(removed) + 1, *image.shape)), wanted)
                found.append(score[-1] - score[:-1])
            rows.append(torch.cat(found))
    return torch.stack(rows).float()


@contextmanager
def _ablated(module: nn.Module, removed: Tensor) -> Iterator[None]:
    """Set channel removed[n] to 0 in the module's output for image n."""

    def remove(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        changed = output.clone()
        changed[torch.arange(len(removed), device=output.device), removed] = 0
        return changed

    handle = module.register_forward_hook(remove)
    try:
        yield
    finally:
        handle.remove()
