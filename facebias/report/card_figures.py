"""Pictures of a data card."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from facebias.files import whole_file
from facebias.pictures import PAPER, Cell, Row, scaled, write_rows
from facebias.report.card_pixels import EDGES, LEVELS, PixelSummary
from facebias.report.figures import BLUE, GRAY, ORANGE, save_figure

GRID = 5
"""Faces along a side of a grid of samples."""

_GREEN = "#009e73"
_TILE, _GAP = 96, 3  # pixels
_QUALITY = 82  # of JPEG inside of a page
_SPLIT_COLOURS = {"train": BLUE, "validation": ORANGE, "test": _GREEN}
_CHANNELS = {"red": ORANGE, "green": _GREEN, "blue": BLUE}
_WIDTH = 8.0  # inches


def class_bars(counts: Mapping[str, Mapping[str, int]], path: Path) -> None:
    """Draw how many faces each class has in each split, beside each other.

    Args:
        counts: split: class: faces.
        path: PNG to write.
    """
    classes = list(next(iter(counts.values())))
    figure = Figure(figsize=(_WIDTH, 0.36 * len(classes) + 1.3), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(classes))
    for split, by_class in counts.items():
        values = np.array([by_class[name] for name in classes])
        axes.barh(range(len(classes)), values, left=left, color=_SPLIT_COLOURS[split], label=split)
        left += values
    for place, total in enumerate(left):
        axes.text(total, place, f" {int(total):,}", va="center", fontsize="small")
    axes.set_yticks(range(len(classes)), [plain(name) for name in classes])
    axes.set(xlabel="faces", xlim=(0, max(left.max(), 1) * 1.12), ylim=(len(classes) - 0.5, -0.5))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, fontsize="small", frameon=False)
    save_figure(figure, path)


def pixel_histograms(summary: PixelSummary, normalise: str, path: Path) -> None:
    """Draw how often each level occurs, as stored and as a network sees it.

    Args:
        summary: of the faces.
        normalise: channel, pixel or image, for the caption.
        path: PNG to write.
    """
    figure = Figure(figsize=(_WIDTH, 2.9), layout="constrained")
    before, after = figure.subplots(1, 2)
    colour = len(summary.before) == 3
    painted = _CHANNELS if colour else {"gray": GRAY}
    for channel, (name, paint) in enumerate(painted.items()):
        levels = summary.before[channel] / summary.before[channel].sum()
        before.fill_between(range(LEVELS), levels, color=paint, alpha=0.25)
        before.plot(range(LEVELS), levels, color=paint, linewidth=1, label=name)
        values = summary.after[channel] / summary.after[channel].sum()
        after.stairs(values, EDGES, color=paint, fill=True, alpha=0.25)
        after.stairs(values, EDGES, color=paint, label=name)
    before.set(title="stored", xlabel="level, 0 to 255", ylabel="share of pixels", xlim=(0, 255))
    after.set(title=f"normalised by {normalise}", xlabel="standard deviations from the mean")
    for axes in (before, after):
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    if colour:
        before.legend(fontsize="small", frameon=False)
    save_figure(figure, path)


def size_scatter(headers: pd.DataFrame, path: Path) -> None:
    """Draw width and height of images before they were resized; equal ones make a larger dot.

    Args:
        headers: with the columns `width` and `height`, pixels.
        path: PNG to write.
    """
    sizes = headers.groupby(["width", "height"]).size().reset_index(name="n")
    figure = Figure(figsize=(_WIDTH * 0.6, _WIDTH * 0.45), layout="constrained")
    axes = figure.subplots()
    area = 12 + 300 * np.sqrt(sizes["n"] / sizes["n"].max())
    axes.scatter(sizes["width"], sizes["height"], area, color=BLUE, alpha=0.5, linewidths=0)
    longest = 1.08 * sizes[["width", "height"]].to_numpy().max()
    axes.plot([0, longest], [0, longest], ":", color=GRAY, linewidth=1)
    axes.set(xlim=(0, longest), ylim=(0, longest), xlabel="width, pixels", ylabel="height, pixels")
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def sample_grid(faces: Sequence[npt.NDArray[np.uint8]]) -> Image.Image:
    """Return a grid of up to 5 x 5 faces on one picture.

    Args:
        faces: (H, W, C) each, 0..255; at least one.
    """
    tiles = [scaled(face, _TILE) for face in faces[: GRID * GRID]]
    wide, high = max(tile.width for tile in tiles), max(tile.height for tile in tiles)
    across, down = min(GRID, len(tiles)), -(-len(tiles) // GRID)
    size = (across * (wide + _GAP) - _GAP, down * (high + _GAP) - _GAP)
    page = Image.new("RGB", size, PAPER)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, GRID)
        page.paste(tile, (column * (wide + _GAP), row * (high + _GAP)))
    return page


def write_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    with whole_file(path) as temporary:
        picture.save(temporary, format="PNG")


def write_means(
    means: Mapping[tuple[str, str], npt.NDArray[np.uint8]],
    counts: Mapping[tuple[str, str], int],
    path: Path,
) -> None:
    """Write one page with the mean face of each class and of each group.

    Args:
        means: (attribute, group): mean face (H, W, C), 0..255.
        counts: (attribute, group): its faces.
        path: PNG to write.
    """
    rows: dict[str, list[Cell]] = {}
    for (attribute, group), face in means.items():
        caption = f"{group}, n = {counts[attribute, group]:,}"
        rows.setdefault(attribute, []).append(Cell(face, caption))
    pages = [Row(attribute, cells) for attribute, cells in rows.items()]
    write_rows(path, pages, title="Mean faces", note="of each class and of each group")


def face_tile(face: npt.NDArray[np.uint8]) -> Image.Image:
    """Return a face in colour, as large as those of a grid."""
    return scaled(face, _TILE)


def jpeg_url(picture: Image.Image) -> str:
    """Return a picture as a data URL of a JPEG, which is small for photos."""
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def plain(name: str) -> str:
    """Return a name that matplotlib prints as it is: a dollar would begin a formula."""
    return name.replace("$", r"\$")
