"""All that can be in a picture, as one mesh: head, hair, glasses."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from facebias.faces.arrays import Bool, Float32, Int32, UInt8
from facebias.faces.factors import GLASSES
from facebias.faces.glasses import Frame, frame, worn
from facebias.faces.hair import SOLID, STYLES, THIN, curtain, falling, scalp, shells
from facebias.faces.head import load_head
from facebias.faces.raster import vertex_normals

# What a triangle is made of; the first six are parts of the head.
SKIN, LEFT_EYE, RIGHT_EYE, UPPER_TEETH, LOWER_TEETH, TONGUE, SHELL, CURTAIN, FRAME = range(9)
_MATERIAL_OF_PART = {
    "body": SKIN,
    "left eye": LEFT_EYE,
    "right eye": RIGHT_EYE,
    "upper teeth": UPPER_TEETH,
    "lower teeth": LOWER_TEETH,
    "tongue": TONGUE,
}
_OPEN = 0.9  # light from all sides that reaches what stands away from the head

_Values = Float32 | float  # one for each vertex, or one for all


@dataclass(frozen=True)
class Scene:
    """What does not change from face to face, for one style of glasses.

    Attributes:
        rest: (N, 3), every vertex at rest: the place that paint and texture refer to.
        cover: (N,), density at the vertex: below 1 there are gaps.
        occlusion: (N,), share of the light from all sides that arrives, 0..1.
        triangles: (T, 3).
        uv: (T, 3, 2), places of the corners in the head's masks.
        material: (T,), such as SKIN.
        one_sided: (T,), whether the triangle counts for normals; of those drawn from both sides
            one does.
    """

    rest: Float32
    cover: Float32
    occlusion: Float32
    triangles: Int32
    uv: Float32
    material: UInt8
    one_sided: Bool


@cache
def scene(glasses: str) -> Scene:
    """Return the scene with a style of glasses: head, two shells of hair, curtain, frame."""
    head, grown, hair = load_head(), scalp(), curtain()
    under, shade = head.vertices[grown.vertices], np.maximum(head.occlusion[grown.vertices], 0.45)
    thin = THIN * np.clip(grown.inside / 0.03, 0, 1)
    # In the order of `dressed`: places at rest, cover, light from all sides.
    vertices: list[tuple[Float32, _Values, _Values]] = [
        (head.vertices, SOLID, head.occlusion),
        (under, SOLID, shade),
        (under, thin, shade),
        (hair.rest, hair.cover, _OPEN),
        *((each.rest, SOLID, _OPEN) for each in _frames(glasses)),
    ]
    triangles, material, once = _triangles(glasses)
    corners = head.uv_triangles[_kept()]
    uv = np.zeros((len(triangles), 3, 2), np.float32)
    uv[: len(corners)] = head.uv[corners]
    return Scene(
        rest=np.concatenate([rest for rest, _, _ in vertices]),
        cover=_of_vertices([(len(rest), cover) for rest, cover, _ in vertices]),
        occlusion=_of_vertices([(len(rest), light) for rest, _, light in vertices]),
        triangles=triangles,
        uv=uv,
        material=material,
        one_sided=once,
    )


def _frames(glasses: str) -> list[Frame]:
    return [] if glasses == GLASSES[0] else [frame(glasses)]


@cache
def _kept() -> Bool:
    """Return which triangles of the head are drawn (T,).

    The mesh's lashes are left out: as sheets they look like make-up, and hide narrow eyes.
    """
    head = load_head()
    return np.isin(head.triangle_part, [head.parts.index(part) for part in _MATERIAL_OF_PART])


def _triangles(glasses: str) -> tuple[Int32, UInt8, Bool]:
    """Return the triangles (T, 3) of a scene, their material, and whether they are one-sided."""
    head, grown, fall, kept = load_head(), scalp(), curtain(), _kept()
    sizes = [len(head.vertices), len(grown.vertices), len(grown.vertices), len(fall.rest)]
    shell, other_shell, hanging, glass = np.cumsum(sizes).tolist()
    material = np.array([_MATERIAL_OF_PART.get(part, SKIN) for part in head.parts], np.uint8)
    pieces = [
        (head.triangles[kept], material[head.triangle_part[kept]], True),
        (grown.triangles + shell, SHELL, True),
        (grown.triangles + other_shell, SHELL, True),
        (fall.triangles + hanging, CURTAIN, True),
        (fall.triangles[:, ::-1] + hanging, CURTAIN, False),
        *((each.triangles + glass, FRAME, True) for each in _frames(glasses)),
    ]
    return (
        np.concatenate([piece for piece, _, _ in pieces]).astype(np.int32),
        np.concatenate([np.full(len(piece), kind, np.uint8) for piece, kind, _ in pieces]),
        np.concatenate([np.full(len(piece), once) for piece, _, once in pieces]),
    )


def _of_vertices(pieces: Sequence[tuple[int, _Values]]) -> Float32:
    """Join values of so many vertices each, given one by one or one for all."""
    return np.concatenate([np.full(count, value, np.float32) for count, value in pieces])


@cache
def drawn_triangles(glasses: str, hair: str) -> tuple[Int32, Int32]:
    """Return which triangles are drawn with a hair style, and which of them count for normals."""
    everything, style = scene(glasses), STYLES[hair]
    drawn = np.ones(len(everything.triangles), bool)
    if style.top == 0:
        drawn &= everything.material != SHELL
    if not style.falls:
        drawn &= everything.material != CURTAIN
    return (
        np.flatnonzero(drawn).astype(np.int32),
        np.flatnonzero(drawn & everything.one_sided).astype(np.int32),
    )


def dressed(head: Float32, neutral: Float32, glasses: str, hair: str, identity: int) -> Float32:
    """Return every vertex (N, 3) of the scene.

    Args:
        head: (V, 3), with its expression.
        neutral: (V, 3), at rest; glasses and falling hair keep to it.
        glasses: style.
        hair: style.
        identity: seed of the hair's unevenness.
    """
    data = load_head()
    skin = np.flatnonzero(data.triangle_part == data.parts.index("body")).astype(np.int32)
    normals = vertex_normals(head, data.triangles, skin)
    pieces = [head, shells(head, normals, STYLES[hair], identity), falling(neutral)]
    if glasses != GLASSES[0]:
        pieces.append(worn(glasses, neutral))
    return np.concatenate(pieces).astype(np.float32)
