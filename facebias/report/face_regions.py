"""Which regions the maps of a data set's faces are held against, and from what they are known."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facebias.cam.landmarks import landmark_regions
from facebias.cam.regions import RegionMasks, Source, regions_of_codes
from facebias.cam.template import CROP_EYES, template_regions
from facebias.data.follow import follow_codes, follow_points
from facebias.data.table import LANDMARKS
from facebias.errors import DataError

logger = logging.getLogger(__name__)

_MASKS = ("regions", "regions_top")  # where the table of generated faces says them


def region_source(rows: pd.DataFrame) -> Source:
    """Say from what the regions of faces are known: masks, else landmarks, else a template.

    Decide once, on all faces that are explained, so that every batch is measured alike. If some
    faces have no landmarks, it is said how many: they have no regions.

    Args:
        rows: of a `FaceTable`.
    """
    if set(_MASKS) <= set(rows):
        return "masks"
    known = int(rows[LANDMARKS].notna().sum()) if LANDMARKS in rows else 0
    if known == 0:
        return "template"
    if known < len(rows):
        logger.warning(
            "%s of %s faces have no landmarks: they have no regions",
            *(f"{len(rows) - known:,}", f"{len(rows):,}"),
        )
    return "landmarks"


def regions_of_faces(
    root: Path,
    rows: pd.DataFrame,
    crops: NDArray[np.floating],
    size: tuple[int, int],
    source: Source,
    eyes: Sequence[Sequence[float]] = CROP_EYES,
) -> RegionMasks:
    """Return the regions of a batch of stored faces.

    Args:
        root: of the faces' table.
        rows: of these faces.
        crops: (N, 4), what was cut out of each image: those rows of `FaceStore.crops`.
        size: H, W of the stored faces.
        source: as `region_source` says.
        eyes: for a template, x and y of both eyes in every face, as shares of width and height.

    Returns:
        Masks of these faces, or one for all from a template.

    Raises:
        DataError: for faces that do not have what `source` names, or landmarks of no known layout.
    """
    needed = {"masks": _MASKS, "landmarks": (LANDMARKS,), "template": ()}[source]
    missing = [name for name in needed if name not in rows]
    if missing:
        raise DataError(f"The faces have no {', '.join(missing)}.", f"what {source} are read from")
    if source == "masks":
        from facebias.faces.regions import ZONES, zones
        from facebias.faces.writer import read_regions

        codes = follow_codes(zones(read_regions(root, rows)), crops, size)
        return regions_of_codes(codes, ZONES)
    if source == "landmarks":
        return landmark_regions(follow_points(rows[LANDMARKS], crops, size), size)
    return template_regions(size, eyes)
