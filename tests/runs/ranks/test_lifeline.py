"""Processes that end with the one they work for, be it their parent or not."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="lifelines are Linux's")

_WAITS = "import sys; print('ready', flush=True); sys.stdin.readline()"
_TIED = f"from facebias.runs.ranks.lifeline import dies_with; dies_with(PROCESS); {_WAITS}"
_KILLS = """
import subprocess, sys
from facebias.runs.ranks.lifeline import kill_children
pipe = subprocess.PIPE
children = [subprocess.Popen([sys.executable, "-m", name], stdin=pipe, stdout=pipe)
            for name in ("first", "second")]
for child in children:
    child.stdout.readline()
kill_children("first")
print(children[0].wait(60), flush=True)
for child in children:
    child.stdin.close()
print(children[1].wait(60), flush=True)
"""
Start = Callable[..., "subprocess.Popen[str]"]


def _ready(process: "subprocess.Popen[str]") -> "subprocess.Popen[str]":
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_process_that_is_tied_to_another_is_killed_when_that_has_ended(
    start_python: Start,
) -> None:
    other = _ready(start_python(_WAITS))
    tied = _ready(start_python(_TIED.replace("PROCESS", str(other.pid))))
    assert tied.poll() is None
    other.kill()
    other.wait()
    assert tied.wait(60) == -signal.SIGKILL


def test_a_process_that_is_tied_too_late_is_killed_at_once(start_python: Start) -> None:
    other = start_python("")
    other.wait(60)
    tied = start_python(_TIED.replace("PROCESS", str(other.pid)))
    assert tied.wait(60) == -signal.SIGKILL


def test_children_of_one_module_alone_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_python: Start
) -> None:
    for name in ("first", "second"):
        (tmp_path / f"{name}.py").write_text(_WAITS)
    monkeypatch.chdir(tmp_path)  # where `python -m` looks
    said, _ = start_python(_KILLS).communicate(timeout=60)
    assert [int(code) for code in said.split()] == [-signal.SIGKILL, 0]
