"""Shows where the network looks: on the same faces while it learns, and in the end."""

from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image

from facebias.callbacks.predictions import face_module, predictions_of
from facebias.cam.explain import Maps, class_maps, resize_maps
from facebias.cam.overlay import overlay
from facebias.cam.sheet import FaceCell, contact_sheet
from facebias.cam.targets import named_targets
from facebias.data.choice import choose_faces, spread_faces
from facebias.data.prepare import PreparedFaces
from facebias.files import whole_file
from facebias.models.explained import network_layers, plain_layer
from facebias.report.cam_epochs import draw_epochs, remove_epochs, write_epoch

SHEET = "cam/sheet.png"
EPOCHS = "cam/epochs"
_SMALLEST = 240  # pixels: a smaller face is enlarged, by a whole factor


class CamCallback(pl.Callback):
    """Writes `cam/sheet.png`, `cam/faces/*.png` and `cam/maps.npz` of the last evaluated split.

    Those maps explain the predicted class. While the network learns, `cam/epochs/` gets the maps of
    the same validation faces every few epochs, for each face's own class, and `cam/epochs.png` has
    them beside each other in the end. What is trained does not depend on it.

    Args:
        folder: of the run.
        method: a name in `facebias.cam.methods.METHODS`.
        layer: name of a module of the network, "stages", or "auto".
        per_group: correct faces of each group, and as many wrong ones; while the network learns,
            faces of each class.
        seed: of the choice of faces.
        every_n_epochs: epochs from one set of maps to the next; None: only in the end.
    """

    def __init__(
        self,
        folder: str,
        method: str = "layer_cam",
        layer: str = "auto",
        per_group: int = 3,
        seed: int = 0,
        every_n_epochs: int | None = None,
    ) -> None:
        self._folder, self._method, self._layer = Path(folder), method, layer
        self._per_group, self._seed = per_group, seed
        self._every_n_epochs = every_n_epochs

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the layer before the first batch.

        Raises:
            ConfigError: if the method does not take this layer.
            ModelError: if the model has no such layer.
        """
        predictions_of(trainer)
        height, width, channels = face_module(trainer).faces.store.faces.shape[1:]
        own = torch.Generator().manual_seed(0)  # draws nothing from the training's
        shape = (1, channels, height, width)
        example = torch.randint(256, shape, dtype=torch.uint8, generator=own)
        self._found = network_layers(pl_module, example, self._layer, self._method)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the faces that are shown while the network learns."""
        if self._every_n_epochs is None or not trainer.is_global_zero:
            return
        faces = face_module(trainer).faces
        rows, table = faces.rows("validation"), faces.table
        chosen = (table.classes, table.attributes, self._per_group, self._seed)
        self._shown = spread_faces(rows, *chosen)
        if trainer.current_epoch == 0:
            remove_epochs(self._folder / EPOCHS)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the maps of an epoch; the first rank does it."""
        epoch, every = trainer.current_epoch + 1, self._every_n_epochs
        if every is None or epoch % every or not trainer.is_global_zero:
            return
        prepared = face_module(trainer).faces
        classes = prepared.table.classes
        faces = prepared.store.read(self._shown["row"].to_numpy(np.int64))
        targets = named_targets("label", classes, list(self._shown["label"]))
        assert isinstance(targets, torch.Tensor)  # noqa: S101 - of one class each
        maps = self._maps(pl_module, faces, targets)
        write_epoch(self._folder / EPOCHS, epoch, self._shown, faces, maps, classes)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw all epochs beside each other."""
        if self._every_n_epochs is None or not trainer.is_global_zero:
            return
        faces = face_module(trainer).faces.store.read(self._shown["row"].to_numpy(np.int64))
        path = self._folder / f"{EPOCHS}.png"
        draw_epochs(self._folder / EPOCHS, self._shown, faces, path, self._method)

    def _maps(
        self, model: pl.LightningModule, faces: npt.NDArray[np.uint8], targets: torch.Tensor
    ) -> Maps:
        images = torch.from_numpy(faces).permute(0, 3, 1, 2)
        return class_maps(model, images, targets, layer=self._found, method=self._method)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the maps of the chosen faces; the first rank does it."""
        if not trainer.is_global_zero:
            return
        module = face_module(trainer)
        split = module.evaluated[-1]
        predictions = predictions_of(trainer)
        rows = predictions[predictions["split"] == split].reset_index(drop=True)
        chosen = choose_faces(rows, module.faces.table.attributes, self._per_group, self._seed)
        if chosen.empty:
            return
        stored = module.faces.rows(split)["row"].to_numpy(np.int64)[chosen["position"]]
        faces = module.faces.store.read(stored)
        classes = list(module.faces.table.classes)
        targets = torch.tensor([classes.index(name) for name in chosen["predicted"]])
        self._write(chosen, faces, self._maps(pl_module, faces, targets), split, module.faces)

    def _write(
        self,
        chosen: pd.DataFrame,
        faces: npt.NDArray[np.uint8],
        maps: Maps,
        split: str,
        prepared: PreparedFaces,
    ) -> None:
        painted = overlay(faces, resize_maps(maps.values, faces.shape[1:3]))
        cells = []
        for face, colours, row in zip(faces, painted, chosen.itertuples(), strict=True):
            cells.append(FaceCell(face, colours, row.title, row.correct, row.group))
            name = f"{len(cells):03d}_{_plain(row.id)}.png"
            _write_pair(self._folder / "cam" / "faces" / name, face, colours)
        contact_sheet(
            cells,
            self._folder / SHEET,
            title=f"Where the network looks: {split} faces, chosen by seed {self._seed}",
            note=f"{self._method} of {plain_layer(maps.layer)}, for the predicted class. "
            f"Groups: {prepared.table.provenance}.",
        )
        with whole_file(self._folder / "cam" / "maps.npz") as temporary:
            np.savez_compressed(temporary, id=chosen["id"].to_numpy(str), maps=maps.values)


def _plain(identifier: str) -> str:
    """Turn the id of a face into a part of a file's name."""
    name = identifier.rpartition(".")[0] or identifier
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)[-80:]


def _write_pair(
    path: Path,
    face: npt.NDArray[np.uint8],
    colours: npt.NDArray[np.uint8],
) -> None:
    """Write a face beside its overlay, small ones enlarged."""
    pair = np.concatenate([np.broadcast_to(face, colours.shape), colours], axis=1)
    picture = Image.fromarray(pair)
    scale = max(1, _SMALLEST // len(face))
    size = (picture.width * scale, picture.height * scale)
    with whole_file(path) as temporary:
        picture.resize(size, Image.Resampling.BICUBIC).save(temporary)
