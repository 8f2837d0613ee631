"""What a search makes better: `checkpoint.monitor` on validation, at the evaluated weights."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from facebias.errors import ConfigError, RunError
from facebias.runs.checkpoints import finished
from facebias.runs.metrics_rows import METRICS, read_rows
from facebias.runs.sweeps.plan import Job, comparable

# Where these differ, so do the validation faces, how many of them are measured, how often, what a
# group's metric counts, or the epochs among which the measured weights are picked.
_SAME = (
    "checkpoint.monitor",
    *("checkpoint.use", "callbacks.last", "callbacks.best"),
    *("data.root", "data.side_table", "data.seed", "data.folds", "data.fold", "data.stratify"),
    *("data.copies", "data.reader"),
    *("trainer.limit_val_batches", "trainer.overfit_batches"),
    *("trainer.check_val_every_n_epoch", "trainer.val_check_interval"),
    "callbacks.fairness",
)
_INSTEAD = {"data.fold": "; fold=0,1 runs every trial with each"}
_METRICS_FILE = "facebias.runs.metrics_file.MetricsFile"


def objective(jobs: Sequence[Job]) -> float:
    """Return the mean of the objective over the runs of a trial, which are done.

    Args:
        jobs: its repeats, one or more.

    Returns:
        NaN where it is undefined in any of them.

    Raises:
        RunError: if a run has not measured it.
    """
    return math.fsum(map(_measured, jobs)) / len(jobs)


def _measured(job: Job) -> float:
    monitor, use = job.config["checkpoint"]["monitor"], job.config["checkpoint"]["use"]
    file, step = job.run / METRICS, finished(job.run, use).steps - 1
    rows = read_rows(file) if file.is_file() else []
    found = [row[monitor] for row in rows if row["step"] == str(step) and row.get(monitor)]
    if not found:
        raise RunError(
            f"{file} has no {monitor} of the evaluated weights ({use}, step {step})",
            "a validation at the end of every epoch",
            "correct checkpoint.monitor, and leave the trainer's validation as it is",
        )
    return float(found[-1])


def refuse_incomparable(jobs: Sequence[Job]) -> None:
    """Refuse a search whose trials would not be measured with one measure on the same faces.

    Args:
        jobs: in which each choice and each end of the space comes once, all of one repeat.

    Raises:
        ConfigError: names the key that must not vary.
    """
    monitor = str(jobs[0].config["checkpoint"]["monitor"])
    _refuse_varied(jobs, _SAME)
    if monitor.endswith("loss"):  # it smooths labels and weighs classes as training does
        _refuse_varied(jobs, ["classifier"], ", or take checkpoint.monitor=validation/macro_f1")
    for job in jobs:
        nodes = [node for node in job.config["logger"].values() if node]
        if all(node["_target_"] != _METRICS_FILE for node in nodes):
            raise ConfigError(
                f"{job.title} has no logger.csv",
                "metrics.csv, of which a search reads its objective",
                "leave logger.csv in place",
            )


def _refuse_varied(jobs: Iterable[Job], keys: Iterable[str], todo: str = "") -> None:
    first, *others = jobs
    for key in keys:
        for job in others:
            if _at(comparable(first), key) != _at(comparable(job), key):
                raise ConfigError(
                    f"{key} differs between {first.title} and {job.title}",
                    "trials that are measured with one measure, equally often, at weights picked "
                    "in one way, on the same validation faces: else the best one may be the one "
                    "that was measured best",
                    f"leave {key} out of the search{_INSTEAD.get(key, todo)}",
                )


def _at(config: dict[str, Any], key: str) -> Any:  # noqa: ANN401
    """Return what stands at a key; None where nothing does."""
    node: Any = config
    for name in key.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node
