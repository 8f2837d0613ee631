"""Where things are on the mesh at rest, in its own units: y is up, z to the front, left x > 0."""

import numpy as np

from facebias.faces.arrays import compiled
from facebias.faces.regions import PARTS

BROW_INNER, BROW_OUTER = 0.10, 0.52  # x of a brow's ends

_HAIRLINE_Y = np.array([6.30, 6.75, 6.95, 7.00, 7.30, 7.60, 7.75, 7.90, 8.00, 8.10])
_HAIRLINE_Z = np.array([0.20, 0.30, 0.40, 0.62, 0.74, 0.80, 0.92, 1.15, 1.50, 2.20])

_FOREHEAD = PARTS.index("forehead")
_AROUND_BROWS = PARTS.index("around the brows")
_AROUND_EYES = PARTS.index("around the eyes")
_NOSE = PARTS.index("nose")
_LEFT_CHEEK = PARTS.index("left cheek")
_RIGHT_CHEEK = PARTS.index("right cheek")
_AROUND_MOUTH = PARTS.index("around the mouth")
_CHIN = PARTS.index("chin and jaw")
_NECK = PARTS.index("neck")


@compiled
def smooth_step(low: float, high: float, x: float) -> float:
    """Return 0 up to `low`, 1 from `high` on, and a smooth step between them."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@compiled
def hairline(y: float, z: float) -> float:
    """Return how far inside the hairline a point lies, above 0 inside."""
    if y < 6.3:
        return -1.0
    k = 0
    while k < len(_HAIRLINE_Y) - 2 and y > _HAIRLINE_Y[k + 1]:
        k += 1
    share = min((y - _HAIRLINE_Y[k]) / (_HAIRLINE_Y[k + 1] - _HAIRLINE_Y[k]), 1.0)
    line = float(_HAIRLINE_Z[k] + share * (_HAIRLINE_Z[k + 1] - _HAIRLINE_Z[k]))
    return min(line - z, y - 6.62)


@compiled
def brow_line(across: float) -> float:
    """Return the y of a brow's middle line, from 0 at its inner end to 1 at its outer one."""
    return 7.442 + 0.036 * float(np.sin(0.8 * np.pi * min(max(across, 0.0), 1.0)))


@compiled
def jaw_height(z: float) -> float:
    """Return the y under which the skin, at a depth z of the mesh at rest, is neck."""
    if z > 1.25:
        return 6.14 - 0.8 * (z - 1.25)
    if z > 0.95:
        return 6.24 - (z - 0.95) * 0.333
    if z > 0.55:
        return 6.50 - (z - 0.55) * 0.65
    return 6.50 + min(0.55 - z, 0.4) * 0.48


@compiled
def neckline(x: float, z: float) -> float:
    """Return the y under which the body, at x and z at rest, is dressed."""
    return 5.84 - 0.26 * smooth_step(-0.2, 0.9, z) + 0.16 * smooth_step(0.42, 0.8, abs(x))


@compiled
def brow_cover(x: float, y: float, z: float, density: float) -> float:
    """Return how much a point is covered by its brow, 0..1."""
    if z < 0.9:
        return 0.0
    across = (abs(x) - BROW_INNER) / (BROW_OUTER - BROW_INNER)
    inside = min(max(across, 0.0), 1.0)
    middle = brow_line(across)
    half = 0.036 * (1 - 0.6 * inside**1.5) * smooth_step(-0.1, 0.12, across) + 1e-3
    edge = smooth_step(1.25, 0.65, abs(y - middle) / (half * (0.8 + 0.25 * density)))
    return edge * smooth_step(-0.06, 0.05, across) * smooth_step(1.04, 0.93, across)


@compiled
def skin_part(x: float, y: float, z: float) -> int:
    """Return the part of bare skin at a point of the mesh at rest."""
    ax, left = abs(x), x > 0
    if y < jaw_height(z):
        return _NECK
    if z > 1.2 and 6.78 < y < 7.30 and ax < 0.10 + 0.11 * min(max((7.2 - y) / 0.25, 0.0), 1.0):
        return _NOSE
    if z > 0.9 and (ax / 0.40) ** 2 + ((y - 6.60) / 0.20) ** 2 < 1:
        return _AROUND_MOUTH
    if y > 7.52 or (y > 7.365 and ax > 0.62):
        return _FOREHEAD
    if y > 7.365:
        return _AROUND_BROWS
    if y > 7.13 and ax < 0.60:
        return _AROUND_EYES
    if y < 6.45:
        return _CHIN
    return _LEFT_CHEEK if left else _RIGHT_CHEEK
