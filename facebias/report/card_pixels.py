"""Pixels of a whole data set, read a chunk at a time: histograms and mean faces."""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

LEVELS = 256
EDGES = np.linspace(-4, 4, 41)
"""Of the bins of normalised values; what lies beyond counts in the outermost ones."""

_CHUNK = 256  # faces at a time, to keep memory flat

Faces = npt.NDArray[np.uint8]
Read = Callable[[npt.NDArray[np.int64]], Faces]


@dataclass(frozen=True)
class PixelSummary:
    """What the pixels of some faces say.

    Attributes:
        n: faces.
        before: (C, 256), how often each level occurs.
        after: (C, bins), how often normalised values lie in the bins of `EDGES`.
        means: the mean face (H, W, C), 0..255, of each set of faces that has any.
    """

    n: int
    before: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]
    means: dict[tuple[str, str], Faces]


def summarise_pixels(
    read: Read,
    rows: npt.NDArray[np.int64],
    normalise: Callable[[Faces], npt.NDArray[np.float32]],
    members: Mapping[tuple[str, str], npt.NDArray[np.bool_]],
) -> PixelSummary:
    """Read faces once, and count their levels and average them.

    Args:
        read: returns the faces of row numbers, uint8 (B, H, W, C).
        rows: (N,) row numbers, at least one.
        normalise: what a network sees of faces, float (B, H, W, C).
        members: for each mean face which of the rows it is of (N,).
    """
    shape = read(rows[:1]).shape[1:]
    channels = shape[-1]
    before = np.zeros((channels, LEVELS), np.int64)
    after = np.zeros((channels, len(EDGES) - 1), np.int64)
    belongs = np.array([*members.values()], dtype=np.float32).reshape(len(members), len(rows))
    sums = np.zeros((len(members), int(np.prod(shape))), np.float64)
    for start in _tracked(range(0, len(rows), _CHUNK)):
        part = slice(start, start + _CHUNK)
        faces = read(rows[part])
        seen = normalise(faces)
        for channel in range(channels):
            before[channel] += np.bincount(faces[..., channel].ravel(), minlength=LEVELS)
            after[channel] += _binned(seen[..., channel])
        # Sums of 256 levels are exact in float32.
        sums += belongs[:, part] @ faces.reshape(len(faces), -1).astype(np.float32)
    sizes = belongs.sum(1)
    means = {
        key: np.round(total / size).astype(np.uint8).reshape(shape)
        for key, total, size in zip(members, sums, sizes, strict=True)
        if size
    }
    return PixelSummary(len(rows), before, after, means)


def _binned(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Count values in the bins of `EDGES`, which are equally wide."""
    bins = len(EDGES) - 1
    width = (EDGES[-1] - EDGES[0]) / bins
    places = np.floor((values.ravel() - EDGES[0]) / width).astype(np.int64)
    return np.bincount(np.clip(places, 0, bins - 1), minlength=bins)


def _tracked(starts: range) -> Iterable[int]:
    """Show a bar where it would be seen."""
    quiet = len(starts) < 2 or not sys.stderr.isatty()
    console = Console(stderr=True)
    return track(starts, "reading faces", console=console, transient=True, disable=quiet)
