import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import DictConfig

from facebias.data.statistics import PixelStatistics
from facebias.errors import RunError
from facebias.runs import training
from facebias.runs.assemble import assemble_faces
from facebias.runs.checkpoint_files import WholeCheckpoints
from facebias.runs.checkpoints import Finished, finished
from facebias.runs.folder import open_run
from facebias.runs.metrics_file import MetricsFile
from facebias.runs.metrics_rows import read_rows
from facebias.runs.resume import drop_unfinished, last_checkpoint, recorded_threads
from facebias.runs.same_faces import refuse_other_faces
from facebias.train import train
from tests.drawn_faces import CLASSES, write_class_folders
from tests.resumed import StopAt, Stopped, add_callback, assert_same_results
from tests.trained import compose_train

# Dropout and augmentation are on by default; batches of 16 make three steps an epoch.
OPTIONS = ("data.batch_size=16", "data.copies=report", "callbacks.cam=null")


@pytest.fixture(scope="module")
def few_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_class_folders(tmp_path_factory.mktemp("faces"), train=12, test=4)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, few_faces: Path) -> Path:
    return train(compose_train(tmp_path_factory.mktemp("undisturbed"), few_faces, *OPTIONS))


def stop_last_checkpoint(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Stop after best.ckpt of an epoch was saved, and before last.ckpt is."""
    save = WholeCheckpoints.save_checkpoint

    def save_or_stop(
        self: WholeCheckpoints, checkpoint: dict[str, Any], path: str, storage_options: None = None
    ) -> None:
        if Path(path).name == "last.ckpt" and checkpoint["epoch"] == epoch:
            raise Stopped
        save(self, checkpoint, path)

    monkeypatch.setattr(WholeCheckpoints, "save_checkpoint", save_or_stop)


def start(config: DictConfig, stop: StopAt | int) -> None:
    """Train until it is stopped: in a hook, or before last.ckpt of an epoch is saved."""
    with pytest.MonkeyPatch.context() as patch:
        if isinstance(stop, int):
            stop_last_checkpoint(patch, stop)
        else:
            add_callback(patch, stop)
        with pytest.raises(Stopped):
            train(config)


def test_a_run_that_is_stopped_everywhere_ends_as_an_undisturbed_one(
    undisturbed: Path, few_faces: Path, tmp_path: Path
) -> None:
    config = compose_train(tmp_path, few_faces, *OPTIONS)
    stops: list[StopAt | int] = [
        StopAt("on_train_batch_start", epoch=0, call=1),
        StopAt("on_validation_end", epoch=0),
        0,
        StopAt("on_train_batch_start", epoch=1),
        StopAt("on_train_batch_end", epoch=1, call=2),
        StopAt("on_train_epoch_end", epoch=1),
        1,
        StopAt("on_train_epoch_start", epoch=2),
        StopAt("on_predict_batch_end", epoch=2, call=2),
    ]
    for stop in stops:
        start(config, stop)
    folder = train(config)
    assert_same_results(folder, undisturbed)
    restarts = json.loads((folder / "status.json").read_text())["restarts"]
    assert [restart["epochs"] for restart in restarts] == [0, 0, 0, 1, 1, 1, 1, 2, 3]
    assert {restart["after"] for restart in restarts} == {"Stopped: "}


@pytest.mark.slow
def test_a_training_that_early_stopping_ended_is_not_trained_further(
    few_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (
        *OPTIONS,
        "callbacks=early_stopping",
        "callbacks.cam=null",
        "callbacks.early_stopping.patience=1",
        "+callbacks.early_stopping.min_delta=100",  # nothing counts as better
        "trainer.max_epochs=5",
    )
    config = compose_train(tmp_path, few_faces, *options)
    start(config, StopAt("on_predict_start"))
    steps = finished(tmp_path / "run")
    counter = StopAt()
    add_callback(monkeypatch, counter)
    folder = train(config)
    assert counter.steps == 0
    assert finished(folder) == steps == Finished(2, steps.steps)
    assert pd.read_csv(folder / "metrics.csv")["epoch"].tolist() == [0, 0, 1, 1]


@pytest.mark.slow
def test_a_stop_in_the_report_does_what_follows_the_training_again(
    undisturbed: Path, few_faces: Path, tmp_path: Path
) -> None:
    config = compose_train(tmp_path, few_faces, *OPTIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "write_run_report", lambda folder: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config)
    (tmp_path / "run" / "predictions.parquet").write_bytes(b"half")
    (tmp_path / "run" / ".fairness.json.123.json").write_text("half")
    folder = train(config)
    assert_same_results(folder, undisturbed)
    assert (folder / "report.html").is_file()


@pytest.fixture
def begun(few_faces: Path, tmp_path: Path) -> DictConfig:
    """The configuration of a run that was stopped in its second epoch."""
    config = compose_train(tmp_path, few_faces, *OPTIONS)
    start(config, StopAt("on_train_batch_start", epoch=1))
    return config


def test_another_configuration_is_refused_and_nothing_is_touched(
    begun: DictConfig, few_faces: Path, tmp_path: Path, undisturbed: Path
) -> None:
    folder = tmp_path / "run"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    other = compose_train(tmp_path, few_faces, *OPTIONS, "seed=3", "optimizer.lr=0.5")
    with pytest.raises(RunError) as refused:
        train(other)
    listed = refused.value.found.splitlines()[1:]
    assert [line.strip() for line in listed] == ["optimizer.lr: 0.003 -> 0.5", "seed: 0 -> 3"]
    assert "paths.run=FOLDER" in refused.value.todo
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    # Where faces lie and who loads them changes no result; a damaged status is no hindrance.
    (folder / "status.json").write_text('{"status": ')
    same = compose_train(
        tmp_path, few_faces, *OPTIONS, "data.workers=2", f"paths.cache={tmp_path}/elsewhere"
    )
    assert_same_results(train(same), undisturbed)


def test_a_broken_checkpoint_is_told(begun: DictConfig, tmp_path: Path) -> None:
    file = tmp_path / "run" / "checkpoints" / "last.ckpt"
    whole = file.read_bytes()
    for broken in (b"", whole[:200], whole[: len(whole) // 2]):
        file.write_bytes(broken)
        with pytest.raises(RunError, match=r"last\.ckpt cannot be read") as refused:
            train(begun)
        assert refused.value.todo
        status = json.loads((tmp_path / "run" / "status.json").read_text())
        assert status["status"] == "failed"
        assert "last.ckpt cannot be read" in status["reason"]
        with pytest.raises(RunError, match=r"last\.ckpt cannot be read"):
            WholeCheckpoints().load_checkpoint(file, weights_only=True)


@pytest.mark.slow
def test_data_that_changed_meanwhile_is_refused_and_its_record_kept(
    undisturbed: Path, tmp_path: Path
) -> None:
    faces = write_class_folders(tmp_path / "faces", train=12, test=4)
    config = compose_train(tmp_path, faces, *OPTIONS)
    start(config, StopAt("on_train_batch_start", epoch=1))
    files = [tmp_path / "run" / name for name in ("split.parquet", "normalisation.json")]
    before = [file.read_bytes() for file in files]
    gone = sorted((faces / "train" / "happy").glob("*.png"))[:3]
    for image in gone:
        image.rename(tmp_path / image.name)
    with pytest.raises(RunError, match="the data has changed since the run") as refused:
        train(config)
    assert re.search(r"\b3 faces gone \(such as ", refused.value.found)
    assert "paths.run=FOLDER" in refused.value.todo
    assert [file.read_bytes() for file in files] == before
    for image in gone:
        (tmp_path / image.name).rename(image)
    assert_same_results(train(config), undisturbed)


def test_a_training_goes_on_with_the_same_faces_alone(begun: DictConfig, tmp_path: Path) -> None:
    folder, faces = tmp_path / "run", assemble_faces(begun)
    refuse_other_faces(folder, faces)
    rows = faces.table.rows
    train_rows = rows.index[(rows["split"] == "train") & (rows["left_out"] == "")]

    def refused(rows: pd.DataFrame, **other: Any) -> str:  # noqa: ANN401
        changed = replace(faces, table=faces.table.with_rows(rows), **other)
        with pytest.raises(RunError) as error:
            refuse_other_faces(folder, changed)
        return error.value.found

    one, two = train_rows[0], train_rows[:2]
    changed = rows.copy()
    changed.loc[two, "split"] = "validation"
    changed.loc[one, "label"] = next(c for c in CLASSES if c != rows.loc[one, "label"])
    assert f"2 faces with another label, split (such as {rows.loc[one, 'id']})" in refused(changed)
    left_out = rows.assign(left_out=rows["left_out"].where(rows.index != one, "a copy"))
    assert f"1 face gone (such as {rows.loc[one, 'id']})" in refused(left_out)
    assert f"{len(faces.table.used())} faces with another draws" in refused(rows.assign(draws=1))
    renamed = refused(rows.assign(id=rows["id"].where(rows.index != one, "somebody")))
    assert "1 face new (such as somebody); 1 face gone" in renamed
    darker = PixelStatistics(faces.statistics.mean * np.float32(0.5), faces.statistics.deviation)
    assert "train faces have other pixels" in refused(rows, statistics=darker)
    (folder / "split.parquet").write_bytes(b"half")
    assert "cannot be read" in refused(rows)


def test_a_run_without_a_finished_epoch_begins_anew_with_any_configuration(
    few_faces: Path, tmp_path: Path
) -> None:
    start(compose_train(tmp_path, few_faces, *OPTIONS), StopAt("on_train_batch_start"))
    assert last_checkpoint(tmp_path / "run") is None
    with open_run(tmp_path / "run", compose_train(tmp_path, few_faces, "seed=3")) as folder:
        status = json.loads((folder / "status.json").read_text())
        assert "restarts" not in status
        assert json.loads((folder / "environment.json").read_text())["seed"] == 3


def test_threads_are_recorded_and_used_again(
    begun: DictConfig, few_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    record = tmp_path / "run" / "environment.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"threads": 7}))
    for threads in ("null", "3"):
        start(
            compose_train(tmp_path, few_faces, *OPTIONS, f"threads={threads}"),
            StopAt("on_fit_start"),
        )
        assert used[-1] == 7
    record.write_text("{}")
    with pytest.raises(RunError, match="number of threads"):
        recorded_threads(tmp_path / "run")


def test_rows_after_the_last_checkpoint_are_dropped(tmp_path: Path) -> None:
    def log(*rows: tuple[int, str, float]) -> None:
        logger = MetricsFile(str(tmp_path))
        for step, name, value in rows:
            logger.log_metrics({name: value, "epoch": step // 3}, step)

    (tmp_path / "checkpoints").mkdir()
    WholeCheckpoints().save_checkpoint(
        {"epoch": 0, "global_step": 3}, tmp_path / "checkpoints" / "last.ckpt"
    )
    log((2, "validation/loss", 0.1), (2, "train/loss", 1 / 3))
    whole = (tmp_path / "metrics.csv").read_bytes()
    log((5, "validation/loss", 0.2), (5, "other", 1.0))
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("1,,")  # a line that was cut short
    drop_unfinished(tmp_path)
    assert (tmp_path / "metrics.csv").read_bytes() == whole
    log((5, "train/loss", 0.5))
    assert [row["train/loss"] for row in read_rows(tmp_path / "metrics.csv")] == [
        "", str(1 / 3), "0.5",
    ]  # fmt: skip
    (tmp_path / "checkpoints" / "last.ckpt").unlink()
    drop_unfinished(tmp_path)
    assert not (tmp_path / "metrics.csv").exists()
    drop_unfinished(tmp_path)
