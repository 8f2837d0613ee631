"""Where brows, lids and lips rest: set by the person, never by gender, age or ethnicity.

The shapes of the groups rest with brows and lids at different heights, so that a neutral face of
one group would lean towards anger or surprise. Each measure below is therefore set, by a local
correction of the mesh, to a value that depends on the identity alone. The brows are measured along
the whole line where they are painted, the eyes by what can be seen of the eyeballs.
"""

from functools import cache

import numpy as np

from facebias.faces.arrays import Float32, Float64, Int32
from facebias.faces.eyes import COLUMNS, eye_centres, eye_vertices, part_vertices, visible_slit
from facebias.faces.head import load_head
from facebias.faces.landmarks import (
    landmark_points_of,
    landmark_vertices,
    lower_lip_share,
    surface_weights,
)
from facebias.faces.template import BROW_INNER, BROW_OUTER, brow_line

_BROW_PARTS = 6
_BROW_ENDS = (-0.02, 1.02)  # of the painted line, as shares of the brow's length
_BROW_SAMPLES = 10  # in each part

# Standard deviations over persons of what a person's rest is made of, in the units of the measures
# that it moves.
_PERSON = {
    "brow height": 0.012,
    "brow tilt": 0.006,  # of either end against the middle
    "upper lid height": 0.020,
    "lower lid height": 0.012,
    "mouth curvature": 0.020,
    "eye width": 0.006,
}
_MOST = 2.0  # standard deviations
_LID_PROFILE = np.array([0.8, 1.0, 0.8])  # how far a lid's COLUMNS rise with its middle

# Distances from the centre of an eye up to which, and from which on no, vertices belong to it.
_EYE_WHOLE, _EYE_ENDS = 0.20, 0.50
# What is corrected at most in one round, so that a fold that is in the way does no harm: factors of
# the eye's size, widths of the eye.
_FACTORS, _STEP = (0.85, 1.2), 0.06
# Parts inside of the lids and the lips, which no correction lifts.
_STAYING = ("left eye", "right eye", "upper teeth", "lower teeth", "tongue")
_ROUNDS = 5  # in which corrections, which reach into each other's places, settle

RESTING_MEASURES = (
    *(f"brow height, part {part + 1}" for part in range(_BROW_PARTS)),
    "mouth curvature",
    "lip gap",
    "eye width",
    *(f"upper lid height at {share}" for share in COLUMNS),
    *(f"lower lid height at {share}" for share in COLUMNS),
)
_LIDS = 2 * len(COLUMNS)
_WIDTH = len(RESTING_MEASURES) - _LIDS - 1  # the place of the eye's width


def resting_measures(vertices: Float32) -> Float64:
    """Measure a face at rest.

    Args:
        vertices: (V, 3), a neutral mesh with its eyes seated.

    Returns:
        In the order of RESTING_MEASURES: heights of the brows above the centres of the eyes, in
        parts from the inner to the outer end, mean of both sides, in heights from the eyes to the
        chin; height of the mouth's corners above its middle and the gap between the lips, in
        widths of the mouth; width of what is seen of the left eye, in heights from the eyes to the
        chin; heights of the upper and of the lower lid's edge, as seen, above the centre of the
        left eye, in widths of the eye.
    """
    height, mouth = _units(vertices)
    width, *edges = visible_slit(vertices)
    lids = np.array(edges) / width if width > 0 else np.zeros(_LIDS)  # shut
    lifted = _height_rows() @ vertices[:, 1] / _denominators(height, mouth)
    return np.concatenate([lifted, [width / height], lids])


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
    height, mouth = _units(vertices)
    for turn in range(_ROUNDS):
        now = resting_measures(vertices)
        if turn < _ROUNDS - 1:
            _enlarge_eyes(vertices, float(np.clip(wanted[_WIDTH] / now[_WIDTH], *_FACTORS)))
        width = wanted[_WIDTH] * height
        lids = np.clip((wanted - now)[-_LIDS:], -_STEP, _STEP)
        _lift(vertices, _lid_fields(), _lid_amounts() @ lids * width)
        # Heights of brows and lips are linear in the fields, and no field moves their units.
        now = _height_rows() @ vertices[:, 1] / _denominators(height, mouth)
        missing = (wanted[: len(now)] - now) * _denominators(height, mouth)
        _lift(vertices, _fields(), _amounts() @ missing)
    return vertices


def seat_eyes(vertices: Float32, unit: float) -> Float32:
    """Make the eyeballs a touch smaller and deeper, in place: they must not poke through the lids.

    Args:
        vertices: (V, 3).
        unit: height from the eyes to the chin.
    """
    for eye in eye_vertices():
        centre = vertices[eye].mean(0)
        vertices[eye] = centre + (vertices[eye] - centre) * np.float32(0.965)
        vertices[eye, 2] -= np.float32(0.0074 * unit)
    return vertices


def _lift(vertices: Float32, fields: Float64, amounts: Float64) -> None:
    vertices[:, 1] += (amounts @ fields).astype(np.float32)


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


def _units(vertices: Float32) -> tuple[float, float]:
    """Return the height from the eyes to the chin, and the width of the mouth."""
    chin, left, right = landmark_points_of(
        vertices, ("chin", "left mouth corner", "right mouth corner")
    )
    return float(eye_centres(vertices)[:, 1].mean() - chin[1]), float(left[0] - right[0])


def _denominators(height: float, mouth: float) -> Float64:
    """Return what the heights of brows and lips are counted in."""
    return np.repeat([height, mouth], [_BROW_PARTS, 2])


@cache
def _height_rows() -> Float64:
    """Return the heights of brows and lips as weights (measures, V) of the vertices' y."""
    head, marks = load_head(), landmark_vertices()

    def mean(*vertices: int) -> Float64:
        return np.bincount(vertices, minlength=len(head.vertices)) / len(vertices)

    eyes = (mean(*eye_vertices()[0]) + mean(*eye_vertices()[1])) / 2
    upper, lower = mean(marks["upper lip lower edge"]), mean(marks["lower lip upper edge"])
    corners = mean(marks["left mouth corner"], marks["right mouth corner"])
    return np.stack([*(_brow_rows() - eyes), corners - (upper + lower) / 2, upper - lower])


@cache
def _brow_rows() -> Float64:
    """Return the heights of the brows' parts as weights (_BROW_PARTS, V) of the vertices' y."""
    across = np.linspace(*_BROW_ENDS, _BROW_PARTS * _BROW_SAMPLES)
    x = BROW_INNER + across * (BROW_OUTER - BROW_INNER)
    y = np.array([brow_line(share) for share in across])
    both = [surface_weights(np.stack([side * x, y], axis=1)) for side in (1, -1)]
    parts: Float64 = np.mean(both, axis=0).reshape(_BROW_PARTS, _BROW_SAMPLES, -1).mean(axis=1)
    return parts


@cache
def _amounts() -> Float64:
    """Return how much of each field (fields, measures) raises one height by 1."""
    amounts: Float64 = np.linalg.inv(_height_rows() @ _fields().T).astype(np.float64, copy=False)
    return amounts


@cache
def _fields() -> Float64:
    """Return how much each correction of brows and lips lifts every vertex (measures, V)."""
    marks = landmark_vertices()
    lips = [
        load_head().vertices[marks[name], :2]
        for name in ("left mouth corner", "lower lip upper edge")
    ]
    length = (_BROW_ENDS[1] - _BROW_ENDS[0]) / _BROW_PARTS
    across = [_BROW_ENDS[0] + length * (part + 0.5) for part in range(_BROW_PARTS)]
    wide = 1.4 * length * (BROW_OUTER - BROW_INNER)
    return np.stack(
        [
            *(
                _bump(BROW_INNER + share * (BROW_OUTER - BROW_INNER), brow_line(share), wide, 0.09)
                for share in across
            ),
            _bump(lips[0][0], lips[0][1], 0.10, 0.09),
            _bump(lips[1][0], lips[1][1], 0.20, 0.12) * lower_lip_share(),
        ]
    )


@cache
def _lid_fields() -> Float64:
    """Return how much each correction of a lid lifts every vertex (2 * len(COLUMNS), V)."""
    vertices = load_head().vertices
    middle = eye_centres(vertices)[0]
    width, *edges = visible_slit(vertices)
    x = middle[0] + (np.array(COLUMNS) - 0.5) * width
    return np.stack(
        [_bump(x[k % len(COLUMNS)], middle[1] + y, 0.06, 0.05) for k, y in enumerate(edges)]
    )


@cache
def _lid_amounts() -> Float64:
    """Return how much of each field raises one of a lid's heights by 1, about the mesh's own."""
    step, vertices = 0.006, seat_eyes(load_head().vertices.copy(), 1.0)
    responses = []
    for field in _lid_fields():
        ends = [vertices.copy(), vertices.copy()]
        for mesh, way in zip(ends, (step, -step), strict=True):
            mesh[:, 1] += (way * field).astype(np.float32)
        up, down = (visible_slit(mesh)[1:] for mesh in ends)
        responses.append((up - down) / (2 * step))
    amounts: Float64 = np.linalg.inv(np.stack(responses, axis=1))
    return amounts


def _bump(x: float, y: float, wide: float, high: float) -> Float64:
    """Return a smooth lift (V,) about a place on both sides of the face."""
    vertices = load_head().vertices
    across, up = np.abs(vertices[:, 0]) - abs(x), vertices[:, 1] - y
    lift = (vertices[:, 2] > 0.8) * np.exp(-((across / wide) ** 2) - (up / high) ** 2)
    lift[_staying()] = 0
    return lift.astype(np.float64)


@cache
def _staying() -> Int32:
    return np.concatenate([part_vertices(load_head(), part) for part in _STAYING])


def _person(identity: int) -> Float64:
    """Return by how much a person's measures at rest differ from the average."""
    drawn = np.clip(np.random.default_rng([identity, 1]).normal(size=len(_PERSON)), -_MOST, _MOST)
    height, tilt, upper, lower, curvature, width = drawn * list(_PERSON.values())
    brow = height + tilt * np.linspace(-1, 1, _BROW_PARTS)
    lids = np.concatenate([upper * _LID_PROFILE, lower * _LID_PROFILE])
    return np.concatenate([brow, [curvature, 0.0, width], lids])
