"""From uint8 to what a network takes: on the device, where it is cheap."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

_SMALLEST = 1e-3  # a quarter of a gray level: a constant pixel must not divide by zero


class Normalise(nn.Module):
    """uint8 (N, C, H, W), 0..255 -> float of mean 0 and standard deviation 1.

    Args:
        mean: (C, 1, 1) or (C, H, W), on the scale 0..1.
        deviation: the same shape.
        by_image: use each image's own mean and deviation over all its pixels instead.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(
        self, mean: npt.NDArray[np.float32], deviation: npt.NDArray[np.float32], by_image: bool
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean))
        self.register_buffer("deviation", torch.as_tensor(deviation).clamp_min(_SMALLEST))
        self._by_image = by_image

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return normalised images in the memory format of the input."""
        scaled = images.to(self.mean.dtype) / 255
        if not self._by_image:
            return (scaled - self.mean) / self.deviation
        dims = (1, 2, 3)
        deviation = scaled.std(dims, keepdim=True, correction=0).clamp_min(_SMALLEST)
        return (scaled - scaled.mean(dims, keepdim=True)) / deviation
