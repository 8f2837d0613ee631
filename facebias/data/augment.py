"""Augmentation of train faces: a function of (seed, epoch, row), so that a run can be repeated."""

import os
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from facebias.errors import DataError

# Before anything imports albumentations: it would ask the network for a newer version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


class Augmentation:
    """Albumentations transforms, drawn anew for each face and epoch.

    The draw depends on the seed, the epoch and the row alone, so neither the number of loading
    processes nor an interruption changes it.

    Args:
        transforms: albumentations transforms by name, applied in this order.
        seed: the run's seed.
    """

    def __init__(self, transforms: Mapping[str, Any], seed: int) -> None:
        import albumentations

        self.names = tuple(transforms)
        self._pipeline = albumentations.Compose(list(transforms.values()))
        self._seed = seed

    def __call__(
        self,
        faces: npt.NDArray[np.uint8],
        epochs: npt.NDArray[np.int64],
        rows: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.uint8]:
        """Return the faces augmented.

        Args:
            faces: uint8 (B, H, W, C).
            epochs: epoch of each face (B,).
            rows: row of each face in its split (B,).

        Raises:
            DataError: if a transform changes the size or the type of the pixels.
        """
        if not self.names:
            return faces
        augmented = np.empty_like(faces)
        for position, (face, epoch, row) in enumerate(zip(faces, epochs, rows, strict=True)):
            self._set_dice(int(epoch), int(row))
            changed = self._pipeline(image=np.ascontiguousarray(face))["image"]
            if changed.shape != face.shape or changed.dtype != np.uint8:
                raise DataError(
                    f"the augmentation {', '.join(self.names)} makes {changed.dtype} "
                    f"{changed.shape} of uint8 {face.shape}",
                    "transforms that keep 8-bit pixels and the size; the model normalises them",
                    "take out of augment.transforms what crops, resizes or normalises",
                )
            augmented[position] = changed
        return augmented

    def _set_dice(self, epoch: int, row: int) -> None:
        """Give the dice of this face to all transforms, which throw them one after the other.

        `set_random_seed` would give every transform dice of its own with one seed: what is mirrored
        would always be moved to the left, and transforms of one probability always come together.
        """
        dice = np.random.default_rng((self._seed, epoch, row))
        other = random.Random(int(dice.integers(2**63)))  # noqa: S311 # albumentations wants both
        self._pipeline.set_random_state(dice, other)
