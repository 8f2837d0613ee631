"""Slurm on this one machine: daemons whose files all lie in one folder, until the tests end."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from facebias.runs.ranks.lifeline import dies_with_parent

PARTITION = "main"
_INSTALL = "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge"
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "squeue", "sbatch", "scancel", "srun")
_PATIENCE = 60.0  # seconds for a daemon to answer or to end

# No accounting, no cgroups: neither is there in a container. A job that is put back into the queue
# waits until its credentials have expired, which is two minutes unless told otherwise. All cores
# are claimed to be there more than once, so that jobs of a sweep run beside each other.
_CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=5
JobRequeue=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName={partition} Nodes={host} Default=YES OverSubscribe=FORCE:4 State=UP
"""


@contextmanager
def slurm_on_this_machine(folder: Path) -> Iterator[dict[str, str]]:
    """Run Slurm's daemons while the block lasts.

    Args:
        folder: empty, for all that they write; its path is short, since a socket lies in it.

    Yields:
        The environment in which Slurm's commands find them.
    """
    _require_slurm()
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    _write_files(folder)
    with ExitStack() as daemons:
        for command in _daemons(folder):
            daemons.enter_context(_daemon(command, folder, environment))
        _wait_for(lambda: _said("sinfo", "--noheader", "-o%T", env=environment) == "idle", folder)
        try:
            yield environment
        finally:
            # The jobs first: they would outlive the daemons.
            subprocess.run(["scancel", "--user=root"], env=environment, check=False)  # noqa: S607
            _wait_for(lambda: not _said("squeue", "--noheader", env=environment), folder)


def _require_slurm() -> None:
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.fail(f"{', '.join(missing)} not found; install Slurm first: {_INSTALL}")
    if os.geteuid() != 0:
        pytest.fail("these tests run as root only: Slurm starts jobs for any user")


def _write_files(folder: Path) -> None:
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    controller_port, node_port = _free_ports(2)
    (folder / "slurm.conf").write_text(
        _CONF.format(
            folder=folder,
            host=socket.gethostname().partition(".")[0],
            controller_port=controller_port,
            node_port=node_port,
            partition=PARTITION,
        )
    )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _daemons(folder: Path) -> list[list[str]]:
    files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "seed-file": "seed"}
    paths = [f"--{option}={folder}/munge.{name}" for option, name in files.items()]
    # Forced: the folder is not open to everybody, as munged wants its own to be.
    munged = ["munged", "--foreground", "--force", f"--log-file={folder}/munge.log", *paths]
    return [munged, ["slurmctld", "-D", "-c"], ["slurmd", "-D"]]


@contextmanager
def _daemon(command: Sequence[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    with (folder / f"{command[0]}.out").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            command,
            env=environment,
            stdout=log,
            stderr=log,
            preexec_fn=dies_with_parent(os.getpid()),
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        finally:
            process.kill()


def _said(*command: str, env: dict[str, str]) -> str:
    """Return what a command prints; what went wrong is no answer and differs from every one."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() if done.returncode == 0 else f"failed: {done.stderr}"


def _wait_for(condition: Callable[[], bool], folder: Path) -> None:
    give_up = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > give_up:
            logs = [*sorted(folder.glob("*.out")), *sorted(folder.glob("*.log"))]
            pytest.fail("\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in logs))
        time.sleep(0.2)
