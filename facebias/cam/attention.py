"""Where a map has its mass: statistics of each face, by the regions of the face."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facebias.cam.explain import resize_maps
from facebias.cam.regions import RegionMasks
from facebias.errors import DataError

TOP = 0.2
"""The share of the image that counts as where the map is highest."""

OUTSIDE = "outside"
"""What `pointing` says where the map is highest in no region."""

_CHUNK = 64  # faces whose resized maps are in memory together

Values = NDArray[np.float64]


def attention(maps: NDArray[np.floating], masks: RegionMasks) -> pd.DataFrame:
    """Measure where the maps of faces have their mass.

    A map's mass is the sum of its values. Regions are held against the map as it is shown,
    bilinear at the size of the masks; centre, spread and entropy are of the map's own cells.

    Args:
        maps: (N, h, w), not negative, of any scale; NaN throughout where undefined.
        masks: of the same N faces, or one for all.

    Returns:
        A row a face, in order, index 0 to N - 1:

        - `share_<region>`: the share of the mass in the region, 0..1;
        - `density_<region>`: that share by the region's share of the image, 0 and up; 1 is what an
          even map has;
        - `top20_<region>`: of the fifth of the image where the map is highest, the share in the
          region, 0..1. Where the map is positive on less than a fifth, of that part; pixels that
          tie at the limit count in equal parts;
        - `pointing`: the region that the middle of the highest cell lies in (the pointing game of
          Zhang et al., "Top-down Neural Attention by Excitation Backprop", IJCV 126, 2018, asks
          whether it is a given one), "outside" where it is none; of equal cells the first;
        - `outside`: the share of the mass that is not on the face, 0..1;
        - `centre_x`, `centre_y`: the centre of mass, 0..1 from the left and from the top;
        - `spread`: the root of the mean squared distance from there, in sides of the image, 0 (one
          cell) to 0.71; of an even map about 0.41;
        - `entropy`: of the mass over the cells, by the logarithm of their number, 0 (one cell) to 1
          (even).

        NaN (None in `pointing`) where the map is undefined or zero everywhere; in the columns of a
        region also where the face does not have it, and in `outside` and `pointing` where it is
        not known where the face is.

    Raises:
        DataError: shapes that do not fit, negative values, or masks smaller than the maps.
    """
    _refuse_unfit(maps, masks)
    shared = len(masks.masks) == 1
    parts = []
    for start in range(0, len(maps), _CHUNK):
        some = slice(start, start + _CHUNK)
        of = slice(None) if shared else some
        chunk = np.asarray(maps[some], np.float64)
        chunk = np.where(_mass(chunk)[:, None, None] > 0, chunk, np.nan)
        regions = masks.masks[of]
        parts.append(_of_chunk(chunk, masks.names, regions, masks.face[of]))
    return pd.concat(parts, ignore_index=True)


def _refuse_unfit(maps: NDArray[np.floating], masks: RegionMasks) -> None:
    faces, size = len(masks.masks), masks.masks.shape[2:]
    if maps.ndim != 3 or len(maps) == 0 or faces not in (1, len(maps)):
        raise DataError(
            f"Maps of shape {maps.shape} and regions of {faces} faces.",
            "maps (N, h, w), N >= 1, and regions of the same faces, or one set for all",
        )
    if maps.shape[1] > size[0] or maps.shape[2] > size[1]:
        raise DataError(
            f"Maps of {maps.shape[1:]} cells and regions of {size} pixels.",
            "regions as fine as the maps, or finer",
            "Give the regions at the size of the images.",
        )
    if np.nanmin(np.where(np.isfinite(maps), maps, 0)) < 0:
        raise DataError("A map has negative values.", "maps from 0 up, as class_maps gives them")


def _mass(maps: Values) -> Values:
    """Return the mass of each map, (N,); NaN where it is undefined."""
    return np.asarray(maps.sum(axis=(1, 2)))


def _of_chunk(
    maps: Values, names: tuple[str, ...], regions: NDArray[np.bool_], face: NDArray[np.bool_]
) -> pd.DataFrame:
    """Return the rows of a few faces.

    Args:
        maps: (N, h, w), NaN where undefined.
        names: of the R regions.
        regions: (N or 1, R, H, W).
        face: (N or 1, H, W).
    """
    height, width = regions.shape[2:]
    fine = resize_maps(maps.astype(np.float32), (height, width)).reshape(len(maps), -1)
    flat = regions.reshape(*regions.shape[:2], -1).astype(np.float32)
    areas = flat.mean(axis=2, dtype=np.float64)
    mass = fine.sum(axis=1, dtype=np.float64)
    absent = np.where(areas > 0, 0.0, np.nan)  # added, it makes what is not there undefined
    shares = _within(fine, flat) / mass[:, None] + absent
    with np.errstate(invalid="ignore"):
        density = shares / areas
    top = _top(fine)
    highest = _within(top, flat) / top.sum(axis=1, dtype=np.float64)[:, None] + absent
    on_face = face.reshape(len(face), 1, -1).astype(np.float32)
    unknown = np.where(on_face.any(axis=(1, 2)), 0.0, np.nan)
    columns: dict[str, object] = {}
    for title, values in (("share", shares), ("density", density), ("top20", highest)):
        columns |= {f"{title}_{name}": values[:, place] for place, name in enumerate(names)}
    columns["pointing"] = _pointing(maps, names, regions, unknown)
    columns["outside"] = np.clip(1 - _within(fine, on_face)[:, 0] / mass, 0, 1) + unknown
    return pd.DataFrame(columns | _shape(maps))


def _within(values: NDArray[np.float32], masks: NDArray[np.float32]) -> Values:
    """Return the sum of the values in each mask, (N, R).

    Args:
        values: (N, pixels).
        masks: (N or 1, R, pixels), 0 or 1.
    """
    if len(masks) == 1:
        return np.asarray(values @ masks[0].T, np.float64)
    return np.asarray(np.matmul(masks, values[:, :, None])[:, :, 0], np.float64)


def _top(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much of each pixel belongs to the highest fifth, 0..1; NaN where undefined.

    Args:
        values: (N, pixels).
    """
    wanted = max(1, round(TOP * values.shape[1]))
    limit = np.partition(values, -wanted, axis=1)[:, -wanted][:, None]
    above, equal = values > limit, values == limit
    left = wanted - above.sum(axis=1, keepdims=True)
    part = np.where(limit > 0, left / np.maximum(equal.sum(axis=1, keepdims=True), 1), 0.0)
    weights: NDArray[np.float32] = (above + part * equal).astype(np.float32)
    weights[np.isnan(values).any(axis=1)] = np.nan
    return weights


def _pointing(
    maps: Values, names: tuple[str, ...], regions: NDArray[np.bool_], unknown: Values
) -> NDArray[np.object_]:
    """Return the name of the region with the middle of the highest cell, (N,)."""
    count, height, width = maps.shape
    best = np.nan_to_num(maps).reshape(count, -1).argmax(axis=1)
    rows = ((best // width + 0.5) / height * regions.shape[2]).astype(np.intp)
    columns = ((best % width + 0.5) / width * regions.shape[3]).astype(np.intp)
    faces = np.arange(count) % len(regions)
    hit = regions[faces, :, rows, columns]
    found = np.array([*names, OUTSIDE], object)
    said = found[np.where(hit.any(axis=1), hit.argmax(axis=1), len(names))]
    undefined = np.isnan(maps).any(axis=(1, 2)) | np.isnan(np.broadcast_to(unknown, count))
    said[undefined] = None
    return np.asarray(said, object)


def _shape(maps: Values) -> dict[str, Values]:
    """Return centre, spread and entropy of the mass over the cells."""
    count, height, width = maps.shape
    share = maps / _mass(maps)[:, None, None]
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    over_x, over_y = share.sum(axis=1), share.sum(axis=2)
    centre_x, centre_y = over_x @ x, over_y @ y
    variance = over_x @ x**2 - centre_x**2 + over_y @ y**2 - centre_y**2
    logarithms = np.log(share, out=np.zeros_like(share), where=share > 0)
    bits = -(share * logarithms).sum(axis=(1, 2))
    cells = height * width
    return {
        "centre_x": centre_x,
        "centre_y": centre_y,
        "spread": np.sqrt(np.maximum(variance, 0)),
        "entropy": bits / np.log(cells) if cells > 1 else np.full(count, np.nan),
    }
