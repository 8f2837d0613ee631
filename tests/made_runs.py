"""Folders of finished trainings as `facebias.train` leaves them, their answers drawn by lot."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from facebias.report.groups import measure_splits, write_group_reports
from tests.drawn_faces import ATTRIBUTES, CLASSES
from tests.trained import compose_train

FOLDS = 3
_POOL, _TEST = 120, 80


def write_run(
    folder: Path, *overrides: str, seed: int = 0, fold: int = 0, official: bool = False
) -> Path:
    """Write the tables of a run.

    Args:
        folder: of the run; its name goes into the lot.
        overrides: of the configuration.
        seed: of the run.
        fold: of `FOLDS` parts, the one that validates.
        official: all folds validate on the same faces.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    own = (f"seed={seed}", f"fold={fold}", f"data.folds={FOLDS}", f"paths.run={folder}")
    config = compose_train(folder, Path("/faces"), *own, *overrides)
    OmegaConf.save(config, folder / "config.yaml")
    (folder / "status.json").write_text(json.dumps({"status": "done"}))
    environment = {"seed": seed, "data_seed": 0, "device": "none", "facebias": "0", "commit": None}
    (folder / "environment.json").write_text(json.dumps(environment))
    rows = _faces(0 if official else fold)
    rows.assign(source=rows["id"], left_out="").to_parquet(folder / "split.parquet", index=False)
    constants = {"run": folder.name, "variant": config.bias.variant, "seed": seed, "fold": fold}
    lot = np.random.default_rng([seed, fold, *folder.name.encode()])
    predictions = _answers(rows, lot).assign(**constants)
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    measure(folder)
    return folder


def measure(folder: Path) -> None:
    """Write `fairness.json` and `fairness.csv` of a run's predictions."""
    predictions = pd.read_parquet(folder / "predictions.parquet")
    splits = predictions["split"].unique()
    reports = measure_splits(predictions, splits, CLASSES, ATTRIBUTES, replicates=100, min_group=5)
    write_group_reports(reports, folder)


def _faces(fold: int) -> pd.DataFrame:
    """Return train, validation and test faces; groups and labels by lot, the same in all runs."""
    lot, count = np.random.default_rng(7), _POOL + _TEST
    place = np.arange(count)
    part = np.where(place % FOLDS == fold, "validation", "train")
    rows = {
        "id": [f"face{number:03d}.png" for number in place],
        "label": lot.choice(CLASSES, count),
        "split": np.where(place < _POOL, part, "test"),
        "identity": [f"face{number:03d}.png" for number in place],
        **{name: lot.choice(groups, count) for name, groups in ATTRIBUTES.items()},
    }
    return pd.DataFrame(rows)


def _answers(rows: pd.DataFrame, lot: np.random.Generator) -> pd.DataFrame:
    """Return predictions that are right more often than not."""
    truth = np.array([CLASSES.index(label) for label in rows["label"]])
    weights = np.eye(len(CLASSES))[truth] + 0.6
    drawn = lot.gamma(weights)
    shares = drawn / drawn.sum(axis=1, keepdims=True)
    named = {f"p_{name}": shares[:, n].astype(np.float32) for n, name in enumerate(CLASSES)}
    predicted = np.array(CLASSES, dtype=object)[shares.argmax(axis=1)]
    return rows.assign(predicted=predicted, **named)
