"""Names of the kinds of arrays that the generator passes around, and loops over them compiled."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Record = npt.NDArray[np.void]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_KERNELS = "kernels_"  # a folder's name goes on with the digest of the sources


def compiled(function: _Function) -> _Function:
    """Compile a function with numba; the machine code is kept on disk for later processes.

    Without fastmath: the order of the arithmetic is that of the source, so bytes can be repeated.
    Divisions follow IEEE 754 and raise nothing, which is faster than Python's.

    The machine code lies in a folder of its own for every state of this package's sources, because
    numba by itself misses changes of the functions and constants that a function uses from other
    files: below `NUMBA_CACHE_DIR` if that is set, else in `__pycache__`, else in the cache of this
    project. Where none of them can be written to, every process compiles for itself.
    """
    # Only those who render need numba, but all who know arrays import this module.
    from numba import njit

    try:
        with _kept_by_sources():
            kept = njit(cache=True, nogil=True, error_model="numpy")(function)
        return cast(_Function, kept)
    except (OSError, RuntimeError):  # no folder to write to, no home, or no file of the function
        return cast(_Function, njit(nogil=True, error_model="numpy")(function))


@contextmanager
def _kept_by_sources() -> Iterator[None]:
    """Let numba keep what is decorated in the block in the folder of these sources."""
    from numba import config

    settings: Any = config  # its names are made at run time
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(_kernel_folder(Path(__file__).parent, before))
    try:
        yield
    finally:
        settings.CACHE_DIR = before


@cache
def _kernel_folder(package: Path, chosen: str) -> Path:
    """Return a folder for the machine code of a package as it is now.

    Args:
        package: the folder of the sources.
        chosen: folder that the user wants numba to use, or nothing.

    Raises:
        OSError: if no folder can be written to.
    """
    name = f"{_KERNELS}{_digest(package)}"
    own = package / "__pycache__"
    if chosen:
        return _made(Path(chosen) / name)
    try:
        new = not (own / name).exists()
        folder = _made(own / name)
    except OSError:
        return _made(_project_cache() / name)
    if new:
        _remove_others(folder)
    return folder


def _digest(package: Path) -> str:
    """Return a name for the state of a package's sources."""
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in sorted(package.glob("*.py"))]
    return hashlib.sha256(b"".join(digests)).hexdigest()[:16]


def _project_cache() -> Path:
    return Path(os.environ.get("FACEBIAS_CACHE") or "~/.cache/facebias").expanduser()


def _made(folder: Path) -> Path:
    """Make a folder where there is none, and make sure that it can be written to."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder):  # a folder, as numba makes one in it
        return folder


def _remove_others(folder: Path) -> None:
    """Remove the machine code of earlier sources; who still runs them compiles again."""
    for other in folder.parent.glob(f"{_KERNELS}*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
