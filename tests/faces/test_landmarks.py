import numpy as np
import pytest
from hypothesis import given, settings

from facebias.faces.eyes import eye_centres, part_vertices
from facebias.faces.factors import FaceFactors
from facebias.faces.head import load_head
from facebias.faces.landmarks import (
    FIVE_POINTS,
    landmark_names,
    landmark_points,
    landmark_vertices,
    lower_lip_share,
)
from facebias.faces.regions import PARTS
from facebias.faces.render import render_face
from tests.faces.made_factors import any_factors, marks_of

SIDES = [name.removeprefix("left ") for name in landmark_names() if name.startswith("left ")]


def test_the_five_points_come_first_and_every_name_is_there_once() -> None:
    names = landmark_names()
    assert names[:5] == FIVE_POINTS
    assert len(set(names)) == len(names) == 67
    assert {f"right {name}" for name in SIDES} <= set(names)


def test_every_landmark_is_a_vertex_of_the_skin_of_its_own() -> None:
    vertices = list(landmark_vertices().values())
    assert len(set(vertices)) == len(vertices)
    assert set(vertices) <= set(part_vertices(load_head(), "body").tolist())


@pytest.mark.parametrize("name", SIDES)
def test_left_is_the_persons_left_and_right_its_mirror(name: str) -> None:
    marks = marks_of(load_head().vertices)
    left, right = marks[f"left {name}"], marks[f"right {name}"]
    assert left[0] > 0
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=0.01)


def test_contours_are_in_order() -> None:
    marks = marks_of(load_head().vertices)
    parts = ("inner end", "inner", "middle", "outer", "outer end")
    brow = [marks[f"left brow {part}"] for part in parts]
    assert (np.diff([place[0] for place in brow]) > 0.02).all()
    jaw = [marks[f"left jaw {number}"] for number in range(1, 6)]
    assert (np.diff([place[1] for place in jaw]) < 0).all()
    edges = ("upper lip upper", "upper lip lower", "lower lip upper", "lower lip lower")
    heights = [marks[f"{edge} edge"][1] for edge in edges]
    assert heights == sorted(heights, reverse=True)
    assert marks["left eye inner corner"][0] < marks["left eye"][0]
    assert marks["left eye outer corner"][0] > marks["left eye"][0]


def test_points_of_a_projection_are_the_projected_points() -> None:
    mesh = load_head().vertices
    np.testing.assert_array_equal(landmark_points(mesh[:, :2]), landmark_points(mesh)[:, :2])
    np.testing.assert_array_equal(landmark_points(mesh)[:2], eye_centres(mesh))


def test_the_lower_lip_goes_down_with_the_jaw() -> None:
    share, marks = lower_lip_share(), landmark_vertices()
    assert share[marks["lower lip lower edge"]] > 0.9
    assert share[marks["upper lip upper edge"]] == 0
    assert share.min() == 0
    assert share.max() == 1


@settings(max_examples=15, deadline=None, derandomize=True)
@given(any_factors())
def test_the_five_points_are_inside_of_the_picture(factors: FaceFactors) -> None:
    marks = render_face(factors, 16).landmarks
    assert marks.shape == (len(landmark_names()), 2)
    assert (marks[:5] > 0).all()
    assert (marks[:5] < 16).all()


@pytest.mark.parametrize("identity", range(6))
@pytest.mark.parametrize("yaw", [-20.0, 0.0, 15.0])
def test_points_lie_on_their_parts(identity: int, yaw: float) -> None:
    factors = FaceFactors(identity=identity, yaw=yaw, roll=5.0 * identity - 12)
    face = render_face(factors, 128)
    marks = dict(zip(landmark_names(), face.landmarks, strict=True))

    def around(name: str, reach: int = 0) -> set[str]:
        x, y = (int(place) for place in marks[name])
        found = face.regions[y - reach : y + reach + 1, x - reach : x + reach + 1]
        return {PARTS[code] for code in np.unique(found)}

    assert around("left eye") == {"left eye"}
    assert around("right eye") == {"right eye"}
    assert around("nose tip") == {"nose"}
    lips = {"upper lip", "lower lip", "inner mouth"}
    for side in ("left", "right"):
        assert around(f"{side} mouth corner", 3) & lips
        assert around(f"{side} brow middle", 2) & {f"{side} brow"}
    assert marks["left eye"][0] > marks["right eye"][0]
