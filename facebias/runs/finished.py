"""Finished runs: found by folder, sweep or pattern, and their configurations."""

import glob
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig

from facebias.config import check
from facebias.errors import ConfigError, RunError
from facebias.runs.folder import CONFIG, STATUS, read_run, refuse_unfinished
from facebias.schemas import Train

logger = logging.getLogger(__name__)

SWEEPS = "sweeps"  # folder of all sweeps, below the outputs


def read_train_config(run: Path) -> DictConfig:
    """Return the configuration of a finished training, checked like any other.

    Raises:
        RunError: if the folder is no finished run's.
        ConfigError: if it was written by another version and does not fit this one.
    """
    config = read_run(run)
    kinds = {"vote": "an ensemble", "faces": "a prediction", "runs": "a comparison or summary"}
    for key, kind in kinds.items():
        if key in config:
            trained = config.get("run") or config.get("runs") or config.get("sweep")
            raise RunError(
                f"{run} is the folder of {kind}",
                "the folder of a training, as facebias.train leaves it",
                f"give what was trained: {trained}",
            )
    return check(config, Train)


def find_runs(runs: Sequence[str] | None, sweep: str | None, outputs: Path) -> list[Path]:
    """Return the folders of finished runs.

    A run that is named by its folder has to be finished. Of a sweep, or of what a pattern fits, the
    finished runs are taken; the others are named in a warning.

    Args:
        runs: folders of runs or of sweeps, or patterns such as `outputs/sweeps/folds/*_seed0_*`.
        sweep: the folder of a sweep, or its name below `outputs/sweeps`; the one or the other.
        outputs: folder of all results.

    Returns:
        Folders, of a sweep or a pattern in the order of their numbers.

    Raises:
        ConfigError: if both are given, or neither.
        RunError: if there is no such sweep, or nothing finished.
    """
    if (runs is None) == (sweep is None):
        raise ConfigError(
            "neither runs nor a sweep are given" if runs is None else "runs and a sweep are given",
            "runs=[FOLDER,FOLDER], or sweep=NAME_OR_FOLDER",
            "give one of them",
        )
    named = list(runs or ()) if sweep is None else [str(_sweep_folder(sweep, outputs))]
    return [folder for name in named for folder in _folders(name)]


def _sweep_folder(sweep: str, outputs: Path) -> Path:
    places = [outputs / SWEEPS / sweep, Path(sweep).expanduser()]
    for place in places:
        if place.is_dir():
            return place
    raise RunError(
        f"there is no sweep {sweep!r}",
        f"a folder {places[0]} or {places[1]}",
        "give sweep=NAME as its training did, or the sweep's folder",
    )


def _folders(name: str) -> Iterator[Path]:
    """Yield the run that a name means, or the finished ones of a sweep or a pattern."""
    folder = Path(name).expanduser()
    if _is_run(folder):
        yield folder  # whether it is a finished run, its reader says
    elif folder.exists():
        yield from _finished(_runs_in(folder), name)
    elif glob.has_magic(name):
        found = sorted(map(Path, glob.glob(str(folder))), key=_by_number)  # absolute ones too
        yield from _finished([place for place in found if _is_run(place)], name)
    else:
        yield folder


def _is_run(folder: Path) -> bool:
    """Tell whether a folder is one of a run, begun or finished."""
    return (folder / CONFIG).is_file()


def _runs_in(folder: Path) -> list[Path]:
    places = folder.iterdir() if folder.is_dir() else ()
    return sorted((place for place in places if _is_run(place)), key=_by_number)


def _by_number(folder: Path) -> tuple[int, str]:
    """Order jobs as a sweep numbers them: 2 before 10."""
    number = re.match(r"\d+", folder.name)
    return (int(number[0]) if number else 0, folder.name)


def _finished(folders: Sequence[Path], name: str) -> list[Path]:
    done = []
    for folder in folders:
        try:
            refuse_unfinished(folder)
        except RunError as error:
            logger.warning("left out: %s", error.found)
        else:
            done.append(folder)
    if not done:
        raise RunError(
            f"{name} has no finished run" + (f" among {len(folders)}" if folders else ""),
            f"folders with {CONFIG} and {STATUS}, of runs that are done",
            "correct the name, or let its trainings finish; where a finished one lost files, "
            "lost, delete its status.json, or its folder, and give the same command again",
        )
    return done
