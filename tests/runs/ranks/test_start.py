import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.distributed.elastic.multiprocessing.api import Std
from torch.distributed.run import config_from_args, parse_args

from facebias.errors import ConfigError, DataError
from facebias.runs.ranks import start
from facebias.runs.ranks.start import RANKS, train_in_ranks
from facebias.train import train
from tests.trained import compose_train

LIVES = 60.0  # seconds that a process may take to end
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="ranks die with their parent on Linux")


def test_two_ranks_leave_the_folder_of_one_run(tmp_path: Path, faces_root: Path) -> None:
    run = train(compose_train(tmp_path, faces_root, "trainer=ddp_cpu", "trainer.max_epochs=2"))
    assert json.loads((run / "status.json").read_text())["status"] == "done"
    predictions = pd.read_parquet(run / "predictions.parquet")
    rows = pd.read_parquet(run / "split.parquet").query("left_out == ''")
    assert sorted(predictions["id"]) == sorted(rows["id"])
    found = json.loads((run / "fairness.json").read_text())
    assert {split: found[split]["overall"]["n"] for split in found} == {
        "train": 144,
        "validation": 16,
        "test": 64,
    }
    metrics = pd.read_csv(run / "metrics.csv")
    assert metrics["validation/loss"].count() == metrics["train/loss"].count() == 2
    last = predictions.query("split == 'validation'")
    assert (last["label"] == last["predicted"]).mean() == pytest.approx(
        metrics["validation/accuracy"].dropna().iloc[-1]
    )
    assert {"report.html", "cam", "fairness.csv"} <= {path.name for path in run.iterdir()}
    assert len(list((run / RANKS).glob("*/attempt_0/*/stderr.log"))) == 2
    printed = (run / RANKS).glob("*/attempt_0/*/stdout.log")
    assert [file.parent.name for file in printed] == ["1"]  # the first rank's is shown
    assert not list((run / RANKS).glob("error*"))
    loaded = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert loaded["epoch"] == 1


def test_what_the_parent_of_ranks_needs_loads_no_lightning() -> None:
    names = (
        "report.summary",
        "runs.folder",
        "runs.ranks.processes",
        "runs.ranks.start",
        "runs.resume",
        "runs.sweeps.shares",
        "train",
    )
    modules = ", ".join(f"facebias.{name}" for name in names)
    code = f"import sys, {modules}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    loaded = set(done.stdout.split())
    assert "facebias.runs.resume" in loaded
    assert not loaded & {"lightning", "torch"}


def test_torchrun_understands_the_command_of_eleven_ranks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, faces_root: Path
) -> None:
    commands: list[list[str]] = []

    def remember(command: list[str], *_: object, **__: object) -> int:
        commands.append(command)
        return 0

    monkeypatch.setattr(start, "_run", remember)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # else torchrun's parser sets it
    several = compose_train(tmp_path, faces_root, "trainer=ddp_cpu", "trainer.devices=11")
    train_in_ranks(several, tmp_path, threads=1)
    asked, _, worker = config_from_args(parse_args(commands[0][3:]))  # type: ignore[no-untyped-call]
    assert asked.nproc_per_node == 11
    assert getattr(asked.logs_specs, "_redirects", None) == Std.ERR
    assert worker[-2:] == ["--config", str(tmp_path / "config.yaml")]


def test_what_another_rank_prints_lies_beside_its_errors(tmp_path: Path) -> None:
    code = (
        "import os; from facebias.runs.ranks.worker import _print_to_file; _print_to_file();"
        "print('said', flush=True); os.system('echo said by a child')"
    )
    environment = os.environ | {"TORCHELASTIC_ERROR_FILE": str(tmp_path / "error.json")}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, check=True
    )
    assert done.stdout == b""
    assert (tmp_path / "stdout.log").read_text() == "said\nsaid by a child\n"


@pytest.mark.parametrize("dry_run", ["false", "true"])
def test_more_ranks_than_a_batch_has_faces_for_are_refused_before_anything_starts(
    tmp_path: Path, dry_run: str
) -> None:
    several = ("trainer=ddp_cpu", "trainer.devices=200", "data.batch_size=8")
    config = compose_train(tmp_path, Path("/no/such/folder"), *several, f"dry_run={dry_run}")
    with pytest.raises(ConfigError, match=r"data\.batch_size is 8, for 200 processes") as refused:
        train(config)
    assert "data.batch_size=400" in refused.value.todo
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_ranks_error_is_the_errors_own(tmp_path: Path, faces_root: Path) -> None:
    with pytest.raises(DataError, match="/no/such/folder"):
        train(compose_train(tmp_path, faces_root, "trainer=ddp_cpu", "data.root=/no/such/folder"))
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["status"] == "failed"
    assert "/no/such/folder" in status["reason"]


@pytest.mark.slow
def test_ranks_share_no_store_where_none_is_asked_for(tmp_path: Path, faces_root: Path) -> None:
    run = train(compose_train(tmp_path, faces_root, "trainer=ddp_cpu", "data.store=none"))
    assert json.loads((run / "status.json").read_text())["status"] == "done"
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def long_training(tmp_path: Path, faces_root: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a training in two ranks that would last for hours; wait for its first epoch's end."""
    child = subprocess.Popen(  # noqa: S603 - our own command
        [
            sys.executable,
            "-m",
            "facebias.train",
            "+experiment=emotions_cnn3",
            "trainer=ddp_cpu",
            "trainer.max_epochs=100000",
            f"data.root={faces_root}",
            f"paths.run={tmp_path}/run",
            f"paths.cache={tmp_path}/cache",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists() and child.poll() is None:
        time.sleep(0.2)
    yield child
    child.kill()
    child.communicate()


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "status", "reason"),
    [
        (signal.SIGINT, 130, "failed", "interrupted"),
        (signal.SIGTERM, 143, "failed", "terminated"),
        (signal.SIGKILL, -9, "running", None),
    ],
)
def test_no_process_outlives_its_training(
    number: int,
    code: int,
    status: str,
    reason: str | None,
    long_training: subprocess.Popen[str],
    tmp_path: Path,
) -> None:
    below = descendants(long_training.pid)
    assert len(ranks_among(below)) == 2
    long_training.send_signal(number)
    _, errors = long_training.communicate(timeout=LIVES)
    assert long_training.returncode == code
    assert reason is None or f"facebias: {reason}" in errors
    wait_for_the_end_of(below)
    found = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (found["status"], found.get("reason")) == (status, reason)


@LINUX
@pytest.mark.slow
def test_a_killed_rank_is_the_error_of_its_training(
    long_training: subprocess.Popen[str], tmp_path: Path
) -> None:
    below = descendants(long_training.pid)
    os.kill(ranks_among(below)[1], signal.SIGKILL)
    _, errors = long_training.communicate(timeout=LIVES)
    assert long_training.returncode == 2
    assert "facebias: rank 1 was killed by SIGKILL" in errors
    assert "Traceback" not in errors
    wait_for_the_end_of(below)
    assert "SIGKILL" in json.loads((tmp_path / "run" / "status.json").read_text())["reason"]


def descendants(pid: int) -> list[int]:
    """Return the numbers of all processes below one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with_name = read(stat)
        if with_name:
            parents[int(stat.parent.name)] = int(with_name.rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def ranks_among(pids: list[int]) -> list[int]:
    """Return the ranks, the first one first."""
    worker = "\0-m\0facebias.runs.ranks.worker\0"
    commands = {pid: read(Path(f"/proc/{pid}/cmdline")) for pid in pids}
    found = [pid for pid, words in commands.items() if worker in words and "torch." not in words]
    return sorted(found, key=lambda pid: "\0RANK=1\0" in read(Path(f"/proc/{pid}/environ")))


def wait_for_the_end_of(pids: list[int]) -> None:
    end = time.monotonic() + LIVES
    while left := [pid for pid in pids if lives(pid)]:
        assert time.monotonic() < end, f"still alive: {left}"
        time.sleep(0.1)


def lives(pid: int) -> bool:
    state = read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return bool(state) and state[0] != "Z"


def read(file: Path) -> str:
    """Return the text of a file; nothing if its process has ended."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
