"""Why ranks failed: each writes its error to a file, and their starter tells the first true one."""

import json
import logging
import re
import signal
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facebias import errors
from facebias.errors import FacebiasError, RunError
from facebias.files import write_json

logger = logging.getLogger(__name__)

TORCHRUN_LOG = "torchrun.log"

# What a rank meets when another has ended: its own end is no cause.
_PEER = re.compile(
    r"closed by peer|reset by peer|Broken pipe|connectFullMesh|Socket (Timeout|closed)|NCCL"
    r"|remote (process|peer)|ProcessGroup\w*.*(abort|timed? ?out)",
    re.IGNORECASE,
)
_TRACEBACK = "Traceback (most recent call last):"
_RANK = re.compile(r"^\[rank\d+\]: ?", re.MULTILINE)  # torch puts it before lines of a traceback
_EXIT = re.compile(r"rank\s+: (\d+) \(local_rank: \d+\)\s+exitcode\s+: (-?\d+)")


def write_error(logs: Path, rank: int, error: BaseException) -> None:
    """Write a rank's error for the process that started it.

    Args:
        logs: folder of what the ranks say.
        rank: that met the error.
        error: a `FacebiasError` keeps its parts, any other its traceback.
    """
    content: dict[str, Any] = {"rank": rank, "time_ns": time.time_ns()}
    if isinstance(error, FacebiasError):
        parts = {"found": error.found, "expected": error.expected, "todo": error.todo}
        content |= {"kind": type(error).__name__, **parts}
    else:
        content["traceback"] = "".join(traceback.format_exception(error))
    write_json(logs / f"error_rank{rank}.json", content)


def error_of(logs: Path, code: int) -> FacebiasError:
    """Return the first true cause of a failure: as a rank raised it, or what it broke of.

    A rank that lost its connection to another is not the cause, as long as there is one.

    Args:
        logs: folder of what the ranks say.
        code: what torchrun ended with.
    """
    found = sorted(_read(logs), key=lambda each: int(each["time_ns"]))
    causes = [each for each in found if not _PEER.search(_verdict(each.get("traceback", "")))]
    if causes:
        return _raised(causes[0], logs)
    ended = _ended(logs)
    for rank, number in ended.items():
        if number < 0:
            return _ended_early(rank, logs, f"was killed by {_signal_name(-number)}")
    if found:
        return _raised(found[0], logs)
    for rank, number in ended.items():
        return _ended_early(rank, logs, f"ended with {number}")
    how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with {code}"
    words = _last_words(logs / TORCHRUN_LOG)
    return RunError(
        f"torchrun, which starts the ranks, {how}" + (f": {words}" if words else ""),
        "ranks that run to their end",
        f"read {logs / TORCHRUN_LOG}",
    )


def _read(logs: Path) -> Iterator[dict[str, Any]]:
    for file in logs.glob("error_rank*.json"):
        yield json.loads(file.read_text(encoding="utf-8"))


def _raised(content: dict[str, Any], logs: Path) -> FacebiasError:
    """Return the error of a rank as it was raised; log the traceback of a bug."""
    if "kind" not in content:
        logger.error("rank %s: %s", content["rank"], content["traceback"])
        verdict = _verdict(content["traceback"]).partition("\n")[0]
        return _broken(content["rank"], logs, f"broke: {verdict}")
    kind = getattr(errors, content["kind"], RunError)
    error: FacebiasError = kind(content["found"], content["expected"], content["todo"])
    return error


def _broken(rank: int, logs: Path, how: str) -> RunError:
    """Return the error of a rank that did not say what a user can mend."""
    return RunError(f"rank {rank} {how}", "ranks that run to their end", f"read {_log(rank, logs)}")


def _ended_early(rank: int, logs: Path, how: str) -> RunError:
    """Return the error of a rank that left no error, with what it said last."""
    words = _last_words(_log(rank, logs))
    return _broken(rank, logs, f"{how}\nIts last words: {words}" if words else how)


def _log(rank: int, logs: Path) -> Path:
    return next(iter(logs.glob(f"**/{rank}/stderr.log")), logs / TORCHRUN_LOG)


def _ended(logs: Path) -> dict[int, int]:
    """Return the exit codes of ranks that torchrun did not end itself; minus a signal's number."""
    log = logs / TORCHRUN_LOG
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    codes = {int(rank): int(code) for rank, code in _EXIT.findall(text)}
    return {rank: code for rank, code in codes.items() if code not in (0, -signal.SIGTERM)}


def _signal_name(number: int) -> str:
    name = signal.Signals(number).name
    memory = " (the system does that when memory runs out)" if name == "SIGKILL" else ""
    return name + memory


def _last_words(log: Path) -> str:
    if not log.is_file():
        return ""
    text = _RANK.sub("", log.read_text(encoding="utf-8", errors="replace"))
    if _TRACEBACK in text:  # what libraries say after it, of sockets say, is of no interest
        return _verdict(text).partition("\n")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _verdict(text: str) -> str:
    """Return the error at the end of the last traceback of a text: its kind and message."""
    lines = text.rpartition(_TRACEBACK)[2].splitlines()
    starts = (place for place, line in enumerate(lines) if line and not line[0].isspace())
    return "\n".join(lines[next(starts, len(lines)) :])
