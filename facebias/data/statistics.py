"""Mean and standard deviation of the train split's pixels, for normalisation."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_CHUNK = 64  # faces read at a time, to keep memory flat


@dataclass(frozen=True)
class PixelStatistics:
    """Mean and standard deviation on the scale 0..1.

    Both have the shape (C, 1, 1) over all pixels of a channel, or (C, H, W) for each pixel.
    """

    mean: npt.NDArray[np.float32]
    deviation: npt.NDArray[np.float32]

    def digest(self) -> str:
        """Return the SHA-256 of all values, in hexadecimal."""
        return hashlib.sha256(self.mean.tobytes() + self.deviation.tobytes()).hexdigest()


def pixel_statistics(
    read: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]],
    rows: npt.NDArray[np.int64],
    kind: str,
) -> PixelStatistics:
    """Measure the faces of some rows, a chunk at a time.

    Args:
        read: returns the faces of row numbers, uint8 (B, H, W, C).
        rows: row numbers, at least one.
        kind: "channel" or "pixel".
    """
    axes = 0 if kind == "pixel" else (0, 1, 2)
    total = squares = np.int64(0)  # whole numbers: the chunks leave no trace
    count = 0
    for start in range(0, len(rows), _CHUNK):
        faces = read(rows[start : start + _CHUNK])
        total = total + faces.sum(axes, dtype=np.int64)
        squares = squares + np.square(faces, dtype=np.uint32).sum(axes, dtype=np.int64)
        count += faces.size // np.size(total)
    mean = np.asarray(total / count)
    deviation = np.asarray(np.sqrt(np.maximum(squares / count - np.square(mean), 0)))
    return PixelStatistics(_channels_first(mean / 255), _channels_first(deviation / 255))


def _channels_first(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Turn (C,) into (C, 1, 1), and (H, W, C) into (C, H, W)."""
    spread = values.reshape(1, 1, -1) if values.ndim < 3 else values
    return np.moveaxis(spread, -1, 0).astype(np.float32)
