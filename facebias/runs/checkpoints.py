"""The checkpoints of a run."""

from pathlib import Path

from facebias.errors import RunError


def checkpoint_file(folder: Path, which: str) -> str:
    """Return the file of a checkpoint.

    Args:
        folder: the run folder.
        which: "last" or "best".

    Raises:
        RunError: if the run has not saved it.
    """
    file = folder / "checkpoints" / f"{which}.ckpt"
    if not file.is_file():
        raise RunError(
            f"there is no checkpoint {file}",
            f"callbacks.{which} to have saved it",
            "leave callbacks.best and callbacks.last in place, or choose checkpoint.use",
        )
    return str(file)
