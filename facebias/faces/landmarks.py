"""Vertices of the mesh that mark the brows, the eyes, the nose, the mouth and the jaw.

Left and right are the person's own, as in anatomy.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType

import numpy as np

from facebias.faces.arrays import Bool, Float32, Float64, Int32
from facebias.faces.eyes import COLUMNS, eye_centres, part_vertices, visible_slit
from facebias.faces.head import Head, load_head
from facebias.faces.template import BROW_INNER, BROW_OUTER, brow_line, jaw_height

FIVE_POINTS = ("left eye", "right eye", "nose tip", "left mouth corner", "right mouth corner")

_LID_MARGIN = 0.190  # from the centre of an eye; the ball's radius is 0.157
_LID_PARTS = ("inner", "middle", "outer")


@cache
def landmark_vertices() -> Mapping[str, int]:
    """Return the vertex of each landmark, contours in order from the inner or the upper end.

    The middle of each eye is a landmark, too, although no vertex: see `landmark_points`.
    """
    head = load_head()
    left = _eye(head) | _brow(head) | _mouth(head) | _nostril(head) | _jaw(head)
    sides = {f"left {name}": vertex for name, vertex in left.items()}
    for name, vertex in left.items():
        sides[f"right {name}"] = _nearest(
            head, head.vertices[vertex] * np.array([-1, 1, 1], np.float32)
        )
    return MappingProxyType(sides | _middle(head))


@cache
def landmark_names() -> tuple[str, ...]:
    """Return the names of all landmarks, the five points first."""
    return (*FIVE_POINTS, *(name for name in landmark_vertices() if name not in FIVE_POINTS))


def landmark_points(vertices: Float32) -> Float32:
    """Return the landmarks of a mesh, or of its projection.

    Args:
        vertices: (V, D), of the head, in space or in the picture.

    Returns:
        (landmarks, D), in the order of `landmark_names`.
    """
    places = vertices[_landmark_index()]
    places[:2] = eye_centres(vertices)
    return places.astype(np.float32)


@cache
def _landmark_index() -> Int32:
    """Return the vertices in the order of the names, any for the two middles of the eyes."""
    return np.array([landmark_vertices().get(name, 0) for name in landmark_names()], np.int32)


def landmark_points_of(vertices: Float32, names: Sequence[str]) -> Float32:
    """Return the landmarks (len(names), D) of these names, the middles of the eyes excepted."""
    marks = landmark_vertices()
    return vertices[[marks[name] for name in names]]


def surface_weights(places: Float64) -> Float64:
    """Return where places lie on the front of the face at rest.

    Args:
        places: (N, 2), x and y.

    Returns:
        (N, V), weights of the vertices: those of the corners of the triangle that is seen there.
    """
    head = load_head()
    skin = head.triangles[head.triangle_part == head.parts.index("body")]
    skin = skin[head.vertices[skin, 2].min(1) > 0.9]
    area = _area(*(head.vertices[skin[:, k], :2] for k in range(3)))
    skin, area = skin[area > 1e-9], area[area > 1e-9]  # those that face the front
    a, b, c = (head.vertices[skin[:, k], :2] for k in range(3))
    rows = np.zeros((len(places), len(head.vertices)))
    for row, place in zip(rows, places, strict=True):
        shares = np.stack([_area(b, c, place), _area(c, a, place), _area(a, b, place)]) / area
        inside = np.flatnonzero((shares >= 0).all(axis=0))
        shares = shares.T[inside]
        depth = (shares * head.vertices[skin[inside], 2]).sum(1)
        row[skin[inside[depth.argmax()]]] = shares[depth.argmax()]
    return rows


def _area(a: Float32, b: Float32, c: Float32 | Float64) -> Float64:
    """Return twice the areas of triangles (..., 2) in the picture, above 0 counter-clockwise."""
    one, other = np.asarray(b - a, np.float64), np.asarray(c - a, np.float64)
    area: Float64 = one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
    return area


def _body(head: Head, *conditions: Callable[[Float32], Bool]) -> Int32:
    """Return the vertices of the skin whose places meet every condition."""
    body = part_vertices(head, "body")
    for condition in conditions:
        body = body[condition(head.vertices[body])]
    return body


def _nearest(head: Head, place: Float32) -> int:
    body = part_vertices(head, "body")
    return int(body[np.argmin(((head.vertices[body] - place) ** 2).sum(1))])


def _eye(head: Head) -> dict[str, int]:
    centre = head.vertices[part_vertices(head, "left eye")].mean(0)
    near = _body(head, lambda v: v[:, 2] > centre[2] + 0.1)
    margin = near[np.linalg.norm(head.vertices[near] - centre, axis=1) < _LID_MARGIN]
    x = head.vertices[margin, 0]
    found = {
        "eye inner corner": int(margin[np.argmin(x)]),
        "eye outer corner": int(margin[np.argmax(x)]),
    }
    width, *edges = visible_slit(head.vertices)
    names = [f"{lid} lid {part}" for lid in ("upper", "lower") for part in _LID_PARTS]
    for name, share, edge in zip(names, 2 * COLUMNS, edges, strict=True):
        place = np.array([centre[0] + (share - 0.5) * width, centre[1] + edge])
        found[name] = int(near[np.argmin(((head.vertices[near, :2] - place) ** 2).sum(1))])
    return found


def _brow(head: Head) -> dict[str, int]:
    front = _body(head, lambda v: v[:, 2] > 0.9)
    found = {}
    for name, across in {
        "inner end": 0.08,
        "inner": 0.3,
        "middle": 0.5,
        "outer": 0.7,
        "outer end": 0.92,
    }.items():
        place = np.array([BROW_INNER + across * (BROW_OUTER - BROW_INNER), brow_line(across)])
        found[f"brow {name}"] = int(
            front[np.argmin(((head.vertices[front, :2] - place) ** 2).sum(1))]
        )
    return found


def _lips(head: Head) -> tuple[Int32, Int32]:
    """Return the vertices of the upper and of the lower lip."""
    body = part_vertices(head, "body")
    coloured = head.mask_at_vertices("lips")[body] > 0.3
    lips = body[coloured & (head.vertices[body, 2] > 1.38)]
    lower = lower_lip_share()[lips] > 0.25
    return lips[~lower], lips[lower]


@cache
def lower_lip_share() -> Float32:
    """Return how much each vertex (V,) goes down with an open jaw, from 0 to 1."""
    head = load_head()
    index, offset = head.target("action/jawOpen")
    opened = np.zeros(len(head.vertices), np.float32)
    opened[index] = offset[:, 1]
    share: Float32 = np.clip((-opened - 0.10) / 0.12, 0, 1)
    return share


def _mouth(head: Head) -> dict[str, int]:
    upper, lower = _lips(head)
    x = head.vertices[:, 0]
    corner = int(upper[np.argmax(x[upper])])
    found = {"mouth corner": corner}
    for name, share in {"inner": 0.3, "outer": 0.65}.items():
        found |= _lip_edges(head, upper, lower, share * x[corner], f" {name}")
    return found


def _lip_edges(head: Head, upper: Int32, lower: Int32, x: float, name: str) -> dict[str, int]:
    """Return the outer and the inner edge of both lips at one x."""
    top = upper[np.abs(head.vertices[upper, 0] - x) < 0.03]
    bottom = lower[np.abs(head.vertices[lower, 0] - x) < 0.03]
    y = head.vertices[:, 1]
    return {
        f"upper lip upper edge{name}": int(top[np.argmax(y[top])]),
        f"upper lip lower edge{name}": int(top[np.argmin(y[top])]),
        f"lower lip upper edge{name}": int(bottom[np.argmax(y[bottom])]),
        f"lower lip lower edge{name}": int(bottom[np.argmin(y[bottom])]),
    }


def _nostril(head: Head) -> dict[str, int]:
    wing = _body(
        head, lambda v: np.abs(v[:, 1] - 6.9) < 0.08, lambda v: (v[:, 0] > 0.1) & (v[:, 0] < 0.24)
    )
    outwards = np.array([1, 0, 0.8], np.float32)
    return {"nose wing": int(wing[np.argmax(head.vertices[wing] @ outwards)])}


def _jaw(head: Head) -> dict[str, int]:
    """Return points from the ear to the chin: the skin furthest out, seen in front."""
    front = _body(
        head,
        lambda v: (v[:, 0] > 0) & (v[:, 2] > 0.42) & (v[:, 1] > 6.1),
        lambda v: v[:, 1] < 7.1,
        lambda v: (v[:, 1] > _jaw_heights(v[:, 2])) & (v[:, 0] < 0.86),
    )
    away = head.vertices[front, :2] - np.array([0, 6.95], np.float32)
    angle = np.degrees(np.arctan2(away[:, 0], -away[:, 1]))
    distance = np.hypot(*away.T)
    found = {}
    for number, at in enumerate((78, 62, 46, 30, 14), 1):
        near = np.abs(angle - at) < 6
        found[f"jaw {number}"] = int(front[near][np.argmax(distance[near])])
    return found


def _jaw_heights(z: Float32) -> Float32:
    return np.array([jaw_height(each) for each in z], np.float32)


def _middle(head: Head) -> dict[str, int]:
    line = _body(head, lambda v: np.abs(v[:, 0]) < 0.01, lambda v: v[:, 2] > 1.3)
    x = head.vertices[line]
    upper, lower = _lips(head)
    bridge = {
        f"nose bridge {number}": int(line[np.argmin(np.abs(x[:, 1] - y))])
        for number, y in enumerate((7.26, 7.15, 7.05), 1)
    }
    nose = x[:, 1] > 6.8
    return bridge | {
        "nose tip": int(line[nose][np.argmax(x[nose, 2])]),
        **_lip_edges(head, upper, lower, 0.0, ""),
        "chin": int(line[np.argmin(x[:, 1])]),
    }
