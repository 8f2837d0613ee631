"""Where several models look on the same faces, as one picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from facebias.cam.explain import class_maps, resize_maps
from facebias.cam.overlay import overlay
from facebias.data.split import seeded_order
from facebias.errors import ConfigError
from facebias.pictures import Cell, Row, write_rows
from facebias.runs.assemble import assemble_faces
from facebias.runs.trained import TrainedRun

UInt8 = npt.NDArray[np.uint8]


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
        runs: with the same test faces.
        path: the PNG to write.
        per_label: faces of each class, chosen by a seeded order and spread over the groups.
        target: the class that the maps explain, or "label": each face's own. Maps of different
            models are compared for one named class.
        method: "layer_cam" or "grad_cam".
        layer: name of a module of the networks, or "auto".
        seed: of the choice.

    Raises:
        ConfigError: if the target is no class.
        ModelError: if a network has no such layer.
    """
    first = runs[0]
    if target not in ("label", *first.classes):
        raise ConfigError(
            f"target is {target!r}", f"label, or one of {', '.join(first.classes)}", "change it"
        )
    chosen = _choose(first, per_label, seed)
    faces = _images(first, chosen)
    explained = chosen["label"] if target == "label" else pd.Series(target, index=chosen.index)
    targets = torch.tensor([first.classes.index(name) for name in explained])
    maps = [_overlays(run, faces, targets, method, layer) for run in runs]
    rows = [
        _row(runs, face, chosen.iloc[n], [painted[n] for painted in maps])
        for n, face in enumerate(faces)
    ]
    write_rows(
        path,
        rows,
        columns=["the face", *(run.name for run in runs)],
        title="The same faces under each model",
        note=f"{method} for the class {'of the face' if target == 'label' else target}; below: "
        "the answer and its probability",
    )


def _choose(run: TrainedRun, per_label: int, seed: int) -> pd.DataFrame:
    """Choose faces of each class; groups that were not shown yet come first."""
    predictions = run.results.predictions
    rows = predictions[predictions["split"] == run.results.headline_split]
    order = np.argsort(seeded_order(rows["id"], seed), kind="stable")
    groups = list(run.config.data.reader.attributes or {})
    chosen: list[pd.Series] = []
    for label in run.classes:
        left = rows.iloc[order][lambda table, label=label: table["label"] == label]
        for _ in range(min(per_label, len(left))):
            shown = sum(
                left[name].map(pd.Series([face[name] for face in chosen]).value_counts()).fillna(0)
                for name in groups
            )
            best = int(np.argmin(np.asarray(shown))) if groups and chosen else 0
            chosen.append(left.iloc[best])
            left = left.drop(index=left.index[best])
    return pd.DataFrame(chosen).reset_index(drop=True)


def _images(run: TrainedRun, chosen: pd.DataFrame) -> UInt8:
    """Return the images (N, H, W, C) of chosen faces, as the networks see them."""
    prepared = assemble_faces(run.config)
    row = prepared.table.rows.set_index("id")["row"]
    faces: UInt8 = prepared.store.read(row.loc[chosen["id"]].to_numpy(np.int64))
    return faces


def _overlays(
    run: TrainedRun, faces: UInt8, targets: torch.Tensor, method: str, layer: str
) -> UInt8:
    """Return the faces (N, H, W, 3) coloured by one model's maps."""
    images = torch.from_numpy(faces).permute(0, 3, 1, 2)
    name = layer if layer == "auto" else f"network.{layer}"
    maps = class_maps(run.model(), images, targets, layer=name, method=method)
    return overlay(faces, resize_maps(maps.values, faces.shape[1:3]))


def _row(
    runs: Sequence[TrainedRun], face: UInt8, shown: pd.Series, overlays: Sequence[UInt8]
) -> Row:
    groups = [str(shown[name]) for name in runs[0].config.data.reader.attributes or {}]
    cells = [Cell(np.broadcast_to(face, overlays[0].shape), ", ".join(groups))]
    for run, painted in zip(runs, overlays, strict=True):
        answer = run.results.predictions.set_index("id").loc[shown["id"]]
        said = answer["predicted"]
        sign = "✓" if said == shown["label"] else "✗"
        cells.append(Cell(painted, f"{sign} {said} {answer[f'p_{said}']:.2f}"))
    return Row(str(shown["label"]), cells)
