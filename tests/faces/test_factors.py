import json
import math
import pickle

import pytest
from hypothesis import given, settings

from facebias.errors import DataError
from facebias.faces.factors import EXPRESSIONS, VALENCE, FaceFactors
from tests.faces.made_factors import CHOICES, COLOURS, LIMITS, NUMBERS, any_factors


def with_value(name: str, value: object) -> FaceFactors:
    return FaceFactors.from_record(FaceFactors().record() | {name: value})


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_have_ranges(name: str) -> None:
    low, high = LIMITS[name]["low"], LIMITS[name]["high"]
    assert getattr(with_value(name, low), name) == low
    assert getattr(with_value(name, high), name) == high
    for value in (low - 1, high * 2 + 1, math.nan):
        with pytest.raises(DataError, match=name) as caught:
            with_value(name, value)
        assert f"{low} to {high}" in str(caught.value)


@pytest.mark.parametrize("name", CHOICES)
def test_choices_have_options(name: str) -> None:
    for value in LIMITS[name]["options"]:
        assert getattr(with_value(name, value), name) == value
    with pytest.raises(DataError, match=name) as caught:
        with_value(name, "purple")
    assert LIMITS[name]["options"][-1] in str(caught.value)


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("value", ["red", "#fff", "#FFFFFF", "#ffffff "])
def test_colours_are_written_in_one_way(name: str, value: str) -> None:
    with pytest.raises(DataError, match="rrggbb"):
        with_value(name, value)


@pytest.mark.parametrize("expression", [{}, {"joy": 1.0}, {"happy": 0.5, "joy": 0.5}])
def test_an_expression_is_made_of_the_eight(expression: dict[str, float]) -> None:
    with pytest.raises(DataError, match="contempt"):
        FaceFactors(expression=expression)


def test_an_ethnicity_is_needed() -> None:
    with pytest.raises(DataError, match="a weight above 0"):
        FaceFactors(african=0, asian=0, caucasian=0)
    assert FaceFactors(african=0, asian=0, caucasian=0.1).caucasian == 0.1


def test_every_expression_has_a_valence() -> None:
    assert set(VALENCE) == set(EXPRESSIONS)
    assert {name for name, valence in VALENCE.items() if valence == "positive"} == {
        "happy",
        "surprise",
    }
    assert [name for name, valence in VALENCE.items() if valence == "neutral"] == ["neutral"]


def test_weights_are_the_faces_own() -> None:
    weights, actions = {"happy": 0.5, "sad": 0.5}, {"jawOpen": 0.2}
    factors = FaceFactors(expression=weights, actions=actions)
    weights["happy"], actions["jawOpen"] = 0.0, 1.0
    assert factors.expression == {"happy": 0.5, "sad": 0.5}
    assert factors.actions == {"jawOpen": 0.2}


@settings(max_examples=50, deadline=None, derandomize=True)
@given(any_factors())
def test_records_and_pickles_keep_everything(factors: FaceFactors) -> None:
    row = factors.record()
    assert all(isinstance(value, (bool, int, float, str)) for value in row.values())
    assert FaceFactors.from_record(row | {"label": "happy"}) == factors
    assert FaceFactors.from_record(json.loads(json.dumps(row))) == factors
    assert pickle.loads(pickle.dumps(factors)) == factors  # noqa: S301 - our own bytes
