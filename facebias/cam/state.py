"""Leaving a model exactly as it was found."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from facebias.errors import ModelError


class _ShortWayBack(TorchFunctionMode):
    """Computes steps in ways with the same result that are faster, above all on the way back.

    A batch normalisation by fixed statistics becomes the scaling that it is: PyTorch's own step
    back also adds up gradients of its weights and statistics, which nobody asks for here, and is
    the slowest part of a LayerCAM of an EfficientNet on a processor. A mean over places becomes a
    sum, divided: the step back through it stays a view of one number a channel, where that through
    a mean is written out cell by cell, and in another memory layout than the activations.
    """

    def __torch_function__(
        self,
        function: Any,  # noqa: ANN401 - torch's signature
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Do as the function does."""
        kwargs = kwargs or {}
        shorter = _SHORTER.get(function)
        found = None if shorter is None else shorter(*args, **kwargs)
        return function(*args, **kwargs) if found is None else found


def _scaled(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    """Normalise as `torch.nn.functional.batch_norm`; None where that is best left to it."""
    if training or running_mean is None or running_var is None or input.dtype not in _PRECISE:
        return None
    if not (input.requires_grad or input.is_cpu):
        return None  # on other devices the way there alone is faster in one step
    scale = torch.rsqrt(running_var + eps)
    scale = scale if weight is None else scale * weight
    shift = -running_mean * scale
    shift = shift if bias is None else shift + bias
    shape = (1, -1, *(1,) * (input.ndim - 2))
    return torch.addcmul(shift.view(shape), input, scale.view(shape))


def _averaged(
    input: Tensor,
    dim: int | tuple[int, ...] | None = None,
    keepdim: bool = False,
    **others: object,
) -> Tensor | None:
    """Average as `torch.mean`; None where that is best left to it."""
    if others or input.dtype not in _PRECISE or not input.requires_grad:
        return None
    dims = (dim,) if isinstance(dim, int) else dim
    if not dims or not all(isinstance(each, int) for each in dims):
        return None  # of everything, or of named places
    return input.sum(dims, keepdim) / math.prod(input.shape[each] for each in dims)


def _pooled(input: Tensor, output_size: Any) -> Tensor | None:  # noqa: ANN401 - torch's signature
    """Average as `torch.nn.functional.adaptive_avg_pool2d`, where that is the mean of each map."""
    return _averaged(input, (-2, -1), keepdim=True) if output_size in (1, (1, 1), [1, 1]) else None


_PRECISE = (torch.float32, torch.float64)
"""What may be computed in several steps; anything shorter would be rounded after each."""

_SHORTER: dict[Any, Any] = {
    functional.batch_norm: _scaled,
    torch.mean: _averaged,
    Tensor.mean: _averaged,
    functional.adaptive_avg_pool2d: _pooled,
}
"""What stands for a function of PyTorch, with its names; it gives None where it does not."""


@contextmanager
def explaining(model: nn.Module) -> Iterator[None]:
    """Hold a model ready for gradients by activations, and give it back as found.

    Inside: every submodule in eval mode, every parameter frozen (so that a forward records only
    what follows a tensor that was made to require a gradient), gradients on, inference mode and
    autocast off. After, also after an exception, all of it is as before; `.grad` is never touched.

    Args:
        model: the model to hold.

    Raises:
        ModelError: the parameters were made in inference mode, which rules gradients out.
    """
    parameters = {parameter: parameter.requires_grad for parameter in model.parameters()}
    modes = {module: module.training for module in model.modules()}
    if any(parameter.is_inference() for parameter in parameters):
        raise ModelError(
            "The model's parameters were made under torch.inference_mode().",
            "normal tensors, through which gradients can flow",
            "Build or load the model outside of inference mode.",
        )
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.callback(_restore, parameters, modes)
        stack.enter_context(torch.enable_grad())
        for kind in {"cpu", *(parameter.device.type for parameter in parameters)}:
            if torch.amp.is_autocast_available(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        model.eval()
        stack.enter_context(_ShortWayBack())
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield


def _restore(parameters: dict[nn.Parameter, bool], modes: dict[nn.Module, bool]) -> None:
    """Set each parameter's and each module's own flag: `train()` would set children too."""
    for parameter, requires_grad in parameters.items():
        parameter.requires_grad_(requires_grad)
    for module, training in modes.items():
        module.training = training
