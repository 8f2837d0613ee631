"""A full disk: a clear error, nothing half written, and it goes on when there is space again."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facebias.data import store
from facebias.data.images import FaceFormat
from facebias.data.store import open_store
from facebias.errors import DataError, RunError
from facebias.files import whole_file, write_text
from facebias.runs.checkpoint_files import WholeCheckpoints
from facebias.runs.metrics_file import MetricsFile
from facebias.train import train
from tests.drawn_faces import write_class_folders
from tests.resumed import add_callback, assert_same_results
from tests.trained import compose_train

OPTIONS = ("data.batch_size=16", "data.copies=report", "callbacks.cam=null", "trainer.max_epochs=2")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB in memory."""
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    folder = tmp_path / "disk"
    folder.mkdir()
    if mount is None or unmount is None or os.name == "nt" or os.geteuid() != 0:
        pytest.skip("a small file system needs root")
    options = ["-t", "tmpfs", "-o", "size=8m"]
    made = subprocess.run(  # noqa: S603 - found on the path, with fixed words
        [mount, *options, "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run([unmount, "--lazy", folder], check=True)  # noqa: S603


def fill(disk: Path, leave: int = 0) -> Path:
    """Take all room but so many bytes (rounded to pages of 4096), and return the file that does."""
    filler = disk / "filler"
    free = shutil.disk_usage(disk).free - leave
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free // 4096 * 4096)
    return filler


def listing(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("filler", ".lock")
    }


def _write_text(disk: Path) -> None:
    write_text(disk / "table.csv", "new\n" * 5000)


def _write_checkpoint(disk: Path) -> None:
    WholeCheckpoints().save_checkpoint({"rows": "x" * 9000}, disk / "last.ckpt")


def _write_table(disk: Path) -> None:
    with whole_file(disk / "predictions.parquet") as temporary:
        pd.DataFrame({"p": np.zeros(100_000)}).to_parquet(temporary, index=False)


def _write_maps(disk: Path) -> None:
    with whole_file(disk / "maps.npz") as temporary:
        np.savez_compressed(temporary, maps=np.random.default_rng(0).random((9, 99, 99)))


def _write_picture(disk: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    with whole_file(disk / "page.png") as temporary:
        Image.fromarray(noise).save(temporary)


def _log(disk: Path) -> None:
    """Log rows until no page is left."""
    logger = MetricsFile(str(disk))
    for step in range(1, 2000):
        logger.log_metrics({"loss": 0.5}, step)


def test_files_stay_as_they_were(small_disk: Path) -> None:
    write_text(small_disk / "table.csv", "old\n")
    MetricsFile(str(small_disk)).log_metrics({"loss": 0.5}, 0)
    WholeCheckpoints().save_checkpoint({"epoch": 0}, small_disk / "last.ckpt")
    before = listing(small_disk)
    fill(small_disk)
    for write in (_write_text, _write_checkpoint, _write_table, _write_maps, _write_picture, _log):
        with pytest.raises(RunError, match=r"cannot be written: .*(No space left|written|error)"):
            write(small_disk)
    after = listing(small_disk)
    lines = after.pop("metrics.csv")
    assert lines.startswith(before.pop("metrics.csv"))
    assert lines.endswith(b"\n")
    assert after == before


@pytest.mark.parametrize(
    ("leave", "checked"), [(1_000_000, True), (1_000_000, False), (2_458_000, False)]
)
def test_a_store_is_there_whole_or_not_at_all(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leave: int, checked: bool
) -> None:
    sources = [tmp_path / f"{number}.png" for number in range(200)]
    for number, source in enumerate(sources):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(source)
    cache, face_format = small_disk / "cache", FaceFormat(64, 64, 3)  # 2,457,728 bytes
    cache.mkdir()
    filler = fill(small_disk, leave)
    with monkeypatch.context() as patch:
        if not checked:  # as if others took the room while the store is written
            patch.setattr(store, "_check_room", lambda *_: None)
        with pytest.raises(DataError) as refused:
            open_store(sources, face_format, folder=cache, progress=False)
    assert refused.value.todo
    assert {path.suffix for path in cache.iterdir()} <= {".lock"}
    filler.unlink()
    assert open_store(sources, face_format, folder=cache, progress=False).built


class Fill(pl.Callback):
    """Fills the disk in one epoch, or before predictions."""

    def __init__(self, disk: Path, hook: str, epoch: int) -> None:
        self._disk, self._epoch = disk, epoch
        setattr(self, hook, self._fill)

    def _fill(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.current_epoch >= self._epoch:
            fill(self._disk)


def test_a_training_goes_on_when_there_is_space_again(
    small_disk: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faces = write_class_folders(tmp_path / "faces", train=12, test=4)
    undisturbed = train(compose_train(tmp_path, faces, *OPTIONS))
    config = compose_train(tmp_path, faces, *OPTIONS, f"paths.run={small_disk}/run")
    for hook, epoch, file in (
        ("on_train_epoch_end", 1, "best.ckpt"),
        ("on_predict_start", 2, "predictions.parquet"),
    ):
        with monkeypatch.context() as patch:
            add_callback(patch, Fill(small_disk, hook, epoch))
            with pytest.raises(RunError, match=f"{file} cannot be written: .*No space left"):
                train(config)
        assert not [name for name in listing(small_disk) if "/." in name]
        (small_disk / "filler").unlink()
    assert_same_results(train(config), undisturbed)
