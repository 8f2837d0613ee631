"""The checkpoints of a run: which there are, and how far the training had come."""

import pickle
from pathlib import Path
from typing import NamedTuple

from facebias.errors import RunError

# What torch.load raises for a file that is cut short, damaged or no checkpoint.
BROKEN = (RuntimeError, EOFError, OSError, ValueError, LookupError, pickle.UnpicklingError)


class Finished(NamedTuple):
    """How far a training has come.

    Attributes:
        epochs: that are finished.
        steps: of the optimizer in them.
    """

    epochs: int
    steps: int


def checkpoint_file(folder: Path, which: str) -> str:
    """Return the file of a checkpoint.

    Args:
        folder: the run folder.
        which: "last" or "best".

    Raises:
        RunError: if the run has not saved it.
    """
    file = _file(folder, which)
    if not file.is_file():
        raise RunError(
            f"there is no checkpoint {file}",
            f"callbacks.{which} to have saved it",
            "leave callbacks.best and callbacks.last in place, or choose checkpoint.use",
        )
    return str(file)


def has_checkpoint(folder: Path) -> bool:
    """Tell whether a training can go on in this folder: an epoch is finished and saved."""
    return _file(folder, "last").is_file()


def finished(folder: Path, which: str = "last") -> Finished:
    """Return how far the training in a folder had come when it saved a checkpoint.

    Args:
        folder: the run folder.
        which: "last", of the last saved epoch, or "best".

    Raises:
        RunError: if the checkpoint is broken.
    """
    file = _file(folder, which)
    if not file.is_file():
        return Finished(0, 0)
    import torch

    try:
        # Mapped: its weights are not read.
        saved = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        return Finished(int(saved["epoch"]) + 1, int(saved["global_step"]))
    except BROKEN as error:
        raise broken(file, error) from error


def _file(folder: Path, which: str) -> Path:
    return folder / "checkpoints" / f"{which}.ckpt"


def broken(file: Path, error: Exception) -> RunError:
    """Return the error of a checkpoint that cannot be read."""
    return RunError(
        f"the checkpoint {file} cannot be read: {str(error).strip().partition(chr(10))[0]}",
        "a checkpoint as this version of facebias writes it",
        "move its run folder away and train anew, or bring the file back from a copy",
    )
