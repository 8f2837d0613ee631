"""Variants beside each other on the same faces."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from scipy.stats import ttest_1samp
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from facebias.fairness.paired import compare_models
from facebias.fairness.seeds import seed_differences
from facebias.fairness.settings import Settings
from facebias.report.paired import (
    Variant,
    find_variants,
    paired_differences,
)
from facebias.report.results import RunResults
from facebias.runs.trained import TrainedRun

CLASSES = ("happy", "sad")
GROUPS = {"gender": ["female", "male"], "age": ["young", "old"]}
N = 120


def faces() -> pd.DataFrame:
    """Return faces: 80 women and 40 men, 110 young and 10 old."""
    return pd.DataFrame(
        {
            "id": [f"face {number}" for number in range(N)],
            "split": "test",
            "label": ["happy", "sad"] * (N // 2),
            "gender": ["female"] * 80 + ["male"] * 40,
            "age": ["young"] * 110 + ["old"] * 10,
        }
    )


def made_run(
    variant: str,
    wrong: Sequence[int],
    seed: int = 0,
    persons: Sequence[int] | None = None,
    fold: int = 0,
) -> TrainedRun:
    """Return a run that was never trained, wrong on the faces of these numbers."""
    table = faces().assign(seed=seed)
    other = table["label"].map({"happy": "sad", "sad": "happy"})
    table["predicted"] = table["label"].where(~table.index.isin(wrong), other)
    if persons is not None:
        table["identity"] = [f"person {number}" for number in persons]
    config = OmegaConf.create(
        {
            "seed": seed,
            "bias": {"variant": variant},
            "paths": {"run": f"/runs/{variant}"},
            "data": {"fold": fold, "reader": {"classes": list(CLASSES), "attributes": GROUPS}},
        }
    )
    nothing = pd.DataFrame()
    results = RunResults(Path("/runs"), config, {}, table, {}, nothing, nothing)
    name = f"{variant}, seed {seed}"
    return TrainedRun(Path(f"/runs/{variant}_{seed}"), config, results, name)


def compared(*runs: TrainedRun) -> pd.DataFrame:
    return paired_differences(find_variants(runs), CLASSES, GROUPS)


def row(table: pd.DataFrame, **wanted: object) -> pd.Series:
    for name, value in wanted.items():
        table = table[table[name].isna() if value is None else table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def drawn(share: float, seed: int) -> list[int]:
    return np.flatnonzero(np.random.default_rng(seed).random(N) < share).tolist()


def test_two_networks_by_hand() -> None:
    """By hand: 12 only the second is right on, 2 only the first, p = .0129 (exact binomial)."""
    table = compared(made_run("biased", range(12)), made_run("balanced", (118, 119)))
    whole = row(table, kind="all", metric="accuracy")
    assert (whole["first"], whole["second"]) == ("biased, seed 0", "balanced, seed 0")
    assert whole["difference"] == pytest.approx(-10 / N)
    assert (whole["only_first"], whole["only_second"]) == (2, 12)
    expected = 2 * sum(math.comb(14, k) for k in range(3)) / 2**14
    assert (whole["p"], whole["p_holm"]) == pytest.approx((expected, expected))
    judged = whole[["test", "resampled", "comparisons"]].tolist()
    assert judged == ["McNemar, exact", "faces", 1]
    assert whole["verdict"] == "supported"
    assert (
        "balanced, seed 0 is right more often than biased, seed 0, by 8.3 points" in whole["says"]
    )
    assert "one seed of a variant says nothing of other trainings" in whole["says"]


def test_p_values_are_those_of_statsmodels_and_families_are_adjusted_by_it() -> None:
    first, second, third = (made_run(name, drawn(0.3, place)) for place, name in enumerate("abc"))
    table = compared(first, second, third)
    for one, other in ((first, second), (first, third), (second, third)):
        right = [(run.rows["label"] == run.rows["predicted"]).to_numpy() for run in (one, other)]
        counts = [[np.sum((right[0] == a) & (right[1] == b)) for b in (1, 0)] for a in (1, 0)]
        own = row(table, first=one.name, second=other.name, kind="all", metric="accuracy")
        assert own["p"] == pytest.approx(mcnemar(counts, exact=True).pvalue)
    for (kind, metric), part in table.groupby(["kind", "metric"]):
        judged = part[part["verdict"] != "not compared"]
        assert set(judged["comparisons"]) == {len(judged)}
        if metric == "accuracy" and kind != "gap":
            adjusted = multipletests(judged["p"], method="holm")[1]
            np.testing.assert_allclose(judged["p_holm"], adjusted)


def test_what_has_no_test_is_held_against_the_joint_interval() -> None:
    runs = made_run("a", drawn(0.4, 0)), made_run("b", drawn(0.2, 1))
    table = compared(*runs)
    found = row(table, kind="group", metric="macro_recall", group="female")
    assert (found["test"], found["comparisons"]) == ("joint interval", 4 - 1)  # old: too small
    level = 1 - 0.05 / 3
    models = compare_models(
        runs[0].rows, runs[1].rows, CLASSES, GROUPS, settings=Settings(level=level)
    )
    own = row(models, metric="macro_recall", group="female", against=None)
    assert (found["joint_low"], found["joint_high"]) == (own["low"], own["high"])
    assert found["joint_low"] < found["low"]
    assert math.isnan(found["p"])
    assert math.isnan(found["p_holm"])


def test_persons_with_several_faces_are_not_tested_as_if_faces_were_independent() -> None:
    persons = [number // 4 for number in range(N)]
    runs = [made_run(name, drawn(0.3, place), 0, persons) for place, name in enumerate("ab")]
    whole = row(compared(*runs), kind="all", metric="accuracy")
    assert (whole["test"], whole["resampled"]) == ("interval over persons", "persons")
    assert whole["units"] == N // 4
    assert "The interval holds other persons" in whole["says"]


def test_several_seeds_are_crossed_with_faces() -> None:
    runs = [
        made_run(name, drawn(share, 10 * place + seed), seed)
        for place, (name, share) in enumerate((("a", 0.5), ("b", 0.1)))
        for seed in range(3)
    ]
    variants = find_variants(runs)
    assert [(each.name, len(each.runs)) for each in variants] == [("a", 3), ("b", 3)]
    table = paired_differences(variants, CLASSES, GROUPS)
    first, second = ([run.rows for run in each.runs] for each in variants)
    own = seed_differences(first, second, CLASSES, GROUPS)
    own = own[own["metric"].isin(["accuracy", "macro_recall"])]
    for name in ("group", "difference", "low", "high", "n", "units", "first_seeds"):
        assert table[name].tolist() == pytest.approx(own[name].tolist(), nan_ok=True)
    whole = row(table, kind="all", metric="accuracy")
    assert (whole["resampled"], whole["verdict"]) == ("seeds x faces", "supported")
    assert "other seeds (here 3 of each) and other faces" in whole["says"]


def test_the_p_value_over_seeds_is_that_of_its_interval() -> None:
    """Where seeds are all that varies, both variants' seeds' terms are one Student's t each."""
    runs = [
        made_run(name, drawn(share, 10 * place + seed), seed)
        for place, (name, share) in enumerate((("a", 0.3), ("b", 0.25)))
        for seed in range(4)
    ]
    variants = find_variants(runs)
    whole = row(paired_differences(variants, CLASSES, {}), kind="all", metric="accuracy")
    first, second = ([run.rows for run in each.runs] for each in variants)
    level = 1 - float(whole["p"])
    touching = seed_differences(first, second, CLASSES, {}, settings=Settings(level=level))
    bounds = row(touching, metric="accuracy")[["low", "high"]]
    assert min(abs(bounds)) == pytest.approx(0, abs=1e-9)


def test_one_network_whose_seeds_never_agree_is_told_by_students_t() -> None:
    """The second never errs; each face is wrong in one seed of the first at most, equally often."""
    wrong = [range(0, 10), range(10, 24), range(24, 36)]
    runs = [made_run("a", each, seed) for seed, each in enumerate(wrong)]
    runs += [made_run("b", [], seed) for seed in range(3)]
    whole = row(compared(*runs), kind="all", metric="accuracy")
    # The faces' term is below 0, so it is taken as 0, and the seeds of b never vary.
    values = [-len(each) / N for each in wrong]
    assert whole["difference"] == pytest.approx(np.mean(values))
    assert whole["p"] == pytest.approx(ttest_1samp(values, 0).pvalue)


def test_a_single_seed_beside_several_is_compared_with_each_network() -> None:
    runs = [made_run("a", drawn(0.3, seed), seed) for seed in range(2)]
    table = compared(*runs, made_run("b", drawn(0.1, 9)))
    whole = table[(table["kind"] == "all") & (table["metric"] == "accuracy")]
    assert list(zip(whole["first"], whole["second"], strict=True)) == [
        ("a, seed 0", "b, seed 0"),
        ("a, seed 1", "b, seed 0"),
    ]
    assert set(whole["comparisons"]) == {2}


def test_small_groups_are_shown_and_not_compared() -> None:
    table = compared(made_run("a", drawn(0.4, 0)), made_run("b", drawn(0.2, 1)))
    old = row(table, group="old", metric="accuracy")
    assert (old["n"], old["verdict"], old["family"]) == (10, "not compared", "")
    assert old["says"] == (
        "On the same 10 faces of age old: not compared (too few faces to be compared)."
    )
    assert not ((table["kind"] == "gap") & (table["attribute"] == "age")).any()


def test_models_that_say_the_same_cannot_be_told_apart() -> None:
    same = drawn(0.3, 0)
    table = compared(made_run("a", same), made_run("b", same))
    whole = row(table, kind="all", metric="accuracy")
    assert (whole["difference"], whole["p"], whole["verdict"]) == (0, 1, "cannot tell")
    assert math.isnan(whole["low"])
    assert "it cannot be told whether" in whole["says"]
    assert "no interval" in whole["says"]


def test_a_gap_is_that_of_both_variants() -> None:
    # Of 40 men the first is wrong on 20, of 80 women on none; the second on nobody.
    table = compared(made_run("a", range(80, 100)), made_run("b", []))
    gap = row(table, kind="gap", metric="accuracy", attribute="gender")
    assert (gap["group"], gap["against"]) == ("female", "male")
    assert (gap["first_value"], gap["second_value"]) == (0.5, 0)
    assert gap["verdict"] == "supported"
    assert "female minus male is 50.0 points of accuracy under a, seed 0" in gap["says"]


def test_a_repeated_seed_is_another_variant_and_a_fold_is_too() -> None:
    runs = [
        made_run("a", [], 0),
        made_run("a", [], 1),
        made_run("a", [], 0),
        made_run("a", [], 0, fold=1),
    ]
    found = find_variants(runs)
    assert [len(each.runs) for each in found] == [2, 1, 1]
    assert found[0].name == "a, fold 0"


def test_one_variant_alone_has_no_rows() -> None:
    assert paired_differences([Variant("a", (made_run("a", []),))], CLASSES, GROUPS).empty
