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
    """Hash each picture as it is, and together with its mirrored and upside-down forms.

    Args:
        read: returns the faces of row numbers, uint8 (B, H, W, C).
        count: number of faces.

    Returns:
        `exact` (count,): equal for equal pixels; `unoriented` (count,): equal for pictures that
        are equal after mirroring, turning upside down, or both.
    """
    exact, unoriented = np.empty(count, object), np.empty(count, object)
    for start in range(0, count, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, count))
        for row, face in zip(rows, read(rows), strict=True):
            forms = (face, face[:, ::-1], face[::-1], face[::-1, ::-1])
            hashes = [
                hashlib.blake2b(np.ascontiguousarray(form), digest_size=16).hexdigest()
                for form in forms
            ]
            exact[row], unoriented[row] = hashes[0], min(hashes)
    return exact, unoriented


def gate(
    table: FaceTable, exact: npt.NDArray[np.object_], unoriented: npt.NDArray[np.object_]
) -> FaceTable:
    """Make clusters of copies one identity, and leave out those that would leak.

    A flipped copy of another face is left out: it is no new face. Of a picture in two official
    splits, the copy in train is left out, then the one in validation, never the one in test.
    Copies within a split stay and share their identity, so that no split of ours parts them.

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
    kept = used["split"] == "test"
    rows.loc[used.index, "identity"] = _identity(used, first)
    rows.loc[used.index[flipped & ~kept], "left_out"] = "flipped copy of " + original
    rows.loc[used.index[leaked & ~flipped & ~kept], "left_out"] = "the same picture as " + original
    return table.with_rows(rows.drop(columns=["exact", "unoriented"]))


def _identity(used: pd.DataFrame, first: pd.DataFrame) -> pd.Series:
    """Give every face of a cluster of copies the identity of the cluster's first face."""
    return used["unoriented"].map(first["identity"])
