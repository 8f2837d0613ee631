"""What the pages of an audit and of a comparison are made of: sections with pictures and tables."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from facebias.files import whole_file
from facebias.report import audit_figures
from facebias.report.card_figures import jpeg_url

_LARGEST = 400_000  # bytes of a PNG on a page; a larger one is photos, of which a JPEG is small
_NARROWEST = 640  # pixels below which a saved picture cannot be read
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of a page.

    Attributes:
        name: of its files, without number and ending.
        alt: what it shows, for those who cannot see it.
        figure: to be written.
    """

    name: str
    alt: str
    figure: Figure


@dataclass(frozen=True)
class SavedPicture:
    """A picture of a page that lies in a file already.

    Attributes:
        alt: what it shows, for those who cannot see it.
        file: PNG, JPEG or SVG.
    """

    alt: str
    file: Path


@dataclass(frozen=True)
class PageTable:
    """A table of a page, its cells as text.

    Attributes:
        caption: what it shows.
        columns: headings.
        rows: of as many cells each.
        names: how many columns at the left are names; the others are numbers.
        left_out: rows that only the CSV file has.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 1
    left_out: int = 0


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: its heading.
        text: a paragraph; empty for none.
        pictures: shown.
        tables: shown.
        folded: tables that open on demand.
    """

    title: str
    text: str
    pictures: tuple[Picture | SavedPicture, ...]
    tables: tuple[PageTable, ...]
    folded: tuple[PageTable, ...] = ()


@dataclass(frozen=True)
class EmbeddedPicture:
    """A picture as a page holds it.

    Attributes:
        url: a data URL.
        narrowest: pixels below which it is scrolled, not shrunk.
    """

    url: str
    narrowest: int


def picture_name(kind: str, *about: str) -> str:
    """Return the name of a picture's files: letters, digits and dashes of what it is about."""
    words = [re.sub(r"[^a-z0-9]+", "-", each.lower()).strip("-")[:30] for each in about]
    return "_".join([kind, *words])


def save_pictures(
    parts: Sequence[Section], folder: Path
) -> dict[Picture | SavedPicture, EmbeddedPicture]:
    """Write the pictures of all sections, numbered, and return them as the page embeds them.

    Args:
        parts: of the page.
        folder: of the pictures; those of a run are copied to it.

    Raises:
        RunError: if a file cannot be written.
    """
    embedded: dict[Picture | SavedPicture, EmbeddedPicture] = {}
    pictures = [picture for part in parts for picture in part.pictures]
    for number, picture in enumerate(pictures):
        if isinstance(picture, SavedPicture):
            embedded[picture] = _embed_saved(picture.file)
            if picture.file.parent != folder:
                _copy(picture.file, folder / f"{number:02d}_{picture.file.name}")
            continue
        path = folder / f"{number:02d}_{picture.name}"
        audit_figures.save(picture.figure, path)
        narrowest = int(69 * picture.figure.get_figwidth())
        embedded[picture] = EmbeddedPicture(embed(path.with_name(f"{path.name}.svg")), narrowest)
    return embedded


def _copy(file: Path, path: Path) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(file.read_bytes())


def _embed_saved(file: Path) -> EmbeddedPicture:
    """Return a picture that lies in a file already; large photos become a JPEG."""
    if file.suffix == ".svg":
        return EmbeddedPicture(embed(file), _NARROWEST)
    with Image.open(file) as picture:
        narrowest = min(picture.width, _NARROWEST)
        if file.suffix == ".png" and file.stat().st_size > _LARGEST:
            return EmbeddedPicture(jpeg_url(picture.convert("RGB")), narrowest)
    return EmbeddedPicture(embed(file), narrowest)


def embed(picture: Path) -> str:
    """Return a PNG, JPEG or SVG as a data URL."""
    content = base64.b64encode(picture.read_bytes()).decode("ascii")
    return f"data:{_TYPES[picture.suffix]};base64,{content}"
