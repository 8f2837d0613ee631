"""Factors of any face, for tests."""

from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import strategies as st

from facebias.faces.arrays import Float32
from facebias.faces.factors import EXPRESSIONS, FaceFactors
from facebias.faces.landmarks import landmark_names, landmark_points

NUMBERS = tuple(each.name for each in fields(FaceFactors) if "low" in each.metadata)
CHOICES = tuple(each.name for each in fields(FaceFactors) if "options" in each.metadata)
COLOURS = ("background", "clothes")
LIMITS = {each.name: each.metadata for each in fields(FaceFactors)}

_WEIGHT = st.floats(0, 1.2)


def identities() -> st.SearchStrategy[int]:
    return st.integers(0, 2**63 - 1)


def any_factors() -> st.SearchStrategy[FaceFactors]:
    """Draw factors from all that there are."""
    return st.fixed_dictionaries(
        {name: _numbers(name) for name in NUMBERS}
        | {name: st.sampled_from(LIMITS[name]["options"]) for name in CHOICES}
        | dict.fromkeys(COLOURS, st.from_regex("#[0-9a-f]{6}", fullmatch=True))
        | {"mirrored": st.booleans(), "caucasian": st.floats(0.1, 1)}
        | {"expression": st.dictionaries(st.sampled_from(list(EXPRESSIONS)), _WEIGHT, min_size=1)}
        | {"actions": st.dictionaries(st.sampled_from(["jawOpen", "eyeBlinkLeft"]), _WEIGHT)}
    ).map(lambda values: FaceFactors(**values))


def _numbers(name: str) -> st.SearchStrategy[Any]:
    if name == "identity":
        return identities()
    return st.floats(LIMITS[name]["low"], LIMITS[name]["high"])


def marks_of(vertices: Float32) -> dict[str, np.ndarray]:
    """Return the landmarks of a mesh or of a picture by their names."""
    return dict(zip(landmark_names(), landmark_points(vertices).astype(np.float64), strict=True))
