"""Finding the faces in a photo, with a network of 230 kB that comes with facebias.

BlazeFace, short range: V. Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on
Mobile GPUs", CVPR Workshop on Computer Vision for Augmented and Virtual Reality, 2019. Where the
file comes from is in `face_detection_short_range.LICENSE.md`.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

NETWORK_FILE = Path(__file__).with_name("face_detection_short_range.tflite")
POINTS = ("right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear")
"""The points of a found face; right is the person's right."""

MIN_SCORE = 0.5
"""Below it there is no face: MediaPipe's own default."""

Floats = npt.NDArray[np.float64]

_SIDE = 128  # pixels of the network's input
_GRID = ((16, 2), (8, 6))  # cells along a side, anchors a cell
_OVERLAP = 0.3  # intersection over union from which two boxes are the same face
_LARGEST_LOGIT = 80.0  # so that its exponential is finite


@dataclass(frozen=True, eq=False)
class FoundFace:
    """A face in a photo, in pixels of the photo.

    Attributes:
        score: the network's confidence, 0.5..1.
        box: left, top, right, bottom; from the brows to the chin. It may leave the photo.
        points: (6, 2), x and y of `POINTS`.
    """

    score: float
    box: tuple[float, float, float, float]
    points: Floats

    @property
    def area(self) -> float:
        """Square pixels of the box."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


class FaceFinder:
    """Finds faces that take up a good part of a photo, as in portraits.

    The whole photo is scaled to 128 x 128 pixels, on black where it is not square, so that faces of
    few pixels there are missed. Faces on their side or upside down are found too, as if they were
    upright: a score says nothing of how a face is turned. Several threads may use one finder; what
    it finds does not depend on them.
    """

    def __init__(self) -> None:
        self._networks = threading.local()  # OpenCV's networks keep state between calls

    def find(self, photo: Image.Image) -> list[FoundFace]:
        """Return the faces, the largest first.

        Args:
            photo: upright, as `facebias.data.images.decode_image` returns it; gray or RGB.
        """
        canvas, corner, scale = _letterboxed(photo)
        shapes, logits = self._run(canvas)
        shapes = (shapes - np.tile(corner, 8)) / np.tile(scale, 8)
        scores = 1 / (1 + np.exp(-np.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT)))
        sound = (scores >= MIN_SCORE) & (shapes[:, 2:4] > shapes[:, :2]).all(axis=1)
        return sorted(_merged(shapes[sound], scores[sound]), key=lambda face: -face.area)

    def _run(self, canvas: npt.NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """Return of each anchor left, top, right, bottom and points, pixels, (896, 16); logits."""
        network = self._network()
        values = canvas.astype(np.float32) / 127.5 - 1
        network.setInput(np.ascontiguousarray(values.transpose(2, 0, 1)[np.newaxis]))
        raw, logits = network.forward(["regressors", "classificators"])
        pairs = raw.reshape(-1, 8, 2).astype(np.float64)
        centre, half = pairs[:, 0] + _ANCHORS, pairs[:, 1] / 2
        points = pairs[:, 2:] + _ANCHORS[:, np.newaxis]
        shapes = np.concatenate([centre - half, centre + half, points.reshape(-1, 12)], axis=1)
        return shapes, logits.reshape(-1).astype(np.float64)

    def _network(self) -> Any:  # noqa: ANN401 - OpenCV's stubs lack the engine
        """Return this thread's own network."""
        if not hasattr(self._networks, "own"):
            import cv2

            # The other engines of OpenCV 5 return one of the two outputs only.
            engine = cv2.dnn.ENGINE_CLASSIC
            self._networks.own = cv2.dnn.readNetFromTFLite(str(NETWORK_FILE), engine)
        return self._networks.own


def _anchors() -> Floats:
    """Return the centres that boxes and points are counted from, (896, 2), in input pixels."""
    parts = []
    for cells, many in _GRID:
        centres = (np.arange(cells) + 0.5) * (_SIDE / cells)
        down, across = np.meshgrid(centres, centres, indexing="ij")
        parts.append(np.repeat(np.stack([across.ravel(), down.ravel()], axis=1), many, axis=0))
    return np.concatenate(parts)


_ANCHORS = _anchors()


def _letterboxed(photo: Image.Image) -> tuple[npt.NDArray[np.uint8], Floats, Floats]:
    """Return the photo in the middle of a black square, its corner there, and its scale."""
    factor = _SIDE / max(photo.size)
    size = [max(1, round(side * factor)) for side in photo.size]
    small = photo.convert("RGB").resize((size[0], size[1]), Image.Resampling.BICUBIC)
    corner = [(_SIDE - side) // 2 for side in size]
    canvas = Image.new("RGB", (_SIDE, _SIDE))
    canvas.paste(small, (corner[0], corner[1]))
    return np.asarray(canvas), np.array(corner, float), np.array(size) / np.array(photo.size)


def _merged(shapes: Floats, scores: Floats) -> Iterator[FoundFace]:
    """Yield a face for each cluster of overlapping boxes: their mean, weighted by the scores."""
    left = np.argsort(-scores, kind="stable")
    while left.size:
        same = _overlap(shapes[left[0]], shapes[left]) > _OVERLAP
        mean = np.average(shapes[left[same]], axis=0, weights=scores[left[same]])
        box = (float(mean[0]), float(mean[1]), float(mean[2]), float(mean[3]))
        yield FoundFace(float(scores[left[0]]), box, mean[4:].reshape(-1, 2))
        left = left[~same]


def _overlap(one: Floats, many: Floats) -> Floats:
    """Return the intersection over union of a box with each of others."""
    low, high = np.maximum(one[:2], many[:, :2]), np.minimum(one[2:4], many[:, 2:4])
    common = np.clip(high - low, 0, None).prod(axis=1)
    area = (many[:, 2:4] - many[:, :2]).prod(axis=1)
    union: Floats = (one[2:4] - one[:2]).prod() + area - common
    return np.asarray(common / union)
