"""Trainings that are killed for real, at random moments, and started again in the same folder."""

import multiprocessing
import random
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from omegaconf import DictConfig

from facebias.runs.folder import run_state
from tests.drawn_faces import write_class_folders
from tests.resumed import assert_same_results, train_in_child
from tests.trained import compose_train

OPTIONS = (
    "data.batch_size=16",
    "data.copies=report",
    "trainer.max_epochs=5",
    "model.dropout=0.3",
    "callbacks.cam=null",
)
KILLS = 5


@pytest.fixture(scope="module")
def few_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_class_folders(tmp_path_factory.mktemp("faces"), train=12, test=4)


def begin(config: DictConfig, log: Path) -> ForkServerProcess:
    """Start a training in a fresh process, whose imports were done beforehand."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.resumed"])
    process = context.Process(target=train_in_child, args=(config, log))
    process.start()
    return process


def finish(config: DictConfig, log: Path) -> float:
    """Train to the end, and return the seconds it took."""
    start = time.monotonic()
    process = begin(config, log)
    process.join()
    assert process.exitcode == 0, log.read_text()
    return time.monotonic() - start


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ("data.workers=0", "augment=light"),
        ("data.workers=2", "augment=light"),
        (
            "callbacks=early_stopping",
            "callbacks.early_stopping.patience=1",
            "callbacks.cam=null",
            "checkpoint.use=best",
            "optimizer=sgd",
            "scheduler=cosine",
        ),
    ],
    ids=["no_workers", "two_workers", "early_stopping"],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_run_ends_as_an_undisturbed_one(
    few_faces: Path, tmp_path: Path, options: tuple[str, ...], seed: int
) -> None:
    def config(name: str) -> DictConfig:
        folder = tmp_path / name
        return compose_train(folder, few_faces, *OPTIONS, *options, f"seed={seed}")

    log, dice = tmp_path / "log", random.Random(seed)  # noqa: S311 - no secret
    seconds = finish(config("undisturbed"), log)
    for _ in range(KILLS):
        process = begin(config("killed"), log)
        process.join(dice.uniform(0, seconds))
        if process.exitcode is not None:
            assert process.exitcode == 0, log.read_text()
            break
        process.kill()
        process.join()
        if run_state(tmp_path / "killed" / "run")[0] == "done":
            break  # the kill came after the end of the run, before that of its process
    else:
        finish(config("killed"), log)
    assert_same_results(tmp_path / "killed" / "run", tmp_path / "undisturbed" / "run")
