"""Drawn gray faces in a CSV file, as a set of nine emotions in 75 x 110 pixels has them."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.drawn_faces import CLASSES, DrawnFace

RASAS = (
    "love", "laughter", "compassion", "anger", "courage", "fear", "disgust", "wonder", "peace"
)  # fmt: skip


def gray_face(number: int, shown: int, width: int, height: int) -> NDArray[np.uint8]:
    """Return the pixels of a face, (H, W); the same `shown` is the same expression."""
    gender, age = ("female", "male")[number % 2], ("young", "old")[number // 2 % 2]
    face = DrawnFace(CLASSES[shown % len(CLASSES)], gender, age, number).draw(max(width, height))
    return np.asarray(face.resize((width, height)))


def write_pixel_csv(
    file: Path,
    *,
    labels: Sequence[str] = RASAS,
    each: int = 8,
    size: tuple[int, int] = (75, 110),
    apart: bool = False,
) -> Path:
    """Write a CSV file of faces, labels in turn.

    Args:
        file: to write.
        labels: names or codes.
        each: faces of each label.
        size: width and height, pixels.
        apart: a column for each pixel, behind a column that counts the rows.

    Returns:
        Its folder.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        names = [f"pixel{n}" for n in range(size[0] * size[1])] if apart else ["pixels"]
        writer.writerow([*([""] if apart else []), "emotion", *names])
        for number in range(each * len(labels)):
            shown = number % len(labels)
            values = gray_face(number, shown, *size).ravel().tolist()
            pixels = values if apart else [" ".join(map(str, values))]
            writer.writerow([*([number] if apart else []), labels[shown], *pixels])
    return file.parent
