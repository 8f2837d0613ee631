import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from facebias.errors import RunError
from facebias.fairness.group_report import group_report
from facebias.report.comparison import (
    CORRECTED,
    RAW,
    TABLE,
    print_comparison,
    write_comparison,
    write_valence_differences,
)
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
                }
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


def columns_of(printed: str, row: str) -> list[str]:
    """Return the cells of a printed row."""
    (line,) = (line for line in printed.splitlines() if line.startswith(f"│ {row} "))
    return [text.strip() for text in line.strip("│").split("│")]


LEANING = [0.8, 0.6] * 40  # everything is happy; sad faces less so
CLEAR = [0.9, 0.1] * 40


@pytest.fixture
def runs(tmp_path: Path) -> list[TrainedRun]:
    return [
        made_run(tmp_path, "shifted, seed 0", LEANING, {"happy": 30, "sad": 10}),
        made_run(tmp_path, "balanced, seed 0", CLEAR, {"happy": 20, "sad": 20}),
    ]


def test_values_by_hand(runs: list[TrainedRun], tmp_path: Path) -> None:
    """By hand: .6 / .75 = .8 and .4 / .25 = 1.6, so .6 happy is sad; .8 stays happy."""
    table = write_comparison(runs, tmp_path)
    raw = cell(table, "shifted, seed 0", RAW, "all", "all")
    corrected = cell(table, "shifted, seed 0", CORRECTED, "all", "all")
    assert (raw["n"], raw["accuracy"], raw["auroc"]) == (80, 0.5, 1.0)
    assert (corrected["n"], corrected["accuracy"], corrected["auroc"]) == (80, 1.0, 1.0)
    assert 0 < raw["accuracy_low"] < 0.5 < raw["accuracy_high"] < 1
    assert raw["macro_f1"] == pytest.approx(1 / 3)
    for reading in (RAW, CORRECTED):
        assert cell(table, "balanced, seed 0", reading, "all", "all")["accuracy"] == 1.0
    assert cell(table, "shifted, seed 0", RAW, "gender", "female")["n"] == 70


def test_a_row_for_each_run_reading_and_group(runs: list[TrainedRun], tmp_path: Path) -> None:
    table = write_comparison(runs, tmp_path)
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


def test_the_file_holds_the_table(runs: list[TrainedRun], tmp_path: Path) -> None:
    table = write_comparison(runs, tmp_path)
    read = pd.read_csv(tmp_path / TABLE, keep_default_na=False, na_values=[""])
    pd.testing.assert_frame_equal(read, table, check_dtype=False)


def test_raw_is_what_the_report_of_a_run_says(runs: list[TrainedRun], tmp_path: Path) -> None:
    table = write_comparison(runs, tmp_path)
    table = table[(table["run"] == runs[0].name) & (table["reading"] == RAW)]
    report = group_report(runs[0].rows, CLASSES, GROUPS)
    known = report.table[report.table["status"] != "unknown"].reset_index(drop=True)
    columns = ["group", "n", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "status"]
    pd.testing.assert_frame_equal(table[columns], known[columns])


def test_groups_go_down_and_runs_across(
    runs: list[TrainedRun], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_comparison(write_comparison(runs, tmp_path), tmp_path)
    printed = capsys.readouterr().out
    assert "accuracy on the same 80 test faces" in printed
    assert columns_of(printed, "all")[1:] == ["0.500 [0.393, 0.607]", "1.000 [0.954, 1.000]"]
    assert columns_of(printed, f"all, {CORRECTED}")[1] == "1.000 [0.954, 1.000]"
    assert columns_of(printed, "all, AUROC")[1:] == ["1.000", "1.000"]
    assert columns_of(printed, "gender: female")[1].startswith("0.500 [")
    assert columns_of(printed, "gender: male (too small)")[1].startswith("0.556 [")
    assert columns_of(printed, "age: old (empty)")[1:] == ["– [–, –]", "– [–, –]"]
    assert "age: NA" in printed
    assert "nan" not in printed
    for run in runs:
        assert f"{run.name}: {run.folder}" in printed
    assert f"In {tmp_path}:" in printed
    assert TABLE in printed


def test_what_only_one_run_has_is_a_dash(
    runs: list[TrainedRun], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = made_run(tmp_path, "plain, seed 0", CLEAR, {"happy": 20}, attributes={})
    table = write_comparison([plain, *runs], tmp_path)
    assert set(table[table["run"] == plain.name]["reading"]) == {RAW}
    print_comparison(table, tmp_path)
    printed = capsys.readouterr().out
    assert columns_of(printed, f"all, {CORRECTED}")[1:3] == ["–", "1.000 [0.954, 1.000]"]
    assert columns_of(printed, "gender: female")[1] == "–"
    assert columns_of(printed, "gender: female")[2].startswith("0.500")


def test_validation_is_called_validation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = {"happy": 1, "sad": 1}
    runs = [made_run(tmp_path, name, CLEAR, shares, {}, "validation") for name in ("a", "b")]
    table = write_comparison(runs, tmp_path)
    assert set(table["split"]) == {"validation"}
    print_comparison(table, tmp_path)
    assert "80 validation faces" in capsys.readouterr().out


def test_many_runs_are_printed_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shares = {"happy": 20, "sad": 20}
    names = [f"spurious, seed {number}" for number in range(8)]
    runs = [made_run(tmp_path, name, LEANING, shares) for name in names]
    print_comparison(write_comparison(runs, tmp_path), tmp_path)
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert printed.count("0.393") >= 8


def test_a_table_that_cannot_be_written_is_told(runs: list[TrainedRun], tmp_path: Path) -> None:
    (tmp_path / "file").write_text(json.dumps({}))
    with pytest.raises(RunError, match="cannot be written"):
        write_comparison(runs, tmp_path / "file")


def test_valences_of_the_same_faces_are_compared(tmp_path: Path) -> None:
    runs = [
        made_run(tmp_path, "shifted, seed 0", LEANING, {"happy": 30, "sad": 10}),
        made_run(tmp_path, "balanced, seed 0", CLEAR, {"happy": 20, "sad": 20}),
    ]
    assert write_valence_differences(runs, tmp_path) is None
    valences = {"happy": "positive", "sad": "negative"}
    for run in runs:
        run.config.callbacks = {"fairness": {"valences": valences}}
    table = write_valence_differences(runs, tmp_path)
    assert table is not None
    chosen = (table["attribute"] == "all") & (table["true"] == "negative")
    rows = table[chosen & (table["read"] == "positive")].set_index("reading")
    # All sad faces of the first are happy, none of the second; without its shares neither's.
    assert rows.loc["raw", "value"] == 1
    assert rows.loc["prior-corrected", "value"] == 0
    assert set(zip(table["run"], table["against"], strict=True)) == {
        ("shifted, seed 0", "balanced, seed 0")
    }
    assert len(pd.read_csv(tmp_path / "valence_differences.csv")) == len(table)
