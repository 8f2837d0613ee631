"""Triangles to pixels: normals and visibility, compiled."""

from typing import NamedTuple

import numpy as np

from facebias.faces.arrays import Float32, Int32, compiled
from facebias.faces.noise import value_noise


class Gaps(NamedTuple):
    """Where one looks through a surface, between strands of hair.

    Attributes:
        rest: (N, 3), places of the vertices that the gaps are fixed to.
        cover: (N,), density at the vertices; there are gaps where it is below 1.
        seed: another seed, other gaps.
    """

    rest: Float32
    cover: Float32
    seed: int


class Visible(NamedTuple):
    """What each point of a square picture shows.

    Attributes:
        triangles: (S, S), -1 where there is none.
        weights: (S, S, 2), barycentric, of its first two corners.
        depth: (S, S), infinite where there is none.
    """

    triangles: Int32
    weights: Float32
    depth: Float32


@compiled
def vertex_normals(vertices: Float32, triangles: Int32, used: Int32) -> Float32:
    """Return the unit normals of vertices, the mean of their triangles' weighted by area.

    Args:
        vertices: (N, 3).
        triangles: (T, 3), indices of vertices, counter-clockwise from outside.
        used: triangles that count.

    Returns:
        (N, 3), 0 for a vertex of no triangle.
    """
    normals = np.zeros_like(vertices)
    for t in used:
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux = vertices[b, 0] - vertices[a, 0]
        uy = vertices[b, 1] - vertices[a, 1]
        uz = vertices[b, 2] - vertices[a, 2]
        vx = vertices[c, 0] - vertices[a, 0]
        vy = vertices[c, 1] - vertices[a, 1]
        vz = vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
    for i in range(len(normals)):
        length = np.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2)
        if length > 1e-12:
            normals[i] /= length
    return normals


@compiled
def _gap(a: int, b: int, c: int, u: float, v: float, w: float, gaps: Gaps) -> bool:
    """Return whether one looks between the strands at a point of a triangle."""
    rest, cover = gaps.rest, gaps.cover
    density = u * cover[a] + v * cover[b] + w * cover[c]
    if density >= 1:
        return False
    x = u * rest[a, 0] + v * rest[b, 0] + w * rest[c, 0]
    y = u * rest[a, 1] + v * rest[b, 1] + w * rest[c, 1]
    z = u * rest[a, 2] + v * rest[b, 2] + w * rest[c, 2]
    return bool(density < value_noise(34 * x, 5 * y, 34 * z, gaps.seed + 9))


@compiled
def rasterise(points: Float32, triangles: Int32, used: Int32, size: int, gaps: Gaps) -> Visible:
    """Return which triangle each point of a square picture shows.

    Args:
        points: (N, 3), x to the right and y down in points, and depth, smaller nearer.
        triangles: (T, 3), indices of points; those that show their back are not drawn.
        used: triangles to draw; of equally near ones the first is shown.
        size: S, points along a side of the picture.
        gaps: where one looks through.
    """
    shown = np.full((size, size), -1, np.int32)
    weights = np.zeros((size, size, 2), np.float32)
    depth = np.full((size, size), np.inf, np.float32)
    for t in used:
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = points[a, 0], points[a, 1]
        bx, by = points[b, 0], points[b, 1]
        cx, cy = points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area >= -1e-9:  # y is down: a front shows a negative area
            continue
        left = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        right = min(size - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        top = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        bottom = min(size - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                px, py = x + np.float32(0.5), y + np.float32(0.5)
                u = ((cx - bx) * (py - by) - (cy - by) * (px - bx)) / area
                v = ((ax - cx) * (py - cy) - (ay - cy) * (px - cx)) / area
                w = 1 - u - v
                if u < 0 or v < 0 or w < 0:
                    continue
                z = u * points[a, 2] + v * points[b, 2] + w * points[c, 2]
                if z < depth[y, x] and not _gap(a, b, c, u, v, w, gaps):
                    depth[y, x] = z
                    shown[y, x] = t
                    weights[y, x, 0] = u
                    weights[y, x, 1] = v
    return Visible(shown, weights, depth)
