"""`python -m facebias.live`: from the command line to a page that is served."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from facebias.live.__main__ import live
from facebias.live.server import listen
from facebias.schemas import Live
from facebias.train import train
from tests.trained import compose_train

ROOT = Path(__file__).parents[1]
Command = Callable[..., int]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "run is not set"),
        (("run=nowhere",), "no run folder"),
        (("run=nowhere", "port=80"), "a number from 1024 to 65535"),
        (("run=nowhere", "rate=1000"), "a number from 1 to 60"),
        (("run=nowhere", "margin=nan"), "a number from 0 to 2"),
        (("run=nowhere", "marign=1"), "did you mean margin?"),
        (("runs=[a,b]",), "did you mean run?"),
    ],
)
def test_what_is_wrong_is_told_without_a_traceback(
    run_as_command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_as_command("live", Live, live, *arguments) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_told(run_as_command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with listen(None) as taken:
        port = taken.getsockname()[1]
        assert run_as_command("live", Live, live, "run=nowhere", f"port={port}") == 2
    assert f"port {port} cannot be used" in capsys.readouterr().err


def test_a_missing_package_is_named_with_the_extra(
    run_as_command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("facebias.live.__main__._PACKAGES", ("starlette", "no_such_package"))
    assert run_as_command("live", Live, live, "run=nowhere") == 2
    error = capsys.readouterr().err
    assert "no_such_package is not installed" in error
    assert "pip install 'facebias[live]'" in error


_MODULES = """
import runpy, sys
try:
    runpy.run_module("facebias.live", run_name="__main__", alter_sys=True)
except SystemExit as ended:
    heavy = {"torch", "lightning", "numpy", "cv2", "pandas", "starlette"} & set(sys.modules)
    print("ended with", ended.code, "and", sorted(heavy), file=sys.stderr)
"""


def environment() -> dict[str, str]:
    return dict(os.environ) | {"PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("prot=3", 2)])
def test_help_and_wrong_keys_do_not_wait_for_numbers(
    tmp_path: Path, argument: str, code: int
) -> None:
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _MODULES, argument],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment(),
    )
    assert ended.stderr.splitlines()[-1] == f"ended with {code} and []"
    if code == 0:
        assert "python -m facebias.live run=FOLDER" in ended.stdout


@pytest.mark.slow
def test_the_command_prints_a_link_serves_it_and_stores_nothing(
    tmp_path: Path, faces_root: Path
) -> None:
    options = ("trainer.max_epochs=1", "callbacks.cam=null", "callbacks.fairness=null")
    run = train(compose_train(tmp_path, faces_root, *options))
    before = {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))}
    command = [sys.executable, "-W", "error", "-m", "facebias.live", f"run={run}"]
    served = subprocess.Popen(  # noqa: S603
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment(),
    )
    assert served.stdout is not None
    try:
        said = served.stdout.readline() + served.stdout.readline()
        assert "of the run's own train faces" in said
        link = served.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", link)
        with urllib.request.urlopen(link) as page:  # noqa: S310 - our own address
            assert b"What this is not" in page.read()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(link[:-1])  # noqa: S310
    finally:
        served.send_signal(signal.SIGINT)
        rest, error = served.communicate(timeout=60)
    assert served.returncode == 130
    assert (rest, error) == ("", "facebias: interrupted\n")
    assert {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))} == before
