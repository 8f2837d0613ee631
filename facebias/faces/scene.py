"""All that can be in a picture, as one mesh: head, hair, glasses."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from facebias.faces.arrays import Float32, Int32, UInt8
from facebias.faces.factors import GLASSES
from facebias.faces.glasses import frame, worn
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
    one_sided: np.ndarray


@cache
def scene(glasses: str) -> Scene:
    """Return the scene with a style of glasses."""
    head, hair = load_head(), curtain()
    under = head.vertices[scalp().vertices]
    rests = [head.vertices, under, under, hair.rest]
    frames = [frame(glasses)] if glasses != GLASSES[0] else []
    rests += [each.rest for each in frames]
    first = np.cumsum([0, *(len(rest) for rest in rests)])
    # The mesh's lashes are left out: as sheets they look like make-up, and hide narrow eyes.
    kept = np.isin(head.triangle_part, [head.parts.index(part) for part in _MATERIAL_OF_PART])
    material = np.array([_MATERIAL_OF_PART.get(part, 0) for part in head.parts], np.uint8)
    fall = hair.triangles + first[3]
    pieces = [
        (head.triangles[kept], material[head.triangle_part[kept]], True),
        (scalp().triangles + first[1], SHELL, True),
        (scalp().triangles + first[2], SHELL, True),
        (fall, CURTAIN, True),
        (fall[:, ::-1], CURTAIN, False),
        *((each.triangles + first[4], FRAME, True) for each in frames),
    ]
    triangles = np.concatenate([piece for piece, _, _ in pieces]).astype(np.int32)
    uv = np.zeros((len(triangles), 3, 2), np.float32)
    uv[: kept.sum()] = head.uv[head.uv_triangles[kept]]
    covers = [np.full(len(rest), SOLID, np.float32) for rest in rests]
    dense = np.clip(scalp().inside / 0.03, 0, 1)
    covers[1:4] = [dense * np.float32(SOLID), dense * np.float32(THIN), hair.cover]
    shades = [np.full(len(rest), 0.9, np.float32) for rest in rests]
    shades[0] = head.occlusion
    shades[1] = shades[2] = np.maximum(head.occlusion[scalp().vertices], 0.45)
    return Scene(
        np.concatenate(rests),
        np.concatenate(covers),
        np.concatenate(shades),
        np.ascontiguousarray(triangles),
        uv,
        np.concatenate([np.full(len(piece), kind, np.uint8) for piece, kind, _ in pieces]),
        np.concatenate([np.full(len(piece), once) for piece, _, once in pieces]),
    )


@cache
def drawn_triangles(glasses: str, hair: str) -> tuple[Int32, Int32]:
    """Return which triangles are drawn, and which of them count for normals."""
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
