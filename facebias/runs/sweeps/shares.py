"""What a training gets of the machine's cores."""

import os

from omegaconf import DictConfig

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
