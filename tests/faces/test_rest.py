"""The claim that no group's face rests with an expression of its own: brows, lids and lips."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from facebias.faces import shape
from facebias.faces.arrays import Float32, Float64
from facebias.faces.factors import FaceFactors
from facebias.faces.head import load_head
from facebias.faces.raster import Gaps, rasterise
from facebias.faces.rest import RESTING_MEASURES, resting_measures
from facebias.faces.shape import face_shape
from facebias.faces.template import BROW_INNER, BROW_OUTER, brow_line
from tests.faces.made_factors import marks_of

_NOT = {"african": 0.0, "asian": 0.0, "caucasian": 0.0}
GROUPS: dict[str, list[dict[str, Any]]] = {
    "gender": [{"gender": 0.0}, {"gender": 1.0}],
    "age": [{"age": 10.0}, {"age": 30.0}, {"age": 70.0}],
    "ethnicity": [_NOT | {name: 1.0} for name in _NOT],
}
MEASURES = ("brow height", "inner third of the brow", "eye opening", "mouth curvature")
LIP_GAP = RESTING_MEASURES.index("lip gap")
_PIXELS = 256  # of a picture of one eye


def measures_of(vertices: Float32) -> list[float]:
    """Measure brows, eyes and lips in other ways than those by which they are set."""
    marks = marks_of(vertices)
    eyes = float(marks["left eye"][1] + marks["right eye"][1]) / 2
    height = eyes - marks["chin"][1]
    brow = (_brow_line_weights() @ vertices[:, 1] - eyes) / height
    lips = (marks["upper lip lower edge"][1] + marks["lower lip upper edge"][1]) / 2
    corners = (marks["left mouth corner"][1] + marks["right mouth corner"][1]) / 2
    mouth = marks["left mouth corner"][0] - marks["right mouth corner"][0]
    inner = brow[: len(brow) // 3].mean()
    opening = _opening_in_a_picture(vertices) / height
    return [brow.mean(), inner, opening, float((corners - lips) / mouth)]


@cache
def _brow_line_weights() -> Float64:
    """Return weights (places along the left brow, V), triangle by triangle."""
    head = load_head()
    across = np.linspace(0, 1, 40)
    weights = np.zeros((len(across), len(head.vertices)))
    for row, share in zip(weights, across, strict=True):
        place = [BROW_INNER + share * (BROW_OUTER - BROW_INNER), brow_line(share), 1.0]
        nearest = -np.inf
        for corners in head.triangles[head.triangle_part == 0]:
            x, y, z = head.vertices[corners].T.astype(np.float64)
            if z.min() < 1.0 or abs(x - place[0]).min() > 0.2 or abs(y - place[1]).min() > 0.2:
                continue
            system = np.array([x, y, np.ones(3)])
            if abs(np.linalg.det(system)) < 1e-9:  # seen from its side
                continue
            shares = np.linalg.solve(system, place)
            if shares.min() >= -1e-9 and shares @ z > nearest:
                nearest = shares @ z
                row[:] = 0
                row[corners] = shares
    return weights


def _opening_in_a_picture(vertices: Float32) -> float:
    """Return the mean height of what is seen of the left eye, over its middle half."""
    head = load_head()
    left = head.parts.index("left eye")
    centre = vertices[np.unique(head.triangles[head.triangle_part == left])].mean(0)
    used = np.flatnonzero(np.isin(head.triangle_part, [0, left])).astype(np.int32)
    points = (vertices - centre) * np.array([1, -1, -1], np.float32) * np.float32(_PIXELS / 0.5)
    points[:, :2] += _PIXELS / 2
    gaps = Gaps(head.vertices, np.full(len(vertices), 2, np.float32), 0)
    shown = rasterise(points, head.triangles, used, _PIXELS, gaps).triangles
    seen = (shown >= 0) & (head.triangle_part[shown] == left)
    columns = np.flatnonzero(seen.any(axis=0))
    quarter = len(columns) // 4
    return float(seen[:, columns[quarter:-quarter]].sum(axis=0).mean() * 0.5 / _PIXELS)


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


@pytest.mark.parametrize("n", [150, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("factor", GROUPS)
def test_no_group_rests_with_an_expression(factor: str, n: int) -> None:
    groups = [measured(identities(n), group) for group in GROUPS[factor]]
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
    least = dict(zip(MEASURES, (0.008, 0.008, 0.003, 0.010), strict=True))
    for value, (name, low) in zip(spread, least.items(), strict=False):
        assert value > low, name


def test_a_person_rests_alike_in_every_group() -> None:
    one = face_shape(FaceFactors(identity=3, gender=0, age=10, weight=0)).neutral
    other = face_shape(FaceFactors(identity=3, gender=1, age=75, weight=1)).neutral
    # What is seen of an eye is found to a few thousandths of its width.
    np.testing.assert_allclose(resting_measures(one), resting_measures(other), atol=0.006)
    assert np.abs(one - other).max() > 0.05


def test_measures_are_of_the_right_things() -> None:
    mesh = face_shape(FaceFactors(identity=1)).neutral
    before = dict(zip(RESTING_MEASURES, resting_measures(mesh), strict=True))
    opened = face_shape(FaceFactors(identity=1, actions={"jawOpen": 1.0})).expressed
    after = dict(zip(RESTING_MEASURES, resting_measures(opened), strict=True))
    assert after["lip gap"] > before["lip gap"] + 0.1
    blinked = face_shape(FaceFactors(identity=1, actions={"eyeBlink": 1.0})).expressed
    lids = dict(zip(RESTING_MEASURES, resting_measures(blinked), strict=True))
    opening = "upper lid height at 0.5", "lower lid height at 0.5"
    assert lids[opening[0]] - lids[opening[1]] < 0.2 * (before[opening[0]] - before[opening[1]])
    brow = "brow height, part 3"
    assert lids[brow] == pytest.approx(before[brow], abs=0.02)


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
