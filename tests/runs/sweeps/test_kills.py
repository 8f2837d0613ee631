"""Sweeps of which anything is killed at random moments end as one that nobody disturbed."""

import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from facebias.runs.folder import STATUS
from tests.drawn_faces import write_class_folders
from tests.killed import Command, Moments, hit_one
from tests.resumed import assert_same_results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]

# Another one for other moments: FACEBIAS_TEST_SEED=7 python -m pytest -m slow ...
SEED = int(os.environ.get("FACEBIAS_TEST_SEED", "0"))
SWEEPS, PLAN, STATE = Path("outputs/sweeps"), "plan.json", "sweep.json"
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
Run = Callable[..., Command]


class Shape(NamedTuple):
    """How a sweep runs, what is killed of it and how often, and what a job that died ends it with.

    Its results are those of the sweep of the same `processes` that nobody disturbed.
    """

    name: str
    kills: int
    kinds: tuple[str, ...]
    options: tuple[str, ...]
    processes: str
    code: int


SHAPES = (
    Shape("sequential", 8, ("parent",), (), "one", -9),
    Shape("joblib", 7, ("job", "parent"), JOBLIB, "one", 1),
    Shape("ranks", 5, ("rank", "parent", "torchrun"), (), "two", 2),
)
JOBS = {"one": ("seed=0,1,2,3,4,5",), "two": ("seed=0,1,2", "trainer=ddp_cpu")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweeps")
    write_class_folders(folder / "faces", train=12, test=4)
    return folder


@pytest.fixture(scope="module")
def sweep(folder: Path) -> Iterator[Run]:
    """Return a function that starts a sweep of tiny trainings, in the same folder each time."""
    started: list[Command] = []

    def start(name: str, *arguments: str) -> Command:
        own = ("-m", f"sweep={name}", f"paths.cache=cache_{name}", "trainer.max_epochs=4")
        started.append(Command(folder, folder / "faces", *own, *arguments))
        return started[-1]

    yield start
    for command in started:
        command.end()


@pytest.fixture(scope="module")
def undisturbed(folder: Path, sweep: Run) -> Callable[[str], Path]:
    """Return a function that gives the folder of the sweep of one or two processes a job."""

    def find(processes: str) -> Path:
        found = folder / SWEEPS / processes
        if not found.is_dir():
            command = sweep(processes, *JOBS[processes])
            assert command.wait() == 0, command.said()
        return found

    return find


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.name for shape in SHAPES])
def test_a_sweep_that_is_killed_again_and_again_ends_as_an_undisturbed_one(
    folder: Path, sweep: Run, undisturbed: Callable[[str], Path], shape: Shape
) -> None:
    expected = undisturbed(shape.processes)
    dice = random.Random(f"{SEED} {shape.name}")  # noqa: S311 - no secret
    moments = Moments(dice, run_folders(expected))
    left = shape.kills
    number = 0
    while left:  # a sweep may be done before all kills are
        place = folder / SWEEPS / f"{shape.name}_{number}"
        left -= _disturbed(place, sweep, shape, dice, moments, left)
        _assert_same(place, expected)
        number += 1


def _disturbed(
    place: Path, sweep: Run, shape: Shape, dice: random.Random, moments: Moments, kills: int
) -> int:
    """Run a sweep to its end, whatever is killed meanwhile; return how many kills have hit."""
    hits, done, code = 0, dict[str, bytes](), None
    while code != 0:
        command = sweep(place.name, *JOBS[shape.processes], *shape.options)
        while hits < kills and not command.ended:
            moment = moments.wait_for_one(command, place)
            kind = hit_one(command, shape.kinds, hits, dice)
            hits += kind is not None
            print(f"seed {SEED}, {place.name}: {kind or 'nothing'} killed after {moment}")
        code = command.wait()
        command.assert_gone()
        assert "Traceback" not in command.said(), command.said()
        done = _still_done(place, done)
        if code != -9:
            assert code == (0 if len(done) == len(_planned(place)) else shape.code), command.said()
            assert _ended(place) == {name: name in done for name in _planned(place)}
    return hits


def _still_done(place: Path, before: dict[str, bytes]) -> dict[str, bytes]:
    """Return the status of each job that is done; one that was done before is not touched again."""
    texts = {run.name: (run / STATUS).read_bytes() for run in run_folders(place)}
    done = {name: text for name, text in texts.items() if json.loads(text)["status"] == "done"}
    assert done | before == done
    return done


def _planned(place: Path) -> list[str]:
    return [job["folder"] for job in json.loads((place / PLAN).read_text())["jobs"]]


def _ended(place: Path) -> dict[str, bool]:
    """Return which jobs `sweep.json` has as done, and hold that it has all others as ended."""
    jobs = json.loads((place / STATE).read_text())["jobs"]
    assert {job["status"] for job in jobs} <= {"done", "failed", "waiting"}
    return {job["folder"]: job["status"] == "done" for job in jobs}


def run_folders(place: Path) -> list[Path]:
    """Return the run folders of a sweep."""
    return sorted(path.parent for path in place.glob(f"*/{STATUS}"))


def _assert_same(place: Path, expected: Path) -> None:
    """Hold one sweep's folder against another's: each job once, and its results bit for bit."""
    names = [run.name for run in run_folders(expected)]
    assert [run.name for run in run_folders(place)] == names == _planned(place)
    assert sorted(path.name for path in place.iterdir()) == sorted([*names, PLAN, STATE, ".lock"])
    for name in names:
        assert_same_results(place / name, expected / name)
