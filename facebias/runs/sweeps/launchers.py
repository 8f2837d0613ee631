"""Hydra's launchers, as far as a sweep must know them: how many jobs at once, what is refused."""

import shutil
import sys
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, open_dict, read_write

from facebias.errors import ConfigError
from facebias.runs.ranks.processes import gpu_count
from facebias.runs.sweeps.gpus import asks_for_one, on_gpus
from facebias.runs.sweeps.plan import Job
from facebias.runs.sweeps.shares import shared_threads

JOBLIB, SLURM, LOCAL = "JoblibLauncher", "SlurmLauncher", "LocalLauncher"
_LEFT_OPEN = -1  # n_jobs of joblib: one a core


def launcher_name(launcher: DictConfig) -> str:
    """Return the name of a launcher's class.

    Args:
        launcher: its node in Hydra's configuration.
    """
    return str(launcher.get("_target_", "")).rpartition(".")[2]


def refuse_wrong_launcher(launcher: Any) -> None:  # noqa: ANN401 - whatever an override made of it
    """Refuse a launcher that could not launch.

    Args:
        launcher: its node in Hydra's configuration.

    Raises:
        ConfigError: if it is no node, or has no number of jobs.
    """
    if not isinstance(launcher, DictConfig):
        raise ConfigError(
            f"hydra.launcher is {launcher!r}",
            "a launcher, chosen as an option of its group",
            f"write hydra/launcher={launcher or 'basic'}, with a slash",
        )
    if launcher_name(launcher) == JOBLIB and launcher.get("n_jobs") == 0:
        raise ConfigError(
            "hydra.launcher.n_jobs is 0",
            "how many jobs run at once: 1 or more, or -1 for one a core",
            "write hydra.launcher.n_jobs=2, say",
        )


def refuse_absent_slurm(launcher: DictConfig) -> None:
    """Refuse to send jobs to a Slurm that is not there.

    Args:
        launcher: its node in Hydra's configuration.

    Raises:
        ConfigError: if the launcher is Slurm's, and this machine has no `srun`.
    """
    if launcher_name(launcher) == SLURM and shutil.which("srun") is None:
        raise ConfigError(
            "hydra/launcher=submitit_slurm, and this machine has no srun",
            "a machine from which Slurm takes jobs",
            "give the command on one, or use hydra/launcher=joblib",
        )


def joblib_workers(launcher: DictConfig) -> int:
    """Return how many jobs a launcher's pool runs at once; 1 for one that has none.

    Args:
        launcher: its node in Hydra's configuration.
    """
    if launcher_name(launcher) != JOBLIB:
        return 1
    import joblib

    return int(joblib.effective_n_jobs(launcher.get("n_jobs", 1)))


def fit_to_gpus(master: DictConfig, jobs: Sequence[Job]) -> None:
    """Have joblib run as many jobs at once as there are GPUs, where its number is left open.

    Jobs that name their GPUs, or ask for several, would meet on the same ones: they run in turn.

    Args:
        master: Hydra's configuration of the whole sweep.
        jobs: of the sweep.
    """
    launcher = master.hydra.launcher
    configs = [job.resolved() for job in jobs]
    left_open = launcher_name(launcher) == JOBLIB and launcher.get("n_jobs") == _LEFT_OPEN
    if not left_open or not any(map(on_gpus, configs)):
        return
    gpus = gpu_count() if all(asks_for_one(config) for config in configs if on_gpus(config)) else 1
    at_once = max(1, min(gpus, joblib_workers(launcher)))
    with read_write(launcher), open_dict(launcher):
        launcher.n_jobs = at_once
    print(
        f"facebias: {at_once} at once, each on a GPU of its own; hydra.launcher.n_jobs=N for more",
        file=sys.stderr,
        flush=True,
    )


def job_threads(launcher: DictConfig, jobs: int, processes: int) -> int:
    """Return the threads of each process: what a launcher gives a job, shared out.

    Args:
        launcher: its node in Hydra's configuration.
        jobs: that it gets.
        processes: of each job.
    """
    name = launcher_name(launcher)
    if name == SLURM:  # each job has a place of its own
        return max(1, (launcher.get("cpus_per_task") or 1) // processes)
    at_once = jobs if name == LOCAL else min(jobs, joblib_workers(launcher))
    return shared_threads(at_once, processes)
