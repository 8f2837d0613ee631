"""How variants read neutral faces, and what survives the correction."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from statsmodels.stats.multitest import multipletests

from facebias.fairness.predictions import scored_rows
from facebias.fairness.priors import prior_corrected
from facebias.fairness.settings import Settings
from facebias.report.paired import MOST_VARIANTS, Variant, find_variants, variant_pairs
from facebias.report.results import RunResults
from facebias.report.variant_readings import dose_response, valence_by_variant, valence_shifts
from facebias.runs.trained import TrainedRun
from tests.report.variant_runs import ATTRIBUTES, CLASSES, leaning_run

LEAN = {"negative": 20, "neutral": 60, "positive": 160}


def row(table: pd.DataFrame | None, **wanted: Any) -> pd.Series:  # noqa: ANN401
    assert table is not None
    wanted = {"attribute": "all", "reading": "raw", "true": "neutral", "read": "positive"} | wanted
    for name, value in wanted.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


@pytest.fixture
def twins(tmp_path: Path) -> list[Variant]:
    """Return twins of which the first says positive more often, only for its shares."""
    runs = [
        leaning_run(tmp_path, name, seed, shares)
        for name, shares in (("positive", LEAN), ("balanced", None))
        for seed in range(3)
    ]
    return find_variants(runs)


def test_each_variant_is_read_with_its_seeds_and_dose(twins: list[Variant]) -> None:
    table = valence_by_variant(twins, ATTRIBUTES)
    found = row(table, variant="positive")
    shares = [
        run.rows.loc[run.rows["label"] == "neutral", "predicted"].eq("positive").mean()
        for run in twins[0].runs
    ]
    assert found["value"] == pytest.approx(np.mean(shares))
    assert (found["seeds"], found["dose"], found["bias"]) == (3, 0.6, "positive")
    assert found["resampled"] == "seeds x faces"
    corrected = [
        prior_corrected(run.rows, CLASSES, run.train_prior())["predicted"][
            run.rows["label"] == "neutral"
        ]
        .eq("positive")
        .mean()
        for run in twins[0].runs
    ]
    own = row(table, variant="positive", reading="prior-corrected")
    assert own["value"] == pytest.approx(np.mean(corrected))
    assert table is not None
    assert set(table["attribute"]) == {"all", *ATTRIBUTES}
    assert math.isnan(row(table, variant="balanced")["dose"])


def test_a_shift_that_is_the_shares_alone_does_not_survive_the_correction(
    twins: list[Variant],
) -> None:
    table = valence_shifts(twins, ATTRIBUTES)
    raw, corrected = row(table), row(table, reading="prior-corrected")
    assert raw["verdict"] == "supported"
    assert raw["difference"] > 0.2
    assert corrected["verdict"] == "cannot tell"
    assert abs(corrected["difference"]) < 0.1
    assert "positive reads neutral faces as positive more often than balanced" in raw["says"]
    assert "which cannot be told from 0: the shares of the training may be all" in corrected["says"]
    assert "other seeds (here 3 of each) and other faces" in raw["says"]


def test_what_is_learnt_of_faces_survives(tmp_path: Path) -> None:
    runs = [
        leaning_run(tmp_path, name, seed, learnt=learnt)
        for name, learnt in (("taught", 1.5), ("plain", 0.0))
        for seed in range(3)
    ]
    corrected = row(valence_shifts(find_variants(runs), {}), reading="prior-corrected")
    assert corrected["verdict"] == "supported"
    assert "is not the shares of the training alone" in corrected["says"]


def test_a_family_is_adjusted_over_pairs_and_read_valences(tmp_path: Path) -> None:
    runs = [
        leaning_run(tmp_path, name, seed, learnt=learnt)
        for name, learnt in (("a", 0.0), ("b", 0.4), ("c", 0.8))
        for seed in range(2)
    ]
    table = valence_shifts(find_variants(runs), ATTRIBUTES)
    assert table is not None
    whole = table[(table["attribute"] == "all") & (table["reading"] == "raw")]
    assert set(whole["family"]) == {"neutral faces, raw, all faces"}
    assert set(whole["comparisons"]) == {6}
    np.testing.assert_allclose(whole["p_holm"], multipletests(whole["p"], method="holm")[1])
    groups = table[(table["attribute"] != "all") & (table["reading"] == "raw")]
    judged = groups[groups["verdict"] != "not compared"]
    assert set(judged["comparisons"]) == {len(judged)}
    small = groups[groups["n"] < 30]
    assert len(small)
    assert set(small["verdict"]) == {"not compared"}
    assert set(small["reason"]) == {"too few faces to be compared"}
    assert small["says"].str.endswith("(too few faces to be compared).").all()


def test_single_seeds_are_told_to_be_two_networks(tmp_path: Path) -> None:
    runs = [
        leaning_run(tmp_path, "a", 0, learnt=2.0),
        leaning_run(tmp_path, "b", 0),
        leaning_run(tmp_path, "b", 1),
    ]
    table = valence_shifts(find_variants(runs), {})
    assert table is not None
    assert set(zip(table["first"], table["second"], strict=True)) == {
        ("a, seed 0", "b, seed 0"),
        ("a, seed 0", "b, seed 1"),
    }
    own = row(table, second="b, seed 1")
    assert (own["resampled"], own["test"]) == ("faces", "McNemar, exact")
    assert (own["first_seeds"], own["second_seeds"]) == (1, 1)
    assert "one seed of a variant says nothing of other trainings" in own["says"]


def test_a_training_without_a_class_has_no_corrected_shift(tmp_path: Path) -> None:
    lacking = {"negative": 0, "neutral": 60, "positive": 160}
    runs = [
        leaning_run(tmp_path, name, seed, shares)
        for name, shares in (("a", lacking), ("b", None))
        for seed in range(2)
    ]
    found = row(valence_shifts(find_variants(runs), {}), reading="prior-corrected")
    assert found["verdict"] == "not compared"
    assert found["reason"] == "the model was not trained on negative"
    assert "not compared (the model was not trained on negative)" in found["says"]
    assert (found["family"], found["comparisons"]) == ("", 0)


def test_labels_without_a_valence_are_not_read(tmp_path: Path) -> None:
    variants = find_variants([leaning_run(tmp_path, "a", 0), leaning_run(tmp_path, "b", 0)])
    for variant in variants:
        variant.runs[0].config.data.reader.classes = ["cat", "dog", "mouse"]
    assert valence_by_variant(variants, {}) is None
    assert valence_shifts(variants, {}) is None


def test_without_a_neutral_class_the_first_valence_is_compared(tmp_path: Path) -> None:
    runs = [leaning_run(tmp_path, name, 0) for name in "ab"]
    named = {"negative": "sad", "neutral": "happy", "positive": "glad"}
    renamed = [_renamed(run, named) for run in runs]
    table = valence_shifts(find_variants(renamed), {})
    assert table is not None
    assert set(zip(table["true"], table["read"], strict=True)) == {("negative", "positive")}


def _renamed(run: TrainedRun, named: Mapping[str, str]) -> TrainedRun:
    """Return a run with other classes, two of them positive."""
    rows = run.rows.rename(columns={f"p_{one}": f"p_{other}" for one, other in named.items()})
    rows = rows.assign(**{name: rows[name].map(named) for name in ("label", "predicted")})
    config = OmegaConf.merge(
        run.config,
        {
            "data": {"reader": {"classes": list(named.values())}},
            "callbacks": {
                "fairness": {
                    "valences": {"sad": "negative", "happy": "positive", "glad": "positive"}
                }
            },
        },
    )
    faces = pd.read_parquet(run.folder / "split.parquet")
    faces.assign(label=faces["label"].map(named)).to_parquet(run.folder / "split.parquet")
    assert scored_rows(rows, tuple(named.values())).scores is not None
    results = RunResults(run.folder, config, {}, rows, {}, pd.DataFrame(), pd.DataFrame())  # type: ignore[arg-type]
    return TrainedRun(run.folder, config, results, run.name)  # type: ignore[arg-type]


def test_doses_of_a_bias_make_a_curve(tmp_path: Path) -> None:
    runs = [
        leaning_run(tmp_path, "positive", seed, dose=dose)
        for dose in (0.6, 0.0, 0.3)
        for seed in range(2)
    ]
    runs += [leaning_run(tmp_path, "balanced", seed) for seed in range(2)]
    by_variant = valence_by_variant(find_variants(runs), ATTRIBUTES)
    assert by_variant is not None
    curves = dose_response(by_variant)
    assert curves is not None
    assert set(curves["curve"]) == {"positive"}
    assert set(curves["attribute"]) == {"all"}
    own = curves[(curves["reading"] == "raw") & (curves["read"] == "positive")]
    assert own[own["true"] == "neutral"]["dose"].tolist() == [0.0, 0.3, 0.6]
    assert dose_response(by_variant[by_variant["dose"] != 0.3][lambda t: t["dose"] != 0.0]) is None


def test_of_many_variants_groups_are_compared_with_the_first_alone(tmp_path: Path) -> None:
    run = leaning_run(tmp_path, "a", 0)
    many = [Variant(str(number), (run,)) for number in range(MOST_VARIANTS + 1)]
    pairs = variant_pairs(many)
    assert len(pairs) == len(many) * (len(many) - 1) // 2
    assert sum(pair.groups for pair in pairs) == len(many) - 1
    assert all(pair.groups for pair in variant_pairs(many[:-1]))


def test_one_variant_has_readings_and_no_shifts(tmp_path: Path) -> None:
    variants = find_variants([leaning_run(tmp_path, "a", 0)])
    assert valence_by_variant(variants, {}) is not None
    shifts = valence_shifts(variants, {}, Settings())
    assert shifts is not None
    assert shifts.empty
