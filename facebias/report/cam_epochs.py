"""Where a network looks while it learns: the same faces every few epochs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from facebias.cam.explain import Maps, resize_maps
from facebias.cam.overlay import overlay
from facebias.files import whole_file
from facebias.pictures import Cell, Row, write_rows

UInt8 = npt.NDArray[np.uint8]

_MOST_EPOCHS = 10  # on a page; of more, some are left out evenly
_ACROSS = 10  # faces beside each other on an epoch's own page


@dataclass(frozen=True, eq=False)
class Epoch:
    """The maps of the shown faces after an epoch.

    Attributes:
        number: from 1.
        maps: (N, h, w), 0..1 or NaN.
        predicted: names of the answers, (N,).
        probability: of the answers, (N,).
    """

    number: int
    maps: npt.NDArray[np.float32]
    predicted: npt.NDArray[np.str_]
    probability: npt.NDArray[np.float32]

    def cells(self, shown: pd.DataFrame, faces: UInt8) -> Iterator[Cell]:
        """Yield each face under its map, with the answer."""
        painted = overlay(faces, resize_maps(self.maps, (faces.shape[1], faces.shape[2])))
        for number, (picture, label) in enumerate(zip(painted, shown["label"], strict=True)):
            said = self.predicted[number]
            sign = "✓" if said == label else "✗"
            yield Cell(picture, f"{sign} {said} {self.probability[number]:.2f}")


def write_epoch(
    folder: Path,
    epoch: int,
    shown: pd.DataFrame,
    faces: UInt8,
    maps: Maps,
    classes: Sequence[str],
) -> None:
    """Write `0004.npz` (id, maps, predicted, probability) and `0004.png` of an epoch.

    Args:
        folder: of all epochs.
        epoch: its number, from 1.
        shown: rows of the faces: id and label.
        faces: (N, H, W, C).
        maps: of these faces, for their labels.
        classes: in the order of the logits.
    """
    probabilities = torch.from_numpy(maps.logits).softmax(1).numpy()
    predicted = np.array(classes, str)[probabilities.argmax(axis=1)]
    found = Epoch(epoch, maps.values, predicted, probabilities.max(axis=1))
    with whole_file(folder / f"{epoch:04d}.npz") as temporary:
        np.savez_compressed(
            temporary,
            id=shown["id"].to_numpy(str),
            maps=found.maps.astype(np.float16),
            predicted=found.predicted,
            probability=found.probability,
        )
    cells = list(found.cells(shown, faces))
    labels = shown["label"].to_numpy(object)
    rows = []
    for label in dict.fromkeys(labels):
        own = [cells[place] for place in np.flatnonzero(labels == label)]
        rows += [Row(str(label), own[n : n + _ACROSS]) for n in range(0, len(own), _ACROSS)]
    title = f"Where the network looks after epoch {epoch}"
    note = f"{maps.method}, for each face's own class"
    write_rows(folder / f"{epoch:04d}.png", rows, title=title, note=note)


def remove_epochs(folder: Path) -> None:
    """Remove the epochs of a training that is begun anew."""
    for file in folder.glob("[0-9]*.*"):
        file.unlink()


def draw_epochs(folder: Path, shown: pd.DataFrame, faces: UInt8, path: Path, method: str) -> None:
    """Draw a row for each face and a column for each epoch that was written.

    Args:
        folder: of all epochs.
        shown: rows of the faces: id and label.
        faces: (N, H, W, C).
        path: the PNG to write; it is not, if no epoch was written.
        method: of the maps.
    """
    files = sorted(folder.glob("*.npz"))
    if not files:
        return
    places = np.linspace(0, len(files) - 1, min(_MOST_EPOCHS, len(files))).round().astype(int)
    epochs = [_read(files[place]) for place in places]
    columns = [list(epoch.cells(shown, faces)) for epoch in epochs]
    labels = [str(label) for label in shown["label"]]
    rows = [
        Row(label, [Cell(face), *cells])
        for label, face, *cells in zip(labels, faces, *columns, strict=True)
    ]
    write_rows(
        path,
        rows,
        columns=["the face", *(f"epoch {epoch.number}" for epoch in epochs)],
        title="Where the network looks while it learns",
        note=f"{method}, for each face's own class",
    )


def _read(file: Path) -> Epoch:
    with np.load(file, allow_pickle=False) as stored:
        maps = stored["maps"].astype(np.float32)
        return Epoch(int(file.stem), maps, stored["predicted"], stored["probability"])
