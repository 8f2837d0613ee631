"""The trials of a search in its study: what is asked depends on what was told, and on no kill."""

import statistics
from pathlib import Path

import pytest

from facebias.runs.search.space import Choice, Numbers
from facebias.runs.search.study import DONE, FAILED, RUNNING, SearchStudy, Trial

LR = Numbers("optimizer.lr", 1e-4, 1e-1, None, log=True)
DIMENSIONS = (
    LR,
    Numbers("data.batch_size", 16, 64, 16, log=False),
    Choice("augment", ("light", "strong")),
)


def _study(folder: Path, sampler: str = "tpe", seed: int = 0) -> SearchStudy:
    folder.mkdir(exist_ok=True)
    return SearchStudy(folder, True, DIMENSIONS, sampler, seed)


def _score(trial: Trial) -> float:
    lr, batch, augment = trial.values
    return abs(float(lr) - 0.01) + int(batch) / 1e4 + (augment == "light") / 10


def _run(study: SearchStudy, trials: int) -> None:
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, _score(trial))


def test_values_lie_in_their_dimensions(tmp_path: Path) -> None:
    study = _study(tmp_path)
    _run(study, 15)
    for trial in study.trials():
        lr, batch, augment = trial.values
        assert 1e-4 <= float(lr) <= 1e-1
        assert batch in ("16", "32", "48", "64")
        assert augment in ("light", "strong")


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_study_that_is_opened_again_asks_as_if_it_had_stayed_open(
    tmp_path: Path, sampler: str
) -> None:
    whole = _study(tmp_path / "whole", sampler)
    _run(whole, 13)
    for _ in range(13):
        _run(_study(tmp_path / "parts", sampler), 1)
    assert _study(tmp_path / "parts", sampler).trials() == whole.trials()


def test_the_seed_decides_what_is_asked(tmp_path: Path) -> None:
    one, same, other = (_study(tmp_path / str(n), seed=n // 2) for n in (0, 1, 2))
    assert one.ask() == same.ask() != other.ask()


def test_later_trials_learn_from_earlier_ones_and_random_ones_do_not(tmp_path: Path) -> None:
    later = {}
    for sampler in ("tpe", "random"):
        study = _study(tmp_path / sampler, sampler)
        _run(study, 30)
        values = [trial.value for trial in study.trials() if trial.value is not None]
        later[sampler] = statistics.median(values[10:])  # the first ten are random in both
    assert later["tpe"] < later["random"] / 2


def test_trials_that_are_asked_together_differ(tmp_path: Path) -> None:
    study = _study(tmp_path)
    _run(study, 12)
    assert len({study.ask().values for _ in range(4)}) == 4


def test_what_was_asked_and_told_stays(tmp_path: Path) -> None:
    study = _study(tmp_path)
    done, failed, running = (study.ask() for _ in range(3))
    study.tell(done, 0.5)
    study.tell(failed, None)
    found = _study(tmp_path).trials()
    assert [(trial.state, trial.value) for trial in found] == [
        (DONE, 0.5),
        (FAILED, None),
        (RUNNING, None),
    ]
    assert [trial.values for trial in found] == [done.values, failed.values, running.values]


def test_a_trial_that_is_asked_again_keeps_number_and_values(tmp_path: Path) -> None:
    study = _study(tmp_path)
    first = study.ask()
    study.tell(first, None)
    assert study.ask_again(first) == first
    assert study.ask().number == 1
    assert study.tell(first, 0.5) == Trial(0, first.values, DONE, 0.5)
    assert [trial.number for trial in study.trials()] == [0, 1]
