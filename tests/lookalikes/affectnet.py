"""Drawn faces in the two layouts of AffectNet, quirks included."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.drawn_faces import DrawnFace

# What is drawn for each code; a drawn face has four expressions.
DRAWN = (
    "neutral", "happy", "focused", "surprised", "focused", "focused", "focused", "focused"
)  # fmt: skip
UNUSED = (8, 9, 10)  # none, uncertain, no face
HEADER = ["subDirectory_filePath", "face_x", "face_y", "face_width", "face_height"]
HEADER += ["facial_landmarks", "expression", "valence", "arousal"]
SUFFIXES = (".jpg", ".JPG", ".png", ".bmp")  # as web pages named them


@dataclass(frozen=True)
class Shown:
    """A face of AffectNet."""

    number: int
    code: int
    gender: str

    def draw(self, size: int) -> Image.Image:
        """Draw the face, in colour."""
        label = DRAWN[self.code] if self.code < len(DRAWN) else "neutral"
        return DrawnFace(label, self.gender, "young", self.number).draw(size).convert("RGB")

    @property
    def scores(self) -> tuple[str, str]:
        """Valence and arousal as text; -2 where nobody rated them."""
        if self.code in UNUSED:
            return "-2", "-2"
        return f"{((self.code * 37) % 21 - 10) / 10:.6g}", "-0.055556"

    def landmarks(self, left: int, top: int, size: int) -> list[float]:
        """Return 68 points on an oval inside of a square."""
        turns = np.linspace(0, 2 * np.pi, 68, endpoint=False)
        across = left + size * (0.5 + 0.4 * np.cos(turns))
        down = top + size * (0.5 + 0.4 * np.sin(turns))
        return [round(float(value), 2) for value in np.stack([across, down], axis=1).ravel()]


def shown_faces(each: int, seed: int) -> Iterator[Shown]:
    """Yield `each` faces of every code, the three unused ones included, genders in turn."""
    for number in range(each * (len(DRAWN) + len(UNUSED))):
        gender = ("female", "male")[number // (len(DRAWN) + len(UNUSED)) % 2]
        yield Shown(seed * 100_000 + number, number % (len(DRAWN) + len(UNUSED)), gender)


def write_lists(root: Path, *, train: int = 6, test: int = 2, size: int = 32) -> Path:
    """Write whole photos with lists.

    With its quirks: images in numbered folders with all sorts of suffixes, the face a part of the
    photo, codes 8 to 10, a last face of each list that no detector found (-1), an empty score.

    Args:
        root: folder to make.
        train: faces of each code.
        test: faces of each code.
        size: of a face, pixels; photos are half as large again.

    Returns:
        The root; `groups.csv` there gives genders, as a model would estimate them.
    """
    lists = root / "Manually_Annotated_file_lists"
    lists.mkdir(parents=True)
    groups = [["file", "gender"]]
    for name, each, seed in (("training.csv", train, 1), ("validation.csv", test, 2)):
        rows = []
        for face in shown_faces(each, seed):
            path = f"{face.number % 3 + 1}/{face.number:032x}{SUFFIXES[face.number % 4]}"
            rows.append([path, *_save_photo(face, _images(root) / path, size)])
            groups.append([path.rpartition("/")[2], face.gender])
        rows[0][-1] = ""  # nobody rated the arousal
        rows[-1][1:5] = ["-1"] * 4
        _write(lists / name, [HEADER, *rows])
    _write(root / "groups.csv", groups)
    return root


def _images(root: Path) -> Path:
    return root / "Manually_Annotated" / "Manually_Annotated_Images"


def _save_photo(face: Shown, path: Path, size: int) -> list[str]:
    """Save a photo with the face in it, and return what the list says of it."""
    left, top = size // 4 + face.number % 3, size // 8
    photo = Image.new("RGB", (size * 3 // 2, size * 3 // 2), (30, 90, 160))
    photo.paste(face.draw(size), (left, top))
    path.parent.mkdir(parents=True, exist_ok=True)
    photo.save(path)
    points = ";".join(str(value) for value in face.landmarks(left, top, size))
    return [str(left), str(top), str(size), str(size), points, str(face.code), *face.scores]


def _write(file: Path, rows: list[list[str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)


def write_arrays(root: Path, *, train: int = 6, test: int = 2, size: int = 32) -> Path:
    """Write cut faces with arrays, each of which holds a text; numbers have gaps.

    Args:
        root: folder to make.
        train: faces of each expression.
        test: faces of each expression.
        size: of the images, pixels.

    Returns:
        The root.
    """
    for part, each, seed in (("train_set", train, 3), ("val_set", test, 4)):
        for place in ("images", "annotations"):
            (root / part / place).mkdir(parents=True)
        for face in shown_faces(each, seed):
            if face.code not in UNUSED:
                _save_arrays(root / part, face, size)
    return root


def _save_arrays(part: Path, face: Shown, size: int) -> None:
    stem = f"{face.number % 100_000}"
    face.draw(size).save(part / "images" / f"{stem}.jpg")
    valence, arousal = face.scores
    told = {"exp": str(face.code), "val": valence, "aro": arousal}
    for kind, text in told.items():
        np.save(part / "annotations" / f"{stem}_{kind}.npy", np.array(text))
    points = np.array(face.landmarks(0, 0, size))
    np.save(part / "annotations" / f"{stem}_lnd.npy", points)
