"""How a run's faces are cut: where the found face lies in them, so that others are cut alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from facebias.data.face_finder import FaceFinder
from facebias.data.found_faces import Edges
from facebias.data.images import FaceFormat
from facebias.data.prepare import store_faces
from facebias.data.split import seeded_order
from facebias.runs.assemble import face_format, read_faces
from facebias.runs.trained import TrainedRun

_MEASURED = 200  # faces at most: a second
_SEED = 0  # of the faces drawn by lot
_FOUND = 0.5  # share of them that a framing must be measured on at least


@dataclass(frozen=True)
class Framing:
    """Where the box of the found face lies in the faces of a data set, as medians.

    Attributes:
        across: middle of the box, as a share of the face's width.
        down: the same of its height.
        side: root of the box's area, as a share of the root of the face's area.
        faces: how many it was measured on.
    """

    across: float
    down: float
    side: float
    faces: int

    def crop(self, box: Edges, size: tuple[int, int], form: FaceFormat) -> Edges:
        """Return the part of a photo in which the found face lies as it does in the data set.

        It has the shape of the format and never leaves the photo: as in
        `facebias.data.crops.crop_box` it is made smaller, then shifted inside.

        Args:
            box: left, top, right, bottom of the found face, pixels of the photo.
            size: width and height of the photo.
            form: width and height of a face.

        Example:
            >>> whole = Framing(0.5, 0.5, 0.5, faces=1)
            >>> whole.crop((40, 40, 60, 60), (100, 100), FaceFormat(20, 20, 1))
            (30.0, 30.0, 70.0, 70.0)
            >>> whole.crop((0, 40, 20, 60), (100, 100), FaceFormat(20, 20, 1))
            (0.0, 30.0, 40.0, 70.0)
        """
        left, top, right, bottom = box
        shape = form.width / form.height
        root = math.sqrt((right - left) * (bottom - top)) / self.side
        wide = min(root * math.sqrt(shape), size[0], size[1] * shape)
        high = min(wide / shape, size[1])
        start = (left + right) / 2 - self.across * wide
        above = (top + bottom) / 2 - self.down * high
        start, above = max(min(start, size[0] - wide), 0.0), max(min(above, size[1] - high), 0.0)
        return start, above, start + wide, above + high


def measure_framing(faces: npt.NDArray[np.uint8]) -> Framing | None:
    """Find the faces in faces of a data set.

    Args:
        faces: (N, H, W, C), 0..255, as a network sees them.

    Returns:
        The framing; None where the finder sees fewer than half of them.
    """
    finder, boxes = FaceFinder(), []
    for face in faces:
        found = finder.find(Image.fromarray(face.squeeze(-1) if face.shape[-1] == 1 else face))
        boxes += [found[0].box] if found else []
    if len(boxes) < _FOUND * len(faces):
        return None
    return _framing(boxes, *faces.shape[2:0:-1])


def _framing(boxes: Sequence[Edges], width: int, height: int) -> Framing:
    left, top, right, bottom = np.array(boxes).T
    return Framing(
        float(np.median((left + right) / 2 / width)),
        float(np.median((top + bottom) / 2 / height)),
        float(np.median(np.sqrt((right - left) * (bottom - top) / (width * height)))),
        len(boxes),
    )


def train_faces(run: TrainedRun) -> npt.NDArray[np.uint8]:
    """Return some of a run's train faces, drawn by lot, (N, H, W, C), as the network saw them.

    Args:
        run: whose data is still where its training read it.

    Raises:
        FacebiasError: if it is not.
    """
    rows = run.faces[(run.faces["split"] == "train") & (run.faces["left_out"] == "")]
    order = np.argsort(seeded_order(rows["id"], _SEED), kind="stable")
    chosen = set(rows["id"].iloc[order[:_MEASURED]])
    table = read_faces(run.config)
    few = table.rows[table.rows["id"].isin(chosen)].assign(left_out="", split="train")
    table = table.with_rows(few.reset_index(drop=True))
    stored, store = store_faces(table, face_format(run.config), None, max_bad=len(few))
    return store.read(stored.used()["row"].to_numpy(np.int64))
