from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import (
    demographic_parity_difference,
    demographic_parity_ratio,
    equal_opportunity_difference,
    equal_opportunity_ratio,
    equalized_odds_difference,
    equalized_odds_ratio,
)

from facebias.errors import DataError
from facebias.fairness.criteria import CRITERIA
from facebias.fairness.group_report import group_report

GROUPS = ["young", "middle", "old"]


def random_table(classes: list[str], rows: int = 900, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    groups, labels = rng.integers(3, size=rows), rng.integers(len(classes), size=rows)
    # The older, the more often a guess.
    right = rng.random(rows) < 0.9 - 0.2 * groups
    predicted = np.where(right, labels, rng.integers(len(classes), size=rows))
    names = np.array(classes)
    return pd.DataFrame(
        {"label": names[labels], "predicted": names[predicted], "age": np.array(GROUPS)[groups]}
    )


def criteria_of(table: pd.DataFrame, classes: list[str], **asked: Any) -> pd.DataFrame:  # noqa: ANN401
    chosen: dict[str, Any] = {"replicates": 200} | asked
    return group_report(table, classes, {"age": GROUPS}, **chosen).criteria


def whole(criteria: pd.DataFrame, criterion: str) -> pd.Series:
    found = criteria.query("criterion == @criterion and kind == 'whole'")
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize("seed", range(3))
def test_binary_criteria_equal_fairlearn(seed: int) -> None:
    table = random_table(["no", "yes"], seed=seed)
    criteria = criteria_of(table, ["no", "yes"], positive="yes")
    given = {
        "y_true": (table["label"] == "yes").astype(int),
        "y_pred": (table["predicted"] == "yes").astype(int),
        "sensitive_features": table["age"],
    }
    for criterion, difference, ratio in (
        ("demographic parity", demographic_parity_difference, demographic_parity_ratio),
        ("equal opportunity", equal_opportunity_difference, equal_opportunity_ratio),
        ("equalised odds", equalized_odds_difference, equalized_odds_ratio),
    ):
        found = whole(criteria, criterion)
        assert found["difference"] == pytest.approx(difference(**given))
        assert found["ratio"] == pytest.approx(ratio(**given))


def test_equalised_odds_name_the_larger_of_both_parts() -> None:
    # Fault seen elsewhere: "equalised odds" that is only a recall gap.
    rows = []
    for group, hits, false_alarms in (("young", 45, 5), ("old", 45, 25)):
        rows += [("yes", "yes", group)] * hits + [("yes", "no", group)] * (50 - hits)
        rows += [("no", "yes", group)] * false_alarms + [("no", "no", group)] * (50 - false_alarms)
    table = pd.DataFrame(rows, columns=["label", "predicted", "age"])
    criteria = criteria_of(table, ["no", "yes"], positive="yes")
    odds = whole(criteria, "equalised odds")
    assert (odds["metric"], odds["class"], odds["worst"]) == ("false_positive_rate", "yes", "old")
    assert odds["difference"] == pytest.approx(0.4)
    assert odds["ratio"] == pytest.approx(0.2)
    assert whole(criteria, "equal opportunity")["difference"] == 0
    parts = criteria.query("criterion == 'equalised odds' and kind == 'part'")
    assert sorted(parts["metric"]) == ["false_positive_rate", "recall"]
    assert odds["headline"].startswith(
        "false positive rate of yes: old 0.50 vs young 0.10: gap 0.40 ["
    )


def test_equalised_odds_with_one_part_missing_are_undefined() -> None:
    table = random_table(["no", "yes"]).query("label == 'yes'")
    criteria = criteria_of(table, ["no", "yes"], positive="yes")
    odds = whole(criteria, "equalised odds")
    assert np.isnan(odds["difference"])
    assert odds["headline"].startswith("cannot tell: false positive rate of yes: 0 of 3 groups")
    assert whole(criteria, "equal opportunity")["difference"] > 0


def test_several_classes_are_judged_by_the_worst_which_is_named() -> None:
    classes = ["a", "b", "c"]
    criteria = criteria_of(random_table(classes), classes)
    for criterion, metrics in CRITERIA.items():
        parts = criteria.query("criterion == @criterion and kind == 'part'")
        of_class = 1 if metrics == ("accuracy",) else 3
        assert len(parts) == len(metrics) * of_class
        found = whole(criteria, criterion)
        largest = parts.loc[parts["difference"].idxmax()]
        for name in ("metric", "first", "second", "difference"):
            assert found[name] == largest[name]
        assert found["class"] == largest["class"] or of_class == 1
        assert found["ratio"] == parts["ratio"].min()


def test_the_interval_of_the_worst_class_allows_for_the_search() -> None:
    classes = ["a", "b", "c", "d"]
    criteria = criteria_of(random_table(classes), classes, replicates=1000)
    found = whole(criteria, "equalised odds")
    part = criteria.query(
        "criterion == 'equalised odds' and kind == 'part' and metric == @found.metric"
        " and `class` == @found['class']"
    ).iloc[0]
    assert found["high"] - found["low"] > 1.05 * (part["high"] - part["low"])
    parts = criteria.query("criterion == 'equalised odds' and kind == 'part'")
    assert found["p"] >= parts["p"].min()


@pytest.mark.parametrize("mislabelled", [0, 1, 4])
def test_parity_is_refused_where_the_label_is_the_group(mislabelled: int) -> None:
    rng = np.random.default_rng(0)
    label = rng.choice(["female", "male"], 400)
    predicted = np.where(rng.random(400) < 0.8, label, "male")
    age = rng.choice(["young", "old"], 400)
    gender = label.copy()
    gender[:mislabelled] = np.where(label[:mislabelled] == "male", "female", "male")
    table = pd.DataFrame({"label": label, "predicted": predicted, "gender": gender, "age": age})
    report = group_report(
        table,
        ["female", "male"],
        {"gender": ["female", "male"], "age": ["young", "old"]},
        intersections=[("gender", "age")],
        replicates=200,
    )
    of_gender = report.criteria.query("attribute == 'gender'")
    for criterion in ("demographic parity", "equal opportunity", "predictive parity"):
        refused = whole(of_gender, criterion)
        assert np.isnan(refused["difference"])
        assert "one label only" in refused["reason"]
        assert "see recall and precision of each class" in refused["headline"]
    assert whole(of_gender, "accuracy equality")["difference"] > 0.05
    measured = report.measures.query("attribute == 'all' and metric in ('recall', 'precision')")
    assert measured["value"].notna().all()
    # The same of the gaps: of women all that are read as women are women, whatever the model.
    gaps = report.gaps.query("attribute == 'gender' and metric == 'precision'")
    assert gaps["difference"].isna().all()
    assert gaps["reason"].str.contains("one label only").all()
    # By age, too, women are read differently well: that can be compared among women.
    joint = report.criteria.query("attribute == 'gender x age'")
    assert np.isnan(whole(joint, "demographic parity")["difference"])
    assert whole(joint, "equal opportunity")["eligible"] == 2
    assert whole(report.criteria.query("attribute == 'age'"), "demographic parity")["reason"] == ""


def test_a_class_that_cannot_be_compared_is_named_beside_the_others() -> None:
    table = random_table(["a", "b", "c"])
    rare = table[table["label"] == "c"].index[20:]
    criteria = criteria_of(table.drop(index=rare), ["a", "b", "c"])
    found = whole(criteria, "equal opportunity")
    assert found["class"] in ("a", "b")
    assert found["reason"] == "not compared: recall of c"
    assert found["headline"].endswith("; largest of 2 of 3 gaps")


def test_refuses_an_unknown_positive_class() -> None:
    with pytest.raises(DataError, match="the positive class 'maybe'"):
        criteria_of(random_table(["no", "yes"]), ["no", "yes"], positive="maybe")
