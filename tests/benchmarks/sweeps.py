"""A sweep of six small trainings, two at once against one after the other, on generated faces.

Also what the machinery costs: the seconds of the one-after-the-other sweep that are neither the
start of the command, as `--help` has it, nor the jobs' own, a job.

python -m tests.benchmarks.sweeps [FOLDER]
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_JOBS = 6
_SWEEP = (
    "+experiment=faces_balanced",
    "data.reader.n=1200",
    "data.height=48",
    "trainer.max_epochs=3",
    "threads=1",
    "~callbacks.progress",
    "+trainer.enable_progress_bar=false",
)
_SEEDS = f"seed={','.join(map(str, range(_JOBS)))}"
_JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


def seconds_of(*arguments: str) -> float:
    """Return the seconds of one command of facebias.train.

    Raises:
        RuntimeError: if it fails.
    """
    start = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own commands
        [sys.executable, "-m", "facebias.train", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return time.perf_counter() - start


def main() -> None:
    """Print the seconds of both sweeps, their ratio, and the machinery a job."""
    given = sys.argv[1:] or [tempfile.mkdtemp()]
    place = (f"paths.outputs={given[0]}", f"paths.cache={given[0]}/cache")
    start = seconds_of("--help")
    seconds_of(*_SWEEP, *place, "seed=100")  # makes and stores the faces
    in_turn = seconds_of("-m", *_SWEEP, *place, _SEEDS, "sweep=turn")
    beside = seconds_of("-m", *_SWEEP, *place, _SEEDS, *_JOBLIB, "sweep=beside")
    states = json.loads(Path(given[0], "sweeps/turn/sweep.json").read_text())["jobs"]
    own = sum(state["seconds"] for state in states)
    print(f"{_JOBS} jobs in turn   {in_turn:7.1f} s")
    print(f"{_JOBS} jobs, two at once {beside:4.1f} s   {in_turn / beside:.2f} times as fast")
    print(f"machinery a job  {(in_turn - own - start) / _JOBS:7.2f} s")


if __name__ == "__main__":
    main()
