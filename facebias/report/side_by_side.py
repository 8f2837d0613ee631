"""Where several models look on the same faces, as one picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from facebias.cam.explain import class_maps, resize_maps
from facebias.cam.overlay import overlay
from facebias.data.choice import spread_faces
from facebias.errors import ConfigError, DataError
from facebias.models.explained import network_layers
from facebias.pictures import Cell, Row, write_rows
from facebias.runs.trained import TrainedRun

UInt8 = npt.NDArray[np.uint8]

_TOLERANCE = 0.1  # of a probability; a GPU in half precision differs by a few hundredths


def draw_maps(
    runs: Sequence[TrainedRun],
    path: Path,
    *,
    per_label: int,
    target: str,
    method: str,
    layer: str,
    seed: int,
) -> None:
    """Draw a row for each face: the face, and its map under each model.

    Args:
        runs: with the same faces, as `facebias.runs.trained.load_runs` returns them.
        path: the PNG to write.
        per_label: faces of each class, chosen by a seeded order and spread over the groups.
        target: the class that the maps explain, or "label": each face's own. Maps of different
            models are compared for one named class.
        method: a name in `facebias.cam.methods.METHODS`.
        layer: name of a module of the networks, "stages" or "auto".
        seed: of the choice.

    Raises:
        ConfigError: if the target is no class.
        DataError: if the images are not those that the runs were evaluated on.
        ModelError: if a network has no such layer.
        RunError: if a checkpoint is gone, or the file cannot be written.
    """
    first = runs[0]
    if target not in ("label", *first.classes):
        raise ConfigError(
            f"target is {target!r}", f"label, or one of {', '.join(first.classes)}", "change it"
        )
    chosen = spread_faces(first.rows, first.classes, first.attributes, per_label, seed)
    chosen = chosen.assign(explained=chosen["label"])
    if target != "label":
        chosen = chosen.assign(explained=target)
    faces = [run.images(chosen["id"]) for run in runs]
    painted = [
        _overlays(run, chosen, images, method, layer)
        for run, images in zip(runs, faces, strict=True)
    ]
    rows = [
        _row(runs, face, shown, overlays)
        for face, shown, *overlays in zip(
            faces[0], chosen.to_dict(orient="records"), *painted, strict=True
        )
    ]
    write_rows(
        path,
        rows,
        columns=["the face", *(run.name for run in runs)],
        title="The same faces under each model",
        note=f"{method} for the class {'of the face' if target == 'label' else target}; below: "
        "the answer and its probability",
    )


def _overlays(
    run: TrainedRun, chosen: pd.DataFrame, faces: UInt8, method: str, layer: str
) -> UInt8:
    """Return the faces (N, H, W, 3) coloured by one model's maps."""
    model = run.model()
    images = torch.from_numpy(faces).permute(0, 3, 1, 2)
    targets = torch.tensor([run.classes.index(name) for name in chosen["explained"]])
    found = network_layers(model, images, layer, method)
    maps = class_maps(model, images, targets, layer=found, method=method)
    written = run.rows.set_index("id", drop=False).loc[chosen["id"]]
    refuse_other_answers(run, written, torch.from_numpy(maps.logits))
    return overlay(faces, resize_maps(maps.values, faces.shape[1:3]))


def refuse_other_answers(run: TrainedRun, written: pd.DataFrame, logits: torch.Tensor) -> None:
    """Refuse images (or weights) that give other probabilities than the run has written down.

    Args:
        run: that was evaluated on these faces.
        written: their rows of its predictions, N.
        logits: (N, classes).

    Raises:
        DataError: if one differs by more than a tenth.
    """
    expected = written[[f"p_{name}" for name in run.classes]].to_numpy()
    differ = np.abs(logits.softmax(1).numpy() - expected).max(axis=1) > _TOLERANCE
    if differ.any():
        raise DataError(
            f"{differ.sum()} of {len(written)} faces get other probabilities than {run.folder} has "
            f"in its predictions, the first is {written['id'][differ].iloc[0]}",
            "the images and the weights that it was evaluated with",
            "put them back, or train again with the images that are there",
        )


def _row(
    runs: Sequence[TrainedRun], face: UInt8, shown: dict[str, str], overlays: Sequence[UInt8]
) -> Row:
    groups = ", ".join(str(shown[name]) for name in runs[0].attributes)
    cells = [Cell(face, groups)]
    for run, painted in zip(runs, overlays, strict=True):
        answer = run.rows.set_index("id").loc[shown["id"]]
        said = answer["predicted"]
        sign = "✓" if said == shown["label"] else "✗"
        cells.append(Cell(painted, f"{sign} {said} {answer[f'p_{said}']:.2f}"))
    return Row(shown["label"], cells)
