"""A table as files: CSV, JSON and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from facebias.files import whole_file, write_text

ENDINGS = (".csv", ".json", ".tex")
"""Of the files of a table."""

_UNDEFINED = "--"
_LONGEST = 40  # letters of a column that is not broken into lines
_WIDE = 12  # columns that a page takes
_ESCAPED = str.maketrans(
    {
        **{sign: rf"\{sign}" for sign in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "\n": " ",
    }
)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, JSON and LaTeX.

    Args:
        table: its index is not written.
        path: without an ending.

    Raises:
        RunError: if a file cannot be written.
    """
    with whole_file(path.with_name(f"{path.name}.csv")) as temporary:
        table.to_csv(temporary, index=False)
    write_text(path.with_name(f"{path.name}.json"), json_text(table))
    write_text(path.with_name(f"{path.name}.tex"), latex_text(table))


def json_text(table: pd.DataFrame) -> str:
    """Return a JSON list with an object a row, one a line; what is undefined is null.

    Args:
        table: its index is not told.
    """
    if table.empty:
        return "[]\n"
    lines = table.to_json(orient="records", lines=True, double_precision=15, force_ascii=False)
    return "[\n" + ",\n".join(lines.rstrip("\n").split("\n")) + "\n]\n"


def latex_text(table: pd.DataFrame) -> str:
    r"""Return a table for LaTeX with the packages booktabs and longtable; text is escaped.

    Numbers have three decimals, very small ones an exponent. Columns of long text are broken into
    lines. It is a `longtable`, which goes over pages; with more columns than a page is wide, one
    in small letters on pages turned sideways, for which the package pdflscape is needed too.

    Args:
        table: its index is not told.
    """
    columns = {str(name): _cells(column) for name, column in table.items()}
    places = "".join(map(_place, columns.values(), table.dtypes))
    head = " & ".join(escaped(name) for name in columns) + r" \\"
    lines = [rf"\begin{{longtable}}{{{places}}}", r"\toprule", head, r"\midrule", r"\endhead"]
    lines += [" & ".join(row) + r" \\" for row in zip(*columns.values(), strict=True)]
    lines += [r"\bottomrule", r"\end{longtable}"]
    if len(columns) > _WIDE:
        lines = [r"\begin{landscape}", r"\tiny", r"\setlength{\tabcolsep}{2pt}", *lines]
        lines.append(r"\end{landscape}")
    return "\n".join([*lines, ""])


def escaped(text: str) -> str:
    r"""Return text that LaTeX prints as it is.

    >>> escaped("a_b < 5 %")
    'a\\_b \\textless{} 5 \\%'
    """
    return text.translate(_ESCAPED)


def _place(cells: list[str], kind: object) -> str:
    """Return how a column is set: text left, long text in lines, numbers right."""
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind):
        return "r"
    return "p{6cm}" if max(map(len, cells), default=0) > _LONGEST else "l"


def _cells(column: pd.Series) -> list[str]:
    whole = pd.api.types.is_numeric_dtype(column) and (column.dropna() % 1 == 0).all()
    return list(_written(column, whole=bool(whole)))


def _written(column: pd.Series, *, whole: bool) -> Iterator[str]:
    for value in column.tolist():
        if value is None or pd.isna(value):
            yield _UNDEFINED
        elif isinstance(value, bool) or not isinstance(value, int | float):
            yield escaped(str(value))
        elif not math.isfinite(value):
            yield r"$\infty$" if value > 0 else r"$-\infty$"
        elif whole:
            yield f"{int(value)}"
        else:
            yield f"{value:.1e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"
