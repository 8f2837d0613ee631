"""Leaving a model exactly as it was found."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from facebias.errors import ModelError


class _FrozenNorms(TorchFunctionMode):
    """Computes a recorded batch normalisation by fixed statistics as the scaling that it is.

    PyTorch's own step back through it also adds up gradients of its weights and statistics, which
    nobody asks for here, and is the slowest part of a LayerCAM of an EfficientNet on a processor.
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
        if function is functional.batch_norm:
            scaled = _scaled(*args, **kwargs)
            if scaled is not None:
                return scaled
        return function(*args, **kwargs)


def _scaled(
    images: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    """Normalise as `torch.nn.functional.batch_norm`; None where that is best left to it."""
    if training or mean is None or variance is None or not images.requires_grad:
        return None
    if images.dtype not in (torch.float32, torch.float64):
        return None  # it would round more often
    scale = torch.rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale
    shift = shift if bias is None else shift + bias
    shape = (1, -1, *(1,) * (images.ndim - 2))
    return torch.addcmul(shift.view(shape), images, scale.view(shape))


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
        stack.enter_context(_FrozenNorms())
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield


def _restore(parameters: dict[nn.Parameter, bool], modes: dict[nn.Module, bool]) -> None:
    """Set each parameter's and each module's own flag: `train()` would set children too."""
    for parameter, requires_grad in parameters.items():
        parameter.requires_grad_(requires_grad)
    for module, training in modes.items():
        module.training = training
