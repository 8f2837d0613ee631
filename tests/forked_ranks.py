"""Runs a function in several processes that train together, forked: they import nothing anew."""

import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.multiprocessing.spawn import start_processes

_SECONDS = 120.0


def run_in_ranks(count: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:  # noqa: ANN401
    """Return what each rank's call returned, in the order of the ranks.

    Args:
        count: of processes; a single one is forked too.
        work: called with the arguments; what it returns is made of tensors and plain values.
        arguments: of the function.
    """
    with tempfile.TemporaryDirectory() as folder:
        context = start_processes(  # type: ignore[no-untyped-call]
            _rank, (count, _free_port(), folder, work, arguments), count, False, False, "fork"
        )
        try:
            end = time.monotonic() + _SECONDS
            while not context.join(1.0):
                assert time.monotonic() < end, "the ranks do not end"
        finally:
            for process in context.processes:
                process.kill()
        files = [Path(folder) / f"{rank}.pt" for rank in range(count)]
        return [torch.load(file, weights_only=False) for file in files]


def _rank(
    rank: int,
    count: int,
    port: int,
    folder: str,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    torch.set_num_threads(1)
    if count > 1:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
            "GROUP_RANK": "0",
            "MASTER_ADDR": "localhost",
            "MASTER_PORT": str(port),
            "TORCHELASTIC_RUN_ID": "test",
        }
    torch.save(work(*arguments), Path(folder) / f"{rank}.pt")


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("localhost", 0))
        return int(chosen.getsockname()[1])
