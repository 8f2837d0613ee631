"""Images a second of a training epoch, against plain PyTorch loops of the same network.

    python -m tests.benchmarks.training

The plain loop is the leanest there is: all faces in one tensor, no loader, no metrics, no
validation. Where facebias augments, the plain loop passes each face through the same
albumentations transforms. The epochs of all loops take turns, so that a machine that slows down
slows all.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import albumentations
import lightning.pytorch as pl
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from facebias.config import build, check, conf_folder, register_resolvers
from facebias.data.prepare import PreparedFaces
from facebias.runs.assemble import (
    assemble_classifier,
    assemble_datamodule,
    assemble_faces,
    assemble_trainer,
)
from facebias.schemas import Train
from tests.drawn_faces import write_class_folders

_ROUNDS, _EPOCHS = 5, 1


class EpochTimer(pl.Callback):
    """Measures training epochs without their validation."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop it: validation begins inside of the epoch."""
        self.seconds.append(time.perf_counter() - self._start)


def load_config(folder: Path, faces: Path, *overrides: str) -> DictConfig:
    """Compose the configuration of emotions_cnn3."""
    register_resolvers()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose(
            "train",
            [
                "+experiment=emotions_cnn3",
                f"data.root={faces}",
                f"paths.run={folder}/run",
                f"paths.cache={folder}/cache",
                f"trainer.max_epochs={_EPOCHS}",
                *overrides,
            ],
        )
    return check(config, Train)


def time_facebias(config: DictConfig, faces: PreparedFaces) -> float:
    """Return the seconds of one epoch of `facebias.train`: loader, metrics, schedule and all."""
    pl.seed_everything(0, verbose=False)
    model = assemble_classifier(config, torch.tensor(faces.class_counts()), faces.statistics)
    trainer = assemble_trainer(config)
    timer = EpochTimer()
    trainer.callbacks.append(timer)  # type: ignore[attr-defined] # Lightning sets it late
    trainer.fit(model, datamodule=assemble_datamodule(config, faces))
    return timer.seconds[0]


def time_plain_loop(config: DictConfig, faces: PreparedFaces) -> float:
    """Return the seconds of one epoch of a plain loop, in the memory format of the model."""
    channels_last = config.classifier.channels_last
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    transforms = [build(node) for node in config.augment.transforms.values()]
    augment = albumentations.Compose(transforms) if transforms else None
    torch.manual_seed(0)
    model = assemble_classifier(config, torch.tensor(faces.class_counts()), faces.statistics)
    network = model.network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.003, weight_decay=0.01)
    classes = {name: number for number, name in enumerate(faces.table.classes)}
    rows = faces.rows("train")
    stored = faces.store.read(rows["row"].to_numpy())
    labels = torch.tensor([classes[name] for name in rows["label"]])
    shape = (stored.shape[3], *stored.shape[1:3])
    start = time.perf_counter()
    for batch in torch.split(torch.randperm(len(labels)), config.data.batch_size):
        chosen = stored[batch.numpy()]
        if augment is not None:
            chosen = np.stack([augment(image=face)["image"] for face in chosen])
        images = torch.empty((len(batch), *shape), dtype=torch.uint8, memory_format=memory_format)
        images.copy_(torch.from_numpy(chosen).permute(0, 3, 1, 2))
        normalised = model.normalise(images).contiguous(memory_format=memory_format)
        loss = torch.nn.functional.cross_entropy(network(normalised), labels[batch])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return time.perf_counter() - start


def main() -> None:
    """Print images a second, and the ratios."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        drawn = write_class_folders(folder / "faces", train=300, test=10)
        plain = load_config(folder, drawn, "augment=none")
        augmented = load_config(folder, drawn, "augment=light")
        default = load_config(folder, drawn, "augment=none", "classifier.channels_last=false")
        faces = assemble_faces(plain)
        count = len(faces.rows("train"))
        loops: dict[str, Callable[[], float]] = {
            "facebias, no augmentation": lambda: time_facebias(plain, faces),
            "facebias, light augmentation": lambda: time_facebias(augmented, faces),
            "plain, channels last": lambda: time_plain_loop(plain, faces),
            "plain, channels last, light": lambda: time_plain_loop(augmented, faces),
            "plain, default format": lambda: time_plain_loop(default, faces),
        }
        seconds: dict[str, list[float]] = {name: [] for name in loops}
        for round_number in range(_ROUNDS + 1):
            for name, loop in loops.items():
                spent = loop()
                if round_number:  # the first round warms up
                    seconds[name].append(spent)
    print(f"cnn3, {count} faces of 48 x 48, batch {plain.data.batch_size}, "
          f"{torch.get_num_threads()} threads, median of {_ROUNDS} epochs")  # fmt: skip
    for name, spent_seconds in seconds.items():
        print(f"  {name:<30} {count / statistics.median(spent_seconds):8.0f} images/s")
    for name, peer in (
        ("facebias, no augmentation", "plain, channels last"),
        ("facebias, light augmentation", "plain, channels last, light"),
        ("facebias, no augmentation", "plain, default format"),
    ):
        ratios = [p / f for f, p in zip(seconds[name], seconds[peer], strict=True)]
        print(f"  {name} / {peer}: {statistics.median(ratios):.2f} "
              f"({min(ratios):.2f} to {max(ratios):.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
