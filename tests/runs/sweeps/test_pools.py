"""Pools of processes that go down before a job of the sweep has begun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_VERB = """
import os
from pathlib import Path
from facebias.commandline import run_verb
from facebias.schemas import Train
def verb(config):
    from facebias.runs.folder import open_run
    Path(f"tried_{os.getpid()}").touch()
    if len(list(Path().glob("tried_*"))) <= DEATHS:
        os.kill(os.getpid(), 9)
    with open_run(Path(config.paths.run), config):
        pass
run_verb("train", Train, verb)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deaths", "code", "status"), [(2, 0, "done"), (1000, 1, "waiting")], ids=["at first", "always"]
)
def test_a_pool_that_goes_down_before_a_job_begins_is_tried_again(
    tmp_path: Path, deaths: int, code: int, status: str
) -> None:
    (tmp_path / "verb.py").write_text(_VERB.replace("DEATHS", str(deaths)))
    joblib = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "verb.py", "-m", "data.root=x", "sweep=mine", "seed=0,1", *joblib],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ended.returncode == code, ended.stderr
    assert "facebias: a process of the launcher was killed" in ended.stderr
    assert "Traceback" not in ended.stderr
    states = json.loads((tmp_path / "outputs/sweeps/mine/sweep.json").read_text())["jobs"]
    assert [state["status"] for state in states] == [status] * 2
