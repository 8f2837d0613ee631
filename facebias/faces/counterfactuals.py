"""Twins of faces that differ from them in one factor."""

import dataclasses
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from numbers import Real
from typing import Any

import pandas as pd

from facebias.errors import DataError
from facebias.faces.factors import EXPRESSIONS, FaceFactors
from facebias.faces.population import FACTOR, factors_of, record_of

PAIR = ("pair", "pair_factor", "pair_value")
"""The columns of twins: the original's id, the factor that was changed, and to which value."""

_FIELDS = {each.name: each for each in dataclasses.fields(FaceFactors)}
# Another identity is another person, and no twin.
FACTORS = (
    "expression",
    *(name for name, each in _FIELDS.items() if each.metadata and name != "identity"),
)
"""The factors that twins may differ in: the expression, and every number and choice."""


def counterfactuals(faces: pd.DataFrame, factor: str, values: Sequence[Any]) -> pd.DataFrame:
    """Return the twins of faces at other values of one factor, everything else the same.

    Single actions of a face stay with its twin, so one with another expression or intensity keeps
    what the original added to its own.

    Args:
        faces: as `facebias.faces.population.draw_faces` returns them.
        factor: one of FACTORS.
        values: numbers in the factor's range, or names; a face gets no twin at its own value.

    Returns:
        One row a twin, with the columns of `faces` and PAIR, the value as text; `id` is
        `<pair>_<factor>=<value>`. The identity is the original's, labels and groups are anew.

    Raises:
        DataError: for another factor, no values, or values that the factor cannot have.

    >>> from facebias.faces.population import draw_faces
    >>> counterfactuals(draw_faces(1, seed=0), "skin_ita", [-50.0])["id"].tolist()
    ['000000_skin_ita=-50']
    """
    _refuse_other(factor)
    if not values:
        raise DataError(f"there are no values of {factor}", "at least one")
    different = list(dict.fromkeys(_checked(factor, value) for value in values))
    records = faces.to_dict("records")
    twins = [twin for row in records for twin in _twins(row, factor, different)]
    return pd.DataFrame(twins, columns=[*faces.columns.drop(list(PAIR), errors="ignore"), *PAIR])


def with_counterfactuals(faces: pd.DataFrame, factor: str, values: Sequence[Any]) -> pd.DataFrame:
    """Return faces followed by their twins, in one table.

    An original is its own `pair`, and its `pair_value` is the one that it has.

    Args:
        faces: as `facebias.faces.population.draw_faces` returns them.
        factor: as for `counterfactuals`.
        values: as for `counterfactuals`.

    Raises:
        DataError: as `counterfactuals` does.
    """
    twins = counterfactuals(faces, factor, values)
    column = "expression" if factor == "expression" else FACTOR + factor
    own = [_text(value) for value in faces[column]]
    originals = faces.assign(pair=faces["id"], pair_factor=factor, pair_value=own)
    return pd.concat([originals, twins], ignore_index=True)


def _twins(row: dict[Any, Any], factor: str, values: list[Any]) -> Iterator[dict[Any, Any]]:
    original = factors_of(row)
    for value in values:
        change: dict[str, Any] = {factor: {value: 1.0} if factor == "expression" else value}
        factors = dataclasses.replace(original, **change)
        if factors != original:
            name = f"{row['id']}_{factor}={_text(value).replace(' ', '-')}"
            pair = dict(zip(PAIR, (row["id"], factor, _text(value)), strict=True))
            yield row | record_of(factors) | {"id": name} | pair


def _text(value: Any) -> str:  # noqa: ANN401
    return value if isinstance(value, str) else f"{value:.10g}"


def _refuse_other(factor: str) -> None:
    if factor not in FACTORS:
        near = get_close_matches(str(factor), FACTORS, n=3, cutoff=0.5)
        raise DataError(
            f"there are no twins by {factor!r}",
            f"one of {', '.join(FACTORS)}",
            f"did you mean {' or '.join(near)}?" if near else "",
        )


def _checked(factor: str, value: Any) -> Any:  # noqa: ANN401
    """Return a value in the type of its factor; its range is for FaceFactors to check."""
    if factor == "expression":
        return _one_of(factor, value, tuple(EXPRESSIONS))
    limits = _FIELDS[factor].metadata
    if "options" in limits:
        return _one_of(factor, value, limits["options"])
    if isinstance(value, bool) or not isinstance(value, Real):
        raise DataError(
            f"a value of {factor} is {value!r}", f"a number of {limits['low']} to {limits['high']}"
        )
    number: Any = float(value)
    dataclasses.replace(FaceFactors(), **{factor: number})
    return number


def _one_of(factor: str, value: Any, options: tuple[str, ...]) -> str:  # noqa: ANN401
    if value not in options:
        near = get_close_matches(str(value), options, n=1)
        raise DataError(
            f"a value of {factor} is {value!r}",
            f"one of {', '.join(options)}",
            f"did you mean {near[0]}?" if near else "",
        )
    return str(value)
