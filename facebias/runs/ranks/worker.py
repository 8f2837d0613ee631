"""One rank of a training: what torchrun starts; see `facebias.runs.ranks.start`.

python -m facebias.runs.ranks.worker --config RUN/config.yaml
"""

import argparse
import atexit
import logging
import os
import sys
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from facebias.runs.ranks.lifeline import dies_with_parent

if TYPE_CHECKING:
    from facebias.runs.ranks.rank import Rank


def main() -> NoReturn:
    """Train as the rank that the environment says, and leave without Python's long farewell."""
    dies_with_parent()()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", help="the first node's ranks tell those of the others")
    given = parser.parse_args().config
    if given is not None and os.environ["LOCAL_RANK"] != "0":
        _print_to_file()
    # Late: importing takes seconds, and from here on no rank outlives torchrun.
    from facebias.runs.ranks.rank import join

    rank = join()
    code = _train(Path(rank.share("config", given)), rank)
    if code == 0:
        rank.wait_for_all("the end")  # with those that left, their connections would end
        _leave_group()
    atexit._run_exitfuncs()  # loggers finish in them
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _print_to_file() -> None:
    """Have what this rank prints in a file beside that of its errors, as torchrun names it."""
    folder = Path(os.environ["TORCHELASTIC_ERROR_FILE"]).parent
    with (folder / "stdout.log").open("wb") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())


def _train(file: Path, rank: "Rank") -> int:
    """Train from a resolved configuration; return the exit code."""
    from omegaconf import DictConfig, OmegaConf

    from facebias.config import check
    from facebias.errors import FacebiasError
    from facebias.runs.folder import LOG, log_file
    from facebias.runs.training import train_in_process
    from facebias.schemas import Train

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = file.parent
    own_log = log_file(folder / LOG) if rank.first else nullcontext()
    try:
        with own_log:
            train_in_process(check(DictConfig(OmegaConf.load(file)), Train), folder, rank)
    except Exception as error:
        _tell(folder, rank.number, error)
        return 2 if isinstance(error, FacebiasError) else 1
    return 0


def _tell(folder: Path, rank: int, error: Exception) -> None:
    """Leave an error for the process that started the ranks."""
    from facebias.errors import RunError
    from facebias.runs.ranks.errors import write_error
    from facebias.runs.ranks.start import RANKS

    try:
        write_error(folder / RANKS, rank, error)
    except RunError:  # the disk is full
        traceback.print_exception(error)


def _leave_group() -> None:
    from torch.distributed import destroy_process_group, is_initialized

    if is_initialized():
        destroy_process_group()


if __name__ == "__main__":
    main()
