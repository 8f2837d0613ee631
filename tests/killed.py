"""Commands in processes of their own, whose parts are killed at random moments."""

import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from facebias.data.prepare import SPLIT_FILE
from facebias.runs.folder import CONFIG, STATUS
from tests.trained import SMALL, SMALL_MODEL

LONGEST = 600.0  # seconds that a command may take
GONE = 10.0  # seconds after which no process of a killed command is left
_MARK = "FACEBIAS_TEST_COMMAND"  # in the environment, which all processes of a command inherit

# How the command lines of a command's processes begin, after the interpreter.
_KINDS = {
    "job": r"-m\0joblib\.externals\.loky\.backend\.popen_loky_posix\0",
    "torchrun": r"-m\0torch\.distributed\.run\0",
    "rank": r"-u\0-m\0facebias\.[\w.]+\.worker\0",
}

# Little faces, little epochs, and all that could differ after a kill.
TINY = (
    "data=emotions",
    "data.copies=report",
    "data.batch_size=16",
    "model.dropout=0.3",
    "augment=light",
    "callbacks.cam=null",
    "threads=1",
)


class Command:
    """`python -m facebias.train` in an own process, which others may hang below.

    Args:
        folder: in which it runs, and gets its log.
        faces: root of them.
        arguments: of the command, beside those of a small training; `-m` for a sweep.
    """

    def __init__(self, folder: Path, faces: Path, *arguments: str) -> None:
        self._mark, self._log = f"{_MARK}={uuid.uuid4().hex}", folder / f"{uuid.uuid4().hex}.log"
        name, _, value = self._mark.partition("=")
        own_model = any(argument.startswith("model=") for argument in arguments)
        given = [*SMALL, *(() if own_model else SMALL_MODEL), *TINY, f"data.root={faces}"]
        given += arguments
        given.sort(key=lambda argument: argument != "-m")  # it must be the first
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "facebias.train", *given],
                cwd=folder,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), name: value},
            )

    @property
    def ended(self) -> bool:
        """Whether the command itself has ended; its jobs may live on."""
        return self._process.poll() is not None

    def said(self) -> str:
        """Return its output and errors."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        return self._process.wait(LONGEST)

    def of_kind(self, kind: str) -> list[int]:
        """Return the living processes of a kind: parent, job, torchrun or rank."""
        if kind == "parent":
            return [] if self.ended else [self._process.pid]
        begin = re.compile(rf"[^\0]+\0{_KINDS[kind]}")
        return [pid for pid in self.living() if begin.match(_read(f"/proc/{pid}/cmdline"))]

    def living(self) -> list[int]:
        """Return all processes of the command that live."""
        processes = (int(name) for name in os.listdir("/proc") if name.isdecimal())
        # The environment of one that has ended and waits for its parent is empty.
        return [pid for pid in processes if self._mark in _read(f"/proc/{pid}/environ")]

    def hit(self, pid: int) -> bool:
        """Kill a process of the command; tell whether it was alive."""
        if self._mark not in _read(f"/proc/{pid}/environ"):
            return False
        os.kill(pid, signal.SIGKILL)
        return pid != self._process.pid or self.wait() == -signal.SIGKILL

    def assert_gone(self) -> None:
        """Hold that no process outlives the command."""
        wait_until(lambda: not self.living(), GONE)

    def end(self) -> None:
        """Kill all that is left of it."""
        for pid in self.living():
            self.hit(pid)
        self._process.wait()


class Moments:
    """Random moments in the life of trainings: while one works, or while it starts.

    Args:
        dice: that draw them.
        undisturbed: run folders of trainings that nobody disturbed, for how long these take.
    """

    def __init__(self, dice: random.Random, undisturbed: Iterable[Path]) -> None:
        self._dice, runs = dice, list(undisturbed)
        works = [_changed(run / STATUS) - _changed(run / SPLIT_FILE) for run in runs]
        self._work = sorted(works)[len(works) // 2] / 1e9
        begun = min(_changed(run / CONFIG) for run in runs)
        self._start = (min(_changed(run / SPLIT_FILE) for run in runs) - begun) / 1e9

    def wait_for_one(self, command: Command, runs: Path) -> str:
        """Wait for the next moment, or the command's end; return it in words.

        Args:
            command: that trains.
            runs: folder whose run folders it works in, or a run folder.
        """
        if self._dice.random() < 1 / 3:
            seconds, what = self._dice.uniform(0, self._start), "of the start"
        else:
            before = _newest(runs)
            wait_until(lambda: command.ended or _newest(runs) != before)
            seconds, what = self._dice.uniform(0, self._work), "of work"
        end = time.monotonic() + seconds
        wait_until(lambda: command.ended or time.monotonic() > end)
        return f"{seconds:.2f} s {what}"


def hit_one(command: Command, kinds: Sequence[str], turn: int, dice: random.Random) -> str | None:
    """Kill a living process of a command.

    Args:
        command: it may have ended.
        kinds: of its processes, hit in turns; the next one where none of a kind lives.
        turn: which it is.
        dice: that draw one process of a kind.

    Returns:
        Its kind; None if nothing was hit.
    """
    for place in range(turn, turn + len(kinds)):
        kind = kinds[place % len(kinds)]
        living = command.of_kind(kind)
        if living:
            return kind if command.hit(dice.choice(living)) else None
    return None


def wait_until(condition: Callable[[], object], seconds: float = LONGEST) -> None:
    """Wait for a condition, and fail if it does not come."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it does not happen"
        time.sleep(0.02)


def _newest(runs: Path) -> int:
    """Return when a training in a folder, or one below it, last had its faces ready."""
    files = (*runs.glob(SPLIT_FILE), *runs.glob(f"*/{SPLIT_FILE}"))
    return max(map(_changed, files), default=0)


def _changed(file: Path) -> int:
    return file.stat().st_mtime_ns


def _read(file: str) -> str:
    """Return the text of a file; nothing if its process has ended."""
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
