"""Trainings as jobs of a real Slurm: sweeps, ranks within a task, and a job that is put back."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from omegaconf import OmegaConf

from facebias.data.predictions import PREDICTIONS_FILE
from facebias.runs.folder import CONFIG, STATUS
from facebias.runs.ranks.start import RANKS
from facebias.runs.sweeps.plan import PLAN
from tests.drawn_faces import write_class_folders
from tests.resumed import assert_same_results
from tests.slurm.one_machine import PARTITION, slurm_on_this_machine
from tests.trained import SMALL, SMALL_MODEL

pytestmark = pytest.mark.slurm

SLURM = (
    "hydra/launcher=submitit_slurm",
    f"hydra.launcher.partition={PARTITION}",
    "hydra.launcher.timeout_min=10",  # of less than this, submitit calls any signal a timeout
    "hydra.launcher.signal_delay_s=10",
    "hydra.launcher.tasks_per_node=1",
    "hydra.launcher.cpus_per_task=2",
)
PATIENCE = 600  # seconds for a sweep, or for something to happen in it


@pytest.fixture(scope="session")
def slurm() -> Iterator[dict[str, str]]:
    """The environment of commands that find a Slurm; it has a partition and two cores."""
    with TemporaryDirectory() as folder, slurm_on_this_machine(Path(folder)) as environment:
        yield environment | {"PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture(scope="module")
def few_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_class_folders(tmp_path_factory.mktemp("faces"), train=12, test=4)


class Sweeper:
    """Starts sweeps of small trainings, each in a process of its own."""

    def __init__(self, folder: Path, faces: Path, environment: dict[str, str]) -> None:
        self.folder, self._environment = folder, environment
        self._started: list[subprocess.Popen[str]] = []
        self._command = [sys.executable, "-m", "facebias.train", "-m", "data=emotions"]
        self._command += [f"data.root={faces}", f"paths.cache={folder}/cache"]
        self._command += [*SMALL, *SMALL_MODEL, "data.batch_size=16"]

    def start(self, sweep: str, *arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(  # noqa: S603
            [*self._command, f"sweep={sweep}", *arguments],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        return process

    def run(self, sweep: str, *arguments: str) -> Path:
        """Return the folder of a sweep that has ended well."""
        return self.end(sweep, self.start(sweep, *arguments))

    def end(self, sweep: str, process: "subprocess.Popen[str]") -> Path:
        """Wait until a sweep ends well; return its folder."""
        said, _ = process.communicate(timeout=PATIENCE)
        folder = self.folder / "outputs" / "sweeps" / sweep
        errors = [log.read_text() for log in folder.glob(".submitit/*/*.err")]
        assert process.returncode == 0, "\n".join([said, *errors])
        return folder

    def stop(self) -> None:
        """End what a failed test has left."""
        for process in self._started:
            process.kill()
            process.communicate()

    def slurm(self, *command: str) -> str:
        """Return what a command of Slurm prints."""
        return subprocess.run(  # noqa: S603
            command, env=self._environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()


@pytest.fixture
def sweeper(tmp_path: Path, few_faces: Path, slurm: dict[str, str]) -> Iterator[Sweeper]:
    started = Sweeper(tmp_path, few_faces, slurm)
    yield started
    started.stop()


def _status(run: Path) -> dict[str, Any]:
    status: dict[str, Any] = json.loads((run / STATUS).read_text())
    return status


def _tree(folder: Path) -> dict[Path, int]:
    """Return when each file was last changed."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_sweep_is_trained_once_as_it_was_planned(sweeper: Sweeper) -> None:
    job = ("seed=0,1,2", *SLURM)
    sweep = sweeper.run("mine", *job)
    planned = json.loads((sweep / PLAN).read_text())["jobs"]
    folders = ["0_train_seed0", "1_train_seed1", "2_train_seed2"]
    assert sorted(path.parent.name for path in sweep.glob(f"*/{STATUS}")) == folders
    for seed, (name, plan) in enumerate(zip(folders, planned, strict=True)):
        run = sweep / name
        status = _status(run)
        assert (status["status"], status.get("restarts")) == ("done", None)
        assert OmegaConf.load(run / CONFIG) == plan["config"]
        assert (plan["config"]["seed"], plan["config"]["threads"]) == (seed, 2)
        assert set(pd.read_parquet(run / PREDICTIONS_FILE)["seed"]) == {seed}
    assert len(list(sweep.glob(".submitit/*/*_result.pkl"))) == 3
    before = _tree(sweep / ".submitit"), [_tree(sweep / name) for name in folders]
    assert sweeper.run("mine", *job) == sweep
    assert (_tree(sweep / ".submitit"), [_tree(sweep / name) for name in folders]) == before


def test_two_ranks_within_a_task_end_as_they_do_without_slurm(sweeper: Sweeper) -> None:
    job = ("seed=0", "trainer=ddp_cpu", "trainer.max_epochs=2", "threads=1")
    run = sweeper.run("slurm", *job, *SLURM) / "0_train_seed0"
    ranks = sorted(path.name for path in run.glob(f"{RANKS}/*/attempt_0/*") if path.is_dir())
    assert ranks == ["0", "1"]
    assert_same_results(run, sweeper.run("here", *job) / "0_train_seed0")


@pytest.mark.parametrize(
    "option",
    ["data.workers=1", "trainer=ddp_cpu"],
)
def test_a_job_that_is_put_back_by_a_signal_ends_as_an_undisturbed_one(
    sweeper: Sweeper, option: str
) -> None:
    epochs = 40
    job = ("seed=0", f"trainer.max_epochs={epochs}", "model.dropout=0.3", "threads=1", option)
    undisturbed = sweeper.start("undisturbed", *job)
    process = sweeper.start("back", *job, *SLURM, "hydra.launcher.max_num_timeout=3")
    run = sweeper.folder / "outputs/sweeps/back/0_train_seed0"
    _wait_for((run / "checkpoints" / "last.ckpt").is_file, process)
    (number,) = sweeper.slurm("squeue", "--noheader", "--format=%A").splitlines()
    sweeper.slurm("scancel", "--signal=USR2", number)
    assert sweeper.end("back", process) == run.parent
    status = _status(run)
    (restart,) = status["restarts"]
    assert 0 < restart["epochs"] < epochs
    assert_same_results(run, sweeper.end("undisturbed", undisturbed) / "0_train_seed0")


def _wait_for(condition: Any, process: "subprocess.Popen[str]") -> None:  # noqa: ANN401
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, "the sweep has ended before"
        assert time.monotonic() < give_up, "it does not happen"
        time.sleep(0.05)
