"""A run on rendered faces, which the finder sees, and what reads its frames."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facebias.live.frames import FrameReader, load_reader
from facebias.runs.trained import TrainedRun, load_runs
from facebias.train import train
from tests.drawn_faces import CLASSES
from tests.portraits import rendered
from tests.trained import compose_train

_SIDE = 64


def write_rendered(root: Path, many: int = 6) -> Path:
    """Write class folders of two rendered persons, one a label and a light of their own."""
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for number, label in enumerate(CLASSES):
            (root / split / label).mkdir(parents=True)
            person = Image.fromarray(rendered(number % 2).image).convert("L")
            for face in range(many):
                small = np.asarray(person.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), float)
                lit = small * random.uniform(0.7, 1.2) + random.normal(0, 3, small.shape)
                pixels = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
                pixels.save(root / split / label / f"{face}.png")
    return root


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A training on faces whose picture is the whole of a rendered one."""
    folder = tmp_path_factory.mktemp("live")
    options = ("data.reader.attributes=null", "data.copies=report", "data.folds=2")
    size = (f"data.height={_SIDE}", "callbacks.cam=null", "trainer.max_epochs=8")
    faces = write_rendered(folder / "faces")
    return load_runs([train(compose_train(folder, faces, *options, *size))], least=1)[0]


@pytest.fixture(scope="session")
def reader(run: TrainedRun) -> FrameReader:
    return load_reader(run, None, 1)
