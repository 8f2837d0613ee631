"""From factors to a picture, its regions and its landmarks."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from facebias.errors import DataError
from facebias.faces.arrays import Float32, Float64, Int32, Record, UInt8
from facebias.faces.eyes import eye_centres
from facebias.faces.factors import FaceFactors
from facebias.faces.hair import STYLES
from facebias.faces.head import MASKS, load_head
from facebias.faces.landmarks import landmark_points
from facebias.faces.raster import Gaps, rasterise, vertex_normals
from facebias.faces.scene import drawn_triangles, dressed, scene
from facebias.faces.shade import LOOK, Posed, Shadows, Surface, develop, shade
from facebias.faces.shape import Shape, action_weights, face_shape
from facebias.faces.skin import linear_of_hex, linear_of_lab, skin_lab, srgb_of_linear

_DISTANCE = 9.0  # of the camera, in heights from the eyes to the chin
_HALF_HEIGHT = 1.30  # of the picture, in the same unit
_EYE_LINE = 0.03  # how far the eyes are above the picture's middle, in the same unit
_PIVOT = (0.35, 1.0)  # the head turns about a point that is lower and deeper than the eyes

_MAP_SIZES = (96, 256)  # points along a side of a map of shadows, at least and at most
_MAP_HALF = 1.75  # of the side of a map, in heights from the eyes to the chin
_BIAS = 0.045  # depth by which a surface does not shade itself, in the same unit
_SEEDS = 9973  # so many textures: compiled code takes no larger seeds

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

    Equal factors give equal bytes, in any process on one machine; others may round another way.

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
    shape, points = face_shape(factors), size * supersampling
    camera = _camera(factors, shape)
    upright = dressed(
        shape.expressed, shape.neutral, factors.glasses, factors.hair_style, factors.identity
    )
    vertices = camera.turned(upright)
    everything = scene(factors.glasses)
    drawn, one_sided = drawn_triangles(factors.glasses, factors.hair_style)
    gaps = Gaps(everything.rest, everything.cover, _texture_seed(factors))
    visible = rasterise(
        camera.projected(vertices, points), everything.triangles, drawn, points, gaps
    )
    posed = Posed(upright, vertices, vertex_normals(vertices, everything.triangles, one_sided))
    look = _look(factors)
    surface = _surface(factors.glasses)
    shadows = _shadows(
        vertices, look["light"][0], surface.triangles, drawn, gaps, points, shape.unit
    )
    light, parts = shade(visible, posed, look, surface, shadows)
    image, regions = develop(light, parts, size, _srgb_curve())
    marks = landmark_points(camera.projected(camera.turned(shape.expressed), size)[:, :2])
    return RenderedFace(image, regions, marks, factors)


@dataclass(frozen=True)
class _Camera:
    """From the space of the mesh to the picture; the frame depends on the neutral shape alone.

    Attributes:
        pivot: (3,), the point of the mesh that the head turns about.
        turn: (3, 3), how it is turned.
        unit: height from the eyes to the chin.
    """

    pivot: Float32
    turn: Float64
    unit: float

    def turned(self, vertices: Float32) -> Float32:
        """Return vertices (N, 3) in the camera's space, the origin where the head turns."""
        turned = (vertices - self.pivot) @ self.turn.T.astype(np.float32)
        return np.ascontiguousarray(turned, np.float32)

    def projected(self, turned: Float32, size: int) -> Float32:
        """Return x and y in pixels of a picture (size, size), and depth (N, 3)."""
        unit = self.unit
        nearer = _DISTANCE * unit / (_DISTANCE * unit - turned[:, 2])
        pixels = size / 2 / (_HALF_HEIGHT * unit)
        x = size / 2 + turned[:, 0] * nearer * pixels
        middle = (_PIVOT[0] - _EYE_LINE) * unit
        y = size / 2 - (turned[:, 1] * nearer - middle) * pixels
        return np.stack([x, y, -turned[:, 2]], axis=1).astype(np.float32)


def _camera(factors: FaceFactors, shape: Shape) -> _Camera:
    below, behind = _PIVOT
    pivot = shape.eyes - np.array([0, below * shape.unit, behind * shape.unit], np.float32)
    yaw, pitch, roll = np.radians([factors.yaw, factors.pitch, factors.roll])
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    about_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    return _Camera(pivot, np.array(about_z) @ np.array(about_x) @ np.array(about_y), shape.unit)


def _shadows(
    vertices: Float32,
    light: Float32,
    triangles: Int32,
    drawn: Int32,
    gaps: Gaps,
    points: int,
    unit: float,
) -> Shadows:
    """Return where the main light arrives.

    Args:
        vertices: (N, 3), in the camera's space.
        light: (3,), unit vector towards the light.
        triangles: (T, 3), indices of vertices.
        drawn: triangles that throw shadows.
        gaps: where the light passes through.
        points: along a side of the picture; the map is about as fine.
        unit: height from the eyes to the chin.
    """
    size = min(max(points, _MAP_SIZES[0]), _MAP_SIZES[1])
    depth = -light
    aside = np.cross([0.0, 1.0, 0.0], depth)
    aside /= np.linalg.norm(aside)
    to_map = np.stack([aside, np.cross(aside, depth), depth])
    scale = size / (2 * _MAP_HALF * unit)
    seen = vertices @ to_map.T.astype(np.float32)
    seen[:, :2] = seen[:, :2] * np.float32(scale) + np.float32(size / 2)
    nearest = rasterise(np.ascontiguousarray(seen, np.float32), triangles, drawn, size, gaps).depth
    return Shadows(nearest, to_map.astype(np.float32), scale, _BIAS * unit)


def _look(factors: FaceFactors) -> Record:
    """Return the colours and lights of a face: (1,) of LOOK."""
    style, data = STYLES[factors.hair_style], load_head()
    left_eye, right_eye = eye_centres(data.vertices)
    values = _colours(factors) | {
        "light": _towards_light(factors),
        "ambient": factors.ambient,
        "painted_hair": style.painted,
        "curl": style.curl,
        "gloss": style.gloss,
        "brows": factors.brows,
        "stubble": factors.stubble,
        "make_up": factors.make_up,
        "age": factors.age,
        "teeth_light": _teeth_light(factors),
        "seed": _texture_seed(factors),
        "window": data.masks_window,
        "left_eye": left_eye,
        "right_eye": right_eye,
    }
    look = np.zeros(1, LOOK)
    for name, value in values.items():
        look[name] = value
    return look


def _colours(factors: FaceFactors) -> dict[str, Float64 | Float32 | float]:
    """Return the colours of a face, linear, by the names of their fields in LOOK."""
    skin = linear_of_lab(skin_lab(factors.skin_ita))
    hair = _between(np.array(_HAIR_COLOURS[factors.hair_colour]), _GREY, factors.grey)
    lips = skin * [0.92, 0.56, 0.56] + [0.03, 0.0, 0.005]
    tint = np.array([1 + 0.12 * factors.warmth, 1.0, 1 - 0.15 * factors.warmth])
    return {
        "skin": skin,
        "hair": hair,
        "brow": np.minimum(hair, 0.12 + 0.25 * factors.grey) * 0.8,
        "iris": np.array(_EYE_COLOURS[factors.eye_colour]),
        "lips": _between(lips, _LIPSTICK, 0.6 * factors.make_up),
        "clothes": linear_of_hex(factors.clothes),
        "lid_colour": _EYE_SHADOW * (0.4 + skin),
        "light_colour": factors.key_light * tint,
        "background": linear_of_hex(factors.background),
    }


def _towards_light(factors: FaceFactors) -> Float64:
    """Return the unit vector (3,) towards the main light, in the camera's space."""
    azimuth, elevation = np.radians([factors.key_azimuth, factors.key_elevation])
    return np.array(
        [
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
            np.cos(azimuth) * np.cos(elevation),
        ]
    )


def _between(colour: Float64, other: Float64, share: float) -> Float64:
    return colour + (other - colour) * share


def _texture_seed(factors: FaceFactors) -> int:
    return factors.identity % _SEEDS


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
