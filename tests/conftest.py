"""What every test may use."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.drawn_faces import write_class_folders

# Before any library reads them.
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

_SHARED = Path(__file__).parents[2] / "shared"
_REAL, _REFERENCE = _SHARED / "data", _SHARED / "reference"


@pytest.fixture(scope="session")
def faces_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn faces in the layout of the emotions data set: 160 train, 64 test. Read only."""
    return write_class_folders(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Return a function that gives the folder of a real data set, or skips the test."""

    def find(name: str) -> Path:
        folder = Path(os.environ.get("FACEBIAS_TEST_DATA", _REAL)) / name
        if not folder.is_dir():
            pytest.skip(f"the real data set {name!r} is not at hand ({folder})")
        return folder

    return find


@pytest.fixture(scope="session")
def reference_data() -> Callable[[str], Path]:
    """Return a function that gives a folder of published numbers, or skips the test."""

    def find(name: str) -> Path:
        folder = Path(os.environ.get("FACEBIAS_TEST_REFERENCE", _REFERENCE)) / name
        if not folder.is_dir():
            pytest.skip(f"the published numbers {name!r} are not at hand ({folder})")
        return folder

    return find
