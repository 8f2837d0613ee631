"""A report as one pandas table and as fairlearn's MetricFrame."""

import sys

import numpy as np
import pandas as pd
import pytest

from facebias.errors import DataError
from facebias.fairness import metrics
from facebias.fairness.frames import metric_frame, tidy_frame
from facebias.fairness.group_report import GroupReport, group_report

CLASSES = ("angry", "happy", "sad")
ATTRIBUTES = {"sex": ("f", "m"), "age": ("young", "old", "oldest")}


def made(seed: int = 0, faces: int = 400) -> tuple[GroupReport, pd.DataFrame]:
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "label": random.choice(CLASSES, faces),
            "sex": random.choice(["f", "m"], faces),
            "age": random.choice(["young", "old"], faces),
        }
    )
    guess = random.choice(CLASSES, faces)
    table["predicted"] = table["label"].where(random.random(faces) < 0.6, guess)
    report = group_report(table, CLASSES, ATTRIBUTES, intersections=[("sex", "age")], replicates=50)
    return report, table


def in_report(report: GroupReport, attribute: str, name: str) -> pd.Series:
    """Return the values of each group of one attribute, of a metric named as in the frame."""
    metric, _, of_class = name.partition(", ")
    chosen = report.measures
    chosen = chosen[(chosen["attribute"] == attribute) & (chosen["metric"] == metric)]
    chosen = chosen[chosen["class"] == of_class] if of_class else chosen[chosen["class"].isna()]
    return chosen.set_index("group")["value"]


@pytest.mark.parametrize("attribute", ["sex", "age"])
def test_a_metric_frame_has_the_numbers_of_the_report(attribute: str) -> None:
    report, table = made()
    frame = metric_frame(report, table, [attribute])
    assert set(frame.overall.index) == {
        *metrics.AVERAGES,
        *(f"{name}, {each}" for name in metrics.BY_CLASS for each in CLASSES),
    }
    for name in frame.overall.index:
        whole = in_report(report, "all", name)
        np.testing.assert_equal(frame.overall[name], whole.iloc[0])
        groups = in_report(report, attribute, name)
        own = frame.by_group[name]
        np.testing.assert_array_equal(own, groups[own.index])
        assert set(groups.index) - set(own.index) <= {"oldest"}


def test_combinations_are_those_of_the_report() -> None:
    report, table = made()
    frame = metric_frame(report, table, ["sex", "age"])
    groups = in_report(report, "sex x age", "macro_f1")
    for (sex, age), value in frame.by_group["macro_f1"].items():
        assert value == groups[f"{sex}, {age}"]
    assert len(frame.by_group) == 4


def test_a_difference_is_the_gap_of_the_report() -> None:
    report, table = made()
    differences = metric_frame(report, table, ["sex"]).difference()
    gaps = report.gaps[(report.gaps["attribute"] == "sex") & (report.gaps["kind"] == "largest")]
    for metric in ("accuracy", "macro_recall", "macro_f1"):
        gap = gaps.loc[gaps["metric"] == metric, "difference"]
        assert gap.tolist() == pytest.approx([differences[metric]])


def test_rows_of_unknown_group_are_left_out() -> None:
    _, table = made()
    table["sex"] = table["sex"].mask(table.index < 50, "unknown")
    report = group_report(table, CLASSES, ATTRIBUTES, replicates=50)
    frame = metric_frame(report, table, ["sex"])
    assert set(frame.by_group.index) == {"f", "m"}
    known = table[50:]
    assert frame.overall["accuracy"] == (known["label"] == known["predicted"]).mean()


def test_what_is_undefined_stays_undefined() -> None:
    _, table = made()
    table = table[(table["sex"] == "f") | (table["label"] != "sad")]
    report = group_report(table, CLASSES, ATTRIBUTES, replicates=50)
    frame = metric_frame(report, table, ["sex"])
    assert np.isnan(frame.by_group.loc["m", "recall, sad"])
    assert not np.isnan(frame.by_group.loc["f", "recall, sad"])


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    report, table = made()
    with pytest.raises(DataError, match="399 rows"):
        metric_frame(report, table[1:], ["sex"])
    for wrong in ([], ["skin"]):
        with pytest.raises(DataError, match="attributes of the report: sex, age"):
            metric_frame(report, table, wrong)
    unknown = table.assign(sex="unknown")
    with pytest.raises(DataError, match="No row"):
        metric_frame(group_report(unknown, CLASSES, ATTRIBUTES, replicates=50), unknown, ["sex"])
    monkeypatch.setitem(sys.modules, "fairlearn.metrics", None)
    with pytest.raises(DataError, match=r"facebias\[fairlearn\]"):
        metric_frame(report, table, ["sex"])


def test_a_tidy_table_has_every_number_once() -> None:
    report, _ = made()
    tidy = tidy_frame(report)
    assert tidy["table"].value_counts().to_dict() == {
        "measure": len(report.measures),
        "gap": len(report.gaps),
        "criterion": len(report.criteria),
    }
    keys = [name for name in tidy.columns if name not in ("value", "low", "high")]
    measures = tidy[tidy["table"] == "measure"]
    assert not measures.duplicated(keys).any()
    np.testing.assert_array_equal(measures["value"], report.measures["value"])
    gaps = tidy[tidy["table"] == "gap"]
    np.testing.assert_array_equal(gaps["value"], report.gaps["difference"])
    assert gaps["kind"].tolist() == report.gaps["kind"].tolist()
    found = gaps.dropna(subset="value").iloc[0]
    values = measures[measures["attribute"] == found["attribute"]]
    values = values[(values["metric"] == found["metric"]) & values["class"].isna()]
    values = values.set_index("group")["value"]
    assert found["value"] == pytest.approx(values[found["group"]] - values[found["against"]])
    criteria = tidy[tidy["table"] == "criterion"]
    assert set(criteria["kind"]) == set(report.criteria["criterion"])
