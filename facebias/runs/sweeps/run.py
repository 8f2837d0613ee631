"""A sweep: planned and checked as a whole, run by any launcher of Hydra, taken up again."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig

from facebias.errors import ConfigError, FacebiasError, RunError
from facebias.runs.folder import CONFIG, STATUS, mark_failed, run_state
from facebias.runs.ranks.lifeline import kill_children
from facebias.runs.ranks.processes import local_processes
from facebias.runs.same_config import changed_keys, listed
from facebias.runs.sweeps.compose import compose_jobs, sweep_folder
from facebias.runs.sweeps.launch import BUG, DONE, MENDABLE, Launch
from facebias.runs.sweeps.launchers import (
    LOCAL,
    fit_to_gpus,
    job_threads,
    joblib_workers,
    launcher_name,
    refuse_absent_slurm,
    refuse_wrong_launcher,
)
from facebias.runs.sweeps.plan import (
    Job,
    go_on,
    read_plan,
    refuse_twins,
    shared_overrides,
    write_plan,
)
from facebias.runs.sweeps.table import job_states, print_states, read_seconds, write_states

# Loaders of a killed training keep its lock until they see that it is gone.
_LOCK_SECONDS = 10.0
# Pools of processes that may go down before a job begins, one after the other.
_TRIES = 3
# What submitit raises for a job that ended without a word; by name, for it need not be installed.
_LOST = ("UncompletedJobError", "FailedJobError")
_KILLED = "its process was killed"
_POOL_GONE = "a process of the launcher was killed (out of memory, say), and those beside it"


class Task(Protocol):
    """What a verb gives Hydra to run.

    Attributes:
        schema: the dataclass that describes its configuration.
        verb: a function of a checked configuration.
        full_errors: show the traceback of every error.
    """

    schema: type
    verb: Callable[[DictConfig], object]
    full_errors: bool


def run_sweep(
    context: HydraContext, master: DictConfig, task: Task, overrides: Sequence[Sequence[str]]
) -> None:
    """Plan a sweep and run what is missing or failed of it; end with a table.

    Args:
        context: of Hydra.
        master: Hydra's configuration of the whole sweep.
        task: what runs a job.
        overrides: of each job.

    Raises:
        ConfigError: before anything runs, for a wrong job, two equal ones, a changed plan, or a
            launcher that cannot launch.
        RunError: if another sweep is at work in the folder.
        SystemExit: 1 if a job ended with a bug or was killed, 2 if one could be mended.
    """
    refuse_wrong_launcher(master.hydra.launcher)
    folder = sweep_folder(master)
    jobs = compose_jobs(context, master, task.schema, overrides, shared_overrides(overrides))
    refuse_twins(jobs)
    fit_to_gpus(master, jobs)
    if any(job.config["dry_run"] for job in jobs):
        code = _show(folder, _planned(folder, jobs, master.hydra.launcher), task)
    else:
        refuse_absent_slurm(master.hydra.launcher)
        with owned(folder):
            jobs = _planned(folder, jobs, master.hydra.launcher)
            write_plan(folder, jobs)
            code = SweepRun(context, master, task, folder, jobs).run()
    if code != DONE:
        sys.exit(code)


def _planned(folder: Path, jobs: Sequence[Job], launcher: DictConfig) -> list[Job]:
    """Return the jobs as their plan has them, or as it would have them where there is none yet."""
    jobs = [job.changed(dry_run=False) for job in jobs]
    plan = read_plan(folder)
    if plan is not None:
        return go_on(folder, jobs, plan)
    _refuse_other_runs(folder, jobs)
    return [
        job
        if job.config["threads"] is not None
        else job.changed(threads=job_threads(launcher, len(jobs), local_processes(job.resolved())))
        for job in jobs
    ]


def _refuse_other_runs(folder: Path, jobs: Sequence[Job]) -> None:
    """Refuse runs of another configuration in a folder whose plan is gone."""
    lines = [
        f"{job.folder}: {key}: {old} -> {new}"
        for job in jobs
        if (job.run / CONFIG).is_file()
        for key, (old, new) in changed_keys(job.run / CONFIG, job.resolved()).items()
    ]
    if lines:
        raise ConfigError(
            f"{folder} has no plan, and runs of another configuration:\n{listed(lines)}",
            "runs of these jobs, or none",
            "choose another sweep=NAME, or give the command that began this one",
        )


def _show(folder: Path, jobs: Sequence[Job], task: Task) -> int:
    """Print the plan of the sweep and that of each job; write nothing."""
    print_states(folder, job_states(jobs, read_seconds(folder)))
    code = DONE
    for job in jobs:
        print(f"\n{job.title}: {job.folder}", flush=True)
        try:
            task.verb(job.changed(dry_run=True).resolved())
        except FacebiasError as error:
            print(f"facebias: {job.title}: {error}", file=sys.stderr, flush=True)
            code = MENDABLE
    return code


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Keep other sweeps out of a folder while the block lasts.

    Raises:
        RunError: if another one is at work in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=_LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout as error:
        raise RunError(
            f"another sweep is at work in {folder}",
            "one sweep in a folder",
            "wait for it, or choose another name with sweep=NAME",
        ) from error
    try:
        yield
    finally:
        lock.release()


class SweepRun:
    """A planned sweep in its folder, which is ours.

    Args:
        context: of Hydra.
        master: Hydra's configuration of the whole sweep.
        task: what runs a job.
        folder: of the sweep.
        jobs: of the plan; a search adds to them.
    """

    def __init__(
        self,
        context: HydraContext,
        master: DictConfig,
        task: Task,
        folder: Path,
        jobs: Sequence[Job],
    ) -> None:
        self.context, self.master, self.task = context, master, task
        self.folder, self.jobs = folder, list(jobs)
        self.codes: dict[int, int] = {}
        self.seconds = read_seconds(folder)

    def run(self) -> int:
        """Run what is not done, and tell how all jobs stand; return the exit code."""
        with self.told():
            self.launch(self.jobs)
        return self.code()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell how all jobs stand when the block ends, however it does."""
        reason = _KILLED
        self._settle(reason)  # of an earlier start
        write_states(self.folder, job_states(self.jobs, self.seconds))
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            reason = "interrupted"
            raise
        finally:
            self._settle(reason)
            states = job_states(self.jobs, self.seconds)
            write_states(self.folder, states)
            print_states(self.folder, states)

    def launch(self, jobs: Sequence[Job]) -> None:
        """Run jobs of the sweep, but for those that are done or at work elsewhere."""
        missing = [job for job in jobs if run_state(job.run)[0] not in ("done", "running")]
        tries = _TRIES
        while missing and tries:
            left = self._launch(missing)
            tries = tries - 1 if len(left) == len(missing) else _TRIES
            missing = left
        self._settle(_KILLED)

    def code(self) -> int:
        """Return the exit code of the sweep: the worst of its jobs."""
        codes = {
            self.codes.get(state.number, MENDABLE if state.status == "running" else BUG)
            for state in job_states(self.jobs, self.seconds)
            if state.status != "done"
        }
        return BUG if BUG in codes else max(codes, default=DONE)

    def _launch(self, jobs: Sequence[Job]) -> list[Job]:
        """Launch jobs; return those that did not begin because another took the pool down."""
        launch = self._prepared(jobs)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=launch, config=self.master
        )
        before = [_mark(job) for job in jobs]
        try:
            ended = launcher.launch(launch.overrides(), initial_job_idx=0)
        except BrokenProcessPool:
            print(f"facebias: {_POOL_GONE}", file=sys.stderr, flush=True)
            return [job for job, mark in zip(jobs, before, strict=True) if _mark(job) == mark]
        except (KeyboardInterrupt, SystemExit):
            if launch.lives_with is not None:
                kill_children("submitit.local._local")
            raise
        except Exception as error:
            if type(error).__name__ not in _LOST:
                raise
            print(f"facebias: {error}", file=sys.stderr, flush=True)
            return []
        for job, end in zip(jobs, ended, strict=True):
            self._note(job, end)
        return []

    def _prepared(self, jobs: Sequence[Job]) -> Launch:
        node = self.master.hydra.launcher
        return Launch(
            self.folder,
            jobs,
            self.task.verb,
            self.task.full_errors,
            at_once=min(len(jobs), joblib_workers(node)),
            lives_with=os.getpid() if launcher_name(node) == LOCAL else None,
        )

    def _note(self, job: Job, end: JobReturn) -> None:
        if end.status is JobStatus.COMPLETED:
            self.codes[job.number], self.seconds[job.number] = end.return_value

    def _settle(self, reason: str) -> None:
        """Mark the jobs whose process went without a word."""
        give_up = time.monotonic() + _LOCK_SECONDS
        for job in self.jobs:
            while run_state(job.run)[0] == "running" and time.monotonic() < give_up:
                time.sleep(0.1)
            if run_state(job.run)[0] == "killed":
                mark_failed(job.run, reason)


def _mark(job: Job) -> int:
    """Return what changes as soon as a job begins or ends."""
    status = job.run / STATUS
    return status.stat().st_mtime_ns if status.is_file() else 0
