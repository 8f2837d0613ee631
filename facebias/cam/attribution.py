"""Attributions to pixels, and how far maps can be trusted, through Captum."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facebias.cam.perturbation import floating, mean_colour
from facebias.cam.state import explaining
from facebias.cam.targets import Targets, check_targets, directions, scores
from facebias.errors import DataError

STEPS = 32
"""Points of the path of integrated gradients; Gauss-Legendre, so few are enough."""


def integrated_gradients(
    model: nn.Module, images: Tensor, direction: Tensor, batch_size: int
) -> Tensor:
    r"""Add up the gradient on the straight path from the mean colour to the image.

    .. math::
        a_i = (x_i - x'_i) \int_0^1 \frac{\partial S}{\partial x_i}(x' + t (x - x')) \, dt

    The attributions of an image add up to S(x) - S(x'). The path starts from the image's mean
    colour, not from black: there, dark skin would get next to nothing by definition.

    Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017.

    Args:
        model: in eval mode, as `state.explaining` holds it.
        images: x, (N, C, H, W), floating.
        direction: of the score S, (N, classes), as `targets.directions` gives it.
        batch_size: images on their paths in one forward and backward.

    Returns:
        Attributions with sign, (N, H, W), added up over the channels, without bounds.
    """
    from captum.attr import IntegratedGradients

    with torch.enable_grad():
        attributions = IntegratedGradients(_score_of(model)).attribute(
            images,
            mean_colour(images).expand_as(images),
            additional_forward_args=(direction,),
            n_steps=STEPS,
            internal_batch_size=batch_size,
        )
    summed: Tensor = attributions.detach().float().sum(dim=1)
    return summed


def occlusion(model: nn.Module, images: Tensor, direction: Tensor) -> Tensor:
    """Measure what the score loses if a patch of the mean colour covers part of the image.

    The patch is a quarter of the shorter side wide and moves by half its width. A pixel gets the
    mean of the patches that cover it.

    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.

    Args:
        model: in eval mode, as `state.explaining` holds it.
        images: (N, C, H, W), floating, 8 pixels or more a side.
        direction: of the score, (N, classes), as `targets.directions` gives it.

    Returns:
        Losses with sign, (N, H, W), in units of the score.

    Raises:
        DataError: images of fewer pixels.
    """
    from captum.attr import Occlusion

    channels, side = images.shape[1], min(images.shape[2:])
    if side < 8:
        raise DataError(f"Images with {side} pixels along a side.", "8 or more, for occlusion")
    patch = side // 4
    with torch.no_grad():
        losses = Occlusion(_score_of(model)).attribute(
            images,
            (channels, patch, patch),
            (channels, patch // 2, patch // 2),
            mean_colour(images).expand_as(images),
            additional_forward_args=(direction,),
        )
    first: Tensor = losses[:, 0].float()  # the same in each channel
    return first


def infidelity(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    maps: NDArray[np.float32],
    *,
    noise: float = 0.2,
    samples: int = 50,
    seed: int = 0,
) -> NDArray[np.float32]:
    r"""Measure how badly maps foretell what noise on the image does to the score.

    .. math:: \mathrm{E}_I \big[ (\beta \, I \cdot \Phi - (S(x) - S(x - I)))^2 \big]

    I is Gaussian noise, the same in each channel, and Phi the map. A map has no scale, so the
    best factor beta is taken for each image (Captum's `normalize`): 0 is perfect, and the mean
    square of S(x) - S(x - I) is no better than no map.

    Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019.

    Args:
        model: maps images to logits; it is left as found.
        images: (N, C, H, W).
        targets: as `class_maps` takes them.
        maps: of the size of the images, (N, H, W), NaN throughout where undefined.
        noise: its standard deviation, in standard deviations of each image.
        samples: draws of the noise.
        seed: of the noise; torch's own state is left as found.

    Returns:
        (N,), not negative, in squared units of the score; NaN where the map is undefined.

    Raises:
        DataError: targets or maps that do not fit the images.
    """
    from captum.metrics import infidelity as measure

    check_targets(targets, len(images))
    if maps.shape != (len(images), *images.shape[2:]):
        raise DataError(
            f"Maps of shape {maps.shape} for images of shape {tuple(images.shape)}.",
            "one map an image, of its size",
            "Bring them to size with facebias.cam.explain.resize_maps.",
        )
    generator = torch.Generator().manual_seed(seed)

    def perturb(inputs: Tensor) -> tuple[Tensor, Tensor]:
        drawn = torch.randn(len(inputs), 1, *inputs.shape[2:], generator=generator).to(inputs)
        spread = inputs.std(dim=(1, 2, 3), keepdim=True)
        change = (noise * spread * drawn).expand_as(inputs)
        return change, inputs - change

    with explaining(model), torch.no_grad():
        device = next((parameter.device for parameter in model.parameters()), images.device)
        images = images.to(device, copy=True)
        logits = model(images)
        floats = floating(model, images, logits)
        values: Tensor = measure(
            _score_of(model),
            perturb,
            floats,
            torch.from_numpy(maps).to(floats)[:, None].expand_as(floats),
            additional_forward_args=(directions(targets, logits),),
            n_perturb_samples=samples,
            max_examples_per_batch=max(64, 2 * len(images)),
            normalize=True,
        )
    return np.asarray(values.float().cpu().numpy(), np.float32)


def sensitivity(
    explain: Callable[[Tensor], NDArray[np.float32]],
    images: Tensor,
    *,
    radius: float = 0.05,
    samples: int = 8,
    seed: int = 0,
) -> NDArray[np.float32]:
    r"""Measure how much maps change under noise that the eye hardly sees.

    .. math::
        \max_{\|\delta\|_\infty \le r} \|\Phi(x + \delta) - \Phi(x)\| \, / \, \|\Phi(x)\|

    The maximum is over a number of draws, so it is a lower bound.

    Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019.

    Args:
        explain: images (N, C, H, W) of floats -> maps (N, h, w), such as
            `lambda images: class_maps(model, images, targets).values`.
        images: (N, C, H, W).
        radius: r, in standard deviations of each image.
        samples: draws.
        seed: of the draws; torch's own state is left as found.

    Returns:
        (N,), not negative; NaN where one of the maps is undefined.
    """
    generator = torch.Generator().manual_seed(seed)
    floats = images.float()
    spread = floats.std(dim=(1, 2, 3), keepdim=True)
    maps = explain(floats)
    size = np.linalg.norm(maps, axis=(1, 2))
    worst = np.zeros(len(maps), np.float32)
    for _ in range(samples):
        drawn = 2 * torch.rand(floats.shape, generator=generator).to(floats) - 1
        change = np.linalg.norm(explain(floats + radius * spread * drawn) - maps, axis=(1, 2))
        worst = np.maximum(worst, change / size)
    return worst


def _score_of(model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """The score as Captum calls it: of images (M, C, H, W) and their directions (M, classes)."""
    return lambda images, direction: scores(model(images), direction)
