"""From the landmarks of faces to their regions.

Known are, by the number of points,

- 5: eyes, tip of the nose, corners of the mouth (CelebA, RAF-DB): the canonical face is laid over
  them (`facebias.cam.template`);
- 68: the layout of iBUG 300-W (AffectNet): Sagonas et al., "300 Faces in-the-Wild Challenge",
  ICCV Workshops 2013. It has no hairline, so the forehead is as high as brows to nose: the thirds
  of the neoclassical canon (Farkas et al., Plastic and Reconstructive Surgery 75, 1985);
- 189: the layout of the Face Research Lab London Set (DeBruine and Jones 2017), as Psychomorph and
  WebMorph have it.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facebias.cam.regions import FEATURES, Outlines, RegionMasks, paint, regions_of_codes
from facebias.cam.template import place_template
from facebias.errors import DataError

Points = NDArray[np.float64]


def landmark_regions(landmarks: Sequence[ArrayLike | None], size: tuple[int, int]) -> RegionMasks:
    """Return the regions of faces whose landmarks are known.

    Args:
        landmarks: of each face (K, 2), or x, y, x, y, ... in one row, in pixels of the face as the
            network sees it; None, or points that are not finite, where they are not known.
        size: H, W of the faces.

    Returns:
        Masks of `FEATURES`; all False where a face has no landmarks.

    Raises:
        DataError: for a number of points that is no known layout.
    """
    codes = np.full((len(landmarks), *size), 255, np.uint8)
    for face, given in enumerate(landmarks):
        outlines = None if given is None else outlines_of(_as_points(given, face))
        if outlines is not None:
            codes[face] = paint(outlines, size)
    return regions_of_codes(codes, FEATURES, "landmarks")


def outlines_of(points: Points) -> Outlines | None:
    """Return the lines of one face, None where its points are not finite or its eyes coincide.

    Args:
        points: (K, 2), of a layout in `LAYOUTS`.

    Raises:
        DataError: for another number of points.
    """
    if len(points) not in LAYOUTS:
        known = ", ".join(map(str, LAYOUTS))
        raise DataError(f"A face has {len(points)} landmarks.", f"one of {known}")
    if not np.isfinite(points).all():
        return None
    outlines = LAYOUTS[len(points)](points)
    first, second = (eye.mean(axis=0) for eye in outlines.eyes)
    return None if np.allclose(first, second) else outlines


def _as_points(given: ArrayLike, face: int) -> Points:
    numbers = np.asarray(given, np.float64)
    if numbers.size % 2:
        raise DataError(f"Face {face} has landmarks of {numbers.size} numbers.", "pairs x, y")
    return numbers.reshape(-1, 2)


def _of_five(points: Points) -> Outlines:
    """Eye, eye, tip of the nose, corner and corner of the mouth; either side may come first."""
    eyes, mouth = points[1] - points[0], points[3:].mean(axis=0) - points[:2].mean(axis=0)
    if eyes[0] * mouth[1] - eyes[1] * mouth[0] < 0:  # the eye to the right comes first
        points = points[[1, 0, 2, 4, 3]]
    return place_template(points)


def _of_68(points: Points) -> Outlines:
    """The layout of iBUG 300-W, counted from 0."""
    first, second = points[36:42], points[42:48]
    along = second.mean(axis=0) - first.mean(axis=0)
    brows = points[17:27]
    # The points follow the upper edge of the brows.
    middle = brows + 0.06 * _perpendicular(along, points[33] - points[27])
    side, up = 0.12 * along, 0.15 * (points[27] - points[33])
    nose = [points[27] - side, points[31] - side + up, points[31] - side, points[33]]
    nose += [points[35] + side, points[35] + side + up, points[27] + side]
    jaw = points[:17]
    return Outlines(
        face=np.concatenate([jaw, _forehead(jaw, brows, points[33])]),
        brows=middle,
        eyes=(first, second),
        nose=np.stack(nose),
        lips=points[48:60],
    )


def _perpendicular(along: Points, towards: Points) -> Points:
    """Return `along` turned by a right angle, to the side of `towards`."""
    turned = np.array([-along[1], along[0]])
    return turned if turned @ towards >= 0 else -turned


def _forehead(jaw: Points, brows: Points, base: Points) -> Points:
    """Return half an ellipse from the right end of the jaw to the left one, over the forehead.

    Args:
        jaw: from the left ear over the chin to the right one.
        brows: both.
        base: of the nose.
    """
    middle, half = (jaw[0] + jaw[-1]) / 2, (jaw[-1] - jaw[0]) / 2
    brow = brows.mean(axis=0)
    top = brow + (brow - base) - middle
    angles = np.linspace(0, np.pi, 13)[1:-1, None]
    arc: Points = middle + np.cos(angles) * half + np.sin(angles) * top
    return arc


_HAIRLINE = tuple(range(134, 145))
_JAW = (112, 113, 114, *range(133, 124, -1), 111, 110, 109)
_BROWS = (
    ((71, 71), (72, 83), (73, 83), (74, 84), (75, 76)),
    ((77, 78), (79, 85), (80, 86), (82, 82)),
)
_NOSE = (50, 51, 61, 62, 63, 64, 55, 69, 68, 67, 66, 57, 56)
_LIPS = (*range(87, 94), *range(108, 103, -1))


def _of_189(points: Points) -> Outlines:
    """The layout of the London set, counted from 0."""
    left, right = (np.stack([points[list(pair)].mean(axis=0) for pair in side]) for side in _BROWS)
    return Outlines(
        face=points[[*_HAIRLINE, *_JAW]],
        brows=np.concatenate([left, right]),
        eyes=(points[[*range(18, 23), 28, 29, 30]], points[[*range(23, 28), 31, 32, 33]]),
        nose=points[list(_NOSE)],
        lips=points[list(_LIPS)],
    )


LAYOUTS: Mapping[int, Callable[[Points], Outlines]] = MappingProxyType(
    {5: _of_five, 68: _of_68, 189: _of_189}
)
"""The layouts by their number of points."""
