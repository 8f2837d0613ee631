"""The logger of `metrics.csv`: a training that goes on adds to it."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from facebias.runs.metrics_rows import METRICS, add_row, read_rows, write_rows


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
            add_row(self._file, self._columns, row)
            return
        rows = read_rows(self._file) if self._columns is not None else []
        self._columns = write_rows(self._file, [*rows, row])
