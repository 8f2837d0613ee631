"""Who is drawn: people, and the faces that each of them shows."""

import colorsys
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from facebias.errors import DataError
from facebias.faces.arrays import Float64
from facebias.faces.factors import (
    EXPRESSIONS,
    EYE_COLOURS,
    GLASSES,
    HAIR_COLOURS,
    HAIR_STYLES,
    VALENCE,
    FaceFactors,
)
from facebias.faces.skin import lab_of_linear, linear_of_hex, skin_lab

POPULATIONS = ("crossed", "realistic")
FACTOR = "factor_"
"""Begins the name of each column that holds a field of FaceFactors."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "gender": ("female", "male"),
    "age": ("child", "adult", "older"),
    "skin_tone": ("light", "medium", "dark"),
    "ethnicity": ("african", "asian", "caucasian"),
    "hair_style": HAIR_STYLES,
    "hair_colour": HAIR_COLOURS,
    "glasses": GLASSES,
}
"""The attributes of a face, and the groups of each."""

# One block holds every label equally often.
_NEGATIVE = tuple(name for name in EXPRESSIONS if VALENCE[name] == "negative")
_BLOCKS: Mapping[str, tuple[str, ...]] = {
    "expression": tuple(EXPRESSIONS),
    "valence": 5 * ("happy", "surprise") + 10 * ("neutral",) + 2 * _NEGATIVE,
}

# What a seed is spent on: a stream of its own for each, so that none moves another.
_LABELS, _PERSON, _SHOT = 0, 1, 2

_YEARS = {"child": (6, 14), "adult": (18, 50), "older": (55, 80)}
_ADULT, _OLDER = 18, 55  # years at which these groups begin

# The classes of the individual typology angle, degrees (Chardon, Cretois and Hourseau 1991; Del
# Bino and Bernerd, British Journal of Dermatology 169, 2013), from very light to dark. Two
# neighbours make a skin tone. The outer ones end where FaceFactors ends.
_SKIN_CLASSES = ((55, 60), (41, 55), (28, 41), (10, 28), (-30, 10), (-65, -30))
_LIGHT, _MEDIUM = 41, 10  # degrees above which these tones begin

# The ten tones of the Monk Skin Tone scale (Monk 2019, skintone.google), sRGB.
_MONK = (
    *("#f6ede4", "#f3e7db", "#f7ead0", "#eadaba", "#d7bd96"),
    *("#a07e56", "#825c43", "#604134", "#3a312a", "#292420"),
)

# Plausible couplings of the realistic population, not statistics of any: shares of the skin
# classes, HAIR_COLOURS, EYE_COLOURS and HAIR_STYLES above, in their order.
_SKIN_OF = {
    "african": (0.0, 0.0, 0.03, 0.15, 0.45, 0.37),
    "asian": (0.05, 0.30, 0.40, 0.22, 0.03, 0.0),
    "caucasian": (0.15, 0.40, 0.30, 0.13, 0.02, 0.0),
}
_HAIR_COLOUR_OF = {
    "african": (0.80, 0.18, 0.02, 0.0, 0.0),
    "asian": (0.75, 0.22, 0.03, 0.0, 0.0),
    "caucasian": (0.10, 0.30, 0.30, 0.24, 0.06),
}
_EYE_COLOUR_OF = {
    "african": (0.75, 0.25, 0.0, 0.0),
    "asian": (0.70, 0.30, 0.0, 0.0),
    "caucasian": (0.10, 0.35, 0.38, 0.17),
}
_HAIR_STYLE_OF = {
    "female": (0.01, 0.02, 0.15, 0.30, 0.42, 0.10),
    "male": (0.10, 0.20, 0.50, 0.08, 0.02, 0.10),
}
_RARE = 0.15  # share of the crossed population with grey hair, stubble, make-up
_WITH_GLASSES = 0.12

_DISTRACTORS = (
    *("browInnerUp", "browDown", "mouthSmile", "mouthFrown"),
    *("jawOpen", "eyeSquint", "eyeWide", "mouthPress"),
)
_DIGITS = 4  # of every number drawn, so that tables are small and exact

_T = TypeVar("_T")
_Values = dict[str, Any]


def draw_faces(
    n: int,
    *,
    seed: int,
    population: str = "crossed",
    equal_by: str = "expression",
    faces_per_identity: int = 4,
) -> pd.DataFrame:
    """Draw people and their faces, as a table of what is to be rendered.

    Each face is a function of the seed and of its own number, so the first faces of a longer table
    are those of a shorter one. The label depends on nothing: within a block of labels its order is
    drawn apart from people and pictures.

    In the `crossed` population every factor is independent of every other, children with stubble
    included: nothing but what a bias adds can then tell a label or a group. In the `realistic` one
    skin, hair and eyes depend on ethnicity, hair style on gender, grey hair on age, stubble and
    make-up on gender and age. These couplings are plausible choices, not statistics of people.

    Args:
        n: faces, at least 1.
        seed: at least 0.
        population: "crossed" or "realistic".
        equal_by: "expression" (each of eight once in each block of 8 faces), or "valence" (in each
            block of 30, 10 positive, neutral and negative ones each).
        faces_per_identity: neighbours in the table that are one person, at least 1.

    Returns:
        One row a face: `id`, `identity`, `expression`, `valence`, the columns of GROUPS,
        `monk_tone` (1 to 10), and every field of FaceFactors as `factor_<field>`.

    Raises:
        DataError: for an argument out of its range.
    """
    _refuse_unknown("population", population, POPULATIONS)
    _refuse_unknown("equal_by", equal_by, _BLOCKS)
    for name, found, least in (
        ("n", n, 1),
        ("seed", seed, 0),
        ("faces_per_identity", faces_per_identity, 1),
    ):
        if found < least:
            raise DataError(f"{name} is {found}", f"a number of at least {least}")
    return pd.DataFrame(list(_rows(n, seed, population, equal_by, faces_per_identity)))


def _rows(
    n: int, seed: int, population: str, equal_by: str, faces_per_identity: int
) -> Iterator[_Values]:
    person: _Values = {}
    for index, expression in enumerate(_labels(n, seed, equal_by)):
        number, place = divmod(index, faces_per_identity)
        if place == 0:
            person = _rounded(_person(_generator(seed, _PERSON, number), population))
        shot = _shot(_generator(seed, _SHOT, index), expression, population, person)
        factors = FaceFactors(**person, **_rounded(shot))
        yield {"id": f"{index:06d}", "identity": f"person {number:05d}"} | record_of(factors)


def record_of(factors: FaceFactors) -> dict[str, Any]:
    """Return the columns of a row that follow from its factors: groups, then `factor_<field>`."""
    columns = {FACTOR + name: value for name, value in factors.record().items()}
    return groups_of(factors) | columns


def groups_of(factors: FaceFactors) -> dict[str, Any]:
    """Return the labels, the group of each attribute of GROUPS, and the `monk_tone`.

    A mixture of expressions is labelled by its strongest one.
    """
    weights = {name: getattr(factors, name) for name in GROUPS["ethnicity"]}
    expression = _largest(factors.expression)
    return {
        "expression": expression,
        "valence": VALENCE[expression],
        "gender": "male" if factors.gender >= 0.5 else "female",
        "age": _age_group(factors.age),
        "skin_tone": skin_tone(factors.skin_ita),
        "ethnicity": _largest(weights),
        "hair_style": factors.hair_style,
        "hair_colour": factors.hair_colour,
        "glasses": factors.glasses,
        "monk_tone": _monk_tone_of(factors.skin_ita),
    }


def factors_of(row: Mapping[str, Any] | pd.Series) -> FaceFactors:
    """Return the factors of a row of the table of faces; its other columns are ignored.

    Raises:
        DataError: if columns are missing, or a value is out of its range.
    """
    values = {
        str(name).removeprefix(FACTOR): value.item() if isinstance(value, np.generic) else value
        for name, value in row.items()
        if str(name).startswith(FACTOR)
    }
    try:
        return FaceFactors.from_record(values)
    except (KeyError, json.JSONDecodeError, TypeError) as error:
        raise DataError(
            f"the row {row.get('id')!r} holds no factors of a face: {error}",
            "columns factor_<field>, as draw_faces gives them",
        ) from error


def skin_tone(ita: float) -> str:
    """Return the skin tone of a typology angle in degrees.

    Light is above 41, medium above 10, dark the rest: the classes of Chardon et al. (1991) and Del
    Bino and Bernerd (2013), merged in pairs.

    >>> skin_tone(50.0), skin_tone(41.0), skin_tone(-40.0)
    ('light', 'medium', 'dark')
    """
    if ita > _LIGHT:
        return "light"
    return "medium" if ita > _MEDIUM else "dark"


def monk_tone(lab: Float64) -> int:
    """Return the tone of the Monk Skin Tone scale that is nearest in CIELAB.

    Args:
        lab: (3,), a colour.

    Returns:
        1 (lightest) to 10.

    >>> monk_tone(np.array([100.0, 0.0, 0.0]))
    1
    """
    tones = lab_of_linear(np.stack([linear_of_hex(colour) for colour in _MONK]))
    return int(((tones - lab) ** 2).sum(axis=1).argmin()) + 1


@lru_cache(maxsize=4096)
def _monk_tone_of(ita: float) -> int:
    return monk_tone(skin_lab(ita))


def _age_group(years: float) -> str:
    if years < _ADULT:
        return "child"
    return "adult" if years < _OLDER else "older"


def _largest(weights: Mapping[str, float]) -> str:
    return max(weights, key=weights.__getitem__)


def _labels(n: int, seed: int, equal_by: str) -> list[str]:
    """Return n expressions; every block holds the same ones, in an order of its own."""
    block = _BLOCKS[equal_by]
    orders = [
        _generator(seed, _LABELS, number).permutation(len(block))
        for number in range(-(-n // len(block)))
    ]
    return [block[place] for place in np.concatenate(orders)[:n]]


def _person(random: np.random.Generator, population: str) -> _Values:
    """Draw what a person keeps from face to face."""
    ethnicity = _one_of(random, GROUPS["ethnicity"])
    gender, low_high = _one_of(random, (0, 1)), _one_of(random, tuple(_YEARS.values()))
    person: _Values = {
        "identity": int(random.integers(2**63)),
        "gender": _normal(random, gender, 0.08, 0, 1),
        "age": random.uniform(*low_high),
        "weight": _normal(random, 0.5, 0.15, 0.1, 0.9),
        "brows": random.uniform(0.6, 1.1),
        **_ethnicity_weights(random, ethnicity),
    }
    draw = _crossed_looks if population == "crossed" else _realistic_looks
    return person | draw(random, person, ethnicity)


def _ethnicity_weights(random: np.random.Generator, dominant: str) -> dict[str, float]:
    """Return weights that add up to 1; the dominant one is at least .65."""
    shares = dict(zip(GROUPS["ethnicity"], 0.35 * random.dirichlet(np.ones(3)), strict=True))
    return shares | {dominant: 0.65 + shares[dominant]}


def _crossed_looks(random: np.random.Generator, person: _Values, ethnicity: str) -> _Values:
    """Draw skin, hair and eyes; they depend on nothing."""
    return {
        "skin_ita": random.uniform(*_one_of(random, _SKIN_CLASSES)),
        "hair_style": _one_of(random, HAIR_STYLES),
        "hair_colour": _one_of(random, HAIR_COLOURS),
        "eye_colour": _one_of(random, EYE_COLOURS),
        "grey": _sometimes(random, _RARE, 0.3, 1.0),
    }


def _realistic_looks(random: np.random.Generator, person: _Values, ethnicity: str) -> _Values:
    """Draw skin, hair and eyes as ethnicity, gender and age suggest."""
    styles = _hair_style_shares(person, ethnicity)
    greying = _normal(random, (person["age"] - 40) / 35, 0.2, 0, 1)
    return {
        "skin_ita": random.uniform(*_one_of(random, _SKIN_CLASSES, _SKIN_OF[ethnicity])),
        "hair_style": _one_of(random, HAIR_STYLES, styles),
        "hair_colour": _one_of(random, HAIR_COLOURS, _HAIR_COLOUR_OF[ethnicity]),
        "eye_colour": _one_of(random, EYE_COLOURS, _EYE_COLOUR_OF[ethnicity]),
        "grey": greying if person["age"] >= 35 else 0.0,
    }


def _hair_style_shares(person: _Values, ethnicity: str) -> list[float]:
    """Return the shares of the styles: no bald child, an afro only on African hair."""
    gender = "male" if person["gender"] >= 0.5 else "female"
    shares = dict(zip(HAIR_STYLES, _HAIR_STYLE_OF[gender], strict=True))
    shares["bald"] *= person["age"] >= _ADULT
    shares["afro"] *= 3 if ethnicity == "african" else 0
    return list(shares.values())


def _shot(
    random: np.random.Generator, expression: str, population: str, person: _Values
) -> _Values:
    """Draw what differs from face to face of one person."""
    intensity = random.uniform(0.45, 1.1)
    return {
        "expression": {expression: 1.0},
        "intensity": intensity,
        "actions": _deviations(random, expression, intensity),
        "mirrored": bool(random.random() < 0.5),
        "glasses": _one_of(random, GLASSES[1:]) if random.random() < _WITH_GLASSES else "none",
        **_grooming(random, population, person),
        **_pose_and_light(random),
    }


def _deviations(random: np.random.Generator, expression: str, intensity: float) -> dict[str, float]:
    """Return what a face adds to the expression of the book.

    Each of its actions is shown more or less strongly, and a few others stir.
    """
    actions = {name: abs(_normal(random, 0, 0.08, -1, 1)) for name in _DISTRACTORS}
    for name, weight in EXPRESSIONS[expression].items():
        factor = _normal(random, 1, 0.2, 0.3, 1.5)
        actions[name] = actions.get(name, 0.0) + weight * intensity * (factor - 1)
    return actions


def _grooming(random: np.random.Generator, population: str, person: _Values) -> dict[str, float]:
    """Draw stubble and make-up."""
    stubble, make_up = _RARE, _RARE
    if population == "realistic":
        male, adult = person["gender"] >= 0.5, person["age"] >= _ADULT
        stubble = 0.45 if adult and male else 0.0
        make_up = (0.02 if male else 0.5) * adult
    return {
        "stubble": _sometimes(random, stubble, 0.2, 1.0),
        "make_up": _sometimes(random, make_up, 0.2, 0.9),
    }


def _pose_and_light(random: np.random.Generator) -> _Values:
    return {
        "yaw": _normal(random, 0, 10, -45, 45),
        "pitch": _normal(random, 0, 5, -30, 30),
        "roll": _normal(random, 0, 3, -30, 30),
        "key_light": random.uniform(0.75, 1.15),
        "key_azimuth": random.uniform(-50, 50),
        "key_elevation": random.uniform(5, 50),
        "warmth": _normal(random, 0, 0.5, -1, 1),
        "ambient": random.uniform(0.3, 0.6),
        "background": _colour(random, 0.35, (0.3, 0.85)),
        "clothes": _colour(random, 0.7, (0.15, 0.8)),
    }


def _colour(
    random: np.random.Generator, most_saturation: float, brightness: tuple[float, float]
) -> str:
    """Return a colour of any hue as "#rrggbb"."""
    hue, saturation = random.random(), random.uniform(0, most_saturation)
    channels = colorsys.hsv_to_rgb(hue, saturation, random.uniform(*brightness))
    return "#" + bytes(round(255 * channel) for channel in channels).hex()


def _generator(seed: int, stream: int, index: int) -> np.random.Generator:
    """Return the source of randomness of one thing, whatever else is drawn."""
    return np.random.Generator(
        np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stream, index)))
    )


def _one_of(
    random: np.random.Generator, options: Sequence[_T], shares: Sequence[float] | None = None
) -> _T:
    """Draw one option, uniformly or by shares that need not add up to 1."""
    if shares is None:
        return options[int(random.integers(len(options)))]
    ends = np.cumsum(shares)
    return options[int(np.searchsorted(ends, random.random() * ends[-1], side="right"))]


def _sometimes(random: np.random.Generator, share: float, low: float, high: float) -> float:
    """Draw from low to high in a share of the cases, else 0."""
    value = random.uniform(low, high)
    return value if random.random() < share else 0.0


def _normal(
    random: np.random.Generator, mean: float, deviation: float, low: float, high: float
) -> float:
    """Draw from a normal distribution, values beyond low and high set to them."""
    return float(min(max(random.normal(mean, deviation), low), high))


def _rounded(values: _Values) -> _Values:
    return {name: _short(value) for name, value in values.items()}


def _short(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {name: _short(inner) for name, inner in value.items()}
    return round(float(value), _DIGITS) if isinstance(value, (float, np.floating)) else value


def _refuse_unknown(name: str, found: str, known: Iterable[str]) -> None:
    if found not in known:
        near = get_close_matches(str(found), list(known), n=1)
        raise DataError(
            f"{name} is {found!r}",
            f"one of {', '.join(known)}",
            f"did you mean {near[0]}?" if near else "",
        )
