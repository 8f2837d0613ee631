"""Searches in this process, with a verb that trains nothing: what is tried, told and kept."""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from facebias.errors import DataError, RunError
from facebias.runs.folder import STATUS
from facebias.runs.search.plan import SEARCH
from facebias.runs.search.table import TRIALS
from facebias.runs.sweeps.plan import Job
from facebias.runs.sweeps.table import STATE
from tests.runs.swept import Command, IdleVerb, swept_folder

LR = "optimizer.lr=tag(log,interval(1e-4,1e-1))"
SPACE = (LR, "model.kernels=[3,5,7],[3,3,3]")


def _stub(jobs: list[Job]) -> float:
    """Score a trial without training: the rate of learning should be 0.01, the seed large."""
    scores = [
        math.log10(job.config["optimizer"]["lr"] / 0.01) ** 2 - job.config["seed"] for job in jobs
    ]
    return math.fsum(scores) / len(scores)


@pytest.fixture
def search(sweep: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a function that runs a search in an empty folder and gives its exit code."""
    monkeypatch.setattr("facebias.runs.search.run.objective", _stub)

    def run(*arguments: str, name: str = "mine") -> int:
        return sweep("hydra/sweeper=search", f"sweep={name}", *arguments)

    return run


def _rows(name: str = "mine") -> list[dict[str, str]]:
    with (swept_folder(name) / TRIALS).open(newline="") as file:
        return list(csv.DictReader(file))


def _trials(count: int) -> str:
    return f"hydra.sweeper.trials={count}"


def test_a_search_runs_its_trials_and_prints_the_best_as_overrides(
    search: Command, verb: IdleVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(_trials(6), "name=small", *SPACE) == 0
    rows = _rows()
    assert [row["folder"] for row in rows] == [f"{n}_small_seed0" for n in range(6)]
    assert {row["state"] for row in rows} == {"done"}
    assert all(1e-4 <= float(row["optimizer.lr"]) <= 1e-1 for row in rows)
    assert {row["model.kernels"] for row in rows} == {"[3,5,7]", "[3,3,3]"}
    assert [float(row["value"]) for row in rows] == pytest.approx(
        [math.log10(float(row["optimizer.lr"]) / 0.01) ** 2 for row in rows]
    )
    best = min(rows, key=lambda row: float(row["value"]))
    said = capsys.readouterr().out
    assert f"best: trial {best['trial']}, validation/loss" in said
    assert f"optimizer.lr={best['optimizer.lr']} 'model.kernels={best['model.kernels']}'" in said
    assert "python -m facebias.train data.root=x name=small optimizer.lr=" in said
    assert "test=true\n" in said
    assert "too good" in said
    assert "6 of 6 jobs done" in said  # the table of sweeps


def test_a_trial_runs_as_its_row_says_and_never_scores_test_faces(
    search: Command, verb: IdleVerb
) -> None:
    assert search(_trials(3), *SPACE) == 0
    assert [config.test for config in verb.configs] == [False] * 3
    assert [config.sweep for config in verb.configs] == ["mine"] * 3
    assert [repr(config.optimizer.lr) for config in verb.configs] == [
        row["optimizer.lr"] for row in _rows()
    ]
    planned = json.loads((swept_folder() / "plan.json").read_text())["jobs"]
    assert verb.configs == [OmegaConf.create(job["config"]) for job in planned]


@pytest.mark.parametrize("test", ["test=true", "++test=true", "test=true,false", "~test"])
def test_a_command_that_would_score_test_faces_is_refused(
    search: Command, verb: IdleVerb, tmp_path: Path, capsys: pytest.CaptureFixture[str], test: str
) -> None:
    assert search(_trials(3), *SPACE, test) == 2
    assert "has no test left" in capsys.readouterr().err
    assert (verb.configs, list(tmp_path.iterdir())) == ([], [])


def test_experiments_that_score_test_faces_do_not_in_a_search(
    search: Command, verb: IdleVerb
) -> None:
    assert search(_trials(1), LR, "+experiment=faces_positive", "test=false") == 0
    assert verb.configs[0].test is False


def test_a_search_that_was_interrupted_goes_on_as_if_it_had_not_been(
    search: Command, verb: IdleVerb
) -> None:
    assert search(_trials(4), *SPACE, name="whole") == 0
    verb.configs.clear()
    verb.fails = {2: KeyboardInterrupt(), 4: SystemExit(143)}
    assert search(_trials(4), *SPACE) == 130
    assert [row["state"] for row in _rows()] == ["done", "running"]
    assert search(_trials(4), *SPACE) == 143
    assert search(_trials(4), *SPACE) == 0
    assert len(verb.configs) == 6  # the two that were interrupted twice, no other
    assert _rows() == _rows("whole")


@pytest.mark.slow
def test_the_same_command_with_more_trials_goes_on(search: Command, verb: IdleVerb) -> None:
    assert search(_trials(2), *SPACE) == 0
    before = _rows()
    assert search(_trials(2), *SPACE) == 0
    assert len(verb.configs) == 2
    assert search(_trials(4), *SPACE) == 0
    assert len(verb.configs) == 4
    assert _rows()[:2] == before


@pytest.mark.slow
def test_a_kill_between_asking_and_planning_loses_no_trial(
    search: Command, verb: IdleVerb, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("facebias.runs.search.run.write_plan", _killed)
        assert search(_trials(2), *SPACE) == 130
    assert search(_trials(2), *SPACE) == 0
    assert search(_trials(2), *SPACE, name="whole") == 0
    assert _rows() == _rows("whole")


def _killed(*_: Any) -> None:  # noqa: ANN401
    raise KeyboardInterrupt


def test_a_run_that_was_killed_is_run_again_in_its_folder(search: Command, verb: IdleVerb) -> None:
    verb.fails = {2: KeyboardInterrupt()}
    assert search(_trials(3), *SPACE) == 130
    status = swept_folder() / "1_train_seed0" / STATUS
    status.write_text('{"status": "running", "at": "2026-01-01T00:00:00+00:00"}')
    assert search(_trials(3), *SPACE) == 0
    again = [Path(config.paths.run).name[0] for config in verb.configs]
    assert again == ["0", "1", "1", "2"]
    assert verb.configs[1] == verb.configs[2]


def test_a_trial_that_fails_stops_no_other_and_is_tried_again_by_the_same_command(
    search: Command, verb: IdleVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    verb.fails = {1: DataError("too few faces"), 2: ZeroDivisionError("a bug")}
    assert search(_trials(4), *SPACE) == 1
    assert [row["state"] for row in _rows()] == ["failed", "failed", "done", "done"]
    assert [row["value"] != "" for row in _rows()] == [False, False, True, True]
    said = capsys.readouterr().out
    assert "failed: DataError: too few faces" in said
    assert "2 of 4 trials done" in said
    tried = [row["optimizer.lr"] for row in _rows()]
    assert search(_trials(4), *SPACE) == 0
    assert [row["optimizer.lr"] for row in _rows()] == tried
    assert {row["state"] for row in _rows()} == {"done"}
    assert len(verb.configs) == 6


@pytest.mark.parametrize("says", [math.nan, RunError("no such metric")])
def test_an_objective_that_is_undefined_fails_its_trial_and_is_not_run_again(
    search: Command,
    verb: IdleVerb,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    says: float | RunError,
) -> None:
    def undefined(jobs: list[Job]) -> float:
        if isinstance(says, RunError):
            raise says
        return says

    monkeypatch.setattr("facebias.runs.search.run.objective", undefined)
    for _ in range(2):
        assert search(_trials(2), LR) == 0
        assert [row["state"] for row in _rows()] == ["failed", "failed"]
        said = capsys.readouterr().out
        assert "best" not in said
    assert len(verb.configs) == 2


@pytest.mark.slow
def test_several_seeds_and_folds_are_repeats_whose_mean_counts(
    search: Command, verb: IdleVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    verb.fails = {5: DataError("too few faces")}
    command = (_trials(2), LR, "seed=3,5", "fold=range(0,2)")
    assert search(*command) == 2
    first, second = _rows()
    assert first["folder"].split() == [
        f"0_train_seed{seed}_fold{fold}" for seed in (3, 5) for fold in (0, 1)
    ]
    distance = math.log10(float(first["optimizer.lr"]) / 0.01) ** 2
    assert float(first["value"]) == pytest.approx(distance - 4)
    assert (second["state"], second["value"]) == ("failed", "")
    assert "mean of 4 runs" in capsys.readouterr().out
    verb.configs.clear()
    verb.fails = {}
    assert search(*command) == 0
    assert [Path(config.paths.run).name for config in verb.configs] == ["1_train_seed3_fold0"]
    assert _rows()[1]["state"] == "done"


@pytest.mark.slow
def test_a_changed_search_is_refused_with_the_difference(
    search: Command, verb: IdleVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(_trials(1), *SPACE) == 0
    before = (swept_folder() / SEARCH).read_bytes()
    for arguments, says in (
        ((LR.replace("1e-1", "1"), SPACE[1]), "search.space.optimizer.lr: 0.0001 to 0.1, log ->"),
        ((*SPACE, "trainer.max_epochs=7"), "trainer.max_epochs: 25 -> 7"),
        ((*SPACE, "seed=1,2"), "search.repeats: [[]] -> [['seed=1'], ['seed=2']]"),
        ((*SPACE, "hydra.sweeper.seed=1"), "search.seed: 0 -> 1"),
        ((*SPACE, "hydra.sweeper.sampler=random"), "search.sampler: tpe -> random"),
        ((LR,), "search.space.model.kernels: [3,3,3],[3,5,7] -> (not there)"),
    ):
        assert search(_trials(2), *arguments) == 2
        assert says in capsys.readouterr().err
    assert (len(verb.configs), (swept_folder() / SEARCH).read_bytes()) == (1, before)


@pytest.mark.slow
def test_a_search_goes_on_with_other_workers_and_keeps_its_threads(
    search: Command, verb: IdleVerb
) -> None:
    assert search(_trials(1), *SPACE) == 0
    assert search(_trials(2), *SPACE, "data.workers=1", "paths.cache=other", "threads=9") == 0
    first, second = verb.configs
    assert (second.data.workers, second.paths.cache) == (1, "other")
    assert second.threads == first.threads


def test_a_sweep_is_no_search_and_a_search_no_sweep(
    search: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(_trials(1), LR, name="search") == 0
    assert search("hydra/sweeper=planned", "seed=1,2", name="search") == 2
    assert "was planned with other jobs" in capsys.readouterr().err
    assert search("hydra/sweeper=planned", "seed=1,2", name="sweep") == 0
    assert search(_trials(1), LR, name="sweep") == 2
    assert "is no search" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no key has several values"),
        (["seed=1,2"], "no key has several values"),
        (["data.batch_size=range(0,64)"], "data.batch_size is 0"),  # its lowest value is checked
        (["optimizer.lr=interval(0.1,0.01)"], "cannot be searched"),
        (["optimizer.rl=interval(0.1,0.2)"], "rl"),
        (["data.seed=0,1"], "data.seed differs between"),
        (["checkpoint.monitor=validation/loss,validation/accuracy"], "checkpoint.monitor differs"),
        (["checkpoint.use=best,last"], "at weights picked in one way"),
        (["+callbacks.best.every_n_epochs=1,2"], "callbacks.best differs between"),
        ([LR, "hydra/launcher=joblib", "hydra.launcher.n_jobs=0"], "n_jobs is 0"),
        (["data.fold=0,1"], "leave data.fold out of the search; fold=0,1 runs every trial"),
        (["fold=0,1", "data.fold=0,1"], "data.fold differs"),
        (["trainer.limit_val_batches=interval(0.1,1.0)"], "trainer.limit_val_batches differs"),
        (["+trainer.overfit_batches=0.0,0.5"], "trainer.overfit_batches differs"),
        (["+trainer.check_val_every_n_epoch=range(1,3)"], "check_val_every_n_epoch differs"),
        (["+trainer.val_check_interval=0.5,1.0"], "trainer.val_check_interval differs"),
        (["callbacks.fairness.min_group=5,30"], "measured with one measure, equally often"),
        (["callbacks.fairness.intersections=null,[[gender,age]]"], "callbacks.fairness differs"),
        (["classifier.label_smoothing=0.0,0.1"], "classifier differs"),
        ([LR, "~logger.csv"], "has no logger.csv"),
        ([LR, "hydra.sweeper.sampler=grid"], "sampler is 'grid'"),
        ([LR, "hydra.sweeper.trials=0"], "trials is 0"),
        ([LR, "hydra/launcher=submitit_local"], "LocalLauncher"),
    ],
)
def test_a_wrong_search_is_refused_before_anything_is_written(
    search: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    assert search(*arguments) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_label_smoothing_can_be_searched_by_a_metric_that_it_does_not_change(
    search: Command,
) -> None:
    monitor = "checkpoint.monitor=validation/macro_f1"
    assert search(_trials(1), "classifier.label_smoothing=0.0,0.1", monitor) == 0


@pytest.mark.slow
def test_repeats_may_have_faces_of_their_own(search: Command, verb: IdleVerb) -> None:
    assert search(_trials(1), LR, "seed=1,2", "fold=0,1", "data.seed=${seed}") == 0
    found = [(config.data.seed, config.data.fold) for config in verb.configs]
    assert found == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_a_search_without_optuna_names_the_extra(
    search: Command,
    verb: IdleVerb,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("facebias.runs.search.plan.find_spec", lambda name: None)
    assert search(_trials(1), LR) == 2
    assert "pip install 'facebias[search]'" in capsys.readouterr().err
    assert verb.configs == []


def test_a_study_that_cannot_be_read_is_told(
    search: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    swept_folder().mkdir(parents=True)
    (swept_folder() / "study.db").write_text("this is no study, and never was one")
    assert search(_trials(1), LR) == 2
    assert "study.db cannot be used" in capsys.readouterr().err


def test_a_dry_run_shows_the_space_and_a_job_and_writes_nothing(
    search: Command, verb: IdleVerb, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(_trials(5), *SPACE, "fold=0,1", "dry_run=true") == 0
    said = capsys.readouterr().out
    for part in ("5 trials", "optimizer.lr: 0.0001 to 0.1, log", "each 2 times: fold=0; fold=1"):
        assert part in said
    assert [config.dry_run for config in verb.configs] == [True]
    assert list(tmp_path.iterdir()) == []


def test_the_status_of_every_run_is_kept_as_in_a_sweep(search: Command, verb: IdleVerb) -> None:
    verb.fails = {2: DataError("too few faces")}
    assert search(_trials(3), LR) == 2
    jobs = json.loads((swept_folder() / STATE).read_text())["jobs"]
    assert [job["status"] for job in jobs] == ["done", "failed", "done"]
    assert jobs[1]["reason"] == "DataError: too few faces"


def test_the_door_to_a_search_loads_neither_optuna_nor_what_is_heavy() -> None:
    code = "import sys, hydra_plugins.facebias_search; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    loaded = set(done.stdout.split())
    assert "hydra_plugins.facebias_search" in loaded
    assert not loaded & {"optuna", "sqlalchemy", "torch", "lightning", "pandas", "numpy"}
