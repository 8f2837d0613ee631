"""Drawn faces in the two layouts of FER-2013, and votes of FER+."""

import csv
from pathlib import Path

from PIL import Image

from tests.lookalikes.pixel_csv import gray_face

SIDE = 48
FOLDERS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # by their codes
VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
VOTES_HEADER = ("Usage", "Image name", *VOTES, "unknown", "NF")
_VOTED = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


def usages(train: int, test: int) -> list[tuple[str, int]]:
    """Return the usage and the code of each face; `train` and `test` (twice) of each emotion."""
    parts = (("Training", train), ("PublicTest", test), ("PrivateTest", test))
    return [(usage, n % len(FOLDERS)) for usage, each in parts for n in range(each * len(FOLDERS))]


def write_csv(root: Path, *, train: int = 6, test: int = 2, spaces: bool = False) -> Path:
    """Write `fer2013.csv`, or `icml_face_data.csv` with spaces in its header."""
    root.mkdir(parents=True, exist_ok=True)
    name, header = (
        ("icml_face_data.csv", ["emotion", " Usage", " pixels"])
        if spaces
        else ("fer2013.csv", ["emotion", "pixels", "Usage"])
    )
    with (root / name).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        for number, (usage, code) in enumerate(usages(train, test)):
            pixels = " ".join(map(str, gray_face(number, code, SIDE, SIDE).ravel().tolist()))
            writer.writerow([code, usage, pixels] if spaces else [code, pixels, usage])
    return root


def write_votes(root: Path, *, train: int = 6, test: int = 2) -> Path:
    """Write `fer2013new.csv` beside the CSV file.

    With its quirks: the second face has no majority, of the third most say unknown, the fourth is
    no face and has no name; the fifth has a majority only if single votes do not count; the sixth
    shows contempt.
    """
    odd = {
        1: {"neutral": 5, "sadness": 5},
        2: {"unknown": 8, "neutral": 2},
        3: {"NF": 10},
        4: {"sadness": 4, "anger": 2, "fear": 1, "surprise": 1, "neutral": 1, "disgust": 1},
        5: {"contempt": 7, "neutral": 3},
    }
    with (root / "fer2013new.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(VOTES_HEADER)
        for number, (usage, code) in enumerate(usages(train, test)):
            votes = odd.get(number, {_VOTED[code]: 9, "unknown": 1})
            name = "" if "NF" in votes else f"fer{number:07d}.png"
            writer.writerow([usage, name, *(votes.get(each, 0) for each in VOTES_HEADER[2:])])
    return root


def write_folders(root: Path, *, train: int = 6, test: int = 2) -> Path:
    """Write the images that others made of the CSV file: both tests in one folder."""
    for number, (usage, code) in enumerate(usages(train, test)):
        part = "train" if usage == "Training" else "test"
        place = root / part / FOLDERS[code] / f"{usage}_{number * 37}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(gray_face(number, code, SIDE, SIDE)).save(place)
    return root
