"""Shows where the network looks, on correct and wrong faces of each group."""

from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image

from facebias.callbacks.predictions import face_module, predictions_of
from facebias.cam.explain import class_maps, resize_maps
from facebias.cam.layers import find_layer, named_layer
from facebias.cam.overlay import overlay
from facebias.cam.sheet import FaceCell, contact_sheet
from facebias.data.choice import choose_faces
from facebias.data.prepare import PreparedFaces
from facebias.files import whole_file

SHEET = "cam/sheet.png"
_SMALLEST = 240  # pixels: a smaller face is enlarged, by a whole factor


class CamCallback(pl.Callback):
    """Writes `cam/sheet.png`, `cam/faces/*.png` and `cam/maps.npz` of the last evaluated split.

    The maps explain the predicted class.

    Args:
        folder: of the run.
        method: "layer_cam" or "grad_cam".
        layer: name of a module of the network, or "auto".
        per_group: correct faces of each group, and as many wrong ones.
        seed: of the choice of faces.
    """

    def __init__(
        self,
        folder: str,
        method: str = "layer_cam",
        layer: str = "auto",
        per_group: int = 3,
        seed: int = 0,
    ) -> None:
        self._folder, self._method, self._layer = Path(folder), method, layer
        self._per_group, self._seed = per_group, seed

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the layer before the first batch.

        Raises:
            ModelError: if the model has no such layer.
        """
        predictions_of(trainer)
        channels_first = np.roll(face_module(trainer).faces.store.faces.shape[1:], 1)
        example = torch.zeros((1, *channels_first.tolist()), dtype=torch.uint8)
        if self._layer != "auto":
            # Checked here too, so that the error names the layers without a prefix.
            named_layer(pl_module.get_submodule("network"), self._layer)
        wanted = self._layer if self._layer == "auto" else f"network.{self._layer}"
        self._found = find_layer(pl_module, example.to(pl_module.device), wanted)

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
        maps = class_maps(
            pl_module,
            torch.from_numpy(faces).permute(0, 3, 1, 2),
            targets,
            layer=self._found,
            method=self._method,
        )
        resized = resize_maps(maps.values, faces.shape[1:3])
        self._write(chosen, faces, resized, maps.values, split, module.faces)

    def _write(
        self,
        chosen: pd.DataFrame,
        faces: npt.NDArray[np.uint8],
        resized: npt.NDArray[np.float32],
        maps: npt.NDArray[np.float32],
        split: str,
        prepared: PreparedFaces,
    ) -> None:
        painted = overlay(faces, resized)
        cells = []
        for face, colours, row in zip(faces, painted, chosen.itertuples(), strict=True):
            cells.append(FaceCell(face, colours, row.title, row.correct, row.group))
            name = f"{len(cells):03d}_{_plain(row.id)}.png"
            _write_pair(self._folder / "cam" / "faces" / name, face, colours)
        contact_sheet(
            cells,
            self._folder / SHEET,
            title=f"Where the network looks: {split} faces, chosen by seed {self._seed}",
            note=f"{self._method} of {self._found.removeprefix('network.')}, "
            f"for the predicted class. Groups: {prepared.table.provenance}.",
        )
        with whole_file(self._folder / "cam" / "maps.npz") as temporary:
            np.savez_compressed(temporary, id=chosen["id"].to_numpy(str), maps=maps)


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
