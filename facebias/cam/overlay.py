"""Laying maps over faces."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from facebias.errors import DataError

COLOUR_MAP = "cool"
"""matplotlib's cyan to magenta, the hues that no skin has.

Its steps are even (the largest 1.5 times the smallest in Oklab; magma 1.6, viridis 1.2, jet 3.0),
but what is seen is its mix with the skin, so that mix was measured over the ten Monk skin tones.
Where the map is 1, the mix stands 30 units or more off every skin; viridis, plasma, inferno, magma
and cividis come down to 4..15 on the lightest or the darkest. With simulated deuteranopia,
protanopia or tritanopia it stands 16 or more off; those come down to 2.
"""

OPACITY = 0.75
"""How much of the colour covers the face where the map is 1."""


def overlay(
    images: NDArray[np.uint8], maps: NDArray[np.floating], *, opacity: float = OPACITY
) -> NDArray[np.uint8]:
    """Colour each face by its map.

    A pixel is `(1 - a) * face + a * colour(map)` with `a = opacity * map`, so that the skin stays
    as it is where the network does not look. Where a map is undefined (NaN) the plain face comes
    back inside a striped black and white border.

    Args:
        images: faces, (N, H, W), (N, H, W, 1) or (N, H, W, 3), 0..255.
        maps: (N, H, W), 0..1 or NaN; bring them to size with `resize_maps`.
        opacity: of the colour where the map is 1, 0..1.

    Returns:
        (N, H, W, 3), 0..255.

    Raises:
        DataError: shapes that do not fit, or images that are not uint8.
    """
    colours = _as_colour(images)
    if maps.shape != colours.shape[:3]:
        raise DataError(
            f"Maps of shape {maps.shape} for images of shape {images.shape}.",
            f"one map an image, {colours.shape[:3]}",
            "Bring them to the images' size with facebias.cam.explain.resize_maps.",
        )
    undefined = np.isnan(maps).any(axis=(1, 2))
    strength = np.clip(np.nan_to_num(maps), 0, 1)
    alpha = opacity * strength[..., None]
    table = _table()
    painted = table[np.rint(strength * (len(table) - 1)).astype(np.intp)]
    mixed: NDArray[np.uint8] = np.rint((1 - alpha) * colours + alpha * painted).astype(np.uint8)
    mixed[undefined] = _bordered(colours[undefined])
    return mixed


def colour_bar(height: int, width: int, *, opacity: float = OPACITY) -> NDArray[np.uint8]:
    """Draw the legend: a map from 0 at the left to 1 at the right, over a light and a dark tone.

    As the opacity grows with the map, a value has no one colour; the upper half of the bar shows
    it over light grey, the lower half over dark grey.

    Args:
        height: pixels.
        width: pixels.
        opacity: as given to `overlay`.

    Returns:
        (height, width, 3), 0..255.
    """
    tones = np.full((1, height, width), 205, np.uint8)
    tones[:, height // 2 :] = 60
    ramp = np.broadcast_to(np.linspace(0, 1, width), (1, height, width))
    bar: NDArray[np.uint8] = overlay(tones, ramp, opacity=opacity)[0]
    return bar


def _as_colour(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shaped = images[..., None] if images.ndim == 3 else images
    if images.dtype != np.uint8 or shaped.ndim != 4 or shaped.shape[3] not in (1, 3):
        raise DataError(
            f"Images of shape {images.shape} and {images.dtype}.",
            "(N, H, W), (N, H, W, 1) or (N, H, W, 3) of uint8",
        )
    return np.broadcast_to(shaped, (*shaped.shape[:3], 3))


@cache
def _table() -> NDArray[np.float64]:
    """The colour map as (256, 3), 0..255."""
    from matplotlib import colormaps

    return 255 * np.asarray(colormaps[COLOUR_MAP](np.linspace(0, 1, 256)))[:, :3]


def _bordered(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frame faces with diagonal stripes, which show on any skin and mean no value of a map."""
    height, width = images.shape[1:3]
    rows, columns = np.mgrid[:height, :width]
    thickness = max(2, min(height, width) // 16)
    edge = np.minimum.reduce([rows, columns, height - 1 - rows, width - 1 - columns]) < thickness
    stripes = np.where((rows + columns) // thickness % 2, 255, 0).astype(np.uint8)
    marked = images.copy()
    marked[:, edge] = stripes[edge][:, None]
    return marked
