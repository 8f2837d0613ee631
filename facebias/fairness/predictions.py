"""From a table of predictions to checked integer codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import DataError

Codes = npt.NDArray[np.int64]

UNKNOWN = "unknown"
"""The group of a row whose group nobody recorded; a missing value means the same."""


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """The rows of a predictions table that have a label.

    Attributes:
        table: these rows, N of them.
        labels: shape (N,), index of the true class.
        predicted: shape (N,), index of the predicted class.
        persons: shape (N,), index of the person; None where every row is its own person.
        scores: shape (N, C), the `p_<class>` columns; None where the table lacks them.
        unscored: rows left out for want of a label.
    """

    table: pd.DataFrame
    labels: Codes
    predicted: Codes
    persons: Codes | None
    scores: npt.NDArray[np.float64] | None
    unscored: int


@dataclass(frozen=True, eq=False)
class GroupCodes:
    """The group of each row, for one attribute or one intersection.

    Attributes:
        attribute: "gender", or "gender x age".
        groups: the declared groups in their order: "female", or "female, old".
        codes: shape (N,), index into `groups`; `len(groups)` for unknown.
    """

    attribute: str
    groups: tuple[str, ...]
    codes: Codes


def scored_rows(predictions: pd.DataFrame, classes: Sequence[str]) -> ScoredRows:
    """Check a predictions table and code its classes and persons.

    Args:
        predictions: one row a face, of one run and one split.
        classes: the declared classes.

    Raises:
        DataError: a missing column, an undeclared class, a row that counts twice, several splits,
            a row with a label but no prediction, or no row with a label.
    """
    _check_columns(predictions, ["label", "predicted"])
    _check_one_row_a_face(predictions)
    labelled = predictions["label"].notna()
    table = predictions[labelled].reset_index(drop=True)
    if table.empty:
        raise DataError(
            f"None of the {len(predictions)} rows has a label.", "at least one row to score"
        )
    return ScoredRows(
        table,
        _class_codes(table, "label", classes),
        _class_codes(table, "predicted", classes),
        _person_codes(table),
        _scores(table, classes),
        int((~labelled).sum()),
    )


def attribute_codes(table: pd.DataFrame, attribute: str, groups: Sequence[str]) -> GroupCodes:
    """Code the groups of one attribute by their declared place, so an absent group shifts nobody.

    Args:
        table: rows with a column named after the attribute.
        attribute: the attribute.
        groups: its declared groups; "unknown" need not be among them and is taken out.

    Raises:
        DataError: the column is missing, or has groups that were not declared.
    """
    _check_columns(table, [attribute])
    declared = tuple(group for group in groups if group != UNKNOWN)
    column = table[attribute]
    codes = _positions(column, declared)
    unknown = np.asarray(column.isna() | (column == UNKNOWN), dtype=bool)
    _check_declared(column[(codes < 0) & ~unknown], attribute, declared)
    return GroupCodes(attribute, declared, np.where(unknown, len(declared), codes))


def intersection_codes(parts: Sequence[GroupCodes]) -> GroupCodes:
    """Combine the codes of several attributes; unknown in one part is unknown in the whole.

    Every combination of declared groups is there, met in the data or not.

    >>> gender = GroupCodes("gender", ("f", "m"), np.array([0, 1, 2]))
    >>> age = GroupCodes("age", ("young", "old"), np.array([1, 1, 0]))
    >>> joint = intersection_codes([gender, age])
    >>> joint.attribute, joint.groups, joint.codes.tolist()
    ('gender x age', ('f, young', 'f, old', 'm, young', 'm, old'), [1, 3, 4])
    """
    groups = tuple(", ".join(names) for names in product(*(part.groups for part in parts)))
    codes = np.zeros(len(parts[0].codes), dtype=np.int64)
    unknown = np.zeros(len(codes), dtype=bool)
    for part in parts:
        codes = codes * len(part.groups) + part.codes
        unknown |= part.codes == len(part.groups)
    attribute = " x ".join(part.attribute for part in parts)
    return GroupCodes(attribute, groups, np.where(unknown, len(groups), codes))


def all_group_codes(
    table: pd.DataFrame,
    attributes: Mapping[str, Sequence[str]],
    intersections: Sequence[Sequence[str]],
) -> list[GroupCodes]:
    """Code the whole ("all"), then each attribute, then each intersection.

    Raises:
        DataError: see `attribute_codes`; or an intersection of undeclared or too few attributes,
            groups named twice, or an attribute named "all".
    """
    singles: dict[str, GroupCodes] = {}
    for attribute, groups in attributes.items():
        if attribute == "all" or len(set(groups)) < len(groups):
            raise DataError(
                f"Attribute {attribute!r} with groups {', '.join(map(str, groups))}.",
                "a name other than 'all', and each group once",
            )
        singles[attribute] = attribute_codes(table, attribute, groups)
    whole = GroupCodes("all", ("all",), np.zeros(len(table), dtype=np.int64))
    joint = [intersection_codes(_parts(singles, names)) for names in intersections]
    return [whole, *singles.values(), *joint]


def _parts(singles: Mapping[str, GroupCodes], names: Sequence[str]) -> list[GroupCodes]:
    """Return the codes of the attributes of one intersection."""
    if len(set(names)) < max(2, len(names)) or not set(names) <= set(singles):
        raise DataError(
            f"Intersection {' x '.join(names)}.",
            f"two or more different attributes out of {', '.join(singles) or 'none'}",
        )
    return [singles[name] for name in names]


def _check_columns(table: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise where the table lacks a column."""
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise DataError(
            f"The predictions have no column {', '.join(missing)}.",
            f"columns; these are there: {', '.join(map(str, table.columns))}",
        )


def _check_one_row_a_face(predictions: pd.DataFrame) -> None:
    """Raise where a face counts twice or splits are mixed."""
    if "id" in predictions.columns and predictions["id"].duplicated().any():
        twice = predictions.loc[predictions["id"].duplicated(), "id"].unique()
        raise DataError(
            f"{len(twice)} ids come more than once, such as {twice[0]}.",
            "one row a face",
            "Take the predictions of one run, made without a sampler that pads.",
        )
    if "split" in predictions.columns and predictions["split"].nunique() > 1:
        splits = ", ".join(sorted(map(str, predictions["split"].dropna().unique())))
        raise DataError(
            f"The predictions mix the splits {splits}.", "one split", "Keep the rows of one split."
        )


def _check_declared(values: Any, what: str, declared: Sequence[str]) -> None:  # noqa: ANN401
    """Raise where undeclared values are left; `values` is the Series of them."""
    if len(values):
        names = ", ".join(sorted({str(value) for value in values}))
        raise DataError(
            f"{len(values)} rows have an undeclared {what}: {names}.",
            f"one of {', '.join(map(str, declared))}",
            "Declare it, or mend these rows.",
        )


def _class_codes(table: pd.DataFrame, column: str, classes: Sequence[str]) -> Codes:
    """Return the index of the class in each row of a column."""
    codes = _positions(table[column], classes)
    _check_declared(table[column][codes < 0], f"{column} class", classes)
    return codes


def _positions(column: Any, declared: Sequence[str]) -> Codes:  # noqa: ANN401
    """Return the place of each value of a Series among the declared ones; -1 where it has none."""
    positions = pd.Index(tuple(declared), dtype=object).get_indexer(pd.Index(column, dtype=object))
    return np.asarray(positions, dtype=np.int64)


def _person_codes(table: pd.DataFrame) -> Codes | None:
    """Return the index of each row's person; None where no person has two rows.

    Persons are numbered in the order of their names, so that the order of rows changes nothing.
    A row without identity is a person of its own.
    """
    if "identity" not in table.columns or not table["identity"].dropna().duplicated().any():
        return None
    known = np.asarray(table["identity"].notna(), dtype=bool)
    named, names = pd.factorize(table.loc[known, "identity"], sort=True)
    codes = np.empty(len(table), dtype=np.int64)
    codes[known] = named
    order = table.loc[~known, "id"].rank(method="first") if "id" in table.columns else None
    alone = np.arange((~known).sum()) if order is None else np.asarray(order, dtype=np.int64) - 1
    codes[~known] = len(names) + alone
    return codes


def _scores(table: pd.DataFrame, classes: Sequence[str]) -> npt.NDArray[np.float64] | None:
    """Return the probabilities, shape (N, C); None where a column is missing."""
    columns = [f"p_{name}" for name in classes]
    if not set(columns) <= set(table.columns):
        return None
    return np.asarray(table[columns], dtype=np.float64)
