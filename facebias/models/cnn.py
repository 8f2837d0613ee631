"""The small CNNs: filters and kernel sizes, block by block or all alike."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from facebias.errors import ConfigError


class CNN(nn.Module):
    """Blocks of convolution, batch norm, LeakyReLU(.01), max pool and dropout, then one layer.

    Images (N, channels, height, width), float, normalised -> logits (N, classes).

    Args:
        filters: output channels of each block.
        kernels: kernel size of each block, in pixels, odd.
        pool: side of the max pool after each block, in pixels; 1 for none.
        dropout: share of values that are dropped after each block.
        head: "flatten" sees where a feature is, "average" (global average pool) does not.
        classes: number of classes.
        channels: 1 or 3.
        height: of the images, in pixels.
        width: of the images, in pixels.

    Raises:
        ConfigError: for lists of different lengths, an even kernel, or more pooling than pixels.
    """

    def __init__(
        self,
        filters: Sequence[int],
        kernels: Sequence[int],
        pool: int = 2,
        dropout: float = 0.1,
        head: str = "flatten",
        *,
        classes: int,
        channels: int,
        height: int,
        width: int,
    ) -> None:
        super().__init__()
        _refuse_misfit(filters, kernels, pool, min(height, width))
        inputs = (channels, *filters)
        self.blocks = nn.Sequential(
            *(
                _block(inputs[number], inputs[number + 1], kernel, pool, dropout)
                for number, kernel in enumerate(kernels)
            )
        )
        shrunk = pool ** len(filters)
        cells = 1 if head == "average" else (height // shrunk) * (width // shrunk)
        self.pool = nn.AdaptiveAvgPool2d(1) if head == "average" else nn.Identity()
        self.head = nn.Linear(filters[-1] * cells, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes)."""
        features: torch.Tensor = self.pool(self.blocks(images))
        logits: torch.Tensor = self.head(features.flatten(1))
        return logits


def even_cnn(
    layers: int,
    kernel: int,
    first: int = 16,
    pool: int = 2,
    dropout: float = 0.1,
    head: str = "flatten",
    *,
    classes: int,
    channels: int,
    height: int,
    width: int,
) -> CNN:
    """Return a CNN of blocks with one kernel size, each with twice the filters of the one before.

    So that depth and kernel size are two numbers, which a sweep can cross.

    Args:
        layers: number of blocks.
        kernel: kernel size of all of them, in pixels, odd.
        first: filters of the first block.
        pool: as for `CNN`, and so are the others.
        dropout: share of values that are dropped after each block.
        head: "flatten" or "average".
        classes: number of classes.
        channels: 1 or 3.
        height: of the images, in pixels.
        width: of the images, in pixels.

    Raises:
        ConfigError: as `CNN` does.
    """
    filters = [first * 2**block for block in range(layers)]
    faces = {"classes": classes, "channels": channels, "height": height, "width": width}
    return CNN(filters, [kernel] * layers, pool, dropout, head, **faces)


def _block(inputs: int, filters: int, kernel: int, pool: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            convolution=nn.Conv2d(inputs, filters, kernel, padding=kernel // 2),
            norm=nn.BatchNorm2d(filters),
            activation=nn.LeakyReLU(0.01),
            pool=nn.MaxPool2d(pool),
            dropout=nn.Dropout(dropout),
        )
    )


def _refuse_misfit(filters: Sequence[int], kernels: Sequence[int], pool: int, side: int) -> None:
    if not filters or len(filters) != len(kernels) or any(kernel % 2 == 0 for kernel in kernels):
        raise ConfigError(
            f"model.filters={list(filters)} with model.kernels={list(kernels)}",
            "two lists of the same length, kernels odd",
            "give one kernel size for each block of filters",
        )
    if side // pool ** len(filters) < 1:
        raise ConfigError(
            f"{len(filters)} pools of {pool} leave nothing of an image of {side} pixels",
            "at least one cell after the last pool",
            "use fewer blocks, a smaller model.pool, or larger images",
        )
