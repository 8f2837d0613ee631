"""Machine code: kept, found again, and never that of other sources."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from facebias.faces import arrays

OTHER = """
from made.arrays import compiled
TIMES = 2.0
@compiled
def times(x: float) -> float:
    return TIMES * x
"""
KERNEL = """
from made.arrays import compiled
from made.other import times
@compiled
def kernel(x: float) -> float:
    return times(x) + 1
"""
CHILD = """
from numba import config
from made.kernel import kernel
print(kernel(3.0), sum(kernel.stats.cache_hits.values()), repr(config.CACHE_DIR))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a package `made` of a kernel that calls one in another file."""
    folder = tmp_path / "made"
    folder.mkdir()
    shutil.copy(arrays.__file__, folder / "arrays.py")
    (folder / "other.py").write_text(OTHER)
    (folder / "kernel.py").write_text(KERNEL)
    return folder


def run(package: Path, **environment: str) -> list[str]:
    """Return what the kernel gives, how often it was found on disk, and numba's own folder."""
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", CHILD],
        capture_output=True,
        text=True,
        check=True,
        env=known | {"PYTHONPATH": str(package.parent)} | environment,
    )
    return done.stdout.split()


def kept(folder: Path) -> set[str]:
    """Return the folders of machine code that are not empty."""
    return {path.name for path in folder.glob("kernels_*") if any(path.rglob("*.nbc"))}


@pytest.mark.slow
def test_machine_code_is_found_again_until_any_file_of_the_package_changes(package: Path) -> None:
    assert run(package) == ["7.0", "0", "''"]
    assert run(package) == ["7.0", "1", "''"]
    before = kept(package / "__pycache__")
    (package / "other.py").write_text(OTHER.replace("2.0", "5.0"))
    assert run(package) == ["16.0", "0", "''"]
    after = kept(package / "__pycache__")
    assert len(before) == len(after) == 1
    assert before != after


def test_it_goes_where_numba_is_told_to_keep_it(package: Path, tmp_path: Path) -> None:
    chosen = str(tmp_path / "chosen")
    assert run(package, NUMBA_CACHE_DIR=chosen) == ["7.0", "0", repr(chosen)]
    assert run(package, NUMBA_CACHE_DIR=chosen)[1] == "1"
    assert len(kept(tmp_path / "chosen")) == 1
    assert not kept(package / "__pycache__")


def test_of_a_package_that_cannot_be_written_it_goes_to_the_cache(
    package: Path, tmp_path: Path
) -> None:
    (package / "__pycache__").write_text("in the way")
    caches = {"FACEBIAS_CACHE": str(tmp_path / "caches")}
    assert [run(package, **caches)[1] for _ in range(2)] == ["0", "1"]
    assert len(kept(tmp_path / "caches")) == 1


def test_where_nothing_can_be_written_every_process_compiles(package: Path) -> None:
    (package / "__pycache__").write_text("in the way")
    for _ in range(2):
        assert run(package, HOME="/dev/null") == ["7.0", "0", "''"]


def test_a_function_without_a_file_is_compiled() -> None:
    names: dict[str, Any] = {"compiled": arrays.compiled}
    exec("@compiled\ndef twice(x): return 2 * x", names)  # noqa: S102 - our own code
    assert names["twice"](4) == 8
