import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facebias.faces.arrays import Float32, Int32
from facebias.faces.raster import Gaps, Visible, rasterise, vertex_normals
from tests.faces.brute_force import rasterise_slowly

SIZE = 24


def solid(points: Float32) -> Gaps:
    return Gaps(points, np.full(len(points), 2, np.float32), 0)


def drawn(points: Float32, triangles: Int32) -> Visible:
    used = np.arange(len(triangles), dtype=np.int32)
    return rasterise(points, triangles, used, SIZE, solid(points))


def whole(depth: float) -> Float32:
    """Return a triangle over the whole picture, seen from the front."""
    return np.array([[-5, -5, depth], [-5, 200, depth], [200, -5, depth]], np.float32)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_random_triangles_are_as_by_brute_force(seed: int) -> None:
    random = np.random.default_rng(seed)
    points = random.uniform(-6, SIZE + 6, (20, 3)).astype(np.float32)
    triangles = random.integers(0, 20, (15, 3)).astype(np.int32)
    shown, weights, depth, doubt = rasterise_slowly(points, triangles, SIZE)
    found = drawn(points, triangles)
    sure = doubt > 1e-3
    assert sure.mean() > 0.4
    np.testing.assert_array_equal(found.triangles[sure], shown[sure])
    some = sure & (shown >= 0)
    np.testing.assert_allclose(found.depth[some], depth[some], atol=1e-3)
    np.testing.assert_allclose(found.weights[some], weights[some][:, :2], atol=1e-4)


def test_what_shows_its_back_is_not_drawn() -> None:
    front = np.array([[0, 1, 2]], np.int32)
    assert (drawn(whole(1), front).triangles == 0).all()
    seen = drawn(whole(1), front[:, ::-1].copy())
    assert (seen.triangles == -1).all()
    assert np.isinf(seen.depth).all()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearest_wins_in_any_order(order: tuple[int, int]) -> None:
    points = np.concatenate([whole(3), whole(2)])
    triangles = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    used = np.array(order, np.int32)
    seen = rasterise(points, triangles, used, SIZE, solid(points))
    assert (seen.triangles == 1).all()
    assert (seen.depth == 2).all()


def test_only_used_triangles_are_drawn() -> None:
    points, triangles = np.concatenate([whole(3), whole(2)]), np.arange(6, dtype=np.int32)
    used = np.array([0], np.int32)
    seen = rasterise(points, triangles.reshape(2, 3), used, SIZE, solid(points))
    assert (seen.triangles == 0).all()


@pytest.mark.parametrize(("cover", "least", "most"), [(1.0, 1, 1), (0.5, 0.3, 0.7), (-0.1, 0, 0)])
def test_thin_cover_has_gaps(cover: float, least: float, most: float) -> None:
    points, triangles = whole(1), np.array([[0, 1, 2]], np.int32)
    gaps = Gaps(points, np.full(3, cover, np.float32), 5)
    seen = rasterise(points, triangles, np.array([0], np.int32), 64, gaps)
    assert least <= (seen.triangles == 0).mean() <= most


def test_neighbours_share_no_point_and_leave_none_out() -> None:
    corners = np.array([[2, 2, 1], [2, 20, 1], [20, 20, 1], [20, 2, 1]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    shown = drawn(corners, triangles).triangles
    assert (shown[2:20, 2:20] >= 0).all()
    assert (shown >= 0).sum() == 18 * 18


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_normals_are_as_by_numpy(seed: int) -> None:
    random = np.random.default_rng(seed)
    vertices = random.normal(size=(12, 3)).astype(np.float32)
    triangles = random.integers(0, 11, (20, 3)).astype(np.int32)  # the last vertex has none
    used = np.sort(random.choice(20, 12, replace=False)).astype(np.int32)
    a, b, c = (vertices[triangles[used, k]].astype(np.float64) for k in range(3))
    expected = np.zeros((12, 3))
    for k in range(3):
        np.add.at(expected, triangles[used, k], np.cross(b - a, c - a))
    length = np.linalg.norm(expected, axis=1, keepdims=True)
    clear = length[:, 0] > 1e-3
    found = vertex_normals(vertices, triangles, used)
    np.testing.assert_allclose(
        found[clear], (expected / np.maximum(length, 1e-9))[clear], atol=1e-3
    )
    assert (found[-1] == 0).all()
