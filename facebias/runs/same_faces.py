"""Whether a training that goes on has the faces that it was begun with."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from facebias.data.bag import DRAWS
from facebias.data.prepare import NORMALISATION_FILE, SPLIT_FILE, PreparedFaces
from facebias.data.remedy import WEIGHT
from facebias.data.table import BOX
from facebias.errors import RunError

# Beside the attributes: what decides which pixels are learned, as what, how often and how strongly.
_DECIDE = ("source", "label", "split", *BOX, WEIGHT, DRAWS)


def refuse_other_faces(folder: Path, faces: PreparedFaces) -> None:
    """Hold prepared faces against those that a run was begun with, before they are written over.

    Faces that changed places between the splits would be scored after they were learned. Faces
    that are left out do not count. Of the pixels, those of the train split before the bias are
    compared, by their statistics.

    Args:
        folder: of the run; it has a checkpoint.
        faces: as they were prepared now.

    Raises:
        RunError: if faces are new, gone or differ, or the record of the first start is broken.
    """
    if not (folder / SPLIT_FILE).is_file():
        return
    try:
        rows = pd.read_parquet(folder / SPLIT_FILE)
        before = rows[rows["left_out"] == ""].set_index("id")
        pixels = json.loads((folder / NORMALISATION_FILE).read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise RunError(
            f"the faces that the run in {folder} was begun with cannot be read: {error}",
            f"{SPLIT_FILE} and {NORMALISATION_FILE} as its first start wrote them",
            "bring them back from a copy, or begin anew in another folder with paths.run=FOLDER",
        ) from error
    now = faces.table.used().set_index("id")
    changes = list(_changes(before, now, (*_DECIDE, *faces.table.attributes)))
    if not changes and pixels != faces.statistics.digest():
        changes = ["the images of train faces have other pixels"]
    if changes:
        raise RunError(
            f"the data has changed since the run in {folder} began: {'; '.join(changes)}",
            f"the {len(before):,} faces that its first start used; its {SPLIT_FILE} lists them",
            "put the data back, or begin anew in another folder with paths.run=FOLDER",
        )


def _changes(before: pd.DataFrame, now: pd.DataFrame, columns: tuple[str, ...]) -> Iterator[str]:
    """Say how many faces are new, gone or differ, and name the first of each."""
    both = now.index.intersection(before.index)
    old, new = (_comparable(rows.loc[both], columns) for rows in (before, now))
    differ = (old != new) & ~(old.isna() & new.isna())
    where = ", ".join(differ.columns[differ.any()])
    found = {
        "new": now.index.difference(before.index),
        "gone": before.index.difference(now.index),
        f"with another {where}": both[differ.any(axis=1)],
    }
    for how, ids in found.items():
        if len(ids):
            yield f"{len(ids):,} {'face' if len(ids) == 1 else 'faces'} {how} (such as {ids[0]})"


def _comparable(rows: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return columns as plain objects, None where nothing is: the types are those of the file."""
    plain = rows.reindex(columns=list(columns)).astype(object)
    return plain.where(plain.notna(), None)
