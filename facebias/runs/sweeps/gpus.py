"""One free GPU for each job of a sweep: who holds the lock of a GPU has it.

The system frees the lock of a process that has ended, however it ended.
"""

import logging
import os
import re
import socket
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig, open_dict, read_write

from facebias.errors import RunError
from facebias.runs.ranks.processes import GPUS, gpu_count

logger = logging.getLogger(__name__)

_LOOK = 0.5  # seconds between two looks at which GPU is free


@contextmanager
def with_free_gpu(config: DictConfig, at_once: int) -> Iterator[DictConfig]:
    """Give a job that asks for one GPU a free one while the block lasts; wait until one is.

    Args:
        config: a checked `facebias.schemas.Train`.
        at_once: jobs that its sweep runs beside each other. Where they are more than the GPUs,
            each GPU takes as many of them as it must.

    Yields:
        `trainer.devices` names the GPU; all jobs that ask otherwise keep what they ask for.

    Raises:
        RunError: if the locks cannot be made.
    """
    gpus = gpu_count() if asks_for_one(config) else 0
    if gpus == 0:  # with none here, the job itself says so
        yield config
        return
    names = gpu_names(gpus, os.environ)
    with claimed(names, -(-at_once // gpus), lock_folder()) as place:
        logger.info("on GPU %s (%s)", place, names[place])
        changed = config.copy()
        with read_write(changed), open_dict(changed.trainer):
            changed.trainer.devices = [place]
        yield changed


def asks_for_one(config: DictConfig) -> bool:
    """Tell whether a job asks for one GPU, whichever it is."""
    return on_gpus(config) and config.trainer.get("devices", 1) == 1


def on_gpus(config: DictConfig) -> bool:
    """Tell whether a job names GPUs as what it computes on."""
    return config.trainer.get("accelerator") in GPUS


def gpu_names(count: int, environment: Mapping[str, str]) -> list[str]:
    """Return a name for each GPU that this process sees, the same in all processes of the machine.

    Args:
        count: of GPUs that torch sees.
        environment: its `CUDA_VISIBLE_DEVICES` says which ones these are, by number or UUID. Slurm
            may number the GPUs of each of its jobs anew, so its job belongs to the name.

    >>> gpu_names(2, {"CUDA_VISIBLE_DEVICES": "3,5"})
    ['3', '5']
    """
    given = [name.strip() for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    names = given[:count] if len(given) >= count and all(given[:count]) else map(str, range(count))
    job = environment.get("SLURM_JOB_ID")
    return [f"slurm{job}_{name}" if job else name for name in names]


def lock_folder() -> Path:
    """Return the folder of this user's locks on this machine; it is made if need be.

    Raises:
        RunError: if it cannot be made, or is another user's.
    """
    folder = Path(tempfile.gettempdir()) / f"facebias_gpus_{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise _no_locks(folder, error.strerror or str(error)) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise _no_locks(folder, "it is no folder of this user")
    return folder


def _no_locks(folder: Path, why: str) -> RunError:
    return RunError(
        f"the locks of GPUs cannot be made in {folder}: {why}",
        "a temporary folder that can be written to",
        "name another one with the variable TMPDIR, or give each job its GPU: trainer.devices=[0]",
    )


@contextmanager
def claimed(names: Sequence[str], jobs_each: int, folder: Path) -> Iterator[int]:
    """Hold one of several GPUs while the block lasts; wait until one is free.

    Args:
        names: of the GPUs, one or more.
        jobs_each: that may have the same one; the emptiest comes first.
        folder: of the locks.

    Yields:
        The place of the GPU among the names.

    Raises:
        RunError: if a lock cannot be made.
    """
    host = socket.gethostname()
    files = [
        (place, folder / (re.sub(r"[^\w.-]", "_", f"{host}_{name}_{share}") + ".lock"))
        for share in range(jobs_each)
        for place, name in enumerate(names)
    ]
    held, told = _first_free(files), False
    while held is None:
        if not told:
            logger.info("waiting for a free GPU: %s taken, see %s", len(names), folder)
            told = True
        time.sleep(_LOOK)
        held = _first_free(files)
    place, lock = held
    try:
        yield place
    finally:
        lock.release()


def _first_free(files: Sequence[tuple[int, Path]]) -> tuple[int, FileLock] | None:
    for place, file in files:
        lock = FileLock(file, blocking=False)
        try:
            lock.acquire()
        except Timeout:
            continue
        except OSError as error:
            raise _no_locks(file.parent, error.strerror or str(error)) from error
        return place, lock
    return None
