"""Glasses: frames of thin tubes."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from facebias.faces.arrays import Float32, Float64, Int32
from facebias.faces.eyes import eye_centres
from facebias.faces.head import load_head
from facebias.faces.landmarks import landmark_vertices

_ROUND = 5  # corners of a tube's section
_SQUARENESS = {"round": 0.95, "square": 0.45}  # exponent of the rims' superellipse


@dataclass(frozen=True)
class Frame:
    """Glasses at rest: vertices (N, 3) and triangles (T, 3), their outsides."""

    rest: Float32
    triangles: Int32


@cache
def frame(style: str) -> Frame:
    """Return the frame of a style: two rims, a bridge, two temples."""
    turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    paths: list[tuple[Float64, float, bool]] = []
    for side in (1, -1):
        x = side * 0.315 + 0.205 * _superellipse(np.cos(turn), style)
        y = 7.255 + 0.165 * _superellipse(np.sin(turn), style)
        z = 1.555 - 0.12 * (side * 0.315 + 0.2 * np.cos(turn)) ** 2
        paths.append((np.stack([x, y, z], axis=1), 0.018, True))
        temple = [[0.51, 7.33, 1.52], [0.70, 7.33, 1.2], [0.80, 7.32, 0.75], [0.80, 7.30, 0.5]]
        paths.append((np.array(temple) * [side, 1, 1], 0.016, False))
    paths.append(
        (np.array([[-0.115, 7.28, 1.55], [0, 7.31, 1.585], [0.115, 7.28, 1.55]]), 0.016, False)
    )
    tubes = [_tube(*path) for path in paths]
    starts = np.cumsum([0, *(len(tube.rest) for tube in tubes)])
    return Frame(
        np.concatenate([tube.rest for tube in tubes]),
        np.concatenate(
            [t.triangles + start for t, start in zip(tubes, starts, strict=False)]
        ).astype(np.int32),
    )


def worn(style: str, vertices: Float32) -> Float32:
    """Return the vertices (N, 3) of a frame on the nose of a head (V, 3), sized by its eyes."""
    rest, bridge = load_head().vertices, landmark_vertices()["nose bridge 1"]
    wider = np.ptp(eye_centres(vertices)[:, 0]) / np.ptp(eye_centres(rest)[:, 0])
    return np.asarray((frame(style).rest - rest[bridge]) * wider + vertices[bridge], np.float32)


def _superellipse(direction: Float64, style: str) -> Float64:
    rounded: Float64 = np.sign(direction) * np.abs(direction) ** _SQUARENESS[style]
    return rounded


def _tube(path: Float64, radius: float, closed: bool) -> Frame:
    """Return a tube along a path of points (N, 3)."""
    ahead = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    aside = np.cross(ahead, [0, 0, 1.0] if closed else [0, 1.0, 0.3])
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    across = np.cross(ahead, aside)
    turn = (np.arange(_ROUND) * 2 * np.pi / _ROUND)[None, :, None]
    ring = np.cos(turn) * aside[:, None] + np.sin(turn) * across[:, None]
    rest = (path[:, None] + radius * ring).reshape(-1, 3).astype(np.float32)
    start, corner = np.meshgrid(
        np.arange(len(path) - (not closed)), np.arange(_ROUND), indexing="ij"
    )
    a = start * _ROUND + corner
    b = start * _ROUND + (corner + 1) % _ROUND
    c = (start + 1) % len(path) * _ROUND + corner
    d = (start + 1) % len(path) * _ROUND + (corner + 1) % _ROUND
    one, other = np.stack([a, b, c], axis=-1), np.stack([b, d, c], axis=-1)
    return Frame(rest, np.concatenate([one.reshape(-1, 3), other.reshape(-1, 3)]).astype(np.int32))
