"""One process at a time: the others wait, and say so."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, work: str) -> Iterator[None]:
    """Own a lock while the block lasts.

    Args:
        path: of the lock's file, which stays behind; its folder exists.
        work: what the owner of the lock does, for those who wait: "decodes these faces".

    Raises:
        OSError: if the file cannot be written.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("waiting for another process that %s (%s)", work, path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
