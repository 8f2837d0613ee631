"""From a checked configuration to faces, model and trainer."""

import logging
import warnings
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.plugins import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from omegaconf import DictConfig
from torch import nn

from facebias.callbacks.dice import DiceCallback
from facebias.callbacks.stop_again import StopAgainCallback
from facebias.config import build
from facebias.data.augment import Augmentation
from facebias.data.datamodule import FaceDataModule
from facebias.data.found_faces import finder_checksum
from facebias.data.images import FaceFormat
from facebias.data.prepare import PreparedFaces, prepare_faces
from facebias.data.readers.joined import join_side_table
from facebias.data.statistics import PixelStatistics
from facebias.data.table import FaceTable
from facebias.errors import ConfigError
from facebias.models.classifier import FaceClassifier
from facebias.models.normalise import Normalise
from facebias.runs.checkpoint_files import WholeCheckpoints
from facebias.runs.loggers import assemble_loggers
from facebias.runs.ranks.processes import runs_alone


def assemble_faces(config: DictConfig) -> PreparedFaces:
    """Read, check, split, compose and store the faces of a configuration.

    Args:
        config: a checked `facebias.schemas.Train`.
    """
    return prepare_table(config, read_faces(config))


def prepare_table(config: DictConfig, table: FaceTable, *, trainable: bool = True) -> PreparedFaces:
    """Check, split, compose and store the faces of a table.

    Args:
        config: a checked `facebias.schemas.Train` or `Check`.
        table: as a reader returned it.
        trainable: refuse what nobody could train on.
    """
    data = config.data
    return prepare_faces(
        table,
        build(config.bias),
        remedy=build(config.remedy) if "remedy" in config else None,
        face_format=face_format(config),
        cache=Path(config.paths.cache).expanduser() if data.store == "disk" else None,
        seed=data.seed,
        folds=data.folds,
        fold=data.fold,
        stratify=tuple(table.attributes if data.stratify is None else data.stratify),
        bag=data.bag,
        copies=data.copies,
        statistics="pixel" if data.normalise == "pixel" else "channel",
        max_bad=data.max_bad,
        trainable=trainable,
    )


def read_faces(config: DictConfig) -> FaceTable:
    """Read the faces of a configuration, and the groups that a side table says of them."""
    data = config.data
    table: FaceTable = build(data.reader)
    side = data.side_table
    if side.file is None:
        return table
    return join_side_table(
        table,
        Path(side.file).expanduser(),
        {str(name): list(groups) for name, groups in (side.attributes or {}).items()},
        key=side.key,
        columns=dict(side.columns or {}),
        provenance=side.provenance,
    )


def face_format(config: DictConfig) -> FaceFormat:
    """Return height, width, channels, margin and finder of the stored faces."""
    data = config.data
    finder = finder_checksum() if data.crop == "detect" else None
    return FaceFormat(data.height, data.width, data.channels, data.margin, finder)


def assemble_datamodule(
    config: DictConfig, faces: PreparedFaces, first_epoch: int = 0
) -> FaceDataModule:
    """Return the loaders of prepared faces; the test split only if the configuration asks.

    Args:
        config: a checked `facebias.schemas.Train`.
        faces: prepared faces.
        first_epoch: that will be trained; more than 0 where a training goes on.
    """
    transforms = {
        name: build(node) for name, node in config.augment.transforms.items() if node is not None
    }
    evaluated = tuple(split for split in faces.splits if split != "test" or config.test)
    return FaceDataModule(
        faces,
        Augmentation(transforms, config.seed) if transforms else None,
        batch_size=config.data.batch_size,
        workers=config.data.workers,
        seed=config.seed,
        evaluated=evaluated,
        constants=run_constants(config),
        first_epoch=first_epoch,
    )


def run_constants(config: DictConfig) -> dict[str, str | int]:
    """Return what tells the rows of one run from those of another."""
    return {
        "run": config.name,
        "variant": config.bias.variant,
        "seed": config.seed,
        "fold": config.data.fold,
    }


def assemble_classifier(
    config: DictConfig,
    class_counts: torch.Tensor,
    statistics: PixelStatistics | None = None,
    training: bool = True,
    resumed: bool = False,
) -> FaceClassifier:
    """Build the network and the LightningModule around it.

    Args:
        config: a checked `facebias.schemas.Train`.
        class_counts: train faces of each class (classes,).
        statistics: for the normalisation; None where a checkpoint brings them along.
        training: with optimizer and schedule.
        resumed: a checkpoint brings the weights of a training that goes on.
    """
    data = config.data
    model = dict(config.model)
    if (resumed or not training) and "weights" in model:  # the checkpoint holds them
        model |= {"weights": None, "pretrained": False}
    network: nn.Module = build(
        model,
        classes=len(class_counts),
        channels=data.channels,
        height=data.height,
        width=data.width,
    )
    classifier = build(
        config.classifier,
        network=network,
        normalise=assemble_normalise(config, statistics),
        class_counts=class_counts,
        optimizer=build(config.optimizer) if training else None,
        scheduler=build(config.scheduler) if training else None,
    )
    if not isinstance(classifier, FaceClassifier):
        raise ConfigError("classifier is no FaceClassifier", "a FaceClassifier")
    return classifier


def assemble_normalise(config: DictConfig, statistics: PixelStatistics | None) -> Normalise:
    """Return the normalisation; without statistics it waits for those of a checkpoint."""
    data = config.data
    if statistics is None:
        size = (data.height, data.width) if data.normalise == "pixel" else (1, 1)
        nothing = np.zeros((data.channels, *size), dtype=np.float32)
        statistics = PixelStatistics(nothing, nothing)
    return Normalise(statistics.mean, statistics.deviation, by_image=data.normalise == "image")


def assemble_trainer(config: DictConfig) -> pl.Trainer:
    """Build callbacks, loggers and the trainer.

    Raises:
        ConfigError: for devices or loggers that are not there.
    """
    callbacks = [build(node) for node in config.callbacks.values() if node is not None]
    if "seed" in config:  # a training; a prediction draws nothing
        callbacks += [DiceCallback(config.seed), StopAgainCallback()]
    loggers = assemble_loggers(config)
    _quiet()
    node = dict(config.trainer)
    if runs_alone(config):
        node["strategy"] = "auto"
    trainer: pl.Trainer = build(
        node, callbacks=callbacks, logger=loggers, plugins=[_cluster_environment()]
    )
    trainer.strategy.checkpoint_io = WholeCheckpoints()
    return trainer


def _cluster_environment() -> ClusterEnvironment:
    """Return what tells Lightning the number of this process: torchrun, or it is alone.

    Left to itself, Lightning asks Slurm, which numbers tasks, not our processes; and it would take
    the signals by which Slurm ends a job.
    """
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    alone = LightningEnvironment()
    alone.set_global_rank(0)
    return alone


def _quiet() -> None:
    """Silence what Lightning says in every run and what is no news here."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # the faces come from memory
        ".*isinstance\\(treespec, LeafSpec\\).*",  # Lightning 2.6 under torch 2.14
        ".*number of training batches .* is smaller than the logging interval.*",
        "Be aware that when using `ckpt_path`.*",  # a prediction needs no checkpoint callback
        ".*Checkpoint directory .* exists and is not empty.*",  # we keep the run folder's lock
        ".*Experiment logs directory .* exists and is not empty.*",
        "It is recommended to use `self.log.*sync_dist=True.*",  # what we log is of all ranks
        "The `srun` command is available.*",  # torchrun starts our ranks, within Slurm too
    ):
        warnings.filterwarnings("ignore", message=message)
