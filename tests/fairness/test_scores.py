from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from facebias.fairness.calibration import BINS, bin_rows, calibrated_errors, calibration_error
from facebias.fairness.influence import group_units
from facebias.fairness.predictions import (
    UNKNOWN,
    GroupCodes,
    ScoredRows,
    all_group_codes,
    scored_rows,
)
from facebias.fairness.scores import reliability, score_measures, score_orders
from facebias.fairness.settings import Settings

CLASSES = ("negative", "neutral", "positive")
GROUPS = ("f", "m", "nobody")
SETTINGS = Settings(replicates=200)
COLUMNS = [f"p_{name}" for name in CLASSES]


def predictions(n: int = 300, seed: int = 0) -> pd.DataFrame:
    """Return rows of two groups and some of unknown group, with scores of some use."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    logits = rng.normal(size=(n, 3)) + 1.5 * (labels[:, None] == np.arange(3))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = np.array(CLASSES, dtype=object)
    table = pd.DataFrame(scores, columns=COLUMNS)
    answers = {"label": names[labels], "predicted": names[scores.argmax(axis=1)]}
    return table.assign(gender=rng.choice(["f", "m", UNKNOWN], n, p=[0.6, 0.3, 0.1]), **answers)


def by_gender(table: pd.DataFrame) -> tuple[ScoredRows, GroupCodes]:
    rows = scored_rows(table, CLASSES)
    return rows, all_group_codes(rows.table, {"gender": GROUPS}, [])[1]


def measured(table: pd.DataFrame, settings: Settings = SETTINGS) -> pd.DataFrame:
    rows, codes = by_gender(table)
    return score_measures(rows, codes, CLASSES, settings)


def row(table: pd.DataFrame, group: str, metric: str, name: str | None = None) -> dict[str, Any]:
    chosen = table[(table["group"] == group) & (table["metric"] == metric)]
    of_class = chosen["class"].isna() if name is None else chosen["class"] == name
    (found,) = chosen[of_class].to_dict(orient="records")
    return {str(key): value for key, value in found.items()}


def test_values_equal_scikit_learn_in_every_group() -> None:
    table = predictions()
    found = measured(table)
    for group in ("f", "m", UNKNOWN):
        ours = table[table["gender"] == group]
        scores = ours[COLUMNS].to_numpy()
        areas = [roc_auc_score(ours["label"] == name, ours[f"p_{name}"]) for name in CLASSES]
        for name, area in zip(CLASSES, areas, strict=True):
            assert row(found, group, "auroc", name)["value"] == pytest.approx(area)
        assert row(found, group, "auroc")["value"] == pytest.approx(np.mean(areas))
        expected = log_loss(ours["label"], scores, labels=CLASSES)
        assert row(found, group, "log_loss")["value"] == pytest.approx(expected)
        expected = brier_score_loss(ours["label"], scores, labels=CLASSES, scale_by_half=False)
        assert row(found, group, "brier")["value"] == pytest.approx(expected)
        assert row(found, group, "brier")["n"] == len(ours)


def test_groups_come_in_their_order_and_absent_ones_are_empty() -> None:
    found = measured(predictions())
    assert list(dict.fromkeys(found["group"])) == [*GROUPS, UNKNOWN]
    assert set(found[found["group"] == "nobody"]["status"]) == {"empty"}
    assert found[found["group"] == "nobody"][["value", "low", "high"]].isna().all(axis=None)
    assert set(found[found["group"] == UNKNOWN]["status"]) <= {UNKNOWN, "too few of a class"}
    assert set(found[found["group"] == "f"]["status"]) == {"ok"}
    known = measured(predictions().query("gender != 'unknown'"))
    assert UNKNOWN not in set(known["group"])


def test_sorting_once_for_all_attributes_changes_nothing() -> None:
    rows, codes = by_gender(predictions())
    orders = score_orders(rows)
    for function in (score_measures, reliability):
        alone = function(rows, codes, CLASSES, SETTINGS)
        pd.testing.assert_frame_equal(
            alone, function(rows, codes, CLASSES, SETTINGS, orders=orders)
        )


def test_predictions_without_scores_have_no_rows() -> None:
    rows, codes = by_gender(predictions().drop(columns="p_neutral"))
    assert score_measures(rows, codes, CLASSES, SETTINGS).empty
    assert reliability(rows, codes, CLASSES, SETTINGS).empty
    assert score_orders(rows).shape == (1, 0)


def test_a_true_class_of_probability_zero_makes_the_log_loss_infinite_and_says_so() -> None:
    table = predictions()
    first = int(np.flatnonzero(table["gender"] == "m")[0])
    table.loc[first, "label"] = "positive"
    table.loc[first, COLUMNS] = [0.5, 0.5, 0.0]
    found = row(measured(table), "m", "log_loss")
    n = int((table["gender"] == "m").sum())
    assert found["value"] == np.inf
    assert (found["method"], np.isnan(found["low"])) == ("none", True)
    assert found["status"] == f"infinite: 1 of {n} rows gave their true class the probability 0"
    assert row(measured(table), "m", "brier")["status"] == "ok"
    assert np.isfinite(row(measured(table), "f", "log_loss")["value"])


def test_scores_that_are_no_probabilities_have_an_auroc_and_nothing_else() -> None:
    table = predictions()
    of_men = table["gender"] == "m"
    table.loc[of_men, COLUMNS] *= 2
    found = measured(table)
    assert row(found, "m", "auroc")["status"] == "ok"
    for metric in ("log_loss", "brier", "ece_equal_width", "ece_equal_mass_if_calibrated"):
        assert np.isnan(row(found, "m", metric)["value"])
        assert "add up to one" in row(found, "m", metric)["status"]
        assert row(found, "f", metric)["status"] == "ok"
    rows, codes = by_gender(table)
    assert "m" not in set(reliability(rows, codes, CLASSES, SETTINGS)["group"])


def test_rounded_probabilities_are_probabilities() -> None:
    table = predictions()
    table[COLUMNS] = table[COLUMNS].round(4)
    assert row(measured(table), "f", "brier")["status"] == "ok"


def test_a_missing_score_leaves_its_group_undefined() -> None:
    table = predictions()
    table.loc[np.flatnonzero(table["gender"] == "m")[:2], "p_neutral"] = np.nan
    found = measured(table)
    n = int((table["gender"] == "m").sum())
    assert row(found, "m", "auroc")["status"] == f"undefined: 2 of {n} rows lack scores"
    assert np.isnan(row(found, "m", "auroc", "negative")["value"])
    assert found[found["group"] == "f"]["value"].notna().all()


def test_a_class_without_rows_has_no_auroc() -> None:
    table = predictions().query("gender != 'm' or label != 'neutral'").reset_index(drop=True)
    found = measured(table)
    assert np.isnan(row(found, "m", "auroc", "neutral")["value"])
    assert row(found, "m", "auroc", "neutral")["status"].startswith("undefined: no rows of neutral")
    # The mean is of the others, and no group to compare with those that have all classes.
    others = [row(found, "m", "auroc", name)["value"] for name in ("negative", "positive")]
    macro = row(found, "m", "auroc")
    assert macro["value"] == pytest.approx(np.mean(others))
    assert (macro["method"], macro["status"]) == ("none", "too few of a class")


def test_a_mean_over_classes_of_which_one_is_separated_has_an_interval() -> None:
    table = predictions()
    table.loc[table["label"] == "neutral", "p_neutral"] += 10
    found = measured(table)
    macro, separated = row(found, "f", "auroc"), row(found, "f", "auroc", "neutral")
    assert (separated["value"], separated["method"]) == (1, "newcombe")
    assert macro["method"] == "delong"
    assert macro["low"] < macro["value"] < macro["high"] <= 1


def test_persons_widen_every_interval() -> None:
    table = predictions()
    copied = pd.concat([table] * 4, ignore_index=True)
    apart = measured(copied)
    persons = copied.assign(identity=np.tile(np.arange(len(table)), 4).astype(str))
    together = measured(persons)
    once = measured(table)
    for metric in ("auroc", "log_loss", "brier"):
        width = {
            name: row(found, "f", metric)["high"] - row(found, "f", metric)["low"]
            for name, found in (("apart", apart), ("together", together), ("once", once))
        }
        assert width["together"] == pytest.approx(width["once"], rel=1e-6)
        assert width["apart"] == pytest.approx(width["once"] / 2, rel=0.1)
    assert row(together, "f", "auroc")["method"] == "delong, by person"
    assert row(together, "f", "brier")["units"] == row(once, "f", "brier")["n"]
    expected = [
        row(found, "f", "ece_equal_width_if_calibrated")["value"] for found in (apart, together)
    ]
    assert expected[1] > 1.5 * expected[0]


def test_mean_losses_cover_by_simulation() -> None:
    # One row of groups is one test set: 1,000 of 60 rows each.
    rng = np.random.default_rng(0)
    score = rng.uniform(0.05, 0.95, 60_000)
    right = rng.random(60_000) < score
    truth = np.mean(2 * score * (1 - score))  # of a calibrated model with two classes
    labels = np.where(right, "b", "a")
    predicted = np.where(score > 0.5, "b", "a")
    table = pd.DataFrame({"label": labels, "predicted": predicted, "p_a": 1 - score, "p_b": score})
    rows = scored_rows(table, ("a", "b"))
    names = tuple(map(str, range(1000)))
    codes = GroupCodes("set", names, np.arange(60_000) % 1000)
    found = score_measures(rows, codes, ("a", "b"), Settings(replicates=2))
    brier = found[found["metric"] == "brier"]
    assert 0.925 < ((brier["low"] <= truth) & (truth <= brier["high"])).mean() < 0.97


@pytest.mark.parametrize(
    ("binning", "strategy"), [("equal_width", "uniform"), ("equal_mass", "quantile")]
)
def test_curves_equal_scikit_learn(binning: str, strategy: str) -> None:
    table = predictions(500)
    rows, codes = by_gender(table)
    found = reliability(rows, codes, CLASSES, SETTINGS)
    for group, name in product(("f", "m"), CLASSES):
        ours = table[table["gender"] == group]
        share, mean = calibration_curve(
            ours["label"] == name, ours[f"p_{name}"], n_bins=BINS, strategy=strategy
        )
        curve = found[
            (found["group"] == group) & (found["class"] == name) & (found["binning"] == binning)
        ]
        np.testing.assert_allclose(curve["confidence"], mean)
        np.testing.assert_allclose(curve["share"], share)
        assert curve["n"].sum() == len(ours)
        assert (curve["low"] <= curve["share"]).all()
        assert (curve["share"] <= curve["high"]).all()


def test_the_ece_is_the_mean_distance_of_the_curve_of_the_answers() -> None:
    rows, codes = by_gender(predictions())
    found, curves = (
        score_measures(rows, codes, CLASSES, SETTINGS),
        reliability(rows, codes, CLASSES, SETTINGS),
    )
    for binning in ("equal_width", "equal_mass"):
        curve = curves[
            (curves["group"] == "f") & curves["class"].isna() & (curves["binning"] == binning)
        ]
        expected = (curve["n"] * (curve["share"] - curve["confidence"]).abs()).sum()
        value = row(found, "f", f"ece_{binning}")["value"]
        assert value == pytest.approx(expected / curve["n"].sum())


def test_ece_of_six_rows_by_hand() -> None:
    units = group_units(np.zeros(6, dtype=np.int64), None, 1)
    score = np.array([0.55, 0.58, 0.59, 0.95, 0.95, 0.95])
    right = np.array([True, False, False, True, True, False])
    # Width 1/15: (8/15, 9/15] holds .55, .58, .59 and (14/15, 1] the rest: |1 - 1.72| + |2 - 2.85|.
    wide = bin_rows(score, right, units, "equal_width")
    assert wide.rows[0, [8, 14]].tolist() == [3, 3]
    assert calibration_error(wide)[0] == pytest.approx((0.72 + 0.85) / 6)
    # Mass: 15 quantiles of 6 rows part the first three, and equal scores share a bin:
    # |1 - .55| + |0 - .58| + |0 - .59| + |2 - 2.85|.
    mass = bin_rows(score, right, units, "equal_mass")
    assert sorted(mass.rows[mass.rows > 0].tolist()) == [1, 1, 1, 3]
    assert calibration_error(mass)[0] == pytest.approx((0.45 + 0.58 + 0.59 + 0.85) / 6)


@pytest.mark.parametrize("binning", ["equal_width", "equal_mass"])
def test_the_simulated_ece_is_what_calibrated_scores_show(binning: str) -> None:
    rng = np.random.default_rng(0)
    score = np.tile(rng.beta(4, 2, 250), 400)
    groups = np.repeat(np.arange(400), 250)  # 400 test sets of the same scores
    units = group_units(groups, None, 400)
    right = rng.random(len(score)) < score
    binned = bin_rows(score, right, units, binning)
    shown = calibration_error(binned)
    simulated = calibrated_errors(binned, 200, rng)
    assert simulated.mean() == pytest.approx(shown.mean(), rel=0.03)
    low, high = np.quantile(simulated, [0.025, 0.975], axis=0)
    assert 0.92 < ((low <= shown) & (shown <= high)).mean() < 0.98


def test_overconfident_scores_lie_above_what_calibrated_ones_would_show() -> None:
    table = predictions(2000)
    sharp = table[COLUMNS].to_numpy() ** 4
    table[COLUMNS] = sharp / sharp.sum(axis=1, keepdims=True)
    found = measured(table)
    for binning in ("equal_width", "equal_mass"):
        value = row(found, "f", f"ece_{binning}")["value"]
        assert value > 2 * row(found, "f", f"ece_{binning}_if_calibrated")["high"]
