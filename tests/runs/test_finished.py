"""Finished runs, found by folder, sweep or pattern."""

from pathlib import Path

import pytest

from facebias.errors import RunError
from facebias.runs.finished import find_runs
from facebias.runs.folder import CONFIG, STATUS


def _run(folder: Path, status: str) -> Path:
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text("seed: 0\n")
    (folder / STATUS).write_text(f'{{"status": "{status}"}}')
    return folder


@pytest.mark.parametrize("status", [None, "failed"])
def test_a_sweep_of_which_nothing_has_finished_is_told_by_its_folder(
    tmp_path: Path, status: str | None
) -> None:
    sweep = tmp_path / "sweeps" / "mine"
    sweep.mkdir(parents=True)
    if status:
        _run(sweep / "0_train_seed0", status)
    for name in ("mine", str(sweep)):
        with pytest.raises(RunError, match=r"sweeps/mine has no finished run"):
            find_runs(None, name, tmp_path)
    with pytest.raises(RunError, match=r"sweeps/mine has no finished run"):
        find_runs([str(sweep)], None, tmp_path)


def test_of_a_sweep_the_finished_runs_are_found_and_of_a_run_itself(tmp_path: Path) -> None:
    sweep = tmp_path / "sweeps" / "mine"
    done = [_run(sweep / f"{number}_train_seed{number}", "done") for number in (2, 10)]
    _run(sweep / "3_train_seed3", "failed")
    assert find_runs(None, "mine", tmp_path) == done
    assert find_runs(None, str(done[0]), tmp_path) == find_runs([str(done[0])], None, tmp_path)
    assert find_runs([str(done[0])], None, tmp_path) == done[:1]
