"""What a job gets of the machine: threads, and one GPU of several."""

from typing import Any

import joblib
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from facebias.runs.environment import environment
from facebias.runs.sweeps.shares import shared_threads, with_gpu


def _config(**trainer: Any) -> DictConfig:  # noqa: ANN401
    config = OmegaConf.create({"seed": 0, "threads": None, "trainer": trainer})
    OmegaConf.set_readonly(config, True)
    return config


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=0: f"GPU {device}")


def test_cores_are_shared_by_jobs_and_by_their_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 16)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [shared_threads(jobs, 2) for jobs in (1, 2, 3, 8, 99)] == [8, 4, 2, 1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert shared_threads(2, 1) == 3


@pytest.mark.usefixtures("four_gpus")
def test_jobs_take_the_gpus_in_turn() -> None:
    config = _config(accelerator="gpu", devices=1)
    taken = [with_gpu(config, position).trainer.devices for position in range(6)]
    assert taken == [[0], [1], [2], [3], [0], [1]]
    assert config.trainer.devices == 1


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize("devices", [2, [3], [0, 1], "auto", -1])
def test_a_job_that_asks_for_other_devices_keeps_them(devices: object) -> None:
    config = _config(accelerator="gpu", devices=devices)
    assert with_gpu(config, 1) == config


@pytest.mark.usefixtures("four_gpus")
def test_a_job_on_the_processor_takes_no_gpu() -> None:
    config = _config(accelerator="cpu", devices=1)
    assert with_gpu(config, 1) == config


def test_the_only_gpu_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    config = _config(accelerator="gpu", devices=1)
    assert with_gpu(config, 1) == config


@pytest.mark.usefixtures("four_gpus")
def test_the_gpu_is_recorded() -> None:
    job = with_gpu(_config(accelerator="gpu", devices=1), 6)
    record = environment(job)
    assert (record["gpu"], record["device"]) == (2, "GPU 2")
