"""Groups of faces that a file of its own says, joined to the faces of any data set.

    image_id,gender,skin_tone
    000001.jpg,female,dark

AffectNet, for one, has no groups; what a model estimated of its faces joins it this way.
"""

import logging
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from facebias.data.readers.frames import read_frame, require_columns
from facebias.data.readers.side_tables import KEYS, NOTHING
from facebias.data.table import UNKNOWN, FaceTable
from facebias.errors import DataError

logger = logging.getLogger(__name__)

_NAME_IT = (
    "add it, or name yours with data.side_table.key=COLUMN and data.side_table.columns: "
    "{ATTRIBUTE: COLUMN}"
)


def join_side_table(
    table: FaceTable,
    file: Path,
    attributes: Mapping[str, Sequence[str]],
    *,
    key: str | None = None,
    columns: Mapping[str, str] | None = None,
    provenance: str = "not stated",
) -> FaceTable:
    """Add attributes that a file says to a table of faces.

    Args:
        table: faces.
        file: CSV or Parquet, a row a face.
        attributes: for each attribute its groups; no groups declares those that are found.
        key: column that names the face by its id, path, file name or file name without suffix,
            the first of these that names any; None: the first column that is named for it. A file
            name of several faces is refused, unless they are one identity.
        columns: name of the column of an attribute, where it differs.
        provenance: who said what the groups are.

    Returns:
        The faces with the attributes; a face without a row, or with nothing in it, is "unknown".

    Raises:
        DataError: for a missing file or column, an attribute that the faces have already, a face
            of whom two rows say different groups, a group that is not declared, a row that names
            the faces of several people, or rows that name none of the faces.
    """
    _refuse_known(table, attributes, file)
    frame = read_frame(file)
    key = key or next((name for name in KEYS if name in frame), KEYS[0])
    named = {name: (columns or {}).get(name, name) for name in attributes}
    require_columns(frame, file, [key, *named.values()], _NAME_IT)
    groups = pd.DataFrame({name: _known(frame[column]) for name, column in named.items()})
    groups.index = pd.Index(frame[key].astype(str), name=key)
    _refuse_contradictions(groups, file)
    joined = _joined(table, groups[~groups.index.duplicated()], file)
    declared = {
        name: tuple(known) or tuple(sorted(set(joined[name]) - {UNKNOWN}))
        for name, known in attributes.items()
    }
    return replace(
        table,
        rows=table.rows.assign(**{name: joined[name].to_numpy(object) for name in attributes}),
        attributes={**table.attributes, **declared},
        said_by={**table.said_by, **dict.fromkeys(attributes, provenance)},
    )


def _refuse_known(table: FaceTable, attributes: Mapping[str, Sequence[str]], file: Path) -> None:
    known = [name for name in attributes if name in table.rows]
    if known or not attributes:
        raise DataError(
            f"the faces have {', '.join(known)} already"
            if known
            else f"no attribute is asked of {file}",
            "attributes that the side table adds, such as {gender: [female, male]}",
            "name them in data.side_table.attributes, and their columns in data.side_table.columns",
        )


def _known(column: pd.Series) -> pd.Series:
    """Return groups as text; what says nothing is unknown."""
    text = column.astype(object).where(column.notna(), UNKNOWN).astype(str).str.strip()
    return text.where(~text.str.lower().isin(NOTHING), UNKNOWN).astype(object)


def _refuse_contradictions(groups: pd.DataFrame, file: Path) -> None:
    twice = groups[groups.index.duplicated(keep=False)]
    differs = twice.groupby(level=0).nunique().gt(1).any(axis=1)
    if differs.any():
        first = differs.idxmax()
        said = twice.loc[first].drop_duplicates().to_dict(orient="records")
        raise DataError(
            f"{file} says of {differs.sum()} faces two things, the first is {first}: {said}",
            "one row a face, or equal ones",
            "correct the rows",
        )


def _joined(table: FaceTable, groups: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Return the groups of each face, by the first of the face's names that the file knows."""
    sources = table.rows["source"]
    names = sources.map(posixpath.basename)
    stems = names.map(lambda name: posixpath.splitext(name)[0])
    for kind in (table.rows["id"], sources, names, stems):
        found = kind.isin(groups.index)
        if not found.any():
            continue
        _refuse_ambiguous(table.rows[found], kind[found], file)
        used = table.rows["left_out"] == ""
        count, faces = (found & used).sum(), used.sum()
        logger.log(
            logging.WARNING if count < faces else logging.INFO,
            "%s has rows of %s of %s faces; of the others it says nothing",
            *(file, f"{count:,}", f"{faces:,}"),
        )
        return groups.reindex(kind).fillna(UNKNOWN).reset_index(drop=True)
    raise DataError(
        f"no row of {file} names a face: it has {groups.index[0]!r}, the faces are "
        f"{table.rows['id'].iloc[0]!r} and so on",
        "the id, path or file name of the face",
        "name the column with data.side_table.key",
    )


def _refuse_ambiguous(faces: pd.DataFrame, names: pd.Series, file: Path) -> None:
    """Refuse a name that the faces of several people have."""
    several = faces["identity"].groupby(names).transform("nunique") > 1
    if several.any():
        name = names[several].iloc[0]
        first, second = faces.loc[several & (names == name), "source"].iloc[:2]
        raise DataError(
            f"{file} has a row {name!r}, and several faces have that name: {first}, {second}",
            "the path of the face below the data's root, or its id",
            "write the paths into the file",
        )
