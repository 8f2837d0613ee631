"""Hair: a shell over the scalp, and a curtain that falls from it."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from facebias.faces.arrays import Float32, Int32
from facebias.faces.eyes import part_vertices
from facebias.faces.head import load_head
from facebias.faces.noise import noise_at
from facebias.faces.template import hairline

SOLID = 2.0  # cover of what has no gaps
THIN = 0.45  # cover of the outer shell
_BEYOND = 0.02  # how far it lies above the inner one


@dataclass(frozen=True)
class HairStyle:
    """How hair is worn. Lengths are in units of the mesh; the head is about 2.3 high.

    Attributes:
        painted: density of the hair that is painted on the scalp, 0..1.
        top: thickness of the shell above the forehead; 0 for none.
        sides: its thickness at the temples.
        ragged: how much the thickness varies from strand to strand, as a share.
        falls: whether a curtain falls to the shoulders.
        curl: frequency along the strands; straight hair has a low one.
        gloss: strength of the highlight.
    """

    painted: float
    top: float = 0.0
    sides: float = 0.0
    ragged: float = 0.0
    falls: bool = False
    curl: float = 3.0
    gloss: float = 0.25


STYLES = {
    "bald": HairStyle(painted=0.0),
    "buzz": HairStyle(painted=0.8, curl=30.0),
    "short": HairStyle(painted=0.95, top=0.13, sides=0.035, ragged=0.3),
    "medium": HairStyle(painted=0.95, top=0.17, sides=0.13, ragged=0.35),
    "long": HairStyle(painted=0.95, top=0.12, sides=0.11, ragged=0.25, falls=True),
    "afro": HairStyle(painted=0.95, top=0.40, sides=0.34, ragged=0.20, curl=26.0, gloss=0.08),
}


@dataclass(frozen=True)
class Scalp:
    """The shell's share of the mesh.

    Attributes:
        vertices: (S,), those of the head that it doubles.
        triangles: (T, 3), indices of `vertices`.
        inside: (S,), how far inside the hairline each lies, above 0 inside.
    """

    vertices: Int32
    triangles: Int32
    inside: Float32


@cache
def scalp() -> Scalp:
    """Return the part of the head that hair grows on, with a margin."""
    head = load_head()
    inside = np.array([hairline(y, z) for y, z in head.vertices[:, 1:]], np.float32)
    body = head.triangles[head.triangle_part == head.parts.index("body")]
    triangles = body[(inside[body] > 0).any(1)]
    vertices, places = np.unique(triangles, return_inverse=True)
    ears = head.mask_at_vertices("ears")[vertices]
    return Scalp(
        vertices.astype(np.int32),
        places.reshape(-1, 3).astype(np.int32),
        (inside[vertices] - 0.6 * ears).astype(np.float32),
    )


def shells(vertices: Float32, normals: Float32, style: HairStyle, identity: int) -> Float32:
    """Return the vertices (2 S, 3) of two shells over a head (V, 3) with normals (V, 3).

    They begin under the skin, so that their edge is where they come out. The outer one is full of
    gaps, so that the hair's outline is not that of a helmet.
    """
    grown, rest = scalp(), load_head().vertices[scalp().vertices]
    high = np.clip((rest[:, 1] - 7.2) / 0.7, 0, 1)
    thickness = style.sides + (style.top - style.sides) * high
    strands = noise_at(rest, 3.5, identity % 9973) - 0.5
    thickness *= 1 + 2 * style.ragged * strands
    out = np.clip(grown.inside / 0.22, 0, 1)
    under = np.clip((0.03 - grown.inside) / 0.05, 0, 1)
    lift = thickness * out * out * (3 - 2 * out) - 0.03 * under
    skin, outwards = vertices[grown.vertices], normals[grown.vertices] * lift[:, None]
    outwards[:, 1] += 0.2 * lift * high
    beyond = outwards + normals[grown.vertices] * (_BEYOND * out)[:, None]
    return np.concatenate([skin + outwards, skin + beyond]).astype(np.float32)


@dataclass(frozen=True)
class Curtain:
    """Hair that falls around the back and the sides of the head.

    Attributes:
        rest: (C, 3), its vertices beside the head at rest.
        triangles: (T, 3), their outsides.
        anchors: (C,), vertices of the head that carry them.
        cover: (C,), how dense it is: 0 at the tips, SOLID above.
    """

    rest: Float32
    triangles: Int32
    anchors: Int32
    cover: Float32


@cache
def curtain() -> Curtain:
    """Return the curtain of long hair."""
    around, down = 65, 14
    angle = np.linspace(-1, 1, around) * np.radians(126)
    rows = []
    for share in np.linspace(0, 1, down):
        wide = np.interp(share, [0, 0.2, 0.45, 1], [0.66, 0.86, 0.94, 1.02])
        deep = np.interp(share, [0, 0.3, 0.6, 1], [0.78, 0.95, 0.88, 0.84])
        wave = 1 + 0.03 * np.sin(angle * 11 + share * 5) + 0.02 * np.sin(angle * 29 + share * 9)
        x, z = wide * np.sin(angle) * wave, 0.42 - deep * np.cos(angle) * wave + 0.14 * share
        rows.append(np.stack([x, np.full(around, 7.95 - 2.35 * share), z], axis=1))
    rest = np.concatenate(rows).astype(np.float32)
    corner = (np.arange(down - 1)[:, None] * around + np.arange(around - 1)).ravel()
    triangles = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + around], axis=1),
            np.stack([corner + 1, corner + around + 1, corner + around], axis=1),
        ]
    )
    tips = np.repeat(np.linspace(0, 1, down), around)
    cover = np.clip((1 - tips) / 0.25, 0, 1) * SOLID
    return Curtain(rest, triangles.astype(np.int32), _anchors(rest), cover.astype(np.float32))


def _anchors(rest: Float32) -> Int32:
    """Return the vertices of the skin that are nearest to a curtain, above the neck."""
    head = load_head()
    body = part_vertices(head, "body")
    places = rest.copy()
    places[:, 1] = np.maximum(places[:, 1], 6.9)
    distance = ((places[:, None] - head.vertices[body][None]) ** 2).sum(-1)
    anchors: Int32 = body[distance.argmin(1)].astype(np.int32)
    return anchors


def falling(vertices: Float32) -> Float32:
    """Return the vertices (C, 3) of the curtain of a head (V, 3)."""
    hair = curtain()
    return hair.rest + (vertices - load_head().vertices)[hair.anchors]
