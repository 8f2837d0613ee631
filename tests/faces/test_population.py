"""Populations: what is equal, what is independent, what is coupled, and what never changes."""

import re
import subprocess
import sys
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facebias.errors import DataError
from facebias.faces.factors import EXPRESSIONS, VALENCE, FaceFactors
from facebias.faces.population import (
    FACTOR,
    GROUPS,
    POPULATIONS,
    draw_faces,
    factors_of,
    groups_of,
    monk_tone,
    skin_tone,
)
from facebias.faces.skin import lab_of_linear, linear_of_hex, skin_lab

LABELS = ("expression", "valence")
OF_PERSON = ("gender", "age", "skin_tone", "ethnicity", "hair_style", "hair_colour")


@pytest.fixture(scope="module")
def crossed() -> pd.DataFrame:
    return draw_faces(6000, seed=0)


@pytest.fixture(scope="module")
def realistic() -> pd.DataFrame:
    return draw_faces(6000, seed=0, population="realistic", equal_by="valence")


def _dependence(left: pd.Series, right: pd.Series) -> float:
    """Return how far chi-square is above its mean under independence, in standard deviations."""
    seen = pd.crosstab(left, right).to_numpy(float)
    expected = np.outer(seen.sum(1), seen.sum(0)) / seen.sum()
    degrees = (seen.shape[0] - 1) * (seen.shape[1] - 1)
    return float((((seen - expected) ** 2 / expected).sum() - degrees) / np.sqrt(2 * degrees))


@settings(max_examples=20, deadline=None)
@given(
    few=st.integers(1, 40),
    more=st.integers(0, 40),
    seed=st.integers(0, 2**40),
    population=st.sampled_from(POPULATIONS),
    equal_by=st.sampled_from(LABELS),
    each=st.integers(1, 7),
)
def test_the_first_faces_do_not_depend_on_how_many_follow(
    few: int, more: int, seed: int, population: str, equal_by: str, each: int
) -> None:
    chosen = {"population": population, "equal_by": equal_by, "faces_per_identity": each}
    drawn = [draw_faces(n, seed=seed, **chosen) for n in (few, few + more)]  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(drawn[0], drawn[1].head(few))


def test_other_processes_draw_the_same_faces() -> None:
    code = "from facebias.faces.population import *; print(draw_faces(9, seed=5).to_csv())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == draw_faces(9, seed=5).to_csv() + "\n"


def test_seeds_differ() -> None:
    one, other = (draw_faces(16, seed=seed) for seed in (0, 1))
    assert not (one["factor_identity"] == other["factor_identity"]).any()
    assert one["expression"].tolist() != other["expression"].tolist()


@pytest.mark.parametrize("blocks", [1, 2, 13])
@pytest.mark.parametrize("population", POPULATIONS)
def test_expressions_are_equally_frequent_in_every_block(population: str, blocks: int) -> None:
    faces = draw_faces(8 * blocks, seed=3, population=population)
    assert faces["expression"].value_counts().to_dict() == dict.fromkeys(EXPRESSIONS, blocks)


@pytest.mark.parametrize("blocks", [1, 7])
def test_valences_are_equally_frequent_in_every_block(blocks: int) -> None:
    faces = draw_faces(30 * blocks, seed=3, equal_by="valence")
    assert set(faces["valence"].value_counts()) == {10 * blocks}
    shown = faces["expression"].value_counts()
    assert set(shown[["happy", "surprise"]]) == {5 * blocks}
    assert set(shown[[name for name in EXPRESSIONS if VALENCE[name] == "negative"]]) == {2 * blocks}


def test_labels_are_in_another_order_in_each_block() -> None:
    labels = draw_faces(80, seed=0)["expression"].to_numpy().reshape(10, 8)
    assert len({tuple(block) for block in labels}) == 10


@pytest.mark.parametrize("population", POPULATIONS)
def test_the_label_depends_on_nothing(population: str, request: pytest.FixtureRequest) -> None:
    faces: pd.DataFrame = request.getfixturevalue(population)
    for label in LABELS:
        for attribute in (*GROUPS, "monk_tone", "factor_mirrored", "factor_eye_colour"):
            assert _dependence(faces[label], faces[attribute]) < 4, (label, attribute)
        for factor in ("factor_yaw", "factor_key_azimuth", "factor_intensity", "factor_weight"):
            assert _dependence(faces[label], faces[factor] > faces[factor].median()) < 4, factor


def test_attributes_of_crossed_people_are_independent(crossed: pd.DataFrame) -> None:
    people = crossed.drop_duplicates("identity")
    people = people.assign(grey=people["factor_grey"] > 0, eyes=people["factor_eye_colour"])
    for one, other in combinations((*OF_PERSON, "grey", "eyes"), 2):
        assert _dependence(people[one], people[other]) < 4, (one, other)


def test_what_crossed_faces_wear_is_independent_of_who_they_are(crossed: pd.DataFrame) -> None:
    for worn in ("stubble", "make_up"):
        has = crossed[FACTOR + worn] > 0
        assert has.mean() == pytest.approx(0.15, abs=0.02)
        for attribute in OF_PERSON:
            assert _dependence(has, crossed[attribute]) < 4, (worn, attribute)
    stubbled = crossed[(crossed["factor_stubble"] > 0) & (crossed["gender"] == "female")]
    assert "child" in set(stubbled["age"])


def test_crossed_numbers_are_uncorrelated(crossed: pd.DataFrame) -> None:
    people = crossed.drop_duplicates("identity").select_dtypes(float)
    people = people.drop(columns=[FACTOR + name for name in GROUPS["ethnicity"]])  # add up to 1
    correlations = people.corr().to_numpy()
    assert np.abs(correlations[np.triu_indices_from(correlations, 1)]).max() < 0.12


def test_groups_of_crossed_faces_are_equally_likely(crossed: pd.DataFrame) -> None:
    people = crossed.drop_duplicates("identity")
    for attribute in OF_PERSON:
        shares = people[attribute].value_counts(normalize=True)
        assert set(shares.index) == set(GROUPS[attribute])
        assert shares.to_numpy() == pytest.approx(1 / len(shares), abs=0.05), attribute
    assert (crossed["glasses"] != "none").mean() == pytest.approx(0.12, abs=0.02)


def test_realistic_people_are_coupled(realistic: pd.DataFrame) -> None:
    people = realistic.drop_duplicates("identity")
    angle = people.groupby("ethnicity")["factor_skin_ita"].mean()
    assert angle["african"] < angle["asian"] < angle["caucasian"]
    assert (people.loc[people["factor_age"] < 35, "factor_grey"] == 0).all()
    assert people.loc[people["age"] == "older", "factor_grey"].mean() > 0.5
    assert "bald" not in set(people.loc[people["age"] == "child", "hair_style"])
    assert set(people.loc[people["hair_style"] == "afro", "ethnicity"]) == {"african"}
    for coupled in ("hair_colour", "factor_eye_colour", "skin_tone"):
        assert _dependence(people["ethnicity"], people[coupled]) > 20, coupled
    assert _dependence(people["gender"], people["hair_style"]) > 20


def test_only_realistic_adult_men_have_stubble(realistic: pd.DataFrame) -> None:
    stubbled = realistic[realistic["factor_stubble"] > 0]
    assert set(stubbled["gender"]) == {"male"}
    assert set(stubbled["age"]) == {"adult", "older"}
    made_up = realistic[realistic["factor_make_up"] > 0]
    assert "child" not in set(made_up["age"])
    assert (made_up["gender"] == "female").mean() > 0.8


def test_a_person_stays_the_same(crossed: pd.DataFrame) -> None:
    kept = ["identity", "gender", "age", *GROUPS["ethnicity"], "weight", "skin_ita", "hair_style"]
    kept += ["hair_colour", "grey", "brows", "eye_colour"]
    values = crossed.groupby("identity")[[FACTOR + name for name in kept]].nunique()
    assert (values == 1).all(axis=None)
    assert crossed["identity"].nunique() == crossed["factor_identity"].nunique() == 1500
    assert crossed["identity"].iloc[[0, 3, 4]].tolist() == 2 * ["person 00000"] + ["person 00001"]


def test_groups_are_those_that_are_declared(crossed: pd.DataFrame) -> None:
    for attribute, groups in GROUPS.items():
        assert set(crossed[attribute]) <= set(groups)
    assert crossed["monk_tone"].between(1, 10).all()
    assert crossed["id"].is_unique
    dark = crossed[crossed["skin_tone"] == "dark"]
    assert dark["monk_tone"].min() >= crossed[crossed["skin_tone"] == "light"]["monk_tone"].max()


def test_factors_come_back_from_a_row(crossed: pd.DataFrame) -> None:
    row = crossed.iloc[17]
    factors = factors_of(row)
    assert factors == factors_of(crossed.head(18).to_dict("records")[-1])
    assert groups_of(factors) == {name: row[name] for name in groups_of(factors)}
    assert type(factors.identity) is int
    assert type(factors.mirrored) is bool


@pytest.mark.parametrize(
    "row", [{"id": "7"}, {**{FACTOR + name: None for name in FaceFactors().record()}, "id": "7"}]
)
def test_a_row_without_factors_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(DataError, match="the row '7' holds no factors"):
        factors_of(row)


def test_each_monk_tone_is_its_own_nearest() -> None:
    middle = ("#d7bd96", "#a07e56", "#825c43")
    assert [monk_tone(lab_of_linear(linear_of_hex(colour))) for colour in middle] == [5, 6, 7]


@given(st.floats(-65, 60), st.floats(-65, 60))
def test_a_darker_skin_has_no_lighter_tone(one: float, other: float) -> None:
    dark, light = sorted((one, other))
    assert monk_tone(skin_lab(dark)) >= monk_tone(skin_lab(light))
    tones = GROUPS["skin_tone"]
    assert tones.index(skin_tone(dark)) >= tones.index(skin_tone(light))


def test_a_mixture_is_labelled_by_its_strongest_expression() -> None:
    groups = groups_of(FaceFactors(expression={"neutral": 0.4, "happy": 0.6}))
    assert (groups["expression"], groups["valence"]) == ("happy", "positive")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"n": 0}, "n is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"faces_per_identity": 0}, "faces_per_identity is 0"),
        ({"population": "crosed"}, "did you mean crossed?"),
        ({"equal_by": "label"}, "one of expression, valence"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(DataError, match=re.escape(says)):
        draw_faces(**({"n": 8, "seed": 0} | arguments))  # type: ignore[arg-type]
