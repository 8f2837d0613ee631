"""What a picture is known by, kept beside its store: hashes of its pixels and a small blurred form.

Reading every picture is the dear part of the search for copies, so it is done once a store.
"""

import hashlib
import logging
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facebias.errors import RunError
from facebias.files import whole_file

logger = logging.getLogger(__name__)

Float32 = npt.NDArray[np.float32]
Read = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]]

VERSION = 1
"""Of what is computed here; a file of another version is made again."""

SIDE = 16
"""Pixels along a side of a thumbnail."""

TURNS = 8
"""Forms of a square picture: bit 2 exchanges its sides; then bit 1 turns upside down, 0 mirrors."""

_CHUNK = 1024  # faces read at a time, to keep memory flat
_BLUR = 0.8  # deviation of a thumbnail's Gaussian in its pixels; sharper ones change when shifted
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_DARK, _BRIGHT = 3, 252  # beyond these, a value may have been cut off


@dataclass(frozen=True)
class Fingerprints:
    """What the pictures of a store are known by, in the order of their rows.

    Attributes:
        exact: (N,) 32 hexadecimal digits, equal for equal pixels.
        unoriented: (N,) equal for pictures that are equal after mirroring, turning upside down,
            or both, and for square ones after a quarter turn too.
        turn: (N,) uint8, the form (0..7) of the picture that `unoriented` is the hash of.
        thumbnails: (N, 16, 16) uint8, gray, blurred so that a small shift changes it little.
        clipped: (N, 16, 16) uint8, the share of each place that may have been cut off, 0..255.
        deviation: (N,) float32, standard deviation of the pixels, 0..127.5.
    """

    exact: npt.NDArray[np.str_]
    unoriented: npt.NDArray[np.str_]
    turn: npt.NDArray[np.uint8]
    thumbnails: npt.NDArray[np.uint8]
    clipped: npt.NDArray[np.uint8]
    deviation: Float32


def fingerprints(read: Read, count: int, folder: Path | None = None) -> Fingerprints:
    """Return the fingerprints of a store, from its cache where there is one.

    Args:
        read: returns the faces of row numbers, uint8 (B, H, W, C).
        count: number of faces.
        folder: of the store, for a cache; a damaged one is made again, and one that cannot be
            written is done without.
    """
    file = None if folder is None else folder / f"fingerprints_v{VERSION}.npz"
    found = None if file is None else _cached(file, count)
    if found is not None:
        return found
    made = _fingerprints(read, count)
    if file is not None:
        _write(file, made)
    return made


def _cached(file: Path, count: int) -> Fingerprints | None:
    if not file.is_file():
        return None
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            found = Fingerprints(
                **{field.name: arrays[field.name] for field in fields(Fingerprints)}
            )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        logger.warning("%s cannot be read (%s) and is made again", file, error)
        return None
    empty = _empty(count)
    intact = all(
        getattr(found, field.name).shape == getattr(empty, field.name).shape
        and getattr(found, field.name).dtype == getattr(empty, field.name).dtype
        for field in fields(Fingerprints)
    )
    if not intact:
        logger.warning("%s is of another store and is made again", file)
    return found if intact else None


def _write(file: Path, made: Fingerprints) -> None:
    arrays = {field.name: getattr(made, field.name) for field in fields(Fingerprints)}
    try:
        with whole_file(file) as temporary:
            np.savez(temporary, allow_pickle=False, **arrays)
    except RunError as error:
        logger.warning("the fingerprints of the faces are not kept: %s", error.found)


def _empty(count: int) -> Fingerprints:
    small = (count, SIDE, SIDE)
    return Fingerprints(
        np.zeros(count, "U32"),
        np.zeros(count, "U32"),
        np.zeros(count, np.uint8),
        np.zeros(small, np.uint8),
        np.zeros(small, np.uint8),
        np.zeros(count, np.float32),
    )


def _fingerprints(read: Read, count: int) -> Fingerprints:
    made = _empty(count)
    for start in range(0, count, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, count))
        faces = read(rows)
        for row, face in zip(rows, faces, strict=True):
            made.exact[row], made.unoriented[row], made.turn[row] = _hashes(face)
        gray = gray_of(faces)
        down, across = (_blurring(side) for side in gray.shape[1:])
        made.thumbnails[rows] = np.rint(down @ gray @ across.T)
        cut = cut_off(faces).astype(np.float32)
        made.clipped[rows] = np.rint(255 * (down @ cut @ across.T))
        made.deviation[rows] = gray.std((1, 2))
    return made


def gray_of(faces: npt.NDArray[Any]) -> Float32:
    """Return the luma of faces (N, H, W, 1 or 3) as (N, H, W), 0..255."""
    if faces.shape[-1] == 1:
        return faces[..., 0].astype(np.float32)
    red, green, blue = (faces[..., channel] * _LUMA[channel] for channel in range(3))
    gray: Float32 = red + green + blue
    return gray


def cut_off(faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Say where a channel is so dark or bright that it may have been cut off (N, H, W)."""
    lost: npt.NDArray[np.bool_] = (faces.min(axis=-1) < _DARK) | (faces.max(axis=-1) > _BRIGHT)
    return lost


def _blurring(size: int) -> Float32:
    """Return the matrix (16, size) that blurs and samples one direction."""
    centres = (np.arange(SIDE) + 0.5) * size / SIDE - 0.5
    deviation = max(_BLUR * size / SIDE, 0.3)
    distances = (np.arange(size) - centres[:, None]) / deviation
    weights = np.exp(-0.5 * distances**2)
    matrix: Float32 = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return matrix


def turned(picture: npt.NDArray[np.generic], turn: int) -> npt.NDArray[np.generic]:
    """Return one of the forms of a picture (H, W, ...), as a view."""
    seen = np.swapaxes(picture, 0, 1) if turn & 4 else picture
    return seen[:: -1 if turn & 2 else 1, :: -1 if turn & 1 else 1]


def _hashes(face: npt.NDArray[np.uint8]) -> tuple[str, str, int]:
    """Return the hash of the pixels, that of their least form, and which form that is.

    Mostly the first line of pixels says which form is the least.
    """
    square = face.shape[0] == face.shape[1]
    forms = [turned(face, turn) for turn in range(TURNS if square else TURNS // 2)]
    lines = [form[0].tobytes() for form in forms]
    least = min(lines)
    ties = [turn for turn, line in enumerate(lines) if line == least]
    turn = ties[0] if len(ties) == 1 else min(ties, key=lambda tie: forms[tie].tobytes())
    # The same bytes in another shape are another picture.
    shape = str(forms[turn].shape).encode()
    return (
        _hash(str(face.shape).encode() + face.tobytes()),
        _hash(shape + forms[turn].tobytes()),
        turn,
    )


def _hash(pixels: bytes) -> str:
    return hashlib.blake2b(pixels, digest_size=16).hexdigest()
