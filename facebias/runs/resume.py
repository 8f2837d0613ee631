"""How a training goes on after a kill: from the end of its last saved epoch."""

import json
import logging
from pathlib import Path

from facebias.errors import RunError
from facebias.runs.checkpoints import checkpoint_file, finished, has_checkpoint
from facebias.runs.folder import ENVIRONMENT
from facebias.runs.metrics_rows import METRICS, read_rows, write_rows

logger = logging.getLogger(__name__)


def last_checkpoint(folder: Path) -> str | None:
    """Return the checkpoint that a training goes on from; None where it begins.

    Args:
        folder: of the run.
    """
    return checkpoint_file(folder, "last") if has_checkpoint(folder) else None


def drop_unfinished(folder: Path) -> None:
    """Drop the rows of `metrics.csv` that were logged after the last saved epoch.

    Their epochs are trained again. One process does this, before any other begins to train.

    Args:
        folder: of the run; it is open.

    Raises:
        RunError: if the checkpoint is broken, or the file cannot be written.
    """
    file, (epochs, steps) = folder / METRICS, finished(folder)
    if epochs:
        logger.info("going on after %s finished epochs", epochs)
    if not file.is_file():
        return
    kept = [row for row in read_rows(file) if int(row["step"]) < steps]
    if kept:
        write_rows(file, kept)
    else:
        file.unlink()


def recorded_threads(folder: Path) -> int:
    """Return how many threads the run computes with: sums depend on it in their last digits.

    Args:
        folder: of the run; it is open.

    Raises:
        RunError: if the record cannot be read.
    """
    file = folder / ENVIRONMENT
    try:
        return int(json.loads(file.read_text(encoding="utf-8"))["threads"])
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise RunError(
            f"{file} does not say the number of threads",
            "the record of the run's first start",
            "start the run in a new folder",
        ) from error
