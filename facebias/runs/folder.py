"""The run folder: one live run at a time, its status always readable."""

import datetime
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from facebias.errors import RunError
from facebias.files import write_json, write_text
from facebias.runs.environment import environment

CONFIG, STATUS, ENVIRONMENT = "config.yaml", "status.json", "environment.json"
LOG = "run.log"


@contextmanager
def open_run(folder: Path, config: DictConfig) -> Iterator[Path]:
    """Own a run folder while the block lasts.

    Writes the resolved `config.yaml`, `environment.json`, and `status.json`: running, then done
    or failed with the reason.

    Args:
        folder: made if need be.
        config: the checked configuration.

    Raises:
        RunError: if another live run owns it, it holds a finished run, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", blocking=False)
        lock.acquire()
    except Timeout as error:
        raise RunError(
            f"another run is at work in {folder}",
            "one run in a folder",
            "wait for it, or choose another folder with paths.run=FOLDER",
        ) from error
    except OSError as error:
        raise RunError(
            f"the run folder {folder} cannot be used: {error.strerror}",
            "a folder that can be written to",
            "choose another with paths.outputs=FOLDER",
        ) from error
    try:
        _refuse_finished(folder)
        write_text(folder / CONFIG, OmegaConf.to_yaml(config))
        write_json(folder / ENVIRONMENT, environment(config))
        _set_status(folder, "running")
        try:
            with _log_file(folder / LOG):
                yield folder
        except BaseException as error:
            _set_status(folder, "failed", _reason(error))
            raise
        _set_status(folder, "done")
    finally:
        lock.release()


def _reason(error: BaseException) -> str:
    """Say why a run ended; Lightning turns Ctrl-C into an exit."""
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, SystemExit):
        return "terminated"
    return f"{type(error).__name__}: {error}"


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Write what is logged to a file of the run too."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _refuse_finished(folder: Path) -> None:
    """Refuse to write over results; a failed run may be started again in its folder."""
    if (folder / STATUS).is_file() and _status(folder).get("status") == "done":
        raise RunError(
            f"{folder} holds a finished run",
            "a new folder, or one whose run has failed",
            "choose another with paths.run=FOLDER, or move this one away",
        )


def _status(folder: Path) -> dict[str, Any]:
    status: dict[str, Any] = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    return status


def read_run(folder: Path) -> DictConfig:
    """Return the configuration of a finished run.

    Raises:
        RunError: if the folder is no run's, or the run is not done.
    """
    if not (folder / CONFIG).is_file() or not (folder / STATUS).is_file():
        raise RunError(
            f"{folder} is no run folder",
            f"a folder with {CONFIG} and {STATUS}, as facebias.train leaves it",
            "give run=FOLDER; they lie below outputs/",
        )
    status = _status(folder)
    if status.get("status") != "done":
        raise RunError(
            f"the run in {folder} is {status.get('status')}: {status.get('reason', '')}",
            "a run that is done",
            "run its training again",
        )
    config = OmegaConf.load(folder / CONFIG)
    if not isinstance(config, DictConfig):
        raise RunError(f"{folder / CONFIG} holds a list", "a mapping of keys to values")
    return config


def _set_status(folder: Path, status: str, reason: str | None = None) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    content: dict[str, Any] = {"status": status, "at": now}
    if reason is not None:
        content["reason"] = reason
    write_json(folder / STATUS, content)
