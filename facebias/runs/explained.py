"""Faces before finished runs, to see where they look: a split of their own, or others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from omegaconf import DictConfig

from facebias.data.images import FaceFormat
from facebias.data.prepare import store_faces
from facebias.data.split import seeded_order
from facebias.data.store import FaceStore
from facebias.data.table import SPLITS, FaceTable
from facebias.errors import ConfigError, DataError, RunError
from facebias.runs.assemble import face_format, read_faces
from facebias.runs.checkpoints import checkpoint_file
from facebias.runs.finished import find_runs
from facebias.runs.others import load_other_faces
from facebias.runs.trained import TrainedRun, load_runs, refuse_unlike_faces

Places: TypeAlias = slice | npt.NDArray[np.integer]
"""Which faces of a table, by their places in it."""


@dataclass(frozen=True)
class ExplainedFaces:
    """The faces that a run is explained on.

    Attributes:
        table: of these faces alone, in order; its column `row` is their row in the store.
        store: the decoded faces, in the run's own size.
        split: of the run, whose predictions name these faces; None for other faces.
    """

    table: FaceTable
    store: FaceStore
    split: str | None

    def __len__(self) -> int:
        """Return how many faces there are."""
        return len(self.table.rows)

    @property
    def size(self) -> tuple[int, int]:
        """H, W of the faces."""
        height, width = self.store.faces.shape[1:3]
        return height, width

    def stored(self, rows: Places) -> npt.NDArray[np.int64]:
        """Return the rows of some faces in the store, (B,)."""
        return np.asarray(self.table.rows["row"].to_numpy(np.int64)[rows])

    def pixels(self, rows: Places) -> npt.NDArray[np.uint8]:
        """Return some faces, (B, H, W, C) uint8."""
        return self.store.read(self.stored(rows))

    def images(self, rows: Places) -> torch.Tensor:
        """Return some faces as a network takes them, (B, C, H, W) uint8."""
        return torch.from_numpy(self.pixels(rows)).permute(0, 3, 1, 2)


def load_explained(config: DictConfig) -> tuple[list[TrainedRun], list[ExplainedFaces]]:
    """Return the runs of a configuration, and for each the same faces in its own size.

    Args:
        config: a checked `facebias.schemas.Cam`.

    Raises:
        RunError: for runs that are not finished, whose checkpoint is gone, or that have not
            predicted the same faces.
        DataError: for faces that do not fit the runs, or none.
        ConfigError: for a device that is not there.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, and there is no GPU", "cpu", "leave device out")
    folders = find_runs(list(config.runs), None, Path(config.paths.outputs))
    runs = load_runs(folders, "explain", least=1, same_faces=False)
    _refuse_without_weights(runs)
    split = config.faces if config.faces in SPLITS else None
    if split is not None:
        _refuse_absent(runs, split)
    sizes: dict[FaceFormat, ExplainedFaces] = {}
    for run in runs:
        if split is not None and run is not runs[0]:
            refuse_unlike_faces(runs[0], run, "explain", split)
        if face_format(run.config) not in sizes:
            sizes[face_format(run.config)] = _chosen(_faces(config, run, split), config)
    faces = [sizes[face_format(run.config)] for run in runs]
    _refuse_different(runs, faces)
    return runs, faces


def explained_faces(runs: Sequence[TrainedRun], names: Sequence[str]) -> list[ExplainedFaces]:
    """Return some of the faces that runs have predicted, for each run in its own size.

    Args:
        runs: with the same faces in the split that counts, as `load_runs` returns them.
        names: ids of these faces.

    Raises:
        DataError: for faces that are gone, or cannot be read.
        RunError: for a run whose checkpoint is gone.
    """
    _refuse_without_weights(runs)
    sizes: dict[tuple[FaceFormat, str], ExplainedFaces] = {}
    for run in runs:
        key = face_format(run.config), run.results.headline_split
        if key not in sizes:
            found = _of_split(run, key[1], names, None, max_bad=0)
            # Few faces that every run looks at: decoded once.
            store = FaceStore(found.store.faces[:], found.store.crops, found.store.bad)
            sizes[key] = replace(found, store=store)
    faces = [sizes[face_format(run.config), run.results.headline_split] for run in runs]
    _refuse_different(runs, faces)
    return faces


def _refuse_without_weights(runs: Sequence[TrainedRun]) -> None:
    """Refuse runs without a checkpoint before anything is read."""
    for run in runs:
        checkpoint_file(run.folder, run.config.checkpoint.use)


def _refuse_absent(runs: Sequence[TrainedRun], split: str) -> None:
    for run in runs:
        present = set(run.results.predictions["split"])
        if split not in present:
            raise RunError(
                f"{run.folder} has not predicted {split} faces",
                f"one of {', '.join(each for each in SPLITS if each in present)}",
                f"give faces=SPLIT, or faces=./{split} for a folder of this name",
            )


def _faces(config: DictConfig, run: TrainedRun, split: str | None) -> ExplainedFaces:
    if split is None:
        prepared = load_other_faces(config, run.config).faces
        rows = prepared.table.used("test").reset_index(drop=True)
        return ExplainedFaces(prepared.table.with_rows(rows), prepared.store, None)
    cache = Path(config.paths.cache).expanduser() if run.config.data.store == "disk" else None
    return _of_split(run, split, run.predictions_of(split)["id"], cache, config.max_bad)


def _of_split(
    run: TrainedRun, split: str, names: Sequence[str], cache: Path | None, max_bad: int
) -> ExplainedFaces:
    """Return faces of the data that a run was trained with, read anew."""
    table = read_faces(run.config)
    known = table.rows.set_index("id", drop=False)
    missing = [name for name in names if name not in known.index]
    if missing:
        raise DataError(
            f"{table.root} has no face {missing[0]!r}, which {run.folder} was evaluated on",
            "the data that the run was trained with",
            "put its images back, or train again with those that are there",
        )
    rows = known.loc[list(names)].reset_index(drop=True).assign(left_out="", split=split)
    form = face_format(run.config)
    stored, store = store_faces(table.with_rows(rows), form, cache, max_bad)
    rows = stored.used().reset_index(drop=True)
    return ExplainedFaces(stored.with_rows(rows), store, split)


def _chosen(faces: ExplainedFaces, config: DictConfig) -> ExplainedFaces:
    """Return as many faces as wanted, drawn by lot, in the order that they have."""
    rows = faces.table.rows
    if config.max_faces is None or config.max_faces >= len(rows):
        return faces
    order = np.argsort(seeded_order(rows["id"], config.seed), kind="stable")
    kept = rows.iloc[np.sort(order[: config.max_faces])].reset_index(drop=True)
    return replace(faces, table=faces.table.with_rows(kept))


def _refuse_different(runs: Sequence[TrainedRun], faces: Sequence[ExplainedFaces]) -> None:
    """Refuse faces that one run can read and another cannot."""
    first = faces[0].table.rows["id"]
    for run, other in zip(runs, faces, strict=True):
        if not first.equals(other.table.rows["id"]):
            different = pd.Index(first).symmetric_difference(pd.Index(other.table.rows["id"]))
            raise DataError(
                f"{runs[0].folder} and {run.folder} do not read the same faces; "
                f"{len(different)} differ, the first is {different[0]}",
                "the same faces for every run",
                "mend or leave out these faces",
            )
