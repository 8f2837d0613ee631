"""The groups of one attribute beside each other: who can be compared, and how they differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from facebias.fairness import metrics
from facebias.fairness.intervals import (
    UNDEFINED_LIMIT,
    Combinations,
    MaxT,
    Pairs,
    differences,
    max_t,
    means,
    spread_constant,
)
from facebias.fairness.many_groups import MOST_PAIRED, EveryPair, IndependentPairs, max_t_of_many
from facebias.fairness.measures import METRICS, Estimate, Parts, part_intervals
from facebias.fairness.resampling import CountedGroups
from facebias.fairness.settings import Settings
from facebias.fairness.significance import expected_largest_gap

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

GAP_METRICS = ("accuracy", "macro_recall", "macro_f1")
"""The metrics whose largest gaps are one family of tests; all pairs are compared in these."""

CLASS_GAP_METRICS = (
    *("recall", "precision", "f1", "false_positive_rate"),
    *("negative_predictive_value", "predicted_prevalence"),
)
"""Metrics of each class that are compared. Of the rates' complements the differences are equal."""

_OF_ALL_LABELS = frozenset({"precision", "f1", "negative_predictive_value", "predicted_prevalence"})
"""Metrics of a class that say nothing of a group whose rows all have one label."""

_NOTHING = 1e-12


@dataclass(frozen=True, eq=False)
class Comparison:
    """One metric (of one class) of the groups that can be compared.

    Attributes:
        metric: its name.
        place: of the class; None for a metric of the whole group.
        counts: shape (G, C, C), of the declared groups.
        mix: shape (C,), the rows of each label in all groups together.
        values: shape (G,), of the declared groups.
        replicates: shape (B, G).
        parts: of shape (G, 1, K): what the metric is the mean of.
        chosen: shape (k,), the groups with enough rows and a defined value, ascending.
        spread: how far the pairs of chosen groups vary together.
        left_out: how many of the groups were not chosen, and why.
        refused: why groups of this attribute must not be compared by this metric; empty: they may.
    """

    metric: str
    place: int | None
    counts: Array
    mix: Array
    values: FloatArray
    replicates: FloatArray
    parts: Parts
    chosen: Array
    spread: MaxT
    left_out: str
    refused: str

    @property
    def extremes(self) -> tuple[int, int] | None:
        """The groups of the largest and of the smallest value; None with fewer than two groups."""
        if len(self.chosen) < 2:
            return None
        ascending = self.chosen[np.argsort(self.values[self.chosen], kind="stable")]
        return int(ascending[-1]), int(ascending[0])

    @property
    def many(self) -> bool:
        """Whether there are too many groups to compare each pair by itself."""
        return len(self.chosen) > MOST_PAIRED

    @property
    def n_pairs(self) -> int:
        """How many pairs of groups can be compared."""
        return math.comb(len(self.chosen), 2)

    @property
    def highest(self) -> float:
        """The largest value of the chosen groups; NaN with fewer than two."""
        return math.nan if self.extremes is None else float(self.values[self.extremes[0]])

    @property
    def gap(self) -> float:
        """The largest difference between two groups; NaN with fewer than two."""
        found = self.extremes
        return math.nan if found is None else float(self.values[found[0]] - self.values[found[1]])


def compare_groups(
    counted: CountedGroups, estimates: Mapping[str, Estimate], settings: Settings
) -> list[Comparison]:
    """Find which groups can be compared in each metric and class, and how they vary together.

    Args:
        counted: from `count_groups`.
        estimates: from `estimate_groups`, of the same.
        settings: how groups are judged.
    """
    label_is_group = one_label_groups(counted, settings.min_class)
    return [
        _comparison(
            counted,
            estimates[metric],
            place,
            settings,
            label_is_group if metric in _OF_ALL_LABELS else "",
        )
        for metric in (*GAP_METRICS, *CLASS_GAP_METRICS)
        for place in range(estimates[metric].values.shape[1])
    ]


def one_label_groups(counted: CountedGroups, min_class: int) -> str:
    """Say that the label is the group itself, or a part of it; nothing where it is not.

    Of sex read off faces, groups by sex have one label each. How often a class is predicted, or
    how often that is right, then differs between groups for a perfect model too. A few mislabelled
    rows change nothing of that.

    Args:
        counted: from `count_groups`.
        min_class: rows of a label that a group needs to count as having it.
    """
    has = counted.counts[:-1].sum(axis=-1) >= min_class
    if has.sum(axis=-1).max(initial=0) != 1 or has.any(axis=0).sum() < 2:
        return ""
    return (
        f"every group of {counted.attribute} has one label only, the label is (part of) the group: "
        "a perfect model differs between them too; see recall and precision of each class in all"
    )


def pair_differences(
    compared: Comparison, first: Array, second: Array
) -> Combinations | IndependentPairs:
    """Return the differences of pairs of groups (P,); only their groups are looked at."""
    groups, one, other = _met(first, second)
    if compared.many:
        return IndependentPairs(_each_group(compared, groups), one, other)
    return _differences(_parts_of(compared, groups), one, other)


def listed_pairs(compared: Comparison, critical: float) -> tuple[Array, Array]:
    """Return first and second of the pairs that are listed, each (P,).

    All pairs of the groups that can be compared; of more than `MOST_PAIRED` groups for each group
    the one whose interval is farthest from 0.

    Args:
        compared: the groups.
        critical: how many standard errors the intervals reach to each side.
    """
    if compared.many:
        first, second = EveryPair(_each_group(compared, compared.chosen)).surest(critical)
    else:
        first, second = np.triu_indices(len(compared.chosen), 1)
    return compared.chosen[first], compared.chosen[second]


def _every_pair(compared: Comparison) -> Pairs:
    """Return all pairs of the groups that can be compared."""
    if compared.many:
        return EveryPair(_each_group(compared, compared.chosen))
    first, second = np.triu_indices(len(compared.chosen), 1)
    return _differences(_parts_of(compared, compared.chosen), first, second)


def _each_group(compared: Comparison, groups: Array) -> Combinations:
    """Return the values of these groups, each by itself."""
    parts = _parts_of(compared, groups)
    drawn, units = parts.replicates[:, :, 0], parts.units[:, 0]
    return means(parts.values[:, 0], drawn, units, by_person=parts.by_person)


def p_of_equality(compared: Sequence[Comparison], together: MaxT) -> float:
    """Return max-t's p-value of "all groups that can be compared are equal".

    Args:
        compared: metrics and classes in which they are.
        together: how far all their pairs vary together.
    """
    able = [each for each in compared if each.extremes is not None]
    return together.p_value([_every_pair(each) for each in able])


def pair_ratios(
    compared: Comparison, critical: float, first: Array, second: Array
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return second / first with low and high, each (P,).

    The bounds are the ratios r at which the interval of second - r first just touches 0 (MOVER-R;
    Donner & Zou 2012, Statistical Methods in Medical Research 21), so they hold 1 where that of the
    difference holds 0 (of persons nearly: degrees of freedom differ). There is no upper bound
    where the first value may be 0.
    """
    groups, one, other = _met(first, second)
    bounds = part_intervals(_parts_of(compared, groups), critical)
    low, high = (bound[:, 0] for bound in bounds)
    top, bottom = compared.values[second], compared.values[first]
    together: FloatArray = np.zeros(len(one))
    if not compared.many:
        together = _correlations(compared.replicates[:, groups])[one, other]
    below, above = top - low[other], high[other] - top
    spare, more = bottom - low[one], high[one] - bottom
    ratio = _divide(top, bottom)
    product = top * bottom - together * below * more
    root = _root(product, bottom**2 - more**2, top**2 - below**2)
    ratio_low = _divide(top**2 - below**2, product + root)
    product, scale = top * bottom - together * above * spare, bottom**2 - spare**2
    root = _root(product, scale, top**2 - above**2)
    bounded = low[one] > _NOTHING
    return ratio, ratio_low, _divide(np.where(bounded, product + root, np.nan), scale)


def standardised(compared: Comparison) -> FloatArray:
    """Return the value of each group had it the labels' mix of all rows, shape (G,)."""
    values = METRICS[compared.metric](metrics.with_label_mix(compared.counts, compared.mix))
    return np.asarray(values if compared.place is None else values[:, compared.place])


def between_groups(compared: Comparison) -> dict[str, float]:
    """Return what all groups together show: deviation and expected largest gap.

    The variance between the values is that between the groups plus what chance adds: the mean
    variance of a value less the mean covariance of two (DerSimonian & Laird 1986, Controlled
    Clinical Trials 7, for independent groups).
    """
    values, replicates = compared.values[compared.chosen], compared.replicates[:, compared.chosen]
    deviations, k = _deviations(replicates), len(values)
    # The sum of all variances, and that of all covariances: the variance of the groups' sum.
    own, whole = (deviations**2).sum(), (deviations.sum(axis=1) ** 2).sum()
    added = (own - (whole - own) / (k - 1)) / (k * (len(replicates) - 1))
    return {
        "deviation": math.sqrt(max(float(values.var(ddof=1)) - added, 0.0)),
        "expected": expected_largest_gap(values, replicates, np.ones(k, dtype=bool)),
    }


def _comparison(
    counted: CountedGroups, found: Estimate, place: int, settings: Settings, refused: str
) -> Comparison:
    """Compare the declared groups by a metric of the class at this place."""
    parts = Parts(
        found.parts.values[:-1, [place]],
        found.parts.replicates[:, :-1, [place]],
        found.parts.units[:-1, [place]],
        counted.by_person,
    )
    values = found.values[:-1, place]
    # A generator for each metric and class: which others are compared changes no number.
    rng = np.random.default_rng([settings.seed, crc32(found.metric.encode()), place])
    drawn, units = found.replicates[:, :-1, place], parts.units.min(axis=(1, 2))
    replicates = _with_spread(values, drawn, units, rng)
    undefined = np.isnan(parts.replicates).mean(axis=0).max(axis=(1, 2))
    usable = found.enough[:-1, place] & ~np.isnan(values) & (undefined <= UNDEFINED_LIMIT)
    chosen = np.flatnonzero(usable & (not refused))
    together = max_t if len(chosen) <= MOST_PAIRED else max_t_of_many
    return Comparison(
        found.metric,
        place if found.metric in metrics.BY_CLASS else None,
        counted.counts[:-1],
        counted.counts.sum(axis=(0, 2)),
        values,
        replicates,
        parts,
        chosen,
        together(values[chosen], replicates[:, chosen]),
        _left_out(counted, found, place, usable, settings.min_group),
        refused,
    )


def _with_spread(
    values: FloatArray, drawn: FloatArray, units: Array, rng: np.random.Generator
) -> FloatArray:
    """Give a spread to values of 0 and 1 that no replicate leaves; only these are drawn for."""
    edge = (values == 0) | (values == 1)
    if not edge.any():
        return drawn
    spread = np.array(drawn)
    spread[:, edge] = spread_constant(values[edge], drawn[:, edge], units[edge], rng)
    return spread


def _left_out(
    counted: CountedGroups, found: Estimate, place: int, usable: Array, min_group: int
) -> str:
    """Say how many groups were left out and why; nothing where none was."""
    rows = counted.counts[:-1].sum(axis=(-2, -1))
    empty = rows == 0
    small = ~empty & (found.rows[:-1, place] < min_group)
    reasons = {
        "too small to tell": small,
        "empty": empty,
        "with too few persons, or rows of a class": ~usable & ~empty & ~small,
    }
    return ", ".join(f"{which.sum()} {reason}" for reason, which in reasons.items() if which.any())


def _root(product: FloatArray, scale: FloatArray, rest: FloatArray) -> FloatArray:
    return np.sqrt(np.maximum(product**2 - scale * rest, 0))


def _divide(top: FloatArray, bottom: FloatArray) -> FloatArray:
    undefined = np.full(top.shape, np.nan)
    return np.asarray(np.divide(top, bottom, out=undefined, where=np.abs(bottom) > _NOTHING))


def _met(first: Array, second: Array) -> tuple[Array, Array, Array]:
    """Return the groups of pairs, ascending, and the places of first and second among them."""
    groups, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    return groups, places[: len(first)], places[len(first) :]


def _differences(parts: Parts, first: Array, second: Array) -> Combinations:
    """Return the differences of pairs of groups (P,), by their places."""
    drawn, units = parts.replicates[:, :, 0], parts.units[:, 0]
    shown = parts.values[:, 0], drawn, units, first, second
    return differences(*shown, by_person=parts.by_person)


def _parts_of(compared: Comparison, groups: Array) -> Parts:
    parts = compared.parts
    chosen = parts.values[groups], parts.replicates[:, groups], parts.units[groups]
    return Parts(*chosen, parts.by_person)


def _correlations(replicates: FloatArray) -> FloatArray:
    """Return how the replicates (B, G) of groups go together, (G, G); 0 where one never varies."""
    noise = _covariance(replicates)
    errors = np.sqrt(np.diag(noise))
    return np.nan_to_num(_divide(noise, errors[:, None] * errors), nan=0.0)


def _covariance(replicates: FloatArray) -> FloatArray:
    """Return the covariance of groups (G, G)."""
    deviations = _deviations(replicates)
    return np.asarray(deviations.T @ deviations / (len(replicates) - 1))


def _deviations(replicates: FloatArray) -> FloatArray:
    """Return the deviations from the mean (B, G); an undefined replicate does not deviate."""
    return np.asarray(np.nan_to_num(replicates - np.nanmean(replicates, axis=0), nan=0.0))
