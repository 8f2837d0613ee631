"""The eyes: where they are, and what can be seen of them between the lids."""

from functools import cache

import numpy as np

from facebias.faces.arrays import Bool, Float32, Float64, Int32, compiled
from facebias.faces.head import Head, load_head

COLUMNS = (0.25, 0.5, 0.75)  # shares of the eye's width, from its inner end
_REACH = 0.24  # of the search around the middle of the eye, in units of the mesh
_STEPS = 1024


def part_vertices(head: Head, part: str) -> Int32:
    """Return the vertices of a part of the mesh."""
    chosen: Int32 = np.unique(head.triangles[head.triangle_part == head.parts.index(part)])
    return chosen


@cache
def eye_vertices() -> tuple[Int32, Int32]:
    """Return the vertices of the left and of the right eyeball."""
    head = load_head()
    return part_vertices(head, "left eye"), part_vertices(head, "right eye")


def eye_centres(vertices: Float32) -> Float32:
    """Return the centres of the eyes (2, D) of a mesh (V, D), the left one first."""
    return np.stack([vertices[eye].mean(0) for eye in eye_vertices()])


def visible_slit(vertices: Float32) -> Float64:
    """Measure the left eye as it is seen from the front.

    Args:
        vertices: (V, 3), of the head.

    Returns:
        (1 + 2 * len(COLUMNS),), in units of the mesh: the width of what is seen of the eyeball
        across its middle, then the heights of the upper edge and of the lower edge above the
        centre of the ball, at COLUMNS.
    """
    near, is_eye = _around_the_eye()
    centre = vertices[eye_vertices()[0]].mean(0).astype(np.float64)
    upright = np.ascontiguousarray(vertices, np.float32)
    sideways = np.ascontiguousarray(vertices[:, [1, 0, 2]], np.float32)
    across_middle = seen_along(upright, near, is_eye, centre[:1], centre[1], _REACH, _STEPS)
    row = across_middle.mean(axis=1)
    inner, outer = seen_along(sideways, near, is_eye, row, centre[0], _REACH, _STEPS)[0]
    columns = inner + np.array(COLUMNS) * (outer - inner)
    edges = seen_along(upright, near, is_eye, columns, centre[1], _REACH, _STEPS)
    return np.concatenate([[outer - inner], edges[:, 1] - centre[1], edges[:, 0] - centre[1]])


@cache
def _around_the_eye() -> tuple[Int32, Bool]:
    """Return the triangles around the left eye, and whether each is the eyeball's."""
    head = load_head()
    left = head.parts.index("left eye")
    skin = head.parts.index("body")
    centre = head.vertices[eye_vertices()[0]].mean(0)
    middle = head.vertices[head.triangles].mean(1)
    near = np.linalg.norm(middle - centre, axis=1) < 1.3 * _REACH
    near &= (middle[:, 2] > centre[2]) & np.isin(head.triangle_part, [left, skin])
    triangles = np.ascontiguousarray(head.triangles[near], np.int32)
    return triangles, head.triangle_part[near] == left


@compiled
def _cut(vertices: Float32, corners: Int32, x: float, cut_y: Float64, cut_z: Float64) -> bool:
    """Cut a triangle at x; write y and z of both ends, the lower first. Say whether it is cut."""
    cuts = 0
    for k in range(3):
        a, b = corners[k], corners[(k + 1) % 3]
        ax, bx = vertices[a, 0], vertices[b, 0]
        if (ax <= x) != (bx <= x) and cuts < 2:
            share = (x - ax) / (bx - ax)
            cut_y[cuts] = vertices[a, 1] + share * (vertices[b, 1] - vertices[a, 1])
            cut_z[cuts] = vertices[a, 2] + share * (vertices[b, 2] - vertices[a, 2])
            cuts += 1
    if cuts == 2 and cut_y[0] > cut_y[1]:
        cut_y[0], cut_y[1] = cut_y[1], cut_y[0]
        cut_z[0], cut_z[1] = cut_z[1], cut_z[0]
    return cuts == 2


@compiled
def seen_along(
    vertices: Float32,
    triangles: Int32,
    is_eye: Bool,
    columns: Float64,
    middle: float,
    reach: float,
    steps: int,
) -> Float64:
    """Return between which y the eyeball is in front of all else, at each x.

    Args:
        vertices: (V, 3), z towards the eye that looks.
        triangles: (T, 3).
        is_eye: (T,), whether a triangle is the eyeball's.
        columns: (C,), x.
        middle: y about which to search.
        reach: how far to search to either side.
        steps: places to look at.

    Returns:
        (C, 2), the lowest and the highest y; both are the middle where nothing is seen of it.
    """
    found = np.empty((len(columns), 2))
    depth, eye = np.empty(steps), np.empty(steps, np.bool_)
    cut_y, cut_z = np.empty(2), np.empty(2)
    for c in range(len(columns)):
        depth[:] = -np.inf
        eye[:] = False
        for t in range(len(triangles)):
            if not _cut(vertices, triangles[t], columns[c], cut_y, cut_z):
                continue
            first = (cut_y[0] - middle + reach) / (2 * reach) * steps
            last = (cut_y[1] - middle + reach) / (2 * reach) * steps
            for place in range(max(0, int(np.ceil(first))), min(steps - 1, int(last)) + 1):
                y = middle - reach + 2 * reach * place / steps
                share = (y - cut_y[0]) / max(cut_y[1] - cut_y[0], 1e-12)
                z = cut_z[0] + share * (cut_z[1] - cut_z[0])
                if z > depth[place]:
                    depth[place] = z
                    eye[place] = is_eye[t]
        found[c] = middle
        seen = np.flatnonzero(eye)
        if len(seen):
            found[c, 0] = middle - reach + 2 * reach * seen[0] / steps
            found[c, 1] = middle - reach + 2 * reach * seen[-1] / steps
    return found
