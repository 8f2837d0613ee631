"""Published tables that contradict themselves: margins that cannot follow from their cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import DataError

FloatArray = npt.NDArray[np.float64]

_COLUMNS = [
    *("published", "implied", "difference", "within"),
    *("implied_low", "implied_high", "possible"),
]


def check_margins(
    cells: pd.DataFrame,
    margins: pd.DataFrame,
    *,
    tolerance: float,
    decimals: int = 1,
) -> pd.DataFrame:
    """Compare published margins with those that follow from the published cells.

    The value of a margin is the mean of its cells, weighted by their shares of the rows. A cell
    that was changed, mistyped or taken from elsewhere shows in the margins that hold it. Published
    numbers are rounded, so a difference alone proves nothing: beside it stands whether any numbers
    that round to the published cells and shares give a number that rounds to the margin. Where
    none do, the cells and the margin are not of the same rows and the same metric.

    Args:
        cells: one row a cell: a column for each attribute, `share` (of all rows, or a number of
            rows; any unit) and `value` (at least 0, such as an error in percent).
        margins: one row a margin: the same attributes, missing where the margin runs over all of
            its groups, and `value`.
        tolerance: the largest difference that is `within`, in the unit of `value`.
        decimals: to which values and shares were rounded in print.

    Returns:
        One row a margin: the attributes, published, implied (by the cells as printed), difference
        (published minus implied), within (the tolerance), implied_low and implied_high (over all
        cells that round to the printed ones), possible (whether the printed margin is a rounding of
        a number in between).

    Raises:
        DataError: a missing column, a value or share that is missing or below 0, a cell that comes
            twice, or a margin without cells.

    >>> cells = pd.DataFrame({"sex": ["f", "m"], "share": [50.0, 50.0], "value": [6.0, 1.0]})
    >>> margins = pd.DataFrame({"sex": [None], "value": [9.2]})
    >>> check_margins(cells, margins, tolerance=0.35)[["implied", "possible"]].values.tolist()
    [[3.5, False]]
    """
    attributes = _attributes(cells, margins)
    half = 0.5 * 10.0**-decimals
    slack = half + 1e-9  # halves in decimal are not exact in binary
    rows = []
    for margin in margins.to_dict(orient="records"):
        chosen = _cells_of({name: margin[name] for name in attributes}, cells)
        shares, values = (np.asarray(chosen[name], np.float64) for name in ("share", "value"))
        implied = float(values @ shares / shares.sum())
        low, high = _range(values, shares, half)
        difference = float(margin["value"]) - implied
        rows.append(
            {name: margin[name] for name in attributes}
            | {"published": margin["value"], "implied": implied, "difference": difference}
            | {"within": abs(difference) <= tolerance, "implied_low": low, "implied_high": high}
            | {"possible": low - slack <= margin["value"] <= high + slack}
        )
    return pd.DataFrame(rows, columns=[*attributes, *_COLUMNS])


def _attributes(cells: pd.DataFrame, margins: pd.DataFrame) -> list[str]:
    """Return the attributes that cells and margins share, after checking both tables."""
    attributes = [str(name) for name in cells.columns if name not in ("share", "value")]
    for name, table, numbers in (
        ("cells", cells, ["share", "value"]),
        ("margins", margins, ["value"]),
    ):
        missing = {*attributes, *numbers} - set(table.columns)
        if missing or not attributes:
            raise DataError(
                f"The {name} have the columns {', '.join(map(str, table.columns))}.",
                f"a column for each attribute, and {' and '.join(numbers)}",
            )
        if table.empty or not (table[numbers] >= 0).all(axis=None):
            raise DataError(f"The {name} have a number below 0, or none.", "numbers from 0")
    if cells[attributes].isna().any(axis=None) or cells.duplicated(attributes).any():
        raise DataError("A cell comes twice, or lacks a group.", "each combination of groups once")
    return attributes


def _cells_of(margin: dict[str, Any], cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that a margin runs over."""
    chosen = cells
    for name, group in margin.items():
        if not pd.isna(group):
            chosen = chosen[chosen[name] == group]
    if not chosen["share"].sum() > 0:
        raise DataError(
            f"The margin {margin} has no cells, or only cells without rows.",
            "groups that the cells have",
        )
    return chosen


def _range(values: FloatArray, shares: FloatArray, half: float) -> tuple[float, float]:
    """Return the smallest and the largest mean over all numbers that round to these.

    The mean grows with each value. In the shares it is extreme where all cells below some value
    have their largest share and the others their smallest, or the other way round.
    """
    least, most = np.maximum(shares - half, 0), shares + half
    low = _extreme_means(np.maximum(values - half, 0), heavy=most, light=least)
    high = _extreme_means(values + half, heavy=least, light=most)
    return float(low.min()), float(high.max())


def _extreme_means(values: FloatArray, heavy: FloatArray, light: FloatArray) -> FloatArray:
    """Return the means with the k smallest values weighted by `heavy`, for each k from 1."""
    order = np.argsort(values)
    first = np.tri(len(values), dtype=bool)
    weights = np.where(first, heavy[order], light[order])
    weights = weights[weights.sum(axis=1) > 0]
    return np.asarray(weights @ values[order] / weights.sum(axis=1))
