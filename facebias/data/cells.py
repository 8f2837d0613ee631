"""Cells: how many faces of each label each group has, for one attribute or several jointly."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.table import UNKNOWN, FaceTable

EVERYONE = "all"  # the one group where no attribute is asked for
JOINT = ", "  # between the groups of several attributes: "female, old"


def joint_groups(rows: pd.DataFrame, attributes: Sequence[str]) -> pd.Series:
    """Return the joint group of each row; unknown where one of its groups is.

    Args:
        rows: of a face table.
        attributes: its columns; none: all faces are one group.
    """
    if not attributes:
        return pd.Series(EVERYONE, index=rows.index)
    groups = rows[attributes[0]].astype(object)
    for attribute in attributes[1:]:
        known = (groups != UNKNOWN) & (rows[attribute] != UNKNOWN)
        groups = (groups + JOINT + rows[attribute].astype(object)).where(known, UNKNOWN)
    return groups


def group_names(table: FaceTable, attributes: Sequence[str]) -> list[str]:
    """Return every joint group that was declared, met in the rows or not, and unknown."""
    if not attributes:
        return [EVERYONE]
    declared = product(*(table.attributes[name] for name in attributes))
    return [*(JOINT.join(names) for names in declared), UNKNOWN]


def count_cells(table: FaceTable, rows: pd.DataFrame, attributes: Sequence[str]) -> pd.DataFrame:
    """Count rows by label and joint group.

    Args:
        table: declares the classes and groups, so that an absent one is a zero and not a gap.
        rows: some of its rows.
        attributes: none, one or several.

    Returns:
        Counts, labels down and groups across.
    """
    groups = joint_groups(rows, attributes)
    counts = rows.groupby([rows["label"], groups]).size().unstack(fill_value=0)
    names = group_names(table, attributes)
    return counts.reindex(index=list(table.classes), columns=names, fill_value=0)


def cramers_v(counts: npt.ArrayLike) -> float:
    """Return Cramer's V = sqrt(chi2 / n / min(r - 1, c - 1)), without Yates' correction.

    Rows and columns without faces do not count. A construction needs the plain formula: its V is
    in proportion to the distance from independence. Yates' correction for two by two cells is a
    matter of reports on samples (Cramer 1946, Mathematical Methods of Statistics, section 21.9).

    Args:
        counts: (labels, groups), 0 or more.

    Returns:
        0 (independent) to 1; NaN with fewer than two labels or two groups.
    """
    cells = np.asarray(counts, dtype=np.float64)
    cells = cells[cells.sum(axis=1) > 0][:, cells.sum(axis=0) > 0]
    least = min(cells.shape) - 1
    if least < 1:
        return float("nan")
    total = cells.sum()
    expected = np.outer(cells.sum(axis=1), cells.sum(axis=0)) / total
    chi_squared = (np.square(cells - expected) / expected).sum()
    return float(np.sqrt(chi_squared / total / least))
