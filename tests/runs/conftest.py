"""What tests of sweeps and searches share."""

from collections.abc import Callable
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
