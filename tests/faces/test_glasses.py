import numpy as np
import pytest

from facebias.faces.arrays import Float32
from facebias.faces.eyes import eye_centres
from facebias.faces.factors import GLASSES, FaceFactors
from facebias.faces.glasses import frame, worn
from facebias.faces.head import load_head
from facebias.faces.landmarks import landmark_vertices
from facebias.faces.raster import vertex_normals
from facebias.faces.shape import face_shape

STYLES = GLASSES[1:]


def outwards(style: str) -> Float32:
    """Return by how much the normals of a frame's vertices point out of its tubes (N,)."""
    glasses = frame(style)
    used = np.arange(len(glasses.triangles), dtype=np.int32)
    normals = vertex_normals(glasses.rest, glasses.triangles, used)
    sections = glasses.rest.reshape(-1, 5, 3)  # five corners each
    away = (sections - sections.mean(1, keepdims=True)).reshape(-1, 3)
    found: Float32 = (normals * away).sum(1)
    return found


@pytest.mark.parametrize("style", STYLES)
def test_all_tubes_of_a_frame_are_wound_alike(style: str) -> None:
    found = outwards(style)
    assert np.abs(found).min() > 0.01
    assert len(set(np.sign(found).tolist())) == 1


@pytest.mark.parametrize("style", STYLES)
def test_a_frame_shows_its_outside(style: str) -> None:
    assert (outwards(style) > 0).all()


@pytest.mark.parametrize("style", STYLES)
def test_a_frame_is_symmetrical_and_goes_around_the_eyes(style: str) -> None:
    rest = frame(style).rest
    flipped = rest * np.array([-1, 1, 1], np.float32)
    nearest = [np.abs(rest - place).sum(1).min() for place in flipped[::9]]
    assert max(nearest) < 0.06
    for x, y, _ in eye_centres(load_head().vertices):
        rim = rest[(np.sign(rest[:, 0]) == np.sign(x)) & (rest[:, 2] > 1.3)]
        assert rim[:, 0].min() < x - 0.1
        assert rim[:, 0].max() > x + 0.1
        assert rim[:, 1].min() < y < rim[:, 1].max()


def test_styles_differ() -> None:
    assert np.abs(frame("round").rest - frame("square").rest).max() > 0.02


@pytest.mark.parametrize("style", STYLES)
def test_frames_move_with_the_eyes(style: str) -> None:
    mesh = load_head().vertices
    np.testing.assert_allclose(worn(style, mesh), frame(style).rest, atol=1e-5)
    moved = np.array([0.25, -0.5, 0.125], np.float32)
    np.testing.assert_allclose(worn(style, mesh + moved), frame(style).rest + moved, atol=1e-5)
    assert np.ptp(worn(style, mesh * 2)[:, 0]) == pytest.approx(2 * np.ptp(frame(style).rest[:, 0]))


def test_a_child_wears_smaller_glasses_on_its_nose() -> None:
    child, man = (face_shape(FaceFactors(identity=1, age=age, gender=1)).neutral for age in (6, 40))
    assert np.ptp(worn("round", child)[:, 0]) < np.ptp(worn("round", man)[:, 0])
    bridge = landmark_vertices()["nose bridge 1"]
    for mesh in (child, man):
        assert np.abs(worn("round", mesh) - mesh[bridge]).sum(1).min() < 0.15
