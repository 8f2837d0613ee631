"""How many processes a training runs in, on how many machines; what cannot be is refused early."""

import os
import re
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from facebias.errors import ConfigError

_DDP = "lightning.pytorch.strategies.DDPStrategy"
GPUS = ("gpu", "cuda")  # accelerators that are GPUs by name
_MAYBE_GPUS = (*GPUS, "auto")
_ALL = ("auto", -1, "-1")
_FIRST_PORT, _PORTS = 20_000, 20_000  # for nodes to meet at, one of them a job


@dataclass(frozen=True)
class Node:
    """A machine and its place among those of one training.

    Attributes:
        count: of machines.
        number: of this one, from 0.
        endpoint: host and port at which all of them meet.
        meeting: a name that they share; empty for a machine alone.
    """

    count: int = 1
    number: int = 0
    endpoint: str = "localhost:0"
    meeting: str = ""


def processes(config: DictConfig) -> int:
    """Return in how many processes a training runs, on all machines together.

    Args:
        config: a checked `facebias.schemas.Train` or `Predict`.

    Raises:
        ConfigError: if the trainer asks for devices that are not there, or for several processes
            in a way that would not count every face once.
    """
    _check_devices(config.trainer)
    count = local_processes(config) * node_of(config).count
    if count > 1:
        _check_strategy(config.trainer)
    return count


def local_processes(config: DictConfig) -> int:
    """Return in how many processes a training runs on each machine: one a device.

    It looks for GPUs only where all of them are asked for, and refuses nothing: who plans a sweep
    need not have the GPUs that its jobs name. `processes` refuses what this machine has not.

    Args:
        config: a checked configuration with a trainer.
    """
    devices = _devices(config.trainer)
    if OmegaConf.is_list(devices):
        return max(1, len(set(devices)))
    if devices in _ALL:
        return max(1, gpu_count()) if _accelerator(config.trainer) in _MAYBE_GPUS else 1
    return max(1, devices) if isinstance(devices, int) else 1


def node_of(config: DictConfig) -> Node:
    """Return this machine's place: Slurm's, where the trainer asks for several nodes.

    Args:
        config: a checked configuration with a trainer.

    Raises:
        ConfigError: for no number of nodes, or one that Slurm has not given.
    """
    asked = config.trainer.get("num_nodes", 1)
    if asked == 1:
        return Node()
    if not isinstance(asked, int) or asked < 1:
        raise ConfigError(
            f"trainer.num_nodes is {asked!r}",
            "a number of machines, 1 or more",
            "correct trainer.num_nodes, or leave it out",
        )
    given = os.environ.get("SLURM_NNODES")
    if given != str(asked):
        raise ConfigError(
            f"trainer.num_nodes is {asked}, and Slurm has given "
            f"{'no nodes' if given is None else f'{given} nodes'}",
            "one task a node, each of which starts this command",
            f"srun --nodes={asked} --ntasks-per-node=1 python -m facebias.train ...",
        )
    job = os.environ.get("SLURM_JOB_ID", "0")
    port = _FIRST_PORT + int(job) % _PORTS
    meeting = f"{job}_{os.environ.get('SLURM_STEP_ID', '0')}"
    number = int(os.environ.get("SLURM_NODEID", "0"))
    listed = os.environ.get("SLURM_JOB_NODELIST") or os.environ.get("SLURM_NODELIST", "")
    return Node(asked, number, f"{first_host(listed)}:{port}", meeting)


def first_host(listed: str) -> str:
    """Return the first host of a list as Slurm writes it.

    Args:
        listed: such as `node[007-009,012],login`.

    >>> first_host("node[007-009,012],login")
    'node007'
    >>> first_host("a-1,a-2")
    'a-1'
    """
    found = re.match(r"([^,\[]+)(?:\[([^-,\]]+)[^\]]*\]([^,]*))?", listed)
    if found is None:
        raise ConfigError("SLURM_NODELIST names no host", "the list that Slurm sets", "use srun")
    return "".join(part or "" for part in found.groups())


def refuse_small_batch(config: DictConfig) -> None:
    """Refuse batches that leave a process without faces to train on.

    Args:
        config: a checked `facebias.schemas.Train`.

    Raises:
        ConfigError: if a batch has fewer than two faces a process, as batch norm needs.
    """
    count, size = processes(config), config.data.batch_size
    if count > 1 and size < 2 * count:
        raise ConfigError(
            f"data.batch_size is {size}, for {count} processes together",
            "two faces or more of each batch for each of them",
            f"set data.batch_size={2 * count} or more, or use fewer trainer.devices",
        )


def refuse_several(config: DictConfig, verb: str) -> None:
    """Refuse more than one process for a verb that runs in one.

    Raises:
        ConfigError: if the trainer asks for several.
    """
    count = processes(config)
    if count > 1:
        raise ConfigError(
            f"trainer asks for {count} processes",
            f"one: {verb} runs in one process",
            "use trainer=cpu or trainer=gpu, with trainer.devices=1",
        )


def runs_alone(config: DictConfig) -> bool:
    """Tell whether a trainer's strategy for several processes has only one to work with."""
    strategy = config.trainer.get("strategy")
    several = OmegaConf.is_dict(strategy) and strategy.get("_target_") == _DDP
    return several and processes(config) == 1


def gpu_count() -> int:
    """Return how many GPUs torch sees."""
    import torch

    return torch.cuda.device_count()


def _devices(trainer: DictConfig) -> Any:  # noqa: ANN401 - a number, a list, a word or nothing
    return trainer.get("devices", "auto")


def _accelerator(trainer: DictConfig) -> str:
    return str(trainer.get("accelerator", "auto"))


def _check_devices(trainer: DictConfig) -> None:
    """Refuse devices that this machine has not."""
    devices, accelerator = _devices(trainer), _accelerator(trainer)
    if isinstance(devices, int) and devices == 1 and accelerator not in GPUS:
        return
    gpus = gpu_count() if accelerator in _MAYBE_GPUS else 0
    if accelerator == "cpu" or (accelerator == "auto" and not gpus):
        _check_on_processor(devices)
    elif accelerator in _MAYBE_GPUS:
        _check_on_gpus(devices, gpus)


def _check_on_processor(devices: object) -> None:
    if devices != "auto" and not (isinstance(devices, int) and devices >= 1):
        raise ConfigError(
            f"trainer.devices is {devices!r}",
            "a number of processes, 1 or more, on the processor",
            "correct trainer.devices",
        )


def _check_on_gpus(devices: Any, gpus: int) -> None:  # noqa: ANN401
    """Refuse all but a number of GPUs, `auto` or -1 for all, or a list of numbers."""
    if gpus == 0:
        raise _not_there("a GPU", gpus)
    if devices in _ALL or (isinstance(devices, int) and 1 <= devices <= gpus):
        return
    listed = list(devices) if OmegaConf.is_list(devices) else []
    if not listed or not all(isinstance(each, int) and 0 <= each < gpus for each in listed):
        raise _not_there(f"{devices}", gpus)


def _not_there(asked: str, gpus: int) -> ConfigError:
    return ConfigError(
        f"trainer.devices asks for {asked}, and this machine has {gpus or 'no'} GPUs",
        f"a number of GPUs up to {gpus}, or a list of theirs" if gpus else "a GPU that torch sees",
        "correct trainer.devices" if gpus else "use trainer=cpu or trainer=ddp_cpu",
    )


def _check_strategy(trainer: DictConfig) -> None:
    strategy = trainer.get("strategy")
    if not OmegaConf.is_dict(strategy) or strategy.get("_target_") != _DDP:
        raise ConfigError(
            f"trainer asks for several processes, and trainer.strategy is {strategy or 'not set'}",
            f"{_DDP}, as trainer=ddp and trainer=ddp_cpu have it",
            "use trainer=ddp for GPUs or trainer=ddp_cpu, with trainer.devices=N",
        )
    wrong = {
        "trainer.strategy.forward_sync_buffers": strategy.get("forward_sync_buffers", True),
        "trainer.use_distributed_sampler": trainer.get("use_distributed_sampler", True),
    }
    for key, value in wrong.items():
        if value is not False:
            raise ConfigError(
                f"{key} is {value}",
                "false: ranks have different numbers of faces, and each face counts once",
                f"leave {key} as trainer=ddp and trainer=ddp_cpu have it",
            )
