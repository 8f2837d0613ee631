from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from facebias.errors import ConfigError
from facebias.runs.ranks import processes as module
from facebias.runs.ranks.processes import (
    first_host,
    local_processes,
    node_of,
    processes,
    refuse_several,
    runs_alone,
)

DDP = {
    "strategy": {
        "_target_": "lightning.pytorch.strategies.DDPStrategy",
        "forward_sync_buffers": False,
    },
    "use_distributed_sampler": False,
}
SLURM = {"NNODES": "2", "JOB_ID": "31", "STEP_ID": "4", "NODEID": "1", "JOB_NODELIST": "n[07-08]"}


def asking(**trainer: Any) -> DictConfig:  # noqa: ANN401 - any key of a trainer
    return OmegaConf.create({"trainer": {"accelerator": "cpu", "devices": 1} | trainer})


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "gpu_count", lambda: 4)


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SLURM.items():
        monkeypatch.setenv(f"SLURM_{name}", value)


@pytest.mark.parametrize(("devices", "count"), [(1, 1), (3, 3), ("auto", 1)])
def test_on_the_processor_the_number_says_how_many(devices: object, count: int) -> None:
    assert processes(asking(devices=devices, **DDP)) == count


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize(
    ("devices", "count"), [(1, 1), (3, 3), ("auto", 4), (-1, 4), ([2], 1), ([0, 3], 2)]
)
def test_every_gpu_that_is_asked_for_has_a_process(devices: object, count: int) -> None:
    assert local_processes(asking(accelerator="gpu", devices=devices)) == count


@pytest.mark.parametrize(
    ("devices", "count"), [(1, 1), (3, 3), ([0, 2], 2), ([1], 1), ("auto", 1), (-1, 1), (0, 1)]
)
def test_who_plans_need_not_have_the_gpus_that_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, devices: object, count: int
) -> None:
    monkeypatch.setattr(module, "gpu_count", lambda: 0)
    assert local_processes(asking(accelerator="gpu", devices=devices)) == count


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize("devices", [5, 0, [4], [0, -1], [], "some"])
def test_gpus_that_are_not_there_are_refused(devices: object) -> None:
    with pytest.raises(ConfigError, match="4 GPUs"):
        processes(asking(accelerator="gpu", devices=devices, **DDP))


def test_a_machine_without_gpus_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "gpu_count", lambda: 0)
    with pytest.raises(ConfigError, match=r"no GPUs(.|\n)*trainer=ddp_cpu"):
        processes(asking(accelerator="gpu", devices="auto", **DDP))
    assert local_processes(asking(accelerator="auto", devices=2)) == 2


@pytest.mark.parametrize("devices", [0, -1, "two", [0, 1], None])
def test_a_wrong_number_of_processes_is_refused(devices: object) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.devices"):
        processes(asking(devices=devices, **DDP))


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": None},
        {"strategy": "ddp"},
        {"strategy": {"_target_": "lightning.pytorch.strategies.FSDPStrategy"}},
        {"strategy": {"_target_": "lightning.pytorch.strategies.DDPStrategy"}},
        {"use_distributed_sampler": True},
    ],
    ids=str,
)
def test_what_would_not_count_every_face_once_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="trainer=ddp_cpu"):
        processes(asking(**{"devices": 2, **DDP, **change}))
    assert processes(asking(**{**DDP, **change})) == 1


@pytest.mark.usefixtures("two_nodes")
def test_slurm_says_which_node_this_is_and_where_all_meet() -> None:
    config = asking(devices=2, num_nodes=2, **DDP)
    node = node_of(config)
    assert (node.count, node.number, node.endpoint) == (2, 1, "n07:20031")
    assert node.meeting == "31_4"
    assert processes(config) == 4
    assert node_of(asking()).count == 1


def test_several_nodes_without_slurm_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_NNODES", raising=False)
    with pytest.raises(ConfigError, match="no nodes"):
        processes(asking(num_nodes=2, **DDP))


@pytest.mark.parametrize("nodes", [0, -1, "two", None])
def test_a_wrong_number_of_nodes_is_refused_as_such(nodes: object) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.num_nodes is(.|\n)*1 or more"):
        processes(asking(num_nodes=nodes, **DDP))


@pytest.mark.parametrize(
    ("listed", "host"),
    [("login", "login"), ("a-1,b", "a-1"), ("gpu[3,5-7]", "gpu3"), ("n[001-3]-ib,x", "n001-ib")],
)
def test_the_first_host_of_slurms_list(listed: str, host: str) -> None:
    assert first_host(listed) == host
    with pytest.raises(ConfigError, match="no host"):
        first_host("")


def test_a_verb_of_one_process_refuses_several() -> None:
    refuse_several(asking(), "facebias.predict")
    with pytest.raises(ConfigError, match=r"2 processes(.|\n)*facebias\.predict"):
        refuse_several(asking(devices=2, **DDP), "facebias.predict")


def test_a_strategy_for_several_has_nothing_to_do_for_one() -> None:
    assert runs_alone(asking(**DDP))
    assert not runs_alone(asking(devices=2, **DDP))
    assert not runs_alone(asking())
