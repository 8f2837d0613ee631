"""What a launcher of Hydra runs for each job of a sweep, in this process or in another."""

import multiprocessing
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig

from facebias.errors import FacebiasError
from facebias.runs.folder import LOG, interruption, mark_failed, run_state
from facebias.runs.ranks.lifeline import dies_with, dies_with_parent
from facebias.runs.sweeps.gpus import with_free_gpu
from facebias.runs.sweeps.plan import Job

# Exit codes of a job, and of a sweep with such a job.
DONE, BUG, MENDABLE = 0, 1, 2


@dataclass(frozen=True)
class Launch:
    """Runs the planned jobs, each by its position in the launch.

    What the launcher composes anew is not looked at: a job that waits in a queue runs as it was
    planned, whatever has become of the YAML files.

    Attributes:
        folder: of the sweep.
        jobs: in the order in which the launcher got their overrides.
        verb: runs one job.
        full_errors: show the traceback of every error.
        at_once: jobs that run beside each other in the launcher's pool.
        lives_with: the process that jobs live no longer than, though it is not their parent.
    """

    folder: Path
    jobs: Sequence[Job]
    verb: Callable[[DictConfig], object]
    full_errors: bool
    at_once: int
    lives_with: int | None

    def __call__(self, composed: DictConfig) -> tuple[int, float]:
        """Run one job.

        Args:
            composed: as the launcher composed it.

        Returns:
            Exit code of the job, and its seconds.
        """
        parent = multiprocessing.parent_process()
        if parent is not None:
            dies_with_parent(parent.pid)()
        if self.lives_with is not None:
            dies_with_parent()()
            dies_with(self.lives_with)
        position = HydraConfig.get().job.num
        start = time.monotonic()
        return self._code(position, parent is not None), time.monotonic() - start

    def overrides(self) -> list[list[str]]:
        """Return the overrides of each job, its folder among them."""
        return [
            [
                *job.overrides,
                f"hydra.sweep.dir={_quoted(str(self.folder))}",
                f"hydra.sweep.subdir={_quoted(job.folder)}",
            ]
            for job in self.jobs
        ]

    def _code(self, position: int, in_worker: bool) -> int:
        """Run a job whose failure must not stop the others."""
        job = self.jobs[position]
        if run_state(job.run)[0] == "done":  # another start of this sweep had it in a queue
            return DONE
        try:
            with with_free_gpu(job.resolved(), self.at_once) as config:
                self.verb(config)
        except FacebiasError as error:
            self._tell(job, error)
            mark_failed(job.run, f"{type(error).__name__}: {error}")
            return MENDABLE
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            end = interruption(error)
            if end is not None and not in_worker:  # such as submitit's, of a job it has put back
                raise end from None
            if end is None:
                _tell_bug(job, error)
            reason = f"{type(error).__name__}: {error}" if end is None else "interrupted"
            mark_failed(job.run, reason)
            return BUG
        return DONE

    def _tell(self, job: Job, error: FacebiasError) -> None:
        if self.full_errors:
            traceback.print_exc()
        print(f"facebias: {job.title}: {error}", file=sys.stderr, flush=True)


def _tell_bug(job: Job, error: BaseException) -> None:
    """Leave the traceback on stderr and in the job's log."""
    text = "".join(traceback.format_exception(error))
    print(f"facebias: {job.title}:\n{text}", file=sys.stderr, flush=True)
    if job.run.is_dir():
        with (job.run / LOG).open("a", encoding="utf-8") as log:
            log.write(text)


def _quoted(text: str) -> str:
    return str(QuotedString(text=text, quote=Quote.single).with_quotes())
