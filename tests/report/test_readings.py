"""A run's valence readings and its bias amplification, as files and on its page."""

import math
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from facebias.config import conf_folder
from facebias.fairness.valence import declared_valences
from facebias.report.groups import measure_splits
from facebias.report.readings import (
    AMPLIFICATION,
    SCORES,
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
    rows = {(row["group"], row["reading"]): row for row in found["valence"]}
    assert rows["f", "raw"]["n"] == 40
    assert list(rows["f", "raw"]["cells"]) == ["negative", "neutral", "positive"]
    values = {place: row["cells"]["negative"]["value"] for place, row in rows.items()}
    assert values["f", "raw"] == pytest.approx(0.3)
    assert values["m", "raw"] == 0
    # .6 for anger is .67 of its share in training, .2 for neutral four times it.
    assert values["f", "prior-corrected"] == 0
    assert {row["attribute"] for row in found["valence"]} == {"all", "sex"}
    measure = "directional, group to label"
    (directed,) = (row for row in found["amplification"] if row["measure"] == measure)
    # Of f: anger 22 / 80 for 0, happy 30 for 40, neutral 28 for 40; of m all as they are.
    assert directed["value"] == pytest.approx((-22 - 10 + 0 * 12) / 80 / 6)
    assert directed["n"] == 160
    (undefined,) = found["undefined"]
    assert undefined["measures"] == "directional, label to group"
    assert "does not answer the group" in undefined["reason"]


def test_amplification_is_undefined_with_the_reason_elsewhere(tmp_path: Path) -> None:
    other = TRAIN[TRAIN["sex"] == "f"]
    written(tmp_path, TrainFaces(other, {"anger": 1 / 3, "happy": 1 / 3, "neutral": 1 / 3}))
    found = read_readings(tmp_path, "test")
    assert found["amplification"] == []
    assert found["undefined"][0]["measures"] == "MALS; directional, group to label"
    assert "another composition" in found["undefined"][0]["reason"]


def test_labels_without_valences_and_unknown_trainings_leave_no_table(tmp_path: Path) -> None:
    reports = measure_splits(TEST, ["test"], CLASSES, ATTRIBUTES, replicates=100)
    unscored = TEST.drop(columns=[f"p_{name}" for name in CLASSES])
    write_readings(unscored, reports, tmp_path, valences={"anger": "negative"})
    assert list(tmp_path.iterdir()) == []
    assert not any(read_readings(tmp_path, "test").values())
    write_readings(TEST, reports, tmp_path, valences=VALENCES)
    assert {path.name for path in tmp_path.iterdir()} == {VALENCE, SCORES}
    table = pd.read_csv(tmp_path / VALENCE)
    unknown = table[table["reading"] == "prior-corrected"]
    assert unknown["status"].str.contains("shares of the training are not known").all()
    write_readings(TEST, reports, tmp_path, train=TrainFaces(TRAIN, {}))
    assert AMPLIFICATION in {path.name for path in tmp_path.iterdir()}


def test_scores_are_those_of_the_split_that_counts(tmp_path: Path) -> None:
    """By hand: the predicted class has .6, the others .2 each."""
    both = pd.concat([TEST, TEST.assign(split="train", id="train " + TEST["id"])])
    reports = measure_splits(both, ["train", "test"], CLASSES, ATTRIBUTES, replicates=100)
    write_readings(both, reports, tmp_path)
    assert set(pd.read_csv(tmp_path / SCORES)["split"]) == {"test"}
    rows = {row["group"]: row for row in read_readings(tmp_path, "test")["scores"]}
    assert list(rows) == ["all", "f", "m"]
    values = {name: cell["value"] for name, cell in rows["f"]["cells"].items()}
    # Right on 58 of 80 women; .4^2 + 2 x .2^2 where right, .6^2 + .8^2 + .2^2 where wrong.
    assert values["brier"] == pytest.approx((58 * 0.24 + 22 * 1.04) / 80)
    assert values["log_loss"] == pytest.approx(-(58 * math.log(0.6) + 22 * math.log(0.2)) / 80)
    assert values["ece_equal_mass"] == pytest.approx(58 / 80 - 0.6)
    assert rows["m"]["cells"]["auroc"]["value"] == 1
    assert read_readings(tmp_path, "train")["scores"] == []


def test_runs_read_the_valences_that_the_biases_are_made_by() -> None:
    bias = OmegaConf.load(conf_folder() / "bias" / "_valence.yaml").valences
    callback = OmegaConf.load(conf_folder() / "callbacks" / "evaluation.yaml").fairness.valences
    assert declared_valences(list(bias), callback) == dict(bias)
