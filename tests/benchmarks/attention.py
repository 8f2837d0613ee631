"""Maps and region statistics of many faces to disk, against a forward pass without gradients.

    python -m tests.benchmarks.attention [faces of the speed] [faces of the memory]

Faces are noise: neither speed nor memory depends on what they show. Speed is of processor time, so
that other work on the machine disturbs it less.
"""

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import timm
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from facebias.data.store import FaceStore
from facebias.data.table import FaceTable
from facebias.report.cam_maps import Question, explain_runs
from facebias.runs.explained import ExplainedFaces

_SIDE, _BATCH, _ROUNDS = 112, 32, 5
_CLASSES = ("happy", "neutral", "sad")
VARIANTS = {"none": "none"}


class Classifier(nn.Module):
    """A network as a classifier holds it, with bytes in."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.network = timm.create_model(name, pretrained=False, num_classes=len(_CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes)."""
        logits: Tensor = self.network((images.float() - 128) / 64)
        return logits


def made_faces(folder: Path, count: int, landmarks: bool) -> ExplainedFaces:
    """Return faces of noise on disk, all with landmarks or none."""
    pixels = np.lib.format.open_memmap(
        folder / f"{count}.npy", mode="w+", dtype=np.uint8, shape=(count, _SIDE, _SIDE, 3)
    )
    random = np.random.default_rng(0)
    for start in range(0, count, 500):
        pixels[start : start + 500] = random.integers(0, 256, pixels[start : start + 500].shape)
    pixels.flush()
    points = [0.32, 0.38, 0.68, 0.38, 0.5, 0.56, 0.36, 0.78, 0.64, 0.78]
    rows: dict[str, Any] = {
        "id": [f"face{number}" for number in range(count)],
        "source": [f"{number}.png" for number in range(count)],
        "label": [_CLASSES[number % 3] for number in range(count)],
        "identity": [f"person{number // 2}" for number in range(count)],
        "split": "test",
        "left_out": "",
        "gender": [("female", "male")[number % 2] for number in range(count)],
        "row": np.arange(count),
    }
    if landmarks:
        rows["landmarks"] = [list(np.array(points) * _SIDE)] * count
    table = FaceTable(pd.DataFrame(rows), folder, _CLASSES, {"gender": ("female", "male")})
    crops = np.tile(np.array([0, 0, _SIDE, _SIDE], np.float32), (count, 1))
    stored = np.load(folder / f"{count}.npy", mmap_mode="r")
    return ExplainedFaces(table, FaceStore(stored, crops, {}), None)


def made_run(model: nn.Module) -> Any:  # noqa: ANN401 - stands in for a finished run
    """Return what is asked of a finished run."""
    config = OmegaConf.create({"model": {}, "seed": 0})
    return SimpleNamespace(name="none", config=config, classes=_CLASSES, model=lambda: model)


def forward(model: nn.Module, faces: ExplainedFaces, layout: torch.memory_format) -> None:
    """Answer every face without gradients, in batches: the yardstick."""
    with torch.no_grad():
        for start in range(0, len(faces), _BATCH):
            images = faces.images(slice(start, start + _BATCH))
            model(images.contiguous(memory_format=layout))


def seconds(work: Callable[[], object]) -> float:
    """Return processor time."""
    start = time.process_time()
    work()
    return time.process_time() - start


def memory() -> float:
    """Return the process's own memory in MB, pages of files that it has mapped not counted."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


@contextmanager
def watched(peaks: list[float]) -> Iterator[None]:
    """Add the highest use of memory while the block lasts."""
    highest, done = [memory()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            highest[0] = max(highest[0], memory())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        peaks.append(highest[0])


def main() -> None:
    """Print the share of the forward pass's speed, and the memory above the model."""
    speed, many = (int(text) for text in [*sys.argv[1:], *("256", "10000")[len(sys.argv) - 1 :]])
    torch.manual_seed(0)
    question = Question("layer_cam", "auto", "label", _BATCH)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = Classifier("efficientnet_b2").eval()
        run = made_run(model)
        for landmarks in (False, True):
            faces = made_faces(folder, speed, landmarks)
            work: dict[str, Callable[[], object]] = {
                "a forward pass": partial(forward, model, faces, torch.contiguous_format),
                "one in channels last": partial(forward, model, faces, torch.channels_last),
                "": partial(explain_runs, [run], [faces], question, folder, VARIANTS),
            }
            taken: dict[str, list[float]] = {name: [] for name in work}
            for _ in range(_ROUNDS + 1):  # in turn, so that a busy spell hits all
                for name, each in work.items():
                    taken[name].append(seconds(each))
            source = "landmarks" if landmarks else "a template"
            print(f"efficientnet_b2, {_SIDE} px, {speed} faces, regions from {source}:")
            full = taken.pop("")[1:]
            for name, plain in taken.items():
                ratios = [one / other for one, other in zip(plain[1:], full, strict=True)]
                print(f"  {statistics.median(ratios):.2f} of {name} "
                      f"({min(ratios):.2f} to {max(ratios):.2f})")  # fmt: skip
        for landmarks in (False, True):
            small = Classifier("resnet10t").eval()
            peaks: list[float] = []
            for count in (many // 10, many):
                faces = made_faces(folder, count, landmarks)
                forward(small, made_faces(folder, _BATCH, landmarks), torch.channels_last)
                before = memory()
                with watched(peaks):
                    explain_runs([made_run(small)], [faces], question, folder, VARIANTS)
                peaks[-1] -= before
            few, all_of_them = peaks
            source = "landmarks" if landmarks else "a template"
            print(f"resnet10t, {source}, memory above the model: {many // 10:,} faces "
                  f"{few:.0f} MB, {many:,} faces {all_of_them:.0f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
