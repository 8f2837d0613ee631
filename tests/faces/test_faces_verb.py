"""`python -m facebias.faces`: from the command line to a folder."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from facebias.faces.__main__ import generate
from facebias.faces.factors import FaceFactors
from facebias.faces.writer import read_faces
from facebias.schemas import Faces

Command = Callable[..., int]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_as_command: Callable[..., int]
) -> Command:
    """Return a function that runs the verb in an empty folder and gives its exit code."""
    monkeypatch.chdir(tmp_path)
    return partial(run_as_command, "faces", Faces, generate)


def _process(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    left = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    return subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-m", "facebias.faces", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=left | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_a_command_leaves_the_folder_and_nothing_else(tmp_path: Path) -> None:
    first = _process(tmp_path, "n=6", "size=32", "out=mine/faces")
    assert (first.returncode, first.stderr) == (0, "")
    told, sheet = first.stdout.splitlines()
    assert told.startswith("6 faces, 6 rendered now, in ")
    assert told.endswith(": mine/faces")
    assert sheet == "The sheet: mine/faces/sheet.png"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["faces"]
    faces = read_faces(tmp_path / "mine" / "faces")
    assert len(faces) == 6
    assert all((tmp_path / "mine" / "faces" / source).is_file() for source in faces["source"])


def test_a_wrong_command_ends_with_two(tmp_path: Path) -> None:
    ended = _process(tmp_path, "n=6", "out=faces", "twins.factor=skin_it", "twins.values=[47]")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[0] == "facebias: there are no twins by 'skin_it'"
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["out=x", "n=0"], "n is 0"),
        (["out=x", "n=many"], "n is 'many'"),
        (["out=x", "size=4"], "size is 4"),
        (["out=x", "workers=0"], "workers is 0"),
        (["out=x", "data.seed=-1"], "data.seed is -1"),
        (["out=x", "population=crosed"], "did you mean crossed?"),
        (["out=x", "equal_by=label"], "one of expression, valence"),
        (["out=x", "seed=1"], "there is no key 'seed'"),
        (["out=x", "sise=64"], "did you mean size?"),
        (["out=x", "twins.value=[1]"], "did you mean twins.values?"),
        (["out=x", "twins.values=[1]"], "values of twins are given without a factor"),
        (["out=x", "twins.factor=age"], "there are no values of age"),
        (["out=x", "twins.factor=age", "twins.values=[1]"], "the factor age is 1.0"),
        (["n=6"], "out is not set"),
        (["out=taken"], "taken is a file"),
    ],
    ids=str,
)
def test_wrong_values_end_with_two_and_leave_nothing(
    command: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    (tmp_path / "taken").write_text("mine")
    assert command(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("facebias: ")
    assert says in error
    assert "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_the_same_command_again_finds_its_faces(
    command: Command,
    drawn: list[FaceFactors],
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ("n=5", "size=16", "workers=1", "out=faces")
    assert [command(*arguments), command(*arguments)] == [0, 0]
    assert len(drawn) == 5
    assert "5 faces, already there: faces" in capsys.readouterr().out
    assert command(*arguments, "workers=2") == 0  # how fast makes no other faces
    assert command(*arguments, "data.seed=1") == 2
    assert "drawn with data.seed=0, not with 1" in capsys.readouterr().err


def test_twins_follow_the_faces(
    command: Command,
    tmp_path: Path,
    drawn: list[FaceFactors],
) -> None:
    twins = ("twins.factor=skin_ita", "twins.values=[47, -50]")
    assert command("n=4", "size=16", "workers=1", "out=faces", *twins) == 0
    faces = read_faces(tmp_path / "faces")
    assert faces["id"].tolist()[3:6] == ["000003", "000000_skin_ita=47", "000000_skin_ita=-50"]
    assert len(drawn) == 12
    assert (tmp_path / "faces" / "pairs.png").is_file()


def test_a_sweep_makes_a_folder_a_job(
    command: Command,
    tmp_path: Path,
    drawn: list[FaceFactors],
) -> None:
    arguments = ("n=4", "size=16", "workers=1", "out=faces_${data.seed}")
    assert command("-m", "data.seed=0,1", *arguments) == 0
    assert len(read_faces(tmp_path / "faces_0")) == len(read_faces(tmp_path / "faces_1")) == 4


_MODULES = """
import runpy, sys
try:
    runpy.run_module("facebias.faces", run_name="__main__", alter_sys=True)
except SystemExit as ended:
    heavy = {"torch", "lightning", "numpy", "numba", "pandas"} & set(sys.modules)
    print("ended with", ended.code, "and", sorted(heavy), file=sys.stderr)
"""


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("sise=3", 2)])
def test_help_and_wrong_keys_do_not_wait_for_numbers(
    tmp_path: Path, argument: str, code: int
) -> None:
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _MODULES, argument],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=dict(os.environ) | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert ended.stderr.splitlines()[-1] == f"ended with {code} and []"
    if code == 0:
        assert "python -m facebias.faces out=FOLDER" in ended.stdout


def test_nothing_in_the_room_of_faces_needs_torch_or_hydra() -> None:
    code = (
        "import sys, facebias.faces.writer, facebias.faces.counterfactuals\n"
        "print({'torch', 'lightning', 'hydra', 'omegaconf'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "set()\n"
