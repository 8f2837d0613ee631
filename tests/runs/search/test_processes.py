"""Searches as commands of their own: real trainings, workers, and a kill."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facebias.data.predictions import PREDICTIONS_FILE
from facebias.runs.folder import STATUS
from facebias.runs.search.table import TRIALS
from tests.trained import SMALL, SMALL_MODEL

pytestmark = pytest.mark.slow

SEARCH = (
    "hydra/sweeper=search",
    "hydra.sweeper.trials=2",
    "optimizer.lr=tag(log,interval(1e-5,1e-3))",
    "threads=1",
)


def _start(folder: Path, faces: Path, *arguments: str) -> "subprocess.Popen[str]":
    given = ("data=emotions", f"data.root={faces}", f"paths.cache={folder}/cache")
    command = [sys.executable, "-m", "facebias.train", "-m", *given, *SMALL, *SMALL_MODEL]
    return subprocess.Popen(  # noqa: S603
        [*command, *SEARCH, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def _rows(sweep: Path) -> list[dict[str, str]]:
    with (sweep / TRIALS).open(newline="") as file:
        return list(csv.DictReader(file))


def _validation_loss(table: pd.DataFrame) -> float:
    """Return the cross-entropy of the validation faces, from their probabilities."""
    rows = table[table["split"] == "validation"]
    given = [row[f"p_{row['label']}"] for _, row in rows.iterrows()]
    return float(-np.log(given).mean())


@pytest.mark.parametrize("use", ["last", "best"])
def test_the_objective_is_that_of_the_predictions_and_no_test_face_is_scored(
    tmp_path: Path, faces_root: Path, use: str
) -> None:
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    search = _start(
        tmp_path, faces_root, "sweep=mine", f"checkpoint.use={use}", "fold=0,1", *launcher
    )
    said, _ = search.communicate(timeout=1200)
    assert search.returncode == 0, said
    sweep = tmp_path / "outputs/sweeps/mine"
    rows = _rows(sweep)
    assert len(rows) == 2
    for row in rows:
        folders = row["folder"].split()
        assert [name[-5:] for name in folders] == ["fold0", "fold1"]
        tables = [pd.read_parquet(sweep / name / PREDICTIONS_FILE) for name in folders]
        assert {split for table in tables for split in table["split"]} == {"train", "validation"}
        losses = [_validation_loss(table) for table in tables]
        assert float(row["value"]) == pytest.approx(sum(losses) / 2, abs=1e-6)


def test_a_search_that_is_killed_ends_as_one_that_is_not(tmp_path: Path, faces_root: Path) -> None:
    whole = _start(tmp_path, faces_root, "sweep=whole")
    said, _ = whole.communicate(timeout=1200)
    assert whole.returncode == 0, said
    sweeps = tmp_path / "outputs/sweeps"
    killed = _start(tmp_path, faces_root, "sweep=killed")
    give_up = time.monotonic() + 1200
    while not (sweeps / "killed/1_train_seed0/checkpoints/last.ckpt").is_file():
        assert time.monotonic() < give_up, "it does not come to its second trial"
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    first = sweeps / "killed/0_train_seed0" / STATUS
    done = first.stat().st_mtime_ns
    again = _start(tmp_path, faces_root, "sweep=killed")
    said, _ = again.communicate(timeout=1200)
    assert again.returncode == 0, said
    assert _rows(sweeps / "killed") == _rows(sweeps / "whole")
    assert first.stat().st_mtime_ns == done  # it did not run twice
