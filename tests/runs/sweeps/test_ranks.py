"""Jobs of two ranks count what the same jobs count in one process."""

from pathlib import Path

import pandas as pd
import pytest

from tests.drawn_faces import write_class_folders
from tests.killed import Command

# Nothing that sees a rank's share alone: no batch norm, no dropout (docs/ranks.md).
SAME = ("model=timm", "model.name=test_convnext", "model.dropout=0", "optimizer=sgd")
JOBS = ("seed=0,1,2", "trainer.max_epochs=2")


@pytest.mark.slow
def test_jobs_of_two_ranks_count_as_jobs_of_one_process(tmp_path: Path) -> None:
    faces = write_class_folders(tmp_path / "faces")
    for processes in ("cpu", "ddp_cpu"):
        sweep = ("-m", f"sweep={processes}", f"trainer={processes}", "paths.cache=cache")
        command = Command(tmp_path, faces, *SAME, *JOBS, *sweep)
        assert command.wait() == 0, command.said()
    for seed in range(3):
        one, two = (
            tmp_path / "outputs" / "sweeps" / processes / f"{seed}_train_seed{seed}"
            for processes in ("cpu", "ddp_cpu")
        )
        # Probabilities may differ in their last digits, decisions may not.
        tables = [pd.read_parquet(run / "predictions.parquet") for run in (two, one)]
        pd.testing.assert_frame_equal(*tables, rtol=0, atol=1e-5)
        assert len(tables[0]) == 384  # each face once, copies among them
        # All of it is counted from decisions: every cell, and what is made of cells.
        assert (two / "fairness.csv").read_bytes() == (one / "fairness.csv").read_bytes()
