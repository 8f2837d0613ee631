"""From factors to a picture, its regions and its landmarks."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from facebias.errors import DataError
from facebias.faces.arrays import Float32, Record, UInt8
from facebias.faces.factors import FaceFactors
from facebias.faces.hair import STYLES
from facebias.faces.head import MASKS, load_head
from facebias.faces.landmarks import eye_centres, landmark_points
from facebias.faces.raster import rasterise, vertex_normals
from facebias.faces.scene import drawn_triangles, dressed, scene
from facebias.faces.shade import LOOK, Surface, develop, shade
from facebias.faces.shape import Shape, action_weights, face_shape
from facebias.faces.skin import linear_of_hex, linear_of_lab, skin_lab, srgb_of_linear

_DISTANCE = 9.0  # of the camera, in heights from the eyes to the chin
_HALF_HEIGHT = 1.30  # of the picture, in the same unit
_EYE_LINE = 0.03  # how far the eyes are above the picture's middle, in the same unit
_PIVOT = (0.35, 1.0)  # the head turns about a point that is lower and deeper than the eyes

# Linear light, 0..1.
_HAIR_COLOURS = {
    "black": (0.012, 0.010, 0.009),
    "dark brown": (0.030, 0.020, 0.014),
    "brown": (0.070, 0.040, 0.022),
    "blond": (0.300, 0.190, 0.080),
    "red": (0.160, 0.055, 0.020),
}
_EYE_COLOURS = {
    "dark brown": (0.050, 0.025, 0.014),
    "brown": (0.100, 0.050, 0.025),
    "blue": (0.100, 0.180, 0.250),
    "green": (0.100, 0.140, 0.060),
}
_GREY = np.array([0.45, 0.45, 0.44])
_LIPSTICK = np.array([0.45, 0.04, 0.06])
_EYE_SHADOW = np.array([0.10, 0.05, 0.10])


@dataclass(frozen=True)
class RenderedFace:
    """A picture of a face, and what is known of it.

    Attributes:
        image: (size, size, 3), sRGB.
        regions: (size, size), codes that index `facebias.faces.regions.PARTS`.
        landmarks: (L, 2), x and y in pixels from the upper left corner of the image, in the order
            of `facebias.faces.landmarks.landmark_names`; hidden ones are where they would be seen.
        factors: what it was made from.
    """

    image: UInt8
    regions: UInt8
    landmarks: Float32
    factors: FaceFactors


def render_face(factors: FaceFactors, size: int = 64, supersampling: int = 2) -> RenderedFace:
    """Render one face.

    Equal factors give equal bytes, in any process.

    Args:
        factors: the causes.
        size: pixels of the picture's sides.
        supersampling: points a pixel in each direction.

    Raises:
        DataError: for a size or supersampling below 1.
    """
    if size < 1 or supersampling < 1:
        raise DataError(
            f"size {size} and supersampling {supersampling}", "whole numbers from 1", "change them"
        )
    shape = face_shape(factors)
    points = size * supersampling
    upright = _dressed(shape, factors)
    vertices = _turned(upright, shape, factors)
    drawn, one_sided = drawn_triangles(factors.glasses, factors.hair_style)
    everything = scene(factors.glasses)
    normals = vertex_normals(vertices, everything.triangles, one_sided)
    cover = everything.rest, everything.cover, factors.identity % 9973
    shown, weights, _ = rasterise(
        _projected(vertices, shape, points), everything.triangles, drawn, points, *cover
    )
    look = _look(factors)
    shadows = _shadows(vertices, shape, look["light"][0], drawn, points, factors.glasses, cover)
    light, parts = shade(
        shown, weights, upright, vertices, normals, look, _surface(factors.glasses), *shadows
    )
    image, regions = develop(light, parts, size, _srgb_curve())
    head = _turned(shape.expressed, shape, factors)
    marks = landmark_points(_projected(head, shape, size)[:, :2])
    return RenderedFace(image, regions, marks, factors)


def _dressed(shape: Shape, factors: FaceFactors) -> Float32:
    return dressed(
        shape.expressed, shape.neutral, factors.glasses, factors.hair_style, factors.identity
    )


def _turned(vertices: Float32, shape: Shape, factors: FaceFactors) -> Float32:
    """Return vertices in the camera's space, the origin where the head turns."""
    pivot = shape.eyes - np.float32([0, _PIVOT[0] * shape.unit, _PIVOT[1] * shape.unit])
    yaw, pitch, roll = np.radians([factors.yaw, factors.pitch, factors.roll])
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    about_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    turn = np.array(about_z) @ np.array(about_x) @ np.array(about_y)
    return np.ascontiguousarray((vertices - pivot) @ turn.T.astype(np.float32), np.float32)


def _projected(turned: Float32, shape: Shape, size: int) -> Float32:
    """Return x and y in pixels, and depth; the frame depends on the neutral shape alone."""
    unit = shape.unit
    nearer = _DISTANCE * unit / (_DISTANCE * unit - turned[:, 2])
    pixels = size / 2 / (_HALF_HEIGHT * unit)
    x = size / 2 + turned[:, 0] * nearer * pixels
    middle = (_PIVOT[0] - _EYE_LINE) * unit
    y = size / 2 - (turned[:, 1] * nearer - middle) * pixels
    return np.stack([x, y, -turned[:, 2]], axis=1).astype(np.float32)


def _shadows(vertices, shape, towards, drawn, points, glasses, cover):  # noqa
    size = int(min(max(points, 96), 256))
    depth = -towards
    aside = np.cross([0.0, 1.0, 0.0], depth)
    aside /= np.linalg.norm(aside)
    to_map = np.stack([aside, np.cross(aside, depth), depth])
    to_map[1] *= 1
    scale = size / (2 * 1.75 * shape.unit)
    seen = vertices @ to_map.T.astype(np.float32)
    seen[:, :2] = seen[:, :2] * np.float32(scale) + np.float32(size / 2)
    _, _, nearest = rasterise(
        np.ascontiguousarray(seen, np.float32), scene(glasses).triangles, drawn, size, *cover
    )
    return nearest, to_map.astype(np.float32), scale, 0.045 * shape.unit


def _look(factors: FaceFactors) -> Record:
    """Return the colours and lights of a face."""
    skin = linear_of_lab(skin_lab(factors.skin_ita))
    hair = _between(np.array(_HAIR_COLOURS[factors.hair_colour]), _GREY, factors.grey)
    lips = skin * [0.92, 0.56, 0.56] + [0.03, 0.0, 0.005]
    style = STYLES[factors.hair_style]
    brow = np.minimum(hair, 0.12 + 0.25 * factors.grey) * 0.8
    tint = np.array([1 + 0.12 * factors.warmth, 1.0, 1 - 0.15 * factors.warmth])
    azimuth, elevation = np.radians([factors.key_azimuth, factors.key_elevation])
    towards = [
        np.sin(azimuth) * np.cos(elevation),
        np.sin(elevation),
        np.cos(azimuth) * np.cos(elevation),
    ]
    colours = {
        "skin": skin,
        "hair": hair,
        "brow": brow,
        "iris": np.array(_EYE_COLOURS[factors.eye_colour]),
        "lips": _between(lips, _LIPSTICK, 0.6 * factors.make_up),
        "clothes": linear_of_hex(factors.clothes),
        "lid_colour": _EYE_SHADOW * (0.4 + skin),
        "light": np.array(towards),
        "light_colour": factors.key_light * tint,
        "background": linear_of_hex(factors.background),
    }
    left_eye, right_eye = eye_centres(load_head().vertices)
    values = colours | {
        "ambient": factors.ambient,
        "painted_hair": style.painted,
        "curl": style.curl,
        "gloss": style.gloss,
        "brows": factors.brows,
        "stubble": factors.stubble,
        "make_up": factors.make_up,
        "age": factors.age,
        "teeth_light": _teeth_light(factors),
        "seed": factors.identity % 9973,
        "window": load_head().masks_window,
        "left_eye": left_eye,
        "right_eye": right_eye,
    }
    look = np.zeros(1, LOOK)
    for name, value in values.items():
        look[name] = value
    return look


def _between(colour: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    return colour + (other - colour) * share


def _teeth_light(factors: FaceFactors) -> float:
    """Return how much light an open mouth lets to the teeth, 0.05..1."""
    weights = action_weights(factors)
    opened = 3 * weights.get("action/jawOpen", 0.0)
    for action, share in {"mouthUpperUp": 1.0, "mouthLowerDown": 1.0, "mouthStretch": 0.5}.items():
        sides = (weights.get(f"action/{action}{side}", 0.0) for side in ("Left", "Right"))
        opened += share * sum(sides)
    return float(min(max(opened, 0.05), 1.0))


@cache
def _surface(glasses: str) -> Surface:
    everything, head = scene(glasses), load_head()
    masks = np.stack([head.masks[name] for name in MASKS])
    return Surface(
        rest=everything.rest,
        occlusion=everything.occlusion,
        triangles=everything.triangles,
        uv=everything.uv,
        material=everything.material,
        masks=np.round(masks * 255).astype(np.uint8),
    )


@cache
def _srgb_curve() -> UInt8:
    """Return the sRGB bytes of light from 0 to 1 in steps finer than any byte's."""
    return np.round(255 * srgb_of_linear(np.linspace(0, 1, 2**14))).astype(np.uint8)
