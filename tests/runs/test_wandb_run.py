import os
from pathlib import Path
from typing import Any

import pytest
import wandb

from facebias.runs.wandb_run import ID_FILE, RunWandbLogger, wandb_logger
from tests.wandb_file import items, read_records


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "netrc", "mode"),
    [
        ({}, "", "offline"),
        ({"WANDB_API_KEY": "x" * 40}, "", "online"),
        ({"WANDB_API_KEY": "x" * 40, "WANDB_MODE": "offline"}, "", "offline"),
        ({"WANDB_API_KEY": "x" * 40, "WANDB_MODE": "dryrun"}, "", "offline"),
        ({"WANDB_MODE": "online"}, "", "online"),
        ({"WANDB_MODE": "disabled"}, "", "disabled"),
        ({}, "machine api.wandb.ai login user password secret\n", "online"),
        ({}, "machine example.org login user password secret\n", "offline"),
        (
            {"WANDB_BASE_URL": "https://example.org"},
            "machine example.org login user password secret\n",
            "online",
        ),
        ({}, "not a netrc file", "offline"),
    ],
)
def test_it_is_offline_unless_logged_in(
    variables: dict[str, str],
    netrc: str,
    mode: str,
    tmp_path: Path,
    environment: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    (tmp_path / "netrc").write_text(netrc)
    assert started(wandb_logger(str(tmp_path), "run"), environment)["mode"] == mode


def started(logger: RunWandbLogger, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return with what a W&B run would be started."""

    class StopError(Exception):
        pass

    found: dict[str, Any] = {}

    def note(**options: object) -> None:
        found.update(options)
        raise StopError

    patch.setattr(wandb, "init", note)
    with pytest.raises(StopError):
        _ = logger.experiment
    return found


def test_tags_are_shortened_and_the_group_is_the_study_unless_named(
    tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    for group, expected in ((None, "study"), ("mine", "mine")):
        logger = wandb_logger(str(tmp_path), "run", group=group, tags=["x" * 65, "y" * 64])
        logger.describe({"seed": 0}, "study", {"seed": 0})
        found = started(logger, environment)
        assert found["group"] == expected
        assert found["tags"] == ["seed: 0", "x" * 61 + "...", "y" * 64]
        assert found["config"] == {"seed": 0}


def test_a_training_that_goes_on_is_the_same_run_and_another_folder_another(
    tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    ids = []
    for folder in ("one", "one", "two"):
        found = started(wandb_logger(str(tmp_path / folder), "run"), environment)
        assert found["resume"] == "allow"
        ids.append(found["id"])
    assert ids[0] == ids[1] != ids[2]
    assert (tmp_path / "one" / ID_FILE).read_text().strip() == ids[0]


@pytest.mark.slow
def test_runs_of_one_process_are_runs_of_their_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for n in (0, 1):
        logger = wandb_logger(str(tmp_path / f"run {n}"), "run")
        logger.describe({}, f"group {n}", {})
        logger.log_metrics({"train/loss": float(n), "epoch": 0}, step=0)
        if n == 0:
            logger.finalize("failed")  # and the next job of the sweep begins
        else:
            logger.end()
    for n in (0, 1):
        records = read_records(tmp_path / f"run {n}")
        (run,) = [each.run for each in records if each.HasField("run")]
        assert run.run_group == f"group {n}"
        (row,) = [items(each.history.item) for each in records if each.HasField("history")]
        assert row["train/loss"] == n
    assert f"wandb sync '{tmp_path}/run 0/wandb'/offline-run-*" in caplog.text
    assert wandb.run is None
    codes = [
        each.exit.exit_code
        for n in (0, 1)
        for each in read_records(tmp_path / f"run {n}")
        if each.HasField("exit")
    ]
    assert codes == [1, 0]
