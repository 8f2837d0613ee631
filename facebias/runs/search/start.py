"""A search for the values that validate best: planned here, asked of Optuna, run as a sweep."""

import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Override
from hydra.types import HydraContext
from omegaconf import DictConfig

from facebias.errors import ConfigError
from facebias.runs.ranks.processes import local_processes
from facebias.runs.search.objective import refuse_incomparable
from facebias.runs.search.plan import SearchOptions, begin_or_go_on, definition
from facebias.runs.search.space import Space, read_space
from facebias.runs.sweeps.compose import compose_jobs, sweep_folder
from facebias.runs.sweeps.launchers import (
    JOBLIB,
    fit_to_gpus,
    job_threads,
    joblib_workers,
    launcher_name,
    refuse_wrong_launcher,
)
from facebias.runs.sweeps.plan import Job, read_plan
from facebias.runs.sweeps.run import SweepRun, Task, owned


def run_search(
    context: HydraContext,
    master: DictConfig,
    task: Task,
    overrides: Sequence[Override],
    options: SearchOptions,
) -> None:
    """Run the trials of a search that are missing or failed; end with a table and the best values.

    Args:
        context: of Hydra.
        master: Hydra's configuration of the whole search.
        task: what runs a job.
        overrides: of the command line.
        options: how it is done.

    Raises:
        ConfigError: before anything runs, for a wrong end or choice of the space, a search that
            was begun otherwise, or Optuna not being there.
        RunError: if another sweep is at work in the folder.
        SystemExit: as for a sweep.
    """
    options.check()
    refuse_wrong_launcher(master.hydra.launcher)
    space = read_space(overrides)
    folder = sweep_folder(master)
    corners = compose_jobs(context, master, task.schema, list(space.corners()), space.shared())
    # Repeats come last, and may have other faces: every trial runs with each.
    refuse_incomparable(corners[: len(corners) - len(space.repeats) + 1])
    fit_to_gpus(master, corners)
    at_once = _trials_at_once(master.hydra.launcher)
    if corners[0].config["dry_run"]:
        _show(folder, space, options, corners[0], task)
        return
    jobs = at_once * len(space.repeats)
    threads = job_threads(master.hydra.launcher, jobs, local_processes(corners[0].resolved()))
    from facebias.runs.search.run import SearchRun  # it needs Optuna

    with owned(folder):
        begun = begin_or_go_on(folder, definition(space, options, corners[0]), threads)
        sweep = SweepRun(context, master, task, folder, _known(folder))
        code = SearchRun(sweep, space, options, begun).run(at_once)
    if code:
        sys.exit(code)


def _trials_at_once(launcher: DictConfig) -> int:
    """Return how many trials are asked together."""
    name = launcher_name(launcher)
    if name in (JOBLIB, "BasicLauncher"):
        return joblib_workers(launcher)
    raise ConfigError(
        f"a search with the launcher {name}",
        "trials in turn, or hydra/launcher=joblib",
        "leave hydra/launcher out",
    )


def _known(folder: Path) -> list[Job]:
    """Return the jobs of earlier starts; the folder may have been moved since."""
    planned = read_plan(folder) or []
    return [job.moved(job.number, job.folder, folder / job.folder) for job in planned]


def _show(folder: Path, space: Space, options: SearchOptions, corner: Job, task: Task) -> None:
    """Print the space, and the plan of a job with its first values; write nothing."""
    print(f"search {folder.name}: {options.trials} trials ({options.sampler}) in {folder}")
    for dimension in space.dimensions:
        print(f"  {dimension.key}: {dimension}")
    if len(space.repeats) > 1:
        print(f"  each {len(space.repeats)} times: {'; '.join(map(' '.join, space.repeats))}")
    print(f"\n{corner.title}:", flush=True)
    task.verb(corner.resolved())
