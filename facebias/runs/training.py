"""A process's work on a training: faces, network, epochs, predictions, what is written of them."""

import json
from pathlib import Path

import lightning.pytorch as pl
import torch
from omegaconf import DictConfig

from facebias.data.prepare import PreparedFaces
from facebias.files import write_json
from facebias.models.classifier import FaceClassifier
from facebias.report.pages import write_run_report
from facebias.runs.assemble import (
    assemble_classifier,
    assemble_datamodule,
    assemble_faces,
    assemble_trainer,
)
from facebias.runs.checkpoints import checkpoint_file, finished
from facebias.runs.checks import check_training
from facebias.runs.folder import ENVIRONMENT
from facebias.runs.media import show_run
from facebias.runs.ranks.rank import ALONE, Rank
from facebias.runs.resume import last_checkpoint, recorded_threads
from facebias.runs.same_faces import refuse_other_faces


def train_in_process(config: DictConfig, folder: Path, rank: Rank = ALONE) -> None:
    """Train, predict and write the report.

    A training that was killed goes on from its last finished epoch; one that was finished is not
    trained any further. What comes after training is done again as a whole.

    Args:
        config: a checked `facebias.schemas.Train`.
        folder: of the run; it is open.
        rank: this process's place; the first rank alone writes what is not a rank's own.

    Raises:
        FacebiasError: for data, models or folders that do not fit, and data that changed meanwhile.
    """
    torch.set_num_threads(recorded_threads(folder))
    pl.seed_everything(config.seed, verbose=False)
    faces = _prepared(config, rank)
    last = last_checkpoint(folder)
    if rank.first:
        if last is not None:
            refuse_other_faces(folder, faces)
        faces.write(folder)
    counts = torch.tensor(faces.class_counts())
    model = assemble_classifier(config, counts, faces.statistics, resumed=last is not None)
    check_training(config, model, faces)
    loaders = assemble_datamodule(config, faces, finished(folder).epochs)
    trainer = assemble_trainer(config)
    if rank.first and last is None:
        _note_weights(folder, model)
    trainer.fit(model, datamodule=loaders, ckpt_path=last, weights_only=True)
    trainer.predict(
        model,
        datamodule=loaders,
        return_predictions=False,
        ckpt_path=checkpoint_file(folder, config.checkpoint.use),
        weights_only=True,
    )
    if rank.first:
        write_run_report(folder)
        show_run(trainer.loggers, folder)


def _note_weights(folder: Path, model: FaceClassifier) -> None:
    """Add to `environment.json` where the network's first weights came from."""
    file = folder / ENVIRONMENT
    record = json.loads(file.read_text(encoding="utf-8"))
    source = getattr(model.network, "weights_from", "random numbers")
    write_json(file, record | {"weights_from": source})


def _prepared(config: DictConfig, rank: Rank) -> PreparedFaces:
    """Return the faces; the first rank fills the cache, and the others find it filled."""
    if config.data.store == "none":
        return assemble_faces(config)
    with rank.first_before_others("faces"):
        return assemble_faces(config)
