"""Photos with rendered faces in known places, and what is known of them."""

from collections.abc import Iterable
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from facebias.faces.factors import FaceFactors
from facebias.faces.landmarks import landmark_names
from facebias.faces.render import RenderedFace, render_face

SIZE = 256  # pixels of a rendered face's picture
Place = tuple[int, int, int]  # left, top and side of the picture of a face, pixels


@cache
def rendered(person: int = 0) -> RenderedFace:
    """Return one of two faces."""
    factors = (
        FaceFactors(expression={"happy": 1.0}, skin_ita=40, gender=0.1),
        FaceFactors(expression={"anger": 0.7}, skin_ita=-35, gender=0.9, age=50),
    )
    return render_face(factors[person], SIZE)


def photo(
    places: Iterable[Place] = ((120, 60, SIZE),), size: tuple[int, int] = (480, 360)
) -> Image.Image:
    """Return a photo, RGB, with a face at each place; the second person's where there are two."""
    canvas = Image.new("RGB", size, (92, 118, 140))
    for person, (left, top, side) in enumerate(places):
        picture = Image.fromarray(rendered(person).image)
        canvas.paste(picture.resize((side, side), Image.Resampling.LANCZOS), (left, top))
    return canvas


def landmark(name: str, place: Place = (120, 60, SIZE), person: int = 0) -> npt.NDArray[np.float64]:
    """Return x and y of a landmark of a pasted face, pixels of the photo."""
    left, top, side = place
    point = rendered(person).landmarks[landmark_names().index(name)]
    return np.array([left + point[0] * side / SIZE, top + point[1] * side / SIZE])
