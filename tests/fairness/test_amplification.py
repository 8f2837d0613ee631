from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from facebias.errors import DataError
from facebias.fairness.amplification import (
    bias_amplification,
    check_composition,
    directional,
    directional_pairs,
    mals,
)
from facebias.fairness.predictions import GroupCodes, ScoredRows
from facebias.fairness.settings import Settings

SETTINGS = Settings(replicates=300)
PAINTERS = np.array([[10, 30], [30, 10]])  # women, men: without and with a brush


def scored(counts: np.ndarray) -> tuple[ScoredRows, GroupCodes]:
    """Return rows with these counts[group, label, predicted]."""
    groups, labels, predicted = (
        np.repeat(each.ravel(), counts.ravel()) for each in np.indices(counts.shape)
    )
    rows = ScoredRows(pd.DataFrame({"label": labels}), labels, predicted, None, None, 0)
    return rows, GroupCodes("gender", ("f", "m"), groups)


def answers(train: np.ndarray, women: int, men: int) -> np.ndarray:
    """Return counts of test rows like the train's, of whom so many are said to paint."""
    counts = np.zeros((2, 2, 2), dtype=np.int64)
    for group, painters in enumerate((women, men)):
        right = min(painters, train[group, 1])
        counts[group, 1] = (train[group, 1] - right, right)
        counts[group, 0] = (train[group, 0] - (painters - right), painters - right)
    return counts


@pytest.mark.parametrize(
    ("women", "both", "one_way"),
    # Wang & Russakovsky 2021, figure 2: no woman, as many as there are, or all are said to paint.
    [(0, (-0.75 + 30 / 70 - 0.75) / 2, -0.375), (30, 0.0, 0.0), (40, (0.05 + 0.25) / 2, 0.125)],
)
def test_the_painters_of_the_directional_paper(women: int, both: float, one_way: float) -> None:
    counts = answers(PAINTERS, women, 10)
    assert mals(PAINTERS, counts) == pytest.approx(both)
    assert directional(PAINTERS, counts) == pytest.approx(one_way)


def test_the_example_of_the_authors_metric_card() -> None:
    # Of 3 people of the first group 2 have the label, and 3 are said to; of 5 others 1 has, and 0.
    counts = np.array([[[0, 1], [0, 2]], [[4, 0], [1, 0]]])
    pairs = directional_pairs(counts.sum(axis=-1), counts)
    np.testing.assert_allclose(pairs, [[1 / 3, 1 / 3], [0.2, 0.2]])
    assert directional(counts.sum(axis=-1), counts) == pytest.approx(0.2667, abs=5e-5)


def test_cooking_in_men_also_like_shopping() -> None:
    # Zhao et al. 2017: 33 % of those who cook are men; the model finds 16 %: amplified by .17.
    train = np.array([[67], [33]])
    assert mals(train, np.array([[[84]], [[16]]])) == pytest.approx(0.17)


def test_replicates_are_measured_in_one_call() -> None:
    counts = np.stack([answers(PAINTERS, women, 10) for women in (0, 30, 40)])
    for measure in (mals, directional):
        alone = [measure(PAINTERS, each) for each in counts]
        np.testing.assert_allclose(measure(PAINTERS, counts), alone)


def test_a_train_split_without_bias_has_none_to_amplify() -> None:
    equal = np.full((2, 2), 20)
    assert np.isnan(mals(equal, answers(equal, 30, 10)))
    assert np.isnan(directional(equal, answers(equal, 30, 10)))


def test_measures_of_rows_like_the_train_split() -> None:
    rows, codes = scored(answers(PAINTERS, 40, 10) * 5)
    table = bias_amplification(rows, codes, PAINTERS * 20, SETTINGS)
    found = table.set_index("metric")
    assert found.loc["mals", "value"] == pytest.approx(0.15)
    assert found.loc["directional A->T", "value"] == pytest.approx(0.125)
    for name in ("mals", "directional A->T"):
        assert found.loc[name, "low"] < found.loc[name, "value"] < found.loc[name, "high"]
        assert (found.loc[name, "method"], found.loc[name, "status"]) == ("percentiles", "ok")
        assert (found.loc[name, "n"], found.loc[name, "units"]) == (400, 400)
    backwards = found.loc["directional T->A"]
    assert backwards["status"] == "undefined: the model does not answer the group"
    assert np.isnan(backwards["value"])


def test_a_model_that_answers_groups_is_measured_the_other_way_too() -> None:
    rows, codes = scored(answers(PAINTERS, 30, 10) * 5)
    # All who paint are taken for women, all others for men.
    said = np.where(rows.labels == 1, 0, 1)
    table = bias_amplification(rows, codes, PAINTERS, SETTINGS, predicted_groups=said)
    found = table.set_index("metric").loc["directional T->A"]
    # P(woman | paints) goes from .75 to 1, P(woman | does not) from .25 to 0, and so on.
    assert (found["value"], found["status"]) == (pytest.approx(0.25), "ok")


def test_other_compositions_are_undefined_with_the_reason() -> None:
    balanced = np.full((2, 2), 100)
    rows, codes = scored(answers(balanced, 150, 50))
    found = bias_amplification(rows, codes, PAINTERS * 20, SETTINGS)
    assert found[["value", "low", "high"]].isna().all(axis=None)
    assert (
        found["status"]
        .iloc[0]
        .startswith(
            "undefined: the rows have another composition than the train's: 25.0 % of the rows"
        )
    )
    assert found["distance"].iloc[0] == pytest.approx(0.25)


def test_a_random_part_of_the_same_faces_has_the_same_composition() -> None:
    rng = np.random.default_rng(0)
    shares = PAINTERS.ravel() / PAINTERS.sum()
    checks = [
        check_composition(rng.multinomial(2000, shares), rng.multinomial(400, shares), 400)
        for _ in range(1000)
    ]
    assert 0.93 < np.mean([check.same for check in checks]) < 0.97


def test_too_few_rows_cannot_tell_their_composition() -> None:
    check = check_composition(PAINTERS * 20, np.array([[1, 3], [2, 1]]), 7)
    assert not check.same
    assert check.reason.startswith("too few rows to tell")


def test_a_trifle_is_no_other_composition_however_many_rows_there_are() -> None:
    test = PAINTERS * 100_000
    test[0, 0] += 20_000
    check = check_composition(PAINTERS * 100_000, test, int(test.sum()))
    assert (check.same, check.p < 0.05) == (True, True)
    assert check.distance < 0.01


def test_rows_of_one_person_are_not_independent_evidence() -> None:
    test = np.array([[30, 15], [15, 30]])
    of_rows = check_composition(np.full((2, 2), 500), test, 90)
    of_persons = check_composition(np.full((2, 2), 500), test, 30)
    assert (of_rows.same, of_persons.same) == (False, True)
    assert of_rows.p < of_persons.p


def test_no_rows_have_no_composition() -> None:
    check = check_composition(PAINTERS, np.zeros((2, 2)), 0)
    assert (check.same, check.reason) == (False, "no rows with a known group")


def test_persons_are_resampled_and_rows_of_unknown_group_left_out() -> None:
    counts = answers(PAINTERS, 35, 10)
    rows, codes = scored(np.repeat(counts[None], 5, axis=0).sum(axis=0))
    persons = np.arange(len(rows.labels)) // 5
    of_persons = ScoredRows(rows.table, rows.labels, rows.predicted, persons, None, 0)
    groups = codes.codes.copy()
    groups[:5] = 2
    known = GroupCodes("gender", ("f", "m"), groups)
    single = bias_amplification(rows, codes, PAINTERS, SETTINGS).iloc[1]
    found = bias_amplification(of_persons, known, PAINTERS, SETTINGS).iloc[1]
    assert (found["method"], found["n"], found["units"]) == ("percentiles, by person", 395, 79)
    assert found["high"] - found["low"] > 1.5 * (single["high"] - single["low"])


@pytest.mark.parametrize("train", [[1, 2], [[1, 2]], [[1, -2], [3, 4]]])
def test_wrong_train_counts_are_refused(train: list[int] | list[list[int]]) -> None:
    rows, codes = scored(answers(PAINTERS, 30, 10))
    with pytest.raises(DataError, match="train counts"):
        bias_amplification(rows, codes, train, SETTINGS)
