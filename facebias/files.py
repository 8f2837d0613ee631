"""Files that are there whole or not at all."""

import errno
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from facebias.errors import RunError

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.\d+(?P<suffix>\.[^.]*|)")
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; it takes the final name when the block ends well.

    A reader sees the old file or the new one, never half of one.

    Args:
        path: the final name; its folder is made if need be.

    Raises:
        RunError: if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise not_written(path, error) from error
    finally:
        with suppress(NotADirectoryError):  # a file stands where its folder should be
            temporary.unlink(missing_ok=True)


def not_written(path: Path, error: OSError) -> RunError:
    """Return the error of a file that cannot be written: a full disk, or a folder out of reach."""
    return RunError(
        f"{path} cannot be written: {error.strerror or error}",
        "a folder that can be written to, with free space",
        "free some space and give the same command again; a training goes on in its own folder "
        "with paths.run=FOLDER"
        if error.errno in _FULL
        else "choose another with paths.outputs=FOLDER",
    )


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder and below.

    Args:
        folder: in which no other process is writing.
    """
    for path in folder.rglob(".*"):
        found = _TEMPORARY.fullmatch(path.name)
        if found and found["name"].endswith(found["suffix"]) and path.is_file():
            path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401
    """Write a JSON file whole or not at all; NaN becomes null, as undefined should be."""
    write_text(path, json.dumps(_without_nan(content), indent=2, allow_nan=False) + "\n")


def _without_nan(content: Any) -> Any:  # noqa: ANN401
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {str(key): _without_nan(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_without_nan(value) for value in content]
    return content
