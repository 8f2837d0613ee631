"""What a training gets of the machine: its share of the cores, and one GPU of several."""

import os

from omegaconf import DictConfig, open_dict, read_write

from facebias.runs.ranks.processes import local_processes


def shared_threads(parallel: int, processes: int) -> int:
    """Return the threads of each process: the cores, or `OMP_NUM_THREADS`, shared out.

    Args:
        parallel: jobs that run beside each other on this machine.
        processes: of each job.
    """
    import joblib

    asked = os.environ.get("OMP_NUM_THREADS", "")
    cores = int(asked) if asked.isdecimal() else joblib.cpu_count()
    return max(1, cores // (parallel * processes))


def use_threads(config: DictConfig) -> None:
    """Have torch compute with the configuration's threads; where it names none, with its share."""
    import torch

    torch.set_num_threads(config.threads or shared_threads(1, local_processes(config)))


def with_gpu(config: DictConfig, position: int) -> DictConfig:
    """Give a job one GPU of several, by its position in the launch.

    Args:
        config: a checked `facebias.schemas.Train`.
        position: of the job in this launch, from 0.

    Returns:
        `trainer.devices` names the GPU `position % GPUs` where the job asks for one GPU and the
        machine has several; all others keep what they ask for.
    """
    trainer = config.trainer
    if trainer.get("accelerator") not in ("gpu", "cuda") or trainer.get("devices", 1) != 1:
        return config
    import torch

    gpus = torch.cuda.device_count()
    if gpus < 2:
        return config
    changed = config.copy()
    with read_write(changed), open_dict(changed.trainer):
        changed.trainer.devices = [position % gpus]
    return changed
