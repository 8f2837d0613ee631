"""Training in several processes: torchrun starts them, and their end is the training's end.

The configuration is composed once, before; each rank reads the resolved `config.yaml` of the run
folder (`facebias.runs.ranks.worker`).
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from omegaconf import DictConfig

from facebias.errors import RunError
from facebias.runs.ranks.errors import TORCHRUN_LOG, error_of
from facebias.runs.ranks.lifeline import dies_with_parent
from facebias.runs.ranks.processes import Node, local_processes, node_of

RANKS = "ranks"  # folder of what the ranks say, in the run folder
_CONFIG = "config.yaml"
_LOOK = 0.2  # seconds between two looks at what the first rank has said
_PATIENCE = 40.0  # seconds; torchrun gives its ranks 30 to end

# Of another training, in which this one may run; each would be taken for our own.
_FOREIGN = frozenset(
    {
        "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE",
        "ROLE_RANK", "ROLE_WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT",
        "PL_GLOBAL_SEED",
    }
)  # fmt: skip


def train_in_ranks(config: DictConfig, folder: Path, threads: int) -> None:
    """Train in as many processes as the trainer asks for, and wait for their end.

    What ranks and torchrun say stays in the folder `ranks`; progress and log of the first rank
    are shown as they come.

    Args:
        config: a checked `facebias.schemas.Train`.
        folder: of the run; it is open, and holds the configuration.
        threads: of each rank.

    Raises:
        FacebiasError: as a rank raised it; a `RunError` for a rank that broke or was killed.
    """
    logs = folder / RANKS
    shutil.rmtree(logs, ignore_errors=True)  # of an attempt before
    logs.mkdir()
    # What is printed, the worker redirects: torchrun's list by rank knows ranks of one digit only.
    logged = [f"--log-dir={logs}", "--redirects=2"]
    worker = ["--config", str((folder / _CONFIG).absolute())]
    command = _torchrun(config, node_of(config), logged, worker)
    with (logs / TORCHRUN_LOG).open("wb") as log, _heard(logs):
        code = _run(command, threads, stderr=log.fileno())
    if code != 0:
        raise error_of(logs, code)


def help_in_ranks(config: DictConfig, threads: int) -> None:
    """Lend this node to a training whose run folder the first node has opened.

    The ranks get the configuration from the first node; what they say goes to the output of this
    node's task.

    Args:
        config: a checked `facebias.schemas.Train`.
        threads: of each rank.

    Raises:
        RunError: if the training fails; the first node says why.
    """
    code = _run(_torchrun(config, node_of(config), [], []), threads)
    if code != 0:
        raise RunError(
            f"the training has failed: torchrun ended with {code} on this node",
            "a training that ends well on every node",
            "read the message of the first node's task",
        )


def _torchrun(config: DictConfig, node: Node, logged: list[str], worker: list[str]) -> list[str]:
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        f"--nnodes={node.count}",
        f"--nproc-per-node={local_processes(config)}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={node.endpoint}",
        f"--rdzv-id={node.meeting or uuid.uuid4().hex}",
        "--max-restarts=0",
        *logged,
        "-m",
        "facebias.runs.ranks.worker",
        *worker,
    ]


def _run(command: list[str], threads: int, stderr: int | None = None) -> int:
    """Run torchrun to its end, whatever ends it or this process; return its exit code."""
    with _terminated_as_exit():
        process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            env=_environment(threads),
            stderr=stderr,
            start_new_session=True,  # Ctrl-C reaches this process alone
            preexec_fn=dies_with_parent(os.getpid()),
        )
        try:
            return process.wait()
        finally:
            _end(process)


def _environment(threads: int) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _FOREIGN and not name.startswith("TORCHELASTIC_")
    }
    return kept | {"OMP_NUM_THREADS": str(threads)}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End torchrun and its ranks, if they still live.

    On Linux at once, since each rank dies with torchrun. Ranks that are asked to end in the middle
    of a step wait for each other instead.
    """
    if process.poll() is None and sys.platform != "linux":
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
    process.kill()
    process.wait()


@contextmanager
def _terminated_as_exit() -> Iterator[None]:
    """Have SIGTERM unwind this process, as Ctrl-C does, so that the ranks are ended."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit_terminated(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


@contextmanager
def _heard(logs: Path) -> Iterator[None]:
    """Show what the first rank logs, as it comes."""
    ended = threading.Event()
    listener = threading.Thread(target=_repeat, args=(logs, ended), daemon=True)
    listener.start()
    try:
        yield
    finally:
        ended.set()
        listener.join()


def _repeat(logs: Path, ended: threading.Event) -> None:
    """Copy the first rank's errors to those of this process until the end."""
    position = 0
    while True:
        last = ended.wait(_LOOK)
        for file in logs.glob("*/attempt_0/0/stderr.log"):
            with file.open("rb") as stream:
                stream.seek(position)
                said = stream.read()
            position += len(said)
            sys.stderr.write(said.decode(errors="replace"))
            sys.stderr.flush()
        if last:
            return
