"""What image files say of themselves at their beginning: their size, and gray or colour."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from PIL import Image

from facebias.data.images import FORMATS
from facebias.data.pixel_rows import find_pixel_row

_GRAY = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"})


def read_headers(paths: Sequence[Path]) -> pd.DataFrame:
    """Read the size of images without decoding them.

    Args:
        paths: image files, or faces in a CSV file of pixels.

    Returns:
        A row for each image that has a readable header, in this order: `path`, `width`, `height`
        (pixels, as stored: before any turn that its tags ask for), `channels` (1 or 3).
    """
    rows = []
    # Pillow warns of damaged tags, and of more pixels than are decoded: no matter here.
    with warnings.catch_warnings(action="ignore"):
        for path in paths:
            row = find_pixel_row(path)
            size = (row.width, row.height, 1) if row else _header(path)
            if size is not None:
                rows.append((path, *size))
    return pd.DataFrame(rows, columns=["path", "width", "height", "channels"])


def _header(path: Path) -> tuple[int, int, int] | None:
    try:
        if not path.is_file():  # a pipe or a device would block
            return None
        with Image.open(path, formats=FORMATS) as image:
            return *image.size, 1 if image.mode in _GRAY else 3
    except Exception:  # Pillow's readers raise whatever a damaged byte leads them to
        return None
