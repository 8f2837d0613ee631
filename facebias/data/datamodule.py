"""The LightningDataModule: prepared faces as batches of uint8, only train faces augmented."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from facebias.data.augment import Augmentation
from facebias.data.prepare import PreparedFaces
from facebias.data.remedy import loss_weights


class FaceBatch(NamedTuple):
    """Faces on their way to the model.

    Attributes:
        images: uint8 (B, C, H, W), 0..255, channels last in memory.
        labels: int64 (B,), the number of the class; -1 where there is no label.
        rows: int64 (B,), position of each face in its split.
        weights: float32 (B,), what each face weighs in the loss; 1 but for a remedy's train faces.
    """

    images: torch.Tensor
    labels: torch.Tensor
    rows: torch.Tensor
    weights: torch.Tensor


class FaceDataset(Dataset[FaceBatch]):
    """The faces of one split, read a whole batch at a time.

    Args:
        faces: prepared faces.
        split: train, validation or test.
        augmentation: applied to each face; None for every split but train.
        drawn: the train faces as often as `data.bag` has drawn them; else each face once.
    """

    def __init__(
        self,
        faces: PreparedFaces,
        split: str,
        augmentation: Augmentation | None = None,
        *,
        drawn: bool = False,
    ) -> None:
        rows = faces.drawn() if drawn else faces.rows(split)
        classes = {name: number for number, name in enumerate(faces.table.classes)}
        self._stored = rows["row"].to_numpy(np.int64)
        self.labels = rows["label"].map(classes).fillna(-1).to_numpy(np.int64)
        # Validation and test are never weighted.
        weights = loss_weights(rows) if split == "train" else np.ones(len(rows), np.float32)
        self._weights = torch.from_numpy(weights)
        self._store = faces.store
        self._augmentation = augmentation

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self._stored)

    def __getitem__(self, key: tuple[int, int]) -> FaceBatch:
        """Return one face, given (epoch, row)."""
        return self.__getitems__([key])

    def __getitems__(self, keys: list[tuple[int, int]]) -> FaceBatch:
        """Return a batch, given (epoch, row) of each face."""
        epochs, rows = np.array(keys, dtype=np.int64).T
        faces = self._store.read(self._stored[rows])
        if self._augmentation is not None:
            faces = self._augmentation(faces, epochs, rows)
        images = torch.from_numpy(faces).permute(0, 3, 1, 2)
        labels, places = torch.from_numpy(self.labels[rows]), torch.from_numpy(rows)
        return FaceBatch(images, labels, places, self._weights[places])


class TrainOrder(Sampler[tuple[int, int]]):
    """Every row once an epoch, in an order that is a function of seed and epoch alone.

    Args:
        count: number of rows.
        seed: the run's seed.
        epoch: returns the epoch that begins.
    """

    def __init__(self, count: int, seed: int, epoch: Callable[[], int]) -> None:
        self._count, self._seed, self._epoch = count, seed, epoch

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield (epoch, row)."""
        epoch = self._epoch()
        order = np.random.default_rng((self._seed, epoch)).permutation(self._count)
        return ((epoch, int(row)) for row in order)


class TrainBatches(Sampler[list[tuple[int, int]]]):
    """This rank's share of every batch of one order that all ranks agree on.

    Rank r takes faces r, r + world, r + 2 world, ... of a batch, so that one process trains on the
    same batches as any number of ranks together. A last batch that would give a rank fewer than two
    faces is dropped: one face has no variance to normalise by. Batches of one face that are asked
    for stay.

    Args:
        order: of all train faces.
        batch_size: faces of a batch, over all ranks.
        rank: number of this process.
        world: number of processes.
    """

    def __init__(
        self, order: TrainOrder, batch_size: int, *, rank: int = 0, world: int = 1
    ) -> None:
        self._order, self._size, self._rank, self._world = order, batch_size, rank, world

    def __len__(self) -> int:
        """Return the number of batches, the same on every rank."""
        whole, last = divmod(len(self._order), self._size)
        return whole + (last >= 2 * self._world)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Yield (epoch, row) of the faces of each batch that are this rank's."""
        rows = list(self._order)
        for start in range(0, len(self) * self._size, self._size):
            yield rows[start : start + self._size][self._rank :: self._world]


class TableOrder(Sampler[tuple[int, int]]):
    """Every row once over all ranks, in the order of the table; the epoch plays no part.

    No row is repeated to give all ranks equally many, so that what is counted is exact.

    Args:
        count: number of rows.
        rank: number of this process, which takes rows rank, rank + world, ...
        world: number of processes.
    """

    def __init__(self, count: int, *, rank: int = 0, world: int = 1) -> None:
        self._rows = range(rank, count, world)

    def __len__(self) -> int:
        """Return the number of this rank's rows."""
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield (0, row)."""
        return ((0, row) for row in self._rows)


class FaceDataModule(pl.LightningDataModule):
    """Loaders for prepared faces; under several ranks, each loads its share.

    `predict_dataloader` gives one loader for each split in `evaluated`, never augmented.

    Args:
        faces: prepared faces.
        augmentation: of the train faces.
        batch_size: faces a step, over all ranks.
        workers: processes that load for each rank; 0 loads in the rank itself.
        seed: the run's seed, for the order of the train faces.
        evaluated: the splits that are predicted in the end.
        constants: columns that are the same in every row of the predictions: run, variant, ...
        first_epoch: that will be trained; more than 0 where a training goes on.
    """

    def __init__(
        self,
        faces: PreparedFaces,
        augmentation: Augmentation | None,
        *,
        batch_size: int,
        workers: int,
        seed: int,
        evaluated: tuple[str, ...],
        constants: Mapping[str, str | int] | None = None,
        first_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.faces, self.evaluated, self.constants = faces, evaluated, dict(constants or {})
        self.batch_size, self._workers, self._seed = batch_size, workers, seed
        self._augmentation, self._first_epoch = augmentation, first_epoch

    def train_dataloader(self) -> DataLoader[FaceBatch]:
        """Return the augmented train faces, in another order every epoch."""
        dataset = FaceDataset(self.faces, "train", self._augmentation, drawn=True)
        order = TrainOrder(len(dataset), self._seed, self._epoch)
        rank, world = self._place()
        batches = TrainBatches(order, self.batch_size, rank=rank, world=world)
        return self._loader(dataset, batch_sampler=batches)

    def val_dataloader(self) -> DataLoader[FaceBatch]:
        """Return the validation faces."""
        return self._evaluation_loader("validation")

    def predict_dataloader(self) -> list[DataLoader[FaceBatch]]:
        """Return a loader for each evaluated split."""
        return [self._evaluation_loader(split) for split in self.evaluated]

    def groups(self, split: str, attribute: str) -> npt.NDArray[np.int64]:
        """Return the number of each face's group (rows of the split,); -1 for unknown."""
        numbers = {name: n for n, name in enumerate(self.faces.table.attributes[attribute])}
        column = self.faces.rows(split)[attribute].map(numbers)
        return np.array(column.fillna(-1), dtype=np.int64)

    def _epoch(self) -> int:
        # `trainer.current_epoch` still names the epoch before when the loader begins; and where a
        # training goes on, the loader begins before the trainer has read how far it had come.
        trainer = self.trainer
        done = 0 if trainer is None else trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        return max(self._first_epoch, done)

    def _place(self) -> tuple[int, int]:
        """Return this process's number and how many there are."""
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)

    def _evaluation_loader(self, split: str) -> DataLoader[FaceBatch]:
        dataset = FaceDataset(self.faces, split)
        rank, world = self._place()
        order = TableOrder(len(dataset), rank=rank, world=world)
        share = max(1, self.batch_size // world)
        return self._loader(dataset, sampler=order, batch_size=share)

    def _loader(self, dataset: FaceDataset, **options: Any) -> DataLoader[FaceBatch]:  # noqa: ANN401
        return DataLoader(
            dataset,
            **options,
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
            pin_memory=torch.cuda.is_available(),
            collate_fn=_as_it_is,  # __getitems__ has made the batch already
            worker_init_fn=_begin_loading,
        )


def _begin_loading(worker: int) -> None:
    """Tie a loading process to the one that trains, and leave it a job's signal.

    All processes of a job get the signal that its time is over, and a worker has inherited the
    handler, which would put the job back into its queue once more and end the worker first.

    PyTorch's workers watch their parent, which is not the process that trains where a fork server
    starts them (Python 3.14's default): they would outlive a kill for ever.
    """
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    threading.Thread(target=_end_with_training, daemon=True).start()


def _end_with_training() -> None:
    training = multiprocessing.parent_process()
    if training is not None:
        training.join()
        os._exit(1)


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401
    return batch
