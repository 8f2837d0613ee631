"""Variants group by group, and their pictures."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from facebias.fairness.intervals import student_interval, wilson_interval
from facebias.fairness.seeds import seed_gaps, seed_measures
from facebias.report import audit_figures
from facebias.report.page_parts import Picture
from facebias.report.paired import Variant, find_variants
from facebias.report.variant_groups import (
    calibration_by_variant,
    gaps_by_variant,
    groups_by_variant,
    reliability_by_variant,
)
from facebias.report.variant_pictures import (
    calibration_picture,
    dose_picture,
    groups_picture,
    shift_picture,
    valence_picture,
)
from facebias.report.variant_readings import dose_response, valence_by_variant, valence_shifts
from tests.report.variant_runs import ATTRIBUTES, CLASSES, leaning_run

CROSS = [("sex", "age")]
LEAN = {"negative": 20, "neutral": 60, "positive": 160}


@pytest.fixture
def variants(tmp_path: Path) -> list[Variant]:
    runs = [leaning_run(tmp_path, "positive", seed, LEAN) for seed in range(3)]
    return find_variants([*runs, leaning_run(tmp_path, "balanced", 0)])


def row(table: pd.DataFrame, **wanted: Any) -> pd.Series:  # noqa: ANN401
    for name, value in wanted.items():
        table = table[table[name].isna() if value is None else table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_averages_over_seeds_are_those_of_seed_measures(variants: list[Variant]) -> None:
    table = groups_by_variant(variants, ATTRIBUTES, CROSS)
    own = seed_measures(
        [run.rows for run in variants[0].runs], CLASSES, ATTRIBUTES, intersections=CROSS
    )
    for metric in ("accuracy", "macro_recall", "macro_f1"):
        found = table[(table["metric"] == metric) & (table["variant"] == "positive")]
        found = found[found["reading"] == "raw"].reset_index(drop=True)
        theirs = own[own["metric"] == metric].reset_index(drop=True)
        columns = ["attribute", "group", "value", "low", "high", "n", "units", "status", "reason"]
        pd.testing.assert_frame_equal(found[columns], theirs[columns])
        known = found[found["reason"] == ""]
        assert set(known["resampled"]) == {"seeds x faces"}
    assert set(table["attribute"]) == {"all", "sex", "age", "sex x age"}


def test_recall_and_precision_are_those_of_scikit_learn(variants: list[Variant]) -> None:
    table = groups_by_variant(variants, {})
    for metric, score in (("recall", recall_score), ("precision", precision_score)):
        values = [
            score(run.rows["label"], run.rows["predicted"], labels=list(CLASSES), average=None)
            for run in variants[0].runs
        ]
        for place, name in enumerate(CLASSES):
            found = row(table, variant="positive", reading="raw", metric=metric, **{"class": name})
            assert found["value"] == pytest.approx(np.mean(values, axis=0)[place])
            assert found["low"] < found["value"] < found["high"]
            taken = "label" if metric == "recall" else "predicted"
            counts = [int((run.rows[taken] == name).sum()) for run in variants[0].runs]
            assert found["n"] == min(counts)


def test_one_seed_has_wilsons_interval_over_faces(variants: list[Variant]) -> None:
    table = groups_by_variant(variants, ATTRIBUTES)
    rows = variants[1].runs[0].rows
    for metric, chosen in (
        ("accuracy", rows["sex"] == "f"),
        ("recall", (rows["sex"] == "f") & (rows["label"] == "neutral")),
        ("precision", (rows["sex"] == "f") & (rows["predicted"] == "neutral")),
    ):
        hits = int((rows["label"] == rows["predicted"])[chosen].sum())
        name = None if metric == "accuracy" else "neutral"
        found = row(
            table,
            **{"variant": "balanced, seed 0", "reading": "raw", "metric": metric},
            **{"class": name, "group": "f"},
        )
        low, high = wilson_interval(hits, int(chosen.sum()))
        assert (found["low"], found["high"]) == pytest.approx((float(low), float(high)))
        assert (found["resampled"], found["seeds"]) == ("faces", 1)


def test_a_training_without_a_class_has_the_raw_reading_alone(tmp_path: Path) -> None:
    lacking = {"negative": 0, "neutral": 60, "positive": 160}
    found = groups_by_variant([Variant("a", (leaning_run(tmp_path, "a", 0, lacking),))], {})
    assert set(found["reading"]) == {"raw"}


def test_a_class_that_nobody_predicts_has_no_precision(tmp_path: Path) -> None:
    run = leaning_run(tmp_path, "a", 0)
    run.rows["predicted"] = "neutral"
    table = groups_by_variant([Variant("a", (run,))], {})
    found = row(table, reading="raw", metric="precision", **{"class": "positive"})
    assert math.isnan(found["value"])
    assert (found["n"], found["resampled"], found["reason"]) == (0, "none", "no rows")


def test_gaps_are_those_of_seed_gaps(variants: list[Variant]) -> None:
    table = gaps_by_variant(variants, ATTRIBUTES)
    own = seed_gaps([run.rows for run in variants[0].runs], CLASSES, ATTRIBUTES)
    found = table[(table["variant"] == "positive") & (table["reading"] == "raw")]
    columns = ["metric", "kind", "first", "second", "difference", "low", "high"]
    pd.testing.assert_frame_equal(found[columns].reset_index(drop=True), own[columns])
    alone = table[(table["variant"] == "balanced, seed 0") & (table["kind"] == "pair")]
    assert set(alone["resampled"]) == {"faces"}
    assert (alone["low"] < alone["difference"]).all()


def test_calibration_is_the_mean_over_seeds(variants: list[Variant]) -> None:
    table = calibration_by_variant(variants)
    areas = [
        roc_auc_score(
            run.rows["label"],
            run.rows[[f"p_{name}" for name in CLASSES]],
            multi_class="ovr",
            labels=list(CLASSES),
        )
        for run in variants[0].runs
    ]
    found = row(table, variant="positive", metric="auroc")
    low, high = student_interval(np.mean(areas), np.std(areas, ddof=1), 3)
    assert found["value"] == pytest.approx(np.mean(areas))
    assert (found["low"], found["high"]) == pytest.approx((float(low), min(1, float(high))))
    assert found["resampled"] == "seeds"
    alone = row(table, variant="balanced, seed 0", metric="ece_equal_mass")
    assert (alone["resampled"], alone["reason"]) == ("none", "one seed tells nothing of others")
    assert alone["if_calibrated"] > 0
    assert row(table, variant="balanced, seed 0", metric="brier")["resampled"] == "faces"


def test_an_infinite_log_loss_stays_infinite(tmp_path: Path) -> None:
    runs = tuple(leaning_run(tmp_path, "a", seed) for seed in range(2))
    for run in runs:
        run.rows.loc[0, [f"p_{name}" for name in CLASSES]] = [1.0, 0.0, 0.0]
        run.rows.loc[0, "label"] = "positive"
    found = row(calibration_by_variant([Variant("a", runs)]), metric="log_loss")
    assert found["value"] == math.inf
    assert found["reason"].startswith("infinite: 1 of ")


def test_answers_of_all_seeds_make_one_curve_as_sure_as_its_faces(variants: list[Variant]) -> None:
    table = reliability_by_variant(variants)
    pooled = table[table["variant"] == "positive"]
    assert pooled["n"].sum() == 3 * 270
    rights = [run.rows["label"] == run.rows["predicted"] for run in variants[0].runs]
    assert (pooled["share"] * pooled["n"]).sum() == sum(int(each.sum()) for each in rights)
    low, _ = wilson_interval(pooled["share"] * pooled["n"], pooled["n"])
    assert (pooled["low"] < low + 1e-12).all()


def test_pictures_are_drawn_of_every_table(variants: list[Variant], tmp_path: Path) -> None:
    by_variant = valence_by_variant(variants, ATTRIBUTES)
    shifts = valence_shifts(variants, ATTRIBUTES)
    groups = groups_by_variant(variants, ATTRIBUTES)
    assert by_variant is not None
    assert shifts is not None
    pictures = [
        valence_picture(by_variant),
        shift_picture(shifts),
        groups_picture(groups, "sex"),
        groups_picture(groups, "all", "recall", "prior-corrected"),
        calibration_picture(reliability_by_variant(variants)),
    ]
    _saved(pictures, tmp_path)
    assert len({picture.name for picture in pictures}) == len(pictures)
    assert all(len(picture.alt) > 20 for picture in pictures)


def test_a_picture_of_doses_is_drawn_without_a_corrected_reading(tmp_path: Path) -> None:
    lacking = {"negative": 0, "neutral": 60, "positive": 160}
    runs = [leaning_run(tmp_path, "positive", 0, lacking)]
    runs += [leaning_run(tmp_path, "positive", 0, dose=0.2)]
    curves = dose_response(valence_by_variant(find_variants(runs), {}))
    assert curves is not None
    _saved([dose_picture(curves)], tmp_path)


def test_more_variants_than_fit_are_cut(tmp_path: Path) -> None:
    runs = [leaning_run(tmp_path, f"v{number}", 0, learnt=number / 9) for number in range(9)]
    variants = find_variants(runs)
    groups = groups_by_variant(variants, ATTRIBUTES)
    picture = groups_picture(groups, "sex")
    assert "the first 7 variants" in picture.alt
    shifts = valence_shifts(variants, {})
    assert shifts is not None
    shift = shift_picture(shifts)
    assert "the 12 largest of 72" in shift.alt
    _saved([picture, shift], tmp_path)


def _saved(pictures: list[Picture], folder: Path) -> None:
    for picture in pictures:
        audit_figures.save(picture.figure, folder / picture.name)
        assert (folder / f"{picture.name}.png").stat().st_size > 5000
        assert (folder / f"{picture.name}.svg").is_file()
