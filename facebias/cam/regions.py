"""The regions of a face that a map is held against: masks, whatever they were made from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facebias.errors import DataError

Source = Literal["masks", "landmarks", "template"]

FEATURES = ("forehead", "brows", "eyes", "nose", "cheeks", "mouth", "chin")
"""The regions that landmarks and templates tell apart; together they are the face."""

FACE = (*FEATURES, "glasses")
"""The regions that are the face: from hairline to chin, ears not counted, in every source."""

_NEIGHBOURS = {
    "brows": "eyes",
    "eyes": "brows",
    "glasses": "eyes",
    "mouth": "chin",
    "chin": "mouth",
    "nose": "cheeks",
    "cheeks": "nose",
    "forehead": "brows",
    "ears": "hair",
    "hair": "background",
    "neck": "clothes",
    "clothes": "neck",
}
"""What a region that is smaller than a cell is merged with."""


@dataclass(frozen=True, eq=False)
class RegionMasks:
    """Where the regions of N faces are, or of one template for all faces.

    Args:
        names: of the R regions.
        masks: (N or 1, R, H, W), bool; all False where a face does not have a region, or where
            nothing is known of it. The regions of a face do not overlap.
        source: what they were made from: "masks", "landmarks" or "template".
        face: (N or 1, H, W), bool: where the face is, ears, hair and neck not counted; all False
            where that is not known.

    Raises:
        DataError: shapes that do not fit each other, or a name twice.
    """

    names: tuple[str, ...]
    masks: NDArray[np.bool_]
    source: Source
    face: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Hold the shapes against each other."""
        shape = self.masks.shape
        fits = self.masks.ndim == 4 and self.face.shape == (shape[0], *shape[2:])
        if not fits or len(self.names) != shape[1] or len(set(self.names)) != len(self.names):
            raise DataError(
                f"Regions {', '.join(self.names)} with masks of shape {shape} and a face of shape "
                f"{self.face.shape}.",
                "different names, masks (N, R, H, W) and faces (N, H, W)",
            )

    def areas(self) -> NDArray[np.float64]:
        """Return the share of the image that each region covers, (N or 1, R), 0..1."""
        return np.asarray(self.masks.mean(axis=(2, 3), dtype=np.float64))


def regions_of_codes(
    codes: NDArray[np.integer], names: Sequence[str], source: Source = "masks"
) -> RegionMasks:
    """Make masks of maps that say for each pixel which region it shows.

    Args:
        codes: (N or 1, H, W), places in `names`; a pixel of another code is in no region.
        names: of the regions; those in `FACE` add up to the face.
        source: what the codes were made from.

    Returns:
        Masks in the order of the names.

    >>> regions = regions_of_codes(np.array([[[0, 1, 1, 2]]]), ("hair", "eyes", "nose"))
    >>> regions.areas()
    array([[0.25, 0.5 , 0.25]])
    >>> regions.face
    array([[[False,  True,  True,  True]]])
    """
    masks = codes[:, None] == np.arange(len(names))[:, None, None]
    in_face = np.isin(names, FACE)
    return RegionMasks(tuple(names), masks, source, masks[:, in_face].any(axis=1))


def merging(regions: RegionMasks, cells: tuple[int, int]) -> dict[str, str]:
    """Say which regions must be merged, as they are smaller than a cell of the map.

    The size of a region is the median of its area over the faces that have it. A region that is
    too small joins its neighbour (brows and eyes, mouth and chin, nose and cheeks, ...), the
    smallest first, until none is. Decide once, on some faces or on the first batch, and apply it
    to all with `merge_regions`, so that every face has the same regions.

    Args:
        regions: of some faces.
        cells: h, w of the maps.

    Returns:
        For each region, in order, its new name; merged ones are named as "brows_and_eyes". A
        region that no face has keeps its name.

    Raises:
        DataError: for a region that is too small and has no neighbour to join.
    """
    areas = regions.areas()
    size = {
        name: float(np.median(column[column > 0]))
        for name, column in zip(regions.names, areas.T, strict=True)
        if (column > 0).any()
    }
    groups: list[tuple[str, ...]] = [(name,) for name in regions.names if name in size]
    while (small := _smallest(groups, size, cells)) is not None:
        partner = _partner(small, groups, cells)
        joined = tuple(name for name in regions.names if name in (*small, *partner))
        kept = [group for group in groups if group not in (small, partner)]
        groups = [*kept, joined]
    renamed = {name: "_and_".join(group) for group in groups for name in group}
    return {name: renamed.get(name, name) for name in regions.names}


def _smallest(
    groups: Sequence[tuple[str, ...]], size: Mapping[str, float], cells: tuple[int, int]
) -> tuple[str, ...] | None:
    """Return the smallest group, if it is smaller than a cell."""
    total = {group: sum(size[name] for name in group) for group in groups}
    group = min(total, key=total.__getitem__, default=None)
    # As shares of the image; a region of exactly one cell must not fail by a rounding.
    return None if group is None or total[group] * cells[0] * cells[1] >= 1 - 1e-9 else group


def _partner(
    small: tuple[str, ...], groups: Sequence[tuple[str, ...]], cells: tuple[int, int]
) -> tuple[str, ...]:
    """Return the group that a too small one joins."""
    wanted = [_NEIGHBOURS.get(name) for name in small]
    others = [group for group in groups if group != small]
    found = next((group for name in wanted for group in others if name in group), None)
    if found is None:
        raise DataError(
            f"The region {' and '.join(small)} is smaller than a cell of the map, of which there "
            f"are {cells[0]} x {cells[1]}.",
            "regions of one cell or more, or a neighbour to merge them with",
            "Explain a layer with more cells, or leave the region out.",
        )
    return found


def merge_regions(regions: RegionMasks, names: Mapping[str, str]) -> RegionMasks:
    """Merge regions as `merging` says.

    Args:
        regions: of any faces.
        names: for each region its new name.

    Returns:
        Masks of the new names, in the order of their first parts; the face is as it was.

    Raises:
        DataError: for a region that `names` does not say.
    """
    missing = [name for name in regions.names if name not in names]
    if missing:
        raise DataError(
            f"Nothing says what becomes of the region {', '.join(missing)}.",
            f"one of {', '.join(names)}",
            "Decide with facebias.cam.regions.merging on faces of the same kind.",
        )
    merged = tuple(dict.fromkeys(names[name] for name in regions.names))
    if merged == regions.names:
        return regions
    parts = [[names[name] == new for name in regions.names] for new in merged]
    masks = np.stack([regions.masks[:, part].any(axis=1) for part in parts], axis=1)
    return replace(regions, names=merged, masks=masks)


def fill_polygon(corners: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Say which pixels have their centre in a polygon (even-odd rule).

    Args:
        corners: (K, 2), x and y in pixels, where the first pixel reaches from 0 to 1; any order
            of rotation, beyond the image too.
        size: H, W.

    Returns:
        (H, W).

    >>> fill_polygon(np.array([[1.0, 0.0], [3.0, 0.0], [3.0, 2.0], [1.0, 2.0]]), (2, 4))
    array([[False,  True,  True, False],
           [False,  True,  True, False]])
    """
    filled = np.zeros(size, bool)
    box, inside = _fill_box(corners, size)
    filled[box] = inside
    return filled


def _fill_box(
    corners: NDArray[np.floating], size: tuple[int, int]
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Return the part of the image around a polygon, and which of its pixels are inside."""
    lowest, highest = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    left, right = _reach(lowest[0], highest[0], size[1])
    top, bottom = _reach(lowest[1], highest[1], size[0])
    width, height = right - left, bottom - top
    middles = np.arange(top, bottom) + 0.5
    following = np.concatenate([corners[1:], corners[:1]])
    (x0, y0), (x1, y1) = corners.T, following.T
    rows, edges = np.nonzero((y0 <= middles[:, None]) != (y1 <= middles[:, None]))
    start = y0[edges]
    share = (middles[rows] - start) / (y1[edges] - start)
    crossings = x0[edges] + share * (x1[edges] - x0[edges])
    columns = np.clip(np.ceil(crossings - 0.5), left, right).astype(np.intp) - left
    toggles = np.bincount(rows * (width + 1) + columns, minlength=height * (width + 1))
    per_row = toggles.astype(np.uint8).reshape(height, width + 1)[:, :width]
    odd = per_row.cumsum(axis=1, dtype=np.uint8) & 1
    return (slice(top, bottom), slice(left, right)), odd.view(np.bool_)


def _reach(low: float, high: float, size: int) -> tuple[int, int]:
    """Return the pixels of a line between two places, which may lie beyond it."""
    first = min(max(math.floor(low), 0), size)
    return first, max(min(math.ceil(high), size), first)


@dataclass(frozen=True, eq=False)
class Outlines:
    """The lines of one face from which its regions are painted; each (K, 2), x and y in pixels.

    Args:
        face: around the face, hairline to chin.
        brows: along the middle of both brows, from one end to the other.
        eyes: points around each of the two eyes.
        nose: around the nose.
        lips: points around the lips.
    """

    face: NDArray[np.float64]
    brows: NDArray[np.float64]
    eyes: tuple[NDArray[np.float64], NDArray[np.float64]]
    nose: NDArray[np.float64]
    lips: NDArray[np.float64]


_BROW = 0.12
"""Half the height of the band of the brows; this and the next in distances between the eyes."""
_LID, _LIP = 0.16, 0.16
"""What eyes and lips grow by, so that lids and the skin that moves with the lips belong to them."""
_FAR = 6.0
"""Beyond any face."""
_CIRCLE = np.stack([function(np.arange(12) * (np.pi / 6)) for function in (np.cos, np.sin)], axis=1)


def paint(outlines: Outlines, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Paint the regions of one face.

    What the brows part off above is the forehead, and what lies below the lips is the chin; the
    brows are a band, eyes and mouth have a margin around them, and the rest is the cheeks.

    Args:
        outlines: of the face, pixels; the face may be turned.
        size: H, W.

    Returns:
        (H, W), places in `FEATURES`, 255 where the face is not.
    """
    first, second = (eye.mean(axis=0) for eye in outlines.eyes)
    unit = float(np.hypot(*(second - first)))
    along = (second - first) / unit
    down = np.array([-along[1], along[0]])
    if (outlines.lips.mean(axis=0) - (first + second) / 2) @ down < 0:
        down = -down
    brows, far = outlines.brows, _FAR * unit
    ends = np.stack([brows[0], brows[-1]])
    outwards = far * along * np.sign((ends[1] - ends[0]) @ along)
    line = np.concatenate([ends[:1] - outwards, brows, ends[1:] + outwards])
    lip = outlines.lips[np.argmax(outlines.lips @ down)]
    below = np.stack([lip - far * along, lip + far * along])
    pieces = [
        ("forehead", _strip(line, -far * down)),
        ("chin", _strip(below, far * down)),
        *(("eyes", _grown(eye, _LID * unit)) for eye in outlines.eyes),
        ("brows", _strip(brows - _BROW * unit * down, 2 * _BROW * unit * down)),
        ("nose", outlines.nose),
        ("mouth", _grown(outlines.lips, _LIP * unit)),
    ]
    codes = np.full(size, FEATURES.index("cheeks"), np.uint8)
    for name, corners in pieces:
        box, inside = _fill_box(corners, size)
        codes[box][inside] = FEATURES.index(name)
    codes[~fill_polygon(outlines.face, size)] = 255
    return codes


def _strip(line: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the polygon between a line and the same line shifted."""
    return np.concatenate([line, line[::-1] + shift])


def _grown(points: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    """Return the convex hull of points, grown by a margin in pixels."""
    import cv2

    around = (points[:, None] + margin * _CIRCLE).reshape(-1, 2)
    hull: NDArray[np.float64] = cv2.convexHull(around.astype(np.float32))[:, 0].astype(np.float64)
    return hull
