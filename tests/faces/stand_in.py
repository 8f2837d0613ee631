"""A stand-in for the renderer: colours and shapes that follow from the factors, at once."""

import numpy as np

from facebias.faces.factors import FaceFactors
from facebias.faces.landmarks import landmark_names
from facebias.faces.regions import PARTS
from facebias.faces.render import RenderedFace


def draw(factors: FaceFactors, size: int = 64, supersampling: int = 2) -> RenderedFace:
    """Return a picture that differs wherever the factors do."""
    random = np.random.default_rng(list(repr(factors).encode()))
    image = random.integers(0, 256, (size, size, 3), np.uint8)
    regions = random.integers(0, len(PARTS), (size, size), np.uint8)
    landmarks = random.uniform(0, size, (len(landmark_names()), 2)).astype(np.float32)
    return RenderedFace(image, regions, landmarks, factors)
