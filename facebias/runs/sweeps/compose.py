"""From a command line with several values to the jobs of a sweep, composed and checked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import filter_overrides
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from facebias.config import check
from facebias.errors import ConfigError
from facebias.runs.sweeps.plan import Job, job_title


def sweep_folder(master: DictConfig) -> Path:
    """Return the folder of a sweep, and keep it: a time in its name must not be told twice.

    Args:
        master: Hydra's configuration of the whole sweep; its `hydra.sweep.dir` becomes absolute.

    Raises:
        ConfigError: if `sweep` is no name of a folder.
    """
    name = master.get("sweep")
    if name is not None and (Path(str(name)).name != str(name) or name in ("", "..")):
        raise ConfigError(f"sweep is {name!r}", "the name of a folder", "correct sweep=NAME")
    folder = Path(master.hydra.sweep.dir).absolute()
    with read_write(master), open_dict(master.hydra):
        master.hydra.sweep.dir = str(folder)
    return folder


def compose_jobs(
    context: HydraContext,
    master: DictConfig,
    schema: type,
    overrides: Sequence[Sequence[str]],
    shared: frozenset[str],
) -> list[Job]:
    """Compose and check every job of a sweep.

    Args:
        context: of Hydra.
        master: Hydra's configuration of the whole sweep.
        schema: the dataclass that describes a job.
        overrides: of each job.
        shared: those that all jobs have.

    Returns:
        The jobs, numbered in this order; `threads` is as it was asked for.

    Raises:
        ConfigError: for the first job whose configuration is wrong; it is named.
    """
    jobs = [
        _composed(context, master, schema, number, given, shared)
        for number, given in enumerate(overrides)
    ]
    if not any(job.config.get("fold", 0) for job in jobs):
        return jobs
    folder = Path(master.hydra.sweep.dir)
    named = [f"{job.folder}_fold{job.config['fold']}" for job in jobs]
    return [
        job.moved(job.number, name, folder / name) for job, name in zip(jobs, named, strict=True)
    ]


def _composed(
    context: HydraContext,
    master: DictConfig,
    schema: type,
    number: int,
    overrides: Sequence[str],
    shared: frozenset[str],
) -> Job:
    folder = Path(master.hydra.sweep.dir)
    composed = context.config_loader.load_sweep_config(master, list(overrides))
    title = job_title(number, filter_overrides(overrides), shared)
    _refuse_many_names(composed.get("sweep"), master.get("sweep"))
    with open_dict(composed):
        composed.sweep = folder.name if composed.sweep is None else composed.sweep
        composed.hydra.job.num, composed.hydra.job.id = number, str(number)
        with _as_hydra_config(composed):
            name = str(composed.hydra.sweep.subdir)
        with read_write(composed), read_write(composed.hydra):
            composed.hydra.runtime.output_dir = str(folder / name)
        with _as_hydra_config(composed):
            config = _checked(composed, schema, title)
    job = Job(number, name, tuple(filter_overrides(overrides)), config, shared)
    if job.run != folder / name:
        raise ConfigError(
            f"{title}: paths.run is {job.run}",
            f"a folder of its own below {folder}",
            "leave paths.run out, and choose the sweep's folder with sweep=NAME",
        )
    return job


def _checked(composed: DictConfig, schema: type, title: str) -> dict[str, Any]:
    """Return a job's configuration, checked and resolved."""
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    try:
        config: Any = OmegaConf.to_container(check(own, schema))
    except ConfigError as error:
        raise ConfigError(f"{title}: {error.found}", error.expected, error.todo) from error
    return dict(config)


def _refuse_many_names(of_job: str | None, of_sweep: str | None) -> None:
    if of_job is not None and of_job != of_sweep:
        raise ConfigError(
            f"sweep is {of_job!r} in one job", "one name for all jobs", "give one sweep=NAME"
        )


@contextmanager
def _as_hydra_config(composed: DictConfig) -> Iterator[None]:
    """Let `${hydra:...}` mean this job's while the block lasts."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(composed)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before
