"""Sweeps as commands of their own: workers, signals, kills, and real trainings."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from facebias.data.predictions import PREDICTIONS_FILE
from facebias.runs.folder import CONFIG, STATUS, run_state
from facebias.runs.sweeps.table import STATE
from tests.trained import SMALL, SMALL_MODEL

pytestmark = pytest.mark.slow

JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
LOCAL = ("hydra/launcher=submitit_local",)
FIRST = Path("outputs/sweeps/mine/0_train_seed0")
# Each job says that it runs, and waits until it is let go.
_VERB = """
import os, time
from pathlib import Path
from facebias.commandline import run_verb
from facebias.errors import DataError
from facebias.schemas import Train
def verb(config):
    from facebias.runs.folder import open_run
    with open_run(Path(config.paths.run), config):
        Path(f"started_{config.seed}_{os.getpid()}").touch()
        while config.seed >= 10 and not Path("go").exists():
            time.sleep(0.05)
        if config.seed == 1:
            raise DataError("too few faces")
        if config.seed == 2:
            raise ZeroDivisionError("a bug")
        if config.seed == 3 and not Path("go").exists():
            os.kill(os.getpid(), 9)
run_verb("train", Train, verb)
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a sweep of jobs that train nothing, in an empty folder."""
    (tmp_path / "verb.py").write_text(_VERB)
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "verb.py", "-m", "data.root=x", "sweep=mine", *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def _states(folder: Path) -> dict[str, str]:
    jobs = json.loads((folder / "outputs/sweeps/mine" / STATE).read_text())["jobs"]
    return {job["folder"]: job["status"] for job in jobs}


def _wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it does not happen"
        time.sleep(0.05)


def _workers(folder: Path) -> list[int]:
    """Return the processes of the jobs that have started."""
    return [int(path.name.split("_")[2]) for path in folder.glob("started_*")]


def _alive(process: int) -> bool:
    status = Path(f"/proc/{process}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except OSError:
        return False


@pytest.mark.parametrize("launcher", [JOBLIB, LOCAL], ids=["joblib", "submitit"])
def test_failures_in_other_processes_are_told_and_end_with_their_code(
    tmp_path: Path, start: Start, launcher: tuple[str, ...]
) -> None:
    sweep = start("seed=0,1,4", *launcher)
    said, _ = sweep.communicate(timeout=300)
    assert sweep.returncode == 2
    assert list(_states(tmp_path).values()) == ["done", "failed", "done"]
    assert "DataError: too few faces" in said
    again = start("seed=0,1,4", *launcher)
    again.communicate(timeout=300)
    assert again.returncode == 2
    assert len(_workers(tmp_path)) == 4  # the failed one alone ran twice


def test_a_bug_in_another_process_stops_no_other(tmp_path: Path, start: Start) -> None:
    sweep = start("seed=2,0,1", *JOBLIB)
    _, error = sweep.communicate(timeout=300)
    assert sweep.returncode == 1
    assert list(_states(tmp_path).values()) == ["failed", "done", "failed"]
    assert "ZeroDivisionError: a bug" in error


def test_a_worker_that_is_killed_takes_no_waiting_job_along(tmp_path: Path, start: Start) -> None:
    sweep = start("seed=3,0,4,5,6", *JOBLIB)
    sweep.communicate(timeout=300)
    assert sweep.returncode == 1
    states = list(_states(tmp_path).values())
    assert states[0] == "failed"
    assert states[2:] == ["done", "done", "done"]  # the second may have been beside it
    (tmp_path / "go").touch()
    again = start("seed=3,0,4,5,6", *JOBLIB)
    again.communicate(timeout=300)
    assert again.returncode == 0


def test_a_job_of_submitit_that_is_killed_is_told_and_runs_again(
    tmp_path: Path, start: Start
) -> None:
    sweep = start("seed=3,0", *LOCAL)
    _, error = sweep.communicate(timeout=300)
    assert sweep.returncode == 1
    assert list(_states(tmp_path).values()) == ["failed", "done"]
    assert "has not produced any output" in error
    assert "Traceback" not in error
    (tmp_path / "go").touch()
    again = start("seed=3,0", *LOCAL)
    again.communicate(timeout=300)
    assert again.returncode == 0


@pytest.mark.parametrize("launcher", [(), JOBLIB, LOCAL], ids=["basic", "joblib", "submitit"])
@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_sweep_that_is_ended_leaves_no_process_and_goes_on_later(
    tmp_path: Path, start: Start, launcher: tuple[str, ...], sent: int, code: int
) -> None:
    sweep = start("seed=0,10,11", *launcher)
    running = 2 if launcher else 1
    _wait_for(lambda: len(list(tmp_path.glob("started_1?_*"))) == running)
    _wait_for(lambda: run_state(tmp_path / FIRST)[0] == "done")
    sweep.send_signal(sent)
    said, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == code
    _wait_for(lambda: not any(map(_alive, _workers(tmp_path))), seconds=10)
    if sent != signal.SIGKILL:
        assert "interrupted" in said or "terminated" in said
        stopped = ["failed"] * running + ["waiting"] * (2 - running)
        assert list(_states(tmp_path).values()) == ["done", *stopped]
    (tmp_path / "go").touch()
    again = start("seed=0,10,11", *launcher)
    again.communicate(timeout=300)
    assert again.returncode == 0
    assert list(_states(tmp_path).values()) == ["done"] * 3
    assert len(list(tmp_path.glob("started_0_*"))) == 1


def _train(folder: Path, faces: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    given = ("data=emotions", f"data.root={faces}", f"paths.cache={folder}/cache")
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "facebias.train", "-m", *given, *SMALL, *SMALL_MODEL, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def _trained(sweep: Path) -> dict[str, pd.DataFrame]:
    """Return the predictions of the jobs of a sweep, by folder."""
    files = sorted(sweep.glob(f"*/{PREDICTIONS_FILE}"))
    return {file.parent.name: pd.read_parquet(file) for file in files}


@pytest.mark.parametrize("launcher", [JOBLIB, LOCAL], ids=["joblib", "submitit"])
def test_trainings_beside_each_other_end_as_trainings_in_turn(
    tmp_path: Path, faces_root: Path, launcher: tuple[str, ...]
) -> None:
    job = ("seed=0,1", "trainer.max_epochs=1", "threads=1")
    in_turn = _train(tmp_path, faces_root, *job, "sweep=turn")
    beside = _train(tmp_path, faces_root, *job, "sweep=beside", *launcher)
    assert (in_turn.returncode, beside.returncode) == (0, 0), in_turn.stderr + beside.stderr
    outputs = tmp_path / "outputs/sweeps"
    one, two = _trained(outputs / "turn"), _trained(outputs / "beside")
    assert list(one) == list(two) == ["0_train_seed0", "1_train_seed1"]
    for name in one:
        pd.testing.assert_frame_equal(one[name], two[name])
        assert (outputs / "turn" / name / CONFIG).is_file()


@pytest.mark.parametrize("launcher", [(), JOBLIB], ids=["basic", "joblib"])
def test_jobs_of_two_ranks_train_once_each(
    tmp_path: Path, faces_root: Path, launcher: tuple[str, ...]
) -> None:
    job = ("seed=0,1,2", "trainer=ddp_cpu", "trainer.max_epochs=1", "threads=1", "sweep=mine")
    ended = _train(tmp_path, faces_root, *job, *launcher)
    assert ended.returncode == 0, ended.stderr
    sweep = tmp_path / "outputs/sweeps/mine"
    folders = sorted(path.parent for path in sweep.glob(f"*/{STATUS}"))
    assert [folder.name for folder in folders] == [f"{n}_train_seed{n}" for n in range(3)]
    alone = _train(
        tmp_path, faces_root, "seed=0", "trainer.max_epochs=1", "threads=1", "sweep=alone"
    )
    assert alone.returncode == 0, alone.stderr
    (expected,) = _trained(sweep.parent / "alone").values()
    for seed, predictions in enumerate(_trained(sweep).values()):
        assert set(predictions["id"]) == set(expected["id"])
        assert len(predictions) == len(expected)
        assert set(predictions["seed"]) == {seed}
