from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch

from facebias.callbacks.cam import CamCallback
from facebias.callbacks.fairness import FairnessCallback
from facebias.callbacks.predictions import PredictionsCallback
from facebias.errors import ConfigError
from facebias.runs.assemble import assemble_classifier, assemble_datamodule, assemble_faces
from facebias.train import train
from tests.trained import compose_train


def fit(tmp_path: Path, faces_root: Path, *callbacks: pl.Callback) -> pl.Trainer:
    config = compose_train(tmp_path, faces_root)
    faces = assemble_faces(config)
    model = assemble_classifier(config, torch.tensor(faces.class_counts()), faces.statistics)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
    )
    trainer.fit(model, datamodule=assemble_datamodule(config, faces))
    return trainer


def test_worst_group_accuracy_of_validation_is_logged(tmp_path: Path, faces_root: Path) -> None:
    folder = str(tmp_path)
    callbacks = (PredictionsCallback(folder), FairnessCallback(folder, min_group=5, replicates=100))
    trainer = fit(tmp_path, faces_root, *callbacks)
    model, module = trainer.lightning_module, trainer.datamodule  # type: ignore[attr-defined]
    model.eval()
    batch = next(iter(module.val_dataloader()))
    right = (model(batch.images).argmax(1) == batch.labels).numpy()
    by_gender = pd.Series(right).groupby(module.groups("validation", "gender")).mean()
    logged = float(trainer.callback_metrics["validation/worst_gender_accuracy"])
    assert logged == pytest.approx(by_gender.min())


def test_groups_that_are_too_small_are_not_the_worst(tmp_path: Path, faces_root: Path) -> None:
    folder = str(tmp_path)
    callbacks = (PredictionsCallback(folder), FairnessCallback(folder, min_group=1000))
    trainer = fit(tmp_path, faces_root, *callbacks)
    assert not [name for name in trainer.callback_metrics if "worst" in name]


@pytest.mark.parametrize("make", [FairnessCallback, CamCallback])
def test_without_predictions_they_fail_before_the_first_batch(
    make: type[pl.Callback], tmp_path: Path, faces_root: Path
) -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.predictions"):
        fit(tmp_path, faces_root, make(str(tmp_path)))  # type: ignore[call-arg]


@pytest.mark.slow
def test_the_order_of_the_callbacks_does_not_matter(tmp_path: Path, faces_root: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "last"]
    tables = []
    for folder in folders:
        config = compose_train(tmp_path, faces_root, f"paths.run={folder}").copy()
        if folder.name == "last":
            nodes = dict(config.callbacks)
            config = config._set_flag("readonly", False)  # type: ignore[assignment]
            config.callbacks = {**nodes, "predictions": nodes.pop("predictions")}
        tables.append((train(config) / "fairness.csv").read_text())
    assert tables[0] == tables[1]


def test_maps_are_of_the_chosen_faces_between_0_and_1(tmp_path: Path, faces_root: Path) -> None:
    folder = train(compose_train(tmp_path, faces_root, "callbacks.cam.per_group=2"))
    with np.load(folder / "cam" / "maps.npz", allow_pickle=False) as stored:
        identifiers, maps = stored["id"], stored["maps"]
    assert len(identifiers) == len(set(identifiers)) == len(maps)
    defined = maps[np.isfinite(maps).all(axis=(1, 2))]
    assert defined.min() >= 0
    assert np.allclose(defined.max(axis=(1, 2)), 1)
    predictions = pd.read_parquet(folder / "predictions.parquet").set_index("id")
    assert (predictions.loc[identifiers, "split"] == "test").all()
    assert len(list((folder / "cam" / "faces").glob("*.png"))) == len(identifiers)
