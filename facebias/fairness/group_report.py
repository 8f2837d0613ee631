"""The report on groups: what each group gets, how sure that is, and the largest gaps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import ConfigError
from facebias.fairness import metrics
from facebias.fairness.counts import count_decisions, count_patterns
from facebias.fairness.intervals import (
    LargestGap,
    bootstrap_counts,
    bootstrap_person_counts,
    largest_gap,
    percentile_interval,
    spread_constant,
    wilson_interval,
)
from facebias.fairness.predictions import (
    UNKNOWN,
    GroupCodes,
    ScoredRows,
    all_group_codes,
    scored_rows,
)

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

SCHEMA_VERSION = 1

GAP_METRICS: dict[str, Callable[[Array], FloatArray]] = {
    "accuracy": metrics.accuracy,
    "macro_recall": metrics.macro_recall,
    "macro_f1": metrics.macro_f1,
}
"""The metrics compared between groups; higher is better in all of them."""


@dataclass(frozen=True)
class Settings:
    """How groups are judged.

    Attributes:
        min_group: rows below which a group is shown but left out of gaps.
        min_class: true rows that a group needs in every class of the test set before its macro
            metrics get an interval and enter gaps; below it a macro average hangs on a few faces.
        replicates: bootstrap replicates.
        level: confidence of the intervals, in (0, 1).
        seed: of the bootstrap.
    """

    min_group: int = 30
    min_class: int = 5
    replicates: int = 1000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.replicates < 2 or not 0 < self.level < 1 or min(self.min_group, self.min_class) < 1:
            raise ConfigError(
                f"Wrong settings of the group report: {self}.",
                "replicates of 2 or more, level between 0 and 1, min_group and min_class from 1",
            )


@dataclass(frozen=True, eq=False)
class GroupReport:
    """What `group_report` found.

    Attributes:
        overall: metrics of all scored rows together.
        table: one row a group: attribute, group, n (scored rows), share (of the scored rows),
            units (persons where identity is known, else rows), classes (with true rows: those
            that the macro metrics average over), accuracy, accuracy_low, accuracy_high,
            accuracy_method ("wilson", "person bootstrap", "wilson on persons" or "none"),
            macro_precision, macro_recall, macro_f1, macro_f1_low, macro_f1_high, chance, majority,
            status ("ok", "too small", "empty" or "unknown").
        gaps: one row an attribute and metric: attribute, metric, gap, low, high, best_group,
            worst_group, best_value, worst_value, eligible, groups, headline.
        settings: how it was made: classes, attributes, intersections and `Settings`.
    """

    overall: dict[str, Any]
    table: pd.DataFrame
    gaps: pd.DataFrame
    settings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain types for JSON; what is undefined is None."""
        report: dict[str, Any] = _plain(
            {
                "schema_version": SCHEMA_VERSION,
                "settings": self.settings,
                "overall": self.overall,
                "groups": self.table.to_dict(orient="records"),
                "gaps": self.gaps.to_dict(orient="records"),
            }
        )
        return report


def group_report(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    *,
    intersections: Sequence[Sequence[str]] = (),
    min_group: int = 30,
    min_class: int = 5,
    replicates: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> GroupReport:
    """Measure every declared group, and the largest gaps between groups.

    Where a person has several rows (column `identity`), persons are resampled instead of rows.
    The interval of an accuracy is Wilson's where rows are independent, the person bootstrap's
    where they are not, and Wilson's with persons for rows where that bootstrap collapses because
    all are right or all wrong. The intervals of macro F1 are percentiles, widened to hold the
    value where they miss it.

    Args:
        predictions: one row a face of one run and one split: label (missing: not scored),
            predicted, a column for each attribute ("unknown" or missing: a row of its own, outside
            of gaps), and if known id, split, identity, p_<class>.
        classes: the declared classes.
        attributes: the declared groups of each attribute. One never met appears with n = 0.
        intersections: sets of attributes whose combinations are groups too.
        min_group: see `Settings`.
        min_class: see `Settings`.
        replicates: see `Settings`.
        level: see `Settings`.
        seed: see `Settings`. The order of the rows and the other attributes do not matter.

    Raises:
        DataError: the table lacks columns, has undeclared classes or groups, mixes splits or
            counts a face twice.
        ConfigError: a setting out of its range.
    """
    settings = Settings(min_group, min_class, replicates, level, seed)
    # An iterator would be used up by the first pass over it.
    classes = tuple(classes)
    attributes = {name: tuple(groups) for name, groups in attributes.items()}
    intersections = tuple(tuple(names) for names in intersections)
    rows = scored_rows(predictions, classes)
    measured = [
        _measure(rows, codes, len(classes), settings)
        for codes in all_group_codes(rows.table, attributes, intersections)
    ]
    table = pd.concat([_table(each, settings) for each in measured], ignore_index=True)
    declared = {"classes": classes, "attributes": attributes, "intersections": intersections}
    return GroupReport(
        overall=_overall(rows, measured[0], table),
        table=table,
        gaps=pd.DataFrame(
            [row for each in measured[1:] for row in _gap_rows(each, settings)],
            columns=_GAP_COLUMNS,
        ),
        settings=declared | asdict(settings),
    )


@dataclass(frozen=True, eq=False)
class _Measured:
    """One attribute's counts and replicates; the last group, index G, is the unknown one."""

    attribute: str
    groups: tuple[str, ...]
    counts: Array  # (G + 1, C, C)
    units: Array  # (G + 1,)
    by_person: bool
    comparable: Array  # (G + 1,), whether macro metrics rest on enough rows of every class
    replicates: dict[str, FloatArray]  # metric -> (B, G + 1)


def _measure(rows: ScoredRows, codes: GroupCodes, n_classes: int, settings: Settings) -> _Measured:
    """Count one attribute's groups and resample them."""
    # A generator for each attribute: another attribute beside it changes no number.
    rng = np.random.default_rng(settings.seed)
    size = {"n_groups": len(codes.groups) + 1, "n_classes": n_classes}
    decisions = (codes.codes, rows.labels, rows.predicted)
    counts = count_decisions(*decisions, **size)
    if rows.persons is None:
        drawn = bootstrap_counts(counts, settings.replicates, rng)
        class_units, units = counts.sum(axis=-1), counts.sum(axis=(-2, -1))
    else:
        patterns = count_patterns(rows.persons, *decisions, **size)
        drawn = bootstrap_person_counts(patterns, settings.replicates, rng)
        class_units, units = patterns.persons_with(2), patterns.persons_with(1)
    required = np.bincount(rows.labels, minlength=n_classes) > 0
    rarest = class_units[:, required].min(axis=-1)
    replicates = {
        name: spread_constant(
            metric(counts),
            _replicate_values(name, metric, drawn, required),
            units if name == "accuracy" else rarest,
            rng,
        )
        for name, metric in GAP_METRICS.items()
    }
    comparable = (counts.sum(axis=-1)[:, required] >= settings.min_class).all(axis=-1)
    by_person = rows.persons is not None
    return _Measured(
        codes.attribute, codes.groups, counts, units, by_person, comparable, replicates
    )


def _replicate_values(
    name: str, metric: Callable[[Array], FloatArray], drawn: Array, required: Array
) -> FloatArray:
    """Return the metric of each replicate, shape (B, G + 1).

    A macro metric is undefined in a replicate that lost a class: over fewer classes it would be
    another quantity.
    """
    values = metric(drawn)
    if name == "accuracy":
        return values
    complete = (metrics.support(drawn)[..., required] > 0).all(axis=-1)
    return np.where(complete, values, np.nan)


def _table(measured: _Measured, settings: Settings) -> pd.DataFrame:
    """Return one row a declared group, and one for unknown where there is any."""
    counts = measured.counts
    rows = counts.sum(axis=(-2, -1))
    low, high, method = _accuracy_interval(measured, settings.level)
    f1_low, f1_high = _macro_f1_interval(measured, settings.level)
    table = pd.DataFrame(
        {
            "attribute": measured.attribute,
            "group": [*measured.groups, UNKNOWN],
            "n": rows,
            "share": rows / rows.sum(),
            "units": measured.units,
            "classes": (metrics.support(counts) > 0).sum(axis=-1),
            "accuracy": metrics.accuracy(counts),
            "accuracy_low": low,
            "accuracy_high": high,
            "accuracy_method": method,
            "macro_precision": metrics.macro_precision(counts),
            "macro_recall": metrics.macro_recall(counts),
            "macro_f1": metrics.macro_f1(counts),
            "macro_f1_low": f1_low,
            "macro_f1_high": f1_high,
            "chance": metrics.chance_level(counts.shape[-1]),
            "majority": metrics.majority_rate(counts),
            "status": [*_statuses(rows[:-1], settings.min_group), "unknown"],
        }
    )
    return table if rows[-1] else table.iloc[:-1]


def _statuses(rows: Array, min_group: int) -> list[str]:
    """Return the status of each declared group."""
    return ["empty" if n == 0 else "too small" if n < min_group else "ok" for n in rows]


def _accuracy_interval(
    measured: _Measured, level: float
) -> tuple[FloatArray, FloatArray, list[str]]:
    """Return low, high and the name of the method, each for every group."""
    value = metrics.accuracy(measured.counts)
    right = np.where(np.isnan(value), 0, value * measured.units)
    low, high = wilson_interval(right, measured.units, level)
    method = "wilson on persons" if measured.by_person else "wilson"
    methods = np.where(np.isnan(value), "none", method)
    if measured.by_person:
        between = (value > 0) & (value < 1)
        bootstrapped = percentile_interval(measured.replicates["accuracy"], level)
        low, high = np.where(between, bootstrapped, (low, high))
        methods = np.where(between, "person bootstrap", methods)
    return low, high, [str(name) for name in methods]


def _macro_f1_interval(measured: _Measured, level: float) -> tuple[FloatArray, FloatArray]:
    """Return low and high of macro F1; NaN for groups with too few rows of a class."""
    value = metrics.macro_f1(measured.counts)
    low, high = percentile_interval(measured.replicates["macro_f1"], level)
    held = np.minimum(low, value), np.maximum(high, value)
    low, high = np.where(measured.comparable, held, np.nan)
    return low, high


_GAP_COLUMNS = [
    *("attribute", "metric", "gap", "low", "high", "best_group", "worst_group"),
    *("best_value", "worst_value", "eligible", "groups", "headline"),
]


def _gap_rows(measured: _Measured, settings: Settings) -> list[dict[str, Any]]:
    """Return one row a metric: the largest gap between the declared groups of an attribute."""
    counts = measured.counts[:-1]
    rows = counts.sum(axis=(-2, -1))
    gap_rows = []
    for name, metric in GAP_METRICS.items():
        values = metric(counts)
        eligible = rows >= settings.min_group
        if name != "accuracy":
            eligible &= measured.comparable[:-1]
        found = largest_gap(
            values, measured.replicates[name][:, :-1], eligible=eligible, level=settings.level
        )
        left_out = _left_out(rows, settings.min_group, found.eligible)
        gap_rows.append(
            {"attribute": measured.attribute, "metric": name}
            | _gap_row(found, values, measured.groups, left_out)
        )
    return gap_rows


def _gap_row(
    found: LargestGap, values: FloatArray, groups: Sequence[str], left_out: str
) -> dict[str, Any]:
    """Return the columns of one gap."""
    paired = found.best >= 0
    best_value = float(values[found.best]) if paired else math.nan
    worst_value = float(values[found.worst]) if paired else math.nan
    best_group = groups[found.best] if paired else None
    worst_group = groups[found.worst] if paired else None
    headline = f"{found.eligible} of {len(groups)} groups can be compared{left_out}: no gap to tell"
    if paired:
        headline = (
            f"{worst_group} {worst_value:.2f} vs {best_group} {best_value:.2f}: "
            f"{_gap_words(found)}; {_among(found.eligible, len(groups))}{left_out}"
        )
    return {
        "gap": found.gap,
        "low": found.low,
        "high": found.high,
        "best_group": best_group,
        "worst_group": worst_group,
        "best_value": best_value,
        "worst_value": worst_value,
        "eligible": found.eligible,
        "groups": len(groups),
        "headline": headline,
    }


def _gap_words(found: LargestGap) -> str:
    """Say the gap and whether it can be told from none."""
    if math.isnan(found.low):
        return f"gap {found.gap:.2f}, without an interval: cannot tell the groups apart"
    words = f"gap {found.gap:.2f} [{found.low:.2f}, {found.high:.2f}]"
    if found.low <= 0:
        words += "; interval includes 0: cannot tell the groups apart"
    return words


def _among(eligible: int, groups: int) -> str:
    """Say among how many groups the worst was sought."""
    return (
        f"worst of {eligible} of {groups} groups"
        if eligible < groups
        else f"worst of {groups} groups"
    )


def _left_out(rows: Array, min_group: int, eligible: int) -> str:
    """Say how many groups were left out and why; nothing where none was."""
    empty, small = int((rows == 0).sum()), int(((rows > 0) & (rows < min_group)).sum())
    sparse = len(rows) - eligible - empty - small
    reasons = [
        f"{small} too small to tell" if small else "",
        f"{empty} empty" if empty else "",
        f"{sparse} with too few persons, or rows of a class" if sparse else "",
    ]
    return "".join(f", {reason}" for reason in reasons if reason)


def _overall(rows: ScoredRows, whole: _Measured, table: pd.DataFrame) -> dict[str, Any]:
    """Return the metrics of all scored rows."""
    first = {str(name): value for name, value in table.iloc[0].items()}
    micro = float(metrics.micro(whole.counts[0]))
    skipped = {"attribute", "group", "share", "status"}
    area = math.nan if rows.scores is None else metrics.auroc(rows.labels, rows.scores)
    return (
        {"n": int(first["n"]), "unscored": rows.unscored}
        | {name: value for name, value in first.items() if name not in skipped}
        | {"micro_precision": micro, "micro_recall": micro, "micro_f1": micro, "auroc": area}
    )


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return a value in JSON's types; NaN becomes None."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
