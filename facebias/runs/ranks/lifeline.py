"""A process that ends when the one that started it ends, however that happens."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

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
