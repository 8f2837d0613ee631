from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from facebias.errors import DataError
from facebias.fairness.intervals import wilson_interval
from facebias.fairness.predictions import UNKNOWN, GroupCodes, all_group_codes, scored_rows
from facebias.fairness.settings import Settings
from facebias.fairness.valence import (
    CORRECTED,
    RAW,
    READINGS,
    SCORES,
    VALENCES,
    ValenceModel,
    valence_differences,
    valence_readings,
)

SETTINGS = Settings(min_group=2)
COLUMNS = [f"p_{name}" for name in VALENCES]
EQUAL = dict.fromkeys(VALENCES, 1.0)
TOY = pd.DataFrame(
    [
        # id, gender, label, predicted, p(negative), p(neutral), p(positive)
        ("a", "f", "neutral", "negative", 0.6, 0.3, 0.1),
        ("b", "f", "neutral", "negative", 0.5, 0.4, 0.1),
        ("c", "f", "neutral", "neutral", 0.2, 0.7, 0.1),
        ("d", "f", "negative", "negative", 0.55, 0.4, 0.05),
        ("e", "f", "negative", "negative", 0.8, 0.1, 0.1),
        ("g", "m", "neutral", "neutral", 0.1, 0.8, 0.1),
        ("h", "m", "neutral", "positive", 0.1, 0.4, 0.5),
        ("i", "m", "positive", "positive", 0.1, 0.2, 0.7),
        ("j", UNKNOWN, "neutral", "neutral", 0.2, 0.6, 0.2),
    ],
    columns=["id", "gender", "label", "predicted", *COLUMNS],
)


def model(table: pd.DataFrame, shares: dict[str, float] | None = None) -> ValenceModel:
    return ValenceModel(scored_rows(table, VALENCES), shares)


def gender(table: pd.DataFrame) -> GroupCodes:
    return all_group_codes(table, {"gender": ("f", "m", "nobody")}, [])[1]


def read(table: pd.DataFrame, shares: dict[str, float] | None = None) -> pd.DataFrame:
    return valence_readings(model(table, shares), gender(table), VALENCES, SETTINGS)


def row(table: pd.DataFrame, group: str, pair: str, reading: str) -> dict[str, Any]:
    true, answer = pair.split(" as ")
    chosen = (table["group"] == group) & (table["true"] == true) & (table["read"] == answer)
    (found,) = table[chosen & (table["reading"] == reading)].to_dict(orient="records")
    return {str(name): value for name, value in found.items()}


def test_the_toy_table_is_read_as_by_hand() -> None:
    found = read(TOY)
    women = row(found, "f", "neutral as negative", RAW)
    assert (women["value"], women["n"], women["units"]) == (pytest.approx(2 / 3), 3, 3)
    assert (women["method"], women["status"]) == ("wilson", "ok")
    expected = [float(each) for each in wilson_interval(2, 3)]
    assert [women["low"], women["high"]] == pytest.approx(expected)
    men = [row(found, "m", f"neutral as {name}", RAW)["value"] for name in VALENCES]
    assert men == [0, 0.5, 0.5]
    assert row(found, UNKNOWN, "neutral as neutral", RAW)["status"] == UNKNOWN
    assert row(found, "nobody", "neutral as neutral", RAW)["status"] == "empty"
    lacking = row(found, "f", "positive as negative", RAW)
    assert (lacking["n"], lacking["status"]) == (0, "undefined: no positive faces")
    assert np.isnan(lacking["value"])


def test_scores_say_how_often_a_neutral_face_looks_more_negative_than_a_negative_one() -> None:
    found = row(read(TOY), "f", "neutral as negative", SCORES)
    # p(negative) among the two: a 2/3, b 5/9, c 2/9 against d .579, e 8/9: a beats d, of 6 pairs.
    assert (found["value"], found["n"]) == (pytest.approx(1 / 6), 5)


def test_scores_on_the_diagonal_are_the_auroc() -> None:
    women = TOY[TOY["gender"] == "f"]
    expected = roc_auc_score(women["label"] == "neutral", women["p_neutral"])
    assert row(read(TOY), "f", "neutral as neutral", SCORES)["value"] == pytest.approx(expected)


def test_a_prior_shifts_the_raw_reading_and_neither_of_the_others() -> None:
    shares = {"negative": 0.8, "neutral": 0.1, "positive": 0.1}
    weights = np.array([shares[name] for name in VALENCES])
    shifted = TOY.copy()
    odds = TOY[COLUMNS].to_numpy() * weights
    shifted[COLUMNS] = odds / odds.sum(axis=1, keepdims=True)
    names = np.array(VALENCES, dtype=object)
    shifted["predicted"] = names[shifted[COLUMNS].to_numpy().argmax(axis=1)]
    before, after = read(TOY, EQUAL), read(shifted, shares)
    pair = "neutral as negative"
    assert row(after, "f", pair, RAW)["value"] > row(before, "f", pair, RAW)["value"]
    for reading in (CORRECTED, SCORES):
        for group in ("f", "m"):
            values = [row(each, group, pair, reading)["value"] for each in (before, after)]
            np.testing.assert_allclose(values[0], values[1])


def test_readings_that_cannot_be_made_say_why() -> None:
    hard = TOY.drop(columns=COLUMNS)
    for table, shares, reading, why in (
        (hard, None, SCORES, "the predictions lack scores"),
        (hard, EQUAL, CORRECTED, "the predictions lack scores"),
        (TOY, None, CORRECTED, "the shares of the training are not known"),
        (TOY, EQUAL | {"neutral": 0.0}, CORRECTED, "the model was not trained on neutral"),
    ):
        found = row(read(table, shares), "f", "neutral as negative", reading)
        assert (found["status"], np.isnan(found["value"])) == (f"undefined: {why}", True)
        assert row(read(table, shares), "f", "neutral as negative", RAW)["status"] == "ok"


def test_expressions_are_read_through_their_valence() -> None:
    classes = ("happy", "surprise", "sad", "neutral")
    valences = {"happy": "positive", "surprise": "positive", "sad": "negative"}
    table = pd.DataFrame(
        {
            "label": ["happy", "neutral", "neutral", "happy"],
            "predicted": ["surprise", "sad", "surprise", "sad"],
            "gender": "f",
        }
    )
    rows = ValenceModel(scored_rows(table, classes))
    codes = GroupCodes("gender", ("f",), np.zeros(4, dtype=np.int64))
    found = valence_readings(rows, codes, classes, SETTINGS, valences=valences)
    assert row(found, "f", "positive as positive", RAW)["value"] == 0.5
    assert row(found, "f", "neutral as negative", RAW)["value"] == 0.5
    assert row(found, "f", "neutral as neutral", RAW)["value"] == 0


def test_a_class_without_a_valence_is_refused() -> None:
    with pytest.raises(DataError, match="valence of focused is not known"):
        valence_readings(
            ValenceModel(scored_rows(TOY, (*VALENCES, "focused"))),
            gender(TOY),
            (*VALENCES, "focused"),
            SETTINGS,
        )


def test_persons_with_many_faces_are_fewer_than_their_faces() -> None:
    rng = np.random.default_rng(0)
    of_person = rng.random(60) < 0.4
    answers = np.where(np.repeat(of_person, 5), "negative", "neutral")
    table = pd.DataFrame({"label": "neutral", "predicted": answers, "gender": "f"})
    rows = row(read(table), "f", "neutral as negative", RAW)
    persons = table.assign(identity=np.repeat(np.arange(60), 5).astype(str))
    found = row(read(persons), "f", "neutral as negative", RAW)
    assert (found["method"], found["n"], found["units"]) == ("wilson, by person", 300, 60)
    expected = [float(each) for each in wilson_interval(of_person.sum(), 60)]
    assert [found["low"], found["high"]] == pytest.approx(expected, abs=0.01)
    assert found["high"] - found["low"] > 2 * (rows["high"] - rows["low"])


def random_pair(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two models' predictions of the same faces, which agree on most."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    shared = rng.normal(size=(n, 3)) + (labels[:, None] == np.arange(3))
    tables = []
    for lean in (0.3, 0.0):
        logits = shared + 0.3 * rng.normal(size=(n, 3)) + lean * np.array([1, 0, 0])
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        names = np.array(VALENCES, dtype=object)
        answers = {"label": names[labels], "predicted": names[scores.argmax(axis=1)]}
        table = pd.DataFrame(scores, columns=COLUMNS).assign(gender="f", **answers)
        tables.append(table.assign(id=[f"{number}" for number in range(n)]))
    return tables[0], tables[1]


def test_differences_are_of_the_same_faces_and_narrower_for_it() -> None:
    first, second = random_pair(900, 0)
    codes = gender(first)
    found = valence_differences(
        model(first, EQUAL), model(second, EQUAL), codes, VALENCES, SETTINGS
    )
    alone = [read(each, EQUAL) for each in (first, second)]
    for reading in READINGS:
        pair = "neutral as negative"
        difference = row(found, "f", pair, reading)
        single = [row(each, "f", pair, reading) for each in alone]
        assert difference["first_value"] == pytest.approx(single[0]["value"])
        assert difference["second_value"] == pytest.approx(single[1]["value"])
        expected = single[0]["value"] - single[1]["value"]
        assert difference["value"] == pytest.approx(expected)
        assert difference["low"] < expected < difference["high"]
        assert difference["high"] - difference["low"] < single[0]["high"] - single[0]["low"]
        assert difference["method"].startswith("paired")


def test_a_lean_towards_negative_is_found_raw_and_not_in_the_scores() -> None:
    first, second = random_pair(3000, 1)
    found = valence_differences(model(first), model(second), gender(first), VALENCES, SETTINGS)
    raw = row(found, "f", "neutral as negative", RAW)
    scores = row(found, "f", "neutral as negative", SCORES)
    assert raw["low"] > 0
    assert scores["low"] < 0 < scores["high"]


def test_models_that_agree_have_a_difference_of_0_and_an_interval() -> None:
    found = valence_differences(model(TOY), model(TOY), gender(TOY), VALENCES, SETTINGS)
    raw = row(found, "f", "neutral as negative", RAW)
    assert raw["value"] == 0
    assert raw["low"] == -raw["high"] < 0


def test_paired_intervals_cover_by_simulation() -> None:
    # 1,500 groups of 50 neutral faces; the first model reads 30 % as negative, the second 20 %.
    rng = np.random.default_rng(2)
    n = 1500 * 50
    second = rng.random(n) < 0.2
    first = second | (rng.random(n) < 0.125)
    tables = [
        pd.DataFrame({"label": "neutral", "predicted": np.where(each, "negative", "neutral")})
        for each in (first, second)
    ]
    codes = GroupCodes("set", tuple(map(str, range(1500))), np.arange(n) % 1500)
    found = valence_differences(model(tables[0]), model(tables[1]), codes, VALENCES, SETTINGS)
    of_negative = (found["true"] == "neutral") & (found["read"] == "negative")
    raw = found[of_negative & (found["reading"] == RAW)]
    assert 0.93 < ((raw["low"] <= 0.1) & (raw["high"] >= 0.1)).mean() < 0.98


@pytest.mark.parametrize("other", [TOY.iloc[::-1], TOY.iloc[1:], TOY.assign(id=list("zyxwvutsr"))])
def test_other_faces_are_refused(other: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="not the same or not in the same order"):
        valence_differences(model(TOY), model(other), gender(TOY), VALENCES, SETTINGS)
