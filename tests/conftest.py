"""What every test may use."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hypothesis import settings

from facebias.commandline import run_verb
from tests.drawn_faces import write_class_folders

# Examples may take long beside other work; no test asserts a time. `make test-slow` looks further.
settings.register_profile("facebias", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=300)
settings.load_profile("facebias")

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


@pytest.fixture
def run_as_command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Return a function of (config name, schema, verb, *arguments) that gives the exit code."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(config_name: str, schema: type, verb: Callable[..., Path], *arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", [config_name, *arguments])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        try:
            run_verb(config_name, schema, verb)
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    GlobalHydra.instance().clear()
