"""The plan of a sweep: what is the same job, what has changed, what is refused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias.errors import ConfigError
from facebias.runs.sweeps.plan import PLAN, Job, go_on, read_plan, refuse_twins, write_plan

SWEEP = Path("/outputs/sweeps/name")


def _job(number: int, seed: int, sweep: Path = SWEEP, **values: Any) -> Job:  # noqa: ANN401
    folder = f"{number}_train_seed{seed}"
    config: dict[str, Any] = {
        "seed": seed,
        "threads": 2,
        "paths": {"run": str(sweep / folder)},
        "callbacks": {"last": {"dirpath": f"{sweep / folder}/checkpoints"}},
        "trainer": {"max_epochs": 5, "milestones": {2: 0.1}, "limit": float("inf")},
    }
    return Job(number, folder, (f"seed={seed}",), config | values)


def _jobs(*seeds: int, **values: Any) -> list[Job]:  # noqa: ANN401
    return [_job(number, seed, **values) for number, seed in enumerate(seeds)]


def _read_back(folder: Path, jobs: Sequence[Job]) -> list[Job]:
    write_plan(folder, jobs)
    planned = read_plan(folder)
    assert planned is not None
    return planned


def test_a_folder_without_a_plan_has_none(tmp_path: Path) -> None:
    assert read_plan(tmp_path) is None


def test_a_plan_is_read_by_other_programs(tmp_path: Path) -> None:
    write_plan(tmp_path, _jobs(3))
    (job,) = json.loads((tmp_path / PLAN).read_text())["jobs"]
    assert (job["number"], job["folder"], job["overrides"]) == (0, "0_train_seed3", ["seed=3"])
    assert job["config"]["paths"]["run"] == "/outputs/sweeps/name/0_train_seed3"


@pytest.mark.parametrize("text", ["{", "[]", '{"jobs": [{"number": 0}]}'])
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / PLAN).write_text(text)
    with pytest.raises(ConfigError, match=r"plan\.json cannot be read"):
        read_plan(tmp_path)


@pytest.mark.parametrize(
    "config", [{}, None, [], {"paths": {"run": "/x"}}, {"paths": {}, "threads": 1}, {"threads": 1}]
)
def test_a_plan_with_a_job_that_is_none_is_refused(tmp_path: Path, config: object) -> None:
    row = {"number": 0, "folder": "0_x", "overrides": [], "config": config}
    (tmp_path / PLAN).write_text(json.dumps({"jobs": [row]}))
    with pytest.raises(ConfigError, match="cannot be read as a plan of this version"):
        read_plan(tmp_path)


@given(st.permutations(range(5)))
def test_the_order_of_the_values_changes_neither_numbers_nor_folders(order: list[int]) -> None:
    planned = _jobs(0, 1, 2, 3, 4)
    assert go_on(SWEEP, _jobs(*order), planned) == [
        Job(job.number, job.folder, job.overrides, job.config) for job in planned
    ]


def test_the_same_jobs_go_on_as_python_has_them_and_not_as_json_does(tmp_path: Path) -> None:
    jobs = _jobs(0, 1, sweep=tmp_path)
    assert go_on(tmp_path, jobs, _read_back(tmp_path, jobs)) == jobs
    assert jobs[0].config["trainer"]["milestones"] == {2: 0.1}


def test_a_sweep_that_was_moved_goes_on_where_it_is(tmp_path: Path) -> None:
    planned = _read_back(tmp_path, _jobs(0, 1))
    (first, _) = go_on(tmp_path, _jobs(1, 0, sweep=Path("/elsewhere")), planned)
    assert first.run == tmp_path / "0_train_seed0"
    assert first.config["callbacks"]["last"]["dirpath"] == f"{first.run}/checkpoints"


def test_threads_that_are_left_open_stay_those_of_the_plan() -> None:
    (job,) = go_on(SWEEP, _jobs(0, threads=None), _jobs(0))
    assert job.config["threads"] == 2


def test_other_threads_are_no_change_and_those_of_the_plan_stay() -> None:
    (job,) = go_on(SWEEP, _jobs(0, threads=7), _jobs(0))
    assert job.config["threads"] == 2


@pytest.mark.parametrize("key", ["workers", "store"])
def test_what_a_run_that_goes_on_may_change_a_sweep_may_change_too(key: str) -> None:
    planned, now = _jobs(0, data={key: 0, "seed": 3}), _jobs(0, data={key: 2, "seed": 3})
    (job,) = go_on(SWEEP, now, planned)
    assert job.config["data"] == {key: 2, "seed": 3}  # as it is asked for now
    with pytest.raises(ConfigError, match=r"data\.seed: 3 -> 4") as error:
        go_on(SWEEP, _jobs(0, data={key: 2, "seed": 4}), planned)
    assert key not in error.value.found


def test_a_change_names_jobs_and_keys() -> None:
    changed = _jobs(0, 1, 4, trainer={**_jobs(0)[0].config["trainer"], "max_epochs": 6})
    with pytest.raises(ConfigError) as error:
        go_on(SWEEP, changed, _jobs(0, 1, 2))
    assert error.value.found.splitlines()[1:] == [
        "  new: job 2 (seed=4)",
        "  gone: job 2 (seed=2)",
        "  job 0, 1: trainer.max_epochs: 5 -> 6",
    ]


@pytest.mark.parametrize(
    ("now", "says"), [([0], "gone: job 1 (seed=1)"), ([0, 1, 2], "new: job 2 (seed=2)")]
)
def test_fewer_and_more_jobs_are_a_change(now: list[int], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        go_on(SWEEP, _jobs(*now), _jobs(0, 1))
    assert error.value.found.splitlines()[1:] == [f"  {says}"]


def test_a_key_that_is_new_is_named() -> None:
    with pytest.raises(ConfigError, match=r"job 0: name: \(not there\) -> mine"):
        go_on(SWEEP, _jobs(0, name="mine"), _jobs(0))


def test_jobs_that_differ_in_their_folder_only_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"job 0 \(seed=3\) and job 1 \(seed=3\) have the same"):
        refuse_twins(_jobs(3, 3))


def test_jobs_that_share_a_folder_are_refused() -> None:
    first, second = _jobs(0, 1)
    with pytest.raises(ConfigError, match="share the folder"):
        refuse_twins([first, second.moved(1, first.folder, first.run)])


@pytest.mark.parametrize("other", [{"seed": 4}, {"trainer": {"max_epochs": 6}}, {"name": "mine"}])
def test_twins_that_come_to_differ_in_one_value_are_not_refused(other: dict[str, Any]) -> None:
    first, second = _jobs(3, 3)
    with pytest.raises(ConfigError):
        refuse_twins([first, second])
    refuse_twins([first, second.changed(**other)])


@pytest.mark.parametrize("other", [{"threads": 7}, {"data": {"workers": 2}}])
def test_twins_that_differ_in_what_changes_no_result_are_refused(other: dict[str, Any]) -> None:
    first, second = _jobs(3, 3, data={"workers": 0})
    with pytest.raises(ConfigError, match="have the same"):
        refuse_twins([first, second.changed(**other)])


def test_titles_have_what_tells_jobs_apart_and_survive_the_plan(tmp_path: Path) -> None:
    jobs = [replace(job, overrides=("name=x", *job.overrides)) for job in _jobs(5, 7)]
    assert jobs[0].title == "job 0 (name=x seed=5)"
    assert [job.title for job in _read_back(tmp_path, jobs)] == ["job 0 (seed=5)", "job 1 (seed=7)"]
    assert [job.title for job in _read_back(tmp_path, jobs[:1])] == ["job 0"]


def test_of_very_many_changes_the_first_are_listed() -> None:
    with pytest.raises(ConfigError) as error:
        go_on(SWEEP, _jobs(*range(30)), _jobs(0))
    lines = error.value.found.splitlines()
    assert lines[1] == "  new: job 1 (seed=1)"
    assert (len(lines), lines[-1]) == (14, "  and 17 more")


def test_a_moved_job_takes_every_path_along_and_no_other_text() -> None:
    job = _job(1, 3, name="train_seed3").moved(0, "0_x", SWEEP / "0_x")
    assert (job.number, job.folder, job.run) == (0, "0_x", SWEEP / "0_x")
    assert job.config["callbacks"]["last"]["dirpath"] == "/outputs/sweeps/name/0_x/checkpoints"
    assert job.config["name"] == "train_seed3"


def test_a_path_that_only_begins_alike_stays() -> None:
    other = f"{SWEEP}/1_train_seed3_fold1"
    assert _job(1, 3, other=other).moved(0, "0_x", SWEEP / "0_x").config["other"] == other
