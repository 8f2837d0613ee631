"""Drawn faces under names as UTKFace has them."""

from pathlib import Path

from PIL import Image

from tests.lookalikes.pixel_csv import gray_face

# Names as they are published; in the first three a field is missing.
ODD = (
    "61_1_20170109142408075.jpg.chip.jpg",
    "39_1_20170116174525125.jpg.chip.jpg",
    "53__0_20170116184028385.jpg",
    "24_0_1_20170116220224657 .jpg.chip.jpg",
    "55_0_0_20170116232725357jpg.chip.jpg",
)
AGES = (1, 9, 17, 26, 35, 48, 62, 80)


def write_utkface(
    root: Path, *, faces: int = 80, side: int = 32, parts: int = 0, odd: bool = True
) -> Path:
    """Write faces, genders, races and ages in turn.

    Args:
        root: folder to make.
        faces: with whole names.
        side: of the images, pixels.
        parts: folders part1, part2, ...; 0 for none.
        odd: write the odd names too.
    """
    for number in range(faces):
        age, gender, race = AGES[number // 10 % len(AGES)], number % 2, number // 2 % 5
        ending = ".jpg.chip.jpg" if number % 3 else ".jpg"
        name = f"{age}_{gender}_{race}_{20170109142408000 + number}{ending}"
        place = root / f"part{number % parts + 1}" if parts else root
        _save(place / name, number, side)
    for number, name in enumerate(ODD if odd else ()):
        _save((root / "part1" if parts else root) / name, faces + number, side)
    return root


def _save(path: Path, number: int, side: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(gray_face(number, number, side, side)).convert("RGB").save(path)
