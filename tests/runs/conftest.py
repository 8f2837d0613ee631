"""What tests of runs, sweeps and searches share."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from facebias.schemas import Train
from tests.runs.swept import Command, IdleVerb


@pytest.fixture
def verb() -> IdleVerb:
    return IdleVerb()


@pytest.fixture
def sweep(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_as_command: Callable[..., int],
    verb: IdleVerb,
) -> Command:
    """Return a function that runs a sweep in an empty folder and gives its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        return run_as_command("train", Train, verb, "-m", "data.root=x", *arguments)

    return run


@pytest.fixture
def start_python() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Return a function that starts Python with a program and its arguments; all end in the end."""
    started: list[subprocess.Popen[str]] = []

    def run(program: str, *arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
