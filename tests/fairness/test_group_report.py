from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

from facebias.errors import ConfigError, DataError
from facebias.fairness.criteria import CRITERIA
from facebias.fairness.group_report import GroupReport, group_report

CLASSES = ["negative", "neutral", "positive"]
ATTRIBUTES = {"gender": ["female", "male"], "age": ["young", "old", "never met"]}
BOTH = [("gender", "age")]


def random_table(rows: int = 600, seed: int = 0, right: float = 0.6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=rows)
    predicted = np.where(rng.random(rows) < right, labels, rng.integers(3, size=rows))
    scores = rng.dirichlet(np.ones(3), size=rows) + 0.5 * np.eye(3)[labels]
    columns = {f"p_{name}": scores[:, each] / 1.5 for each, name in enumerate(CLASSES)}
    return pd.DataFrame(
        {
            "id": [f"face{number}" for number in range(rows)],
            "split": "test",
            "label": np.array(CLASSES)[labels],
            "predicted": np.array(CLASSES)[predicted],
            **columns,
            "gender": rng.choice(["female", "male", "unknown"], p=[0.5, 0.4, 0.1], size=rows),
            "age": rng.choice(["young", "old"], size=rows),
            "identity": rng.choice([f"person{number}" for number in range(120)], size=rows),
        }
    )


def report_of(table: pd.DataFrame, **settings: Any) -> GroupReport:  # noqa: ANN401
    chosen: dict[str, Any] = {"replicates": 200, "intersections": BOTH} | settings
    return group_report(table, CLASSES, ATTRIBUTES, **chosen)


def two_groups(female_right: int, male_right: int, rows: int = 100) -> pd.DataFrame:
    """Make rows of two classes in turn, so many of each gender right."""
    label = np.tile(["a", "b"], rows)
    other = np.tile(["b", "a"], rows)
    right = np.concatenate([np.arange(rows) < female_right, np.arange(rows) < male_right])
    gender = np.repeat(["female", "male"], rows)
    return pd.DataFrame(
        {"label": label, "predicted": np.where(right, label, other), "gender": gender}
    )


def gap_of(report: GroupReport, metric: str = "accuracy", attribute: str = "gender") -> pd.Series:
    found = report.gaps.query("attribute == @attribute and metric == @metric and kind == 'largest'")
    assert len(found) == 1
    return found.iloc[0]


def row_of(report: GroupReport, group: str, attribute: str = "gender") -> pd.Series:
    found = report.table.query("attribute == @attribute and group == @group")
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize("seed", [0, 1])
def test_values_equal_fairlearns_metric_frame(seed: int) -> None:
    table = random_table(seed=seed)
    macro = {"average": "macro", "zero_division": 0}
    frame = MetricFrame(
        metrics={
            "accuracy": accuracy_score,
            "macro_precision": lambda y, p: precision_score(y, p, **macro),
            "macro_recall": lambda y, p: recall_score(y, p, **macro),
            "macro_f1": lambda y, p: f1_score(y, p, **macro),
        },
        y_true=table["label"],
        y_pred=table["predicted"],
        sensitive_features=table[["gender", "age"]],
    ).by_group
    report = report_of(table)
    for gender in ("female", "male"):
        for age in ("young", "old"):
            row = row_of(report, f"{gender}, {age}", "gender x age")
            for name, expected in frame.loc[(gender, age)].items():
                assert row[name] == pytest.approx(expected)


def test_overall_equals_scikit_learn() -> None:
    table = random_table()
    overall = report_of(table).overall
    labels, predicted = table["label"], table["predicted"]
    scores = table[[f"p_{name}" for name in CLASSES]].to_numpy()
    areas = [roc_auc_score(labels == name, scores[:, i]) for i, name in enumerate(CLASSES)]
    assert overall["n"] == 600
    assert overall["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert overall["accuracy_low"] < overall["accuracy"] < overall["accuracy_high"]
    assert overall["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert overall["micro_f1"] == pytest.approx(f1_score(labels, predicted, average="micro"))
    assert overall["auroc"] == pytest.approx(np.mean(areas))
    assert overall["chance"] == pytest.approx(1 / 3)
    assert overall["majority"] == pytest.approx(labels.value_counts(normalize=True).max())


@pytest.mark.parametrize("persons", [False, True])
def test_the_order_of_rows_does_not_matter(persons: bool) -> None:
    table = random_table()
    table.loc[table.index[::7], "identity"] = None
    table = table if persons else table.drop(columns="identity")
    shuffled = table.sample(frac=1, random_state=1)
    assert report_of(shuffled).to_dict() == report_of(table).to_dict()


def test_another_attribute_or_row_without_label_changes_nothing() -> None:
    table = random_table()
    unlabelled = table.assign(label=None, id=lambda rows: "more " + rows["id"])
    whole = report_of(pd.concat([table, unlabelled.astype(table.dtypes)]))
    alone = group_report(table, CLASSES, {"gender": ["female", "male"]}, replicates=200)
    assert whole.overall["unscored"] == 600
    pd.testing.assert_frame_equal(whole.table[:4], alone.table)
    # Only what is adjusted for the whole report knows of the others.
    adjusted = ["p_holm", "p_bh"]
    of_gender = [
        each.query("attribute == 'gender'").drop(columns=adjusted)
        for each in (whole.gaps, alone.gaps)
    ]
    pd.testing.assert_frame_equal(*of_gender)
    pd.testing.assert_frame_equal(
        whole.criteria.query("attribute == 'gender'"), alone.criteria.query("attribute == 'gender'")
    )


def test_a_declared_group_never_met_is_empty_and_undefined() -> None:
    # Fault seen elsewhere: an empty group scores 0, 1 or 100 %.
    report = report_of(random_table())
    row = row_of(report, "never met", "age")
    assert (row["n"], row["status"], row["accuracy_method"]) == (0, "empty", "none")
    for name in ("accuracy", "accuracy_low", "macro_recall", "macro_f1", "macro_f1_high"):
        assert np.isnan(row[name])
    assert gap_of(report, attribute="age")["eligible"] == 2
    assert gap_of(report, attribute="age")["headline"].endswith("worst of 2 of 3 groups, 1 empty")


def test_unknown_is_shown_outside_of_gaps() -> None:
    table = two_groups(60, 70)
    table.loc[table.index[100:140], "gender"] = "unknown"
    report = group_report(table, ["a", "b"], {"gender": ["female", "male"]}, min_group=30)
    assert row_of(report, "unknown")["status"] == "unknown"
    assert row_of(report, "unknown")["accuracy"] == 1.0
    assert gap_of(report)["groups"] == 2
    assert (gap_of(report)["first"], gap_of(report)["second"]) == ("female", "male")
    assert report.table.query("attribute == 'gender'")["share"].sum() == pytest.approx(1)
    without = group_report(two_groups(60, 70), ["a", "b"], {"gender": ["female", "male"]})
    assert "unknown" not in set(without.table["group"])


def test_a_small_group_is_shown_and_left_out() -> None:
    table = two_groups(60, 70)
    table.loc[table.index[:10], "gender"] = "other"
    report = group_report(table, ["a", "b"], {"gender": ["female", "male", "other"]}, min_group=30)
    assert row_of(report, "other")["status"] == "too small"
    assert row_of(report, "other")["accuracy_high"] == 1.0
    gap = gap_of(report)
    assert (gap["first"], gap["second"], gap["eligible"]) == ("male", "female", 2)
    assert gap["worst"] == "female"
    assert gap["headline"].endswith("worst of 2 of 3 groups, 1 too small to tell")


def test_headline_says_whether_the_groups_can_be_told_apart() -> None:
    groups = {"gender": ["female", "male"]}
    clear = gap_of(group_report(two_groups(50, 90), ["a", "b"], groups))
    assert clear["headline"].startswith("female 0.50 vs male 0.90: gap 0.40 [0.")
    assert "cannot tell" not in clear["headline"]
    # Two shares of 100 rows: the interval is about d ± 1.96 sqrt(.25 / 100 + .09 / 100).
    assert clear["low"] == pytest.approx(0.4 - 1.96 * 0.0583, abs=0.02)
    alike = gap_of(group_report(two_groups(70, 72), ["a", "b"], groups))
    assert alike["low"] < 0 < alike["high"]
    assert "interval includes 0: cannot tell the groups apart" in alike["headline"]


def test_one_group_has_no_gap() -> None:
    table = two_groups(70, 72).query("gender == 'male'")
    gap = gap_of(group_report(table, ["a", "b"], {"gender": ["female", "male"]}))
    numbers = ["difference", "low", "ratio", "first_value", "p", "expected", "detectable"]
    assert gap[numbers].isna().all()
    assert gap[["first", "second", "worst"]].isna().all()
    assert gap["reason"] == "1 of 2 groups can be compared, 1 empty"
    assert gap["headline"] == "1 of 2 groups can be compared, 1 empty: no gap to tell"


def test_a_group_all_right_still_has_spread() -> None:
    report = group_report(two_groups(100, 100), ["a", "b"], {"gender": ["female", "male"]})
    assert row_of(report, "female")["accuracy_low"] == pytest.approx(0.963, abs=0.001)
    assert row_of(report, "female")["macro_f1_low"] < 0.99
    assert row_of(report, "female")["macro_f1_high"] == 1.0
    assert gap_of(report)["difference"] == 0
    assert gap_of(report)["low"] < -0.005
    assert gap_of(report)["high"] > 0.005


def test_a_group_with_few_rows_of_a_class_has_no_macro_gap() -> None:
    # Without its hardest class a group would look best.
    table = two_groups(50, 60)
    table = table[(table["gender"] == "female") | (table["label"] == "a")]
    report = group_report(table, ["a", "b"], {"gender": ["female", "male"]})
    assert row_of(report, "male")["classes"] == 1
    assert row_of(report, "male")["macro_recall"] == 0.6
    assert np.isnan(row_of(report, "male")["macro_f1_low"])
    assert np.isnan(gap_of(report, "macro_recall")["difference"])
    assert "1 with too few persons, or rows of a class" in gap_of(report, "macro_f1")["headline"]
    assert gap_of(report, "accuracy")["eligible"] == 2


@pytest.mark.parametrize(("min_class", "eligible"), [(5, 1), (4, 2)])
def test_min_class_decides_who_has_a_macro_gap(min_class: int, eligible: int) -> None:
    table = two_groups(50, 60)
    male_b = table.query("gender == 'male' and label == 'b'").index
    table = table.drop(index=male_b[4:])
    groups = {"gender": ["female", "male"]}
    report = group_report(table, ["a", "b"], groups, min_class=min_class)
    assert gap_of(report, "macro_recall")["eligible"] == eligible
    assert np.isnan(row_of(report, "male")["macro_f1_low"]) == (eligible == 1)


def test_a_class_held_by_one_person_has_no_macro_interval() -> None:
    # Where this person is not drawn, the macro average would be over the other class alone.
    table = two_groups(50, 60)
    number = [f"p{i}" for i in range(20)]
    table["identity"] = np.repeat(number, 10)
    table.loc[(table["gender"] == "male") & (table["label"] == "b"), "identity"] = "one man"
    report = group_report(table, ["a", "b"], {"gender": ["female", "male"]})
    assert np.isnan(row_of(report, "male")["macro_f1_low"])
    assert gap_of(report, "macro_f1")["eligible"] == 1
    assert gap_of(report, "accuracy")["eligible"] == 2


def test_persons_widen_the_intervals() -> None:
    table = two_groups(50, 60).assign(identity=np.repeat([f"p{i}" for i in range(20)], 10))
    groups = {"gender": ["female", "male"]}
    by_person = group_report(table, ["a", "b"], groups)
    by_row = group_report(table.drop(columns="identity"), ["a", "b"], groups)
    person, row = row_of(by_person, "female"), row_of(by_row, "female")
    assert (person["units"], row["units"]) == (10, 100)
    assert (person["accuracy_method"], row["accuracy_method"]) == ("wilson, by person", "wilson")
    assert person["accuracy"] == row["accuracy"]
    width = [each["accuracy_high"] - each["accuracy_low"] for each in (person, row)]
    assert width[0] > 2 * width[1]
    assert gap_of(by_person)["high"] > gap_of(by_row)["high"] + 0.1


def test_one_copy_hardly_moves_the_intervals() -> None:
    table = random_table(2000)
    table["identity"] = table["id"]
    rows = report_of(table, replicates=2000)
    table.loc[1, "identity"] = table.loc[0, "identity"]
    persons = report_of(table, replicates=2000)
    assert persons.overall["units"] == rows.overall["units"] - 1
    for name in ("accuracy_low", "accuracy_high", "macro_f1_low", "macro_f1_high"):
        np.testing.assert_allclose(persons.table[name], rows.table[name], atol=0.015)


def test_persons_all_right_get_wilson_with_persons_for_rows() -> None:
    table = two_groups(100, 60).assign(identity=np.repeat([f"p{i}" for i in range(20)], 10))
    row = row_of(group_report(table, ["a", "b"], {"gender": ["female", "male"]}), "female")
    assert row["accuracy_method"] == "wilson, by person"
    # 10 of 10 with the quantile of Student's t with 9 degrees of freedom: 10 / (10 + 2.262 ** 2).
    assert row["accuracy_low"] == pytest.approx(0.661, abs=0.001)


def test_one_person_is_no_group() -> None:
    table = two_groups(50, 60)
    table["identity"] = [f"p{i // 5}" for i in range(100)] + ["one man"] * 100
    gap = gap_of(group_report(table, ["a", "b"], {"gender": ["female", "male"]}))
    assert gap["eligible"] == 1
    assert "too few persons" in gap["headline"]


def test_iterators_and_tuples_are_as_good_as_lists() -> None:
    table = random_table()
    groups: Any = {name: iter(values) for name, values in ATTRIBUTES.items()}
    lazy: Any = iter([iter(("gender", "age"))])
    found = group_report(table, iter(CLASSES), groups, intersections=lazy, replicates=200)  # type: ignore[arg-type]
    assert found.to_dict() == report_of(table).to_dict()


def test_to_dict_is_json_and_undefined_is_null() -> None:
    report = report_of(random_table().drop(columns="p_neutral"))
    parsed = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert parsed == report.to_dict()
    assert parsed["schema_version"] == 2
    assert parsed["overall"]["auroc"] is None
    assert parsed["settings"]["min_group"] == 30
    empty = [row for row in parsed["groups"] if row["status"] == "empty"]
    assert len(empty) == 3
    assert all(row["accuracy"] is None and row["n"] == 0 for row in empty)
    assert len(parsed["gaps"]) == 9
    assert {row["kind"] for row in parsed["gaps"]} == {"largest"}
    assert {row["class"] for row in parsed["further_gaps"]} == set(CLASSES)
    assert {row["criterion"] for row in parsed["criteria"]} == set(CRITERIA)


def test_the_seed_decides() -> None:
    table = random_table()
    assert report_of(table, seed=1).to_dict() == report_of(table, seed=1).to_dict()
    first, second = report_of(table, seed=1).gaps, report_of(table, seed=2).gaps
    assert not first["low"].equals(second["low"])


def test_the_input_is_left_as_it_was() -> None:
    table = random_table()
    before = table.copy(deep=True)
    report_of(table)
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize(
    "setting", [{"level": 1.0}, {"replicates": 1}, {"min_group": 0}, {"min_class": 0}]
)
def test_refuses_settings(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Wrong settings"):
        report_of(random_table(30), **setting)


def test_refuses_undeclared_groups_by_name() -> None:
    with pytest.raises(DataError, match="undeclared gender: male"):
        group_report(random_table(), CLASSES, {"gender": ["female"]})
