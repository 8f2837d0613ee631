"""What each visible point looks like and which part of the face it is, compiled."""

from typing import Annotated, NamedTuple

import numpy as np

from facebias.faces.arrays import Float32, Int32, Record, UInt8, compiled
from facebias.faces.head import MASKS
from facebias.faces.noise import value_noise
from facebias.faces.raster import Visible
from facebias.faces.regions import PARTS
from facebias.faces.scene import (
    CURTAIN,
    FRAME,
    LEFT_EYE,
    LOWER_TEETH,
    RIGHT_EYE,
    SHELL,
    SKIN,
    TONGUE,
    UPPER_TEETH,
)
from facebias.faces.template import brow_cover, hairline, neckline, skin_part, smooth_step

_BACKGROUND = PARTS.index("background")
_FOREHEAD = PARTS.index("forehead")
_LEFT_BROW = PARTS.index("left brow")
_RIGHT_BROW = PARTS.index("right brow")
_AROUND_BROWS = PARTS.index("around the brows")
_LEFT_EYE = PARTS.index("left eye")
_RIGHT_EYE = PARTS.index("right eye")
_AROUND_EYES = PARTS.index("around the eyes")
_NOSE = PARTS.index("nose")
_LEFT_CHEEK = PARTS.index("left cheek")
_RIGHT_CHEEK = PARTS.index("right cheek")
_UPPER_LIP = PARTS.index("upper lip")
_LOWER_LIP = PARTS.index("lower lip")
_INNER_MOUTH = PARTS.index("inner mouth")
_AROUND_MOUTH = PARTS.index("around the mouth")
_CHIN = PARTS.index("chin and jaw")
_LEFT_EAR = PARTS.index("left ear")
_RIGHT_EAR = PARTS.index("right ear")
_HAIR = PARTS.index("hair")
_NECK = PARTS.index("neck")
_CLOTHES = PARTS.index("clothes")
_GLASSES = PARTS.index("glasses")


_LIPS, _EYELIDS, _EARS, _INSIDE_MOUTH = (
    MASKS.index(name) for name in ("lips", "eyelids", "ears", "inside mouth")
)

# Linear light, 0..1.
_EYE_WHITE = np.array([0.60, 0.55, 0.52], np.float32)
_TOOTH = np.array([0.60, 0.56, 0.48], np.float32)
_TONGUE = np.array([0.35, 0.10, 0.10], np.float32)
_METAL = np.array([0.015, 0.015, 0.016], np.float32)

# Chosen so that under lights of strength 1 (key) and 0.45 (ambient) skin in the middle of the face
# has the lightness that was asked for.
_KEY, _AMBIENT = 1.05, 0.84
_THROUGH = np.array([0.35, 0.18, 0.12], np.float32)  # red light goes deepest into skin

Colour = Annotated[Float32, 3]
"""Red, green and blue, linear, 0..1."""
Vector = Annotated[Float32, 3]
"""x, y and z."""
Window = Annotated[Float32, 4]
"""Left and right u, top and bottom as 1 - v."""


class Look:
    """Colours, strengths and lights of one face, as compiled code reads a record of LOOK.

    Attributes:
        skin: colour without make-up, stubble, blood and age.
        hair: its colour, grey included.
        brow: colour of the brows' hairs.
        iris: colour of the eyes.
        lips: their colour, lipstick included.
        clothes: their colour.
        lid_colour: eye shadow.
        background: colour at the height where it is neither lightened nor darkened.
        light: unit vector towards the main light, in the camera's space.
        light_colour: of the main light; 1 is strength 1 in white.
        ambient: strength of the light from all sides.
        painted_hair: density of the hair that is painted on the scalp, 0..1.
        curl: frequency of the hair along its strands.
        gloss: strength of the hair's highlight.
        brows: density, 0..1.2.
        stubble: density, 0..1.
        make_up: strength, 0..1.
        age: years.
        teeth_light: share of the light that reaches the teeth, 0..1.
        seed: of all texture.
        window: the part of the texture that the masks show.
        left_eye: its centre at rest.
        right_eye: its centre at rest.
    """

    skin: Colour
    hair: Colour
    brow: Colour
    iris: Colour
    lips: Colour
    clothes: Colour
    lid_colour: Colour
    background: Colour
    light: Vector
    light_colour: Colour
    ambient: float
    painted_hair: float
    curl: float
    gloss: float
    brows: float
    stubble: float
    make_up: float
    age: float
    teeth_light: float
    seed: int
    window: Window
    left_eye: Vector
    right_eye: Vector


_NUMBERS = {float: np.float32, int: np.int32}
LOOK = np.dtype(
    [
        (name, _NUMBERS[kind]) if kind in _NUMBERS else (name, np.float32, kind.__metadata__)
        for name, kind in Look.__annotations__.items()
    ]
)


class Surface(NamedTuple):
    """The scene's fixed arrays, in the order of its triangles and vertices.

    Attributes:
        rest: (N, 3), vertices at rest: the places that paint refers to.
        occlusion: (N,), share of the light from all sides that arrives, 0..1.
        triangles: (T, 3), indices of vertices.
        uv: (T, 3, 2), places of the corners in the masks.
        material: (T,), such as `facebias.faces.scene.SKIN`.
        masks: (4, H, W), 0..255, in the order of `facebias.faces.head.MASKS`.
    """

    rest: Float32
    occlusion: Float32
    triangles: Int32
    uv: Float32
    material: UInt8
    masks: UInt8


class Posed(NamedTuple):
    """The vertices of one face.

    Attributes:
        upright: (N, 3), before the head is turned.
        vertices: (N, 3), in the camera's space: x right, y up, z to the camera.
        normals: (N, 3), in the same space.
    """

    upright: Float32
    vertices: Float32
    normals: Float32


class Shadows(NamedTuple):
    """Where the main light arrives.

    Attributes:
        depth: (M, M), of the nearest surface seen from the light.
        to_map: (3, 3), rows are the map's x, y and depth directions in the camera's space.
        scale: points of the map in one unit of space; its middle is the origin.
        bias: depth by which a surface does not shade itself.
    """

    depth: Float32
    to_map: Float32
    scale: float
    bias: float


class Finish(NamedTuple):
    """How a point that was painted takes the light.

    Attributes:
        part: code that indexes `facebias.faces.regions.PARTS`.
        highlight: its strength.
        sharpness: exponent of the highlight.
        through: how much light goes through it, as through skin, 0..1.
        occlusion: share of the light from all sides that arrives.
    """

    part: int
    highlight: float
    sharpness: int
    through: float
    occlusion: float


@compiled
def _spot(ax: float, y: float, cx: float, cy: float, rx: float, ry: float) -> float:
    """Return 1 in the middle of a spot, falling off with its radii."""
    return float(np.exp(-(((ax - cx) / rx) ** 2) - ((y - cy) / ry) ** 2))


@compiled
def _mask(masks: UInt8, which: int, window: Float32, u: float, v: float) -> float:
    """Return a mask's value, 0..1, between its four nearest cells; 0 outside."""
    height, width = masks.shape[1], masks.shape[2]
    x = (u - window[0]) / (window[1] - window[0]) * width - 0.5
    y = ((1 - v) - window[2]) / (window[3] - window[2]) * height - 0.5
    if x < 0 or y < 0 or x >= width - 1 or y >= height - 1:
        return 0.0
    i, j = int(x), int(y)
    a, b = x - i, y - j
    top = masks[which, j, i] * (1 - a) + masks[which, j, i + 1] * a
    bottom = masks[which, j + 1, i] * (1 - a) + masks[which, j + 1, i + 1] * a
    return float((top * (1 - b) + bottom * b) / 255.0)


@compiled
def _copy(colour: Float32, other: Float32) -> None:
    for k in range(3):
        colour[k] = other[k]


@compiled
def _mix(colour: Float32, other: Float32, share: float) -> None:
    for k in range(3):
        colour[k] += (other[k] - colour[k]) * share


@compiled
def _scale(colour: Float32, red: float, green: float, blue: float) -> None:
    colour[0] *= red
    colour[1] *= green
    colour[2] *= blue


@compiled
def _wrinkles(x: float, y: float, z: float, age: float, seed: int) -> float:
    """Return how much lines of age darken a point: on the forehead, beside the eyes."""
    if age < 40 or z < 0.7:
        return 0.0
    ax = abs(x)
    bent = y + 0.02 * np.sin(5 * x + seed % 7) + 0.03 * ax
    brow = smooth_step(0.75, 1.0, 0.5 + 0.5 * np.cos(bent * 58)) * _spot(
        ax, y, 0.0, 7.75, 0.5, 0.14
    )
    fan = np.arctan2(y - 7.26, ax - 0.40)
    feet = smooth_step(0.6, 1.0, 0.5 + 0.5 * np.cos(fan * 14)) * _spot(
        ax, y, 0.60, 7.25, 0.09, 0.12
    )
    return smooth_step(40, 80, age) * (0.16 * brow + 0.16 * feet)


@compiled
def _skin(
    colour: Float32, q: Float32, uv: Float32, normal: Float32, look: Look, masks: UInt8
) -> tuple[int, float, float]:
    """Paint a point of the body.

    Returns:
        The part that it belongs to, the strength of its highlight, and how much light goes
        through it, as through skin.
    """
    x, y, z, seed = q[0], q[1], q[2], look.seed
    if y < neckline(x, z):
        _dress(colour, x, y, z, look)
        return _CLOTHES, 0.02, 0.0
    ears = lids = lips = 0.0
    if abs(x) > 0.55:
        ears = _mask(masks, _EARS, look.window, uv[0], uv[1])
    grown = hairline(y, z) if look.painted_hair > 0 and ears < 0.4 else -1.0
    strands = 0.0
    if -0.1 < grown < 0.12:
        strands = value_noise(34 * x, 34 * y, 34 * z, seed + 6) - 0.5
    painted = look.painted_hair * smooth_step(-0.05, 0.07, grown + 0.09 * strands)
    _copy(colour, look.skin)
    part, strength = skin_part(x, y, z), 0.25
    if painted < 0.95:
        if z > 0.5 and abs(x) < 0.4 and 6.2 < y < 7.0:
            if _mask(masks, _INSIDE_MOUTH, look.window, uv[0], uv[1]) > 0.5:
                colour[0], colour[1], colour[2] = 0.10, 0.02, 0.02
                return _INNER_MOUTH, 0.2, 0.0
            lips = _mask(masks, _LIPS, look.window, uv[0], uv[1])
        if z > 1.0 and 7.0 < y < 7.6:
            lids = _mask(masks, _EYELIDS, look.window, uv[0], uv[1])
        _complexion(colour, x, y, z, lids, ears, normal[1], look)
        if ears > 0.5:
            part = _LEFT_EAR if x > 0 else _RIGHT_EAR
        if look.stubble > 0 and y < 6.9:
            _mix(colour, look.hair, _beard(x, y, z, look) * (1 - lips))
        if lips > 0:
            _mix(colour, look.lips, lips)
            strength += 0.25 * lips
            if lips > 0.5:
                part = _UPPER_LIP if y > 6.607 + 0.3 * x * x else _LOWER_LIP
        if 7.3 < y < 7.6:
            brow = brow_cover(x, y, z, look.brows)
            if brow > 0:
                hairs = value_noise(60 * abs(x) + 40 * y, 18 * y, 3.0 * (x > 0), seed + 5)
                _mix(colour, look.brow, min(brow * look.brows * (0.64 + 0.42 * hairs), 0.95))
                if brow > 0.35:
                    part = _LEFT_BROW if x > 0 else _RIGHT_BROW
    if painted > 0:
        tone = 0.65 + 0.6 * value_noise(28 * x, look.curl * y, 28 * z, seed + 7)
        for k in range(3):
            colour[k] += (look.hair[k] * tone - colour[k]) * painted
        strength *= 1 - 0.8 * painted
    if grown > 0:
        return _HAIR, strength, 0.0
    return part, strength, 1.0


@compiled
def _dress(colour: Float32, x: float, y: float, z: float, look: Look) -> None:
    """Paint clothes: folds, and a seam along the neckline."""
    folds = value_noise(7 * x + 2 * y, 3 * y, 7 * z, look.seed + 11)
    seam = smooth_step(0.0, 0.05, neckline(x, z) - y)
    for k in range(3):
        colour[k] = look.clothes[k] * (0.75 + 0.4 * folds) * (0.55 + 0.45 * seam)


@compiled
def _complexion(
    colour: Float32,
    x: float,
    y: float,
    z: float,
    lids: float,
    ears: float,
    up: float,
    look: Look,
) -> None:
    """Paint bare skin: mottled, redder on cheeks, nose and ears, darker at lids and nostrils."""
    ax, seed = abs(x), look.seed
    mottled = value_noise(9 * x, 9 * y, 9 * z, seed) + value_noise(23 * x, 23 * y, 23 * z, seed + 1)
    tone, red = 1 + 0.05 * (mottled - 1), 0.0
    if look.age > 45:
        spots = smooth_step(0.70, 0.88, value_noise(32 * x, 32 * y, 32 * z, seed + 2))
        tone -= 0.10 * spots * smooth_step(45, 80, look.age)
        tone *= 1 - _wrinkles(x, y, z, look.age, seed)
    if z > 0.6:
        front = smooth_step(0.6, 1.0, z)
        red = 0.5 * _spot(ax, y, 0.38, 6.95, 0.17, 0.15) + 0.5 * _spot(ax, y, 0.0, 6.93, 0.13, 0.10)
        red = (red + 0.25 * _spot(ax, y, 0.0, 6.3, 0.15, 0.10)) * front
        rings = 0.10 + 0.12 * smooth_step(40, 75, look.age)
        tone *= 1 - rings * front * _spot(ax, y, 0.31, 7.16, 0.13, 0.05)
        if up < -0.15:
            tone *= 1 - 0.75 * front * _spot(ax, y, 0.07, 6.84, 0.035, 0.022)
        if look.make_up > 0:
            shadow = front * _spot(ax, y, 0.32, 7.37, 0.16, 0.06)
            _mix(colour, look.lid_colour, 0.5 * look.make_up * shadow)
    tone *= 1 - 0.18 * lids
    if lids > 0.8:
        lashes = smooth_step(0.82, 0.97, lids) * (0.85 if y > 7.28 else 0.3)
        tone *= 1 - lashes
    _scale(colour, tone * (1 + 0.10 * red), tone * (1 - 0.22 * red), tone * (1 - 0.20 * red))
    _scale(colour, 1 + 0.05 * ears, 1 - 0.08 * ears, 1 - 0.08 * ears)


@compiled
def _beard(x: float, y: float, z: float, look: Look) -> float:
    """Return how much stubble covers a point, 0..0.85."""
    ax = abs(x)
    jaw = smooth_step(6.78, 6.55, y) * smooth_step(6.02, 6.16, y) * smooth_step(0.40, 0.75, z)
    jaw *= 1 - 0.5 * _spot(ax, y, 0.0, 6.6, 0.28, 0.10)
    moustache = _spot(ax, y, 0.0, 6.76, 0.22, 0.035) * smooth_step(0.6, 1.0, z)
    hairs = 0.65 + 0.7 * value_noise(60 * x, 60 * y, 60 * z, look.seed + 4)
    return min(look.stubble * max(jaw, moustache) * hairs, 0.85)


@compiled
def _eye(colour: Float32, q: Float32, centre: Float32, look: Look) -> tuple[float, float]:
    """Paint a point of an eyeball; return the light that the lids leave and its highlight."""
    dx, dy, dz = q[0] - centre[0], q[1] - centre[1], q[2] - centre[2]
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    angle = np.degrees(np.arccos(min(max(dz / length, -1.0), 1.0)))
    iris, pupil = smooth_step(25.5, 22.5, angle), smooth_step(10.5, 8.5, angle)
    ring = 1 - 0.65 * smooth_step(17, 24, angle)
    fibres = 0.8 + 0.5 * value_noise(
        14 * dx / length, 14 * dy / length, 14 * dz / length, look.seed
    )
    white = 1 - 0.1 * smooth_step(30, 70, angle)
    for k in range(3):
        colour[k] = _EYE_WHITE[k] * white
        colour[k] += (look.iris[k] * ring * fibres - colour[k]) * iris
        colour[k] += (0.004 - colour[k]) * pupil
    return 0.42 + 0.58 * smooth_step(0.14, -0.03, dy), 0.4 + 1.2 * iris


@compiled
def _hair(colour: Float32, place: Float32, look: Look) -> None:
    """Paint a point of the hair: strands, lighter and darker."""
    x, y, z, seed = place[0], place[1], place[2], look.seed
    bend = 3 * value_noise(4 * x, 4 * y, 4 * z, seed)
    fine = value_noise(30 * x + bend, look.curl * y, 30 * z, seed + 7)
    locks = value_noise(9 * x + bend, 0.6 * look.curl * y, 9 * z, seed + 8)
    for k in range(3):
        colour[k] = look.hair[k] * (0.35 + 0.75 * fine + 0.55 * locks)


@compiled
def _lit(point: Float32, shadows: Shadows) -> float:
    """Return the share of the main light, 0..1, that reaches a point (3,) in the camera's space."""
    to_map, size = shadows.to_map, len(shadows.depth)
    x = to_map[0, 0] * point[0] + to_map[0, 1] * point[1] + to_map[0, 2] * point[2]
    y = to_map[1, 0] * point[0] + to_map[1, 1] * point[1] + to_map[1, 2] * point[2]
    z = to_map[2, 0] * point[0] + to_map[2, 1] * point[1] + to_map[2, 2] * point[2]
    column, row = int(x * shadows.scale + size / 2), int(y * shadows.scale + size / 2)
    open_taps = 0
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            i, j = row + dy, column + dx
            outside = i < 0 or j < 0 or i >= size or j >= size
            if outside or z - shadows.bias <= shadows.depth[i, j]:
                open_taps += 1
    return open_taps / 9.0


@compiled
def _paint(
    colour: Float32,
    material: int,
    q: Float32,
    place: Float32,
    uv: Float32,
    normal: Float32,
    occlusion: float,
    look: Look,
    masks: UInt8,
) -> Finish:
    """Paint a point of any material, in place.

    Args:
        colour: (3,), linear; what is painted.
        material: such as SKIN.
        q: (3,), its place at rest.
        place: (3,), its place before the head is turned.
        uv: (2,), its place in the masks.
        normal: (3,).
        occlusion: share of the light from all sides that arrives, 0..1.
        look: the face's colours.
        masks: see `Surface`.
    """
    if material == SKIN:
        part, highlight, through = _skin(colour, q, uv, normal, look, masks)
        return Finish(part, highlight, 18, through, occlusion)
    if material in (LEFT_EYE, RIGHT_EYE):
        left = material == LEFT_EYE
        shade, highlight = _eye(colour, q, look.left_eye if left else look.right_eye, look)
        return Finish(_LEFT_EYE if left else _RIGHT_EYE, highlight, 90, 0.0, shade)
    if material in (SHELL, CURTAIN):
        _hair(colour, place, look)
        return Finish(_HAIR, np.float64(look.gloss), 14, 0.0, occlusion)
    if material == FRAME:
        _copy(colour, _METAL)
        return Finish(_GLASSES, 0.8, 30, 0.0, 1.0)
    if material == TONGUE:
        _copy(colour, _TONGUE)
        return Finish(_INNER_MOUTH, 0.4, 18, 0.3, 0.6 * min(max((q[2] - 0.9) / 0.5, 0.1), 1.0))
    _copy(colour, _TOOTH)
    return Finish(_INNER_MOUTH, 0.4, 18, 0.0, 0.75 * look.teeth_light)


@compiled
def _power(base: float, exponent: int) -> float:
    """Return a whole power by squaring, which is faster than the general one."""
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


@compiled
def _light(
    colour: Float32, material: int, normal: Float32, finish: Finish, lit: float, look: Look
) -> None:
    """Turn a point's colour into the light that it sends to the camera, in place.

    Args:
        colour: (3,), linear.
        material: such as SKIN.
        normal: (3,), unit vector in the camera's space.
        finish: how it takes the light.
        lit: share of the main light that reaches it, 0..1.
        look: the face's lights.
    """
    facing = normal[0] * look.light[0] + normal[1] * look.light[1] + normal[2] * look.light[2]
    direct, wrapped = min(max(facing, 0.0), 1.0), min(max((facing + 0.35) / 1.35, 0.0), 1.0)
    from_above = 0.65 + 0.35 * normal[1]
    shade = min(max(finish.occlusion, 0.03), 1.0)
    hx, hy, hz = look.light[0], look.light[1], look.light[2] + 1.0
    half = np.sqrt(hx * hx + hy * hy + hz * hz)
    if material in (SHELL, CURTAIN):
        # Kajiya and Kay (1989): a highlight across strands that run down along the surface.
        tx, ty, tz = -normal[1] * normal[0], 1 - normal[1] * normal[1], -normal[1] * normal[2]
        along = (tx * hx + ty * hy + tz * hz) / (
            half * (np.sqrt(tx * tx + ty * ty + tz * tz) + 1e-6)
        )
        mirrored = _power(np.sqrt(max(0.0, 1 - along * along)), finish.sharpness) * direct * 0.35
    else:
        mirrored = (normal[0] * hx + normal[1] * hy + normal[2] * hz) / half
        mirrored = _power(max(mirrored, 0.0), finish.sharpness)
    highlight = 0.22 * finish.highlight * mirrored * (0.4 + 0.6 * shade) * lit
    grazing = 0.10 * _power(1 - min(max(normal[2], 0.0), 1.0), 4) * look.ambient * shade
    for k in range(3):
        share = finish.through * _THROUGH[k]
        key = (
            look.light_colour[k]
            * _KEY
            * (share * wrapped * (0.4 + 0.6 * lit) + (1 - share) * direct * lit)
        )
        colour[k] *= key * (0.35 + 0.65 * shade) + _AMBIENT * look.ambient * from_above * shade
        colour[k] += highlight * look.light_colour[k] + grazing * (finish.highlight > 0.05)


@compiled
def _interpolate(
    found: Float32, values: Float32, a: int, b: int, c: int, u: float, v: float, w: float
) -> None:
    """Write the mean of three rows of values (N, D), weighted, to `found` (D,)."""
    for k in range(len(found)):
        found[k] = u * values[a, k] + v * values[b, k] + w * values[c, k]


@compiled
def shade(
    visible: Visible, posed: Posed, looks: Record, surface: Surface, shadows: Shadows
) -> tuple[Float32, UInt8]:
    """Return the light (S, S, 3), linear, and the parts (S, S) that a picture shows.

    Args:
        visible: the triangle that each point shows.
        posed: the face's vertices.
        looks: (1,) of LOOK, the face's colours and lights.
        surface: the scene's fixed arrays.
        shadows: where the main light arrives.
    """
    size, look = len(visible.triangles), looks[0]
    light = np.empty((size, size, 3), np.float32)
    parts = np.full((size, size), _BACKGROUND, np.uint8)
    q, n, p = np.empty(3, np.float32), np.empty(3, np.float32), np.empty(3, np.float32)
    place, uv, colour = np.empty(3, np.float32), np.empty(2, np.float32), np.empty(3, np.float32)
    for row in range(size):
        for column in range(size):
            t = visible.triangles[row, column]
            if t < 0:
                for k in range(3):
                    light[row, column, k] = look.background[k] * (1.12 - 0.3 * row / size)
                continue
            a, b, c = surface.triangles[t, 0], surface.triangles[t, 1], surface.triangles[t, 2]
            u, v = visible.weights[row, column, 0], visible.weights[row, column, 1]
            w = 1 - u - v
            _interpolate(q, surface.rest, a, b, c, u, v, w)
            _interpolate(place, posed.upright, a, b, c, u, v, w)
            _interpolate(p, posed.vertices, a, b, c, u, v, w)
            _interpolate(n, posed.normals, a, b, c, u, v, w)
            _interpolate(uv, surface.uv[t], 0, 1, 2, u, v, w)
            material = surface.material[t]
            length = np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) + 1e-9
            if material == CURTAIN and n[2] < 0:  # a sheet is seen from both sides
                length = -length
            for k in range(3):
                n[k] /= length
            if material in (UPPER_TEETH, LOWER_TEETH):
                n[0], n[1], n[2] = 0.8 * q[0], 0.12, 0.95  # a smooth arch
            occlusion = (
                u * surface.occlusion[a] + v * surface.occlusion[b] + w * surface.occlusion[c]
            )
            finish = _paint(colour, material, q, place, uv, n, occlusion, look, surface.masks)
            lit = 1.0  # inside the mouth: see `teeth_light`
            if material not in (UPPER_TEETH, LOWER_TEETH, TONGUE):
                lit = _lit(p, shadows)
            if material in (LEFT_EYE, RIGHT_EYE):
                lit = 0.5 + 0.5 * lit  # an eye is moist, and catches light from everywhere
            _light(colour, material, n, finish, lit, look)
            for k in range(3):
                light[row, column, k] = colour[k]
            parts[row, column] = finish.part
    return light, parts


@compiled
def develop(light: Float32, parts: UInt8, size: int, curve: UInt8) -> tuple[UInt8, UInt8]:
    """Average points to pixels: their light, encoded as sRGB, and the part that most of them show.

    Args:
        light: (S, S, 3), linear.
        parts: (S, S).
        size: pixels of the result's side; S is a multiple of it.
        curve: sRGB values of light from 0 to 1 in equal steps.

    Returns:
        The image (size, size, 3) and the parts (size, size).
    """
    step = len(light) // size
    image = np.empty((size, size, 3), np.uint8)
    most = np.empty((size, size), np.uint8)
    votes = np.zeros(256, np.int32)
    for row in range(size):
        for column in range(size):
            best = parts[row * step, column * step]
            red = green = blue = 0.0
            for y in range(row * step, row * step + step):
                for x in range(column * step, column * step + step):
                    red += light[y, x, 0]
                    green += light[y, x, 1]
                    blue += light[y, x, 2]
                    votes[parts[y, x]] += 1
                    if votes[parts[y, x]] > votes[best]:
                        best = parts[y, x]
            for y in range(row * step, row * step + step):
                for x in range(column * step, column * step + step):
                    votes[parts[y, x]] = 0
            most[row, column] = best
            points = step * step
            for k, value in enumerate((red, green, blue)):
                share = min(max(value / points, 0.0), 1.0)
                image[row, column, k] = curve[int(share * (len(curve) - 1) + 0.5)]
    return image, most
