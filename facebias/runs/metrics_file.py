"""`metrics.csv`: a row for each thing that is logged; a training that goes on adds to it."""

import csv
import errno
import io
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from facebias.files import not_written, write_text

METRICS = "metrics.csv"


class MetricsFile(Logger):
    """Writes `metrics.csv`, and keeps the rows that are there.

    Lightning's own `CSVLogger` deletes them when a training goes on. Each row is on disk when it is
    logged, and a kill loses no earlier one.

    Args:
        save_dir: folder of the run.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__()
        self._file = Path(save_dir) / METRICS
        self._columns: list[str] | None = None

    @property
    def name(self) -> str:
        """Nothing: the file lies in the run folder itself."""
        return ""

    @property
    def version(self) -> str:
        """Nothing, as the name."""
        return ""

    @property
    def save_dir(self) -> str:
        """The folder of the run."""
        return str(self._file.parent)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Leave them out: `config.yaml` has every key."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row.

        Args:
            metrics: value by name.
            step: of the optimizer, from 0.

        Raises:
            RunError: if it cannot be written, such as on a full disk; the file stays as it was.
        """
        row = {name: str(value) for name, value in metrics.items()} | {"step": str(step)}
        if self._columns is None and self._file.is_file():
            self._columns = list(read_rows(self._file)[0])
        if self._columns is not None and row.keys() <= set(self._columns):
            _append(self._file, _lines(self._columns, [row]))
            return
        rows = read_rows(self._file) if self._columns is not None else []
        self._columns = write_rows(self._file, [*rows, row])


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


def _lines(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writerows(rows)
    return text.getvalue()


def _append(file: Path, line: str) -> None:
    """Add to a file; a disk that is full leaves it as it was."""
    with file.open("r+b", buffering=0) as stream:
        end = stream.seek(0, io.SEEK_END)
        try:
            written = stream.write(line.encode())
            if written < len(line.encode()):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            stream.truncate(end)
            raise not_written(file, error) from error
