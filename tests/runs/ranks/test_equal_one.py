"""Several processes count, measure and learn what one process would."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from facebias.callbacks.fairness import FairnessCallback
from facebias.callbacks.predictions import PredictionsCallback, in_order
from facebias.data.bias import AllFaces
from facebias.data.datamodule import FaceDataModule
from facebias.data.prepare import PreparedFaces
from facebias.data.remedy import WEIGHT
from facebias.data.statistics import PixelStatistics
from facebias.data.store import FaceStore
from facebias.data.table import FaceTable
from facebias.models.classifier import FaceClassifier
from facebias.models.normalise import Normalise
from facebias.models.schedules import constant
from tests.data.made_tables import ATTRIBUTES, CLASSES, random_table
from tests.forked_ranks import run_in_ranks

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*no logger configured"),
    pytest.mark.filterwarnings("ignore:It is recommended to use `self.log.*sync_dist=True"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
]
SIZE = 8  # pixels


def made_module(train: int, evaluated: int, batch_size: int) -> FaceDataModule:
    """Return random faces in memory: labels, genders and the weights of train faces at random."""
    random, count = np.random.default_rng(0), train + evaluated
    splits = ["train"] * train + ["validation"] * evaluated
    columns = {"split": splits, "row": np.arange(count), WEIGHT: random.uniform(0.5, 2, count)}
    rows = random_table(count).rows.assign(**columns)
    table = FaceTable(rows, Path("faces"), CLASSES, ATTRIBUTES)
    pixels = random.integers(0, 256, (count, SIZE, SIZE, 1), dtype=np.uint8)
    store = FaceStore(pixels, np.zeros((count, 4), np.float32), {})
    nothing = PixelStatistics(np.zeros(0, np.float32), np.zeros(0, np.float32))
    return FaceDataModule(
        PreparedFaces(table, store, nothing, table.cells("train"), AllFaces()),
        None,
        batch_size=batch_size,
        workers=0,
        seed=0,
        evaluated=("validation",),
        constants={"run": "r", "variant": "none", "seed": 0, "fold": 0},
    )


def made_model(*layers: nn.Module) -> FaceClassifier:
    """Return a small network with the given layers inside, the same in every process."""
    torch.manual_seed(0)
    half = np.full((1, 1, 1), 0.5, np.float32)
    return FaceClassifier(
        class_weights="balanced",
        network=nn.Sequential(
            nn.Conv2d(1, 4, 3), *layers, nn.GELU(), nn.Flatten(), nn.Linear(144, 2)
        ),
        normalise=Normalise(half, half, by_image=False),
        class_counts=torch.tensor([30, 60]),
        optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        scheduler=constant,
    )


def made_trainer(folder: Path, *callbacks: pl.Callback) -> pl.Trainer:
    world = int(os.environ.get("WORLD_SIZE", "1"))
    strategy = DDPStrategy(process_group_backend="gloo", forward_sync_buffers=False)
    return pl.Trainer(
        accelerator="cpu",
        devices=world,
        strategy=strategy if world > 1 else "auto",
        max_epochs=2,
        deterministic=True,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )


def trained(folder: Path, *layers: nn.Module) -> dict[str, Any]:
    """Train on batches that 2 and 3 ranks share unevenly; return weights, buffers and metrics."""
    module, model = made_module(144, 41, batch_size=49), made_model(*layers)
    fairness = FairnessCallback(str(folder), min_group=5)
    trainer = made_trainer(folder, PredictionsCallback(str(folder)), fairness)
    trainer.fit(model, datamodule=module)
    return {
        "weights": torch.cat([p.detach().flatten() for p in model.parameters()]),
        "buffers": [buffer.clone() for buffer in model.network.buffers()],
        "metrics": {name: float(value) for name, value in trainer.callback_metrics.items()},
    }


def evaluated(folder: Path) -> dict[str, Any]:
    """Evaluate 401 faces in batches of which 2 and 3 ranks have different numbers."""
    module, model = made_module(10, 401, batch_size=400), made_model(nn.BatchNorm2d(4))
    fairness = FairnessCallback(str(folder), min_group=5, replicates=100)
    trainer = made_trainer(folder, PredictionsCallback(str(folder)), fairness)
    metrics = trainer.validate(model, datamodule=module, verbose=False)[0]
    counts = {name: metric.compute() for name, metric in fairness._counts.items()}
    trainer.predict(model, datamodule=module, return_predictions=False)
    return {"metrics": metrics, "counts": counts}


@pytest.fixture(scope="module")
def one_trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found: dict[str, Any] = run_in_ranks(1, trained, tmp_path_factory.mktemp("one"))[0]
    return found


@pytest.mark.parametrize("count", [2, 3])
def test_uneven_shares_learn_what_one_process_learns(
    count: int, one_trained: dict[str, Any], tmp_path: Path
) -> None:
    for found in run_in_ranks(count, trained, tmp_path):
        torch.testing.assert_close(found["weights"], one_trained["weights"], rtol=0, atol=1e-6)
        assert found["metrics"] == pytest.approx(one_trained["metrics"], abs=1e-6)
        assert {"train/loss", "validation/worst_gender_accuracy"} < found["metrics"].keys()
    assert not torch.equal(one_trained["weights"], trained_not_at_all())


def trained_not_at_all() -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in made_model().parameters()])


def test_ranks_end_an_epoch_with_the_same_running_statistics(tmp_path: Path) -> None:
    first, second = run_in_ranks(2, trained, tmp_path, nn.BatchNorm2d(4))
    assert len(first["buffers"]) == 3
    for one, two in zip(first["buffers"], second["buffers"], strict=True):
        assert torch.equal(one, two)
    assert first["metrics"] == second["metrics"]


def test_every_face_is_counted_once_by_any_number_of_ranks(tmp_path: Path) -> None:
    folders = {count: tmp_path / str(count) for count in (1, 2, 3)}
    found = {count: run_in_ranks(count, evaluated, folder) for count, folder in folders.items()}
    one = found[1][0]
    assert sum(int(each.sum()) for each in one["counts"].values()) > 370  # some genders unknown
    for count in (2, 3):
        for rank in found[count]:
            assert rank["metrics"] == pytest.approx(one["metrics"], abs=1e-6)
            for name, counts in rank["counts"].items():
                assert torch.equal(counts, one["counts"][name])
    tables = [pd.read_csv(folder / "fairness.csv") for folder in folders.values()]
    predictions = [pd.read_parquet(folder / "predictions.parquet") for folder in folders.values()]
    assert len(predictions[0]) == 401
    for table, rows in zip(tables[1:], predictions[1:], strict=True):
        pd.testing.assert_frame_equal(table, tables[0], check_exact=True)
        pd.testing.assert_frame_equal(rows, predictions[0], rtol=0, atol=1e-6)


def test_a_face_that_ranks_miss_or_have_twice_is_told() -> None:
    values = [torch.arange(2), torch.arange(2)]
    rows = [torch.tensor([0, 2]), torch.tensor([1, 3])]
    assert in_order(rows, values).tolist() == [0, 0, 1, 1]
    for wrong in (rows[0], torch.tensor([1, 4])):
        with pytest.raises(ValueError, match="exactly once"):
            in_order([rows[0], wrong], values)
