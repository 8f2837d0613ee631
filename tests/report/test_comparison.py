import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from facebias.fairness.group_report import group_report
from facebias.fairness.valence import CORRECTED, RAW
from facebias.report.comparison import run_comparison
from facebias.report.results import RunResults
from facebias.runs.trained import TrainedRun

CLASSES = ("happy", "sad")
GROUPS = {"gender": ["female", "male"], "age": ["NA", "old"]}
FACES = pd.DataFrame(
    {
        "id": [f"face {number}" for number in range(80)],
        "split": "test",
        "label": ["happy", "sad"] * 40,
        "gender": ["female"] * 70 + ["male"] * 9 + ["unknown"],
        "age": ["NA"] * 80,
    }
)


def made_run(
    folder: Path,
    name: str,
    p_happy: Sequence[float],
    train: Mapping[str, int],
    attributes: Mapping[str, Sequence[str]] | None = None,
    split: str = "test",
) -> TrainedRun:
    """Return a run that was never trained: these probabilities, this many train faces."""
    place = folder / name
    place.mkdir()
    labels = [label for label, count in train.items() for _ in range(count)]
    train_faces = pd.DataFrame({"label": [*labels, "sad"], "split": "train", "left_out": ""})
    train_faces.loc[len(labels), "left_out"] = "not in this bias"
    train_faces.to_parquet(place / "split.parquet")
    happy = np.asarray(p_happy, dtype=np.float64)
    predicted = np.where(happy > 0.5, *CLASSES)
    named = {"predicted": predicted, "p_happy": happy, "p_sad": 1 - happy}
    other = FACES.assign(split="train", id="other " + FACES["id"], **named | {"predicted": "sad"})
    rows = pd.concat([other, FACES.assign(**named, split=split)], ignore_index=True)
    config = OmegaConf.create(
        {
            "data": {
                "reader": {
                    "classes": list(CLASSES),
                    "attributes": dict(GROUPS if attributes is None else attributes),
                },
                "side_table": {"attributes": None},
            },
            "classifier": {"class_weights": "none"},
        }
    )
    nothing = pd.DataFrame()
    results = RunResults(place, config, {}, rows, {}, nothing, nothing)
    return TrainedRun(place, config, results, name)


def cell(table: pd.DataFrame, run: str, reading: str, attribute: str, group: str) -> pd.Series:
    found = table[
        (table["run"] == run)
        & (table["reading"] == reading)
        & (table["attribute"] == attribute)
        & (table["group"] == group)
    ]
    assert len(found) == 1
    return found.iloc[0]


LEANING = [0.8, 0.6] * 40  # everything is happy; sad faces less so
CLEAR = [0.9, 0.1] * 40


@pytest.fixture
def runs(tmp_path: Path) -> list[TrainedRun]:
    return [
        made_run(tmp_path, "shifted, seed 0", LEANING, {"happy": 30, "sad": 10}),
        made_run(tmp_path, "balanced, seed 0", CLEAR, {"happy": 20, "sad": 20}),
    ]


def test_values_by_hand(runs: list[TrainedRun]) -> None:
    """By hand: .6 / .75 = .8 and .4 / .25 = 1.6, so .6 happy is sad; .8 stays happy."""
    table = run_comparison(runs)
    raw = cell(table, "shifted, seed 0", RAW, "all", "all")
    corrected = cell(table, "shifted, seed 0", CORRECTED, "all", "all")
    assert (raw["n"], raw["accuracy"], raw["auroc"]) == (80, 0.5, 1.0)
    assert (corrected["n"], corrected["accuracy"], corrected["auroc"]) == (80, 1.0, 1.0)
    assert 0 < raw["accuracy_low"] < 0.5 < raw["accuracy_high"] < 1
    assert raw["macro_f1"] == pytest.approx(1 / 3)
    for reading in (RAW, CORRECTED):
        assert cell(table, "balanced, seed 0", reading, "all", "all")["accuracy"] == 1.0
    assert cell(table, "shifted, seed 0", RAW, "gender", "female")["n"] == 70


def test_a_row_for_each_run_reading_and_group(runs: list[TrainedRun]) -> None:
    table = run_comparison(runs)
    groups = [("all", "all"), ("gender", "female"), ("gender", "male"), ("age", "NA")]
    assert len(table) == 2 * 2 * (len(groups) + 1)
    for run in runs:
        rows = table[table["run"] == run.name]
        assert list(dict.fromkeys(rows["reading"])) == [RAW, CORRECTED]
        assert set(rows["folder"]) == {str(run.folder)}
        found = list(zip(rows["attribute"], rows["group"], strict=True))
        assert found[: len(groups)] == groups
    assert table["auroc"].notna().sum() == 4
    male, old = (
        cell(table, runs[0].name, RAW, attribute, group)
        for attribute, group in (("gender", "male"), ("age", "old"))
    )
    assert (male["status"], old["status"]) == ("too small", "empty")
    assert math.isnan(old["accuracy"])


def test_raw_is_what_the_report_of_a_run_says(runs: list[TrainedRun]) -> None:
    table = run_comparison(runs)
    table = table[(table["run"] == runs[0].name) & (table["reading"] == RAW)]
    report = group_report(runs[0].rows, CLASSES, GROUPS)
    known = report.table[report.table["status"] != "unknown"].reset_index(drop=True)
    columns = ["group", "n", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "status"]
    pd.testing.assert_frame_equal(table[columns], known[columns])


def test_a_run_without_a_class_or_with_fewer_attributes_has_what_it_has(
    runs: list[TrainedRun], tmp_path: Path
) -> None:
    plain = made_run(tmp_path, "plain, seed 0", CLEAR, {"happy": 20}, attributes={})
    # Its only sad train face is left out: no share of it can be divided out.
    table = run_comparison([plain, *runs])
    own = table[table["run"] == plain.name]
    assert set(own["reading"]) == {RAW}
    assert set(own["attribute"]) == {"all"}


def test_validation_is_called_validation(tmp_path: Path) -> None:
    shares = {"happy": 1, "sad": 1}
    runs = [made_run(tmp_path, name, CLEAR, shares, {}, "validation") for name in ("a", "b")]
    assert set(run_comparison(runs)["split"]) == {"validation"}
