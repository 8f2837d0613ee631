"""A search at work: trials asked, run as the jobs of a sweep, and told."""

import math
from collections.abc import Sequence
from typing import Any

from facebias.config import better
from facebias.errors import RunError
from facebias.runs.folder import run_state
from facebias.runs.search.objective import objective
from facebias.runs.search.plan import SearchOptions
from facebias.runs.search.space import Space
from facebias.runs.search.study import FAILED, RUNNING, SearchStudy, Trial
from facebias.runs.search.table import print_best, write_trials
from facebias.runs.sweeps.compose import compose_jobs
from facebias.runs.sweeps.plan import Job, write_plan
from facebias.runs.sweeps.run import SweepRun


class SearchRun:
    """A search in its folder, which is ours.

    Args:
        sweep: runs its jobs; those of earlier starts are in it.
        space: what is searched.
        options: how.
        begun: its definition, as it was begun.
    """

    def __init__(
        self, sweep: SweepRun, space: Space, options: SearchOptions, begun: dict[str, Any]
    ) -> None:
        self.sweep, self.space, self.total = sweep, space, options.trials
        self.threads, self.monitor = begun["threads"], str(begun["checkpoint"]["monitor"])
        self.minimize = better(self.monitor) == "min"
        self.study = SearchStudy(
            sweep.folder, self.minimize, space.dimensions, options.sampler, options.seed
        )

    def run(self, at_once: int) -> int:
        """Run what an earlier start has left, then new trials; tell what was found.

        Args:
            at_once: trials that are asked, run and told together.

        Returns:
            The exit code.
        """
        with self.sweep.told():
            self._batch(self._left())
            while (missing := self.total - len(self.study.trials())) > 0:
                self._batch([self.study.ask() for _ in range(min(at_once, missing))])
        trials = self.study.trials()
        print_best(self.sweep.folder, self.space, trials, self.monitor, self.minimize)
        return self.sweep.code()

    def _left(self) -> list[Trial]:
        """Return the trials that an earlier start has not ended, and those whose runs failed."""
        trials = self.study.trials()
        failed = [trial for trial in trials if trial.state == FAILED]
        again = [trial for trial in failed if not self._all_done(trial)]
        return [
            *(trial for trial in trials if trial.state == RUNNING),
            *map(self.study.ask_again, again),
        ]

    def _all_done(self, trial: Trial) -> bool:
        jobs = self._planned(trial)
        done = sum(run_state(job.run)[0] == "done" for job in jobs)
        return done == len(self.space.repeats)

    def _planned(self, trial: Trial) -> list[Job]:
        """Return the runs of a trial that are in the plan."""
        repeats = len(self.space.repeats)
        return [job for job in self.sweep.jobs if job.number // repeats == trial.number]

    def _batch(self, trials: Sequence[Trial]) -> None:
        """Run trials and tell what came of them."""
        jobs = {trial.number: self._jobs(trial) for trial in trials}
        new = [job for own in jobs.values() for job in own]
        known = {job.number: job for job in (*self.sweep.jobs, *new)}
        self.sweep.jobs = [known[number] for number in sorted(known)]
        write_plan(self.sweep.folder, self.sweep.jobs)
        self._write()
        self.sweep.launch(new)
        for trial in trials:
            self._tell(trial, jobs[trial.number])
        self._write()

    def _jobs(self, trial: Trial) -> list[Job]:
        """Compose the runs of a trial, with their places in the search."""
        overrides = [self.space.overrides(trial.values, each) for each in self.space.repeats]
        context, master, schema = self.sweep.context, self.sweep.master, self.sweep.task.schema
        composed = compose_jobs(context, master, schema, overrides, self.space.shared())
        folded = any(job.config["fold"] for job in composed)
        first = trial.number * len(composed)
        return [
            self._placed(job, first + repeat, _folder(trial, job, folded))
            for repeat, job in enumerate(composed)
        ]

    def _placed(self, job: Job, number: int, folder: str) -> Job:
        """Return a job in its place, with the threads of the search: results depend on them."""
        placed = job.moved(number, folder, self.sweep.folder / folder)
        return placed.changed(threads=self.threads)

    def _tell(self, trial: Trial, jobs: Sequence[Job]) -> None:
        """Tell the study; a trial at work in another process stays open."""
        if any(run_state(job.run)[0] == "running" for job in jobs):
            return
        value, reason = self._value(jobs)
        self.study.tell(trial, value)
        said = f"failed: {reason}" if value is None else f"{self.monitor} {value:.6g}"
        print(f"trial {trial.number} ({' '.join(self.space.named(trial.values))}): {said}")

    def _value(self, jobs: Sequence[Job]) -> tuple[float | None, str]:
        """Return the objective of a trial, or why it has none."""
        for job in jobs:
            state, reason = run_state(job.run)
            if state != "done":
                return None, reason.partition("\n")[0]
        try:
            value = objective(jobs)
        except RunError as error:
            return None, error.found
        return (value, "") if math.isfinite(value) else (None, f"{self.monitor} is {value}")

    def _write(self) -> None:
        trials = self.study.trials()
        folders = [[job.folder for job in self._planned(trial)] for trial in trials]
        write_trials(self.sweep.folder, self.space, trials, folders)


def _folder(trial: Trial, job: Job, folded: bool) -> str:
    """Return the name of a run's folder."""
    name = f"{trial.number}_{job.config['name']}_seed{job.config['seed']}"
    return f"{name}_fold{job.config['fold']}" if folded else name
