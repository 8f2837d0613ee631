import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facebias.errors import DataError
from facebias.faces.arrays import Float64
from facebias.faces.eyes import eye_vertices
from facebias.faces.factors import EXPRESSIONS, FaceFactors
from facebias.faces.head import load_head
from facebias.faces.landmarks import landmark_names, landmark_points
from facebias.faces.render import render_face
from facebias.faces.rest import seat_eyes
from facebias.faces.shape import action_weights, face_shape
from tests.faces.made_factors import identities, marks_of

SHOWN = [name for name in EXPRESSIONS if name != "neutral"]


def moved(expression: str, **other: object) -> dict[str, Float64]:
    """Return how an expression moves each landmark, in heights from the eyes to the chin."""
    row = FaceFactors(expression={expression: 1.0}).record() | other
    shape = face_shape(FaceFactors.from_record(row))
    before, after = marks_of(shape.neutral), marks_of(shape.expressed)
    return {name: (after[name] - before[name]) / shape.unit for name in before}


@pytest.mark.parametrize("identity", [0, 1, 2])
def test_expressions_move_what_they_should(identity: int) -> None:
    happy, anger = moved("happy", identity=identity), moved("anger", identity=identity)
    surprise, sad = moved("surprise", identity=identity), moved("sad", identity=identity)
    for side in ("left", "right"):
        assert happy[f"{side} mouth corner"][1] > 0.05
        assert abs(happy[f"{side} brow middle"][1]) < 0.01
        assert anger[f"{side} brow inner end"][1] < -0.03
        assert surprise[f"{side} upper lid middle"][1] > 0.01
        assert surprise[f"{side} brow inner"][1] > 0.03
        assert sad[f"{side} mouth corner"][1] < -0.01
        assert sad[f"{side} brow inner end"][1] > 0.03
    assert surprise["chin"][1] < -0.05
    assert abs(happy["nose bridge 1"]).max() < 0.01


def test_contempt_is_on_one_side_and_mirrored_on_the_other() -> None:
    left, right = moved("contempt", identity=4), moved("contempt", identity=4, mirrored=True)
    assert left["left mouth corner"][1] > 0.03
    assert abs(left["right mouth corner"][1]) < 0.3 * left["left mouth corner"][1]
    flip = np.array([-1, 1, 1])
    for name, change in left.items():
        swapped = {"left": "right", "right": "left"}
        other = " ".join(swapped.get(word, word) for word in name.split())
        np.testing.assert_allclose(change * flip, right[other], atol=0.012)


@pytest.mark.parametrize("expression", SHOWN)
def test_only_contempt_depends_on_the_side(expression: str) -> None:
    weights = action_weights(FaceFactors(expression={expression: 1.0}))
    mirrored = action_weights(FaceFactors(expression={expression: 1.0}, mirrored=True))
    assert (weights != mirrored) == (expression == "contempt")


@pytest.mark.parametrize("expression", SHOWN)
def test_expressions_leave_the_frame_alone(expression: str) -> None:
    neutral = FaceFactors(identity=6, yaw=12, pitch=-8)
    shown = FaceFactors(identity=6, yaw=12, pitch=-8, expression={expression: 1.0})
    one, other = face_shape(neutral), face_shape(shown)
    assert np.array_equal(one.neutral, other.neutral)
    assert np.array_equal(one.eyes, other.eyes)
    assert one.unit == other.unit
    eyes = [render_face(factors, 64).landmarks[:2] for factors in (neutral, shown)]
    np.testing.assert_allclose(eyes[0], eyes[1], atol=0.2)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(identities(), st.sampled_from(SHOWN), st.floats(0, 1.2))
def test_intensity_scales(identity: int, expression: str, intensity: float) -> None:
    none, whole, part = (
        face_shape(
            FaceFactors(identity=identity, expression={expression: 1.0}, intensity=each)
        ).expressed
        for each in (0.0, 1.0, intensity)
    )
    np.testing.assert_allclose(part - none, intensity * (whole - none), atol=2e-5)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.sampled_from(SHOWN), st.sampled_from(SHOWN), st.floats(0, 1))
def test_a_mixture_is_the_sum_of_its_parts(one: str, other: str, share: float) -> None:
    def offset(weights: dict[str, float]) -> Float64:
        factors = FaceFactors(identity=8, expression=weights)
        return landmark_points(face_shape(factors).expressed).astype(np.float64)

    if one == other:
        return
    rest = offset({"neutral": 1.0})
    mixed = offset({one: share, other: 1 - share})
    parts = share * (offset({one: 1.0}) - rest) + (1 - share) * (offset({other: 1.0}) - rest)
    np.testing.assert_allclose(mixed - rest, parts, atol=2e-5)


def test_actions_are_added_to_the_expression() -> None:
    factors = FaceFactors(expression={"surprise": 1.0}, intensity=0.5, actions={"jawOpen": 0.25})
    weights = action_weights(factors)
    assert weights["action/jawOpen"] == pytest.approx(0.5 * 0.75 + 0.25)
    assert weights["action/eyeWideLeft"] == weights["action/eyeWideRight"] == pytest.approx(0.5)
    assert action_weights(FaceFactors(actions={"eyeBlinkLeft": 1.0})) == {
        "action/eyeBlinkLeft": 1.0
    }


@pytest.mark.parametrize("action", ["jawOpened", "eyeBlinkUp", ""])
def test_an_unknown_action_is_named(action: str) -> None:
    with pytest.raises(DataError, match=repr(action)):
        action_weights(FaceFactors(actions={action: 1.0}))


@pytest.mark.parametrize(
    ("factor", "values"), [("gender", (0, 1)), ("weight", (0, 1)), ("age", (10, 70))]
)
def test_a_group_changes_the_face(factor: str, values: tuple[float, float]) -> None:
    one, other = (
        face_shape(FaceFactors.from_record(FaceFactors().record() | {factor: value})).neutral
        for value in values
    )
    assert np.linalg.norm(one - other, axis=1).max() > 0.1


def test_nobody_is_like_anybody_else() -> None:
    names = landmark_names()
    faces = [landmark_points(face_shape(FaceFactors(identity=i)).neutral) for i in range(40)]
    spread = np.std(faces, axis=0).max(axis=1)
    assert spread[names.index("nose tip")] > 0.005
    assert len({face.tobytes() for face in faces}) == 40


def test_eyeballs_are_seated_deeper_and_smaller() -> None:
    rest = load_head().vertices
    seated = seat_eyes(rest.copy(), 1.0)
    for eye in eye_vertices():
        before, after = rest[eye], seated[eye]
        deeper = before.mean(0) - after.mean(0)
        np.testing.assert_allclose(deeper, [0, 0, 0.0074], atol=1e-4)
        np.testing.assert_allclose(np.ptp(after, axis=0), 0.965 * np.ptp(before, axis=0), atol=1e-4)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_eyeballs_stay_behind_the_lids(expression: str) -> None:
    marks = marks_of(face_shape(FaceFactors(expression={expression: 1.0})).expressed)
    for side in ("left", "right"):
        distance = np.linalg.norm(marks[f"{side} upper lid middle"] - marks[f"{side} eye"])
        assert distance > 0.965 * 0.157
