"""Loading processes end with the process that trains, however they were started."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

_TRAINING = """
import multiprocessing, os, sys, time
from torch.utils.data import DataLoader
from facebias.data.datamodule import _begin_loading
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    loader = DataLoader([0] * 4, num_workers=2, worker_init_fn=_begin_loading)
    batches = iter(loader)
    next(batches)
    print(*(worker.pid for worker in batches._workers), flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
@pytest.mark.parametrize("start", ["fork", "forkserver", "spawn"])
def test_loaders_of_a_killed_training_end(tmp_path: Path, start: str) -> None:
    (tmp_path / "training.py").write_text(_TRAINING)
    training = subprocess.Popen(  # noqa: S603
        [sys.executable, tmp_path / "training.py", start],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert training.stdout is not None
    loaders = training.stdout.readline().split()
    assert len(loaders) == 2
    assert all(map(_lives, loaders))
    training.kill()
    training.communicate()
    give_up = time.monotonic() + 60  # seconds; a busy machine is slow
    while any(map(_lives, loaders)):
        assert time.monotonic() < give_up, "loaders outlive their training"
        time.sleep(0.1)


def _lives(pid: str) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
