"""The causes of a generated face, each explicit, with its unit and range."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from facebias.errors import DataError

HAIR_STYLES = ("bald", "buzz", "short", "medium", "long", "afro")
HAIR_COLOURS = ("black", "dark brown", "brown", "blond", "red")
EYE_COLOURS = ("dark brown", "brown", "blue", "green")
GLASSES = ("none", "round", "square")

# Weights of facial actions: the names of Apple's ARKit blend shapes, without Left and Right where
# both sides act. An action of one side is named with its side.
EXPRESSIONS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "neutral": {},
        "happy": {
            "mouthSmile": 1.0,
            "cheekSquint": 0.7,
            "eyeSquint": 0.35,
            "mouthUpperUp": 0.35,
            "jawOpen": 0.18,
            "mouthLowerDown": 0.2,
        },
        "sad": {
            "browInnerUp": 1.6,
            "browDown": 0.25,
            "mouthFrown": 1.0,
            "mouthShrugLower": 0.6,
            "eyeBlink": 0.08,
            "eyeLookDown": 0.25,
        },
        "surprise": {
            "browInnerUp": 1.6,
            "browOuterUp": 0.9,
            "eyeWide": 1.0,
            "jawOpen": 0.75,
            "mouthFunnel": 0.25,
        },
        "fear": {
            "browInnerUp": 1.6,
            "browOuterUp": 0.5,
            "browDown": 0.4,
            "eyeWide": 1.2,
            "mouthStretch": 1.0,
            "jawOpen": 0.35,
            "mouthLowerDown": 0.7,
        },
        "disgust": {
            "noseSneer": 1.2,
            "mouthUpperUp": 0.9,
            "browDown": 0.8,
            "eyeSquint": 0.7,
            "cheekSquint": 0.6,
            "mouthFrown": 0.4,
            "mouthShrugLower": 0.4,
        },
        "anger": {
            "browDown": 1.15,
            "eyeSquint": 0.35,
            "eyeWide": 0.4,
            "noseSneer": 0.5,
            "mouthPress": 0.55,
            "mouthRollUpper": 0.45,
            "mouthRollLower": 0.45,
            "mouthFrown": 0.65,
            "jawForward": 0.4,
        },
        "contempt": {
            "mouthSmileLeft": 0.55,
            "mouthDimpleLeft": 1.2,
            "mouthUpperUpLeft": 0.2,
            "mouthPressLeft": 0.4,
            "eyeSquint": 0.25,
            "browOuterUpLeft": 0.35,
            "mouthLeft": 0.35,
        },
    }
)
VALENCE: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(EXPRESSIONS, "negative")
    | {"happy": "positive", "surprise": "positive", "neutral": "neutral"}
)


def _number(default: float, low: float, high: float, unit: str) -> Any:  # noqa: ANN401
    return field(default=default, metadata={"low": low, "high": high, "unit": unit})


def _choice(default: str, options: tuple[str, ...]) -> Any:  # noqa: ANN401
    return field(default=default, metadata={"options": options})


@dataclass(frozen=True, kw_only=True)
class FaceFactors:
    """Everything that a generated face depends on; equal factors give equal bytes.

    Attributes:
        expression: weights of the eight of AffectNet, `{"happy": 1.0}`; others give mixtures.
        intensity: how strongly it is shown.
        actions: weights of single facial actions, added to those of the expression.
        mirrored: whether actions of one side act on the other one, as in contempt.
        identity: seed of the face's shape and skin texture.
        gender: shape of the face, from 0 (female) to 1 (male).
        age: years; shape, skin.
        african: weight of the shape's ethnicity; the three are taken as shares of their sum.
        asian: as above.
        caucasian: as above.
        weight: how full the face is; 0.5 is average.
        skin_ita: individual typology angle of the skin's colour, atan((L* - 50) / b*), degrees;
            above 55 very light, below -30 dark (Chardon et al. 1991).
        hair_style: one of HAIR_STYLES.
        hair_colour: one of HAIR_COLOURS, before greying.
        grey: share of grey in hair and brows.
        brows: density of the brows.
        stubble: density of the beard's shadow.
        make_up: strength of the colour on lips and lids.
        glasses: one of GLASSES.
        eye_colour: one of EYE_COLOURS.
        yaw: turn to the side, degrees, to the picture's right above 0.
        pitch: nod, degrees, down above 0.
        roll: tilt, degrees, counter-clockwise above 0.
        key_light: strength of the main light.
        key_azimuth: its side, degrees, from the picture's right above 0.
        key_elevation: its height, degrees.
        warmth: its colour, from bluish to yellowish.
        ambient: strength of the light from all sides.
        background: sRGB colour as "#rrggbb".
        clothes: sRGB colour as "#rrggbb".

    Raises:
        DataError: for an unknown name, or a value out of its range.

    >>> FaceFactors(expression={"happy": 1.0}, age=30).skin_ita
    30.0
    """

    expression: Mapping[str, float] = field(default_factory=lambda: {"neutral": 1.0})
    intensity: float = _number(1.0, 0, 1.2, "share of the full expression")
    actions: Mapping[str, float] = field(default_factory=dict)
    mirrored: bool = False
    identity: int = _number(0, 0, 2**63 - 1, "seed")
    gender: float = _number(0.5, 0, 1, "0 female, 1 male")
    age: float = _number(30.0, 4, 80, "years")
    african: float = _number(1.0, 0, 1, "weight")
    asian: float = _number(1.0, 0, 1, "weight")
    caucasian: float = _number(1.0, 0, 1, "weight")
    weight: float = _number(0.5, 0, 1, "share")
    skin_ita: float = _number(30.0, -65, 60, "degrees")
    hair_style: str = _choice("short", HAIR_STYLES)
    hair_colour: str = _choice("dark brown", HAIR_COLOURS)
    grey: float = _number(0.0, 0, 1, "share")
    brows: float = _number(0.85, 0, 1.2, "density")
    stubble: float = _number(0.0, 0, 1, "density")
    make_up: float = _number(0.0, 0, 1, "strength")
    glasses: str = _choice("none", GLASSES)
    eye_colour: str = _choice("brown", EYE_COLOURS)
    yaw: float = _number(0.0, -45, 45, "degrees")
    pitch: float = _number(0.0, -30, 30, "degrees")
    roll: float = _number(0.0, -30, 30, "degrees")
    key_light: float = _number(1.0, 0.5, 1.5, "strength")
    key_azimuth: float = _number(25.0, -80, 80, "degrees")
    key_elevation: float = _number(30.0, -20, 80, "degrees")
    warmth: float = _number(0.0, -1, 1, "bluish to yellowish")
    ambient: float = _number(0.45, 0.2, 0.8, "strength")
    background: str = "#8f959e"
    clothes: str = "#3b5168"

    def __post_init__(self) -> None:
        """Hold every value against its range."""
        for name in _WEIGHTS:
            object.__setattr__(self, name, dict(getattr(self, name)))
        for each in fields(self):
            value = getattr(self, each.name)
            if "options" in each.metadata and value not in each.metadata["options"]:
                raise _wrong(each.name, value, f"one of {', '.join(each.metadata['options'])}")
            if (
                "low" in each.metadata
                and not each.metadata["low"] <= value <= each.metadata["high"]
            ):
                low, high, unit = (each.metadata[key] for key in ("low", "high", "unit"))
                raise _wrong(each.name, value, f"{low} to {high} ({unit})")
        unknown = set(self.expression) - set(EXPRESSIONS)
        if unknown or not self.expression:
            raise _wrong(
                "expression", dict(self.expression), f"weights of {', '.join(EXPRESSIONS)}"
            )
        if self.african + self.asian + self.caucasian <= 0:
            raise _wrong("african, asian and caucasian", "all 0", "a weight above 0")
        for name in ("background", "clothes"):
            if not re.fullmatch(r"#[0-9a-f]{6}", getattr(self, name)):
                raise _wrong(name, getattr(self, name), 'a colour as "#rrggbb"')

    def record(self) -> dict[str, float | int | str | bool]:
        """Return the factors as one flat row of a table; the weights are JSON."""
        row = {each.name: getattr(self, each.name) for each in fields(self)}
        return row | {name: json.dumps(dict(row[name])) for name in _WEIGHTS}

    @classmethod
    def from_record(cls, row: Mapping[str, Any]) -> "FaceFactors":
        """Return the factors of a row that `record` wrote; further columns are ignored."""
        values = {each.name: row[each.name] for each in fields(cls)}
        return cls(**(values | {name: json.loads(values[name]) for name in _WEIGHTS}))


_WEIGHTS = ("expression", "actions")


def _wrong(name: str, found: object, expected: str) -> DataError:
    return DataError(f"the factor {name} is {found!r}", expected)
