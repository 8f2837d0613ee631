"""The claim that no group's face rests with an expression of its own: brows, lids and lips."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from facebias.faces import shape
from facebias.faces.arrays import Float32, Float64
from facebias.faces.factors import FaceFactors
from facebias.faces.rest import RESTING_MEASURES, resting_measures
from facebias.faces.shape import face_shape
from tests.faces.made_factors import marks_of

_NOT = {"african": 0.0, "asian": 0.0, "caucasian": 0.0}
GROUPS: dict[str, list[dict[str, Any]]] = {
    "gender": [{"gender": 0.0}, {"gender": 1.0}],
    "age": [{"age": 10.0}, {"age": 30.0}, {"age": 70.0}],
    "ethnicity": [_NOT | {name: 1.0} for name in _NOT],
}
MEASURES = ("inner brow height", "eye opening", "mouth curvature")
LIP_GAP = RESTING_MEASURES.index("lip gap")


def measures_of(vertices: Float32) -> list[float]:
    """Measure brows, lids and lips by landmarks alone, apart from how they are set."""
    y = {name: place[1] for name, place in marks_of(vertices).items()}
    x = {name: place[0] for name, place in marks_of(vertices).items()}

    def mean(name: str) -> float:
        return float(y[f"left {name}"] + y[f"right {name}"]) / 2

    height = mean("eye") - y["chin"]
    lips = (y["upper lip lower edge"] + y["lower lip upper edge"]) / 2
    return [
        (mean("brow inner end") - mean("eye")) / height,
        (mean("upper lid middle") - mean("lower lid middle")) / height,
        (mean("mouth corner") - lips) / (x["left mouth corner"] - x["right mouth corner"]),
    ]


def measured(identities: Sequence[int], group: dict[str, Any]) -> Float64:
    """Return the measures of neutral faces (identities, measures)."""
    meshes = (face_shape(FaceFactors(identity=i, **group)).neutral for i in identities)
    return np.array([[*measures_of(mesh), *resting_measures(mesh)] for mesh in meshes])


def differences(groups: list[Float64]) -> tuple[Float64, Float64]:
    """Return paired mean differences and the ends of their 95 % intervals, in SDs of persons."""
    everybody = np.concatenate(groups)
    spread = everybody.std(axis=0, ddof=1)
    means, ends = [], []
    for k, one in enumerate(groups):
        for other in groups[k + 1 :]:
            pairs = (one - other) / spread
            means.append(pairs.mean(0))
            error = 1.96 * pairs.std(0, ddof=1) / np.sqrt(len(pairs))
            ends.append(np.abs(means[-1]) + error)
    return np.array(means), np.array(ends)


def identities(n: int) -> list[int]:
    return [int(i) for i in np.random.default_rng(5).integers(2**63 - 1, size=n)]


@pytest.mark.parametrize("factor", GROUPS)
def test_no_group_rests_with_an_expression(factor: str) -> None:
    groups = [measured(identities(1000), group) for group in GROUPS[factor]]
    # The lips of nobody are apart, so there is no spread to count in.
    gap = len(MEASURES) + LIP_GAP
    assert all(np.abs(group[:, gap]).max() < 1e-4 for group in groups)
    means, ends = differences([np.delete(group, gap, axis=1) for group in groups])
    assert np.abs(means).max() <= 0.1
    assert ends.max() <= 0.1


@pytest.mark.parametrize("factor", GROUPS)
def test_without_the_correction_groups_would_differ(
    factor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shape, "set_at_rest", lambda vertices, *_: vertices)
    groups = [measured(identities(60), group) for group in GROUPS[factor]]
    means, _ = differences([group[:, : len(MEASURES)] for group in groups])
    assert np.abs(means).max() > 0.5


def test_persons_differ() -> None:
    spread = measured(identities(100), {}).std(axis=0)
    least = dict(zip(MEASURES, (0.008, 0.004, 0.010), strict=True))
    for value, (name, low) in zip(spread, least.items(), strict=False):
        assert value > low, name


def test_a_person_rests_alike_in_every_group() -> None:
    one = face_shape(FaceFactors(identity=3, gender=0, age=10, weight=0)).neutral
    other = face_shape(FaceFactors(identity=3, gender=1, age=75, weight=1)).neutral
    np.testing.assert_allclose(resting_measures(one), resting_measures(other), atol=1e-4)
    assert np.abs(one - other).max() > 0.05


def test_measures_are_of_the_right_things() -> None:
    mesh = face_shape(FaceFactors(identity=1)).neutral
    before = dict(zip(RESTING_MEASURES, resting_measures(mesh), strict=True))
    opened = face_shape(FaceFactors(identity=1, actions={"jawOpen": 1.0})).expressed
    after = dict(zip(RESTING_MEASURES, resting_measures(opened), strict=True))
    assert after["lip gap"] > before["lip gap"] + 0.1
    blinked = face_shape(FaceFactors(identity=1, actions={"eyeBlink": 1.0})).expressed
    lids = dict(zip(RESTING_MEASURES, resting_measures(blinked), strict=True))
    opening = "upper lid height, middle", "lower lid height, middle"
    assert lids[opening[0]] - lids[opening[1]] < 0.2 * (before[opening[0]] - before[opening[1]])
    assert lids["brow height, middle"] == pytest.approx(before["brow height, middle"], abs=0.02)


def test_what_is_not_shape_does_not_move_the_mesh() -> None:
    mesh = face_shape(FaceFactors(identity=9, skin_ita=-60.0))
    for other in (
        FaceFactors(identity=9, skin_ita=55.0),
        FaceFactors(identity=9, hair_style="bald", hair_colour="red", eye_colour="blue"),
        FaceFactors(identity=9, make_up=1.0, stubble=1.0, yaw=30.0, key_azimuth=-40.0),
    ):
        again = face_shape(other)
        assert np.array_equal(mesh.neutral, again.neutral)
        assert np.array_equal(mesh.expressed, again.expressed)
