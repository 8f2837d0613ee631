"""Gaps between groups: the largest, against a reference, of all pairs; and what can be told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import DataError
from facebias.fairness import metrics
from facebias.fairness.group_pairs import (
    GAP_METRICS,
    Comparison,
    between_groups,
    listed_pairs,
    p_of_equality,
    pair_differences,
    pair_ratios,
    standardised,
)
from facebias.fairness.intervals import Combinations
from facebias.fairness.many_groups import IndependentPairs
from facebias.fairness.measures import METRICS
from facebias.fairness.resampling import CountedGroups
from facebias.fairness.settings import Settings
from facebias.fairness.significance import (
    PermutationTest,
    benjamini_hochberg,
    holm,
    permutation_test,
    smallest_detectable,
)

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

GAP_COLUMNS = (
    *("attribute", "metric", "class", "kind", "first", "second", "worst"),
    *("first_value", "second_value", "difference", "low", "high"),
    *("ratio", "ratio_low", "ratio_high", "standardised", "deviation", "expected"),
    *("p", "p_method", "p_holm", "p_bh", "detectable"),
    *("eligible", "groups", "reason", "headline"),
)

LARGEST, PAIR, REFERENCE = "largest", "pair", "reference"


def group_gaps(
    counted: CountedGroups,
    compared: Sequence[Comparison],
    classes: Sequence[str],
    settings: Settings,
    *,
    pairs: bool = False,
    reference: str | None = None,
    tests: int = len(GAP_METRICS),
) -> pd.DataFrame:
    """Return the gaps between the groups of one attribute.

    The largest of many gaps is biased upward: its interval holds for all pairs at once (max-t), the
    gap to be expected of equal groups (`expected`) stands beside it, and so does the smallest gap
    that would have been found (`detectable`). Fewer than two groups that can be compared have no
    gap: NaN, with the reason.

    Args:
        counted: from `count_groups`.
        compared: from `compare_groups`, of the same.
        classes: the C class names.
        settings: how groups are judged; as many permutations as `replicates` are drawn, and more
            where none of them reached what was found and the family needs a smaller p-value.
        pairs: compare all pairs too, in `GAP_METRICS`. Of more than `MOST_PAIRED` groups (see
            `facebias.fairness.many_groups`) for each group the one pair whose interval is farthest
            from 0; their intervals still hold for all pairs at once.
        reference: compare every group with this one too.
        tests: in the family of `adjust_largest`, this attribute's among them.

    Returns:
        A row a metric, class and kind ("largest", "pair" or "reference"): attribute, metric, class
        (missing for averages), kind, first, second (of the largest gap: the groups of the largest
        and the smallest value; else first is the reference, or the one declared first), worst (of
        the two; missing for predicted prevalence), first_value, second_value, difference (first -
        second), low, high (simultaneous over all pairs of the metric and class), ratio (second /
        first), ratio_low, ratio_high, standardised (the difference if each group had the labels'
        mix of all rows), deviation (between groups, without the part that chance adds: the root of
        an unbiased variance, 0 where that is not above 0), expected (the largest gap that equal
        groups would show), p, p_method, p_holm, p_bh, detectable (the smallest gap found with 80 %
        power), eligible (groups that were compared), groups (declared), reason (why something is
        undefined), headline (in words). p of the largest gap is that of "all these groups are
        equal", by permutation in `GAP_METRICS` unless persons have rows in several groups,
        else by max-t; p of a pair is that of its own gap.
        p_holm and p_bh of pairs are over all pairs of the metric (both Bonferroni's where not all
        are listed), those of the largest gap over the report, see `adjust_largest`.

    Raises:
        DataError: the reference is not a declared group.
    """
    if reference is not None and reference not in counted.groups:
        raise DataError(
            f"the reference group {reference!r} of {counted.attribute}",
            f"one of {', '.join(counted.groups)}",
        )
    rows: list[dict[str, Any]] = []
    for each in compared:
        rows.append(_largest_row(counted, each, classes, settings, tests))
        if pairs and each.metric in GAP_METRICS and len(each.chosen) > 1:
            listed = listed_pairs(each, each.spread.critical(settings.level))
            rows += _named_rows(counted, each, classes, settings, PAIR, listed)
        if reference is not None:
            rows += _reference_rows(counted, each, classes, settings, reference)
    return pd.DataFrame(rows, columns=list(GAP_COLUMNS))


def adjust_largest(gaps: pd.DataFrame) -> pd.DataFrame:
    """Return a report's gaps with p_holm and p_bh of the largest ones.

    The family is all largest gaps of the report in `GAP_METRICS`, over its attributes.

    Args:
        gaps: of all attributes.
    """
    gaps = gaps.copy()
    family = (gaps["kind"] == LARGEST) & gaps["metric"].isin(GAP_METRICS)
    p = gaps.loc[family, "p"].to_numpy(np.float64)
    gaps.loc[family, "p_holm"] = holm(p)
    gaps.loc[family, "p_bh"] = benjamini_hochberg(p)
    return gaps


def _largest_row(
    counted: CountedGroups,
    compared: Comparison,
    classes: Sequence[str],
    settings: Settings,
    tests: int,
) -> dict[str, Any]:
    """Return the row of the largest gap; without numbers where there are fewer than two groups."""
    if compared.extremes is None:
        return no_gap_row(counted, compared, classes, LARGEST)
    critical = compared.spread.critical(settings.level)
    row = gap_row(counted, compared, classes, critical)
    p, method = _p_of_equality(counted, compared, settings, tests)
    return row | {"p": p, "p_method": method}


def gap_row(
    counted: CountedGroups,
    compared: Comparison,
    classes: Sequence[str],
    critical: float,
) -> dict[str, Any]:
    """Return the largest gap of one comparison, without its p-value; no numbers if there is none.

    Args:
        counted: from `count_groups`.
        compared: one of `compare_groups`.
        classes: the C class names.
        critical: how many standard errors its intervals reach to each side.
    """
    if compared.extremes is None:
        return no_gap_row(counted, compared, classes, LARGEST)
    pair = np.array([compared.extremes[0]]), np.array([compared.extremes[1]])
    between = pair_differences(compared, *pair)
    row = _pairs(counted, compared, classes, LARGEST, between, critical, *pair)[0]
    row |= between_groups(compared)
    return row | {"headline": _largest_headline(row, compared.left_out)}


def _p_of_equality(
    counted: CountedGroups, compared: Comparison, settings: Settings, tests: int
) -> tuple[float, str]:
    """Return the p-value of "all these groups are equal", and how it was found."""
    if compared.metric in GAP_METRICS:
        found = _permuted(counted, compared, settings, tests)
        if not math.isnan(found.p):
            return found.p, found.method
    return p_of_equality([compared], compared.spread), "max-t bootstrap"


def _permuted(
    counted: CountedGroups, compared: Comparison, settings: Settings, tests: int
) -> PermutationTest:
    """Permute the groups, as often as a family of so many tests needs."""
    eligible = np.zeros(len(counted.groups), dtype=bool)
    eligible[compared.chosen] = True
    # Twice as many as would let the first of Holm's steps reject at all.
    needed = math.ceil(2 * tests / (1 - settings.level))
    return permutation_test(
        counted,
        METRICS[compared.metric],
        eligible=eligible,
        within_label=compared.metric == "macro_recall",
        permutations=settings.replicates,
        further=max(needed - settings.replicates, 0),
        rng=np.random.default_rng([settings.seed, crc32(compared.metric.encode())]),
    )


def _reference_rows(
    counted: CountedGroups,
    compared: Comparison,
    classes: Sequence[str],
    settings: Settings,
    reference: str,
) -> list[dict[str, Any]]:
    """Return a row for each group that can be compared with the reference."""
    place = counted.groups.index(reference)
    others = compared.chosen[compared.chosen != place]
    if place in compared.chosen and len(others):
        pairs = np.full(len(others), place), others
        return _named_rows(counted, compared, classes, settings, REFERENCE, pairs)
    row = no_gap_row(counted, compared, classes, REFERENCE)
    if len(others):
        why = compared.refused or f"the reference {reference} cannot be compared"
        row |= {"reason": why, "headline": f"{why}: no gap to tell"}
    return [row]


def _named_rows(
    counted: CountedGroups,
    compared: Comparison,
    classes: Sequence[str],
    settings: Settings,
    kind: str,
    pairs: tuple[Array, Array],
) -> list[dict[str, Any]]:
    """Return the rows of pairs that were named beforehand, each with the p-value of its gap."""
    between = pair_differences(compared, *pairs)
    critical = compared.spread.critical(settings.level)
    rows = _pairs(counted, compared, classes, kind, between, critical, *pairs)
    p = between.p_value()
    adjusted: tuple[FloatArray, ...] = (holm(p), benjamini_hochberg(p))
    if kind == PAIR and compared.many:  # picked from all pairs: Bonferroni's bound holds for both
        adjusted = (np.minimum(p * compared.n_pairs, 1),) * 2
    names = ("p", "p_holm", "p_bh")
    return [
        row
        | dict(zip(names, map(float, each), strict=True))
        | {"p_method": "interval", "headline": gap_in_words(row)}
        for row, *each in zip(rows, p, *adjusted, strict=True)
    ]


def _pairs(
    counted: CountedGroups,
    compared: Comparison,
    classes: Sequence[str],
    kind: str,
    between: Combinations | IndependentPairs,
    critical: float,
    first: Array,
    second: Array,
) -> list[dict[str, Any]]:
    """Return a row for each pair of groups (P,), without p-values."""
    low, high = between.interval(critical)
    values, standard = compared.values, standardised(compared)
    ratio, ratio_low, ratio_high = pair_ratios(compared, critical, first, second)
    columns = {
        "first_value": values[first],
        "second_value": values[second],
        "difference": values[first] - values[second],
        "low": low,
        "high": high,
        "ratio": ratio,
        "ratio_low": ratio_low,
        "ratio_high": ratio_high,
        "standardised": standard[first] - standard[second],
        "detectable": smallest_detectable((high - low) / 2 / critical, critical),
    }
    shared = _shared(counted, compared, classes, kind)
    rows = zip(first, second, *(each.tolist() for each in columns.values()), strict=True)
    return [
        _with_reason(
            shared
            | _names(counted, compared, one, other)
            | dict(zip(columns, numbers, strict=True))
        )
        for one, other, *numbers in rows
    ]


def _shared(
    counted: CountedGroups, compared: Comparison, classes: Sequence[str], kind: str
) -> dict[str, Any]:
    """Return the columns that all rows of a comparison share; the numbers are undefined yet."""
    return dict.fromkeys(GAP_COLUMNS, math.nan) | {
        "attribute": counted.attribute,
        "metric": compared.metric,
        "class": None if compared.place is None else classes[compared.place],
        "kind": kind,
        "eligible": len(compared.chosen),
        "groups": len(counted.groups),
    }


def no_gap_row(
    counted: CountedGroups, compared: Comparison, classes: Sequence[str], kind: str
) -> dict[str, Any]:
    """Return the row of a comparison that has fewer than two groups: no numbers, and why.

    Args:
        counted: from `count_groups`.
        compared: one of `compare_groups`.
        classes: the C class names.
        kind: of the row.
    """
    left_out = f", {compared.left_out}" if compared.left_out else ""
    able = f"{len(compared.chosen)} of {len(counted.groups)} groups can be compared{left_out}"
    return _shared(counted, compared, classes, kind) | {
        **dict.fromkeys(("first", "second", "worst", "p_method")),
        "reason": compared.refused or able,
        "headline": compared.refused or f"{able}: no gap to tell",
    }


def _names(
    counted: CountedGroups, compared: Comparison, first: int, second: int
) -> dict[str, str | None]:
    """Return the names of a pair of groups, and which of them fares worse."""
    pair = counted.groups[first], counted.groups[second]
    ascending = pair if compared.values[first] < compared.values[second] else pair[::-1]
    worst = ascending[-1 if compared.metric in metrics.LOWER_IS_BETTER else 0]
    unjudged = compared.metric in metrics.NEITHER_IS_BETTER
    return {"first": pair[0], "second": pair[1], "worst": None if unjudged else worst}


def _with_reason(row: dict[str, Any]) -> dict[str, Any]:
    """Add why numbers of the row are undefined."""
    reasons = {
        "low": "no interval: replicates never vary",
        "ratio": "no ratio: its denominator is 0",
        "standardised": "not standardised: a group lacks one of the labels",
    }
    return row | {"reason": "; ".join(why for name, why in reasons.items() if np.isnan(row[name]))}


def _largest_headline(row: Mapping[str, Any], left_out: str) -> str:
    """Say the gap, whether it can be told from none, and among how many groups it was sought."""
    chance = f"equal groups would show {row['expected']:.2f}"
    among = f"{row['eligible']} of {row['groups']}" if left_out else f"{row['groups']}"
    sought = "apart most" if row["worst"] is None else "worst"
    words = [
        gap_in_words(row),
        chance,
        f"{sought} of {among} groups",
    ]
    return "; ".join(words) + (f", {left_out}" if left_out else "")


def gap_in_words(row: Mapping[str, Any]) -> str:
    """Say the two values, the gap and whether it can be told from none.

    Args:
        row: of a pair of groups, in `GAP_COLUMNS`.
    """
    named = [f"{row[each]} {row[f'{each}_value']:.2f}" for each in ("first", "second")]
    worse_first = named if row["worst"] == row["first"] else named[::-1]
    return f"{' vs '.join(worse_first)}: {_gap_alone(row)}"


def _gap_alone(row: Mapping[str, Any]) -> str:
    """Say the gap and whether it can be told from none; what would have been, where it cannot."""
    gap = abs(row["difference"])
    if math.isnan(row["low"]):
        return f"gap {gap:.2f}, without an interval: cannot tell the groups apart"
    low, high = (row["low"], row["high"]) if row["difference"] >= 0 else (-row["high"], -row["low"])
    words = f"gap {gap:.2f} [{low:.2f}, {high:.2f}]"
    if low > 0:
        return words
    found = f"a gap of {row['detectable']:.2f} would have been found"
    return f"{words}; interval includes 0: cannot tell the groups apart, {found}"
