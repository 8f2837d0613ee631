"""The run folder: one live run at a time, its status always readable; how a run goes on."""

import datetime
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from facebias.errors import RunError
from facebias.files import remove_leftovers, write_json, write_text
from facebias.runs.checkpoints import finished, has_checkpoint
from facebias.runs.environment import environment
from facebias.runs.same_config import changed_keys, other_config

logger = logging.getLogger(__name__)

CONFIG, STATUS, ENVIRONMENT = "config.yaml", "status.json", "environment.json"
LOG = "run.log"


@contextmanager
def open_run(folder: Path, config: DictConfig) -> Iterator[Path]:
    """Own a run folder while the block lasts.

    Writes the resolved `config.yaml`, `environment.json`, and `status.json`: running, then done
    or failed with the reason, and the CPU seconds of all starts that have ended by themselves. A
    folder whose run failed or was killed goes on: `environment.json` stays that of the first start,
    and `status.json` lists the restarts. Where that run has saved a checkpoint, the configuration
    must be the same; where it has not, it begins anew.

    Args:
        folder: made if need be.
        config: the checked configuration.

    Raises:
        RunError: if another live run owns it, it holds a finished run or one of another
            configuration, or it cannot be written.
    """
    lock = _locked(folder)
    try:
        spent = _spent() - _last_status(folder).get("cpu_seconds", 0.0)
        restarts = _begin_or_go_on(folder, config)
        _set_status(folder, "running", restarts)
        try:
            with log_file(folder / LOG):
                yield folder
        except BaseException as error:
            _set_failed(folder, restarts, error, _spent() - spent)
            raise
        _set_status(folder, "done", restarts, seconds=_spent() - spent)
    finally:
        lock.release()


def _locked(folder: Path) -> FileLock:
    """Make the folder and take its lock; the system frees it when its owner is killed."""
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
    return lock


def _begin_or_go_on(folder: Path, config: DictConfig) -> list[dict[str, Any]]:
    """Write what a run begins with, or hold it against what is there; return the restarts."""
    before = _last_status(folder)
    if before.get("status") == "done":
        raise RunError(
            f"{folder} holds a finished run",
            "a new folder, or one whose run has failed",
            "choose another with paths.run=FOLDER, or move this one away",
        )
    remove_leftovers(folder)
    if not before or not _same_config(folder, config):
        write_text(folder / CONFIG, OmegaConf.to_yaml(config))
        write_json(folder / ENVIRONMENT, environment(config))
        return []
    restarts: list[dict[str, Any]] = before.get("restarts", [])
    try:
        restart = {"at": _now(), "epochs": finished(folder).epochs}
    except RunError as error:  # nobody says so later: the run does not begin
        _set_failed(folder, restarts, error)
        raise
    return [*restarts, restart | {"after": before.get("reason", "killed")}]


def _same_config(folder: Path, config: DictConfig) -> bool:
    """Tell whether a run was begun with this configuration; refuse another if epochs would be lost.

    Raises:
        RunError: if a checkpoint was saved with another configuration.
    """
    saved = has_checkpoint(folder)
    if not (folder / CONFIG).is_file():
        return False
    changed = changed_keys(folder / CONFIG, config)
    if changed and saved:
        raise other_config(folder, changed)
    return not changed


def _reason(error: BaseException) -> str:
    """Say why a run ended."""
    end = interruption(error)
    if end is None:
        return f"{type(error).__name__}: {error}"
    return "interrupted" if isinstance(end, KeyboardInterrupt) else "terminated"


def interruption(error: BaseException) -> KeyboardInterrupt | SystemExit | None:
    """Return the interruption that an error is, or came in the wake of; None for any other.

    Lightning turns Ctrl-C into an exit, and a loader that the signal has ended is an error.
    """
    found: SystemExit | None = None
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, KeyboardInterrupt):
            return at
        if isinstance(at, SystemExit):
            found = at
        at = at.__context__
    return found


class _LogFile(logging.FileHandler):
    """A log that a full disk cuts short, without a word for every line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Let the line go."""


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Write what is logged to a file of the run too."""
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        with suppress(OSError):
            handler.close()


def _last_status(folder: Path) -> dict[str, Any]:
    """Return what the last start in a folder left; empty if there was none."""
    if not (folder / STATUS).is_file():
        return {}
    try:
        return _status(folder)
    except RunError as error:
        logger.warning("%s; the run counts as killed", error.found)
        return {"status": "running"}


def _status(folder: Path) -> dict[str, Any]:
    try:
        status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _no_status(folder, error) from error
    if not isinstance(status, dict):
        raise _no_status(folder, "no status is in it")
    return status


def _no_status(folder: Path, why: object) -> RunError:
    return RunError(
        f"{folder / STATUS} cannot be read: {why}",
        "the status of a run, as facebias writes it",
        "start the run again in its folder with paths.run=FOLDER",
    )


def run_state(folder: Path) -> tuple[str, str]:
    """Return the state of a run's folder, and the reason where its run has failed.

    Args:
        folder: of a run; it need not exist.

    Returns:
        `waiting` where no run has begun, `running`, `done`, `failed`, or `killed` where a run says
        that it is running and nobody is at work in its folder.
    """
    status = _last_status(folder)
    state = str(status.get("status", "waiting"))
    if state == "running" and not _at_work(folder):
        return "killed", "its process was killed"
    return state, str(status.get("reason", ""))


def mark_failed(folder: Path, reason: str) -> None:
    """Say that a run has failed which could not say so itself; one at work is left alone."""
    try:
        lock = _locked(folder)
    except RunError:
        return
    try:
        before = _last_status(folder)
        if before.get("status") != "done":
            _set_status(folder, "failed", before.get("restarts", []), reason)
    finally:
        lock.release()


def _at_work(folder: Path) -> bool:
    try:
        _locked(folder).release()
    except RunError:
        return True
    return False


def refuse_unfinished(folder: Path) -> None:
    """Refuse a folder that is no run's, or whose run is not done.

    Raises:
        RunError: if it is such a one.
    """
    if not (folder / CONFIG).is_file() or not (folder / STATUS).is_file():
        raise RunError(
            f"{folder} is no run folder",
            f"a folder with {CONFIG} and {STATUS}, as facebias.train leaves it",
            "correct the folder; runs lie below outputs/",
        )
    status = _status(folder)
    if status.get("status") != "done":
        raise RunError(
            f"the run in {folder} is {status.get('status')}: {status.get('reason', '')}",
            "a run that is done",
            "run its training again",
        )


def read_run(folder: Path) -> DictConfig:
    """Return the configuration of a finished run.

    Raises:
        RunError: if the folder is no run's, or the run is not done.
    """
    refuse_unfinished(folder)
    config = OmegaConf.load(folder / CONFIG)
    if not isinstance(config, DictConfig):
        raise RunError(f"{folder / CONFIG} holds a list", "a mapping of keys to values")
    return config


def _set_status(
    folder: Path,
    status: str,
    restarts: list[dict[str, Any]],
    reason: str | None = None,
    seconds: float | None = None,
) -> None:
    content: dict[str, Any] = {"status": status, "at": _now()}
    if seconds is not None:
        content["cpu_seconds"] = round(seconds, 1)
    if reason is not None:
        content["reason"] = reason
    if restarts:
        content["restarts"] = restarts
    write_json(folder / STATUS, content)


def _set_failed(
    folder: Path,
    restarts: list[dict[str, Any]],
    error: BaseException,
    seconds: float | None = None,
) -> None:
    with suppress(RunError):  # a full disk takes no status either; the error itself matters
        _set_status(folder, "failed", restarts, _reason(error), seconds)


def _spent() -> float:
    """Return the seconds that this process and its ended children were at work on processors."""
    return sum(os.times()[:4])


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
