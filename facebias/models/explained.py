"""Which layer of a classifier's network is explained, named as the network names it."""

import re
from collections.abc import Sequence

from torch import Tensor, nn

from facebias.cam.layers import find_layer, find_pooled, find_stages, named_layer
from facebias.cam.methods import PIXEL_METHODS
from facebias.errors import ConfigError, ModelError

_PREFIX = "network."
_WRITTEN = re.compile(r"\bnetwork\.(?=\w)")  # before a layer's name, not at the end of a sentence


def network_layers(
    model: nn.Module, images: Tensor, layer: str | Sequence[str], method: str
) -> str | tuple[str, ...]:
    """Find the layers once, so that not every batch has to look for them again.

    Args:
        model: a `FaceClassifier`: a network below the name "network".
        images: an example (N, C, H, W), of which the first is used.
        layer: "auto", "stages", or names of modules of the network.
        method: a name in `facebias.cam.methods.METHODS`.

    Returns:
        What `class_maps` takes as `layer`, for the classifier.

    Raises:
        ConfigError: a layer for a method that looks at none, or several for one that looks at one.
        ModelError: an unknown or unfit layer; the error names layers without a prefix.
    """
    if method in PIXEL_METHODS:
        if layer != "auto":
            raise ConfigError(
                f"the layer {layer!r} for {method}", "auto: this method looks at no layer"
            )
        return "auto"
    several = layer == "stages" or not isinstance(layer, str)
    if several and method != "layer_cam":
        raise ConfigError(f"several layers for {method}", "one: only layer_cam fuses layers")
    if not isinstance(layer, str):
        return tuple(_named(model, name) for name in layer)
    try:
        if layer == "stages":
            return find_stages(model, images)
        wanted = layer if layer == "auto" else _named(model, layer)
        if method == "cam":
            return find_pooled(model, images, wanted)[0]
        return find_layer(model, images, wanted)
    except ModelError as error:
        parts = (error.found, error.expected, error.todo)
        raise ModelError(*(_WRITTEN.sub("", part) for part in parts)) from error


def _named(model: nn.Module, name: str) -> str:
    # Checked within the network, so that the error names the layers without a prefix.
    named_layer(model.get_submodule("network"), name)
    return f"{_PREFIX}{name}"


def plain_layer(name: str) -> str:
    """Return the layers that `Maps.layer` names as the network names them.

    >>> plain_layer("network.layer3 + network.layer4")
    'layer3 + layer4'
    """
    return " + ".join(part.removeprefix(_PREFIX) for part in name.split(" + "))
