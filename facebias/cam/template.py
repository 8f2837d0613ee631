"""A canonical face, for crops whose eyes are always in the same place.

The proportions are the mean of 102 people of the Face Research Lab London Set (DeBruine and Jones
2017, CC BY 4.0), their neutral photos laid over each other by the eyes, made symmetric and
rounded: x to the right and y down, in distances between the eyes, from the middle between them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facebias.cam.regions import FEATURES, Outlines, RegionMasks, paint, regions_of_codes
from facebias.errors import ConfigError

CROP_EYES = ((0.32, 0.38), (0.68, 0.38))
"""Where the eyes are in a tight crop as in FER2013, as shares of width and height."""

FIVE_POINTS = np.array([[-0.5, 0], [0.5, 0], [0, 0.48], [-0.4, 1.1], [0.4, 1.1]])
"""Eyes, tip of the nose and corners of the mouth of the canonical face, (5, 2)."""

Points = NDArray[np.float64]


def _mirrored(half: Sequence[tuple[float, float]]) -> Points:
    """Return a line and its mirror image, from the left end over the middle to the right end."""
    left = np.array(half, np.float64)
    right = left[::-1] * np.array([-1.0, 1.0])
    return np.concatenate([left, right[1:] if left[-1, 0] == 0 else right])


_HAIRLINE = _mirrored(
    [(-1.06, -0.28), (-0.97, -0.6), (-0.88, -0.92), (-0.65, -1.11), (-0.35, -1.2), (0, -1.2)]
)
_JAW = _mirrored(
    [
        *((-1.12, 0.1), (-1.1, 0.46), (-1.05, 0.86), (-0.99, 1.1)),
        *((-0.88, 1.35), (-0.65, 1.6), (-0.35, 1.77), (0, 1.84)),
    ]
)
_EYE = np.array(
    [
        *((0.27, 0.06), (0.38, -0.03), (0.5, -0.06), (0.62, -0.03)),
        *((0.7, 0.03), (0.62, 0.08), (0.5, 0.1), (0.38, 0.08)),
    ]
)
_NOSE = _mirrored(
    [(-0.11, -0.08), (-0.07, 0.06), (-0.24, 0.47), (-0.28, 0.56), (-0.28, 0.66), (-0.2, 0.71)]
)
_UPPER_LIP = _mirrored([(-0.4, 1.1), (-0.25, 1.0), (-0.12, 0.94), (0, 0.97)])
_LOWER_LIP = _mirrored([(-0.29, 1.18), (-0.16, 1.23), (0, 1.25)])

CANONICAL = Outlines(
    face=np.concatenate([_HAIRLINE, _JAW[::-1]]),
    brows=_mirrored([(-0.93, -0.12), (-0.71, -0.3), (-0.5, -0.29), (-0.22, -0.22)]),
    eyes=(_EYE * np.array([-1, 1]), _EYE),
    nose=_NOSE,
    lips=np.concatenate([_UPPER_LIP, _LOWER_LIP[::-1]]),
)
"""The canonical face."""


def template_regions(
    size: tuple[int, int], eyes: Sequence[Sequence[float]] = CROP_EYES
) -> RegionMasks:
    """Return the regions of the canonical face, one set of masks for all crops.

    Args:
        size: H, W of the crops.
        eyes: x and y of each pupil in every crop, as shares of its width and height.

    Raises:
        ConfigError: for other than two different points.
    """
    places = np.array(eyes, np.float64)
    if places.shape != (2, 2) or not np.isfinite(places).all() or (places[0] == places[1]).all():
        raise ConfigError(f"The eyes are at {eyes}.", f"x and y of two points, such as {CROP_EYES}")
    height, width = size
    placed = place_template(places * (width, height), FIVE_POINTS[:2])
    return regions_of_codes(paint(placed, size)[None], FEATURES, "template")


def place_template(points: Points, canonical: Points = FIVE_POINTS) -> Outlines:
    """Lay the canonical face over points of a face: turned, scaled and shifted, not distorted.

    The least squares of a similarity: Umeyama, "Least-squares estimation of transformation
    parameters between two point patterns", IEEE TPAMI 13, 1991, here in complex numbers.

    Args:
        points: (K, 2), pixels; not all in one place.
        canonical: the same points of the canonical face.
    """
    found, wanted = _complex(points), _complex(canonical)
    centred = wanted - wanted.mean()
    turn = np.vdot(centred, found) / np.vdot(centred, centred).real
    shift = found.mean() - turn * wanted.mean()

    def place(line: Points) -> Points:
        placed = turn * _complex(line) + shift
        return np.stack([placed.real, placed.imag], axis=1)

    first, second = CANONICAL.eyes
    return Outlines(
        face=place(CANONICAL.face),
        brows=place(CANONICAL.brows),
        eyes=(place(first), place(second)),
        nose=place(CANONICAL.nose),
        lips=place(CANONICAL.lips),
    )


def _complex(points: Points) -> NDArray[np.complex128]:
    return np.asarray(points[:, 0] + 1j * points[:, 1])
