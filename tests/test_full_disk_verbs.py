"""Commands on a full disk: an error in plain words, whole files only, and they go on with space."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from tests.drawn_faces import write_class_folders
from tests.portraits import photo
from tests.resumed import assert_same_results
from tests.test_full_disk import fill, listing, small_disk  # noqa: F401 - a fixture
from tests.trained import SMALL, SMALL_MODEL

pytestmark = pytest.mark.slow

TRAIN = (
    *SMALL,
    *SMALL_MODEL,
    "data=emotions",
    "data.batch_size=16",
    "data.copies=report",
    "callbacks.cam=null",
    "threads=1",
    "paths.run=run",
    "paths.cache=cache",
)


def call(verb: str, folder: Path, *arguments: str) -> tuple[int, str]:
    """Run a verb in a folder; return its exit code, and its output and errors."""
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", f"facebias.{verb}", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return ended.returncode, ended.stdout


def assert_told(code: int, said: str) -> None:
    assert code == 2, said
    assert "facebias: " in said
    assert "No space left on device" in said or "free" in said, said
    assert "What to do: " in said
    assert "Traceback" not in said, said


def assert_whole(folder: Path) -> None:
    """Hold that each file in a folder and below can be read to its end, and no other is there."""
    for name in listing(folder):
        file = folder / name
        assert not file.name.startswith("."), name
        match file.suffix:
            case ".json":
                json.loads(file.read_text())
            case ".parquet":
                pd.read_parquet(file)
            case ".ckpt":
                torch.load(file, weights_only=True)
            case ".csv":
                rows = list(csv.reader(file.read_text().splitlines()))
                assert {len(row) for row in rows} == {len(rows[0])}, name
            case ".png":
                with Image.open(file) as picture:
                    picture.load()


# Kilobytes that are left: it stops at its folder, the picture of leaks, last.ckpt, and the report.
@pytest.mark.parametrize(
    ("processes", "leave"),
    [("trainer=cpu", (0, 1000, 1500, 1400)), ("trainer=ddp_cpu", (1850,))],
    ids=["one_process", "two_ranks"],
)
def test_a_training_that_finds_more_and_more_space_goes_on_to_its_end(
    small_disk: Path,  # noqa: F811
    tmp_path: Path,
    processes: str,
    leave: tuple[int, ...],
) -> None:
    faces = write_class_folders(tmp_path / "faces", train=12, test=4)
    command = ("train", *TRAIN, f"data.root={faces}", processes)
    (tmp_path / "roomy").mkdir()
    assert call(command[0], tmp_path / "roomy", *command[1:])[0] == 0
    for kilobytes in leave:
        filler = fill(small_disk, 1024 * kilobytes)
        code, said = call(command[0], small_disk, *command[1:])
        assert_told(code, said)
        assert_whole(small_disk)
        filler.unlink()
    code, said = call(command[0], small_disk, *command[1:])
    assert code == 0, said
    assert_same_results(small_disk / "run", tmp_path / "roomy" / "run")


def test_generated_faces_are_gone_on_with_when_there_is_space_again(
    small_disk: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    arguments = ("n=120", "size=32", "workers=2", "out=faces")
    for kilobytes in (0, 12, 150, 300):
        filler = fill(small_disk, 1024 * kilobytes)
        code, said = call("faces", small_disk, *arguments)
        assert_told(code, said)
        filler.unlink()
    assert call("faces", small_disk, *arguments)[0] == 0
    assert call("faces", tmp_path, *arguments)[0] == 0
    assert listing(small_disk / "faces") == listing(tmp_path / "faces")


@pytest.mark.parametrize("form", ["images", "pixel_csv"])
def test_cropped_faces_appear_whole_or_not_at_all(
    small_disk: Path,  # noqa: F811
    tmp_path: Path,
    form: str,
) -> None:
    for label in ("joy", "peace"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        photo().save(tmp_path / "photos" / label / "a.png")
    arguments = (f"photos={tmp_path}/photos", "out=out", f"form={form}", "workers=2")
    for kilobytes in (0, 8, 16, 40):
        filler = fill(small_disk, 1024 * kilobytes)
        code, said = call("crop", small_disk, *arguments)
        assert_told(code, said)
        assert not listing(small_disk)
        filler.unlink()
    assert call("crop", small_disk, *arguments)[0] == 0
    assert (small_disk / "out" / "faces.csv").is_file()


def test_maps_that_find_no_space_are_told_and_made_when_there_is_some(
    small_disk: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    faces = write_class_folders(tmp_path / "faces", train=12, test=4)
    assert call("train", tmp_path, *TRAIN, f"data.root={faces}")[0] == 0
    few = ("curve_faces=4", "sanity_faces=2", "per_label=1")
    arguments = (f"runs=[{tmp_path}/run]", *few, "paths.run=maps", f"paths.cache={tmp_path}/cache")
    # Kilobytes that are left: it stops at its folder, the maps, the tables, and the pictures.
    for kilobytes in (0, 24, 80, 300):
        filler = fill(small_disk, 1024 * kilobytes)
        code, said = call("cam", small_disk, *arguments)
        assert_told(code, said)
        assert_whole(small_disk)
        filler.unlink()
    code, said = call("cam", small_disk, *arguments)
    assert code == 0, said
    assert_whole(small_disk)
    assert json.loads((small_disk / "maps" / "status.json").read_text())["status"] == "done"
