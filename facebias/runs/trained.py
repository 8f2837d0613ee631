"""Finished trainings, read back together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from omegaconf import DictConfig

from facebias.errors import RunError
from facebias.models.classifier import FaceClassifier
from facebias.report.results import RunResults, read_results
from facebias.runs.assemble import assemble_classifier
from facebias.runs.checkpoints import checkpoint_file
from facebias.runs.others import read_train_config


@dataclass(frozen=True)
class TrainedRun:
    """A finished training.

    Attributes:
        folder: of the run.
        config: its checked configuration.
        results: its tables.
    """

    folder: Path
    config: DictConfig
    results: RunResults

    @property
    def variant(self) -> str:
        """What it was trained on."""
        return str(self.config.bias.variant)

    @property
    def name(self) -> str:
        """What tells it from the runs that it is compared with."""
        return f"{self.variant}, seed {self.config.seed}"

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the model's outputs."""
        return tuple(self.config.data.reader.classes)

    def model(self) -> FaceClassifier:
        """Return the network with the weights that the run was evaluated with, in evaluation."""
        model = assemble_classifier(self.config, torch.ones(len(self.classes)), training=False)
        file = checkpoint_file(self.folder, self.config.checkpoint.use)
        saved = torch.load(file, map_location="cpu", weights_only=True)
        model.load_state_dict(saved["state_dict"])
        return model.eval()


def load_runs(folders: Sequence[Path]) -> list[TrainedRun]:
    """Return finished trainings that can be compared.

    Raises:
        RunError: if there are fewer than two, one is not finished, or they have not predicted the
            same test faces with the same labels.
        ConfigError: if one was written by another version and does not fit this one.
    """
    if len(folders) < 2:
        raise RunError(f"{len(folders)} runs", "two runs or more", "give runs=[FOLDER,FOLDER]")
    runs = [TrainedRun(each, read_train_config(each), read_results(each)) for each in folders]
    for run in runs[1:]:
        _refuse_unlike(runs[0], run)
    return runs


def _refuse_unlike(first: TrainedRun, other: TrainedRun) -> None:
    seen = [_faces(run) for run in (first, other)]
    if seen[0] != seen[1]:
        shared = len(seen[0].keys() & seen[1].keys())
        raise RunError(
            f"{first.folder} and {other.folder} predicted {len(seen[0])} and {len(seen[1])} "
            f"faces, {shared} of them the same",
            "runs with the same data, data.seed and test split",
            "train them again with the same data, or compare others",
        )


def _faces(run: TrainedRun) -> dict[str, str]:
    """Return the label of each face of the split that counts."""
    predictions = run.results.predictions
    rows = predictions[predictions["split"] == run.results.headline_split]
    return dict(zip(rows["id"], rows["label"], strict=True))
