from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, false_positive_rate
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, recall_score

from facebias.errors import DataError
from facebias.fairness.gaps import GAP_COLUMNS, adjust_largest
from facebias.fairness.group_pairs import (
    CLASS_GAP_METRICS,
    GAP_METRICS,
    between_groups,
    compare_groups,
)
from facebias.fairness.group_report import group_report
from facebias.fairness.measures import estimate_groups
from facebias.fairness.resampling import CountedGroups, bootstrap_counts
from facebias.fairness.settings import Settings
from facebias.fairness.significance import benjamini_hochberg, holm

CLASSES = ["a", "b"]
GROUPS = ["young", "middle", "old"]


def rows_of(cells: dict[str, tuple[int, int, int, int]]) -> pd.DataFrame:
    """Make rows of groups: a taken for a, a for b, b for a, b for b."""
    kinds = [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]
    rows = [
        (*kind, group)
        for group, times in cells.items()
        for kind, n in zip(kinds, times, strict=True)
        for _ in range(n)
    ]
    return pd.DataFrame(rows, columns=["label", "predicted", "age"])


def shares(**right: int) -> pd.DataFrame:
    """Make 200 rows of each group, so many of each 100 of a class right."""
    return rows_of({group: (n, 100 - n, 100 - n, n) for group, n in right.items()})


def gaps_of(table: pd.DataFrame, **asked: Any) -> pd.DataFrame:  # noqa: ANN401
    return group_report(table, CLASSES, {"age": GROUPS}, **{"replicates": 300} | asked).gaps


def largest(gaps: pd.DataFrame, metric: str = "accuracy", name: str | None = None) -> pd.Series:
    of_class = gaps["class"].isna() if name is None else gaps["class"] == name
    found = gaps[(gaps["kind"] == "largest") & (gaps["metric"] == metric) & of_class]
    assert len(found) == 1
    return found.iloc[0]


def random_table(seed: int, rows: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    groups, labels = rng.integers(3, size=rows), rng.integers(2, size=rows)
    predicted = np.where(rng.random(rows) < 0.9 - 0.15 * groups, labels, 1 - labels)
    names = np.array(CLASSES)
    return pd.DataFrame(
        {"label": names[labels], "predicted": names[predicted], "age": np.array(GROUPS)[groups]}
    )


@pytest.mark.parametrize("seed", range(3))
def test_differences_and_ratios_equal_fairlearns(seed: int) -> None:
    table = random_table(seed)
    gaps = gaps_of(table)
    frame = MetricFrame(
        metrics={
            "accuracy": accuracy_score,
            "macro_recall": lambda y, p: recall_score(y, p, average="macro"),
            "macro_f1": lambda y, p: f1_score(y, p, average="macro"),
            "recall": lambda y, p: recall_score(y, p, pos_label="b"),
            "false_positive_rate": lambda y, p: false_positive_rate(y == "b", p == "b"),
        },
        y_true=table["label"],
        y_pred=table["predicted"],
        sensitive_features=table["age"],
    )
    for metric in frame.difference().index:
        found = largest(gaps, metric, None if metric in GAP_METRICS else "b")
        assert found["difference"] == pytest.approx(frame.difference()[metric])
        assert found["ratio"] == pytest.approx(frame.ratio()[metric])


def test_a_row_for_every_metric_and_class() -> None:
    gaps = gaps_of(random_table(0))
    assert tuple(gaps.columns) == GAP_COLUMNS
    assert len(gaps) == len(GAP_METRICS) + len(CLASSES) * len(CLASS_GAP_METRICS)
    assert not gaps.duplicated(["metric", "class"]).any()


def test_the_worst_group_has_the_largest_false_positive_rate() -> None:
    # Fault seen elsewhere: a minimum taken over metrics for which lower is better.
    table = rows_of({"young": (90, 10, 5, 95), "middle": (90, 10, 10, 90), "old": (90, 10, 40, 60)})
    gaps = gaps_of(table)
    found = largest(gaps, "false_positive_rate", "a")
    assert (found["first"], found["second"], found["worst"]) == ("old", "young", "old")
    assert (found["first_value"], found["second_value"]) == (0.4, 0.05)
    assert found["headline"].startswith("old 0.40 vs young 0.05: gap 0.35 [")
    assert "worst of 3 groups" in found["headline"]
    accuracy = largest(gaps)
    assert (accuracy["first"], accuracy["worst"]) == ("young", "old")


def test_no_group_is_worst_in_predicted_prevalence() -> None:
    found = largest(gaps_of(random_table(0)), "predicted_prevalence", "a")
    assert pd.isna(found["worst"])
    assert "worst" not in found["headline"]
    assert found["headline"].endswith("apart most of 3 groups")


def test_no_difference_is_not_the_same_as_cannot_tell() -> None:
    alike = largest(gaps_of(shares(young=80, middle=81, old=80)))
    assert alike["low"] < 0 < alike["high"]
    assert "interval includes 0: cannot tell the groups apart" in alike["headline"]
    assert f"a gap of {alike['detectable']:.2f} would have been found" in alike["headline"]
    assert alike["detectable"] > alike["high"] - alike["difference"]
    apart = largest(gaps_of(shares(young=95, middle=81, old=60)))
    assert apart["low"] > 0
    assert "cannot tell" not in apart["headline"]
    assert (apart["p"], alike["p"]) == (pytest.approx(0, abs=0.01), pytest.approx(1, abs=0.2))


def test_the_gap_to_expect_of_equal_groups_stands_beside() -> None:
    found = largest(gaps_of(shares(young=80, middle=80, old=80), replicates=2000))
    # The range of three normal values is 1.693 standard deviations (Tippett 1925).
    assert found["expected"] == pytest.approx(1.693 * (0.8 * 0.2 / 200) ** 0.5, rel=0.06)
    assert f"equal groups would show {found['expected']:.2f}" in found["headline"]
    assert (found["difference"], found["deviation"]) == (0, 0)


def test_the_deviation_between_groups_leaves_out_chance() -> None:
    found = largest(gaps_of(shares(young=95, middle=80, old=65), replicates=2000))
    noise = np.mean([share * (1 - share) / 200 for share in (0.95, 0.8, 0.65)])
    assert found["deviation"] == pytest.approx((0.15**2 - noise) ** 0.5, abs=0.002)


def test_the_square_of_the_deviation_is_unbiased() -> None:
    rng = np.random.default_rng(0)
    given = Settings(replicates=200)
    squares = []
    for _ in range(60):
        right = rng.binomial(200, [0.9, 0.8, 0.7])
        counts = np.zeros((4, 2, 2), dtype=np.int64)
        counts[:3, 0] = np.stack([right, 200 - right], axis=-1)
        drawn = bootstrap_counts(counts, given.replicates, rng)
        rows = counts.sum(axis=(1, 2))
        by_class = counts.sum(axis=2)
        counted = CountedGroups("age", tuple(GROUPS), counts, rows, by_class, False, drawn, None)
        compared = compare_groups(counted, estimate_groups(counted, given), given)[0]
        squares.append(between_groups(compared)["deviation"] ** 2)
    # Its standard error over 60 draws is about 6 % of it.
    assert np.mean(squares) == pytest.approx(0.1**2, rel=0.2)


def test_a_gap_that_is_only_the_labels_mix_vanishes_standardised() -> None:
    # Both read 'a' 9 of 10 times and 'b' half of the times.
    found = largest(gaps_of(rows_of({"young": (180, 20, 10, 10), "old": (18, 2, 100, 100)})))
    assert found["difference"] > 0.25
    assert found["standardised"] == pytest.approx(0, abs=1e-12)
    lacking = largest(gaps_of(rows_of({"young": (180, 20, 10, 10), "old": (90, 10, 0, 0)})))
    assert np.isnan(lacking["standardised"])
    assert lacking["reason"] == "not standardised: a group lacks one of the labels"


def test_a_ratio_to_nothing_is_undefined() -> None:
    table = rows_of({"young": (100, 0, 0, 100), "old": (100, 0, 0, 100)})
    found = largest(gaps_of(table), "false_positive_rate", "a")
    assert found["difference"] == 0
    assert np.isnan(found["ratio"])
    assert "no ratio: its denominator is 0" in found["reason"]
    assert found["low"] < 0 < found["high"]


@settings(max_examples=10, deadline=None)
@given(right=st.lists(st.integers(0, 100), min_size=3, max_size=3))
def test_difference_ratio_and_standardised_agree(right: list[int]) -> None:
    gaps = gaps_of(shares(**dict(zip(GROUPS, right, strict=True))), replicates=60)
    assert (gaps["difference"].dropna() >= 0).all()
    told = gaps["low"] > 0
    defined = gaps["ratio"].notna() & gaps["low"].notna()
    # The same bounds make both intervals, so they exclude 0 and 1 together, but for rounding.
    clear = gaps["low"].abs() > 0.01
    assert (told == (gaps["ratio_high"] < 1))[defined & clear].all()
    inside = gaps[gaps["ratio_low"].notna()]
    assert (inside["ratio_low"] <= inside["ratio"] + 1e-9).all()
    assert (gaps["low"].dropna() <= gaps["difference"][gaps["low"].notna()] + 1e-9).all()


def test_all_pairs_are_adjusted_together() -> None:
    gaps = gaps_of(shares(young=90, middle=80, old=70), pairs=True)
    pairs = gaps.query("kind == 'pair'")
    assert set(pairs["metric"]) == set(GAP_METRICS)
    accuracy = pairs.query("metric == 'accuracy'")
    assert [*zip(accuracy["first"], accuracy["second"], strict=True)] == [
        ("young", "middle"),
        ("young", "old"),
        ("middle", "old"),
    ]
    np.testing.assert_allclose(accuracy["difference"], [0.1, 0.2, 0.1])
    np.testing.assert_allclose(accuracy["ratio"], [8 / 9, 7 / 9, 7 / 8])
    np.testing.assert_allclose(accuracy["p_holm"], holm(accuracy["p"]))
    np.testing.assert_allclose(accuracy["p_bh"], benjamini_hochberg(accuracy["p"]))
    widest = accuracy.iloc[1]
    for name in ("difference", "low", "high", "ratio_low"):
        assert widest[name] == pytest.approx(largest(gaps)[name])
    assert widest["headline"].startswith("old 0.70 vs young 0.90: gap 0.20 [")


def test_every_group_is_compared_with_the_reference() -> None:
    gaps = gaps_of(shares(young=70, middle=80, old=90), references={"age": "middle"})
    against = gaps.query("kind == 'reference' and metric == 'accuracy'")
    assert against["first"].tolist() == ["middle", "middle"]
    assert against["second"].tolist() == ["young", "old"]
    np.testing.assert_allclose(against["difference"], [0.1, -0.1])
    np.testing.assert_allclose(against["ratio"], [7 / 8, 9 / 8])
    assert against["worst"].tolist() == ["young", "middle"]
    assert (against["low"] < against["difference"]).all()
    assert against["headline"].iloc[1].startswith("middle 0.80 vs old 0.90: gap 0.10 [")


def test_a_reference_that_is_too_small_is_compared_with_nobody() -> None:
    table = shares(young=70, middle=80, old=90)
    few = table[table["age"] == "middle"].index[10:]
    gaps = gaps_of(table.drop(index=few), references={"age": "middle"})
    against = gaps.query("kind == 'reference' and metric == 'accuracy'")
    assert len(against) == 1
    assert np.isnan(against["difference"].iloc[0])
    assert against["reason"].iloc[0] == "the reference middle cannot be compared"


@pytest.mark.parametrize("references", [{"age": "ancient"}, {"race": "young"}])
def test_refuses_an_undeclared_reference(references: dict[str, str]) -> None:
    with pytest.raises(DataError, match="reference"):
        gaps_of(random_table(0), references=references)


def test_the_largest_gaps_of_a_report_are_one_family() -> None:
    table = random_table(0).assign(gender=np.tile(["f", "m"], 300))
    attributes = {"age": GROUPS, "gender": ["f", "m"]}
    gaps = group_report(table, CLASSES, attributes, replicates=200).gaps
    family = gaps[gaps["class"].isna()]
    assert len(family) == 6
    np.testing.assert_allclose(family["p_holm"], holm(family["p"]))
    np.testing.assert_allclose(family["p_bh"], benjamini_hochberg(family["p"]))
    assert gaps.loc[gaps["class"].notna(), "p_holm"].isna().all()
    assert set(gaps.loc[gaps["class"].notna(), "p_method"]) == {"max-t bootstrap"}


def test_a_gap_without_groups_is_outside_of_the_family() -> None:
    gaps = pd.DataFrame({"kind": "largest", "metric": "accuracy", "p": [0.01, np.nan, 0.04]})
    np.testing.assert_allclose(adjust_largest(gaps)["p_holm"], [0.02, np.nan, 0.04])


def test_what_persons_in_both_groups_share_cancels() -> None:
    rng = np.random.default_rng(0)
    wrong = rng.random((2, 100)) < np.array([[0.2], [0.25]])
    # A person is read in both groups, nearly always alike; or everybody in one of them only.
    alike = np.where(rng.random(100) < 0.9, wrong[0], wrong[1])
    table = pd.DataFrame(
        {
            "label": "a",
            "predicted": np.where(np.concatenate([wrong[0], alike]), "b", "a"),
            "age": np.repeat(["young", "old"], 100),
            "identity": np.tile([f"p{number}" for number in range(100)], 2),
        }
    )
    width = []
    for each in (table, table.drop(columns="identity")):
        found = largest(gaps_of(each, replicates=1000))
        width.append(found["high"] - found["low"])
    assert 0 < width[0] < 0.8 * width[1]
