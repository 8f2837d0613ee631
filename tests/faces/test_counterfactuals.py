"""Counterfactual twins: one factor differs, nothing else, and the groups follow."""

import re
from dataclasses import fields
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facebias.errors import DataError
from facebias.faces.counterfactuals import FACTORS, counterfactuals, with_counterfactuals
from facebias.faces.factors import EXPRESSIONS, VALENCE, FaceFactors
from facebias.faces.population import FACTOR, draw_faces, factors_of, groups_of

FACES = draw_faces(5, seed=0, faces_per_identity=2)
FIELDS = {each.name: each.metadata for each in fields(FaceFactors)}


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, Any]:
    """Draw a factor and a value that it can have."""
    factor = draw(st.sampled_from(FACTORS))
    limits = FIELDS[factor]
    if factor == "expression":
        return factor, draw(st.sampled_from(list(EXPRESSIONS)))
    if "options" in limits:
        return factor, draw(st.sampled_from(limits["options"]))
    return factor, draw(st.floats(limits["low"], limits["high"]))


@settings(max_examples=60, deadline=None)
@given(changes())
def test_exactly_one_factor_changes(change: tuple[str, Any]) -> None:
    factor, value = change
    twins = counterfactuals(FACES, factor, [value]).set_index("pair", drop=False)
    originals = FACES.set_index("id").loc[twins["pair"]]
    columns = [name for name in FACES if name.startswith(FACTOR)]
    different = (twins[columns] != originals[columns]).any()
    assert set(different.index[different]) <= {FACTOR + factor}
    assert (twins[FACTOR + factor] != originals[FACTOR + factor]).all()
    assert (twins["identity"] == originals["identity"]).all()
    assert set(twins["pair_factor"]) <= {factor}


@settings(max_examples=60, deadline=None)
@given(changes())
def test_labels_and_groups_follow_the_factors(change: tuple[str, Any]) -> None:
    for row in counterfactuals(FACES, change[0], [change[1]]).to_dict("records"):
        groups = groups_of(factors_of(row))
        assert {name: row[name] for name in groups} == groups
        assert re.fullmatch(r"\d{6}_[\w=.+-]+", row["id"])


def test_twins_at_two_skins() -> None:
    twins = counterfactuals(FACES, "skin_ita", [47, -50])
    assert twins["id"].tolist()[:2] == ["000000_skin_ita=47", "000000_skin_ita=-50"]
    assert twins["pair_value"].tolist()[:2] == ["47", "-50"]
    assert twins["skin_tone"].tolist() == 5 * ["light", "dark"]
    assert twins["expression"].tolist()[::2] == FACES["expression"].tolist()


def test_twins_with_another_expression_have_its_labels() -> None:
    twins = counterfactuals(FACES, "expression", ["happy"])
    assert set(twins["valence"]) == {VALENCE["happy"]}
    assert set(twins["factor_expression"]) == {'{"happy": 1.0}'}


def test_a_face_gets_no_twin_at_its_own_value() -> None:
    everyone = counterfactuals(FACES, "expression", list(EXPRESSIONS))
    assert len(everyone) == len(FACES) * (len(EXPRESSIONS) - 1)
    assert not set(zip(FACES["id"], FACES["expression"], strict=True)) & set(
        zip(everyone["pair"], everyone["pair_value"], strict=True)
    )


def test_a_value_given_twice_makes_one_twin() -> None:
    assert len(counterfactuals(FACES, "skin_ita", [47, 47.0])) == len(FACES)


def test_names_with_blanks_make_names_of_files() -> None:
    twins = counterfactuals(FACES, "hair_colour", ["dark brown"])
    assert twins["id"].str.endswith("_hair_colour=dark-brown").all()
    assert set(twins["pair_value"]) == {"dark brown"}


@pytest.mark.parametrize("factor", ["skin_ita", "expression", "glasses"])
def test_originals_say_their_own_value(factor: str) -> None:
    value = {"skin_ita": 47, "expression": "happy", "glasses": "round"}[factor]
    both = with_counterfactuals(FACES, factor, [value])
    own = both[both["pair"] == both["id"]]
    column = "expression" if factor == "expression" else FACTOR + factor
    assert own["pair_value"].tolist() == [str(found) for found in FACES[column]]
    assert len(both) == len(FACES) + len(counterfactuals(FACES, factor, [value]))
    assert both["id"].is_unique
    pd.testing.assert_frame_equal(own[list(FACES)], FACES)


def test_twins_of_a_table_with_twins_are_named_anew() -> None:
    twins = counterfactuals(with_counterfactuals(FACES, "age", [70]), "skin_ita", [47])
    assert len(twins) == 10
    assert "000000_age=70_skin_ita=47" in set(twins["id"])


@pytest.mark.parametrize(
    ("factor", "values", "says"),
    [
        ("skin_it", [47], "did you mean skin_ita"),
        ("identity", [3], "no twins by 'identity'"),
        ("background", ["#000000"], "no twins by 'background'"),
        ("skin_ita", [], "no values of skin_ita"),
        ("skin_ita", [470], "skin_ita is 470.0"),
        ("skin_ita", ["light"], "a value of skin_ita is 'light'"),
        ("skin_ita", [True], "a value of skin_ita is True"),
        ("skin_ita", [float("nan")], "skin_ita is nan"),
        ("hair_style", ["log"], "did you mean long?"),
        ("expression", ["hapy"], "did you mean happy?"),
    ],
)
def test_wrong_twins_are_refused(factor: str, values: list[Any], says: str) -> None:
    with pytest.raises(DataError, match=re.escape(says)):
        counterfactuals(FACES, factor, values)
