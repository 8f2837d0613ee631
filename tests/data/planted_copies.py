"""Copies of pictures as they come about: compressed, brightened, turned, shifted, scaled."""

import io
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Change = Callable[[Pixels, np.random.Generator], Pixels]

_SHIFT = 0.04  # of the side


def _picture(face: Pixels) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(face.squeeze()))


def _pixels(picture: Image.Image, like: Pixels) -> Pixels:
    return np.asarray(picture, np.uint8).reshape(like.shape)


def compressed(face: Pixels, random: np.random.Generator) -> Pixels:
    """Return a face after JPEG of quality 60."""
    file = io.BytesIO()
    _picture(face).save(file, "JPEG", quality=60)
    with Image.open(file) as picture:
        return _pixels(picture, face)


def brightened(face: Pixels, random: np.random.Generator) -> Pixels:
    """Return a face 20 % brighter or darker; what is too bright is cut off."""
    factor = random.choice([0.8, 1.2])
    changed: Pixels = np.clip(np.rint(face * factor), 0, 255).astype(np.uint8)
    return changed


def contrasted(face: Pixels, random: np.random.Generator) -> Pixels:
    """Return a face with 20 % more or less contrast; what is too bright or dark is cut off."""
    factor, middle = random.choice([0.8, 1.2]), face.mean()
    changed = np.rint(middle + (face - middle) * factor)
    cut: Pixels = np.clip(changed, 0, 255).astype(np.uint8)
    return cut


def shifted(face: Pixels, random: np.random.Generator) -> Pixels:
    """Return a face shifted by up to 4 % of the side in whole pixels, the edges repeated."""
    reach = int(_SHIFT * face.shape[0])
    down, right = random.integers(-reach, reach + 1, 2)
    rows = np.clip(np.arange(face.shape[0]) + down, 0, face.shape[0] - 1)
    columns = np.clip(np.arange(face.shape[1]) + right, 0, face.shape[1] - 1)
    moved: Pixels = face[rows][:, columns]
    return moved


def shifted_between_pixels(face: Pixels, random: np.random.Generator) -> Pixels:
    """Return a face shifted by up to 4 % of the side, the edges repeated."""
    height, width = face.shape[:2]
    padded = np.pad(face, ((4, 4), (4, 4), (0, 0)), "edge")
    right, down = random.uniform(-_SHIFT, _SHIFT, 2) * [width, height] + 4
    turn = (1, 0, right, 0, 1, down)
    method, way = Image.Transform.AFFINE, Image.Resampling.BICUBIC
    return _pixels(_picture(padded).transform((width, height), method, turn, way), face)


def halved(face: Pixels, random: np.random.Generator) -> Pixels:
    """Return a face that was scaled to half its size and back."""
    height, width = face.shape[:2]
    small = _picture(face).resize((width // 2, height // 2), Image.Resampling.LANCZOS)
    return _pixels(small.resize((width, height), Image.Resampling.BICUBIC), face)


CHANGES: Mapping[str, Change] = {
    "exact": lambda face, random: face,
    "re-encoded": compressed,
    "brightness": brightened,
    "contrast": contrasted,
    "mirrored": lambda face, random: face[:, ::-1],
    "upside down": lambda face, random: face[::-1],
    "turned": lambda face, random: face[::-1, ::-1],
    "mirrored, re-encoded": lambda face, random: compressed(face[:, ::-1], random),
    "upside down, re-encoded": lambda face, random: compressed(face[::-1], random),
    "shifted": shifted,
    "shifted between pixels": shifted_between_pixels,
    "half size": halved,
}
"""What may be done to a face, by name."""
