"""Sweeps in this process, with a verb that trains nothing: what runs, what is told, what stays."""

import json
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from omegaconf import OmegaConf

from facebias.config import _unique
from facebias.errors import DataError
from facebias.runs.folder import STATUS
from facebias.runs.ranks.processes import local_processes
from facebias.runs.sweeps.plan import PLAN
from facebias.runs.sweeps.table import STATE
from tests.runs.swept import Command, IdleVerb, swept_folder


def _states(name: str = "mine") -> dict[str, str]:
    jobs = json.loads((swept_folder(name) / STATE).read_text())["jobs"]
    return {job["folder"]: job["status"] for job in jobs}


def _plan(name: str = "mine") -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = json.loads((swept_folder(name) / PLAN).read_text())["jobs"]
    return jobs


def test_a_sweep_runs_each_job_once_with_the_configuration_of_its_plan(
    sweep: Command, verb: IdleVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("seed=5,7", "sweep=mine") == 0
    assert [config.sweep for config in verb.configs] == ["mine", "mine"]
    planned = [OmegaConf.create(job["config"]) for job in _plan()]
    assert verb.configs == planned
    assert [Path(config.paths.run) for config in planned] == [
        Path.cwd() / swept_folder() / name for name in ("0_train_seed5", "1_train_seed7")
    ]
    assert all(config.threads >= 1 for config in planned)
    assert "2 of 2 jobs done" in capsys.readouterr().out


@pytest.mark.slow
def test_a_sweep_without_a_name_has_a_time_in_its_folder_and_its_jobs_know_it(
    sweep: Command, verb: IdleVerb
) -> None:
    assert sweep("seed=1") == 0
    _unique.cache_clear()  # as in the process of a second command, be it in the same second
    assert sweep("seed=1") == 0
    folders = [Path(config.paths.run).parent for config in verb.configs]
    assert len(set(folders)) == 2
    assert [config.sweep for config in verb.configs] == [folder.name for folder in folders]


def test_the_same_command_runs_only_what_is_missing_or_failed(
    sweep: Command, verb: IdleVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    verb.fails = {2: DataError("too few faces")}
    assert sweep("seed=1,2,3", "sweep=mine") == 2
    assert verb.seeds() == [1, 2, 3]
    assert list(_states().values()) == ["done", "failed", "done"]
    assert "DataError: too few faces" in capsys.readouterr().out
    verb.fails = {}
    assert sweep("seed=1,2,3", "sweep=mine") == 0
    assert Path(verb.configs[0].paths.run).name == "1_train_seed2"
    assert verb.seeds() == [2]
    assert sweep("seed=3,2,1", "sweep=mine") == 0  # in another order, too
    assert verb.seeds() == []


def test_a_bug_in_one_job_stops_no_other_and_stays_in_its_log(
    sweep: Command, verb: IdleVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    verb.fails = {1: ZeroDivisionError("a bug"), 2: DataError("too few faces")}
    assert sweep("seed=1,2,3", "sweep=mine") == 1
    assert list(_states().values()) == ["failed", "failed", "done"]
    log = (swept_folder() / "0_train_seed1" / "run.log").read_text()
    for text in (log, capsys.readouterr().err):
        assert "Traceback (most recent call last)" in text
        assert "ZeroDivisionError: a bug" in text


@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_an_interruption_ends_the_sweep_and_the_rest_goes_on_later(
    sweep: Command, verb: IdleVerb, end: BaseException, code: int
) -> None:
    verb.fails = {2: end}
    assert sweep("seed=1,2,3", "sweep=mine") == code
    assert list(_states().values()) == ["done", "failed", "waiting"]
    verb.fails = {}
    assert sweep("seed=1,2,3", "sweep=mine") == 0
    assert verb.seeds() == [1, 2, 2, 3]


def test_an_error_in_the_wake_of_an_interruption_is_that_interruption(
    sweep: Command, verb: IdleVerb
) -> None:
    loader = RuntimeError("a loader was killed by the signal")
    loader.__context__ = SystemExit(143)
    verb.fails = {2: loader}
    assert sweep("seed=1,2,3", "sweep=mine") == 143
    assert list(_states().values()) == ["done", "failed", "waiting"]
    status = json.loads((swept_folder() / "1_train_seed2" / STATUS).read_text())
    assert status["reason"] == "terminated"


def test_a_job_that_was_killed_is_run_again(sweep: Command, verb: IdleVerb) -> None:
    assert sweep("seed=1,2", "sweep=mine") == 0
    status = swept_folder() / "1_train_seed2" / STATUS
    status.write_text('{"status": "running", "at": "2026-01-01T00:00:00+00:00"}')
    verb.configs.clear()
    assert sweep("seed=1,2", "sweep=mine") == 0
    assert verb.seeds() == [2]


def test_a_changed_plan_is_refused_and_nothing_runs(
    sweep: Command, verb: IdleVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("seed=1,2", "sweep=mine") == 0
    before = (swept_folder() / PLAN).read_bytes()
    verb.configs.clear()
    assert sweep("seed=1,3", "sweep=mine", "trainer.max_epochs=7") == 2
    error = capsys.readouterr().err
    for part in ("new: job 1 (", "gone: job 1 (", "job 0: trainer.max_epochs: 25 -> 7"):
        assert part in error
    assert (verb.seeds(), (swept_folder() / PLAN).read_bytes()) == ([], before)


def test_runs_whose_plan_is_gone_are_taken_only_where_their_configuration_is_the_same(
    sweep: Command, verb: IdleVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("seed=1,2", "sweep=mine") == 0
    (swept_folder() / PLAN).unlink()
    verb.configs.clear()
    assert sweep("seed=1,2", "sweep=mine", "optimizer.lr=0.5") == 2
    error = capsys.readouterr().err
    assert "1_train_seed2: optimizer.lr: " in error
    assert not (swept_folder() / PLAN).exists()
    assert sweep("seed=1,2", "sweep=mine") == 0
    assert verb.seeds() == []


def test_equal_jobs_are_refused(sweep: Command, verb: IdleVerb, tmp_path: Path) -> None:
    assert sweep("seed=1,1") == 2
    assert (verb.seeds(), list(tmp_path.iterdir())) == ([], [])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["seed=1,-2", "sweep=mine"], "job 1 (seed=-2): seed is -2"),
        (["seed=1,2", "sweep=a,b"], "sweep is 'a' in one job"),
        (["seed=1,2", "sweep=../b"], "sweep is '../b'"),
        (["seed=1,2", "sweep=.."], "sweep is '..'"),
        (["seed=1,2", "sweep=."], "sweep is '.'"),
        (["seed=1,2", "sweep="], "sweep is ''"),
        (["seed=1,2", "paths.run=one"], "paths.run is one"),
        (["seed=1,2", "hydra.sweep.subdir=one"], "share the folder"),
        (["seed=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=0"], "n_jobs is 0"),
        (["seed=1,2", "hydra.launcher=joblib"], "write hydra/launcher=joblib, with a slash"),
        (["seed=1,2", "hydra/launcher=submitit_slurm"], "this machine has no srun"),
    ],
)
def test_a_wrong_sweep_is_refused_before_anything_is_written(
    sweep: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.setattr("facebias.runs.sweeps.launchers.shutil.which", lambda name: None)
    assert sweep(*arguments) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_two_sweeps_cannot_be_at_work_in_one_folder(
    sweep: Command,
    verb: IdleVerb,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("facebias.runs.sweeps.run._LOCK_SECONDS", 0.1)
    swept_folder().mkdir(parents=True)
    with FileLock(swept_folder() / ".lock"):
        assert sweep("seed=1,2", "sweep=mine") == 2
    assert "another sweep is at work" in capsys.readouterr().err
    assert verb.seeds() == []


def test_a_job_that_is_at_work_elsewhere_is_left_alone(
    sweep: Command, verb: IdleVerb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facebias.runs.sweeps.run._LOCK_SECONDS", 0.1)
    assert sweep("seed=1,2", "sweep=mine") == 0
    folder = swept_folder() / "1_train_seed2"
    (folder / STATUS).write_text('{"status": "running", "at": "2026-01-01T00:00:00+00:00"}')
    verb.configs.clear()
    with FileLock(folder / ".lock"):
        assert sweep("seed=1,2", "sweep=mine") == 2
    assert verb.seeds() == []
    assert _states() == {"0_train_seed1": "done", "1_train_seed2": "running"}


def test_a_dry_run_shows_the_plan_and_each_job_and_writes_nothing(
    sweep: Command, verb: IdleVerb, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verb.fails = {2: DataError("too few faces")}
    assert sweep("seed=1,2", "sweep=mine", "dry_run=true") == 0
    assert [config.dry_run for config in verb.configs] == [True, True]
    verb.configs.clear()
    assert list(tmp_path.iterdir()) == []
    assert sweep("seed=1,2", "sweep=mine") == 2
    capsys.readouterr()
    assert sweep("seed=1,2", "sweep=mine", "dry_run=true") == 0
    assert "1 of 2 jobs done" in capsys.readouterr().out


def test_folds_are_in_the_names_of_folders_where_they_vary(sweep: Command) -> None:
    assert sweep("fold=0,1", "sweep=mine", "hydra.sweep.dir=${paths.outputs}/folds") == 0
    jobs = json.loads(Path("outputs/folds", STATE).read_text())["jobs"]
    assert [job["folder"] for job in jobs] == ["0_train_seed0_fold0", "1_train_seed0_fold1"]


@pytest.mark.slow
def test_threads_are_asked_for_or_shared_out_once_and_for_all(
    sweep: Command, verb: IdleVerb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "12")
    launcher = ("hydra/launcher=submitit_local", "dry_run=true", "trainer=ddp_cpu")
    sweep("seed=1,2", "sweep=local", *launcher)
    sweep("seed=1,2", "sweep=asked", "threads=5", "dry_run=true")
    sweep("seed=1,2", "sweep=mine")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    (swept_folder() / "0_train_seed1" / STATUS).unlink()
    sweep("seed=1,2", "sweep=mine")
    sweep("seed=1,2", "sweep=mine", "threads=7")
    assert [config.threads for config in verb.configs] == [3, 3, 5, 5, 12, 12, 12]


def test_a_sweep_goes_on_with_other_workers_and_another_cache(
    sweep: Command, verb: IdleVerb
) -> None:
    verb.fails = {2: DataError("too few faces")}
    assert sweep("seed=1,2", "sweep=mine") == 2
    verb.fails = {}
    verb.configs.clear()
    assert sweep("seed=1,2", "sweep=mine", "data.workers=1", "paths.cache=other", "threads=2") == 0
    (again,) = verb.configs
    assert (again.seed, again.data.workers, again.paths.cache) == (2, 1, "other")
    assert again.threads == _plan()[0]["config"]["threads"]


@pytest.mark.parametrize(
    ("arguments", "at_once"),
    [
        (["trainer=gpu"], 3),
        pytest.param(["trainer=gpu", "hydra.launcher.n_jobs=5"], 5, marks=pytest.mark.slow),
        (["trainer=gpu", "trainer.devices=2"], 1),
        pytest.param(["trainer=gpu", "trainer.devices=[1]"], 1, marks=pytest.mark.slow),
        pytest.param(["trainer=gpu,cpu"], 3, marks=pytest.mark.slow),
        (["trainer=cpu"], 8),
    ],
    ids=str,
)
def test_joblib_runs_as_many_jobs_at_once_as_there_are_gpus_unless_told_otherwise(
    sweep: Command,
    verb: IdleVerb,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    at_once: int,
) -> None:
    monkeypatch.setattr("facebias.runs.sweeps.launchers.gpu_count", lambda: 3)
    monkeypatch.setattr("joblib.effective_n_jobs", lambda count: count if count > 0 else 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "120")
    assert sweep("hydra/launcher=joblib", "seed=range(0,9)", "dry_run=true", *arguments) == 0
    shares = [config.threads * local_processes(config) for config in verb.configs]
    assert set(shares) == {120 // at_once}
    capped = at_once != 8 and "hydra.launcher.n_jobs=5" not in arguments
    assert (f"{at_once} at once, each on a GPU" in capsys.readouterr().err) == capped


def test_params_of_the_sweeper_are_overrides_too(sweep: Command, verb: IdleVerb) -> None:
    assert sweep("+hydra.sweeper.params.seed='4,5'") == 0
    assert verb.seeds() == [4, 5]


@pytest.mark.slow
def test_the_basic_sweeper_is_still_there(sweep: Command, verb: IdleVerb) -> None:
    assert sweep("hydra/sweeper=basic", "seed=1,2") == 0
    assert verb.seeds() == [1, 2]


def test_a_launcher_that_is_not_there_is_told(
    sweep: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("hydra/launcher=nowhere", "seed=1,2") == 2
    assert "no option 'nowhere'" in capsys.readouterr().err
