"""Processes that end when the one that they work for ends, however that happens."""

import ctypes
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

_PARENT_DEATH = 1  # PR_SET_PDEATHSIG of Linux's prctl


def dies_with_parent(parent: int | None = None) -> Callable[[], None]:
    """Return a function that ties the process that calls it to its parent's life.

    Linux then kills the process when its parent has ended. Elsewhere the function does nothing.
    It may be called between fork and exec: all that needs loading is loaded here.

    Args:
        parent: number of the process that must still be the parent; None for whichever it is.
    """
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None).prctl

    def tie() -> None:
        prctl(_PARENT_DEATH, signal.SIGKILL)
        if parent is not None and os.getppid() != parent:  # it has ended before
            os.kill(os.getpid(), signal.SIGKILL)

    return tie


def dies_with(process: int) -> None:
    """Tie this process to the life of another, which need not be its parent.

    On Linux this process is killed when the other has ended. Elsewhere nothing is done.

    Args:
        process: number of the other.
    """
    if sys.platform != "linux":
        return
    try:
        other = os.pidfd_open(process)
    except ProcessLookupError:  # it has ended before
        os.kill(os.getpid(), signal.SIGKILL)
        return

    def wait() -> None:
        select.select([other], [], [])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def kill_children(module: str) -> None:
    """Kill the processes that this one has started with `python -m MODULE`.

    On Linux, where they are found in /proc; elsewhere nothing is done.

    Args:
        module: its dotted name.
    """
    for child in _children():
        with suppress(OSError):  # it has ended meanwhile
            if f"-m\0{module}\0" in Path(f"/proc/{child}/cmdline").read_text(errors="replace"):
                os.kill(child, signal.SIGKILL)


def _children() -> Iterator[int]:
    """Yield the numbers of the processes whose parent this one is."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            if f"\nPPid:\t{os.getpid()}\n" in status.read_text(errors="replace"):
                yield int(status.parent.name)
