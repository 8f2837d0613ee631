"""The largest face that is found in a photo: how it is cut out, and in which groups it is missed.

Both `facebias.crop` and the faces of a run with data.crop=detect are cut here.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import pandas as pd
from PIL import Image

from facebias.data.face_finder import NETWORK_FILE, FaceFinder
from facebias.data.images import BadImageError, DecodedFace, FaceFormat, cut_face
from facebias.data.table import UNKNOWN

MISSES, FOUND = "misses.csv", "found.csv"
NO_FACE, BAD = "no face found", "bad image"

Edges = tuple[float, float, float, float]


@cache
def finder_checksum() -> str:
    """Return the sha256 of the finder's network, which tells its faces from those of another."""
    return hashlib.sha256(NETWORK_FILE.read_bytes()).hexdigest()


@cache
def _finder() -> FaceFinder:
    return FaceFinder()


def cut_found_face(photo: Image.Image, face_format: FaceFormat) -> DecodedFace:
    """Find the largest face of a photo and cut it out.

    Args:
        photo: as `facebias.data.images.decode_image` returns it.
        face_format: size, channels and margin of the face.

    Raises:
        BadImageError: with the reason `NO_FACE` where there is none.
    """
    faces = _finder().find(photo)
    if not faces:
        raise BadImageError(NO_FACE)
    crop = crop_box(faces[0].box, photo.size, face_format)
    return cut_face(photo, replace(face_format, margin=0.0, finder=None), crop)


def crop_box(face: Sequence[float], size: tuple[int, int], face_format: FaceFormat) -> Edges:
    """Return the part of a photo that becomes the face, in pixels.

    The box of the face is grown by the margin, then around its middle to the shape of the result,
    never beyond the photo: it is shifted inside, and made smaller, its shape kept, where the photo
    is not large enough.

    Args:
        face: left, top, right, bottom of the found face.
        size: width and height of the photo.
        face_format: width, height and margin.

    Example:
        >>> crop_box((10, 10, 30, 30), (100, 100), FaceFormat(40, 20, 1))
        (10.0, 0.0, 30.0, 40.0)
        >>> crop_box((10, 40, 30, 60), (100, 100), FaceFormat(20, 20, 1, margin=0.5))
        (0.0, 30.0, 40.0, 70.0)
    """
    left, top, right, bottom = face
    grown = 1 + 2 * face_format.margin
    shape = face_format.width / face_format.height
    wide = max((right - left) * grown, (bottom - top) * grown * shape)
    wide = min(wide, size[0], size[1] * shape)
    high = min(wide / shape, size[1])
    start = min(max((left + right - wide) / 2, 0.0), size[0] - wide)
    above = min(max((top + bottom - high) / 2, 0.0), size[1] - high)
    return start, above, start + wide, above + high


def count_found(rows: pd.DataFrame, attributes: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Count photos and faces found, of all, by class, by split and by group.

    Args:
        rows: a row a photo: label, split, the attributes, and reason, "" where a face was found.
        attributes: for each attribute its groups.

    Returns:
        As `facebias.data.crops.Crops.shares`.
    """
    # Lines of CSV files that name no photo are no photos.
    photos = rows[~rows["reason"].str.startswith("no image")]
    kind = pd.DataFrame(
        {
            "bad": photos["reason"].str.startswith(BAD),
            "missed": photos["reason"] == NO_FACE,
            "found": photos["reason"] == "",
        }
    )
    parts = [("all", pd.Series("all", photos.index), ["all"])]
    for name in ("label", "split"):
        parts.append((name, photos[name], sorted(set(photos[name].dropna()))))
    for name, groups in attributes.items():
        parts.append((name, photos[name], [*groups, UNKNOWN]))
    counts = [_counted(kind, *part) for part in parts]
    return pd.concat(counts, ignore_index=True)


def _counted(kind: pd.DataFrame, by: str, groups: pd.Series, names: list[str]) -> pd.DataFrame:
    counts = kind.groupby(groups).sum().reindex(names, fill_value=0).astype(int)
    counts.insert(0, "photos", kind.groupby(groups).size().reindex(names, fill_value=0))
    counts["share"] = counts["found"] / (counts["photos"] - counts["bad"])
    counts = counts[(counts.index != UNKNOWN) | (counts["photos"] > 0)]
    return counts.rename_axis("group").reset_index().assign(by=by)[["by", "group", *counts]]


@contextmanager
def one_thread_in_opencv() -> Iterator[None]:
    """Keep OpenCV to the threads that call it: so many photos at once are enough."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
