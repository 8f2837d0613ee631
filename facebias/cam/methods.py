"""The CAM methods: pure functions from activations and gradients to raw maps."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor

Method = Callable[[Tensor, Tensor], Tensor]


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    r"""Weigh each channel by the mean of its gradients (Grad-CAM).

    .. math:: M = \mathrm{relu}\Big(\sum_k A^k \cdot \frac{1}{hw} \sum_{ij} G^k_{ij}\Big)

    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017.

    Args:
        activations: A, the output of the layer, (N, K, h, w).
        gradients: G, the derivative of the class logit by A, (N, K, h, w).

    Returns:
        Raw maps, (N, h, w), not negative, without upper bound.

    >>> import torch
    >>> activations = torch.tensor([[[[1.0, 2.0], [0.0, 4.0]]]])
    >>> grad_cam(activations, torch.tensor([[[[1.0, -1.0], [0.0, 2.0]]]]))
    tensor([[[0.5000, 1.0000],
             [0.0000, 2.0000]]])
    """
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1).relu()


def layer_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    r"""Weigh each cell of each channel by its own positive gradient (LayerCAM).

    .. math:: M_{ij} = \mathrm{relu}\Big(\sum_k \mathrm{relu}(G^k_{ij}) A^k_{ij}\Big)

    Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization",
    IEEE Transactions on Image Processing 30, 2021.

    Args:
        activations: A, the output of the layer, (N, K, h, w).
        gradients: G, the derivative of the class logit by A, (N, K, h, w).

    Returns:
        Raw maps, (N, h, w), not negative, without upper bound.

    >>> import torch
    >>> activations = torch.tensor([[[[1.0, 2.0], [0.0, 4.0]]]])
    >>> layer_cam(activations, torch.tensor([[[[1.0, -1.0], [0.0, 2.0]]]]))
    tensor([[[1., 0.],
             [0., 8.]]])
    """
    return (gradients.relu() * activations).sum(dim=1).relu()


METHODS: Mapping[str, Method] = MappingProxyType({"grad_cam": grad_cam, "layer_cam": layer_cam})
"""The methods by the name that `class_maps` takes."""


def normalise(maps: Tensor) -> Tensor:
    """Divide each map by its own maximum.

    A map that is zero everywhere points nowhere, and one with a value that is not finite is
    broken: both are undefined and come back as NaN.

    Args:
        maps: raw maps, (N, h, w), not negative.

    Returns:
        Maps, (N, h, w), 0..1 with a maximum of 1 each, or NaN throughout where undefined.

    >>> import torch
    >>> normalise(torch.tensor([[[0.0, 2.0]], [[0.0, 0.0]]]))
    tensor([[[0., 1.]],
    <BLANKLINE>
            [[nan, nan]]])
    """
    maximum = maps.amax(dim=(1, 2), keepdim=True)
    defined = (maximum > 0) & maximum.isfinite()
    return (maps / maximum).where(defined, float("nan"))
