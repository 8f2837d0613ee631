"""Small networks that the tests of this folder explain."""

from itertools import pairwise

import torch
from torch import Tensor, nn


def small_cnn(classes: int = 3, channels: int = 1) -> nn.Module:
    """Blocks of conv, norm, activation and pool: 48, 24, 12 and 6 pixels."""
    torch.manual_seed(0)
    widths = [channels, 8, 12, 16]
    blocks = [
        nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(0.1, inplace=True),
            nn.MaxPool2d(2),
        )
        for before, after in pairwise(widths)
    ]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(16 * 6 * 6, classes)).eval()


class Scaled(nn.Module):
    """Takes bytes and normalises inside, around another network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images.float() / 255 - 0.5)
        return logits


def noise(count: int, channels: int = 1, side: int = 48) -> Tensor:
    """Random images, (N, C, H, W), the same in each call."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, side, side, generator=generator)
