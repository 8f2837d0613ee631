"""Images a second from JPEG files to batches, against a plain PIL loop and against ImageFolder.

    python -m tests.benchmarks.loading        # 4,000 files
    python -m tests.benchmarks.loading 20000  # some 6 GB below the temporary folder

The files are generated faces of 224 x 224 pixels, each cut and grained anew. First the store is
built, with a thread a core; its peer decodes one file after the other into a memory map, and both
end with their pixels on disk. Then one process loads batches with light augmentation: facebias
from the store, ImageFolder with transforms v2 from the files. torchvision has no store and decodes
a JPEG each time, so the second ratio holds the decoding. Peers take turns, so that a machine that
slows down slows all; but on a busy machine two threads gain less over one than on an idle one.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import InterpolationMode, v2

from facebias.data.augment import Augmentation
from facebias.data.bias import AllFaces
from facebias.data.datamodule import FaceDataModule
from facebias.data.images import FaceFormat
from facebias.data.prepare import PreparedFaces, store_faces
from facebias.data.readers.folders import read_class_folders
from facebias.data.statistics import PixelStatistics
from facebias.data.store import open_store, thread_count
from facebias.faces.factors import EXPRESSIONS, FaceFactors
from facebias.faces.render import render_face

_SIZE, _MARGIN, _RENDERED, _ROUNDS, _BATCH, _WARM = 224, 32, 50, 3, 128, 3
_CLASSES = ("a", "b")
_FORMAT = FaceFormat(_SIZE, _SIZE, 3)


def write_files(folder: Path, n: int) -> list[Path]:
    """Write n JPEG files into a folder for each of two classes."""
    rendered, dice = [render(number) for number in range(_RENDERED)], np.random.default_rng(0)
    paths = [folder / "train" / _CLASSES[number % 2] / f"{number:05}.jpg" for number in range(n)]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        top, left = dice.integers(0, _MARGIN + 1, 2)
        cut = rendered[number % _RENDERED][top : top + _SIZE, left : left + _SIZE]
        grained = cut + dice.integers(-8, 9, cut.shape, dtype=np.int16)
        Image.fromarray(grained.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return paths


def render(number: int) -> np.ndarray:
    """Render one person, larger than a file by a margin to cut from."""
    names = tuple(EXPRESSIONS)
    expression = {names[number % len(names)]: 1.0}
    return render_face(FaceFactors(identity=number, expression=expression), _SIZE + _MARGIN).image


def build_store(paths: list[Path], cache: Path) -> float:
    """Return the seconds that a store takes."""
    shutil.rmtree(cache, ignore_errors=True)
    start = time.perf_counter()
    open_store(paths, _FORMAT, folder=cache, progress=False)
    return time.perf_counter() - start


def decode_plainly(paths: list[Path], target: Path) -> float:
    """Return the seconds of a loop over the files."""
    start = time.perf_counter()
    shape = (len(paths), *_FORMAT.shape)
    faces = np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=shape)
    for place, path in enumerate(paths):
        image = Image.open(path).convert("RGB")
        faces[place] = np.asarray(image.resize((_SIZE, _SIZE), Image.Resampling.BILINEAR))
    faces.flush()
    spent = time.perf_counter() - start
    target.unlink()
    return spent


def prepare(root: Path, cache: Path) -> PreparedFaces:
    """Store all files as train faces, near copies as they are."""
    table = read_class_folders(str(root), _CLASSES, {}, {"train": "train"})
    table, store = store_faces(table, _FORMAT, cache, max_bad=0)
    unmeasured = PixelStatistics(np.zeros(0, np.float32), np.zeros(0, np.float32))
    return PreparedFaces(table, store, unmeasured, table.cells("train"), AllFaces())


def facebias_loader(faces: PreparedFaces) -> DataLoader[Any]:
    """Return the loader of a training with the transforms of conf/augment/light.yaml."""
    light = {
        "flip": albumentations.HorizontalFlip(p=0.5),
        "affine": albumentations.Affine(
            translate_percent={"x": (-0.08, 0.08), "y": (-0.08, 0.08)},
            rotate=(-10, 10),
            scale=(0.9, 1.1),
            border_mode=1,
            p=1.0,
        ),
    }
    module = FaceDataModule(
        faces, Augmentation(light, 0), batch_size=_BATCH, workers=1, seed=0, evaluated=()
    )
    return module.train_dataloader()


def image_folder_loader(root: Path) -> DataLoader[Any]:
    """Return a loader of the files with the same moves; v2 has no repeated border."""
    moves = v2.Compose(
        [
            v2.ToImage(),
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(10, (0.08, 0.08), (0.9, 1.1), interpolation=InterpolationMode.BILINEAR),
        ]
    )
    folder = ImageFolder(str(root / "train"), moves)
    return DataLoader(folder, _BATCH, shuffle=True, num_workers=1, persistent_workers=True)


def load(loader: DataLoader[Any]) -> float:
    """Return the seconds an image, once the worker runs and has filled its queue."""
    batches, loaded = iter(loader), 0
    for _ in range(_WARM):
        next(batches)
    start = time.perf_counter()
    for batch in batches:
        loaded += len(batch[0])
    return (time.perf_counter() - start) / loaded


def take_turns(works: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Return the times of every work, without a first round that warms up."""
    spent: dict[str, list[float]] = {name: [] for name in works}
    for round_number in range(_ROUNDS + 1):
        for name, work in works.items():
            each = work()
            if round_number:
                spent[name].append(each)
    return spent


def print_ratio(seconds: dict[str, list[float]], images: int) -> None:
    """Print images a second, and how many times as fast the first is as the second."""
    (name, ours), (peer, theirs) = seconds.items()
    for each, spent in seconds.items():
        print(f"  {each:<44} {images / statistics.median(spent):7.0f} images/s")
    ratios = [p / f for f, p in zip(ours, theirs, strict=True)]
    print(f"  {name} / {peer}: {statistics.median(ratios):.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f})")  # fmt: skip


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("n", nargs="?", type=int, default=4000, help="files")
    n = parser.parse_args().n
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths, cache = write_files(folder / "faces", n), folder / "cache"
        print(f"{n:,} JPEG of {_SIZE} x {_SIZE}, median of {_ROUNDS} rounds")
        stored = take_turns(
            {
                f"store, {thread_count(None)} threads": lambda: build_store(paths, cache),
                "plain PIL loop": lambda: decode_plainly(paths, folder / "plain.npy"),
            }
        )
        print_ratio(stored, n)
        ours = facebias_loader(prepare(folder / "faces", cache))
        theirs = image_folder_loader(folder / "faces")
        print(f"one worker, light augmentation, batch {_BATCH}")
        loaded = take_turns(
            {
                "facebias, from the store": lambda: load(ours),
                "ImageFolder and v2, decodes JPEG each time": lambda: load(theirs),
            }
        )
        print_ratio(loaded, 1)


if __name__ == "__main__":
    main()
