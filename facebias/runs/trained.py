"""Finished trainings, read back together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from omegaconf import DictConfig

from facebias.config import build
from facebias.data.images import BadImageError, decode_face
from facebias.data.prepare import SPLIT_FILE
from facebias.data.remedy import loss_weights
from facebias.data.table import UNKNOWN, FaceTable
from facebias.errors import DataError, RunError
from facebias.models.classifier import FaceClassifier
from facebias.report.results import RunResults, read_results
from facebias.runs.assemble import assemble_classifier, face_format
from facebias.runs.checkpoints import checkpoint_file
from facebias.runs.others import read_train_config


@dataclass(frozen=True)
class TrainedRun:
    """A finished training.

    Attributes:
        folder: of the run.
        config: its checked configuration.
        results: its tables.
        name: what tells it from the runs that it is compared with.
    """

    folder: Path
    config: DictConfig
    results: RunResults
    name: str

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the model's outputs."""
        return tuple(self.config.data.reader.classes)

    @cached_property
    def attributes(self) -> dict[str, tuple[str, ...]]:
        """The groups of each attribute: those declared, or all that the faces have."""
        return {
            str(name): tuple(groups) or tuple(sorted(set(self.faces[name]) - {UNKNOWN}))
            for name, groups in (self.config.data.reader.get("attributes") or {}).items()
        }

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The predictions of the split that counts, a row a face."""
        predictions = self.results.predictions
        return predictions[predictions["split"] == self.results.headline_split]

    @cached_property
    def faces(self) -> pd.DataFrame:
        """Every face, its split, and why it is left out where it is."""
        return pd.read_parquet(self.folder / SPLIT_FILE)

    def train_prior(self) -> dict[str, float]:
        """Return the share that each class had in the training's loss, 0..1.

        It is the share of its faces, each by its weight where a remedy gave it one; where the loss
        weighs classes equally, all are the same.
        """
        rows = self.faces
        train = rows[(rows["split"] == "train") & (rows["left_out"] == "")]
        weights = pd.Series(loss_weights(train).astype(np.float64), index=train.index)
        sums = weights.groupby(train["label"]).sum()
        shares = sums / sums.sum()
        if self.config.classifier.get("class_weights") == "balanced":
            shares = shares.gt(0) / shares.gt(0).sum()
        return {name: float(shares.get(name, 0)) for name in self.classes}

    def images(self, names: Sequence[str]) -> npt.NDArray[np.uint8]:
        """Return the images of faces (N, H, W, C), 0..255, as the network saw them.

        Args:
            names: ids of N faces.

        Raises:
            DataError: if one is not among the run's data any more, or cannot be decoded.
        """
        table: FaceTable = build(self.config.data.reader)
        sources = dict(zip(table.rows["id"], table.rows["source"], strict=True))
        missing = [name for name in names if name not in sources]
        if missing:
            raise DataError(
                f"{table.root} has no face {missing[0]!r}, which {self.folder} was evaluated on",
                "the data that the run was trained with",
                "put its images back, or train again with those that are there",
            )
        return np.stack([self._image(table.root / sources[name]) for name in names])

    def _image(self, file: Path) -> npt.NDArray[np.uint8]:
        try:
            return decode_face(file, face_format(self.config)).pixels
        except BadImageError as error:
            raise DataError(
                f"{file}, which {self.folder} was evaluated on, cannot be read: {error.reason}",
                "the data that the run was trained with",
                "put the image back, or train again without it",
            ) from error

    def model(self) -> FaceClassifier:
        """Return the network with the weights that the run was evaluated with, in evaluation.

        Raises:
            RunError: if its checkpoint is gone.
        """
        model = assemble_classifier(self.config, torch.ones(len(self.classes)), training=False)
        file = checkpoint_file(self.folder, self.config.checkpoint.use)
        saved = torch.load(file, map_location="cpu", weights_only=True)
        model.load_state_dict(saved["state_dict"])
        return model.eval()


def load_runs(folders: Sequence[Path]) -> list[TrainedRun]:
    """Return finished trainings that can be compared, each under a name of its own.

    Raises:
        RunError: if there are fewer than two, one is given twice, one is not finished, or they
            have not predicted the same faces with the same classes, labels and groups.
        ConfigError: if one was written by another version and does not fit this one.
    """
    _refuse_too_few(folders)
    configs = [read_train_config(folder) for folder in folders]
    runs = [
        TrainedRun(folder, config, _results(folder), name)
        for folder, config, name in zip(folders, configs, _names(configs), strict=True)
    ]
    for run in runs[1:]:
        _refuse_other_classes(runs[0], run)
        _refuse_other_faces(runs[0], run)
    return runs


def _refuse_too_few(folders: Sequence[Path]) -> None:
    places = [folder.resolve() for folder in folders]
    for folder, place in zip(folders, places, strict=True):
        if places.count(place) > 1:
            raise RunError(f"the run {folder} is given twice", "different runs", "give it once")
    if len(folders) < 2:
        raise RunError(
            f"{len(folders)} run to compare" if folders else "no runs to compare",
            "two runs or more",
            "give runs=[FOLDER,FOLDER]",
        )


def _results(folder: Path) -> RunResults:
    try:
        return read_results(folder)
    except FileNotFoundError as error:
        raise RunError(
            f"a table of {folder} is gone: {error}",
            "all that a finished training leaves",
            "train it again, or compare others",
        ) from error


def _names(configs: Iterable[DictConfig]) -> Iterator[str]:
    """Name each run by what it was trained on and its seed; equal names are numbered."""
    given: list[str] = []
    for config in configs:
        given.append(f"{config.bias.variant}, seed {config.seed}")
        number = given.count(given[-1])
        yield given[-1] if number == 1 else f"{given[-1]} ({number})"


def _refuse_other_classes(first: TrainedRun, other: TrainedRun) -> None:
    if set(first.classes) != set(other.classes):
        raise RunError(
            f"{first.folder} tells {', '.join(first.classes)} apart, "
            f"and {other.folder} {', '.join(other.classes)}",
            "runs with the same classes",
            "compare runs of one task",
        )


def _refuse_other_faces(first: TrainedRun, other: TrainedRun) -> None:
    shared = [name for name in first.attributes if name in other.attributes]
    one, two = (_said_of_faces(run, shared) for run in (first, other))
    if one != two:
        alike = sum(two.get(name) == said for name, said in one.items())
        raise RunError(
            f"{first.folder} predicted {len(one)} {first.results.headline_split} faces and "
            f"{other.folder} {len(two)} {other.results.headline_split} faces; {alike} of them "
            "have the same id, label and groups",
            "runs with the same data, data.seed and test split",
            "train them again with the same data, or compare others",
        )


def _said_of_faces(run: TrainedRun, attributes: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Return label and groups of each face that counts, by its id."""
    columns = [run.rows[name] for name in ("label", *attributes)]
    return dict(zip(run.rows["id"], zip(*columns, strict=True), strict=True))
