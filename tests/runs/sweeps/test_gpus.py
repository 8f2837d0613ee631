"""One free GPU for each job: which ones there are, who has one, when it is free again."""

import subprocess
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from facebias.errors import RunError
from facebias.runs.environment import environment
from facebias.runs.sweeps import gpus
from facebias.runs.sweeps.gpus import claimed, gpu_names, lock_folder, with_free_gpu

# Takes one of two GPUs, says which, and keeps it until it is told to end.
_JOB = """
import sys
from pathlib import Path
from facebias.runs.sweeps.gpus import claimed
with claimed(["0", "1"], int(sys.argv[2]), Path(sys.argv[1])) as place:
    print(place, flush=True)
    sys.stdin.readline()
"""
Start = Callable[..., "subprocess.Popen[str]"]


def _config(**trainer: Any) -> DictConfig:  # noqa: ANN401
    config = OmegaConf.create({"seed": 0, "threads": None, "trainer": trainer})
    OmegaConf.set_readonly(config, True)
    return config


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the locks, which no other test uses."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return lock_folder()


@pytest.fixture
def four_gpus(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=0: f"GPU {device}")
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(gpus, "_LOOK", 0.01)


@pytest.fixture
def start(folder: Path, start_python: Start) -> Start:
    """Return a function that starts a process which takes a GPU; `jobs_each` may share one."""

    def run(jobs_each: int = 1) -> "subprocess.Popen[str]":
        return start_python(_JOB, str(folder), str(jobs_each))

    return run


def _taken(process: "subprocess.Popen[str]") -> int:
    """Wait until a process has a GPU; return which one."""
    assert process.stdout is not None
    return int(process.stdout.readline())


@pytest.mark.usefixtures("four_gpus")
def test_jobs_beside_each_other_have_gpus_of_their_own() -> None:
    config = _config(accelerator="gpu", devices=1)
    with ExitStack() as jobs:
        taken = [jobs.enter_context(with_free_gpu(config, 4)) for _ in range(4)]
        assert [job.trainer.devices for job in taken] == [[0], [1], [2], [3]]
        record = environment(taken[2])
        assert (record["gpu"], record["device"]) == (2, "GPU 2")
    assert config.trainer.devices == 1
    with with_free_gpu(config, 4) as again:  # all are free again
        assert again.trainer.devices == [0]


@pytest.mark.usefixtures("four_gpus")
def test_a_job_that_ends_early_frees_its_own_gpu_and_no_other() -> None:
    config = _config(accelerator="cuda", devices=1)
    with ExitStack() as jobs:
        jobs.enter_context(with_free_gpu(config, 4))
        with suppress(ZeroDivisionError), with_free_gpu(config, 4) as second:
            assert second.trainer.devices == [1]
            raise ZeroDivisionError
        assert jobs.enter_context(with_free_gpu(config, 4)).trainer.devices == [1]


@pytest.mark.usefixtures("four_gpus")
def test_more_jobs_at_once_than_gpus_are_spread_evenly() -> None:
    config = _config(accelerator="gpu", devices=1)
    with ExitStack() as jobs:
        taken = [jobs.enter_context(with_free_gpu(config, 6)) for _ in range(6)]
        assert [job.trainer.devices for job in taken] == [[0], [1], [2], [3], [0], [1]]


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize("devices", [2, [3], [0, 1], "auto", -1])
def test_a_job_that_asks_for_other_devices_keeps_them(devices: object) -> None:
    config = _config(accelerator="gpu", devices=devices)
    with with_free_gpu(config, 1) as job:
        assert job == config


@pytest.mark.usefixtures("four_gpus")
def test_a_job_on_the_processor_takes_no_gpu(folder: Path) -> None:
    config = _config(accelerator="cpu", devices=1)
    with with_free_gpu(config, 1) as job:
        assert job == config
    assert list(folder.iterdir()) == []


def test_without_a_gpu_the_job_itself_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    config = _config(accelerator="gpu", devices=1)
    with with_free_gpu(config, 1) as job:
        assert job == config


@pytest.mark.parametrize(
    ("count", "visible", "names"),
    [
        (2, None, ["0", "1"]),
        (2, "3,5", ["3", "5"]),
        (2, "GPU-a, GPU-b", ["GPU-a", "GPU-b"]),
        (1, "2,-1,3", ["2"]),  # CUDA sees none of those after a wrong one
        (2, "", ["0", "1"]),
        (2, "7", ["0", "1"]),  # not what torch has counted
    ],
)
def test_a_gpu_has_the_name_by_which_other_processes_know_it(
    count: int, visible: str | None, names: list[str]
) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert gpu_names(count, environment) == names


@given(st.integers(0, 8), st.text(), st.text())
def test_there_are_as_many_names_as_gpus(count: int, visible: str, job: str) -> None:
    names = gpu_names(count, {"CUDA_VISIBLE_DEVICES": visible, "SLURM_JOB_ID": job})
    assert len(names) == count
    assert all(names)


def test_gpus_of_two_jobs_of_slurm_are_not_the_same_ones() -> None:
    first = gpu_names(1, {"CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_ID": "7"})
    assert first != gpu_names(1, {"CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_ID": "8"})
    assert first == gpu_names(1, {"SLURM_JOB_ID": "7"})


def test_processes_contend_for_gpus_and_the_one_of_a_killed_one_is_free_again(
    start: Start, folder: Path
) -> None:
    jobs = [start(), start()]
    taken = [_taken(job) for job in jobs]
    assert sorted(taken) == [0, 1]
    waiting = start()
    jobs[0].kill()
    assert _taken(waiting) == taken[0]
    jobs[1].communicate("\n")
    assert jobs[1].returncode == 0
    with claimed(["0", "1"], 1, folder) as place:
        assert place == taken[1]


def test_gpus_that_are_shared_by_intent_are_shared_by_so_many_and_no_more(
    start: Start, folder: Path
) -> None:
    taken = [_taken(start(jobs_each=2)) for _ in range(4)]
    assert sorted(taken) == [0, 0, 1, 1]
    files = [(0, file) for file in folder.iterdir()]
    assert len(files) == 4
    assert gpus._first_free(files) is None


def test_the_folder_of_the_locks_is_this_users_own(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    folder.symlink_to("/")
    with pytest.raises(RunError, match="it is no folder of this user"):
        lock_folder()


def test_names_with_slashes_are_no_paths(folder: Path) -> None:
    with claimed(["MIG-GPU-a/1/0", "../x"], 1, folder):
        assert len(list(folder.iterdir())) == 1
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
