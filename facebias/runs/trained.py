"""Finished trainings, read back together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import DictConfig

from facebias.data.bag import drawn_faces
from facebias.data.prepare import SPLIT_FILE
from facebias.data.remedy import loss_shares
from facebias.data.table import SPLITS, UNKNOWN
from facebias.errors import RunError
from facebias.models.classifier import FaceClassifier
from facebias.report.results import RunResults, read_results
from facebias.runs.assemble import assemble_classifier
from facebias.runs.checkpoints import checkpoint_file
from facebias.runs.finished import read_train_config
from facebias.runs.settings import bias_name


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
        """The groups of each attribute: those declared, or all that the faces have.

        An attribute that is the label is no group of its faces, and readers leave it out.
        """
        data = self.config.data
        declared = {
            **(data.reader.get("attributes") or {}),
            **(data.side_table.attributes or {}),
        }
        return {
            str(name): tuple(groups) or tuple(sorted(set(self.faces[name]) - {UNKNOWN}))
            for name, groups in declared.items()
            if name in self.results.predictions
        }

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The predictions of the split that counts, a row a face."""
        return self.predictions_of(self.results.headline_split)

    @cached_property
    def faces(self) -> pd.DataFrame:
        """Every face, its split, and why it is left out where it is."""
        return pd.read_parquet(self.folder / SPLIT_FILE)

    def predictions_of(self, split: str) -> pd.DataFrame:
        """Return the predictions of a split, a row a face; none where it was not evaluated."""
        predictions = self.results.predictions
        return predictions[predictions["split"] == split]

    def said_of_faces(self, split: str, attributes: Iterable[str]) -> dict[str, tuple[Any, ...]]:
        """Return label and groups of each predicted face of a split, by its id."""
        rows = self.predictions_of(split)
        columns = [rows[name] for name in ("label", *attributes)]
        return dict(zip(rows["id"], zip(*columns, strict=True), strict=True))

    def train_prior(self) -> dict[str, float]:
        """Return the share that each class had in the training's loss, 0..1.

        It is the share of its faces, each by its weight where a remedy gave it one and as often as
        a bag drew it; where the loss weighs classes equally, all are the same.
        """
        rows = self.faces
        train = drawn_faces(rows[(rows["split"] == "train") & (rows["left_out"] == "")])
        balanced = self.config.classifier.get("class_weights") == "balanced"
        return loss_shares(train, self.classes, balanced=balanced)

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


def load_runs(
    folders: Sequence[Path],
    purpose: str = "compare",
    *,
    least: int = 2,
    same_faces: bool = True,
) -> list[TrainedRun]:
    """Return finished trainings of one task and of the same faces, each under a name of its own.

    Args:
        folders: of the runs.
        purpose: what is done with them, for the messages: "compare", "combine" or "explain".
        least: how many runs there have to be, 1 or 2.
        same_faces: whether they have to have predicted the same faces.

    Raises:
        RunError: if there are too few, one is given twice, one is not finished, or they have not
            predicted the same faces with the same classes, labels and groups.
        ConfigError: if one was written by another version and does not fit this one.
    """
    _refuse_too_few(folders, purpose, least)
    configs = [read_train_config(folder) for folder in folders]
    runs = [
        TrainedRun(folder, config, _results(folder, config), name)
        for folder, config, name in zip(folders, configs, _names(configs), strict=True)
    ]
    for run in runs[1:]:
        _refuse_other_classes(runs[0], run, purpose)
        if same_faces:
            refuse_unlike_faces(runs[0], run, purpose)
    return runs


def shared_splits(runs: Sequence[TrainedRun]) -> list[str]:
    """Return the splits of which all runs predicted the same faces, with equal labels and groups.

    Args:
        runs: as `load_runs` returns them.
    """
    attributes = shared_attributes(runs)
    present = set.intersection(*(set(run.results.predictions["split"]) for run in runs))
    return [
        split
        for split in SPLITS
        if split in present and _all_equal(run.said_of_faces(split, attributes) for run in runs)
    ]


def shared_attributes(runs: Sequence[TrainedRun]) -> dict[str, tuple[str, ...]]:
    """Return the attributes that all runs know, with the groups that the first declares."""
    first, *others = runs
    return {
        name: groups
        for name, groups in first.attributes.items()
        if all(name in run.attributes for run in others)
    }


def _all_equal(said: Iterable[dict[str, tuple[Any, ...]]]) -> bool:
    first, *others = said
    return all(first == other for other in others)


def _refuse_too_few(folders: Sequence[Path], purpose: str, least: int) -> None:
    places = [folder.resolve() for folder in folders]
    for folder, place in zip(folders, places, strict=True):
        if places.count(place) > 1:
            raise RunError(f"the run {folder} is given twice", "different runs", "give it once")
    if len(folders) < least:
        raise RunError(
            f"{len(folders)} run to {purpose}" if folders else f"no runs to {purpose}",
            "two runs or more" if least > 1 else "a run or more",
            "give runs=[FOLDER,FOLDER]",
        )


def _results(folder: Path, config: DictConfig) -> RunResults:
    try:
        return read_results(folder, config)
    except FileNotFoundError as error:
        raise RunError(
            f"a table of {folder} is gone: {error}",
            "all that a finished training leaves",
            "delete its status.json and give its command again (environment.json has it), or "
            "compare others",
        ) from error
    except (OSError, ValueError) as error:  # cut off, or not what its name says
        raise RunError(
            f"a table of {folder} cannot be read: {error}",
            "what a finished training leaves, as it was written",
            "delete its status.json and give its command again (environment.json has it), or "
            "compare others",
        ) from error


def _names(configs: Iterable[DictConfig]) -> Iterator[str]:
    """Name each run by what it was trained on, seed, bag and fold; equal names are numbered."""
    given: list[str] = []
    configs = list(configs)
    folded = len({config.data.fold for config in configs}) > 1
    for config in configs:
        bag = "" if config.data.bag is None else f", bag {config.data.bag}"
        fold = f", fold {config.data.fold}" if folded else ""
        given.append(f"{bias_name(config.bias.variant)}, seed {config.seed}{bag}{fold}")
        number = given.count(given[-1])
        yield given[-1] if number == 1 else f"{given[-1]} ({number})"


def _refuse_other_classes(first: TrainedRun, other: TrainedRun, purpose: str) -> None:
    if set(first.classes) != set(other.classes):
        raise RunError(
            f"{first.folder} tells {', '.join(first.classes)} apart, "
            f"and {other.folder} {', '.join(other.classes)}",
            "runs with the same classes",
            f"{purpose} runs of one task",
        )


def refuse_unlike_faces(
    first: TrainedRun, other: TrainedRun, purpose: str, split: str | None = None
) -> None:
    """Refuse two runs that have not predicted the same faces with the same labels and groups.

    Args:
        first: one run.
        other: the other.
        purpose: what is done with them, for the message.
        split: whose faces; None: of each run the one that counts.

    Raises:
        RunError: if they have not.
    """
    shared = shared_attributes((first, other))
    splits = [split or run.results.headline_split for run in (first, other)]
    one, two = (
        run.said_of_faces(each, shared) for run, each in zip((first, other), splits, strict=True)
    )
    if one != two:
        alike = sum(two.get(name) == said for name, said in one.items())
        advice = f"train them again with the same data, or {purpose} others"
        if first.config.data.fold != other.config.data.fold:
            advice = "folds are put together by facebias.summary: give it the same runs or sweep"
        raise RunError(
            f"{first.folder} predicted {len(one)} {splits[0]} faces and "
            f"{other.folder} {len(two)} {splits[1]} faces; {alike} of them "
            "have the same id, label and groups",
            "runs with the same data, data.seed and test split",
            advice,
        )
