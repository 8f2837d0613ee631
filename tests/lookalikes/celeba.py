"""Drawn faces in the layouts of CelebA, quirks included."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests.drawn_faces import DrawnFace

# Some of the forty, in their order.
ATTRIBUTES = ("5_o_Clock_Shadow", "Eyeglasses", "Male", "Pale_Skin", "Smiling", "Young")
POINTS = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
PHOTOS_EACH = 4  # of a person


@dataclass(frozen=True)
class Celebrity:
    """A photo of a person."""

    number: int

    @property
    def name(self) -> str:
        """The file of the image."""
        return f"{self.number + 1:06d}.jpg"

    @property
    def person(self) -> int:
        """The number of the person."""
        return self.number // PHOTOS_EACH

    @property
    def says(self) -> dict[str, bool]:
        """What is so, of each attribute."""
        person = self.person
        return {
            "5_o_Clock_Shadow": False,
            "Eyeglasses": self.number % 7 == 0,
            "Male": person % 5 in (0, 3),
            "Pale_Skin": person % 3 == 0,
            "Smiling": self.number % 2 == 0,
            "Young": person % 4 != 1,
        }

    def draw(self, width: int) -> Image.Image:
        """Draw the photo, as high as CelebA's are for their width."""
        says = self.says
        label = "happy" if says["Smiling"] else "neutral"
        gender = "male" if says["Male"] else "female"
        age = "young" if says["Young"] else "old"
        face = DrawnFace(label, gender, age, self.number).draw(width)
        photo = Image.new("RGB", (width, width * 218 // 178), (40, 40, 60))
        photo.paste(face.convert("RGB"), (0, (photo.height - width) // 2))
        return photo


def split_of(person: int, people: int) -> int:
    """Return the official split of a person: 0 train, 1 validation, 2 test."""
    return 0 if person < people * 0.6 else 1 if person < people * 0.8 else 2


def write_celeba(root: Path, *, people: int = 30, width: int = 36, original: bool = True) -> Path:
    """Write CelebA as its authors give it out, or as torchvision lays it.

    With the quirks of the text files: a count, a header without a name for the images, a space at
    the end of it, runs of spaces.

    Args:
        root: folder to make.
        people: with four photos each.
        width: of the images, pixels.
        original: in Anno/, Eval/ and Img/, or flat.
    """
    anno, evaluation, images = (
        root / name if original else root for name in ("Anno", "Eval", "Img")
    )
    faces = _save_images(images / "img_align_celeba", people, width)
    for folder in (anno, evaluation):
        folder.mkdir(exist_ok=True)
    rows = [
        " ".join([face.name, *(f"{_sign(so):>2}" for so in face.says.values())]) for face in faces
    ]
    _write(anno / "list_attr_celeba.txt", [str(len(faces)), " ".join(ATTRIBUTES) + " ", *rows])
    points = [f"{face.name}  " + "  ".join(map(str, points_of(width))) for face in faces]
    names = " ".join(f"{point}_{axis}" for point in POINTS for axis in "xy")
    _write(anno / "list_landmarks_align_celeba.txt", [str(len(faces)), names, *points])
    _write(anno / "identity_CelebA.txt", [f"{face.name} {face.person + 100}" for face in faces])
    splits = [f"{face.name} {split_of(face.person, people)}" for face in faces]
    _write(evaluation / "list_eval_partition.txt", splits)
    return root


def write_celeba_csv(root: Path, *, people: int = 30, width: int = 36, no: int = -1) -> Path:
    """Write CelebA with CSV lists, images nested twice and no identities.

    Args:
        root: folder to make.
        people: with four photos each.
        width: of the images, pixels.
        no: what says that an attribute is not there: -1, or 0.
    """
    faces = _save_images(root / "img_align_celeba" / "img_align_celeba", people, width)
    told = [
        ",".join([face.name, *(str(1 if so else no) for so in face.says.values())])
        for face in faces
    ]
    _write(root / "list_attr_celeba.csv", [",".join(["image_id", *ATTRIBUTES]), *told])
    splits = [f"{face.name},{split_of(face.person, people)}" for face in faces]
    _write(root / "list_eval_partition.csv", ["image_id,partition", *splits])
    return root


def write_wild(root: Path, *, people: int = 6, width: int = 36) -> Path:
    """Write photos in the wild with their boxes, the last of which is empty."""
    write_celeba(root, people=people, width=width)
    (root / "Img" / "img_align_celeba").rename(root / "Img" / "img_celeba")
    count = people * PHOTOS_EACH
    boxes = [
        f"{Celebrity(number).name}   4   6  {width - 8}  {width - 6}" for number in range(count)
    ]
    boxes[-1] = f"{Celebrity(count - 1).name}  0  0  0  0"
    _write(
        root / "Anno" / "list_bbox_celeba.txt",
        [str(count), "image_id x_1 y_1 width height", *boxes],
    )
    return root


def points_of(width: int) -> list[int]:
    """Return the landmarks of every face of that width, which are aligned."""
    return [round(width * share) for share in (0.4, 0.5, 0.6, 0.5, 0.5, 0.65, 0.4, 0.8, 0.6, 0.8)]


def _sign(so: bool) -> int:
    return 1 if so else -1


def _save_images(folder: Path, people: int, width: int) -> list[Celebrity]:
    folder.mkdir(parents=True)
    faces = [Celebrity(number) for number in range(people * PHOTOS_EACH)]
    for face in faces:
        face.draw(width).save(folder / face.name)
    return faces


def _write(file: Path, lines: Sequence[str]) -> None:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
