"""What a search has found: `search.csv` for programs, the best values for people to copy."""

import csv
import io
import shlex
from collections.abc import Sequence
from pathlib import Path

from facebias.files import write_text
from facebias.runs.search.space import Space
from facebias.runs.search.study import DONE, Trial

TRIALS = "search.csv"


def write_trials(
    folder: Path, space: Space, trials: Sequence[Trial], folders: Sequence[Sequence[str]]
) -> None:
    """Write `search.csv`: a row a trial, with its number, state, objective, values and folders.

    Args:
        folder: of the search.
        space: what is searched.
        trials: all of them.
        folders: of the runs of each trial, below the search's.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "value", *(d.key for d in space.dimensions), "folder"])
    for trial, own in zip(trials, folders, strict=True):
        value = "" if trial.value is None else repr(trial.value)
        writer.writerow([trial.number, trial.state, value, *trial.values, " ".join(own)])
    write_text(folder / TRIALS, text.getvalue())


def best_trial(trials: Sequence[Trial], minimize: bool) -> Trial | None:
    """Return the best trial that is done, of equal ones the first; None where none is.

    Args:
        trials: of the search.
        minimize: whether less of the objective is better.
    """
    sign = 1 if minimize else -1
    done = [(sign * trial.value, trial) for trial in trials if trial.value is not None]
    return min(done, key=lambda pair: (pair[0], pair[1].number))[1] if done else None


def print_best(
    folder: Path, space: Space, trials: Sequence[Trial], monitor: str, minimize: bool
) -> None:
    """Print the best values as overrides, what to think of their score, and how to train on.

    Args:
        folder: of the search.
        space: what is searched.
        trials: all of them.
        monitor: the metric of validation that was made better.
        minimize: whether less of the objective is better.
    """
    best = best_trial(trials, minimize)
    done = sum(trial.state == DONE for trial in trials)
    print(f"{done} of {len(trials)} trials done: {folder / TRIALS}")
    if best is None:
        return
    runs = f", mean of {len(space.repeats)} runs" if len(space.repeats) > 1 else ""
    values = space.named(best.values)
    fixed = [override for override in space.fixed if not override.startswith("sweep=")]
    print(f"best: trial {best.number}, {monitor} {best.value:.4g}{runs}\n  {shlex.join(values)}")
    print(
        f"It is the best of {done} scores on the same validation faces, so it is too good: the "
        "choice has fitted them.\nTest faces, which no trial has scored, say how good the values "
        "are; score them once:\n  "
        + shlex.join(["python", "-m", "facebias.train", *fixed, *values, "test=true"])
    )
