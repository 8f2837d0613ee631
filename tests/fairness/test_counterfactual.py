import math

import numpy as np
import pandas as pd
import pytest

from facebias.errors import DataError
from facebias.fairness.counterfactual import OWN, counterfactual_flips
from facebias.fairness.intervals import wilson_interval

CLASSES = ("negative", "neutral", "positive")
Row = tuple[str, str | None, str | None, str | None, str, str | None]


def frame(*rows: Row) -> pd.DataFrame:
    """Return predictions of (id, pair, factor, value, predicted, label)."""
    names = ["id", "pair", "pair_factor", "pair_value", "predicted", "label"]
    return pd.DataFrame(rows, columns=names)


def pairs(*decisions: tuple[str, str, str | None]) -> pd.DataFrame:
    """Return originals at 47 and their twins at -50: (before, after, label) of each pair."""
    return frame(
        *(
            row
            for n, (before, after, label) in enumerate(decisions)
            for row in (
                (f"{n}", f"{n}", "skin_ita", "47", before, label),
                (f"{n}b", f"{n}", "skin_ita", "-50", after, label),
            )
        )
    )


FOUR = pairs(
    ("positive", "negative", "positive"),
    ("positive", "negative", "positive"),
    ("neutral", "negative", "neutral"),
    ("positive", "positive", "positive"),
)


def test_flips_of_four_pairs_by_hand() -> None:
    (found,) = counterfactual_flips(FOUR, CLASSES)
    assert (found.factor, found.before, found.after) == ("skin_ita", "47", "-50")
    assert (found.n, found.flips, found.share, found.method) == (4, 3, 0.75, "wilson")
    assert (found.low, found.high) == pytest.approx([float(x) for x in wilson_interval(3, 4)])
    assert found.directions == [
        {"from": "positive", "to": "negative", "n": 2},
        {"from": "neutral", "to": "negative", "n": 1},
    ]
    by_label = {row["label"]: row for row in found.by_label}
    assert [by_label[name]["n"] for name in CLASSES] == [0, 1, 3]
    assert by_label["positive"]["share"] == pytest.approx(2 / 3)
    assert by_label["neutral"]["share"] == 1
    assert math.isnan(by_label["negative"]["share"])
    assert math.isnan(by_label["negative"]["high"])


@pytest.mark.parametrize("own", [None, "own id"])
def test_an_original_names_itself_or_nobody(own: str | None) -> None:
    faces = FOUR.copy()
    if own is None:
        faces.loc[faces["pair"] == faces["id"], "pair"] = None
    (found,) = counterfactual_flips(faces, CLASSES)
    assert (found.n, found.flips) == (4, 3)


def test_the_order_of_rows_plays_no_part() -> None:
    (found,) = counterfactual_flips(FOUR.sample(frac=1, random_state=3), CLASSES)
    (expected,) = counterfactual_flips(FOUR, CLASSES)
    assert (found.n, found.flips, found.low) == (expected.n, expected.flips, expected.low)


def test_originals_have_their_own_value_and_fill_in_for_one_that_they_have() -> None:
    faces = frame(
        ("a", "a", "skin_ita", "20", "neutral", "neutral"),
        ("a1", "a", "skin_ita", "47", "neutral", "neutral"),
        ("a2", "a", "skin_ita", "-50", "negative", "neutral"),
        ("b", "b", "skin_ita", "47", "positive", "positive"),  # no twin at its own value
        ("b2", "b", "skin_ita", "-50", "positive", "positive"),
    )
    found = {(each.before, each.after): each for each in counterfactual_flips(faces, CLASSES)}
    assert list(found) == [(OWN, "47"), (OWN, "-50"), ("47", "-50")]
    assert [(each.n, each.flips) for each in found.values()] == [(2, 0), (2, 1), (2, 1)]
    assert found["47", "-50"].directions == [{"from": "neutral", "to": "negative", "n": 1}]


def test_twins_without_their_original_are_compared_with_each_other() -> None:
    faces = frame(
        ("a1", "a", "age", "10", "neutral", None),
        ("a2", "a", "age", "70", "negative", None),
        ("b1", "b", "age", "10", "neutral", None),
    )
    (found,) = counterfactual_flips(faces, CLASSES)
    assert (found.before, found.after, found.n, found.flips) == ("10", "70", 1, 1)
    assert [row["n"] for row in found.by_label] == [0, 0, 0]


def test_values_that_no_original_has_both_of_are_undefined() -> None:
    faces = frame(
        ("a1", "a", "age", "10", "neutral", None), ("b2", "b", "age", "70", "neutral", None)
    )
    (found,) = counterfactual_flips(faces, CLASSES)
    assert (found.n, found.flips, found.directions) == (0, 0, [])
    assert all(math.isnan(value) for value in (found.share, found.low, found.high))


def test_factors_are_kept_apart() -> None:
    faces = frame(
        ("a", "a", None, None, "neutral", "neutral"),
        ("a1", "a", "age", "70", "negative", "neutral"),
        ("a2", "a", "glasses", "round", "neutral", "neutral"),
    )
    found = counterfactual_flips(faces, CLASSES)
    assert [(each.factor, each.before, each.flips) for each in found] == [
        ("age", OWN, 1),
        ("glasses", OWN, 0),
    ]


def test_faces_without_counterfactuals_have_nothing_to_compare() -> None:
    assert counterfactual_flips(frame(("a", "a", None, None, "neutral", None)), CLASSES) == []


def test_persons_with_several_faces_are_resampled() -> None:
    flips = ("neutral", "negative", "neutral")
    stays = ("neutral", "neutral", "neutral")
    faces = pairs(*[flips] * 20, *[stays] * 20)
    numbers = np.repeat(np.arange(40), 2)
    alone = faces.assign(identity=[f"person{n}" for n in np.arange(80) // 2])
    four = faces.assign(identity=[f"person{n // 4}" for n in numbers])  # all flip, or none
    (independent,) = counterfactual_flips(alone, CLASSES)
    (persons,) = counterfactual_flips(four, CLASSES, replicates=200)
    assert (independent.method, persons.method) == ("wilson", "wilson, by person")
    assert persons.share == independent.share == 0.5
    assert persons.high - persons.low > 1.5 * (independent.high - independent.low)


@pytest.mark.parametrize(
    ("faces", "says"),
    [
        (FOUR.drop(columns="pair_value"), "pair_value"),
        (FOUR.assign(pair_value=None), "do not say what was changed"),
        (pd.concat([FOUR, FOUR.tail(1).assign(id="again")]), "two faces with skin_ita = -50"),
    ],
)
def test_tables_that_tell_no_pairs_are_refused(faces: pd.DataFrame, says: str) -> None:
    with pytest.raises(DataError, match=says):
        counterfactual_flips(faces, CLASSES)


def test_everything_is_plain_for_json() -> None:
    (found,) = counterfactual_flips(FOUR, CLASSES)
    content = found.to_dict()
    assert content["share"] == 0.75
    assert {type(row["n"]) for row in content["by_label"]} == {int}


def scored(faces: pd.DataFrame, negative: list[float]) -> pd.DataFrame:
    """Give faces these scores of negative, and split the rest among the others."""
    rest = [(1 - score) / 2 for score in negative]
    return faces.assign(p_negative=negative, p_neutral=rest, p_positive=rest)


def test_score_shifts_of_four_pairs_by_hand() -> None:
    # Before and after: .1 to .3, .2 to .4, .2 to .2, .4 to .6.
    (found,) = counterfactual_flips(scored(FOUR, [0.1, 0.3, 0.2, 0.4, 0.2, 0.2, 0.4, 0.6]), CLASSES)
    shifts = {(row["label"], row["class"]): row for row in found.shifts}
    overall = shifts[None, "negative"]
    assert (overall["shift"], overall["n"], overall["units"]) == (pytest.approx(0.15), 4, 4)
    half = 3.182446 * 0.1 / 2  # Student's t with 3 degrees of freedom; the deviation is .1
    assert (overall["low"], overall["high"]) == pytest.approx((0.15 - half, 0.15 + half), abs=1e-6)
    assert overall["method"] == "paired student"
    assert shifts[None, "positive"]["shift"] == pytest.approx(-0.075)
    assert shifts["positive", "negative"]["shift"] == pytest.approx(0.2)
    assert shifts["positive", "negative"]["n"] == 3
    assert math.isnan(shifts["negative", "negative"]["shift"])
    assert shifts["negative", "negative"]["method"] == "none"


def test_score_shifts_of_persons_are_paired_by_person() -> None:
    moves = np.repeat([0.1, 0.3, 0.2, 0.4], 4)
    faces = pairs(*[("neutral", "neutral", "neutral")] * 16)
    table = scored(faces, np.stack([np.full(16, 0.2), 0.2 + moves], axis=1).ravel().tolist())
    persons = table.assign(identity=[f"person{n // 8}" for n in range(32)])
    (apart,) = counterfactual_flips(table, CLASSES)
    (found,) = counterfactual_flips(persons, CLASSES, replicates=50)
    assert found.shifts[0]["shift"] == pytest.approx(apart.shifts[0]["shift"]) == 0.25
    assert (found.shifts[0]["units"], found.shifts[0]["n"]) == (4, 16)
    assert found.shifts[0]["method"] == "paired student, by person"
    width = found.shifts[0]["high"] - found.shifts[0]["low"]
    assert width > 2 * (apart.shifts[0]["high"] - apart.shifts[0]["low"])


def test_shifts_that_are_all_alike_have_no_interval_and_no_scores_no_shifts() -> None:
    (found,) = counterfactual_flips(scored(FOUR, [0.25, 0.5] * 4), CLASSES)
    assert (found.shifts[0]["shift"], found.shifts[0]["method"]) == (0.25, "none")
    assert math.isnan(found.shifts[0]["low"])
    (bare,) = counterfactual_flips(FOUR, CLASSES)
    assert bare.shifts == []
