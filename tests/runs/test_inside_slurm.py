"""Trainings in a task of Slurm, which numbers tasks and not our processes."""

from pathlib import Path

import pandas as pd
import pytest
from lightning.pytorch.utilities import rank_zero_only

from facebias.runs.metrics_rows import METRICS
from facebias.train import train
from tests.trained import compose_train

# What `srun --ntasks=2` tells its second task.
TASK = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "2",
    "SLURM_NNODES": "1",
    "SLURM_NODEID": "0",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
}


def test_a_training_alone_in_one_of_several_tasks_is_whole(
    tmp_path: Path, faces_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in TASK.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 1)  # as a process has it that was begun so
    run = train(compose_train(tmp_path, faces_root, "trainer.max_epochs=2"))
    assert pd.read_csv(run / METRICS)["epoch"].nunique() == 2
    assert (run / "checkpoints" / "last.ckpt").is_file()
