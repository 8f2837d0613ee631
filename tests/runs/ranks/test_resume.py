"""Trainings in two ranks, killed at random moments, end as one that nobody disturbed."""

import os
import random
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from facebias.runs.folder import run_state
from tests.drawn_faces import write_class_folders
from tests.killed import Command, Moments, hit_one
from tests.resumed import assert_same_results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]

# Another one for other moments: FACEBIAS_TEST_SEED=7 python -m pytest -m slow ...
SEED = int(os.environ.get("FACEBIAS_TEST_SEED", "0"))
KILLS = 3
RANKS = ("trainer=ddp_cpu", "trainer.devices=2", "trainer.max_epochs=6")
EARLY = ("callbacks=early_stopping", "callbacks.early_stopping.patience=2", "callbacks.cam=null")
BEST = ("checkpoint.use=best", "optimizer=sgd", "scheduler=cosine")


@pytest.fixture
def train(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Return a function that starts a training in two ranks, in a folder of the given name."""
    faces = write_class_folders(tmp_path / "faces", train=12, test=4)
    started: list[Command] = []

    def start(name: str, *arguments: str) -> Command:
        own = (f"paths.run={name}", f"paths.cache=cache_{name}")
        started.append(Command(tmp_path, faces, *RANKS, *EARLY, *BEST, *own, *arguments))
        return started[-1]

    yield start
    for command in started:
        command.end()


@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_that_are_killed_end_as_undisturbed_ones(
    tmp_path: Path, train: Callable[..., Command], workers: int
) -> None:
    option = f"data.workers={workers}"
    whole = train("undisturbed", option)
    assert whole.wait() == 0, whole.said()
    dice = random.Random(SEED + workers)  # noqa: S311 - no secret
    moments = Moments(dice, [tmp_path / "undisturbed"])
    hits = number = 0
    while hits < KILLS:  # a training may be done before all kills are
        run = tmp_path / f"killed_{number}"
        hits += _disturbed(run, partial(train, run.name, option), dice, moments, KILLS - hits)
        assert_same_results(run, tmp_path / "undisturbed")
        number += 1


def _disturbed(
    run: Path, start: Callable[[], Command], dice: random.Random, moments: Moments, kills: int
) -> int:
    """Train to the end, whatever is killed meanwhile; return how many kills have hit."""
    hits = 0
    while run_state(run)[0] != "done":  # a kill may come after the run is done
        command, kind = start(), None
        if hits < kills:
            moment = moments.wait_for_one(command, run)
            kind = hit_one(command, ("rank", "parent"), hits, dice)
            hits += kind is not None
            print(f"seed {SEED}, {run.name}: {kind or 'nothing'} killed after {moment}")
        assert command.wait() == {None: 0, "parent": -9, "rank": 2}[kind], command.said()
        command.assert_gone()
        assert "Traceback" not in command.said(), command.said()
    return hits
