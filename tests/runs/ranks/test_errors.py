from pathlib import Path

import pytest

from facebias.errors import CompositionError, FacebiasError, RunError
from facebias.runs.ranks.errors import TORCHRUN_LOG, error_of, write_error

# As torchrun writes them.
KILLED = """
Failures:
[0]:
  time      : 2026-11-23_12:51:18
  host      : localhost
  rank      : 0 (local_rank: 0)
  exitcode  : 1 (pid: 11)
  error_file: <N/A>
Root Cause (first observed failure):
[1]:
  time      : 2026-11-23_12:51:18
  host      : localhost
  rank      : 2 (local_rank: 2)
  exitcode  : -9 (pid: 13) (SIGKILL)
  error_file: <N/A>
  rank      : 1 (local_rank: 1)
  exitcode  : -15 (pid: 12) (SIGTERM)
"""
PEER = RuntimeError("gloo/transport/tcp/pair.cc:545] Read error: Connection closed by peer")


def raised(error: Exception) -> Exception:
    """Return an error with a traceback, as one that was caught has it."""
    try:
        raise error
    except Exception as caught:
        return caught


def test_a_ranks_error_is_raised_as_it_was(tmp_path: Path) -> None:
    error = CompositionError("happy, female: 3 of 250", "faces", "take fewer")
    write_error(tmp_path, 1, error)
    found = error_of(tmp_path, 1)
    assert type(found) is CompositionError
    assert str(found) == str(error)


def test_the_first_cause_counts_and_a_lost_connection_is_none(tmp_path: Path) -> None:
    write_error(tmp_path, 0, raised(PEER))
    write_error(tmp_path, 2, RunError("the disk is full"))
    write_error(tmp_path, 1, RunError("the disk is full, too"))
    assert error_of(tmp_path, 1).found == "the disk is full"


def test_a_bug_names_the_rank_and_its_log_and_logs_the_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "run_x" / "attempt_0" / "1" / "stderr.log"
    log.parent.mkdir(parents=True)
    log.write_text("epoch 3\nstep 7\n\n")
    write_error(tmp_path, 0, raised(PEER))
    write_error(tmp_path, 1, raised(ZeroDivisionError("no faces")))
    found = error_of(tmp_path, 1)
    assert type(found) is RunError
    assert found.found == "rank 1 broke: ZeroDivisionError: no faces"
    assert str(log) in found.todo
    assert "Traceback" in caplog.text
    assert "raise error" in caplog.text


def test_of_a_bugs_message_the_first_line_and_of_its_causes_the_last_one_are_told(
    tmp_path: Path,
) -> None:
    bug = RuntimeError("shapes differ\n  (2, 3)\n  (3, 2)")
    bug.__cause__ = raised(ZeroDivisionError("no faces"))
    write_error(tmp_path, 1, raised(bug))
    assert error_of(tmp_path, 1).found == "rank 1 broke: RuntimeError: shapes differ"


def test_a_lost_connection_is_known_by_any_line_of_its_message(tmp_path: Path) -> None:
    write_error(tmp_path, 0, raised(RuntimeError("DistBackendError\nSocket Timeout")))
    write_error(tmp_path, 1, raised(ZeroDivisionError("no faces")))
    assert "ZeroDivisionError" in error_of(tmp_path, 1).found


def test_the_last_words_of_a_rank_that_broke_before_it_could_tell_are_its_error(
    tmp_path: Path,
) -> None:
    (tmp_path / TORCHRUN_LOG).write_text(KILLED.replace("-9", "1"))
    log = tmp_path / "run_x" / "attempt_0" / "0" / "stderr.log"
    log.parent.mkdir(parents=True)
    log.write_text(
        "step 7\n[rank0]: Traceback (most recent call last):\n[rank0]:   File 'x', line 1\n"
        "[rank0]: ImportError: no such library\n[W1123] destroy_process_group() was not called\n"
    )
    found = error_of(tmp_path, 1).found
    assert found == "rank 0 ended with 1\nIts last words: ImportError: no such library"


def test_a_killed_rank_is_the_cause_and_not_who_lost_it(tmp_path: Path) -> None:
    write_error(tmp_path, 0, raised(PEER))
    (tmp_path / TORCHRUN_LOG).write_text(KILLED)
    found = error_of(tmp_path, 1)
    assert found.found.startswith("rank 2 was killed by SIGKILL (the system does that when memory")


def test_a_rank_that_ended_without_a_word_is_named(tmp_path: Path) -> None:
    (tmp_path / TORCHRUN_LOG).write_text(KILLED.replace("-9", "5"))
    assert "rank 0 ended with 1" in error_of(tmp_path, 1).found


@pytest.mark.parametrize(
    ("code", "words"), [(1, "ended with 1: no port"), (-9, "was killed by SIGKILL")]
)
def test_torchrun_itself_may_fail(code: int, words: str, tmp_path: Path) -> None:
    (tmp_path / TORCHRUN_LOG).write_text("Traceback\nno port\n")
    error: FacebiasError = error_of(tmp_path, code)
    assert f"torchrun, which starts the ranks, {words}" in error.found


def test_a_lost_connection_is_told_where_nothing_else_is_known(tmp_path: Path) -> None:
    write_error(tmp_path, 1, raised(PEER))
    assert "rank 1 broke: RuntimeError" in error_of(tmp_path, 1).found
