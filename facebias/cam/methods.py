r"""The CAM methods: pure functions from a layer's activations to raw maps.

Each takes the activations A, (N, K, h, w), and what the method weighs them by: the gradients of the
score, the weights of the head, or scores of changed images. `explain` and `perturbation` supply
these. All of them cut off what is negative, since it speaks against the class.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

GradientMethod = Callable[[Tensor, Tensor], Tensor]

_TINY = 1e-7  # keeps 0 / 0 at 0


def cam(activations: Tensor, weights: Tensor) -> Tensor:
    r"""Weigh each channel by the weight that the linear head gives it (CAM).

    .. math:: M = \mathrm{relu}\Big(\sum_k w_k A^k\Big)

    It is defined only where the logits are a linear function of the mean of each channel. The
    paper keeps negative values and shows them as the lowest colour; here they are 0.

    Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016.

    Args:
        activations: A, the maps that the head averages, (N, K, h, w).
        weights: w, of the class explained, (N, K).

    Returns:
        Raw maps, (N, h, w), not negative, without upper bound.

    >>> activations = torch.tensor([[[[1.0, 2.0], [0.0, 4.0]]]])
    >>> cam(activations, torch.tensor([[0.5]]))
    tensor([[[0.5000, 1.0000],
             [0.0000, 2.0000]]])
    """
    return (weights[:, :, None, None] * activations).sum(dim=1).relu()


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

    >>> activations = torch.tensor([[[[1.0, 2.0], [0.0, 4.0]]]])
    >>> grad_cam(activations, torch.tensor([[[[1.0, -1.0], [0.0, 2.0]]]]))
    tensor([[[0.5000, 1.0000],
             [0.0000, 2.0000]]])
    """
    return cam(activations, gradients.mean(dim=(2, 3)))


def grad_cam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    r"""Weigh each channel by a weighted sum of its positive gradients (Grad-CAM++).

    .. math::
        w_k = \sum_{ij} \alpha^k_{ij} \, \mathrm{relu}(G^k_{ij}), \qquad
        \alpha^k_{ij} = \frac{(G^k_{ij})^2}
                             {2 (G^k_{ij})^2 + (G^k_{ij})^3 \sum_{ab} A^k_{ab}}, \qquad
        M = \mathrm{relu}\Big(\sum_k w_k A^k\Big)

    Powers of the gradient stand for the second and third derivative, which is exact if the score
    is the exponential of the logit (equation 19); the factor that this brings is the same in the
    whole map. Where a gradient is 0, so is its alpha.

    Chattopadhay et al., "Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep
    Convolutional Networks", WACV 2018.

    Args:
        activations: A, the output of the layer, (N, K, h, w).
        gradients: G, the derivative of the class logit by A, (N, K, h, w).

    Returns:
        Raw maps, (N, h, w), not negative, without upper bound.

    >>> activations = torch.tensor([[[[1.0, 2.0], [0.0, 1.0]]]])
    >>> grad_cam_plus_plus(activations, torch.tensor([[[[1.0, -1.0], [0.0, 2.0]]]]))
    tensor([[[0.3667, 0.7333],
             [0.0000, 0.3667]]])
    """
    sums = activations.sum(dim=(2, 3), keepdim=True)
    # Divided through by the square of the gradient, which small gradients would make 0.
    alpha = 1 / (2 + gradients * sums)
    weights = alpha.where(gradients != 0, 0) * gradients.relu()
    return cam(activations, weights.sum(dim=(2, 3)))


def x_grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    r"""Weigh each channel by the mean of its gradients where the channel is active (XGrad-CAM).

    .. math::
        w_k = \sum_{ij} \frac{A^k_{ij}}{\sum_{ab} A^k_{ab}} G^k_{ij}, \qquad
        M = \mathrm{relu}\Big(\sum_k w_k A^k\Big)

    A channel whose activations add up to 0 has the weight 0.

    Fu et al., "Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs",
    BMVC 2020.

    Args:
        activations: A, the output of the layer, (N, K, h, w).
        gradients: G, the derivative of the class logit by A, (N, K, h, w).

    Returns:
        Raw maps, (N, h, w), not negative, without upper bound.

    >>> activations = torch.tensor([[[[1.0, 2.0], [0.0, 1.0]]]])
    >>> x_grad_cam(activations, torch.tensor([[[[1.0, -1.0], [0.0, 3.0]]]]))
    tensor([[[0.5000, 1.0000],
             [0.0000, 0.5000]]])
    """
    sums = activations.sum(dim=(2, 3))
    products = (activations * gradients).sum(dim=(2, 3))
    return cam(activations, (products / sums).where(sums.abs() > _TINY, 0))


def hires_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    r"""Weigh each cell of each channel by its own gradient (HiResCAM).

    .. math:: M_{ij} = \mathrm{relu}\Big(\sum_k G^k_{ij} A^k_{ij}\Big)

    Draelos and Carin, "Use HiResCAM instead of Grad-CAM for Faithful Explanations of
    Convolutional Neural Networks", arXiv 2011.08891, 2020.

    Args:
        activations: A, the output of the layer, (N, K, h, w).
        gradients: G, the derivative of the class logit by A, (N, K, h, w).

    Returns:
        Raw maps, (N, h, w), not negative, without upper bound.

    >>> activations = torch.tensor([[[[1.0, 2.0], [0.0, 4.0]]]])
    >>> hires_cam(activations, torch.tensor([[[[1.0, -1.0], [0.0, 2.0]]]]))
    tensor([[[1., 0.],
             [0., 8.]]])
    """
    return (gradients * activations).sum(dim=1).relu()


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

    >>> activations = torch.tensor([[[[1.0, 2.0], [0.0, 4.0]]]])
    >>> layer_cam(activations, torch.tensor([[[[1.0, -1.0], [0.0, 2.0]]]]))
    tensor([[[1., 0.],
             [0., 8.]]])
    """
    return (gradients.relu() * activations).sum(dim=1).relu()


def eigen_cam(activations: Tensor) -> Tensor:
    r"""Project the channels of each cell on their first principal direction (EigenCAM).

    .. math:: A = U \Sigma V^T \ \text{(cells x channels)}, \qquad M = \mathrm{relu}(A V_1)

    No class enters, so the map is the same for every target. The channels are not centred, as in
    the paper. The sign of a singular vector is open: the one is taken whose map has a positive
    sum; for activations that are not negative, the whole map is then not negative.

    Muhammad and Yeasin, "Eigen-CAM: Class Activation Map using Principal Components", IJCNN 2020.

    Args:
        activations: A, the output of the layer, (N, K, h, w).

    Returns:
        Raw maps, (N, h, w), not negative, without upper bound; NaN where an activation is not
        finite.

    >>> activations = torch.tensor([[[[3.0, 0.0], [0.0, 3.0]], [[4.0, 0.0], [0.0, 4.0]]]])
    >>> eigen_cam(activations).round(decimals=3) + 0
    tensor([[[5., 0.],
             [0., 5.]]])
    """
    cells = activations.flatten(2).transpose(1, 2)
    finite = cells.isfinite().all(dim=2).all(dim=1)
    left, values, _ = torch.linalg.svd(cells.nan_to_num(0, 0, 0), full_matrices=False)
    first = left[:, :, 0] * values[:, :1]
    signed = torch.where(first.sum(dim=1, keepdim=True) < 0, -first, first)
    maps = signed.relu().where(finite[:, None], float("nan"))
    return maps.reshape(len(maps), *activations.shape[2:])


def score_cam(activations: Tensor, scores: Tensor) -> Tensor:
    r"""Weigh each channel by how well the class is seen through it (Score-CAM).

    .. math:: w = \mathrm{softmax}_k(S_k), \qquad M = \mathrm{relu}\Big(\sum_k w_k A^k\Big)

    S_k is the class logit of the image masked by the channel (`perturbation.masked_scores`). What
    the paper takes from each score, that of the bare baseline, drops out of the softmax.

    Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
    Networks", CVPR Workshops 2020.

    Args:
        activations: A, the output of the layer, (N, K, h, w).
        scores: S, (N, K).

    Returns:
        Raw maps, (N, h, w), not negative, without upper bound.

    >>> activations = torch.tensor([[[[1.0, 2.0]], [[4.0, 0.0]]]])
    >>> score_cam(activations, torch.tensor([[3.0, 3.0]]))
    tensor([[[2.5000, 1.0000]]])
    """
    return cam(activations, scores.softmax(dim=1))


def ablation_cam(activations: Tensor, drops: Tensor) -> Tensor:
    r"""Weigh each channel by what the score loses without it (Ablation-CAM).

    .. math:: M = \mathrm{relu}\Big(\sum_k (y - y_k) A^k\Big)

    y_k is the class logit with channel k set to 0 (`perturbation.ablation_drops`). The paper
    divides by y. That is one factor for the whole map, and where y is negative it would turn the
    map round; so it is left out.

    Desai and Ramaswamy, "Ablation-CAM: Visual Explanations for Deep Convolutional Network via
    Gradient-free Localization", WACV 2020.

    Args:
        activations: A, the output of the layer, (N, K, h, w).
        drops: y - y_k, (N, K).

    Returns:
        Raw maps, (N, h, w), not negative, without upper bound.

    >>> activations = torch.tensor([[[[1.0, 2.0]], [[4.0, 0.0]]]])
    >>> ablation_cam(activations, torch.tensor([[1.0, -0.5]]))
    tensor([[[0., 2.]]])
    """
    return cam(activations, drops)


GRADIENT_METHODS: Mapping[str, GradientMethod] = MappingProxyType(
    {
        "grad_cam": grad_cam,
        "grad_cam_plus_plus": grad_cam_plus_plus,
        "x_grad_cam": x_grad_cam,
        "hires_cam": hires_cam,
        "layer_cam": layer_cam,
    }
)
"""The methods that weigh activations by gradients, by name."""

PIXEL_METHODS = ("integrated_gradients", "occlusion")
"""The methods that need no layer and give a value to each pixel (`attribution`)."""

METHODS = (*GRADIENT_METHODS, "cam", "eigen_cam", "score_cam", "ablation_cam", *PIXEL_METHODS)
"""The names that `class_maps` takes."""


def normalise(maps: Tensor) -> Tensor:
    """Divide each map by its own maximum.

    A map that is zero everywhere points nowhere, and one with a value that is not finite is
    broken: both are undefined and come back as NaN.

    Args:
        maps: raw maps, (N, h, w), not negative.

    Returns:
        Maps, (N, h, w), 0..1 with a maximum of 1 each, or NaN throughout where undefined.

    >>> normalise(torch.tensor([[[0.0, 2.0]], [[0.0, 0.0]]]))
    tensor([[[0., 1.]],
    <BLANKLINE>
            [[nan, nan]]])
    """
    maximum = maps.amax(dim=(1, 2), keepdim=True)
    defined = (maximum > 0) & maximum.isfinite()
    return (maps / maximum).where(defined, float("nan"))


def fuse(maps: Sequence[Tensor], *, gain: float = 2) -> Tensor:
    r"""Fuse the maps of several stages into one (LayerCAM, section III-D).

    .. math:: M = \max_s \tanh(\gamma M_s / \max M_s)

    The maps are brought to the largest of their sizes, bilinear between the centres of cells. The
    paper scales the shallow stages only, "as their values are small"; here, as in torch-cam, all
    are scaled alike, so that no stage is louder. A stage whose map is undefined says nothing.

    Args:
        maps: of each stage, as `normalise` gives them, (N, h, w) each.
        gain: gamma, above 0; the paper's value is 2.

    Returns:
        Maps, (N, H, W), 0..1 with a maximum of 1 each; NaN where all stages are undefined.

    >>> fuse([torch.tensor([[[0.0, 1.0]]]), torch.tensor([[[1.0, 0.0]]])])
    tensor([[[1., 1.]]])
    """
    size = max((tuple(each.shape[1:]) for each in maps), key=lambda side: side[0] * side[1])
    fused = maps[0].new_full((len(maps[0]), *size), float("nan"))
    for each in maps:
        scaled = torch.tanh(gain * each)[:, None]
        resized = functional.interpolate(scaled, size=size, mode="bilinear", align_corners=False)
        fused = torch.fmax(fused, resized[:, 0])
    return normalise(fused)
