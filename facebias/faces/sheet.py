"""Generated faces on one page: over expressions and groups, or beside their twins."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from facebias.errors import DataError
from facebias.faces.arrays import UInt8
from facebias.faces.factors import EXPRESSIONS
from facebias.faces.population import GROUPS
from facebias.pictures import Cell, Row, write_rows

Picture = Callable[[str], UInt8]
"""Gives the image (H, W, 3) of a face by its id."""

_SPREAD_OVER = ("skin_tone", "age", "gender")
_NOTE = "Rendered, not photographed: no such person exists."


def contact_sheet(
    faces: pd.DataFrame, picture: Picture, path: Path, *, columns: int = 9, title: str = ""
) -> None:
    """Draw one PNG: a row for each expression, faces spread over skin tone, age and gender.

    Args:
        faces: as `facebias.faces.population.draw_faces` returns them; twins are left out.
        picture: gives the image of a face.
        path: the file to write; it appears whole or not at all.
        columns: faces in a row, at least 1; 18 show every combination of the three.
        title: the head line; the number of faces without it.

    Raises:
        DataError: no faces, or fewer than one column.
        RunError: if the file cannot be written.
    """
    if faces.empty or columns < 1:
        raise DataError(f"{len(faces)} faces in {columns} columns", "at least one of each")
    originals = _originals(faces)
    rows = [
        Row(name, [_cell(face, picture) for face in _spread(of_name, columns)])
        for name in EXPRESSIONS
        if not (of_name := originals[originals["expression"] == name]).empty
    ]
    write_rows(path, rows, title=title or f"{len(faces):,} generated faces", note=_NOTE)


def counterfactual_row(
    faces: pd.DataFrame, picture: Picture, path: Path, *, rows: int = 8, title: str = ""
) -> None:
    """Draw one PNG: a row for each original face, beside it its twins, a column a value.

    A face that already has a value stands for its own twin there.

    Args:
        faces: originals and twins, as `counterfactuals.with_counterfactuals` gives them.
        picture: gives the image of a face.
        path: the file to write; it appears whole or not at all.
        rows: the most originals.
        title: the head line; "Counterfactual twins" without it.

    Raises:
        DataError: if there are no twins whose original is there.
        RunError: if the file cannot be written.
    """
    twins = _twins(faces)
    if twins.empty or rows < 1:
        raise DataError(f"{len(twins)} twins in {rows} rows", "at least one of each")
    values = list(dict.fromkeys(_value(face) for _, face in twins.iterrows()))
    shown = _spread(_originals(faces)[lambda table: table["id"].isin(twins["pair"])], rows)
    drawn = [
        Row(str(face["expression"]), _pair_cells(face, values, twins, picture)) for face in shown
    ]
    note = f"{len(twins):,} twins of {twins['pair'].nunique():,} faces. {_NOTE}"
    columns = ["as drawn", *values]
    write_rows(path, drawn, columns=columns, title=title or "Counterfactual twins", note=note)


def _originals(faces: pd.DataFrame) -> pd.DataFrame:
    return faces if "pair" not in faces else faces[faces["pair"] == faces["id"]]


def _twins(faces: pd.DataFrame) -> pd.DataFrame:
    """Return the twins whose original is in the table."""
    if "pair" not in faces:
        return faces.iloc[:0].assign(pair="")
    return faces[(faces["pair"] != faces["id"]) & faces["pair"].isin(faces["id"])]


def _value(twin: pd.Series) -> str:
    """Return what was changed in a twin, such as "skin_ita=47"."""
    return f"{twin['pair_factor']}={twin['pair_value']}"


def _pair_cells(
    face: pd.Series, values: Sequence[str], twins: pd.DataFrame, picture: Picture
) -> list[Cell]:
    own = {
        _value(twin): str(twin["id"]) for _, twin in twins[twins["pair"] == face["id"]].iterrows()
    }
    names = [own.get(value, str(face["id"])) for value in values]
    return [_cell(face, picture), *(Cell(picture(name)) for name in names)]


def _cell(face: pd.Series, picture: Picture) -> Cell:
    caption = " ".join(str(face[attribute]) for attribute in ("skin_tone", "gender", "age"))
    return Cell(picture(str(face["id"])), caption)


def _spread(faces: pd.DataFrame, many: int) -> list[pd.Series]:
    """Choose faces that differ in skin tone, age and gender, and in person where that goes."""
    left = faces.reset_index(drop=True)
    chosen: list[pd.Series] = []
    for place in range(min(many, len(left))):
        fit = sum((left[name] == group).astype(float) for name, group in _wanted(place).items())
        shown = left["identity"].isin([face["identity"] for face in chosen])
        best = int((fit - 0.5 * shown).to_numpy().argmax())
        chosen.append(left.iloc[best])
        left = left.drop(index=best).reset_index(drop=True)
    return chosen


def _wanted(place: int) -> dict[str, str]:
    """Return the groups of a place; 9 in a row hold every skin tone of every age, 18 all."""
    tone, age = place % 3, place // 3 % 3
    numbers = (tone, age, place % 2)
    return {name: GROUPS[name][i] for name, i in zip(_SPREAD_OVER, numbers, strict=True)}
