"""`python -m facebias.audit` with estimated groups, valences and a train composition."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from facebias import schemas
from facebias.audit import audit
from tests.trained import compose_audit

SEXES, EXPRESSIONS = ("f", "m"), ("calm", "cross", "glad")
ESTIMATED = "estimated={sex: {f: {f: 0.9, m: 0.1}, m: {f: 0.2, m: 0.8}}}"
VALENCES = "valences={calm: neutral, cross: negative, glad: positive}"
FURTHER = ("estimated", "valence", "valence_differences", "amplification")


def faces(seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    label = np.tile(EXPRESSIONS, 120)
    scores = random.dirichlet(np.ones(3), 360) + 0.6 * np.eye(3)[np.tile([0, 1, 2], 120)]
    scores /= scores.sum(axis=1, keepdims=True)
    said = np.array(EXPRESSIONS)[scores.argmax(axis=1)]
    table = pd.DataFrame({"id": np.arange(360), "feels": label, "said": said})
    table["sex"] = np.repeat(SEXES, 180)
    return table.assign(**{f"p_{name}": scores[:, n] for n, name in enumerate(EXPRESSIONS)})


def arguments(folder: Path) -> list[str]:
    """Write two models' predictions and what one was trained on; the other's is given by name."""
    faces().to_csv(folder / "one.csv", index=False)
    faces(1).drop(columns=["feels", "sex"]).to_csv(folder / "two.csv", index=False)
    faces()[["feels", "sex"]].to_parquet(folder / "train.parquet")
    other = "{sex: {f: {calm: 10, cross: 90, glad: 10}, m: {calm: 90, cross: 10, glad: 10}}}"
    return [
        f"predictions={{one: {folder}/one.csv, two: {folder}/two.csv}}",
        *("key=id", "label=feels", "predicted=said", "groups=[sex]", ESTIMATED, VALENCES),
        f"train={{one: {folder}/train.parquet, two: {other}}}",
    ]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit that knows all."""
    folder = tmp_path_factory.mktemp("audited")
    return audit(compose_audit(folder, *arguments(folder)))


@pytest.fixture
def tables(audited: Path) -> dict[str, Any]:
    """The tables of the audit's JSON."""
    read: dict[str, Any] = json.loads((audited / "audit.json").read_text())["tables"]
    return read


def test_what_is_known_gets_tables_pictures_and_sections(
    audited: Path, tables: dict[str, Any]
) -> None:
    assert set(FURTHER) <= set(tables)
    assert all((audited / f"{name}.csv").is_file() for name in FURTHER)
    kinds = [path.stem.split("_")[1:] for path in (audited / "pictures").glob("*.png")]
    drawn = {tuple(words) for words in kinds if words[0] == "valence"}
    assert drawn == {
        ("valence", "sex", model, reading)
        for model in ("one", "two")
        for reading in ("raw", "scores")
    }
    page = (audited / "report.html").read_text()
    for title in ("Estimated groups", "Valence reading", "Bias amplification"):
        assert f">{title}</h2>" in page
    assert "errs alike whatever the label is" in page


def test_each_model_has_its_own_training(tables: dict[str, Any]) -> None:
    found = pd.DataFrame(tables["amplification"])
    status = found[found["metric"] == "mals"].set_index("model")["status"]
    assert status["two"].startswith("undefined: the rows have another composition")
    # The groups of the first are as many in every class: there is nothing to amplify.
    assert status["one"].startswith("undefined: the train split ties no label to a group")
    readings = pd.DataFrame(tables["valence"])
    raw, corrected = (
        readings[(readings["reading"] == name) & (readings["attribute"] == "all")]
        .set_index(["model", "true", "read"])["value"]
        .astype(float)
        for name in ("raw", "prior-corrected")
    )
    pd.testing.assert_series_equal(raw["one"], corrected["one"])
    # 20 glad faces of 220: without the training's shares more are answered.
    assert corrected["two", "neutral", "positive"] > raw["two", "neutral", "positive"]


def test_train_shares_stand_before_those_of_the_train_file(tmp_path: Path) -> None:
    folder = audit(
        compose_audit(
            tmp_path, *arguments(tmp_path), "train_shares={calm: 0.01, cross: 0.01, glad: 0.98}"
        )
    )
    found = pd.read_csv(folder / "valence.csv")
    found = found[(found["attribute"] == "all") & (found["true"] == found["read"])]
    found = found[(found["reading"] == "prior-corrected") & (found["true"] == "positive")]
    assert (found["value"] < 0.1).all()


def test_what_does_not_fit_ends_with_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_as_command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    command = partial(run_as_command, "audit", schemas.Audit, audit)
    faces().to_csv("one.csv", index=False)
    faces().assign(sex="x").to_csv("train.csv", index=False)
    fixed = ("predictions=one.csv", "label=feels", "predicted=said", "groups=[sex]")
    wrong = {
        "add up to": "estimated={sex: {f: {f: 0.5}, m: {m: 1}}}",
        "exactly the groups f, m": "estimated={sex: {f: {f: 1}}}",
        "estimated names race": "estimated={race: {f: {f: 1}}}",
        "valence of glad": "valences={calm: neutral, cross: negative}",
        "'x' (360 rows)": "train=train.csv",
        "there is no file": "train=none.csv",
        "train is": "train={race: {f: {calm: 1}}}",
        "the train counts of sex are": "train={sex: {x: {calm: 1}}}",
        "{group: {class: rows}}": "train={sex: 3}",
        "is no table of numbers": "estimated={sex: {f: {f: some}, m: {m: 1}}}",
        "{true group: {estimated group: share}}": "estimated={sex: 0.9}",
    }
    for words, argument in wrong.items():
        assert command(*fixed, argument) == 2, words
        said = capsys.readouterr().err
        assert words in said
        assert "Traceback" not in said
