import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score

from facebias.errors import CompositionError, ConfigError, DataError, ModelError
from facebias.train import train
from tests.trained import compose_train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, faces_root: Path) -> Path:
    return train(compose_train(tmp_path_factory.mktemp("train"), faces_root))


def test_leaves_the_run_folder_of_the_design(run: Path) -> None:
    files = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    expected = {
        "config.yaml", "environment.json", "split.parquet", "predictions.parquet",
        "fairness.json", "fairness.csv", "metrics.csv", "checkpoints/best.ckpt",
        "checkpoints/last.ckpt", "report.html", "status.json", "cam/sheet.png", "cam/maps.npz",
        "learning_curves.png", "fairness.png", "confusion.png", "run.log",
    }  # fmt: skip
    assert expected <= files
    assert json.loads((run / "status.json").read_text())["status"] == "done"
    assert json.loads((run / "environment.json").read_text())["weights_from"] == "random numbers"
    assert not [name for name in files if name.endswith(".tmp") or "/.sheet" in name]


def test_every_face_is_in_one_split_or_left_out_with_a_reason(run: Path) -> None:
    rows = pd.read_parquet(run / "split.parquet")
    used = rows[rows["left_out"] == ""]
    assert len(rows) == 160 * 2 + 64
    assert used["split"].value_counts().to_dict() == {"train": 144, "validation": 16, "test": 64}
    flipped = rows[rows["left_out"] != ""]
    assert flipped["left_out"].str.startswith("flipped copy of").all()
    assert len(flipped) == 160


def test_predictions_hold_every_used_face_once(run: Path) -> None:
    predictions = pd.read_parquet(run / "predictions.parquet")
    rows = pd.read_parquet(run / "split.parquet").query("left_out == ''")
    assert sorted(predictions["id"]) == sorted(rows["id"])
    columns = ["p_focused", "p_happy", "p_neutral", "p_surprised"]
    probabilities = predictions[columns]
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    named = probabilities.idxmax(axis=1).str.removeprefix("p_")
    assert (named == predictions["predicted"]).all()
    merged = predictions.merge(rows, on="id", suffixes=("", "_table"))
    for name in ("label", "split", "gender", "age"):
        assert (merged[name] == merged[f"{name}_table"]).all()


def test_fairness_agrees_with_scikit_learn_on_the_predictions(run: Path) -> None:
    predictions = pd.read_parquet(run / "predictions.parquet").query("split == 'test'")
    report = json.loads((run / "fairness.json").read_text())["test"]
    whole = report["overall"]
    assert whole["accuracy"] == pytest.approx(
        accuracy_score(predictions["label"], predictions["predicted"])
    )
    for row in report["groups"]:
        if row["attribute"] == "gender":
            part = predictions[predictions["gender"] == row["group"]]
            assert row["n"] == len(part)
            assert row["accuracy"] == pytest.approx((part["label"] == part["predicted"]).mean())
            expected = f1_score(part["label"], part["predicted"], average="macro", zero_division=0)
            assert row["macro_f1"] == pytest.approx(expected)
    table = pd.read_csv(run / "fairness.csv")
    assert set(table["attribute"]) == {"all", "gender", "age", "gender x age"}
    assert set(table["split"]) == {"train", "validation", "test"}


def test_the_evaluated_weights_are_those_of_the_last_epoch(run: Path) -> None:
    metrics = pd.read_csv(run / "metrics.csv")
    last = metrics["validation/accuracy"].dropna().iloc[-1]
    predictions = pd.read_parquet(run / "predictions.parquet").query("split == 'validation'")
    assert (predictions["label"] == predictions["predicted"]).mean() == pytest.approx(last)


def test_pictures_are_pictures_and_the_page_needs_nothing_beside_it(run: Path) -> None:
    for picture in run.rglob("*.png"):
        with Image.open(picture) as image:
            image.load()
            assert min(image.size) >= 48
    page = (run / "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/png;base64,") == 6  # leaks and answers among them
    assert "gender x age" in page


def test_checkpoints_load_without_running_code(run: Path) -> None:
    for which in ("best", "last"):
        loaded = torch.load(run / "checkpoints" / f"{which}.ckpt", weights_only=True)
        assert "state_dict" in loaded


def test_the_same_seeds_give_the_same_predictions(
    run: Path, tmp_path: Path, faces_root: Path
) -> None:
    again = train(compose_train(tmp_path, faces_root))
    other = train(compose_train(tmp_path, faces_root, "seed=1", f"paths.run={tmp_path}/other"))
    tables = [pd.read_parquet(each / "predictions.parquet") for each in (run, again, other)]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert not tables[0]["p_happy"].equals(tables[2]["p_happy"])
    assert tables[0]["split"].equals(tables[2]["split"])  # data.seed draws the split


def test_test_faces_are_not_scored_while_a_recipe_is_chosen(
    tmp_path: Path, faces_root: Path
) -> None:
    folder = train(compose_train(tmp_path, faces_root, "test=false", "fold=3"))
    predictions = pd.read_parquet(folder / "predictions.parquet")
    assert set(predictions["split"]) == {"train", "validation"}
    assert set(json.loads((folder / "fairness.json").read_text())) == {"train", "validation"}


def test_twins_differ_in_their_train_faces_only(tmp_path: Path, faces_root: Path) -> None:
    tables, sizes = {}, {}
    for variant in ("female", "male"):
        config = compose_train(
            tmp_path,
            faces_root,
            f"+experiment=emotions_{variant}_only",
            f"paths.run={tmp_path}/{variant}",
            "trainer.max_epochs=1",
        )
        folder = train(config)
        tables[variant] = pd.read_parquet(folder / "split.parquet").query("left_out == ''")
        train_rows = tables[variant].query("split == 'train'")
        assert set(train_rows["gender"]) == {variant}
        sizes[variant] = train_rows["label"].value_counts().to_dict()
        state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        sizes[variant] |= {"mean": float(state["normalise.mean"])}
    assert sizes["female"] == sizes["male"]
    for split in ("validation", "test"):
        ids = [set(table.query(f"split == '{split}'")["id"]) for table in tables.values()]
        assert ids[0] == ids[1]


@pytest.mark.parametrize(
    "overrides",
    [
        ("trainer.precision=bf16-mixed",),
        pytest.param(("augment=strong", "data.workers=2"), marks=pytest.mark.slow),
        ("data.store=none", "data.normalise=pixel", "scheduler=cosine", "optimizer=sgd"),
        pytest.param(
            ("callbacks=early_stopping", "checkpoint.use=best", "scheduler=constant"),
            marks=pytest.mark.slow,
        ),
        (
            "data.normalise=image",
            "classifier.class_weights=balanced",
            "callbacks.cam.method=grad_cam",
        ),
        pytest.param(
            ("data.channels=3", "model=mobilenetv3_small", "data.height=64"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda overrides: overrides[0],
)  # fmt: skip
def test_options_run_to_the_end(
    overrides: tuple[str, ...], tmp_path: Path, faces_root: Path
) -> None:
    folder = train(compose_train(tmp_path, faces_root, "trainer.max_epochs=2", *overrides))
    assert json.loads((folder / "status.json").read_text())["status"] == "done"


def test_a_dry_run_tells_cells_and_writes_nothing(
    tmp_path: Path, faces_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ("+experiment=emotions_female_only", "dry_run=true")
    train(compose_train(tmp_path, faces_root, *overrides))
    printed = capsys.readouterr().out
    assert "train split before the composition" in printed
    assert "female_only" in printed
    assert "minutes for 3 epochs" in printed
    assert not (tmp_path / "run").exists()


def test_a_failure_is_in_the_status(tmp_path: Path, faces_root: Path) -> None:
    config = compose_train(tmp_path, faces_root, "data.root=/no/such/folder")
    with pytest.raises(DataError, match="/no/such/folder"):
        train(config)
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["status"] == "failed"
    assert "/no/such/folder" in status["reason"]


def test_two_live_runs_do_not_share_a_folder(tmp_path: Path, faces_root: Path) -> None:
    from facebias.errors import RunError
    from facebias.runs.folder import open_run

    config = compose_train(tmp_path, faces_root)
    with open_run(tmp_path / "run", config), pytest.raises(RunError, match="another run"):
        train(config)


@pytest.mark.parametrize(
    ("override", "error", "words"),
    [
        ("callbacks.cam.layer=blocks.7", ModelError, "blocks"),
        ("trainer.devices=2", ConfigError, "trainer=ddp_cpu"),
        ("data.stratify=[height]", DataError, "gender, age"),
        ("callbacks.fairness.intersections=[[gender,race]]", ConfigError, "race"),
        ("fold=10", ConfigError, "fold=10"),
        ("trainer.precision=7", ConfigError, "precision"),
        ("checkpoint.monitor=validation/los", ConfigError, "validation/loss"),
        ("callbacks.best.monitor=x", ConfigError, "callbacks.best"),
        ("callbacks.last=null", ConfigError, "callbacks.last"),
        ("trainer.max_epochs=0", ConfigError, "max_epochs"),
        ("trainer.max_epochs=-1", ConfigError, "max_epochs"),
        ("+trainer.fast_dev_run=true", ConfigError, "quick"),
        ("trainer.limit_train_batches=0", ConfigError, "limit_train_batches"),
        ("+trainer.limit_predict_batches=1", ConfigError, "limit_predict_batches"),
        ("callbacks.fairness.intersections=[[gender]]", ConfigError, "two or more"),
        ("callbacks.fairness.intersections=[[gender,gender]]", ConfigError, "two or more"),
    ],
)
def test_what_does_not_fit_is_told(
    override: str, error: type[Exception], words: str, tmp_path: Path, faces_root: Path
) -> None:
    with pytest.raises(error, match=words):
        train(compose_train(tmp_path, faces_root, override))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_told(tmp_path: Path, faces_root: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?i)gpu"):
        train(compose_train(tmp_path, faces_root, "trainer=gpu"))


@pytest.mark.slow
def test_the_best_weights_are_those_of_the_best_epoch(tmp_path: Path, faces_root: Path) -> None:
    for metric, best in (("loss", "min"), ("accuracy", "max"), ("worst_gender_accuracy", "max")):
        monitor = f"checkpoint.monitor=validation/{metric}"
        overrides = (monitor, "checkpoint.use=best", f"paths.run={tmp_path}/{metric}")
        folder = train(compose_train(tmp_path, faces_root, *overrides, "callbacks.cam=null"))
        values = pd.read_csv(folder / "metrics.csv").set_index("epoch")[f"validation/{metric}"]
        found = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["epoch"]
        assert values.dropna()[found] == values.agg(best)


def test_nothing_measured_is_not_called_unlabelled(
    tmp_path: Path, faces_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train(compose_train(tmp_path, faces_root, "callbacks.fairness=null"))
    assert "switched off" in capsys.readouterr().out
    assert "switched off" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_a_layer_is_named_as_in_the_network(tmp_path: Path, faces_root: Path) -> None:
    config = compose_train(tmp_path, faces_root, "callbacks.cam.layer=blocks.0.norm")
    assert (train(config) / "cam" / "sheet.png").is_file()
    wrong = ("callbacks.cam.layer=blocks.0.nrm", f"paths.run={tmp_path}/wrong")
    config = compose_train(tmp_path, faces_root, *wrong)
    with pytest.raises(ModelError, match=r"blocks\.0\.norm") as caught:
        train(config)
    assert "network." not in str(caught.value)


def test_an_impossible_composition_names_the_cells(tmp_path: Path, faces_root: Path) -> None:
    config = compose_train(
        tmp_path, faces_root, "+experiment=emotions_female_only", "bias.total=1000"
    )
    with pytest.raises(CompositionError, match=r"happy, female: \d+ of 250"):
        train(config)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_ends_a_training_with_its_code_and_its_word(
    number: int, code: int, word: str, tmp_path: Path, faces_root: Path
) -> None:
    command = [sys.executable, "-m", "facebias.train", "+experiment=emotions_cnn3"]
    options = [f"data.root={faces_root}", f"paths.run={tmp_path}/run", f"paths.cache={tmp_path}"]
    child = subprocess.Popen(  # noqa: S603 - our own command
        [*command, *options, "trainer.max_epochs=1000"], stderr=subprocess.PIPE, text=True
    )
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    while not last.exists() and child.poll() is None:
        time.sleep(0.2)
    child.send_signal(number)
    _, errors = child.communicate(timeout=120)
    assert child.returncode == code
    assert f"facebias: {word}" in errors
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["status"], status["reason"]) == ("failed", word)


@pytest.mark.slow
def test_the_real_emotions_are_learned(tmp_path: Path, real_data: Callable[[str], Path]) -> None:
    config = compose_train(
        tmp_path,
        real_data("emotions"),
        "+experiment=emotions_cnn3",
        "model=cnn3",
        "trainer.max_epochs=12",
    )
    folder = train(config)
    report = json.loads((folder / "fairness.json").read_text())["test"]
    assert report["overall"]["n"] == 404
    assert report["overall"]["accuracy"] > 0.55  # chance is .25; 40 epochs reach more
