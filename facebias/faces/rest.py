"""Where brows, lids and lips rest: set by the person, never by gender, age or ethnicity.

The shapes of the groups rest with brows and lids at different heights, so that a neutral face of
one group would lean towards anger or surprise. Each measure below is therefore set, by a local
correction of the mesh, to a value that depends on the identity alone.
"""

from collections.abc import Mapping
from functools import cache

import numpy as np

from facebias.faces.arrays import Float32, Float64, Int32
from facebias.faces.head import load_head
from facebias.faces.landmarks import (
    eye_centres,
    landmark_names,
    landmark_points,
    landmark_vertices,
    lower_lip_share,
    part_vertices,
)

_BROW_PARTS = ("inner end", "inner", "middle", "outer", "outer end")
_LID_PARTS = ("inner", "middle", "outer")

# Standard deviations over persons of what a person's rest is made of, in the units of the measures
# that it moves.
_PERSON = {
    "brow height": 0.012,
    "brow tilt": 0.006,  # of either end against the middle
    "upper lid height": 0.020,
    "lower lid height": 0.012,
    "mouth curvature": 0.020,
    "eye width": 0.008,
}
_MOST = 2.0  # standard deviations

# Distances from the centre of an eye up to which, and from which on no, vertices belong to it.
_EYE_WHOLE, _EYE_ENDS = 0.20, 0.50
# Parts inside of the lids and the lips, which no correction lifts.
_STAYING = ("left eye", "right eye", "upper teeth", "lower teeth", "tongue")

RESTING_MEASURES = (
    *(f"brow height, {part}" for part in _BROW_PARTS),
    *(f"upper lid height, {part}" for part in _LID_PARTS),
    *(f"lower lid height, {part}" for part in _LID_PARTS),
    "mouth curvature",
    "lip gap",
    "eye width",
)


def resting_measures(vertices: Float32) -> Float64:
    """Measure a face at rest.

    Args:
        vertices: (V, 3), a neutral mesh.

    Returns:
        In the order of RESTING_MEASURES, means of both sides: heights of the brow above the centre
        of the eye, in heights from the eyes to the chin; heights of the lids' edges above the
        centre of the eye, in widths of the eye (the differences are the eye's opening); height of
        the mouth's corners above its middle and the gap between the lips, in widths of the mouth;
        width of the eye, in heights from the eyes to the chin.
    """
    marks = _marks(vertices)
    height, eye, mouth = _units(marks)
    heights = _height_rows() @ marks[:, 1]
    return np.append(heights / _denominators(height, eye, mouth), eye / height)


def set_at_rest(vertices: Float32, identity: int, average: Float64) -> Float32:
    """Correct a neutral mesh so that it rests where its person's face does.

    Args:
        vertices: (V, 3), changed in place.
        identity: the person's seed.
        average: the measures of the average face, which persons vary around.

    Returns:
        The same mesh.
    """
    wanted = average + _person(identity)
    height, eye, mouth = _units(_marks(vertices))
    _enlarge_eyes(vertices, wanted[-1] * height / eye)
    # What follows lifts vertices and moves nothing that the measures are counted in: so heights
    # are linear in the fields, and one step sets them exactly.
    units = _denominators(height, wanted[-1] * height, mouth)
    missing = (wanted[:-1] - resting_measures(vertices)[:-1]) * units
    amounts = _amounts_of_heights() @ missing
    vertices[:, 1] += (amounts @ _fields()).astype(np.float32)
    return vertices


def _enlarge_eyes(vertices: Float32, factor: float) -> None:
    """Enlarge the eyes with their lids about their centres, in place."""
    for centre, (near, share) in zip(eye_centres(vertices), _eye_shares(), strict=True):
        vertices[near] += (vertices[near] - centre) * share[:, None] * np.float32(factor - 1)


@cache
def _eye_shares() -> tuple[tuple[Int32, Float32], tuple[Int32, Float32]]:
    """Return the vertices that belong to the left and to the right eye, and how much, 0..1."""
    vertices = load_head().vertices

    def belonging(eye: Float32) -> tuple[Int32, Float32]:
        distance = np.linalg.norm(vertices - eye, axis=1)
        near = np.clip((_EYE_ENDS - distance) / (_EYE_ENDS - _EYE_WHOLE), 0, 1)
        share = (near * near * (3 - 2 * near)).astype(np.float32)
        chosen = np.flatnonzero(share).astype(np.int32)
        return chosen, share[chosen]

    left, right = eye_centres(vertices)
    return belonging(left), belonging(right)


def _marks(vertices: Float32) -> Float64:
    """Return the landmarks (L, 3), the centres of the eyes among them."""
    return landmark_points(vertices).astype(np.float64)


def _units(marks: Float64) -> tuple[float, float, float]:
    """Return the height from the eyes to the chin, the eyes' mean width, the mouth's width."""
    place = _place_of_name()

    def wide(mark: str, other: str) -> float:
        return float(abs(marks[place[mark], 0] - marks[place[other], 0]))

    left, right, chin = (marks[place[name], 1] for name in ("left eye", "right eye", "chin"))
    eyes = [wide(f"{s} eye outer corner", f"{s} eye inner corner") for s in ("left", "right")]
    mouth = wide("left mouth corner", "right mouth corner")
    return float((left + right) / 2 - chin), sum(eyes) / 2, mouth


@cache
def _place_of_name() -> Mapping[str, int]:
    return {name: place for place, name in enumerate(landmark_names())}


def _denominators(height: float, eye: float, mouth: float) -> Float64:
    """Return what each measure of a height is counted in."""
    return np.repeat([height, eye, mouth], [len(_BROW_PARTS), 2 * len(_LID_PARTS), 2])


@cache
def _height_rows() -> Float64:
    """Return each measure's height as weights (measures, L) of the landmarks' y."""
    names = landmark_names()

    def mean(*marks: str) -> Float64:
        both = [f"{side} {mark}" for side in ("left", "right") for mark in marks]
        chosen = [mark for mark in both if mark in names] or list(marks)
        return np.array([name in chosen for name in names], np.float64) / len(chosen)

    eye, upper, lower = mean("eye"), mean("upper lip lower edge"), mean("lower lip upper edge")
    return np.stack(
        [
            *(mean(f"brow {part}") - eye for part in _BROW_PARTS),
            *(mean(f"upper lid {part}") - eye for part in _LID_PARTS),
            *(mean(f"lower lid {part}") - eye for part in _LID_PARTS),
            mean("mouth corner") - (upper + lower) / 2,
            upper - lower,
        ]
    )


@cache
def _amounts_of_heights() -> Float64:
    """Return how much of each field (fields, measures) raises one measure's height by 1."""
    lifts = np.zeros((len(_fields()), len(load_head().vertices), 3), np.float32)
    lifts[..., 1] = _fields()
    responses = np.stack([_height_rows() @ _marks(lift)[:, 1] for lift in lifts], axis=1)
    amounts: Float64 = np.linalg.inv(responses).astype(np.float64, copy=False)
    return amounts


@cache
def _fields() -> Float64:
    """Return how much each measure's correction lifts every vertex (measures, V)."""
    head, marks = load_head(), landmark_vertices()
    front = (head.vertices[:, 2] > 0.8).astype(np.float64)
    front[np.concatenate([part_vertices(head, part) for part in _STAYING])] = 0

    def bump(mark: str, wide: float, high: float) -> Float64:
        centre = head.vertices[marks[mark]]
        x, y = np.abs(head.vertices[:, 0]) - abs(centre[0]), head.vertices[:, 1] - centre[1]
        lift: Float64 = front * np.exp(-((x / wide) ** 2) - (y / high) ** 2)
        return lift

    return np.stack(
        [
            *(bump(f"left brow {part}", 0.08, 0.10) for part in _BROW_PARTS),
            *(bump(f"left upper lid {part}", 0.06, 0.05) for part in _LID_PARTS),
            *(bump(f"left lower lid {part}", 0.06, 0.05) for part in _LID_PARTS),
            bump("left mouth corner", 0.10, 0.09),
            bump("lower lip upper edge", 0.20, 0.12) * lower_lip_share(),
        ]
    )


def _person(identity: int) -> Float64:
    """Return by how much a person's measures at rest differ from the average."""
    drawn = np.clip(np.random.default_rng([identity, 1]).normal(size=len(_PERSON)), -_MOST, _MOST)
    height, tilt, upper, lower, curvature, width = drawn * list(_PERSON.values())
    brow = height + tilt * np.linspace(-1, 1, len(_BROW_PARTS))
    lids = np.repeat([upper, lower], len(_LID_PARTS))
    return np.concatenate([brow, lids, [curvature, 0.0, width]])
