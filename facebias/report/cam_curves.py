"""Whether the maps of finished runs say what the networks go by: deletion and insertion."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from facebias.cam.averages import average
from facebias.cam.faithfulness import (
    Kind,
    against_random,
    area,
    deletion_curve,
    insertion_curve,
    random_maps,
)
from facebias.cam.targets import Targets
from facebias.data.split import seeded_order
from facebias.data.store import progress_bar
from facebias.report.cam_maps import ExplainedRun, Question, load_model, run_targets

Curves = Mapping[Kind, npt.NDArray[np.float32]]


def measure_curves(
    runs: Sequence[ExplainedRun], question: Question, *, faces: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take faces away and put them back, in the order of their maps and of random ones.

    Args:
        runs: as `facebias.report.cam_maps.explain_runs` returns them.
        question: what was asked of them.
        faces: how many, drawn by lot, the same for every run.
        seed: of the lot, and of the random maps.

    Returns:
        The curves, a row a run, kind ("deletion", "insertion"), order ("map", "random") and share
        of the image, 0..1: probability (of what is explained, the mean over faces), low, high (its
        interval at 95 % over persons), n, and area (under the whole curve). And a row a run and
        kind, as `facebias.cam.faithfulness.against_random` gives it.
    """
    rows = runs[0].faces.table.rows
    places = drawn_places(rows, faces, seed)
    persons = list(rows["identity"].iloc[places])
    curves: list[dict[str, Any]] = []
    gains = []
    with progress_bar(
        "taking faces away and putting them back", len(runs) * len(places)
    ) as advance:
        for run in runs:
            found = dict(_orders(run, question, places, seed))
            for name, kinds in found.items():
                curves += _rows(run.name, name, kinds, persons)
            gain = against_random(found["map"], found["random"], persons)
            gain.insert(0, "run", run.name)
            gains.append(gain)
            advance(len(places))
    return pd.DataFrame(curves), pd.concat(gains, ignore_index=True)


def drawn_places(rows: pd.DataFrame, faces: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the places of so many rows, drawn by lot, in their order."""
    order = np.argsort(seeded_order(rows["id"], seed), kind="stable")
    return np.sort(order[:faces])


def _orders(
    run: ExplainedRun, question: Question, places: npt.NDArray[np.int64], seed: int
) -> Iterator[tuple[str, Curves]]:
    """Yield the curves of a run's maps, and of random ones."""
    model = load_model(run.run, question)
    images = run.faces.images(places)
    targets = targets_of(run_targets(run.run, run.faces, question), places)
    maps = run.read_maps(places)
    for name, values in (("map", maps), ("random", random_maps(maps, seed=seed))):
        given = (model, images, values, targets)
        deletion = deletion_curve(*given, batch_size=question.batch_size)
        insertion = insertion_curve(*given, batch_size=question.batch_size)
        yield name, {"deletion": deletion, "insertion": insertion}


def targets_of(targets: Targets, places: npt.NDArray[np.int64]) -> Targets:
    """Return the targets of some of the faces."""
    if isinstance(targets, str):
        return targets
    chosen = torch.from_numpy(places)
    if isinstance(targets, tuple):
        return targets[0][chosen], targets[1][chosen]
    return targets[chosen]


def _rows(run: str, order: str, kinds: Curves, persons: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Yield a row a kind and share of the image."""
    for kind, curves in kinds.items():
        under = average(area(curves), persons).value
        for step, values in enumerate(curves.T):
            found = average(values, persons)
            yield {
                "run": run,
                "kind": kind,
                "order": order,
                "share": step / (curves.shape[1] - 1),
                "probability": found.value,
                "low": found.low,
                "high": found.high,
                "n": found.n,
                "area": under,
            }
