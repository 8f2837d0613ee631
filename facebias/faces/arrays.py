"""Names of the kinds of arrays that the generator passes around, and loops over them compiled."""

from collections.abc import Callable
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


def compiled(function: _Function) -> _Function:
    """Compile a function with numba; the machine code is kept on disk for later processes.

    Without fastmath: the order of the arithmetic is that of the source, so bytes can be repeated.
    Divisions follow IEEE 754 and raise nothing, which is faster than Python's.

    What is kept on disk is compiled again when the function's own file changes, but not when the
    file of a function or constant that it uses does: then delete `__pycache__`.
    """
    # Only those who render need numba, but all who know arrays import this module.
    from numba import njit

    return cast(_Function, njit(cache=True, nogil=True, error_model="numpy")(function))
