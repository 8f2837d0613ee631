"""The leak gate: the same picture in two splits, and flipped copies that pass for new faces.

Pictures are compared by their decoded pixels, so a renamed or re-compressed lossless file is
found; a re-encoded lossy one is not.
"""

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.table import FaceTable

_CHUNK = 1024  # faces hashed at a time, to keep memory flat
_RANK = {"test": 0, "validation": 1, "train": 2}


def orientation_hashes(
    read: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]], count: int
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """Hash each picture as it is, and together with its mirrored and turned forms.

    Args:
        read: returns the faces of row numbers, uint8 (B, H, W, C).
        count: number of faces.

    Returns:
        `exact` (count,): equal for equal pixels; `unoriented` (count,): equal for pictures that
        are equal after mirroring, turning upside down, or both, and for square ones after a
        quarter turn too.
    """
    exact, unoriented = np.empty(count, object), np.empty(count, object)
    for start in range(0, count, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, count))
        for row, face in zip(rows, read(rows), strict=True):
            forms = [form.tobytes() for form in _orientations(face)]
            exact[row], unoriented[row] = _hash(forms[0]), _hash(min(forms))
    return exact, unoriented


def _orientations(face: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """Return a picture, its mirrored and turned forms, in the shape that it has."""
    turns = [face, face.transpose(1, 0, 2)] if face.shape[0] == face.shape[1] else [face]
    return [turn[::down, ::right] for turn in turns for down in (1, -1) for right in (1, -1)]


def _hash(pixels: bytes) -> str:
    return hashlib.blake2b(pixels, digest_size=16).hexdigest()


def gate(
    table: FaceTable, exact: npt.NDArray[np.object_], unoriented: npt.NDArray[np.object_]
) -> FaceTable:
    """Make clusters of copies one identity, and leave out those that would leak.

    Persons who share a picture become one person, with all of their pictures. A flipped copy of
    another face is left out: it is no new face. Of a picture in two official splits, the copy in
    train is left out, then the one in validation, never the one in test. Copies within a split
    stay and share their identity, so that no split of ours parts them.

    Args:
        table: faces with their official splits, where there are any.
        exact: hash of each row's pixels.
        unoriented: the same, equal for mirrored and upside-down copies too.

    Returns:
        The table with `identity` and `left_out` filled in, in the same order of rows.
    """
    rows = table.rows.assign(exact=exact, unoriented=unoriented)
    used = rows[rows["left_out"] == ""]
    rank = used["split"].map(_RANK).fillna(len(_RANK)).astype(int)
    # The face that a cluster is known by: in test before validation before train, and the
    # shorter name first, since copies are named after their originals.
    order = used.assign(rank=rank, length=used["id"].str.len()).sort_values(
        ["rank", "length", "id"], kind="stable"
    )
    first = order.drop_duplicates("unoriented").set_index("unoriented")
    original = used["unoriented"].map(first["id"])
    flipped = used["exact"] != used["unoriented"].map(first["exact"])
    leaked = rank > used["unoriented"].map(first["rank"])
    left_out = pd.Series("", index=used.index, dtype=object)
    left_out = left_out.mask(leaked, "the same picture as " + original)
    left_out = left_out.mask(flipped, "flipped copy of " + original)
    left_out = left_out.mask(used["split"] == "test", "")
    rows = rows.assign(
        left_out=left_out.reindex(rows.index).fillna(rows["left_out"]),
        identity=_persons(order).reindex(rows.index).fillna(rows["identity"]),
    )
    return table.with_rows(rows.drop(columns=["exact", "unoriented"]))


def _persons(order: pd.DataFrame) -> pd.Series:
    """Give all faces that are joined by pictures or persons the identity of the first of them."""
    persons, names = pd.factorize(order["identity"])
    numbers = pd.Series(persons, index=order.index)
    while True:
        joined = numbers.groupby(order["unoriented"]).transform("min")
        joined = joined.groupby(persons).transform("min")
        if joined.equals(numbers):
            return pd.Series(names.to_numpy(object)[numbers], index=order.index)
        numbers = joined
