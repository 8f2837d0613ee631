"""Codes of labels and groups as data sets write them, and the names that they stand for."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from facebias.errors import ConfigError, DataError

Groups = Mapping[str, Sequence[str]]


def decode(column: pd.Series, codes: Mapping[str, str], file: Path, what: str) -> pd.Series:
    """Return the names of codes.

    Args:
        column: codes as text, None where there is nothing; its index are the lines of the file.
        codes: the name of each code.
        file: where the codes stand, for the message.
        what: the codes say, for the message.

    Raises:
        DataError: for another code, with its line.
    """
    names = column.map(dict(codes)).astype(object)
    wrong = names.isna() & column.notna()
    if wrong.any():
        line = wrong.idxmax()
        listed = ", ".join(
            code if code == name else f"{code} ({name})" for code, name in codes.items()
        )
        raise DataError(
            f"{file}, line {line}: {what} is {column[line]!r}"
            + (f", and so on in {wrong.sum() - 1:,} other lines" if wrong.sum() > 1 else ""),
            f"one of {listed}",
            "correct the line",
        )
    return names.where(names.notna(), None)


def keep_classes(
    rows: pd.DataFrame, classes: Sequence[str], known: Collection[str]
) -> pd.DataFrame:
    """Leave out the faces whose label is none of the classes, and say so.

    Args:
        rows: with `label` and `left_out`.
        classes: those that a model is to tell apart.
        known: every label that the data set has.

    Raises:
        ConfigError: for a class that the data set does not have.
    """
    wrong = [name for name in classes if name not in known]
    if wrong:
        raise ConfigError(
            f"data.reader.classes names {', '.join(wrong)}",
            f"some of {', '.join(known)}",
            "correct data.reader.classes; a class that is not named there is left out",
        )
    labels = rows["label"].astype(object)
    other = labels.notna() & ~labels.isin(classes) & (rows["left_out"] == "")
    reasons = labels.map(lambda label: f"{label} is none of the classes")
    return rows.assign(
        label=labels.where(labels.isin(classes), None),
        left_out=rows["left_out"].mask(other, reasons),
    )


def other_groups(
    attributes: Groups | None, known: Groups, target: str | None = None
) -> dict[str, tuple[str, ...]]:
    """Return the attributes beside the target, and their groups.

    Args:
        attributes: as configured; no groups stands for all of them.
        known: the attributes of the data set, and their groups.
        target: the attribute that is the label, if any is.

    Raises:
        ConfigError: for a target or an attribute that the data set does not have.
    """
    for key, names in (("target", [target] if target else []), ("attributes", attributes or {})):
        wrong = [name for name in names if name not in known]
        if wrong:
            raise ConfigError(
                f"data.reader.{key} names {', '.join(wrong)}",
                f"one of {', '.join(known)}",
                "correct it; a side table (data.side_table) may say more of the faces",
            )
    return {
        name: tuple(groups) or tuple(known[name])
        for name, groups in (attributes or {}).items()
        if name != target
    }
