"""A run's valence readings and its bias amplification, as files and on its page."""

from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from facebias.config import conf_folder
from facebias.fairness.valence import declared_valences
from facebias.report.groups import measure_splits
from facebias.report.readings import (
    AMPLIFICATION,
    VALENCE,
    TrainFaces,
    read_readings,
    write_readings,
)

CLASSES = ("anger", "happy", "neutral")
VALENCES = {"anger": "negative", "happy": "positive", "sad": "negative"}
ATTRIBUTES = {"sex": ("f", "m")}


def faces(cells: list[tuple[str, str, str, int]], split: str) -> pd.DataFrame:
    """Return faces of (sex, label, predicted, how many)."""
    names = ["sex", "label", "predicted"]
    table = pd.DataFrame([cell[:3] for cell in cells for _ in range(cell[3])], columns=names)
    table["id"] = [f"{split} {number}" for number in table.index]
    certain = {f"p_{name}": (table["predicted"] == name) * 0.4 + 0.2 for name in CLASSES}
    return table.assign(split=split, **certain)


TEST = faces(
    [
        *(("f", "neutral", "anger", 12), ("f", "neutral", "neutral", 28)),
        *(("f", "happy", "happy", 30), ("f", "happy", "anger", 10)),
        *(
            ("m", "neutral", "neutral", 40),
            ("m", "happy", "happy", 10),
            ("m", "anger", "anger", 30),
        ),
    ],
    "test",
)
TRAIN = TEST.drop(columns="predicted")


def written(folder: Path, train: TrainFaces | None, classes: tuple[str, ...] = CLASSES) -> None:
    reports = measure_splits(TEST, ["test"], classes, ATTRIBUTES, replicates=100)
    write_readings(TEST, reports, folder, train=train, valences=VALENCES)


def test_readings_by_hand(tmp_path: Path) -> None:
    written(tmp_path, TrainFaces(TRAIN, {"anger": 0.9, "happy": 0.05, "neutral": 0.05}))
    found = read_readings(tmp_path, "test")
    values = {(row["group"], row["read"], row["reading"]): row["value"] for row in found["valence"]}
    assert values["f", "negative", "raw"] == pytest.approx(0.3)
    assert values["m", "negative", "raw"] == 0
    # .6 for anger is .67 of its share in training, .2 for neutral four times it.
    assert values["f", "negative", "prior-corrected"] == 0
    assert {row["attribute"] for row in found["valence"]} == {"all", "sex"}
    (directed,) = (row for row in found["amplification"] if row["metric"] == "directional A->T")
    # Of f: anger 22 / 80 for 0, happy 30 for 40, neutral 28 for 40; of m all as they are.
    assert directed["value"] == pytest.approx((-22 - 10 + 0 * 12) / 80 / 6)
    assert (directed["status"], directed["n"]) == ("ok", 160)


def test_amplification_is_undefined_with_the_reason_elsewhere(tmp_path: Path) -> None:
    other = TRAIN[TRAIN["sex"] == "f"]
    written(tmp_path, TrainFaces(other, {"anger": 1 / 3, "happy": 1 / 3, "neutral": 1 / 3}))
    rows = read_readings(tmp_path, "test")["amplification"]
    assert all(row["value"] is None for row in rows)
    assert "another composition" in rows[0]["status"]


def test_labels_without_valences_and_unknown_trainings_leave_no_table(tmp_path: Path) -> None:
    reports = measure_splits(TEST, ["test"], CLASSES, ATTRIBUTES, replicates=100)
    write_readings(TEST, reports, tmp_path, valences={"anger": "negative"})
    assert list(tmp_path.iterdir()) == []
    assert read_readings(tmp_path, "test") == {"valence": [], "amplification": []}
    write_readings(TEST, reports, tmp_path, valences=VALENCES)
    assert {path.name for path in tmp_path.iterdir()} == {VALENCE}
    table = pd.read_csv(tmp_path / VALENCE)
    unknown = table[table["reading"] == "prior-corrected"]
    assert unknown["status"].str.contains("shares of the training are not known").all()
    write_readings(TEST, reports, tmp_path, train=TrainFaces(TRAIN, {}))
    assert AMPLIFICATION in {path.name for path in tmp_path.iterdir()}


def test_runs_read_the_valences_that_the_biases_are_made_by() -> None:
    bias = OmegaConf.load(conf_folder() / "bias" / "_valence.yaml").valences
    callback = OmegaConf.load(conf_folder() / "callbacks" / "evaluation.yaml").fairness.valences
    assert declared_valences(list(bias), callback) == dict(bias)
