"""`python -m facebias.crop`: from the command line to a folder."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from facebias.crop import crop
from facebias.schemas import Crop
from tests.portraits import photo

Command = Callable[..., int]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_as_command: Callable[..., int]
) -> Command:
    """Return a function that runs the verb in an empty folder and gives its exit code."""
    monkeypatch.chdir(tmp_path)
    return partial(run_as_command, "crop", Crop, crop)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for label in ("joy", "peace"):
        (root / label).mkdir(parents=True)
        photo().save(root / label / "a.png")
    Image.new("RGB", (300, 200)).save(root / "peace" / "nobody.png")
    (root / "peace" / "bad.jpg").write_bytes(b"")
    (root / "groups.csv").write_text(
        "filename,gender\njoy/a.png,male\npeace/nobody.png,female\ngone.png,male\n"
    )
    return root


def test_photos_become_faces_and_misses_are_told_by_group(
    command: Command, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("out=out", "workers=1", "attributes={gender: [female, male]}")
    assert command(f"photos={photos}", *arguments) == 0
    with Image.open(tmp_path / "out" / "images" / "joy" / "a.png") as face:
        assert (face.size, face.mode) == ((75, 110), "L")
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "all: 2 of 3 (66.7%), 1 more cannot be read"
    assert "label peace: 1 of 2 (50.0%), 1 more cannot be read" in told
    assert told.index("gender female: 0 of 1 (0.0%)") < told.index("gender male: 1 of 1 (100.0%)")
    assert "2 faces; every other photo is in misses.csv: out" in told
    assert "1 lines of CSV files name photos that are not there" in told


def test_size_colour_and_form_are_chosen(command: Command, photos: Path, tmp_path: Path) -> None:
    here = f"photos={photos}"
    assert command(here, "out=colour", "width=40", "height=30", "gray=false", "margin=0.5") == 0
    with Image.open(tmp_path / "colour" / "images" / "joy" / "a.png") as face:
        assert (face.size, face.mode) == ((40, 30), "RGB")
    assert command(here, "out=lines", "form=pixel_csv") == 0
    header = (tmp_path / "lines" / "pixels.csv").read_text().partition("\n")[0]
    assert header == "emotion,pixels"
    assert "pixels.csv#pixels=75x110@0" in (tmp_path / "lines" / "faces.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("photos=nowhere", "out=out"), "there is no folder nowhere"),
        (("photos=photos",), "out is not set"),
        (("photos=photos", "out=out", "form=csv"), "one of images, pixel_csv"),
        (("photos=photos", "out=out", "width=0"), "a number from 8 to 1024"),
        (("photos=photos", "out=out", "margin=nan"), "a number from 0 to 2"),
        (("photos=photos", "out=photos/out"), "lies in the folder of the photos"),
        (("photos=photos", "out=out", "gray=false", "form=pixel_csv"), "gray is false"),
    ],
)
def test_what_is_wrong_is_told_without_a_traceback(
    command: Command,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    told: str,
) -> None:
    assert command(*arguments) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
    assert {path.name for path in photos.parent.iterdir()} == {"photos"}


_MODULES = """
import runpy, sys
try:
    runpy.run_module("facebias.crop", run_name="__main__", alter_sys=True)
except SystemExit as ended:
    heavy = {"torch", "lightning", "numpy", "cv2", "pandas", "PIL"} & set(sys.modules)
    print("ended with", ended.code, "and", sorted(heavy), file=sys.stderr)
"""


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("widht=3", 2)])
def test_help_and_wrong_keys_do_not_wait_for_numbers(
    tmp_path: Path, argument: str, code: int
) -> None:
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _MODULES, argument],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=dict(os.environ) | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert ended.stderr.splitlines()[-1] == f"ended with {code} and []"
    if code == 0:
        assert "python -m facebias.crop photos=FOLDER out=FOLDER" in ended.stdout


def test_the_command_runs_where_warnings_are_errors(photos: Path, tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-m", "facebias.crop", f"photos={photos}", "out=out"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=dict(os.environ) | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert (tmp_path / "out" / "faces.csv").is_file()
