"""A film for chromium's fake camera."""

import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

SIZE = (640, 480)
_HELD = 15  # frames of a photo: half a second at the 30 of chromium's fake camera


def write_film(path: Path, photos: Iterable[Image.Image]) -> Path:
    """Write photos one after the other as motion JPEG, each in the middle of a gray picture."""
    with path.open("wb") as film:
        for photo in photos:
            canvas = Image.new("RGB", SIZE, (110, 120, 130))
            side = min(SIZE)
            scale = side / max(photo.size)
            size = (round(photo.width * scale), round(photo.height * scale))
            shown = photo.convert("RGB").resize(size, Image.Resampling.LANCZOS)
            canvas.paste(shown, ((SIZE[0] - size[0]) // 2, (SIZE[1] - size[1]) // 2))
            frame = io.BytesIO()
            # 4:2:0: with any other chromium shows green, without an error.
            canvas.save(frame, format="JPEG", quality=90, subsampling=2)
            film.write(frame.getvalue() * _HELD)
    return path
