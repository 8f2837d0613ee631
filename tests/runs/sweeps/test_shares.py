"""What a job gets of the machine's cores."""

import joblib
import pytest

from facebias.runs.sweeps.shares import shared_threads


def test_cores_are_shared_by_jobs_and_by_their_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 16)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [shared_threads(jobs, 2) for jobs in (1, 2, 3, 8, 99)] == [8, 4, 2, 1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert shared_threads(2, 1) == 3
