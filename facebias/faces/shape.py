"""From factors to the mesh of a face: identity and group first, then the expression."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from facebias.errors import DataError
from facebias.faces.arrays import Float32, Float64, Int32, compiled
from facebias.faces.eyes import eye_centres, part_vertices
from facebias.faces.factors import EXPRESSIONS, FaceFactors
from facebias.faces.head import load_head
from facebias.faces.landmarks import landmark_vertices
from facebias.faces.rest import RESTING_MEASURES, resting_measures, seat_eyes, set_at_rest

_AGES = ("baby", "child", "young", "old")
_AGE_YEARS = (1.0, 10.0, 25.0, 80.0)  # of the four shapes

# How much the parts of a face vary from person to person, as standard deviations of the weights.
_VARIATION = 0.16  # 0.3 gives caricatures
_BOTH_WAYS = (  # name-decr and name-incr
    "nose-scale-horiz",
    "nose-scale-vert",
    "nose-volume",
    "nose-width1",
    "nose-width2",
    "nose-width3",
    "nose-point-width",
    "nose-nostrils-width",
    "nose-hump",
    "mouth-scale-horiz",
    "mouth-upperlip-volume",
    "mouth-lowerlip-volume",
    "mouth-upperlip-height",
    "mouth-lowerlip-height",
    "chin-width",
    "chin-height",
    "chin-prominent",
    "chin-bones",
    "head-fat",
    "head-scale-horiz",
    "head-scale-vert",
    "forehead-scale-vert",
    "forehead-temple",
    "neck-scale-horiz",
)
_UP_AND_DOWN = ("nose-point", "nose-base", "mouth-trans")
_BOTH_SIDES = ("cheek-bones", "cheek-volume", "eye-bag")
_OUTLINES = (
    "oval",
    "round",
    "square",
    "triangular",
    "rectangular",
    "diamond",
    "invertedtriangular",
)
_OUTLINE_MOST = 0.35


@dataclass(frozen=True)
class Shape:
    """The mesh of one face.

    Attributes:
        neutral: (V, 3), at rest.
        expressed: (V, 3), with the expression.
        eyes: (3,), the point between the eyes at rest.
        unit: height from the eyes to the chin at rest; what sizes in the picture are counted in.
    """

    neutral: Float32
    expressed: Float32
    eyes: Float32
    unit: float


def face_shape(factors: FaceFactors) -> Shape:
    """Return the mesh of a face.

    Rest positions of brows, lids and lips are set by the identity alone: see `resting_measures`.
    """
    neutral = _neutral(factors)
    eyes = eye_centres(neutral).mean(0)
    unit = _unit(neutral)
    actions = action_weights(factors)
    scale = unit / _average().unit
    weights = {name: weight * scale for name, weight in actions.items()}
    return Shape(neutral, _morphed(neutral, weights), eyes, unit)


def action_weights(factors: FaceFactors) -> dict[str, float]:
    """Return the weights of the mesh's action targets that an expression asks for.

    Raises:
        DataError: for an action that the mesh does not know.
    """
    weights: dict[str, float] = {}
    parts = [
        *((EXPRESSIONS[name], s * factors.intensity) for name, s in factors.expression.items()),
        (factors.actions, 1.0),
    ]
    for actions, share in parts:
        for action, weight in actions.items():
            for target in _targets_of(action, factors.mirrored):
                weights[target] = weights.get(target, 0.0) + weight * share
    return weights


@cache
def _targets_of(action: str, mirrored: bool) -> tuple[str, ...]:
    """Return the targets of an action: one, or one for each side."""
    if mirrored and action.endswith("Left"):
        action = f"{action.removesuffix('Left')}Right"
    elif mirrored and action.endswith("Right"):
        action = f"{action.removesuffix('Right')}Left"
    if f"action/{action}" in _target_numbers():
        return (f"action/{action}",)
    targets = (f"action/{action}Left", f"action/{action}Right")
    if targets[0] not in _target_numbers():
        raise DataError(
            f"there is no facial action {action!r}",
            "the name of an ARKit blend shape, without Left and Right where both sides act",
        )
    return targets


@cache
def _target_numbers() -> Mapping[str, int]:
    return {name: number for number, name in enumerate(load_head().target_names)}


@compiled
def _add_targets(
    vertices: Float32,
    starts: Int32,
    index: Int32,
    offset: Float32,
    which: Int32,
    weights: Float32,
) -> None:
    """Add weighted sparse offsets to vertices, in place.

    Args:
        vertices: (V, 3).
        starts: (targets + 1,), rows at which the offsets of each target start and end.
        index: (n,), the vertex of each row.
        offset: (n, 3).
        which: (k,), targets to add.
        weights: (k,).
    """
    for k in range(len(which)):
        for row in range(starts[which[k]], starts[which[k] + 1]):
            for axis in range(3):
                vertices[index[row], axis] += weights[k] * offset[row, axis]


def _morphed(vertices: Float32, weights: Mapping[str, float]) -> Float32:
    """Return a mesh with weighted targets added."""
    head, number = load_head(), _target_numbers()
    morphed = vertices.copy()
    _add_targets(
        morphed,
        head.target_starts,
        head.target_index,
        _soft_offsets(),
        np.array([number[name] for name in weights], np.int32),
        np.array(list(weights.values()), np.float32),
    )
    return morphed


@cache
def _soft_offsets() -> Float32:
    """Return the targets' offsets, frown and sneer faded out above the brows and at the midline.

    As they are they reach far up the forehead, and light from the side shows a crease.
    """
    head = load_head()
    offset = head.target_offset.copy()
    for k, name in enumerate(head.target_names):
        if not name.startswith(("action/browDown", "action/noseSneer")):
            continue
        rows = slice(head.target_starts[k], head.target_starts[k + 1])
        x, y = head.vertices[head.target_index[rows], :2].T
        above = _smooth((7.70 - y) / 0.22)
        middle = 1 - np.exp(-((x / 0.10) ** 2)) * (y > 7.42)
        offset[rows] *= np.stack(
            [above * np.clip((7.56 - y) / 0.14, 0, 1) * middle, above, above], axis=1
        )
    return offset


def _smooth(t: Float32) -> Float32:
    """Return the smooth step of values, 0 below 0 and 1 above 1."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _neutral(factors: FaceFactors) -> Float32:
    """Return the mesh at rest."""
    grown = _morphed(load_head().vertices, _group_weights(factors))
    formed = _morphed(grown, _person_weights(factors))
    seated = seat_eyes(_teeth_behind_lips(formed, grown), _unit(formed))
    return set_at_rest(seated, factors.identity, _average().measures)


def _group_weights(factors: FaceFactors) -> dict[str, float]:
    """Return the weights of gender, age, ethnicity and fullness."""
    genders = {"female": 1 - factors.gender, "male": factors.gender}
    ages = _age_weights(factors.age)
    total = factors.african + factors.asian + factors.caucasian
    races = {name: getattr(factors, name) / total for name in ("african", "asian", "caucasian")}
    fullness = {
        "minweight": max(0.0, 1 - 2 * factors.weight),
        "averageweight": 1 - abs(2 * factors.weight - 1),
        "maxweight": max(0.0, 2 * factors.weight - 1),
    }
    weights: dict[str, float] = {}
    for (gender, g), (age, a) in product(genders.items(), ages.items()):
        weights |= {f"race/{race}-{gender}-{age}": g * a * r for race, r in races.items()}
        weights |= {f"universal/{gender}-{age}-{full}": g * a * f for full, f in fullness.items()}
    return {name: weight for name, weight in weights.items() if weight > 0}


def _age_weights(years: float) -> dict[str, float]:
    """Return the weights of the four shapes between whose ages an age is interpolated."""
    place = np.interp(years, _AGE_YEARS, range(len(_AGES)))
    return {age: max(0.0, 1 - abs(place - k)) for k, age in enumerate(_AGES)}


def _person_weights(factors: FaceFactors) -> dict[str, float]:
    """Return the weights that make a person's face that of nobody else."""
    rng = np.random.default_rng([factors.identity, 0])
    weights: dict[str, float] = {}

    def vary(name: str, less: str, more: str) -> None:
        weight = min(max(rng.normal() * _VARIATION, -1.0), 1.0)
        weights[f"local/{name}-{more if weight > 0 else less}"] = abs(weight)

    for name in _BOTH_WAYS:
        vary(name, "decr", "incr")
    for name in _UP_AND_DOWN:
        vary(name, "down", "up")
    for name in _BOTH_SIDES:
        vary(f"l-{name}", "decr", "incr")
        vary(f"r-{name}", "decr", "incr")
    outline = _OUTLINES[rng.integers(len(_OUTLINES))]
    weights[f"local/head-{outline}"] = float(rng.uniform(0, _OUTLINE_MOST))
    if factors.age > 45:
        weights["local/head-age-incr"] = (factors.age - 45) / 35 * 0.6
    return weights


def _teeth_behind_lips(formed: Float32, grown: Float32) -> Float32:
    """Move teeth and tongue with the lips, smaller and deeper: they must not poke through."""
    lips, mouth = _lip_vertices(), _mouth_vertices()
    before, after = grown[lips], formed[lips]
    narrower = min(1.0, float(np.ptp(after[:, 0]) / np.ptp(before[:, 0]))) * 0.92
    (_, y, z), (_, new_y, new_z) = before.mean(0), after.mean(0)
    smaller = np.array([narrower, 0.95, narrower], np.float32)
    moved = (formed[mouth] - np.array([0, y, z], np.float32)) * smaller
    formed[mouth] = moved + np.array([0, new_y, new_z - 0.03], np.float32)
    return formed


@cache
def _lip_vertices() -> Int32:
    head = load_head()
    lips: Int32 = np.flatnonzero(
        (head.mask_at_vertices("lips") > 0.6) & (head.vertices[:, 2] > 1.4)
    ).astype(np.int32)
    return lips


@cache
def _mouth_vertices() -> Int32:
    head = load_head()
    parts = [part_vertices(head, name) for name in ("upper teeth", "lower teeth", "tongue")]
    return np.concatenate(parts)


@dataclass(frozen=True)
class _Average:
    measures: Float64
    unit: float


@cache
def _average() -> _Average:
    """Measure the face in the middle of gender and ethnicity, 30 years old."""
    vertices = _morphed(load_head().vertices, _group_weights(FaceFactors()))
    measures = resting_measures(seat_eyes(vertices, _unit(vertices)))
    measures[RESTING_MEASURES.index("lip gap")] = 0  # a closed mouth
    return _Average(measures, _unit(vertices))


def _unit(vertices: Float32) -> float:
    """Return the height from the eyes to the chin."""
    return float(eye_centres(vertices)[:, 1].mean() - vertices[landmark_vertices()["chin"], 1])
