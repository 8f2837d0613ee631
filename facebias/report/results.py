"""What a run folder says, read back from its files."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from facebias.data.predictions import PREDICTIONS_FILE
from facebias.data.table import SPLITS

ENSEMBLE_FILE = "ensemble.json"


@dataclass(frozen=True)
class RunResults:
    """The tables of a run.

    Attributes:
        folder: of the run.
        config: resolved configuration.
        environment: versions, commit, seeds, device.
        predictions: one row a face.
        fairness: for each split the report of every group; empty without labels.
        metrics: what was logged while training; empty for a run that only predicts.
        left_out: why faces are not used, and how many.
        ensemble: vote, splits and members of an ensemble; empty for a single run.
    """

    folder: Path
    config: DictConfig
    environment: dict[str, Any]
    predictions: pd.DataFrame
    fairness: dict[str, Any]
    metrics: pd.DataFrame
    left_out: pd.DataFrame
    ensemble: dict[str, Any] = field(default_factory=dict)

    @property
    def why_unmeasured(self) -> str:
        """Why there is no table of groups, where there is none."""
        if self.predictions["label"].isna().all():
            return "No labels: predictions and maps only, nothing to measure."
        return "callbacks.fairness is switched off: nothing was measured."

    @property
    def provenance(self) -> str:
        """Who said what the groups are."""
        # Of a prediction, or of an ensemble's members.
        own = OmegaConf.select(self.config, "provenance") or self.ensemble.get("provenance")
        said = str(own or OmegaConf.select(self.config, "data.reader.provenance"))
        side = OmegaConf.select(self.config, "data.side_table")
        if side is None or side.file is None:
            return said
        return f"{said}; {', '.join(side.attributes)}: {side.provenance}"

    @property
    def headline_split(self) -> str:
        """The split that counts: test, or validation where test was not scored."""
        present = set(self.predictions["split"].unique())
        return next(split for split in reversed(SPLITS) if split in present)


def read_results(folder: Path, config: DictConfig | None = None) -> RunResults:
    """Read the tables of a run folder.

    Args:
        folder: of the run.
        config: of the run, where it is read already.
    """
    if config is None:
        found = OmegaConf.load(folder / "config.yaml")
        assert isinstance(found, DictConfig)  # noqa: S101 - written by open_run
        config = found
    metrics = folder / "metrics.csv"
    rows = pd.read_parquet(folder / "split.parquet")
    return RunResults(
        folder,
        config,
        json.loads((folder / "environment.json").read_text(encoding="utf-8")),
        pd.read_parquet(folder / PREDICTIONS_FILE),
        _read_json(folder / "fairness.json"),
        pd.read_csv(metrics) if metrics.is_file() else pd.DataFrame(),
        count_reasons(rows[rows["left_out"] != ""]),
        _read_json(folder / ENSEMBLE_FILE),
    )


def _read_json(file: Path) -> dict[str, Any]:
    """Read what a run may have left; nothing where it has not."""
    content: dict[str, Any] = {}
    if file.is_file():
        content = json.loads(file.read_text(encoding="utf-8"))
    return content


def count_reasons(left_out: pd.DataFrame) -> pd.DataFrame:
    """Count the faces left out of each split by reason; the copied face's name is one of many."""
    if left_out.empty:
        return pd.DataFrame(columns=["split", "left_out", "n"])
    reasons = left_out["left_out"].str.replace(
        r"(copy of|picture as|person as|named in) .*", r"\1 …", regex=True
    )
    splits = left_out["split"].fillna("in no split")
    return reasons.groupby([splits, reasons]).size().reset_index(name="n")
