"""Generated faces a second on one core, and their rasteriser against one in plain NumPy.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.faces

The NumPy rasteriser tests every point of the picture against one triangle after the other. Both
draw the same triangles of the same head.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from facebias.faces.factors import EXPRESSIONS, FaceFactors
from facebias.faces.raster import Gaps, rasterise
from facebias.faces.render import render_face
from facebias.faces.scene import drawn_triangles, scene
from tests.faces.brute_force import rasterise_slowly

_FACES = {64: 48, 224: 16}
_ROUNDS, _POINTS = 5, 64


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Return the median seconds of so many rounds."""
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)


def faces(n: int) -> list[FaceFactors]:
    """Return faces of several persons, ages and expressions."""
    names = tuple(EXPRESSIONS)
    return [
        FaceFactors(identity=i, age=5.0 + 70 * i / n, expression={names[i % len(names)]: 1.0})
        for i in range(n)
    ]


def render_all(factors: list[FaceFactors], size: int) -> None:
    """Render faces one after the other."""
    for each in factors:
        render_face(each, size)


def print_faces_a_second() -> None:
    """Print how many faces are rendered."""
    for size, n in _FACES.items():
        factors = faces(n)
        render_face(factors[0], size)  # compiled, or loaded from the disk
        each = seconds(partial(render_all, factors, size), _ROUNDS) / n
        print(f"  {size:3} pixels, 2 x 2 points each: {1 / each:7.1f} faces/s")


def print_rasterisers() -> None:
    """Print the milliseconds of both rasterisers, and their ratio."""
    everything = scene("none")
    used, _ = drawn_triangles("none", "short")
    places = everything.rest - np.array([0, 7, 0], np.float32)
    points = (places * np.array([1, -1, -1], np.float32) + 1.5) * np.float32(_POINTS / 3)
    solid = Gaps(everything.rest, np.full(len(points), 2, np.float32), 0)
    ours = seconds(lambda: rasterise(points, everything.triangles, used, _POINTS, solid), 20)
    peer = seconds(lambda: rasterise_slowly(points, everything.triangles[used], _POINTS), 1)
    print(f"{len(used):,} triangles, {_POINTS} x {_POINTS} points")
    print(f"  facebias:    {ours * 1000:8.2f} ms")
    print(f"  plain NumPy: {peer * 1000:8.2f} ms")
    print(f"  plain NumPy / facebias: {peer / ours:.0f}")


def main() -> None:
    """Print both."""
    print("one core, median of 5 rounds")
    print_faces_a_second()
    print_rasterisers()


if __name__ == "__main__":
    main()
