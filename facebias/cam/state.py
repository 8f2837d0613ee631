"""Leaving a model exactly as it was found."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from facebias.errors import ModelError


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
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield


def _restore(parameters: dict[nn.Parameter, bool], modes: dict[nn.Module, bool]) -> None:
    """Set each parameter's and each module's own flag: `train()` would set children too."""
    for parameter, requires_grad in parameters.items():
        parameter.requires_grad_(requires_grad)
    for module, training in modes.items():
        module.training = training
