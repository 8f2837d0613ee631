import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facebias.faces.eyes import part_vertices
from facebias.faces.head import load_head
from facebias.faces.regions import PARTS
from facebias.faces.template import (
    BROW_INNER,
    BROW_OUTER,
    brow_cover,
    brow_line,
    hairline,
    jaw_height,
    neckline,
    skin_part,
    smooth_step,
)
from tests.faces.made_factors import marks_of


@settings(derandomize=True, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3))
def test_a_smooth_step_rises_from_0_to_1(x: float, other: float) -> None:
    low, high = sorted((x, other))
    assert 0 <= smooth_step(-1, 1, low) <= smooth_step(-1, 1, high) <= 1
    assert smooth_step(-1, 1, x) == pytest.approx(1 - smooth_step(-1, 1, -x))
    assert smooth_step(1, -1, x) == pytest.approx(smooth_step(-1, 1, -x))


@pytest.mark.parametrize(
    ("landmark", "part"),
    [
        ("nose tip", "nose"),
        ("nose bridge 2", "nose"),
        ("left eye outer corner", "around the eyes"),
        ("right eye inner corner", "around the eyes"),
        ("left brow middle", "around the brows"),
        ("right mouth corner", "around the mouth"),
    ],
)
def test_landmarks_lie_on_their_parts(landmark: str, part: str) -> None:
    assert PARTS[skin_part(*marks_of(load_head().vertices)[landmark])] == part


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ((0.0, 7.7, 1.4), "forehead"),
        ((0.5, 6.9, 1.2), "left cheek"),
        ((-0.5, 6.9, 1.2), "right cheek"),
        ((0.0, 6.2, 1.2), "chin and jaw"),
        ((0.0, 5.9, 0.9), "neck"),
    ],
)
def test_places_have_parts(place: tuple[float, float, float], part: str) -> None:
    assert PARTS[skin_part(*place)] == part


def test_the_face_is_symmetrical() -> None:
    swapped = {"left": "right", "right": "left"}
    head = load_head()
    places = head.vertices[part_vertices(head, "body")]
    for x, y, z in places[np.abs(places[:, 0]) > 0.01].tolist()[::7]:
        part = " ".join(swapped.get(word, word) for word in PARTS[skin_part(-x, y, z)].split())
        assert PARTS[skin_part(x, y, z)] == part
        assert brow_cover(x, y, z, 0.9) == brow_cover(-x, y, z, 0.9)
        assert neckline(x, z) == neckline(-x, z)


@settings(derandomize=True, deadline=None)
@given(st.floats(-1, 1), st.floats(7.2, 7.7), st.floats(0, 1.2))
def test_brows_lie_along_their_line(x: float, y: float, density: float) -> None:
    assert 0 <= brow_cover(x, y, 1.3, density) <= 1
    assert brow_cover(x, y, 0.5, density) == 0
    if not 0.05 < abs(x) < 0.56 or not 7.35 < y < 7.58:
        assert brow_cover(x, y, 1.3, density) == 0
    across = 0.4
    middle = BROW_INNER + across * (BROW_OUTER - BROW_INNER)
    assert brow_cover(middle, brow_line(across), 1.3, density) > 0.95


def test_hair_grows_on_the_scalp_and_not_in_the_face() -> None:
    assert hairline(8.2, 0.5) > 0
    assert hairline(7.0, -0.3) > 0
    marks = marks_of(load_head().vertices)
    assert max(hairline(place[1], place[2]) for place in marks.values()) < 0
    assert hairline(6.0, 0.0) < 0


def test_the_chin_is_above_the_neck_and_the_neck_above_the_clothes() -> None:
    assert jaw_height(1.4) < marks_of(load_head().vertices)["chin"][1]
    assert neckline(0.0, 0.6) < jaw_height(0.6)
