"""How the jobs of a sweep stand: for people a table, for other programs `sweep.json`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from facebias.files import write_json
from facebias.runs.folder import run_state
from facebias.runs.sweeps.plan import Job

STATE = "sweep.json"
_REASON_LETTERS = 60
_STYLES = {"done": "green", "failed": "red", "killed": "red", "running": "yellow"}


@dataclass(frozen=True)
class JobState:
    """How a job stands.

    Attributes:
        number: in the plan.
        folder: its name below the sweep's.
        status: waiting, running, done, failed or killed.
        reason: why it failed.
        seconds: of its last start; None where nobody has measured them.
    """

    number: int
    folder: str
    status: str
    reason: str
    seconds: float | None


def job_states(jobs: Iterable[Job], seconds: Mapping[int, float]) -> list[JobState]:
    """Return how the jobs stand, from their folders.

    Args:
        jobs: of the plan.
        seconds: of the jobs that were measured, by number.
    """
    return [
        JobState(job.number, job.folder, *run_state(job.run), seconds.get(job.number))
        for job in jobs
    ]


def write_states(folder: Path, states: Sequence[JobState]) -> None:
    """Write `sweep.json`."""
    write_json(folder / STATE, {"sweep": folder.name, "jobs": [asdict(state) for state in states]})


def read_seconds(folder: Path) -> dict[int, float]:
    """Return the seconds of jobs that an earlier start has measured, by number."""
    try:
        rows = json.loads((folder / STATE).read_text(encoding="utf-8"))["jobs"]
        return {row["number"]: row["seconds"] for row in rows if row["seconds"] is not None}
    except (OSError, ValueError, LookupError, TypeError):  # it is made anew
        return {}


def print_states(folder: Path, states: Sequence[JobState]) -> None:
    """Print which jobs are done, and which are not and why."""
    table = Table("job", title=f"sweep {folder.name}")
    table.add_column("folder", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("reason")
    table.add_column("time", justify="right", no_wrap=True)
    for state in states:
        status = f"[{_STYLES.get(state.status, 'default')}]{state.status}[/]"
        table.add_row(str(state.number), state.folder, status, _short(state.reason), _time(state))
    console = Console()
    console.print(table)
    done = sum(state.status == "done" for state in states)
    console.print(f"{done} of {len(states)} jobs done: {folder}", highlight=False, soft_wrap=True)


def _short(reason: str) -> Text:
    """Return the first line of a reason, cut; its brackets are no markup."""
    line = reason.partition("\n")[0]
    return Text(line if len(line) <= _REASON_LETTERS else f"{line[: _REASON_LETTERS - 1]}…")


def _time(state: JobState) -> str:
    if state.seconds is None:
        return ""
    minutes, seconds = divmod(round(state.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
