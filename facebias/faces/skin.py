"""Colours: skin by its typology angle, and the ways between CIELAB, linear light and sRGB."""

from functools import cache

import numpy as np

from facebias.faces.arrays import Float64

# L*, a*, b* of seven skins, from very light to very dark; skins between them are interpolated.
_SKIN_ANCHORS = np.array(
    [
        [75.5, 8.5, 14.0],
        [68.0, 11.5, 17.0],
        [62.0, 13.0, 19.0],
        [54.0, 14.5, 21.0],
        [44.0, 14.0, 20.0],
        [33.0, 11.0, 14.5],
        [25.0, 8.0, 9.5],
    ]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65, 2 degrees
_LINEAR_OF_XYZ = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.9692660, 1.8760108, 0.0415560],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)


def typology_angle(lab: Float64) -> Float64:
    """Return the individual typology angle of colours: atan((L* - 50) / b*), in degrees.

    Chardon, Cretois and Hourseau, Int. J. Cosmetic Science 13 (1991).

    Args:
        lab: (..., 3), CIELAB.

    >>> float(typology_angle(np.array([60.0, 10.0, 10.0])).round(1))
    45.0
    """
    angle: Float64 = np.degrees(np.arctan2(lab[..., 0] - 50, lab[..., 2]))
    return angle


def skin_lab(ita: float) -> Float64:
    """Return the CIELAB colour (3,) of a skin with a typology angle in degrees, -65 to 60.

    >>> float(typology_angle(skin_lab(-50.0)).round(1))
    -50.0
    """
    colours, angles = _skins()
    return np.array([np.interp(-ita, -angles, column) for column in colours.T])


@cache
def _skins() -> tuple[Float64, Float64]:
    """Return colours finely spaced between the anchors, and their angles."""
    anchors = np.arange(len(_SKIN_ANCHORS))
    path = np.linspace(0, anchors[-1], 6001)
    colours = np.stack([np.interp(path, anchors, column) for column in _SKIN_ANCHORS.T], axis=1)
    return colours, typology_angle(colours)


def linear_of_lab(lab: Float64) -> Float64:
    """Return linear sRGB (..., 3), cut to 0..1, of CIELAB colours (..., 3) under D65."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    xyz = _WHITE * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    linear: Float64 = np.clip(xyz @ _LINEAR_OF_XYZ.T, 0, 1)
    return linear


def lab_of_linear(linear: Float64) -> Float64:
    """Return CIELAB (..., 3) under D65 of linear sRGB colours (..., 3)."""
    t = linear @ np.linalg.inv(_LINEAR_OF_XYZ).T / _WHITE
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])],
        axis=-1,
    )


def linear_of_srgb(encoded: Float64) -> Float64:
    """Return linear light, 0..1, of sRGB values, 0..1 (IEC 61966-2-1)."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def srgb_of_linear(linear: Float64) -> Float64:
    """Return sRGB values, 0..1, of linear light, cut to 0..1 (IEC 61966-2-1)."""
    light = np.clip(linear, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def linear_of_hex(colour: str) -> Float64:
    """Return linear light (3,) of a colour written as "#rrggbb".

    >>> linear_of_hex("#ff0000").tolist()
    [1.0, 0.0, 0.0]
    """
    return linear_of_srgb(np.array(list(bytes.fromhex(colour[1:])), np.float64) / 255)
