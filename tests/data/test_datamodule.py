import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import albumentations
import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from facebias.data.augment import Augmentation
from facebias.data.bias import AllFaces
from facebias.data.datamodule import FaceBatch, FaceDataModule, FaceDataset, TrainOrder
from facebias.data.images import FaceFormat
from facebias.data.prepare import PreparedFaces, prepare_faces, store_faces
from facebias.data.readers.folders import read_class_folders
from facebias.data.statistics import PixelStatistics
from tests.drawn_faces import ATTRIBUTES, CLASSES

BLANK = {"blank": albumentations.RandomBrightnessContrast((-1, -1), (0, 0), p=1.0)}
TRAINS = pytest.mark.filterwarnings(
    # Lightning asks for a worker a core, which these few faces do not need,
    "ignore:.*does not have many workers",
    # and still calls what torch has renamed.
    "ignore:.*LeafSpec.*is deprecated:FutureWarning",
)
MOVE = {"move": albumentations.Affine(rotate=(-30, 30), p=1.0)}


@pytest.fixture(scope="module", params=[1, 3], ids=["gray", "color"])
def faces(
    request: pytest.FixtureRequest, faces_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> PreparedFaces:
    """Return 120 train, 40 validation and 64 test faces."""
    return prepare_faces(
        read_class_folders(
            str(faces_root), CLASSES, ATTRIBUTES, {"train": "train", "test": "test"}
        ),
        AllFaces(),
        face_format=FaceFormat(12, 16, request.param),
        cache=tmp_path_factory.mktemp("cache"),
        seed=0,
        folds=4,
        fold=0,
    )


def loaders(
    faces: PreparedFaces,
    transforms: dict[str, Any] | None = None,
    *,
    batch_size: int = 32,
    workers: int = 0,
    seed: int = 0,
) -> FaceDataModule:
    return FaceDataModule(
        faces,
        Augmentation(transforms, seed) if transforms else None,
        batch_size=batch_size,
        workers=workers,
        seed=seed,
        evaluated=("validation", "test"),
    )


def pixels(batch: FaceBatch) -> np.ndarray:
    return batch.images.permute(0, 2, 3, 1).numpy()


def stored(faces: PreparedFaces, split: str, batch: FaceBatch) -> np.ndarray:
    return faces.store.read(faces.rows(split)["row"].to_numpy()[batch.rows.numpy()])


def rows_of(batches: Iterable[FaceBatch]) -> list[int]:
    return [int(row) for batch in batches for row in batch.rows]


class Watcher(pl.LightningModule):
    """A module that learns nothing and keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.epochs: list[list[FaceBatch]] = []

    def on_train_epoch_start(self) -> None:
        self.epochs.append([])

    def training_step(self, batch: FaceBatch, index: int) -> torch.Tensor:
        self.epochs[-1].append(batch)
        return self.weight.sum()

    def validation_step(self, batch: FaceBatch, index: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fitted(module: FaceDataModule, folder: Path, epochs: int, resume: bool = False) -> Watcher:
    """Fit for some epochs, from the checkpoint in the folder if asked; write one."""
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        log_every_n_steps=1,
    )
    watcher, checkpoint = Watcher(), folder / "last.ckpt"
    start = str(checkpoint) if resume else None
    trainer.fit(watcher, datamodule=module, ckpt_path=start, weights_only=resume or None)
    trainer.save_checkpoint(checkpoint)
    return watcher


# Batches


def test_batches_are_bytes_with_channels_last(faces: PreparedFaces) -> None:
    batch = next(iter(loaders(faces).train_dataloader()))
    channels = faces.store.faces.shape[-1]
    assert batch.images.shape == (32, channels, 12, 16)
    assert batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.images.stride()[2:] == (16 * channels, channels)
    assert batch.labels.dtype == batch.rows.dtype == torch.int64


def test_labels_and_pixels_are_those_of_the_row(faces: PreparedFaces) -> None:
    labels = faces.rows("train")["label"].to_numpy()
    for batch in loaders(faces).train_dataloader():
        np.testing.assert_array_equal(pixels(batch), stored(faces, "train", batch))
        assert [CLASSES[label] for label in batch.labels] == labels[batch.rows].tolist()


def test_groups_are_those_of_the_rows(faces: PreparedFaces) -> None:
    numbers = loaders(faces).groups("train", "age")
    ages = faces.rows("train")["age"]
    assert numbers.tolist() == [
        -1 if age == "unknown" else ATTRIBUTES["age"].index(age) for age in ages
    ]
    assert -1 in numbers


def test_unlabelled_faces_have_the_label_minus_one(tmp_path: Path, faces_root: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sorted((faces_root / "test" / "happy").glob("*.png"))[:5]:
        (flat / path.name).write_bytes(path.read_bytes())
    table = read_class_folders(str(flat), CLASSES)
    table, store = store_faces(
        table.with_rows(table.rows.assign(split="test")), FaceFormat(8, 8, 1), None, 0
    )
    nothing = PixelStatistics(np.zeros(0, np.float32), np.zeros(0, np.float32))
    prepared = PreparedFaces(table, store, nothing, table.cells("train"), AllFaces())
    dataset = FaceDataset(prepared, "test")
    assert len(dataset) == 5
    assert dataset[(0, 3)].labels.tolist() == [-1]
    assert dataset.labels.dtype == np.int64


# Order


def test_every_train_face_comes_once_an_epoch(faces: PreparedFaces) -> None:
    assert sorted(rows_of(loaders(faces).train_dataloader())) == list(range(120))


def test_a_last_batch_of_one_is_dropped_and_others_are_not(faces: PreparedFaces) -> None:
    sizes = {
        size: [len(batch.rows) for batch in loaders(faces, batch_size=size).train_dataloader()]
        for size in (1, 7, 17, 59)
    }
    assert sizes == {1: [1] * 120, 7: [7] * 17, 17: [17] * 7, 59: [59, 59, 2]}


def test_the_face_that_a_last_batch_of_one_loses_changes_by_epoch(faces: PreparedFaces) -> None:
    lost = {list(TrainOrder(120, 0, lambda epoch=epoch: epoch))[-1][1] for epoch in range(5)}  # type: ignore[misc]
    assert len(lost) > 1


def test_evaluation_keeps_a_last_batch_of_one_and_the_order_of_the_table(
    faces: PreparedFaces,
) -> None:
    module = loaders(faces, batch_size=13)
    assert rows_of(module.val_dataloader()) == list(range(40))
    validation, test = module.predict_dataloader()
    assert rows_of(validation) == list(range(40))
    assert rows_of(test) == list(range(64))
    assert [len(batch.rows) for batch in module.val_dataloader()] == [13, 13, 13, 1]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [row for _, row in TrainOrder(50, seed, lambda: epoch)]

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4
    assert sorted(order(3, 4)) == list(range(50))


@TRAINS
@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_of_a_training_differ_and_repeat(
    faces: PreparedFaces, tmp_path: Path, workers: int
) -> None:
    first = fitted(loaders(faces, MOVE, workers=workers), tmp_path, 3)
    again = fitted(loaders(faces, MOVE), tmp_path, 3)
    orders = [rows_of(batches) for batches in first.epochs]
    assert orders == [list_of(faces, epoch) for epoch in range(3)]
    for mine, other in zip(first.epochs, again.epochs, strict=True):
        for one, two in zip(mine, other, strict=True):
            assert torch.equal(one.images, two.images)


def list_of(faces: PreparedFaces, epoch: int) -> list[int]:
    return [row for _, row in TrainOrder(len(faces.rows("train")), 0, lambda: epoch)]


@TRAINS
def test_a_resumed_training_goes_on_with_the_next_epoch(
    faces: PreparedFaces, tmp_path: Path
) -> None:
    fitted(loaders(faces, MOVE), tmp_path, 2)
    resumed = fitted(loaders(faces, MOVE), tmp_path, 4, resume=True)
    assert [rows_of(batches) for batches in resumed.epochs] == [
        list_of(faces, 2),
        list_of(faces, 3),
    ]


# Augmentation


def test_only_train_faces_are_augmented(faces: PreparedFaces) -> None:
    module = loaders(faces, BLANK)
    for batch in module.train_dataloader():
        assert not batch.images.any()
    evaluated = {
        "validation": [module.val_dataloader(), module.predict_dataloader()[0]],
        "test": [module.predict_dataloader()[1]],
    }
    for split, sets in evaluated.items():
        for batches in sets:
            for batch in batches:
                assert pixels(batch).tobytes() == stored(faces, split, batch).tobytes()
                assert batch.images.any()


def test_the_store_is_not_changed_by_augmentation(faces: PreparedFaces) -> None:
    before = faces.store.read(np.arange(len(faces.store)))
    list(loaders(faces, BLANK).train_dataloader())
    np.testing.assert_array_equal(faces.store.read(np.arange(len(faces.store))), before)


def test_the_number_of_workers_changes_nothing(faces: PreparedFaces) -> None:
    def batches(loader: DataLoader[FaceBatch]) -> list[FaceBatch]:
        return list(loader)

    alone = batches(loaders(faces, MOVE).train_dataloader())
    shared = batches(loaders(faces, MOVE, workers=2).train_dataloader())
    for one, two in zip(alone, shared, strict=True):
        assert torch.equal(one.rows, two.rows)
        assert torch.equal(one.labels, two.labels)
        assert torch.equal(one.images, two.images)
        assert two.images.is_contiguous(memory_format=torch.channels_last)


def test_the_signal_that_a_jobs_time_is_over_is_for_the_process_that_trains(
    faces: PreparedFaces, tmp_path: Path
) -> None:
    def leave(number: int, frame: object) -> None:
        (tmp_path / f"heard_{os.getpid()}").touch()
        sys.exit(1)

    before = signal.signal(signal.SIGUSR2, leave)
    try:
        others = set(multiprocessing.active_children())  # of loaders that tests before have left
        batches = iter(loaders(faces, workers=1).train_dataloader())
        next(batches)
        (worker,) = set(multiprocessing.active_children()) - others
        os.kill(worker.pid or 0, signal.SIGUSR2)
        assert len(list(batches)) == 3
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert not list(tmp_path.iterdir())


@TRAINS
@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_training_augments_as_one_that_was_not_interrupted(
    faces: PreparedFaces, tmp_path: Path, workers: int
) -> None:
    whole = fitted(loaders(faces, MOVE), tmp_path / "whole", 3)
    fitted(loaders(faces, MOVE, workers=workers), tmp_path / "cut", 1)
    resumed = fitted(loaders(faces, MOVE, workers=workers), tmp_path / "cut", 3, resume=True)
    assert len(resumed.epochs) == 2
    for mine, other in zip(resumed.epochs, whole.epochs[1:], strict=True):
        for one, two in zip(mine, other, strict=True):
            assert torch.equal(one.images, two.images)


def test_augmentation_follows_the_row_and_not_the_batch(faces: PreparedFaces) -> None:
    module = loaders(faces, MOVE, batch_size=32)
    other = loaders(faces, MOVE, batch_size=11)
    images: list[dict[int, torch.Tensor]] = []
    for each in (module, other):
        images.append(
            {
                int(row): image
                for batch in each.train_dataloader()
                for row, image in zip(batch.rows, batch.images, strict=True)
            }
        )
    assert len(images[0]) == 120
    assert all(torch.equal(image, images[0][row]) for row, image in images[1].items())


def test_each_draw_of_a_bag_is_a_row_with_an_augmentation_of_its_own(faces_root: Path) -> None:
    bagged = prepare_faces(
        read_class_folders(
            str(faces_root), CLASSES, ATTRIBUTES, {"train": "train", "test": "test"}
        ),
        AllFaces(),
        face_format=FaceFormat(12, 16, 1),
        cache=None,
        seed=0,
        folds=4,
        fold=0,
        bag=0,
    )
    module = loaders(bagged, MOVE)
    assert len(module.train_dataloader().dataset) == 120  # type: ignore[arg-type]
    drawn = bagged.drawn()
    assert (
        drawn["id"]
        .value_counts()
        .sort_index()
        .equals(bagged.rows("train").set_index("id")["draws"].rename("count").sort_index())
    )
    batches = list(module.train_dataloader())
    assert sorted(rows_of(batches)) == list(range(120))
    shown = np.concatenate([pixels(batch) for batch in batches])
    shown = shown[np.argsort(rows_of(batches))]
    twice = np.flatnonzero(drawn["id"].duplicated())
    assert len(twice) > 30
    assert all((shown[place] != shown[place - 1]).any() for place in twice)
    labels = np.array([CLASSES.index(label) for label in drawn["label"]])
    found = np.concatenate([batch.labels.numpy() for batch in batches])
    assert (labels == found[np.argsort(rows_of(batches))]).all()
    module.evaluated = ("train",)
    (once,) = module.predict_dataloader()
    assert len(once.dataset) == len(bagged.rows("train")) < 120  # type: ignore[arg-type]
