"""The audit as a Python call: what is measured, of whom, and what it is compared with."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix

from facebias.errors import DataError
from facebias.fairness.audit import audit
from facebias.fairness.group_report import group_report

CLASSES, RACES, AGES = ("f", "m"), ("a", "b", "c"), ("old", "young")
FEW: dict[str, Any] = {"replicates": 100}


def faces(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    label = random.choice(CLASSES, rows)
    wrong = np.where(label == "f", "m", "f")
    table = pd.DataFrame(
        {
            "label": label,
            "predicted": np.where(random.random(rows) < 0.8, label, wrong),
            "second": np.where(random.random(rows) < 0.6, label, wrong),
            "race": random.choice(RACES, rows),
            "age": random.choice(AGES, rows),
        }
    )
    table["p_f"] = np.where(table["predicted"] == "f", 0.75, 0.25)
    table["p_m"] = 1 - table["p_f"]
    return table


def test_the_numbers_are_those_of_the_group_report_and_of_scikit_learn() -> None:
    table = faces()
    found = audit(table, groups=["race", "age"], **FEW)
    report = group_report(
        table,
        CLASSES,
        {"race": RACES, "age": AGES},
        intersections=[("race", "age")],
        pairs=True,
        replicates=100,
    )
    for name in ("measures", "gaps", "criteria"):
        own = found.tables[name].drop(columns="model")
        pd.testing.assert_frame_equal(own, getattr(report, name), check_dtype=False)
    measures = found.tables["measures"]
    of_race = measures[(measures["attribute"] == "race") & (measures["metric"] == "accuracy")]
    for race, value in zip(of_race["group"], of_race["value"], strict=True):
        part = table[table["race"] == race]
        assert value == accuracy_score(part["label"], part["predicted"])
    counts = found.tables["confusion"]
    whole = counts[counts["attribute"] == "all"]["n"].to_numpy().reshape(2, 2)
    np.testing.assert_array_equal(whole, confusion_matrix(table["label"], table["predicted"]))


def test_confusions_of_groups_add_up_to_those_of_all() -> None:
    table = faces()
    table.loc[::7, "race"] = None
    counts = audit(table, groups=["race", "age"], **FEW).tables["confusion"]
    sums = counts.groupby(["attribute", "label", "predicted"])["n"].sum().unstack("attribute")
    for attribute in ("race", "age", "race x age"):
        np.testing.assert_array_equal(sums[attribute], sums["all"])
    assert "unknown" in set(counts.loc[counts["attribute"] == "race", "group"])
    assert "unknown" not in set(counts.loc[counts["attribute"] == "age", "group"])


def test_models_are_compared_on_the_faces_that_both_answered() -> None:
    table = faces()
    table.loc[:49, "second"] = None
    table.loc[390:, "label"] = None
    predicted = {"one": "predicted", "two": "second"}
    found = audit(table, predicted=predicted, groups=["race"], **FEW)
    assert [found.reports[model].overall["n"] for model in ("one", "two")] == [390, 340]
    paired = found.tables["paired"]
    whole = paired[(paired["attribute"] == "all") & (paired["metric"] == "accuracy")].iloc[0]
    both = table.loc[50:389]
    right = [(both[column] == both["label"]).mean() for column in ("predicted", "second")]
    assert (whole["model"], whole["against_model"], whole["n"]) == ("one", "two", 340)
    assert whole["difference"] == pytest.approx(right[0] - right[1])


def test_models_that_answered_no_face_in_common_are_not_compared() -> None:
    table = faces()
    table.loc[:199, "predicted"] = None
    table.loc[200:, "second"] = None
    found = audit(table, predicted={"one": "predicted", "two": "second"}, **FEW)
    assert "paired" not in found.tables
    assert [found.reports[model].overall["n"] for model in ("one", "two")] == [200, 200]


def test_scores_are_used_where_all_classes_have_one() -> None:
    table = faces()
    scored = audit(table, groups=["race"], **FEW).tables
    assert {"auroc", "log_loss", "brier"} <= set(scored["scores"]["metric"])
    assert "scores" not in audit(table.drop(columns="p_m"), groups=["race"], **FEW).tables


def test_a_confidence_alone_gives_the_calibration_of_the_answer_and_no_more() -> None:
    table = faces().assign(sure=0.75)
    full = audit(table, groups=["race"], **FEW).tables
    alone = audit(table, groups=["race"], probabilities="none", confidence="sure", **FEW).tables
    assert not {"auroc", "log_loss", "brier"} & set(alone["scores"]["metric"])
    keys = ["attribute", "group", "metric"]
    ours, theirs = (
        each["scores"][each["scores"]["metric"].isin(["ece_equal_width", "ece_equal_mass"])]
        .set_index(keys)["value"]
        .sort_index()
        for each in (alone, full)
    )
    pd.testing.assert_series_equal(ours, theirs)
    curves = full["reliability"]
    curves = curves[curves["class"].isna()].reset_index(drop=True)
    columns = ["attribute", "group", "binning", "bin", "n", "confidence", "share", "low", "high"]
    order = ["attribute", "group", "binning", "bin"]
    pd.testing.assert_frame_equal(
        alone["reliability"][columns].sort_values(order, ignore_index=True),
        curves[columns].sort_values(order, ignore_index=True),
    )


def test_faces_without_a_confidence_are_left_out_of_calibration_alone() -> None:
    table = faces().assign(sure=0.75)
    table.loc[:99, "sure"] = np.nan
    found = audit(table, probabilities="none", confidence="sure", **FEW)
    scores = found.tables["scores"]
    assert set(scores.loc[scores["attribute"] == "all", "n"]) == {300}
    assert found.reports["predicted"].overall["n"] == 400


def test_numbers_are_read_as_their_text_and_categories_keep_their_order() -> None:
    table = faces().assign(race=pd.Categorical(faces()["race"], ["c", "a", "b", "d"]))
    codes = {"f": 0, "m": 1}
    table = table.assign(label=table["label"].map(codes), predicted=table["predicted"].map(codes))
    found = audit(table, groups=["race"], **FEW)
    assert found.settings["classes"] == ("0", "1")
    assert found.settings["attributes"] == {"race": ("c", "a", "b", "d")}
    measures = found.tables["measures"]
    empty = measures[(measures["group"] == "d") & (measures["metric"] == "accuracy")].iloc[0]
    assert (empty["n"], empty["status"]) == (0, "empty")
    assert np.isnan(empty["value"])


def test_persons_are_known_by_their_column() -> None:
    table = faces().assign(who=np.arange(400) // 4)
    table["race"] = np.array(RACES)[np.arange(400) // 4 % 3]
    found = audit(table, groups=["race"], identity="who", **FEW)
    measures = found.tables["measures"]
    whole = measures[(measures["attribute"] == "all") & (measures["metric"] == "accuracy")]
    assert whole["units"].tolist() == [100]
    predicted = {"one": "predicted", "two": "second"}
    both = audit(table, predicted=predicted, identity="who", **FEW)
    (own,) = both.tables["paired"].query("metric == 'accuracy'").to_dict(orient="records")
    assert own["test"] == "interval over persons"
    assert own["p"] < 0.001


def test_the_order_of_the_faces_changes_nothing() -> None:
    table = faces()
    mixed = table.sample(frac=1, random_state=1, ignore_index=True)
    one, other = (audit(each, groups=["race"], **FEW).tables for each in (table, mixed))
    for name, found in one.items():
        pd.testing.assert_frame_equal(found, other[name])


def test_what_cannot_be_measured_is_refused_in_words() -> None:
    table = faces()
    with pytest.raises(DataError, match="no column 'rase'") as refused:
        audit(table, groups=["rase"])
    assert "race" in refused.value.todo
    with pytest.raises(DataError, match="groups names split"):
        audit(table.assign(split="x"), groups=["split"])
    with pytest.raises(DataError, match="no face has both"):
        audit(table.assign(predicted=None))
    with pytest.raises(DataError, match="undeclared predicted class"):
        audit(table.assign(predicted="x"), groups=["race"])
    with pytest.raises(DataError, match="1 ids come more than once, such as 7"):
        audit(table.assign(id=[7, 7, *range(100, 498)]), groups=["race"])
    with pytest.raises(DataError, match=r"in the column 'sure' are outside 0..1, such as 75"):
        audit(table.assign(sure=75.0), probabilities="none", confidence="sure")


def test_a_row_without_scores_leaves_auroc_undefined_and_is_counted() -> None:
    table = faces()
    table.loc[3, ["p_f", "p_m"]] = np.nan
    found = audit(table, **FEW)
    assert np.isnan(found.reports["predicted"].overall["auroc"])
    scores = found.tables["scores"]
    whole = scores[(scores["attribute"] == "all") & (scores["metric"] == "auroc")]
    assert whole["status"].str.contains("1 of 400 rows lack scores").all()
    assert found.reports["predicted"].overall["accuracy"] > 0.5
