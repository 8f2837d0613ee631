"""The fairness criteria of the literature, each with all of its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from facebias.errors import DataError
from facebias.fairness.gaps import LARGEST, gap_in_words, gap_row, no_gap_row
from facebias.fairness.group_pairs import Comparison, one_label_groups, p_of_equality
from facebias.fairness.intervals import MaxT
from facebias.fairness.resampling import CountedGroups
from facebias.fairness.settings import Settings

CRITERIA: dict[str, tuple[str, ...]] = {
    "demographic parity": ("predicted_prevalence",),
    "equal opportunity": ("recall",),
    "equalised odds": ("recall", "false_positive_rate"),
    "predictive parity": ("precision", "negative_predictive_value"),
    "accuracy equality": ("accuracy",),
}
"""What must be equal between groups.

Demographic parity: Dwork et al. 2012 (ITCS). Equal opportunity and equalised odds: Hardt, Price &
Srebro 2016 (NeurIPS). Predictive parity, here with both predictive values: Chouldechova 2017 (Big
Data 5). Accuracy equality: Berk et al. 2021 (Sociological Methods & Research 50).
"""

CRITERIA_COLUMNS = (
    *("attribute", "criterion", "kind", "metric", "class", "first", "second", "worst"),
    *("first_value", "second_value", "difference", "low", "high"),
    *("ratio", "ratio_low", "ratio_high", "ratio_metric", "ratio_class"),
    *("p", "eligible", "groups", "reason", "headline"),
)

PART, WHOLE = "part", "whole"


def fairness_criteria(
    counted: CountedGroups,
    compared: Sequence[Comparison],
    gaps: pd.DataFrame,
    classes: Sequence[str],
    settings: Settings,
    *,
    positive: str | None = None,
) -> pd.DataFrame:
    """Return by how much the groups of one attribute miss each criterion.

    A criterion has one gap for each of its metrics, and of several classes one for each class. It
    is missed by the largest of these; that row's interval holds for all pairs, classes and metrics
    at once. Where one of its metrics can be compared in no class, the whole is undefined: equalised
    odds are never the recall alone.

    Args:
        counted: from `count_groups`.
        compared: from `compare_groups`, of the same.
        gaps: from `group_gaps`, of these.
        classes: the C class names.
        settings: how groups are judged.
        positive: the class that the criteria are about; None: every class against the rest.

    Returns:
        For each criterion a row a metric and class (kind "part"), then one that names the largest
        (kind "whole"): attribute, criterion, kind, metric, class, first, second (the groups of the
        largest and the smallest value), worst, first_value, second_value, difference, low, high,
        ratio (smallest / largest value: of the whole the smallest of its parts', which
        ratio_metric and ratio_class name), ratio_low, ratio_high, p (of "all these groups are
        equal", max-t), eligible, groups, reason (why something is undefined or was refused),
        headline.

    Raises:
        DataError: `positive` is not a class.
    """
    if positive is not None and positive not in classes:
        raise DataError(f"the positive class {positive!r}", f"one of {', '.join(classes)}")
    place = None if positive is None else list(classes).index(positive)
    largest = gaps[gaps["kind"] == LARGEST].to_dict(orient="records")
    every = [
        (each, _part(each, {str(name): value for name, value in gap.items()}))
        for each, gap in zip(compared, largest, strict=True)
        if place is None or each.place in (None, place)
    ]
    rows: list[dict[str, Any]] = []
    for criterion, metrics in CRITERIA.items() if every else ():
        parts, found = zip(*(each for each in every if each[0].metric in metrics), strict=True)
        whole = _whole(counted, parts, classes, settings)
        rows += [{**row, "criterion": criterion} for row in (*found, whole)]
    return pd.DataFrame(rows, columns=list(CRITERIA_COLUMNS))


def _part(compared: Comparison, gap: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of one metric and class: its largest gap."""
    named = {"ratio_metric": gap["metric"], "ratio_class": gap["class"]}
    return {**gap, **named, "kind": PART, "p": p_of_equality([compared], compared.spread)}


def _whole(
    counted: CountedGroups,
    parts: Sequence[Comparison],
    classes: Sequence[str],
    settings: Settings,
) -> dict[str, Any]:
    """Return the row of the largest gap among the parts, with intervals that hold for all."""
    able = [each for each in parts if each.extremes is not None]
    unable = [each for each in parts if each.extremes is None]
    judged = {each.metric for each in able}
    missing = [each for each in unable if each.metric not in judged]
    if missing:
        return _undefined(counted, missing[0], classes, settings)
    joint = _joint(able)
    critical = joint.critical(settings.level)
    widest = gap_row(counted, max(able, key=lambda each: each.gap), classes, critical)
    reasons = [widest["reason"]] if widest["reason"] else []
    return {
        **widest,
        **_smallest_ratio(counted, able, classes, critical),
        "kind": WHOLE,
        "p": p_of_equality(able, joint),
        "reason": "; ".join(reasons + _not_judged(unable, classes)),
        "headline": _headline(widest, len(able), len(parts)),
    }


def _joint(parts: Sequence[Comparison]) -> MaxT:
    """Return how far the pairs of all parts vary together."""
    largest = np.fmax.reduce([each.spread.largest for each in parts])
    return MaxT(largest)


def _smallest_ratio(
    counted: CountedGroups, parts: Sequence[Comparison], classes: Sequence[str], critical: float
) -> dict[str, Any]:
    """Return the columns of the smallest ratio of the parts; undefined where none has one."""
    defined = [each for each in parts if each.highest > 0]
    if not defined:
        return {"ratio_metric": None, "ratio_class": None}
    smallest = min(defined, key=lambda each: 1 - each.gap / each.highest)
    row = gap_row(counted, smallest, classes, critical)
    numbers = {name: row[name] for name in ("ratio", "ratio_low", "ratio_high")}
    return numbers | {"ratio_metric": row["metric"], "ratio_class": row["class"]}


def _undefined(
    counted: CountedGroups, unable: Comparison, classes: Sequence[str], settings: Settings
) -> dict[str, Any]:
    """Return the row of a criterion of which a metric cannot be compared at all."""
    row = no_gap_row(counted, unable, classes, WHOLE)
    refused = one_label_groups(counted, settings.min_class)
    reason = refused or f"{_name(row)}: {row['reason']}"
    return row | {"reason": reason, "headline": f"cannot tell: {reason}"}


def _not_judged(unable: Sequence[Comparison], classes: Sequence[str]) -> list[str]:
    """Say which parts could not be compared."""
    names = [_name({"metric": each.metric, "class": classes[each.place or 0]}) for each in unable]
    return [f"not compared: {', '.join(names)}"] if names else []


def _name(row: dict[str, Any]) -> str:
    """Name a metric and its class."""
    metric = str(row["metric"]).replace("_", " ")
    return metric if row["class"] is None else f"{metric} of {row['class']}"


def _headline(row: dict[str, Any], able: int, parts: int) -> str:
    """Say the largest gap of a criterion, and among how many it was sought."""
    words = f"{_name(row)}: {gap_in_words(row)}"
    if parts == 1:
        return words
    return (
        f"{words}; largest of {able} of {parts} gaps"
        if able < parts
        else (f"{words}; largest of {parts} gaps")
    )
