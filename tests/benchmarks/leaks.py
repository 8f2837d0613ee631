"""The leak gate: how it grows with the number of faces, and which planted copies it finds.

    python -m tests.benchmarks.leaks [growth | recall] [FOLDER]

Both begin with 6,000 generated faces of 64 pixels, four of each of 1,500 people. FOLDER keeps them.

- `growth` needs more: each is made of two of these, mixed under a smooth mask, stretched unevenly
  along both sides, and lit unevenly. So each is a face of its own, aligned like the others.
- `recall` plants 500 copies of each kind among the 6,000, and counts those that are linked to
  their originals, and the pairs that are no copies.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.clusters import clusters
from facebias.data.duplicates import find_links
from facebias.data.fingerprints import fingerprints
from facebias.faces.generate import generate_faces
from facebias.faces.writer import read_faces, read_picture
from tests.data.planted_copies import CHANGES

Pixels = npt.NDArray[np.uint8]

_FACES, _SIZE, _PLANTED = 6_000, 64, 500
_COUNTS, _ASKED = (10_000, 20_000, 50_000), 450_000
_ROUNDS = 3  # the shortest counts


def generated(folder: Path) -> Pixels:
    """Return the generated faces (6000, 64, 64, 3)."""
    generate_faces(folder, n=_FACES, size=_SIZE, equal_by="valence")
    picture = read_picture(folder)
    return np.stack([picture(name) for name in read_faces(folder)["id"]])


def varied(faces: Pixels, count: int) -> Pixels:
    """Return so many gray faces (count, 64, 64, 1), each of two others."""
    random, gray = np.random.default_rng(0), faces.mean(axis=3).astype(np.float32)
    made = np.empty((count, _SIZE, _SIZE, 1), np.uint8)
    for start in range(0, count, 500):
        many = min(500, count - start)
        one, other = gray[random.integers(0, len(gray), (2, many))]
        mask = 1 / (1 + np.exp(-3 * _smooth(random, many)))
        mixed = _stretched(mask * one + (1 - mask) * other, random)
        lit = mixed * (1 + 0.1 * _smooth(random, many))
        made[start : start + many, ..., 0] = np.clip(np.rint(lit), 0, 255)
    return made


def _smooth(random: np.random.Generator, many: int) -> npt.NDArray[np.float32]:
    """Return smooth fields (many, 64, 64) around 0."""
    waves = np.cos(np.pi * np.arange(4)[:, None] * (np.arange(_SIZE) + 0.5) / _SIZE)
    weights = random.normal(size=(many, 4, 4)) / 2
    fields: npt.NDArray[np.float32] = (waves.T @ weights @ waves).astype(np.float32)
    return fields


def _stretched(
    faces: npt.NDArray[np.float32], random: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Stretch faces unevenly along both sides, by up to a tenth."""
    line = np.arange(_SIZE)
    matrices = []
    for _ in range(2):
        waves = np.sin(np.pi * np.arange(1, 4)[:, None] * line / (_SIZE - 1))
        moves = random.normal(scale=1.2, size=(len(faces), 3)) @ waves
        gaps = np.abs((line + moves)[..., None].clip(0, _SIZE - 1) - line)
        matrices.append(np.clip(1 - gaps, 0, None).astype(np.float32))
    stretched: npt.NDArray[np.float32] = matrices[0] @ faces @ matrices[1].transpose(0, 2, 1)
    return stretched


def print_growth(faces: Pixels) -> None:
    """Print seconds by the number of faces, and the exponent of a power of it."""
    every = varied(faces, max(_COUNTS))
    spent = [min(_seconds(every[:count]) for _ in range(_ROUNDS)) for count in _COUNTS]
    for count, seconds in zip(_COUNTS, spent, strict=True):
        print(f"{count:7,} faces: {seconds:6.1f} s")
    exponent, scale = np.polyfit(np.log(_COUNTS), np.log(spent), 1)
    asked = np.exp(scale) * _ASKED**exponent
    print(f"time grows with the power {exponent:.2f} of the number (asked: at most 1.2)")
    print(f"at {_ASKED:,} faces: {asked / 60:.0f} minutes")


def _seconds(faces: Pixels) -> float:
    """Time the fingerprints and the links of faces."""
    begin = time.perf_counter()
    prints = fingerprints(faces.__getitem__, len(faces))
    find_links(prints, faces.__getitem__, np.arange(len(faces)))
    return time.perf_counter() - begin


def print_recall(faces: Pixels) -> None:
    """Print the share of planted copies that are found, and what else is."""
    random = np.random.default_rng(0)
    originals = {name: random.permutation(len(faces))[:_PLANTED] for name in CHANGES}
    planted = [
        change(faces[row], random) for name, change in CHANGES.items() for row in originals[name]
    ]
    every = np.concatenate([faces, np.stack(planted)])
    prints = fingerprints(lambda rows: every[rows], len(every))
    links = find_links(prints, lambda rows: every[rows], np.arange(len(every)))
    source = np.concatenate([np.arange(len(faces)), *originals.values()])
    found = clusters(links, np.arange(len(every)), len(every))
    for number, name in enumerate(CHANGES):
        rows = len(faces) + number * _PLANTED + np.arange(_PLANTED)
        score = found.score[rows]
        print(
            f"{name:24} recall {np.mean(found.first[rows] == source[rows]):.3f}, "
            f"score of the worst hundredth {np.quantile(score, 0.01):.2f}"
        )
    _print_false(links, source)


def _print_false(links: pd.DataFrame, source: npt.NDArray[np.int64]) -> None:
    wrong = links[source[links["first"]] != source[links["second"]]]
    pairs = {tuple(sorted(pair)) for pair in source[wrong[["first", "second"]].to_numpy()].tolist()}
    print(f"pairs of faces that are no copies of one: {len(pairs)} {sorted(pairs)[:9]}")


def main(arguments: list[str]) -> None:
    """Print what was asked for, or both."""
    asked = [name for name in ("growth", "recall") if name in arguments] or ["growth", "recall"]
    folders = [name for name in arguments if name not in ("growth", "recall")]
    with tempfile.TemporaryDirectory() as temporary:
        faces = generated(Path(folders[0]) if folders else Path(temporary))
    if "recall" in asked:
        print_recall(faces)
    if "growth" in asked:
        print_growth(faces)


if __name__ == "__main__":
    main(sys.argv[1:])
