"""One picture of the camera: found, cut, answered and explained."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from facebias.cam.explain import class_maps, resize_maps
from facebias.cam.targets import Targets
from facebias.data.face_finder import FaceFinder
from facebias.data.found_faces import Edges, crop_box
from facebias.data.images import FaceFormat, cut_face, decode_image
from facebias.errors import DataError, FacebiasError, ModelError
from facebias.live.framing import Framing, measure_framing, train_faces
from facebias.models.classifier import FaceClassifier
from facebias.models.explained import network_layers
from facebias.runs.assemble import face_format
from facebias.runs.trained import TrainedRun

logger = logging.getLogger(__name__)

METHOD = "layer_cam"
MAX_PIXELS = 4_000_000
"""Of a picture that is decoded."""

_MARGIN = 0.1  # that of facebias.crop, where nothing better is known
_MAP_SIDE = 64  # of the map as it is sent; the browser enlarges it


@dataclass(frozen=True)
class Cut:
    """How the face is cut out of a picture.

    Attributes:
        form: size and channels of the run's faces.
        framing: as in the run's faces; None: the found box, grown by the margin.
        margin: what the box grows by on each side, as a share of itself.
        words: the same for people.
    """

    form: FaceFormat
    framing: Framing | None
    margin: float
    words: str

    def crop(self, box: Edges, size: tuple[int, int]) -> Edges:
        """Return the part of a picture that becomes the face.

        Args:
            box: of the found face, pixels.
            size: width and height of the picture.
        """
        if self.framing is not None:
            return self.framing.crop(box, size, self.form)
        return crop_box(box, size, replace(self.form, margin=self.margin))


class FrameReader:
    """Answers pictures with what one run's model makes of the largest face.

    Not to be used by several threads at once: the maps need hooks in the model.

    Args:
        model: in evaluation.
        classes: in the order of its outputs.
        cut: how its faces are cut out.
    """

    def __init__(self, model: FaceClassifier, classes: Sequence[str], cut: Cut) -> None:
        self.classes, self.cut = tuple(classes), cut
        self._model, self._finder = model, FaceFinder()
        example = torch.zeros((1, cut.form.channels, cut.form.height, cut.form.width))
        images = example.to(torch.uint8)
        self._layer = network_layers(self._model, images, "auto", METHOD)
        class_maps(self._model, images, "predicted", layer=self._layer)  # what is slow once

    def read(self, content: bytes, explained: int | None = None) -> dict[str, Any]:
        """Find the faces of a picture, and answer and explain the largest.

        Args:
            content: of an image file.
            explained: number of the class that the map is for; None: the predicted one.

        Returns:
            `size`, width and height of the picture; `faces`, a box for each (left, top, right,
            bottom in pixels), the largest first. Where there is one, also `crop`, the part that
            the model was given; `probabilities`, one a class, adding up to 1; `predicted` and
            `explained`, numbers of classes; and `map`: `width`, `height` and `values`, rows from
            the top, 0..255, over the crop. Where a map is undefined, `map` is None.

        Raises:
            DataError: for a picture that cannot be read, or a class that is not there.
            ModelError: for a model that answers no numbers.
        """
        if explained is not None and not 0 <= explained < len(self.classes):
            raise DataError(f"a map for class {explained}", f"0 to {len(self.classes) - 1}")
        photo = decode_image(content, max_pixels=MAX_PIXELS)
        faces = self._finder.find(photo)
        answer: dict[str, Any] = {"size": photo.size, "faces": [face.box for face in faces]}
        if not faces:
            return answer
        crop = self.cut.crop(faces[0].box, photo.size)
        return answer | {"crop": crop} | self._answer(photo, crop, explained)

    def _answer(self, photo: Image.Image, crop: Edges, explained: int | None) -> dict[str, Any]:
        face = cut_face(photo, replace(self.cut.form, margin=0.0), crop).pixels
        images = torch.from_numpy(face).permute(2, 0, 1)[None]
        targets: Targets = "predicted" if explained is None else torch.tensor([explained])
        found = class_maps(self._model, images, targets, layer=self._layer, method=METHOD)
        if not np.isfinite(found.logits).all():
            raise ModelError("the model's answer holds values that are no numbers")
        return {
            "probabilities": torch.from_numpy(found.logits).softmax(1)[0].tolist(),
            "predicted": int(found.logits[0].argmax()),
            "explained": int(found.targets[0]),
            "map": self._map(found.values) if found.defined[0] else None,
        }

    def _map(self, values: np.ndarray) -> dict[str, Any]:
        """Return the map enlarged, its longer side to 64 cells, as whole numbers."""
        scale = _MAP_SIDE / max(self.cut.form.height, self.cut.form.width)
        height, width = (
            max(1, round(side * scale)) for side in (self.cut.form.height, self.cut.form.width)
        )
        cells = np.rint(resize_maps(values, (height, width))[0] * 255).astype(int)
        return {"width": width, "height": height, "values": cells.ravel().tolist()}


def load_reader(run: TrainedRun, margin: float | None, threads: int | None) -> FrameReader:
    """Return the reader of a finished run.

    Args:
        run: a finished training.
        margin: what the found box grows by; None: measured on the run's own faces.
        threads: of torch; None: as many as it takes.

    Raises:
        RunError: if its checkpoint is gone.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    cv2.setNumThreads(1)  # the finder is too small to be shared out
    return FrameReader(run.model(), run.classes, find_cut(run, margin))


def find_cut(run: TrainedRun, margin: float | None) -> Cut:
    """Return how faces are cut for a run: by a margin, or as its own faces are.

    Args:
        run: a finished training.
        margin: what the found box grows by; None: measured on the run's own faces.
    """
    form = face_format(run.config)
    if margin is None and form.finder is not None:
        margin = form.margin  # the run's own faces were found and cut in this way
    if margin is not None:
        return Cut(form, None, margin, f"the found box, {_percent(margin)} larger on each side")
    try:
        framing, why = measure_framing(train_faces(run)), "no face is found in most of them"
    except FacebiasError as error:
        framing, why = None, error.found
    if framing is not None:
        said = f"as the face lies in {framing.faces} of the run's own train faces"
        return Cut(form, framing, 0.0, said)
    logger.warning("how the run's faces are cut is not known: %s", why)
    unknown = "how the run's own faces are cut could not be measured, which may mislead the model"
    words = f"the found box, {_percent(_MARGIN)} larger on each side; {unknown}"
    return Cut(form, None, _MARGIN, words)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
