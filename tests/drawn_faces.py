"""Line-drawn faces in the layout of the emotions data set, quirks included.

They stand in for photos in tests. Anybody can tell their emotions apart, and so can a small
network; they say nothing about real faces.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("focused", "happy", "neutral", "surprised")
ATTRIBUTES = {"gender": ("female", "male"), "age": ("young", "old")}
_SCALE = 4  # drawn larger and scaled down, so that lines are smooth

# Height of the brows above the eyes, their slope, openness of the eyes, height of the mouth's
# corners, openness of the mouth: all in shares of the face's height.
_FEATURES = {
    "focused": (0.06, 0.05, 0.020, 0.00, 0.000),
    "happy": (0.11, 0.00, 0.028, 0.08, 0.030),
    "neutral": (0.10, 0.00, 0.032, 0.00, 0.000),
    "surprised": (0.17, -0.02, 0.055, 0.00, 0.090),
}


@dataclass(frozen=True)
class DrawnFace:
    """What a face shows."""

    label: str
    gender: str
    age: str
    seed: int

    def draw(self, size: int = 48) -> Image.Image:
        """Draw the face, gray, `size` x `size` pixels."""
        random = np.random.default_rng((self.seed, size))
        side = size * _SCALE
        canvas = Image.new("L", (side, side), int(random.integers(20, 90)))
        pen = ImageDraw.Draw(canvas)
        middle = side * (0.5 + random.normal(0, 0.02))
        top = side * (0.12 + random.normal(0, 0.015))
        height = side * (0.76 + random.normal(0, 0.02))
        skin = int(random.integers(110, 225))
        ink = max(skin - int(random.integers(80, 110)), 5)
        self._draw_head(pen, middle, top, height, skin, random)
        self._draw_features(pen, middle, top, height, ink, random)
        small = np.asarray(canvas.resize((size, size), Image.Resampling.BOX), dtype=np.float64)
        noisy = small + random.normal(0, 4, small.shape)
        return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))

    def _draw_head(
        self,
        pen: ImageDraw.ImageDraw,
        middle: float,
        top: float,
        height: float,
        skin: int,
        random: np.random.Generator,
    ) -> None:
        hair = 200 if self.age == "old" else int(random.integers(10, 60))
        length = 0.9 if self.gender == "female" else 0.35
        wide = height * 0.41
        pen.rounded_rectangle(
            (middle - wide, top - height * 0.08, middle + wide, top + height * length),
            height * 0.3,
            fill=hair,
        )
        wide = height * (0.34 if self.gender == "female" else 0.38)
        pen.ellipse((middle - wide, top, middle + wide, top + height), fill=skin)

    def _draw_features(
        self,
        pen: ImageDraw.ImageDraw,
        middle: float,
        top: float,
        height: float,
        ink: int,
        random: np.random.Generator,
    ) -> None:
        brow, slope, eye, corner, mouth = (
            value * height * float(random.normal(1, 0.15)) for value in _FEATURES[self.label]
        )
        line = max(1, round(height * 0.025))
        eyes = top + height * 0.42
        for sign in (-1, 1):
            x, half = middle + sign * height * 0.16, height * 0.075
            pen.ellipse((x - half, eyes - eye, x + half, eyes + eye), fill=245)
            pupil = min(eye, height * 0.03)
            pen.ellipse((x - pupil, eyes - pupil, x + pupil, eyes + pupil), fill=5)
            inner, outer = x - sign * half, x + sign * half
            pen.line((inner, eyes - brow + slope, outer, eyes - brow - slope), ink, line * 2)
        if self.age == "old":
            for fold in (0.16, 0.21):
                y = top + height * fold
                pen.line((middle - height * 0.15, y, middle + height * 0.15, y), ink + 30, line)
        lips = top + height * 0.76
        half = height * (0.10 if self.label == "surprised" else 0.15)
        if mouth > 0:
            pen.ellipse((middle - half, lips - mouth, middle + half, lips + mouth), fill=ink - 5)
        points = [(middle - half, lips - corner), (middle, lips), (middle + half, lips - corner)]
        pen.line(points, ink, line * 2, joint="curve")
        pen.line((middle, eyes + height * 0.05, middle, lips - height * 0.14), ink + 30, line)


def drawn_faces(each: int, seed: int) -> Iterator[DrawnFace]:
    """Yield `each` faces of every class, genders and ages in turn."""
    for number in range(each * len(CLASSES)):
        place = number // len(CLASSES)
        yield DrawnFace(
            CLASSES[number % len(CLASSES)],
            ATTRIBUTES["gender"][place % 2],
            ATTRIBUTES["age"][place // 2 % 2],
            seed * 1_000_000 + number,
        )


def write_class_folders(
    root: Path, *, train: int = 40, test: int = 16, size: int = 48, seed: int = 0
) -> Path:
    """Write faces as the emotions data set lies on disk.

    With its quirks: upside-down copies of the train faces, attributes as a Python dict in train
    and as JSON in test, one age that is missing, CRLF line ends, and a CSV of another name.

    Args:
        root: folder to make.
        train: faces of each class.
        test: faces of each class.
        size: of the images, in pixels.
        seed: of the faces.

    Returns:
        The root.
    """
    for split, each in (("train", train), ("test", test)):
        rows: dict[str, list[list[str]]] = {name: [] for name in CLASSES}
        for number, face in enumerate(drawn_faces(each, seed * 2 + (split == "test"))):
            folder = root / split / face.label
            folder.mkdir(parents=True, exist_ok=True)
            image, name = face.draw(size), f"im{number}"
            image.save(folder / f"{name}.png")
            groups = {"gender": face.gender, "age": face.age}
            if split == "train" and number == 0:
                del groups["age"]
            names = [name]
            if split == "train":
                image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(
                    folder / f"{name}_flipped.png"
                )
                names.append(f"{name}_flipped")
            text = str(groups) if split == "train" else json.dumps(groups)
            rows[face.label] += [[f"{each_name}.png", text, "0", "{}"] for each_name in names]
        for label, lines in rows.items():
            file = "surprised_test.csv" if (split, label) == ("test", "surprised") else "meta.csv"
            with (root / split / label / file).open("w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream, lineterminator="\r\n" if split == "test" else "\n")
                writer.writerow(["filename", "file_attributes", "region_count", "region_id"])
                writer.writerows(lines)
    return root
