import json
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from facebias.errors import RunError
from facebias.runs import folder as folder_module
from facebias.runs.folder import open_run, read_run

CONFIG = DictConfig({"seed": 3, "data": {"seed": 5}, "name": "x"})


def status(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / "status.json").read_text())
    return found


def test_status_is_running_then_done(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", CONFIG) as folder:
        assert status(folder)["status"] == "running"
        with pytest.raises(RunError, match="running"):
            read_run(folder)
    assert status(folder)["status"] == "done"
    assert read_run(folder) == CONFIG


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("broken"), "ValueError: broken"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(), "terminated"),
    ],
)
def test_status_says_why_a_run_failed(tmp_path: Path, error: BaseException, reason: str) -> None:
    with pytest.raises(type(error)), open_run(tmp_path, CONFIG):
        raise error
    assert status(tmp_path)["status"] == "failed"
    assert status(tmp_path)["reason"] == reason


def test_cpu_seconds_of_all_starts_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.5, 100.0, 104.0])
    monkeypatch.setattr(folder_module, "_spent", lambda: next(clock))
    with pytest.raises(ValueError, match="broken"), open_run(tmp_path, CONFIG):
        raise ValueError("broken")
    assert float(status(tmp_path)["cpu_seconds"]) == 2.5
    with open_run(tmp_path, CONFIG):
        pass
    assert float(status(tmp_path)["cpu_seconds"]) == 6.5


def test_environment_is_recorded(tmp_path: Path) -> None:
    with open_run(tmp_path, CONFIG):
        pass
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["seed"] == 3
    assert environment["data_seed"] == 5
    assert {"torch", "lightning", "hydra-core"} <= set(environment["versions"])
    assert environment["threads"] >= 1


def test_the_configuration_is_written_as_it_was(tmp_path: Path) -> None:
    with open_run(tmp_path, CONFIG):
        pass
    assert OmegaConf.load(tmp_path / "config.yaml") == CONFIG


def test_a_second_live_run_is_refused(tmp_path: Path) -> None:
    with (
        open_run(tmp_path, CONFIG),
        pytest.raises(RunError, match="another run"),
        open_run(tmp_path, CONFIG),
    ):
        pass
    assert status(tmp_path)["status"] == "done"


def test_a_finished_run_is_not_written_over_and_a_failed_one_may_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), open_run(tmp_path, CONFIG):
        raise ValueError("broken")
    with open_run(tmp_path, CONFIG):
        pass
    with pytest.raises(RunError, match="finished run"), open_run(tmp_path, CONFIG):
        pass
    assert status(tmp_path)["status"] == "done"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(RunError, match=r"paths\.outputs"),
        open_run(tmp_path / "file" / "x", CONFIG),
    ):
        pass


def test_a_folder_without_a_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folder"):
        read_run(tmp_path)
