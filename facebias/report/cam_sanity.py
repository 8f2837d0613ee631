"""Whether the maps of finished runs depend on what was learnt, and on noise: of few faces."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from facebias.cam.attribution import infidelity, sensitivity
from facebias.cam.averages import Average, average
from facebias.cam.explain import class_maps, resize_maps
from facebias.cam.faithfulness import random_maps
from facebias.cam.sanity import cascade
from facebias.data.store import progress_bar
from facebias.models.explained import network_layers, plain_layer
from facebias.report.cam_curves import drawn_places, targets_of
from facebias.report.cam_maps import ExplainedRun, Question, load_model, run_targets

INFIDELITY, SENSITIVITY = "infidelity", "sensitivity"


def measure_sanity(
    runs: Sequence[ExplainedRun], question: Question, *, faces: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make weights random, and images noisy, and see what becomes of the maps.

    Args:
        runs: as `facebias.report.cam_maps.explain_runs` returns them.
        question: what was asked of them.
        faces: how many, drawn by lot, the same for every run.
        seed: of the lot, the weights and the noise.

    Returns:
        What is left of the maps as weights become random, a row a run and stage, as
        `facebias.cam.sanity.cascade` gives it. And a row a run and measure ("infidelity",
        "sensitivity" of `facebias.cam.attribution`): value, low, high (its interval at 95 % over
        persons), random (of random maps; NaN of the sensitivity), n (faces) and units (persons).
    """
    places = drawn_places(runs[0].faces.table.rows, faces, seed)
    persons = list(runs[0].faces.table.rows["identity"].iloc[places])
    stages, noise = [], []
    with progress_bar("making weights random", len(runs) * len(places)) as advance:
        for run in runs:
            stage, rows = _of_run(run, question, places, persons, seed)
            stages.append(stage)
            noise += rows
            advance(len(places))
    return pd.concat(stages, ignore_index=True), pd.DataFrame(noise)


def _of_run(
    run: ExplainedRun,
    question: Question,
    places: npt.NDArray[np.int64],
    persons: Sequence[Any],
    seed: int,
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    model, images = load_model(run.run, question), run.faces.images(places)
    layer = network_layers(model, images[:1], question.layer, question.method)
    asked: dict[str, Any] = {
        "layer": layer,
        "method": question.method,
        "batch_size": question.batch_size,
    }
    targets = targets_of(run_targets(run.run, run.faces, question), places)
    if isinstance(targets, str):  # the answers of the trained network, for the random ones too
        targets = torch.from_numpy(class_maps(model, images, targets, **asked).targets)
    stages = cascade(model, images, targets, persons=persons, seed=seed, **asked)
    stages = stages.assign(run=run.name, layer=stages["layer"].map(plain_layer))

    def explained(noisy: Tensor) -> npt.NDArray[np.float32]:
        return class_maps(model, noisy, targets, **asked).values

    maps = resize_maps(run.read_maps(places), run.faces.size)
    given = (model, images, targets)
    of_maps = average(infidelity(*given, maps, seed=seed), persons)
    by_chance = infidelity(*given, np.asarray(random_maps(maps, seed=seed)), seed=seed)
    moved = average(sensitivity(explained, images, seed=seed), persons)
    chance = average(by_chance, persons).value
    noise = [_row(run, INFIDELITY, of_maps, chance), _row(run, SENSITIVITY, moved, np.nan)]
    return stages[["run", *stages.columns.drop("run")]], noise


def _row(run: ExplainedRun, measure: str, found: Average, random: float) -> dict[str, Any]:
    return {
        "run": run.name,
        "measure": measure,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "random": random,
        "n": found.n,
        "units": found.units,
    }
