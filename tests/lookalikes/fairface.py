"""Drawn faces in the layout of FairFace."""

from pathlib import Path

from PIL import Image

from tests.lookalikes.pixel_csv import gray_face

GENDERS = ("Female", "Male")
RACES = (
    "White", "Black", "Latino_Hispanic", "East Asian", "Southeast Asian", "Indian", "Middle Eastern"
)  # fmt: skip
AGES = (
    "0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70"
)  # fmt: skip


def write_fairface(root: Path, *, train: int = 126, val: int = 42, side: int = 32) -> Path:
    """Write faces, genders, races and ages in turn; each split counts from 1."""
    for split, count in (("train", train), ("val", val)):
        (root / split).mkdir(parents=True, exist_ok=True)
        lines = ["file,age,gender,race,service_test"]
        for n in range(count):
            name = f"{split}/{n + 1}.jpg"
            groups = (AGES[n % 9], GENDERS[n % 2], RACES[n % 7], str(n % 3 == 0))
            lines.append(",".join((name, *groups)))
            face = gray_face(n + (split == "val") * train, n, side, side)
            Image.fromarray(face).convert("RGB").save(root / name)
        file = root / f"fairface_label_{split}.csv"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root
