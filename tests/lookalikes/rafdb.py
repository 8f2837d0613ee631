"""Drawn faces in the two layouts of RAF-DB."""

from pathlib import Path

from PIL import Image

from tests.lookalikes.pixel_csv import gray_face

CODES = range(1, 8)


def names(train: int, test: int) -> list[tuple[str, int]]:
    """Return the stem and the code of each face; the train faces have five digits."""
    faces = [(f"train_{n + 1:05d}", n % len(CODES) + 1) for n in range(train * len(CODES))]
    return faces + [(f"test_{n + 1:04d}", n % len(CODES) + 1) for n in range(test * len(CODES))]


def write_rafdb(root: Path, *, train: int = 6, test: int = 3, side: int = 40) -> Path:
    """Write the basic subset as its authors give it out, in `root/basic`.

    Genders, races and ages in turn; gender 2 is unsure. The originals are wider than high, with
    boxes and landmarks.
    """
    basic = root / "basic"
    for place in ("EmoLabel", "Image/aligned", "Image/original", "Annotation/manual"):
        (basic / place).mkdir(parents=True, exist_ok=True)
    (basic / "Annotation" / "boundingbox").mkdir()
    faces = names(train, test)
    lines = [f"{stem}.jpg {code}\n" for stem, code in faces]
    (basic / "EmoLabel" / "list_patition_label.txt").write_text("".join(lines))
    for number, (stem, code) in enumerate(faces):
        face = Image.fromarray(gray_face(number, code, side, side)).convert("RGB")
        face.save(basic / "Image" / "aligned" / f"{stem}_aligned.jpg")
        photo = Image.new("RGB", (2 * side, side + 10))
        photo.paste(face, (number % 9, 5))
        photo.save(basic / "Image" / "original" / f"{stem}.jpg")
        _write_annotations(basic / "Annotation", stem, number, side)
    return root


def _write_annotations(folder: Path, stem: str, number: int, side: int) -> None:
    left = number % 9
    shares = ((0.35, 0.45), (0.65, 0.45), (0.5, 0.6), (0.4, 0.8), (0.6, 0.8))
    points = "".join(f"{left + side * x:.6f}\t{5 + side * y:.6f}\n" for x, y in shares)
    codes = (2 if number % 10 == 9 else number % 2, number // 2 % 3, number // 6 % 5)
    groups = "".join(f"{code}\n" for code in codes)
    (folder / "manual" / f"{stem}_manu_attri.txt").write_text(points + groups)
    box = (left, 5, left + side, 5 + side)
    (folder / "boundingbox" / f"{stem}_boundingbox.txt").write_text(" ".join(map(str, box)) + " \n")


def write_kaggle(root: Path, *, train: int = 6, test: int = 3, side: int = 40) -> Path:
    """Write the form of Kaggle: folders named as the codes, two lists, no attributes."""
    tables = {"train": ["image,label"], "test": ["image,label"]}
    for number, (stem, code) in enumerate(names(train, test)):
        split, name = stem.partition("_")[0], f"{stem}_aligned.jpg"
        place = root / "DATASET" / split / str(code) / name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(gray_face(number, code, side, side)).convert("RGB").save(place)
        tables[split].append(f"{name},{code}")
    for split, lines in tables.items():
        (root / f"{split}_labels.csv").write_text("\n".join(lines) + "\n")
    return root
