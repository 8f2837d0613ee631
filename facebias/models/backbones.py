"""Backbones from timm, by name, for gray or colour faces."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facebias.errors import ModelError


class TimmBackbone(nn.Module):
    """Any classification network of timm.

    Images (N, channels, height, width), float, normalised -> logits (N, classes).

    Args:
        name: such as "efficientnet_b2", see `timm.list_models()`.
        pretrained: start from the ImageNet weights of the model hub.
        weights: a file of weights to start from instead (.safetensors, or .pt/.pth read without
            running code); a classifier of another size is left out.
        frozen: train the classifier only.
        dropout: share of features that are dropped before the classifier.
        classes: number of classes.
        channels: 1 or 3; the first layer's weights are added up for 1.
        height: of the images, in pixels; the networks take any.
        width: of the images, in pixels.

    Raises:
        ModelError: for an unknown name, a hub that cannot be reached, weights that do not fit.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool = False,
        weights: str | None = None,
        frozen: bool = False,
        dropout: float = 0.0,
        *,
        classes: int,
        channels: int,
        height: int,
        width: int,
    ) -> None:
        super().__init__()
        options = {"num_classes": classes, "in_chans": channels, "drop_rate": dropout}
        self.network = _create(name, pretrained and weights is None, options)
        if weights is not None:
            load_weights(self.network, Path(weights).expanduser(), channels)
        if frozen:
            self.network.requires_grad_(False)
            self.network.get_classifier().requires_grad_(True)
        self._frozen = frozen

    def train(self, mode: bool = True) -> "TimmBackbone":
        """Switch to training; batch norm statistics of a frozen network stay as they are."""
        super().train(mode)
        if self._frozen and mode:
            self.network.eval()
            self.network.get_classifier().train()
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes)."""
        logits: torch.Tensor = self.network(images)
        return logits


def _create(name: str, pretrained: bool, options: dict[str, Any]) -> Any:  # noqa: ANN401 - timm has no types
    import timm

    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models(), n=3)
        raise ModelError(
            f"timm has no model {name!r}",
            f"a name of timm.list_models(), such as {', '.join(near) or 'resnet18'}",
            "correct model.name",
        )
    try:
        return timm.create_model(name, pretrained=pretrained, **options)
    except (OSError, RuntimeError) as error:  # the hub's errors derive from OSError
        if not pretrained:
            raise
        raise ModelError(
            f"the pretrained weights of {name} could not be had: {type(error).__name__}",
            "a connection to the model hub, or the weights in its cache",
            "download them elsewhere and give model.weights=FILE with model.pretrained=false, "
            "or train from scratch with model.pretrained=false",
        ) from error


def load_weights(network: Any, file: Path, channels: int) -> None:  # noqa: ANN401
    """Load the weights of a file, without its classifier where that has another size.

    Args:
        network: a timm model.
        file: .safetensors, or a state dict saved by `torch.save`.
        channels: 1 or 3, of the network's images.

    Raises:
        ModelError: if the file is missing, unreadable, or does not fit.
    """
    from timm.models import load_state_dict

    if not file.is_file():
        raise ModelError(f"there is no weights file {file}", "a .safetensors, .pt or .pth file")
    try:
        state = load_state_dict(str(file), weights_only=True)
    except Exception as error:  # pickle and safetensors raise what the bytes lead them to
        raise ModelError(
            f"{file} cannot be read as weights: {str(error).splitlines()[0]}",
            "a state dict of tensors only",
            "save it anew with torch.save(model.state_dict(), FILE)",
        ) from error
    own = network.state_dict()
    first = network.default_cfg["first_conv"]
    first = f"{first[0] if isinstance(first, (tuple, list)) else first}.weight"
    if first in state and channels == 1 and state[first].shape[1] == 3:
        state[first] = state[first].sum(1, keepdim=True)  # gray in all three channels, as before
    classifier = network.default_cfg["classifier"]
    fits = {
        name: tensor
        for name, tensor in state.items()
        if name in own and own[name].shape == tensor.shape
    }
    names = classifier if isinstance(classifier, (tuple, list)) else (classifier,)
    missing = [
        name for name in own if name not in fits and not name.startswith(tuple(map(str, names)))
    ]
    if missing:
        raise ModelError(
            f"{file} lacks {len(missing)} of {len(own)} tensors, or has them in another shape; "
            f"the first is {missing[0]}",
            f"the weights of {type(network).__name__} under timm's names",
            "check model.name against the file",
        )
    network.load_state_dict(fits, strict=False)
