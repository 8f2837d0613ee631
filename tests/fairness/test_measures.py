from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    cohen_kappa_score,
    multilabel_confusion_matrix,
    precision_recall_fscore_support,
)

from facebias.fairness.intervals import wilson_interval
from facebias.fairness.measures import MEASURE_COLUMNS, METRICS, estimate_groups, measure_groups
from facebias.fairness.metrics import BY_CLASS, kappa
from facebias.fairness.predictions import GroupCodes, ScoredRows
from facebias.fairness.resampling import CountedGroups, count_groups
from facebias.fairness.settings import Settings

CLASSES = ("a", "b", "c")
GROUPS = ("f", "m", "never met")
FEW = Settings(replicates=100)


def scored(labels: Any, predicted: Any, persons: Any = None) -> ScoredRows:  # noqa: ANN401
    codes = [np.asarray(each, np.int64) for each in (labels, predicted)]
    persons = None if persons is None else np.asarray(persons, np.int64)
    return ScoredRows(pd.DataFrame(), codes[0], codes[1], persons, None, 0)


def counted_of(
    groups: Any,  # noqa: ANN401
    labels: Any,  # noqa: ANN401
    predicted: Any,  # noqa: ANN401
    persons: Any = None,  # noqa: ANN401
    given: Settings = FEW,
) -> CountedGroups:
    codes = GroupCodes("gender", GROUPS, np.asarray(groups, np.int64))
    return count_groups(scored(labels, predicted, persons), codes, len(CLASSES), given)


def random_counted(persons: bool = False, rows: int = 300, unknown: bool = True) -> CountedGroups:
    rng = np.random.default_rng(0)
    groups = rng.choice([0, 1, 3] if unknown else [0, 1], size=rows)
    labels = rng.integers(3, size=rows)
    predicted = np.where(rng.random(rows) < 0.6, labels, rng.integers(3, size=rows))
    return counted_of(groups, labels, predicted, rng.integers(60, size=rows) if persons else None)


def measured(counted: CountedGroups, given: Settings = FEW) -> pd.DataFrame:
    return measure_groups(counted, estimate_groups(counted, given), CLASSES, given)


def test_a_row_for_every_group_metric_and_class() -> None:
    table = measured(random_counted())
    assert tuple(table.columns) == MEASURE_COLUMNS
    of_class = len(BY_CLASS) * len(CLASSES) + len(METRICS) - len(BY_CLASS)
    assert len(table) == of_class * (len(GROUPS) + 1)
    assert not table.duplicated(["group", "metric", "class"]).any()
    assert set(table["group"]) == {*GROUPS, "unknown"}
    assert "unknown" not in set(measured(random_counted(unknown=False))["group"])


@pytest.mark.parametrize("group", [0, 1])
def test_values_and_rows_equal_scikit_learn(group: int) -> None:
    rng = np.random.default_rng(1)
    groups, labels, predicted = rng.integers([[2], [3], [3]], size=(3, 200))
    table = measured(counted_of(groups, labels, predicted))
    rows = table[table["group"] == GROUPS[group]].set_index("metric")
    truth, answer = labels[groups == group], predicted[groups == group]
    precision, recall, f1, support = precision_recall_fscore_support(truth, answer)
    np.testing.assert_allclose(rows.loc["precision", "value"], precision)
    np.testing.assert_allclose(rows.loc["recall", "value"], recall)
    np.testing.assert_allclose(rows.loc["f1", "value"], f1)
    np.testing.assert_array_equal(rows.loc["recall", "n"], support)
    assert rows.loc["kappa", "value"] == pytest.approx(cohen_kappa_score(truth, answer))
    (tn, fp), (fn, tp) = multilabel_confusion_matrix(truth, answer).transpose(1, 2, 0)
    np.testing.assert_allclose(rows.loc["false_positive_rate", "value"], fp / (fp + tn))
    np.testing.assert_allclose(rows.loc["negative_predictive_value", "value"], tn / (tn + fn))
    np.testing.assert_array_equal(rows.loc["false_positive_rate", "n"], fp + tn)
    np.testing.assert_array_equal(rows.loc["precision", "n"], tp + fp)


def test_a_share_of_independent_rows_has_wilsons_interval() -> None:
    table = measured(random_counted()).query("group == 'f' and method == 'wilson'")
    assert set(table["metric"]) == set(METRICS) - {
        *("macro_precision", "macro_recall", "macro_f1", "weighted_precision", "weighted_f1"),
        *("kappa", "f1"),
    }
    low, high = wilson_interval((table["value"] * table["n"]).round(), table["n"])
    np.testing.assert_allclose(table["low"], low)
    np.testing.assert_allclose(table["high"], high)


def test_half_of_kappa_and_one_has_the_interval_of_a_share() -> None:
    counted = random_counted(unknown=False)
    drawn = (kappa(counted.drawn[:, 0]) + 1) / 2
    rows = measured(counted).query("group == 'f' and metric == 'kappa'")
    (found,) = rows.to_dict(orient="records")
    half = (found["value"] + 1) / 2
    units = half * (1 - half) / drawn.var(ddof=1)
    low, high = wilson_interval(half * units, units)
    assert (found["low"], found["high"]) == pytest.approx((2 * low - 1, 2 * high - 1))
    assert found["method"] == "combined shares"


@pytest.mark.parametrize("persons", [False, True])
def test_intervals_hold_the_value_and_name_their_method(persons: bool) -> None:
    table = measured(random_counted(persons)).query("group in ('f', 'm')")
    assert (table["low"] <= table["value"] + 1e-12).all()
    assert (table["value"] <= table["high"] + 1e-12).all()
    assert (table["low"] < table["high"]).all()
    assert table["method"].str.endswith(", by person").eq(persons).all()


def test_an_empty_group_is_undefined_everywhere() -> None:
    # Fault seen elsewhere: an empty group scores 0, 1 or 100 %.
    table = measured(random_counted()).query("group == 'never met'")
    assert table[["value", "low", "high"]].isna().all(axis=None)
    assert (table["n"] == 0).all()
    assert set(table["status"]) == {"empty"}
    assert set(table["method"]) == {"none"}


def test_a_class_that_is_never_true_or_never_predicted_is_undefined() -> None:
    counted = counted_of([0] * 60, [0, 1] * 30, [0] * 60)
    rows = measured(counted).query("group == 'f'").set_index(["metric", "class"])
    for metric, name in (("recall", "c"), ("precision", "b"), ("f1", "c")):
        assert np.isnan(rows.loc[(metric, name), ["value", "low", "high"]].astype(float)).all()
        assert rows.loc[(metric, name), "method"] == "none"
        assert rows.loc[(metric, name), "n"] == 0
    assert rows.loc[("f1", "b"), "value"] == 0


def test_statuses_say_what_there_is_too_little_of() -> None:
    counted = counted_of([0] * 60 + [1] * 20, [0] * 58 + [1, 1] + [0, 1] * 10, [0] * 80)
    table = measured(counted)
    of_first = table[table["class"].isna() | (table["class"] == "a")]
    status = of_first.set_index(["group", "metric"])["status"]
    found = {
        (group, metric): status[group, metric]
        for group in ("f", "m")
        for metric in ("accuracy", "recall", "macro_recall")
    }
    assert found == {
        ("f", "accuracy"): "ok",
        ("f", "recall"): "ok",
        ("f", "macro_recall"): "too few of a class",
        ("m", "accuracy"): "too small",
        ("m", "recall"): "too small",
        ("m", "macro_recall"): "too small",
    }
    of_second = table.query("group == 'f' and metric == 'recall' and `class` == 'b'")
    assert of_second["status"].tolist() == ["too small"]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_units_are_the_persons_with_such_rows(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 25))
    draw = st.lists(st.integers(0, 2), min_size=rows, max_size=rows)
    groups, labels, predicted = (np.array(data.draw(draw)) for _ in range(3))
    drawn = data.draw(st.lists(st.integers(0, 5), min_size=rows, max_size=rows))
    _, persons = np.unique(np.array(drawn), return_inverse=True)
    found = estimate_groups(counted_of(groups, labels, predicted, persons), FEW)
    behind: dict[str, Callable[[int], np.ndarray]] = {
        "accuracy": lambda _: np.ones(rows, bool),
        "predicted_prevalence": lambda _: np.ones(rows, bool),
        "recall": lambda each: labels == each,
        "false_positive_rate": lambda each: labels != each,
        "precision": lambda each: predicted == each,
        "negative_predictive_value": lambda each: predicted != each,
    }
    for metric, chosen in behind.items():
        for group in range(3):
            for each in range(1 if metric == "accuracy" else 3):
                expected = len(set(persons[(groups == group) & chosen(each)]))
                assert found[metric].units[group, each] == expected


def test_persons_widen_what_they_agree_in() -> None:
    persons = np.repeat(np.arange(40), 10)
    labels = np.tile([0, 1], 200)
    wrong = persons % 4 == 0
    arguments = (np.zeros(400), labels, np.where(wrong, 2, labels))
    by_row, by_person = (measured(counted_of(*arguments, each)) for each in (None, persons))
    width = [
        (table["high"] - table["low"])[(table["group"] == "f") & (table["metric"] == "recall")]
        for table in (by_row, by_person)
    ]
    assert (width[1].dropna() > 2 * width[0].dropna()).all()


def test_the_seed_and_the_counts_decide() -> None:
    first, second = (measured(random_counted(persons=True)) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
