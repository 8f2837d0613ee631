"""The plan of a sweep: every job with its folder and its resolved configuration."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from facebias.errors import ConfigError
from facebias.files import write_text
from facebias.runs.same_config import deciding_values, differing, listed

PLAN = "plan.json"
# Stands for a job's own folder, so that configurations can be compared across folders.
_OWN_FOLDER = "<run>"


@dataclass(frozen=True)
class Job:
    """One training of a sweep.

    Attributes:
        number: in the plan, from 0.
        folder: its name below the sweep's folder.
        overrides: of the command line, as they were given to this job.
        config: resolved; `paths.run` is its folder.
        shared: those of the overrides that all jobs have; messages leave them out.
    """

    number: int
    folder: str
    overrides: tuple[str, ...]
    config: dict[str, Any]
    shared: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def title(self) -> str:
        """Number and its own overrides, as messages name the job."""
        return job_title(self.number, self.overrides, self.shared)

    @property
    def run(self) -> Path:
        """The job's own folder, whole."""
        return Path(self.config["paths"]["run"])

    def resolved(self) -> DictConfig:
        """Return the configuration, read-only."""
        config = OmegaConf.create(self.config)
        OmegaConf.set_readonly(config, True)
        return config

    def changed(self, **values: Any) -> "Job":  # noqa: ANN401 - any value of a configuration
        """Return the job with other values at the top of its configuration."""
        return replace(self, config=self.config | values)

    def moved(self, number: int, folder: str, run: Path) -> "Job":
        """Return the job under another number, in another folder.

        Args:
            number: in the plan.
            folder: its name.
            run: its whole path.
        """
        config = _replaced(self.config, str(self.run), str(run))
        return replace(self, number=number, folder=folder, config=config)


def job_title(number: int, overrides: Iterable[str], shared: frozenset[str]) -> str:
    """Return how messages name a job.

    Args:
        number: of the job.
        overrides: of the command line, as they were given to it.
        shared: those that all jobs have.
    """
    own = " ".join(override for override in overrides if override not in shared)
    return f"job {number} ({own})" if own else f"job {number}"


def shared_overrides(overrides: Iterable[Iterable[str]]) -> frozenset[str]:
    """Return the overrides that all jobs have.

    Args:
        overrides: of each job.
    """
    each = [frozenset(given) for given in overrides]
    return each[0].intersection(*each) if each else frozenset()


def refuse_twins(jobs: Sequence[Job]) -> None:
    """Refuse jobs that would do the same, or share a folder.

    Raises:
        ConfigError: names the first two.
    """
    configs: dict[str, Job] = {}
    folders: dict[str, Job] = {}
    for job in jobs:
        twin = configs.setdefault(_identity(job), job)
        if twin is not job:
            raise ConfigError(
                f"{twin.title} and {job.title} have the same configuration",
                "jobs that differ in what can change a result (docs/resume.md lists what cannot)",
                "leave one of them out",
            )
        other = folders.setdefault(str(job.run), job)
        if other is not job:
            raise ConfigError(
                f"{other.title} and {job.title} share the folder {job.run}",
                "a folder for each job",
                "leave paths.run and hydra.sweep.subdir as they are",
            )


def write_plan(folder: Path, jobs: Sequence[Job]) -> None:
    """Write the plan of a sweep into its folder."""
    content = [
        {
            "number": job.number,
            "folder": job.folder,
            "overrides": job.overrides,
            "config": job.config,
        }
        for job in jobs
    ]
    # Not write_json, which turns infinity into null: the plan must equal what it was made from.
    write_text(folder / PLAN, json.dumps({"jobs": content}, indent=2) + "\n")


def read_plan(folder: Path) -> list[Job] | None:
    """Return the jobs that a sweep's folder has a plan for; None where there is none.

    Raises:
        ConfigError: if the file is no plan.
    """
    path = folder / PLAN
    if not path.is_file():
        return None
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["jobs"]
        shared = shared_overrides(row["overrides"] for row in rows)
        return [_job(row, shared) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} cannot be read as a plan of this version: {error!r}",
            "the plan of a sweep: number, folder, overrides and config of each job",
            "choose another sweep=NAME",
        ) from error


def _job(row: dict[str, Any], shared: frozenset[str]) -> Job:
    """Return the job of a row of a plan.

    Raises:
        KeyError, TypeError: if something is missing, or of another type.
    """
    job = Job(row["number"], row["folder"], tuple(row["overrides"]), row["config"], shared)
    if not (isinstance(job.number, int) and isinstance(job.folder, str)):
        raise TypeError(f"job {job.number!r} in the folder {job.folder!r}")
    if not (isinstance(job.config, dict) and isinstance(job.config["paths"]["run"], str)):
        raise TypeError(f"job {job.number} has no configuration with paths.run")
    if not isinstance(job.config["threads"], int):
        raise TypeError(f"job {job.number} has {job.config['threads']!r} threads")
    return job


def go_on(folder: Path, jobs: Sequence[Job], planned: Sequence[Job]) -> list[Job]:
    """Give the jobs of a command the numbers, folders and threads that their plan gave them.

    Args:
        folder: of the sweep.
        jobs: as the command line asks for them now; what changes no result may differ.
        planned: the sweep's plan.

    Raises:
        ConfigError: if the plan has changed: which jobs are new or gone, which keys differ.
    """
    known = {_identity(job): job for job in planned}
    found = [known.get(_identity(job)) for job in jobs]
    if len(jobs) != len(planned) or not all(found):
        raise _changed(folder, jobs, planned)
    placed = [_as_planned(job, plan, folder) for job, plan in zip(jobs, found, strict=True) if plan]
    return sorted(placed, key=lambda job: job.number)


def _as_planned(job: Job, plan: Job, folder: Path) -> Job:
    """Return a job in its planned place; results depend on threads, so they stay too."""
    placed = job.moved(plan.number, plan.folder, folder / plan.folder)
    return placed.changed(threads=plan.config["threads"])


def _identity(job: Job) -> str:
    """Return what makes two jobs the same: all that can change a result, but for the folder."""
    return json.dumps(deciding_values(comparable(job)), sort_keys=True)


def comparable(job: Job) -> dict[str, Any]:
    """Return a job's configuration as JSON would give it back, without the job's own folder."""
    neutral = _replaced(job.config, str(job.run), _OWN_FOLDER)
    plain: dict[str, Any] = json.loads(json.dumps(neutral))
    return plain


def _replaced(node: Any, old: str, new: str) -> Any:  # noqa: ANN401
    """Return a configuration in which one path has become another."""
    if isinstance(node, dict):
        return {key: _replaced(value, old, new) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_replaced(value, old, new) for value in node]
    if isinstance(node, str) and (node == old or node.startswith(f"{old}/")):
        return new + node[len(old) :]
    return node


def _changed(folder: Path, jobs: Sequence[Job], planned: Sequence[Job]) -> ConfigError:
    """Say how the jobs differ from their plan."""
    now, before = _by_label(jobs), _by_label(planned)
    lines = [f"new: {job.title}" for label, job in now.items() if label not in before]
    lines += [f"gone: {job.title}" for label, job in before.items() if label not in now]
    where: dict[str, list[str]] = defaultdict(list)
    for label, job in now.items():
        if label in before:
            for change in changes(comparable(before[label]), comparable(job)):
                where[change].append(str(before[label].number))
    lines += [f"job {', '.join(numbers)}: {change}" for change, numbers in where.items()]
    return ConfigError(
        f"the sweep in {folder} was planned with other jobs:\n{listed(lines)}",
        f"the jobs of {folder / PLAN}",
        "choose another sweep=NAME, or give the command that began this one",
    )


def _by_label(jobs: Iterable[Job]) -> dict[tuple[str, int], Job]:
    """Name each job by its folder without the number; those of one name are counted."""
    counts: Counter[str] = Counter()
    labelled = {}
    for job in jobs:
        label = re.sub(r"^\d+_", "", job.folder)
        labelled[label, counts[label]] = job
        counts[label] += 1
    return labelled


def changes(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Yield `key: old -> new` of every value that differs and can change a result.

    Args:
        before: as it was planned.
        now: as it is asked for.
    """
    changed = differing(deciding_values(before), deciding_values(now))
    for key, (old, new) in changed.items():
        yield f"{key}: {old} -> {new}"
