"""What a shift between two variants says in plain words, and what survives the correction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from facebias.fairness.valence import CORRECTED, SCORES
from facebias.report.paired_words import (
    NOT_COMPARED,
    SUPPORTED,
    attribute_words,
    covers,
    interval_words,
    points,
    test_words,
)


def shift_sentence(row: Mapping[str, Any], raw: Mapping[str, Any] | None = None) -> str:
    """Say what one row of `facebias.report.variant_readings.valence_shifts` supports.

    Args:
        row: its columns but `says`.
        raw: of a prior-corrected row, the raw one of the same pair, group and valences.
    """
    place = _place(row)
    if row["verdict"] == NOT_COMPARED:
        return f"{place}, {_read_as(row)}: not compared ({row['reason']})."
    told = row["verdict"] == SUPPORTED
    sign = -1 if row["difference"] < 0 else 1
    size = f"{points(sign * row['difference'])} points ({interval_words(row, sign)})"
    words = f"{place}, {_claim(row, told)} {size}; {test_words(row, sign)}."
    if raw is not None and math.isfinite(raw["difference"]):
        words += f" {_left(row, raw, sign)}"
    return f"{words} {covers(row)}"


def _place(row: Mapping[str, Any]) -> str:
    """Name the faces, and how they are read."""
    kind = row["true"] if row["reading"] != SCORES else f"{row['true']} and {row['read']}"
    faces = f"On the same {row['n']:,} {kind} faces"
    if row["attribute"] != "all":
        faces += f" of {attribute_words(row['attribute'])} {row['group']}"
    if row["reading"] == CORRECTED:
        return f"{faces}, with each model's own shares of the training divided out"
    return faces


def _read_as(row: Mapping[str, Any]) -> str:
    if row["reading"] == SCORES:
        return f"scores of {row['true']} faces beside those of {row['read']} ones"
    return f"{row['true']} faces read as {row['read']}"


def _claim(row: Mapping[str, Any], told: bool) -> str:
    """Say which of the two reads faces so more often, or that it cannot be told."""
    one, other = str(row["first"]), str(row["second"])
    shares = [f"{100 * row[f'{name}_value']:.1f} %" for name in ("first", "second")]
    if row["difference"] < 0:
        one, other, shares = other, one, shares[::-1]
    if row["reading"] == SCORES:
        what = f"gives a {row['true']} face a score more like {row['read']} than a "
        what += f"{row['read']} face"
    else:
        what = f"reads {row['true']} faces as {row['read']}"
    values = f"{shares[0]} against {shares[1]}"
    if told:
        return f"{one} {what} more often than {other}: {values}, by"
    return f"it cannot be told whether {one} or {other} {what} more often: {values}, apart by"


def _left(row: Mapping[str, Any], raw: Mapping[str, Any], sign: int) -> str:
    """Say what is left of a raw shift, both seen from the same variant."""
    seen, left = (f"{points(sign * each['difference'])} points" for each in (raw, row))
    if raw["verdict"] != SUPPORTED:
        return f"The raw shift, {seen}, could not be told from 0."
    if row["verdict"] != SUPPORTED:
        return (
            f"Of the raw shift of {seen}, {left} are left, which cannot be told from 0: the shares "
            "of the training may be all that it is."
        )
    if row["difference"] * raw["difference"] < 0:
        return f"So the raw shift of {seen} turns round: {left} are left."
    return f"So the raw shift of {seen} is not the shares of the training alone: {left} are left."
