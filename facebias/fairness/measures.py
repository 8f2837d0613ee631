"""Every metric of every group, with its interval, in one long table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.fairness import metrics
from facebias.fairness.counts import PersonPatterns, distinct
from facebias.fairness.intervals import means, normal_critical, wilson_interval
from facebias.fairness.predictions import UNKNOWN
from facebias.fairness.resampling import CountedGroups
from facebias.fairness.settings import Settings

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MEASURE_COLUMNS = (
    *("attribute", "group", "metric", "class", "value", "low", "high", "method"),
    *("n", "units", "status"),
)

METRICS = metrics.AVERAGES | metrics.BY_CLASS

MACRO = {"macro_precision": "precision", "macro_recall": "recall", "macro_f1": "f1"}
"""Macro averages, and what they average over classes."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The shares that a metric is the mean of: a recall alone, a macro recall of C classes.

    Attributes:
        values: shape (G + 1, M, K), in [0, 1]; NaN where a part is left out of the mean.
        replicates: shape (B, G + 1, M, K).
        units: shape (G + 1, M, K), the independent units (persons, or rows) behind each.
        by_person: whether units are persons.
    """

    values: FloatArray
    replicates: FloatArray
    units: Array
    by_person: bool


@dataclass(frozen=True, eq=False)
class Estimate:
    """One metric of every group of an attribute, the unknown one last, with its replicates.

    M is 1 for a metric of the whole group, and C for a metric of each class.

    Attributes:
        metric: its name.
        values: shape (G + 1, M); NaN where undefined.
        replicates: shape (B, G + 1, M).
        parts: what it is the mean of.
        hits: shape (G + 1, M), of a metric that is hits / rows; None for others.
        rows: shape (G + 1, M), the rows behind the value.
        units: shape (G + 1, M), the independent units behind it.
        enough: shape (G + 1, M), whether there are enough rows to compare groups by it.
    """

    metric: str
    values: FloatArray
    replicates: FloatArray
    parts: Parts
    hits: Array | None
    rows: Array
    units: Array
    enough: Flags


def estimate_groups(
    counted: CountedGroups, settings: Settings, names: Iterable[str] = tuple(METRICS)
) -> dict[str, Estimate]:
    """Evaluate metrics in every group and replicate.

    Args:
        counted: from `count_groups`.
        settings: its `min_group` and `min_class` are used. A share enters comparisons where
            `min_group` rows are behind it, a macro average where every class of the test set has
            `min_class` rows too.
        names: of `METRICS`.

    Returns:
        By their names.
    """
    return {metric: _estimate(counted, metric, settings) for metric in names}


def measure_groups(
    counted: CountedGroups,
    estimates: Mapping[str, Estimate],
    classes: Sequence[str],
    settings: Settings,
) -> pd.DataFrame:
    """Return every metric of every group of one attribute.

    A share (accuracy, recall, precision, the rates, prevalences) of independent rows gets Wilson's
    interval, and where persons are resampled Wilson's with as many rows as their bootstrap's
    spread stands for. F1, weighted and macro averages are read as such shares, or means of them,
    see `facebias.fairness.intervals.Combinations`, and so is half of kappa + 1.

    Args:
        counted: from `count_groups`.
        estimates: from `estimate_groups`, of the same.
        classes: the C class names.
        settings: how groups are judged.

    Returns:
        A row a metric, class and group: attribute, group, metric, class (None for averages), value
        (0..1, kappa -1..1; NaN where undefined), low, high, method ("wilson" or "combined shares",
        with ", by person" where persons were resampled; or "none"), n (rows behind the value: of a
        recall, those of the class), units (persons, or rows, behind it), status:
        "ok"; "too small" (fewer than `min_group` rows behind it), "too few of a class" (macro:
        fewer than `min_class`), "empty" (the group has no rows), "undefined" (nothing to divide
        by), "unknown" (rows without a recorded group, outside of gaps).
    """
    parts = [_measures(counted, found, classes, settings) for found in estimates.values()]
    columns = {
        name: np.concatenate([part[name] for part in parts])
        for name in MEASURE_COLUMNS
        if name != "attribute"
    }
    table = pd.DataFrame({"attribute": counted.attribute} | columns)
    unknown = counted.counts[-1].any()
    return table if unknown else table[table["group"] != UNKNOWN].reset_index(drop=True)


def required_classes(counted: CountedGroups) -> Flags:
    """Return which classes the test set has, shape (C,)."""
    return np.asarray(counted.counts.sum(axis=(0, 2)) > 0)


def _estimate(counted: CountedGroups, metric: str, settings: Settings) -> Estimate:
    """Evaluate one metric in every group and replicate."""
    hits, rows = _hits_and_rows(counted.counts, metric)
    units = _units_behind(counted, metric, rows)
    values, drawn = (_by_class(METRICS[metric](each), metric) for each in _counts(counted))
    enough = rows >= settings.min_group
    if metric in MACRO:
        parts = _macro_parts(counted, metric)
        # Over fewer classes it would be another quantity.
        drawn = np.where(np.isnan(parts.replicates).any(axis=-1), np.nan, drawn)
        enough &= _every_class(counted, settings.min_class)[:, None]
    else:
        each = values[..., None], drawn[..., None], units[..., None]
        parts = Parts(*each, counted.by_person)
    return Estimate(metric, values, drawn, parts, hits, rows, units, enough)


def _by_class(values: Array, metric: str) -> Array:
    """Return (..., K): a metric of the whole group gets an axis of one."""
    return values if metric in metrics.BY_CLASS else values[..., None]


def _hits_and_rows(counts: Array, metric: str) -> tuple[Array | None, Array]:
    """Return hits (None where the metric is no share) and the rows behind, (G + 1, K)."""
    if metric in metrics.SHARES:
        hits, rows = metrics.share_parts(metric, counts)
        return _by_class(hits, metric), _by_class(rows, metric)
    if metric == "f1":
        right = np.diagonal(counts, axis1=-2, axis2=-1)
        return None, counts.sum(axis=-1) + counts.sum(axis=-2) - right
    return None, counts.sum(axis=(-2, -1))[:, None]


def _counts(counted: CountedGroups) -> tuple[Array, Array]:
    """Return the counts and their replicates."""
    return counted.counts, counted.drawn


def _macro_parts(counted: CountedGroups, metric: str) -> Parts:
    """Return the classes' values that a macro average is the mean of."""
    function = metrics.BY_CLASS[MACRO[metric]]
    required = required_classes(counted)
    values, drawn = (
        of_seen_classes(function, each)[..., None, required] for each in _counts(counted)
    )
    units = counted.class_units[:, None, required]
    return Parts(values, drawn, units, counted.by_person)


def of_seen_classes(function: Callable[[Array], FloatArray], counts: Array) -> FloatArray:
    """Return a metric of each class, 0 where it is undefined; NaN without true rows.

    Args:
        function: one of `facebias.fairness.metrics.BY_CLASS`.
        counts: shape (..., C, C).

    Returns:
        Shape (..., C).
    """
    return np.where(metrics.support(counts) > 0, np.nan_to_num(function(counts)), np.nan)


def _every_class(counted: CountedGroups, min_class: int) -> Flags:
    """Return whether each group has so many rows of every class of the test set."""
    rows = counted.counts.sum(axis=-1)[:, required_classes(counted)]
    return np.asarray((rows >= min_class).all(axis=-1))


def _units_behind(counted: CountedGroups, metric: str, rows: Array) -> Array:
    """Return the independent units behind each value, (G + 1, K)."""
    if counted.patterns is None:
        return rows
    n_classes = counted.counts.shape[-1]
    behind: dict[str, Callable[[PersonPatterns], Array]] = {
        "recall": partial(_persons_with, axis=1),
        "false_negative_rate": partial(_persons_with, axis=1),
        "false_positive_rate": partial(_persons_with, axis=1, other=True),
        "true_negative_rate": partial(_persons_with, axis=1, other=True),
        "precision": partial(_persons_with, axis=2),
        "negative_predictive_value": partial(_persons_with, axis=2, other=True),
    }
    if metric in behind:
        return behind[metric](counted.patterns)
    if metric == "f1":
        return np.maximum(_persons_with(counted.patterns, 1), _persons_with(counted.patterns, 2))
    return np.tile(counted.units[:, None], n_classes if metric in metrics.BY_CLASS else 1)


def _persons_with(patterns: PersonPatterns, axis: int, *, other: bool = False) -> Array:
    """Count the persons of each group with a row of each label (axis 1) or prediction (axis 2).

    Args:
        patterns: the persons' counts.
        axis: of (G, C, C).
        other: count those with a row of any other class instead.

    Returns:
        Shape (G, C).
    """
    n_groups, n_classes, _ = patterns.shape
    places = np.unravel_index(patterns.cells, patterns.shape)
    n_patterns = max(len(patterns.persons), 1)
    # The classes that each pattern has in each group, each once.
    kinds = (places[0] * n_patterns + patterns.patterns) * n_classes + places[axis]
    owners, classes = np.divmod(distinct(np.sort(kinds)), n_classes)
    groups, members = np.divmod(owners, n_patterns)
    persons = patterns.persons[members]
    if not other:
        return _add_up(groups, classes, persons, (n_groups, n_classes))
    _, first, n_kinds = np.unique(owners, return_index=True, return_counts=True)
    everyone = np.bincount(groups[first], persons[first], n_groups).astype(np.int64)
    only = first[n_kinds == 1]
    alone = _add_up(groups[only], classes[only], persons[only], (n_groups, n_classes))
    return everyone[:, None] - alone


def _add_up(groups: Array, classes: Array, persons: Array, shape: tuple[int, int]) -> Array:
    """Return the sum of persons in each place of (G, C)."""
    total = np.zeros(shape, dtype=np.int64)
    np.add.at(total, (groups, classes), persons)
    return total


def _measures(
    counted: CountedGroups, found: Estimate, classes: Sequence[str], settings: Settings
) -> dict[str, Array]:
    """Return the columns of one metric's rows, class by class."""
    low, high, method = _intervals(counted, found, settings.level)
    groups = np.array([*counted.groups, UNKNOWN], dtype=object)
    named = np.array(classes if found.metric in metrics.BY_CLASS else [None], dtype=object)
    columns = {
        "value": found.values,
        "low": low,
        "high": high,
        "method": method,
        "n": found.rows,
        "units": found.units,
        "status": _statuses(counted, found, settings),
    }
    return {
        "group": np.tile(groups, len(named)),
        "metric": np.full(found.values.size, found.metric, dtype=object),
        "class": np.repeat(named, len(groups)),
        **{name: column.T.ravel() for name, column in columns.items()},
    }


def _intervals(
    counted: CountedGroups, found: Estimate, level: float
) -> tuple[FloatArray, FloatArray, Array]:
    """Return low, high and the method's name, each (G + 1, M)."""
    if found.hits is not None and not counted.by_person:
        name, (low, high) = "wilson", wilson_interval(found.hits, found.rows, level)
    elif found.metric == "kappa":  # may be below 0, so it is no share
        name, (low, high) = "combined shares", _kappa_intervals(found.parts, normal_critical(level))
    else:
        name = "combined shares" if found.hits is None else "wilson"
        low, high = part_intervals(found.parts, normal_critical(level))
    if found.metric in MACRO:
        low, high = np.where(found.enough, (low, high), np.nan)
    method = np.full(low.shape, f"{name}, by person" if counted.by_person else name, dtype=object)
    method[np.isnan(low)] = "none"
    return low, high, method


def _kappa_intervals(parts: Parts, critical: float) -> tuple[FloatArray, FloatArray]:
    """Return the interval of (kappa + 1) / 2, which is 0 to 1 as a share is, on kappa's scale."""
    halved = replace(parts, values=(parts.values + 1) / 2, replicates=(parts.replicates + 1) / 2)
    low, high = part_intervals(halved, critical)
    return 2 * low - 1, 2 * high - 1


def part_intervals(parts: Parts, critical: float) -> tuple[FloatArray, FloatArray]:
    """Return low and high of the means of the parts, each (G + 1, M).

    Args:
        parts: of an estimate.
        critical: how many standard errors to each side.
    """
    *shape, n_parts = parts.values.shape
    combined = means(
        parts.values.reshape(-1, n_parts),
        parts.replicates.reshape(len(parts.replicates), -1, n_parts),
        parts.units.reshape(-1, n_parts),
        by_person=parts.by_person,
    )
    low, high = combined.interval(critical)
    return low.reshape(shape), high.reshape(shape)


def _statuses(counted: CountedGroups, found: Estimate, settings: Settings) -> Array:
    """Return the status of each value, (G + 1, K)."""
    status = np.full(found.values.shape, "ok", dtype=object)
    status[~found.enough] = "too few of a class" if found.metric in MACRO else "too small"
    status[found.rows < settings.min_group] = "too small"
    status[np.isnan(found.values)] = "undefined"
    status[counted.counts.sum(axis=(-2, -1)) == 0] = "empty"
    status[-1] = UNKNOWN
    return status
