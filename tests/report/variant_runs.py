"""Runs that were never trained: they lean to a valence by their shares, or by what they learnt."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from facebias.report.results import RunResults
from facebias.runs.trained import TrainedRun

CLASSES = ("negative", "neutral", "positive")
ATTRIBUTES = {"sex": ("f", "m"), "age": ("young", "old")}
FACES = 270


def leaning_run(
    folder: Path,
    name: str,
    seed: int,
    shares: Mapping[str, int] | None = None,
    *,
    learnt: float = 0.0,
    dose: float | None = None,
) -> TrainedRun:
    """Return a run.

    Args:
        folder: where its train faces are written.
        name: of its bias.
        seed: of the run.
        shares: train faces of each class; the answers lean to them. None: equally many.
        learnt: added to the log odds of positive, beside the shares.
        dose: of its bias; None: .6 with shares, else none.
    """
    counts = dict(shares or dict.fromkeys(CLASSES, 80))
    place = folder / f"{name}_{dose}_{seed}"
    place.mkdir()
    labels = [label for label, count in counts.items() for _ in range(count)]
    pd.DataFrame({"label": labels, "split": "train", "left_out": ""}).to_parquet(
        place / "split.parquet"
    )
    logarithms = [math.log(max(counts[label], 1) / 80) for label in CLASSES]
    rows = _answered(seed, np.array(logarithms) + np.array([0, 0, learnt]))
    known = dose if shares is None else 0.6
    config = OmegaConf.create(
        {
            "seed": seed,
            "bias": {"variant": name} | ({} if known is None else {"dose": known}),
            "paths": {"run": str(place)},
            "data": {"fold": 0, "reader": {"classes": list(CLASSES), "attributes": ATTRIBUTES}},
            "classifier": {"class_weights": "none"},
        }
    )
    nothing = pd.DataFrame()
    results = RunResults(place, config, {}, rows, {}, nothing, nothing)
    return TrainedRun(place, config, results, f"{name}, seed {seed}")


def _answered(seed: int, lean: np.ndarray) -> pd.DataFrame:
    """Return the same faces for every seed, and its answers: 260 young and 10 old."""
    lot = np.random.default_rng(3)
    label, hard = lot.integers(3, size=FACES), lot.normal(size=(FACES, 3))
    own = np.random.default_rng([seed, 1])
    odds = 1.0 * np.eye(3)[label] + 0.8 * hard + 0.4 * own.normal(size=(FACES, 3))
    odds += lean + 0.05 * own.normal(size=3)
    scores = np.exp(odds)
    scores /= scores.sum(axis=1, keepdims=True)
    columns = {f"p_{name}": scores[:, n] for n, name in enumerate(CLASSES)}
    return pd.DataFrame(
        {
            "id": [f"face {number:03d}" for number in range(FACES)],
            "split": "test",
            "label": np.array(CLASSES)[label],
            "predicted": np.array(CLASSES)[scores.argmax(axis=1)],
            "sex": np.array(ATTRIBUTES["sex"])[np.arange(FACES) % 2],
            "age": np.array(ATTRIBUTES["age"])[(np.arange(FACES) >= 260).astype(int)],
            "seed": seed,
            **columns,
        }
    )
