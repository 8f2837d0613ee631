"""The rows of `metrics.csv`: one for each thing that was logged."""

import csv
import errno
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from facebias.files import not_written, write_text

METRICS = "metrics.csv"


def read_rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a `metrics.csv`; a last line that a kill cut short is left out."""
    text = file.read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline="")))


def write_rows(file: Path, rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Write rows whole or not at all; return their columns, sorted, and none that is empty.

    Raises:
        RunError: if the file cannot be written.
    """
    columns = sorted({name for row in rows for name, value in row.items() if value != ""})
    head = dict(zip(columns, columns, strict=True))
    write_text(file, _lines(columns, [head, *rows]))
    return columns


def add_row(file: Path, columns: Sequence[str], row: Mapping[str, str]) -> None:
    """Add a row to the end of a file.

    Args:
        file: that is there.
        columns: of the file; those that the row has not stay empty.
        row: value by column.

    Raises:
        RunError: if it cannot be written, such as on a full disk; the file stays as it was.
    """
    line = _lines(columns, [row]).encode()
    with file.open("r+b", buffering=0) as stream:
        end = stream.seek(0, io.SEEK_END)
        try:
            if stream.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            stream.truncate(end)
            raise not_written(file, error) from error


def _lines(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writerows(rows)
    return text.getvalue()
