"""Landmarks and region maps that follow their image through crop and resize."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facebias.errors import DataError


def follow_points(
    landmarks: Iterable[ArrayLike | None], crops: NDArray[np.floating], size: tuple[int, int]
) -> list[NDArray[np.float64] | None]:
    """Bring the landmarks of images to the faces that were cut out of them.

    Args:
        landmarks: of each image x, y, x, y, ... in pixels of the upright image, as the column
            `landmarks` of a `FaceTable` has them; None where there are none.
        crops: (N, 4), left, top, right, bottom of the part that became the face, as
            `FaceStore.crops` has them.
        size: H, W of the faces.

    Returns:
        For each face (K, 2), x and y in its pixels, beyond its edges too; None where there are no
        landmarks or the face was not decoded.

    Raises:
        DataError: for another number of crops, or numbers that are no pairs.

    >>> follow_points([[10.0, 20.0]], np.array([[0.0, 10.0, 20.0, 30.0]]), (40, 40))
    [array([[20., 20.]])]
    """
    height, width = size
    listed = list(landmarks)
    if crops.shape != (len(listed), 4):
        raise DataError(f"Crops of shape {crops.shape}.", f"({len(listed)}, 4), one a face")
    placed: list[NDArray[np.float64] | None] = []
    for given, crop in zip(listed, np.asarray(crops, np.float64), strict=True):
        numbers = None if given is None else np.asarray(given, np.float64)
        # A missing value of a table may be None or NaN.
        if numbers is None or numbers.ndim == 0 or not np.isfinite(crop).all():
            placed.append(None)
            continue
        if numbers.size % 2:
            raise DataError(f"Landmarks of {numbers.size} numbers.", "pairs x, y, x, y, ...")
        scale = np.array([width, height]) / (crop[2:] - crop[:2])
        placed.append((numbers.reshape(-1, 2) - crop[:2]) * scale)
    return placed


def follow_codes(
    codes: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    crops: NDArray[np.floating],
    size: tuple[int, int],
) -> NDArray[np.uint8]:
    """Bring region maps of images to the faces that were cut out of them.

    Each pixel of a face takes the code at its middle; codes are names, so none is mixed.

    Args:
        codes: of each image (H, W).
        crops: as for `follow_points`.
        size: H, W of the faces.

    Returns:
        (N, H, W).

    Raises:
        DataError: for another number of crops, or a crop that is not known.

    >>> codes = np.array([[[0, 1], [2, 3]]], np.uint8)
    >>> follow_codes(codes, np.array([[0.0, 0.0, 2.0, 1.0]]), (1, 4))
    array([[[0, 0, 1, 1]]], dtype=uint8)
    """
    if crops.shape != (len(codes), 4) or not np.isfinite(crops).all():
        raise DataError(
            f"Crops of shape {crops.shape}, of which {int(np.isfinite(crops).all(1).sum())} known.",
            f"({len(codes)}, 4), one a face",
            "Leave out the faces that were not decoded.",
        )
    height, width = size
    followed = np.empty((len(codes), height, width), np.uint8)
    for place, (there, (left, top, right, bottom)) in enumerate(zip(codes, crops, strict=True)):
        rows = top + (np.arange(height) + 0.5) * (bottom - top) / height
        columns = left + (np.arange(width) + 0.5) * (right - left) / width
        y = np.clip(np.floor(rows), 0, there.shape[0] - 1).astype(np.intp)
        x = np.clip(np.floor(columns), 0, there.shape[1] - 1).astype(np.intp)
        followed[place] = there[np.ix_(y, x)]
    return followed
