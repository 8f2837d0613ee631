"""What a paired difference says in plain words: what is supported, and what cannot be told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from facebias.fairness.crossed import BY_FACE, CROSSED
from facebias.fairness.paired import BY_PERSON, MCNEMAR

SUPPORTED, CANNOT_TELL, NOT_COMPARED = "supported", "cannot tell", "not compared"
"""The verdicts."""

JOINT = "joint interval"
"""What a verdict rests on where there is no p."""

_TESTS = {
    MCNEMAR: "McNemar's exact test",
    BY_PERSON: "test over persons",
    BY_FACE: "test over faces",
    CROSSED: "test over seeds and {units}",
}


def sentence(row: Mapping[str, Any]) -> str:
    """Say what one row of `facebias.report.paired.paired_differences` supports.

    Args:
        row: its columns but `says`.
    """
    if row["verdict"] == NOT_COMPARED:
        return f"{_place(row)}: not compared ({row['reason']})."
    told = row["verdict"] == SUPPORTED
    claim = _gap(row, told) if row["kind"] == "gap" else _claim(row, told)
    # A sentence about the better one counts from the worse one.
    sign = -1 if row["kind"] != "gap" and row["difference"] < 0 else 1
    size = f"{points(sign * row['difference'])} points ({interval_words(row, sign)})"
    words = f"{_place(row)}, {claim} {size}; {test_words(row, sign)}."
    if not told and math.isfinite(row["detectable"]):
        words += (
            f" About {points(row['detectable'])} points or more would have been found in four of "
            "five cases; less may be there."
        )
    return f"{words} {covers(row)}"


def attribute_words(name: object) -> str:
    """Name an attribute in a sentence.

    >>> attribute_words("skin_tone")
    'skin tone'
    """
    return str(name).replace("_", " ")


def points(value: float) -> str:
    """Format a difference of shares in percentage points, without the unit.

    >>> points(-0.0512), points(float("nan"))
    ('-5.1', '–')
    """
    return "–" if not math.isfinite(value) else f"{100 * value:.1f}".replace("-0.0", "0.0")


def p_value(value: float) -> str:
    """Format a p-value; what is undefined is a dash.

    >>> p_value(0.0312), p_value(0.00001), p_value(float("nan"))
    ('0.031', '< 0.001', '–')
    """
    if not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _place(row: Mapping[str, Any]) -> str:
    """Name the faces."""
    faces = f"the same {row['n']:,} faces"
    if row["kind"] == "all":
        return f"On {faces}"
    groups = str(row["group"]) if row["kind"] == "group" else f"{row['group']} and {row['against']}"
    return f"On {faces} of {attribute_words(row['attribute'])} {groups}"


def _claim(row: Mapping[str, Any], told: bool) -> str:
    """Say which of the two is better, or that it cannot be told."""
    one, other = str(row["first"]), str(row["second"])
    if row["difference"] < 0:
        one, other = other, one
    accuracy = row["metric"] == "accuracy"
    if told:
        better = "is right more often than" if accuracy else "has a higher macro recall than"
        return f"{one} {better} {other}, by"
    which = "is right more often" if accuracy else "has the higher macro recall"
    return f"it cannot be told whether {one} or {other} {which}: the difference seen is"


def _gap(row: Mapping[str, Any], told: bool) -> str:
    metric = str(row["metric"]).replace("_", " ")
    seen = (
        f"{row['group']} minus {row['against']} is {points(row['first_value'])} points of "
        f"{metric} under {row['first']} and {points(row['second_value'])} under {row['second']}"
    )
    if told:
        return f"the gap differs: {seen}, apart by"
    return f"it cannot be told whether the gap differs: {seen}, apart by"


def interval_words(row: Mapping[str, Any], sign: int, name: str = "") -> str:
    """Format an interval of the difference, seen from the better one."""
    bounds = sorted(sign * row[f"{name}{side}"] for side in ("low", "high"))
    if not all(map(math.isfinite, bounds)):
        return "no interval"
    low, high = map(points, bounds)
    return f"interval {low} to {high}"


def test_words(row: Mapping[str, Any], sign: int) -> str:
    """Say what was tested, and over how many comparisons."""
    count = row["comparisons"]
    if math.isfinite(row["p_holm"]):
        units = str(row["resampled"]).removeprefix("seeds x ")
        name = _TESTS[row["test"]].format(units=units)
        allowing = f", allowing for {count} comparisons" if count > 1 else ""
        return f"{name}{allowing}: p {_compared(row['p_holm'])}"
    if not math.isfinite(row.get("joint_low", math.nan)):
        return "no test"
    return f"{interval_words(row, sign, 'joint_')} allowing for {count} comparisons"


def covers(row: Mapping[str, Any]) -> str:
    """Say what other draws the words hold for."""
    units = str(row["resampled"]).removeprefix("seeds x ")
    if units != row["resampled"]:
        counts = int(row["first_seeds"]), int(row["second_seeds"])
        seeds = f"{counts[0]} of each" if len(set(counts)) == 1 else f"{counts[0]} and {counts[1]}"
        return f"The interval holds other seeds (here {seeds}) and other {units} of the same kind."
    other = "" if units == "none" else f"The interval holds other {units} of the same kind. "
    return (
        f"{other}This is about these two networks: one seed of a variant says nothing of other "
        "trainings."
    )


def _compared(p: float) -> str:
    said = p_value(p)
    return said if said.startswith("<") else f"= {said}"
