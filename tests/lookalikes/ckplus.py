"""Drawn faces in the layout of CK+ as class folders of 48 x 48 pixels."""

from pathlib import Path

from PIL import Image

from tests.lookalikes.pixel_csv import gray_face

CLASSES = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")


def write_ckplus(root: Path, *, people: int = 12) -> Path:
    """Write the last three frames of a sequence of each person and class."""
    for person in range(people):
        for shown, name in enumerate(CLASSES):
            (root / name).mkdir(parents=True, exist_ok=True)
            for frame in range(3):
                file = f"S{person * 7 + 10:03d}_{shown + 1:03d}_{15 + frame:08d}.png"
                number = person * 100 + shown * 10 + frame
                Image.fromarray(gray_face(number, shown, 48, 48)).save(root / name / file)
    return root
