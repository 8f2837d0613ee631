"""A page of pictures and words, as PNG and as SVG."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from facebias.cam.explain import resize_maps
from facebias.cam.overlay import overlay
from facebias.files import whole_file
from facebias.pictures import INK, PAPER, fit, font, scaled

UInt8 = npt.NDArray[np.uint8]

SIDE = 120
"""Pixels along the longer side of a face on a page."""

_DOTS = 100  # page pixels an inch
_SHARPNESS = 160  # dots an inch of the PNG
_PACKED = 4  # of 9: in half of the time of the usual 6, and a tenth larger
_FINER = 2  # a face is drawn with so many times the pixels that it takes


class Page:
    """Pictures, bars and words at places in pixels, from the top left.

    Args:
        width: pixels.
        height: pixels.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self.figure = Figure(figsize=(width / _DOTS, height / _DOTS), facecolor=PAPER)
        self._axes = self.figure.add_axes((0, 0, 1, 1))
        self._axes.set(xlim=(0, width), ylim=(height, 0))
        self._axes.set_axis_off()
        self._axes.autoscale(enable=False)

    def picture(self, left: float, top: float, image: UInt8, width: float, height: float) -> None:
        """Lay an image (h, w, 3) into a box."""
        box = (left, left + width, top + height, top)
        self._axes.imshow(image, extent=box, aspect="auto", interpolation="none")

    def bar(self, left: float, top: float, width: float, height: float, colour: str) -> None:
        """Draw a filled box."""
        self._axes.add_patch(Rectangle((left, top), width, height, color=colour, linewidth=0))

    def words(
        self,
        left: float,
        top: float,
        text: str,
        *,
        size: int = 12,
        room: float | None = None,
        bold: bool = False,
        middle: bool = False,
        colour: str = INK,
    ) -> None:
        """Write a line; what is too long for the room is cut.

        Args:
            left: of the line, or its middle.
            top: of the line.
            text: what to write.
            size: pixels.
            room: pixels; None: to the edge of the page.
            bold: in bold letters.
            middle: `left` is the middle of the line.
            colour: of the letters.
        """
        there = self.width - left if room is None else room
        self._axes.text(
            left,
            top,
            fit(text, font(size, bold=bold), there).replace("$", r"\$"),
            fontsize=size * 72 / _DOTS,
            fontweight="bold" if bold else "normal",
            ha="center" if middle else "left",
            va="top",
            color=colour,
        )

    def save(self, path: Path) -> list[Path]:
        """Write the page, as `save_both` does."""
        return save_both(self.figure, path)


def save_both(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG and as SVG, each whole or not at all; the same figure, the same bytes.

    Args:
        figure: to be written.
        path: of the files, without a suffix.

    Returns:
        Both files.
    """
    png, svg = (path.with_suffix(suffix) for suffix in (".png", ".svg"))
    with rc_context({"svg.hashsalt": "facebias"}):
        with whole_file(png) as temporary:
            figure.savefig(temporary, dpi=_SHARPNESS, pil_kwargs={"compress_level": _PACKED})
        figure.set_layout_engine("none")  # what was laid out stays where it is
        with whole_file(svg) as temporary:
            figure.savefig(temporary, dpi=_SHARPNESS, metadata={"Date": None})
    return [png, svg]


def enlarged(faces: UInt8, side: int = SIDE) -> UInt8:
    """Return faces (N, H, W, C) in colour and large enough for the page, (N, H', W', 3)."""
    wanted = max(_FINER * side, *faces.shape[1:3])
    return np.stack([np.asarray(scaled(face, wanted)) for face in faces])


def painted(faces: UInt8, maps: npt.NDArray[np.floating], side: int = SIDE) -> UInt8:
    """Return faces coloured by their maps (N, h, w), in the pixels that the page takes."""
    large = enlarged(faces, side)
    return overlay(large, resize_maps(np.asarray(maps, np.float32), large.shape[1:3]))


def box_of(faces: UInt8, side: int = SIDE) -> tuple[float, float]:
    """Return width and height of faces (N, H, W, C) on a page."""
    height, width = faces.shape[1:3]
    return side * width / max(height, width), side * height / max(height, width)


def columns_at(names: Sequence[object], left: float, step: float) -> list[float]:
    """Return the left edge of each column."""
    return [left + number * step for number in range(len(names))]
