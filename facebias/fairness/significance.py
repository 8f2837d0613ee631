"""Tests: are groups equal, which of many findings stand, what could this test set have shown.

A p-value says how often equal groups would look as different as these. It is not the chance that
they are equal, and a large one does not show that they are: beside it stands the smallest gap that
this test set would have found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from facebias.fairness.counts import PersonPatterns
from facebias.fairness.many_groups import MOST_PAIRED, largest_apart
from facebias.fairness.resampling import CountedGroups

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
Metric = Callable[[Array], FloatArray]

_CHUNK_NUMBERS = 2**20  # in an array of permuted tables: 8 MiB

_ROUNDING = 1e-12  # a difference or standard error below this is none

_STEP = 1e-4  # of a row, in the derivative of a metric; a filled cell has one or more


def holm(p: npt.ArrayLike) -> FloatArray:
    """Adjust p-values so that the chance of any false finding keeps its level.

    What is at most .05 stands: among all true null hypotheses of the family, in any dependence, one
    or more is rejected in at most 5 % of cases (Holm 1979, Scandinavian Journal of Statistics 6).

    Args:
        p: shape (M,), the family. NaN stays NaN and does not count as part of it.

    Returns:
        Shape (M,), in [0, 1], never below `p`.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    return _adjusted(p, lambda ordered, m: np.maximum.accumulate(ordered * (m - np.arange(m))))


def benjamini_hochberg(p: npt.ArrayLike) -> FloatArray:
    """Adjust p-values so that the share of false findings among all findings keeps its level.

    It finds more than Holm and promises less: of what is at most .05, at most 5 % are expected to
    be false, where the tests are independent or depend positively (Benjamini & Hochberg 1995, JRSS
    B 57; Benjamini & Yekutieli 2001, Annals of Statistics 29).

    Args:
        p: shape (M,), the family. NaN stays NaN and does not count as part of it.

    Returns:
        Shape (M,), in [0, 1], never below `p`.

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    return _adjusted(
        p,
        lambda ordered, m: np.minimum.accumulate((ordered * m / np.arange(1, m + 1))[::-1])[::-1],
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Test whether two models are right equally often on the same independent rows.

    Rows that both get right or both get wrong say nothing. Of the others, half should go to each:
    the p-value is the exact binomial one, two-sided (McNemar 1947, Psychometrika 12). Rows of one
    person are not independent; then it does not hold.

    Args:
        only_first: rows that only the first model gets right.
        only_second: rows that only the second gets right.

    Returns:
        The p-value; 1 where the models are never right apart.

    >>> round(mcnemar(10, 2), 4)
    0.0386
    """
    from scipy.special import bdtr

    apart = only_first + only_second
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), apart, 0.5))) if apart else 1.0


def smallest_detectable(
    standard_error: npt.ArrayLike, critical: npt.ArrayLike, power: float = 0.8
) -> FloatArray:
    """Return the smallest true gap that this test set would have told from 0.

    A gap counts as found where it is beyond `critical` standard errors, so a true gap of (critical
    + the quantile of `power`) standard errors is found with chance `power` (Bloom 1995, Evaluation
    Review 19). It depends on the size of the test set, hardly on what was found in it.

    Args:
        standard_error: of the gap, shape (...).
        critical: how many standard errors make a finding, shape (...): the quantile of max-t for
            the largest gap, 1.96 for a pair named beforehand at 95 %.
        power: in (0, 1).

    >>> round(float(smallest_detectable(0.02, 1.96)), 3)
    0.056
    """
    beyond = np.asarray(critical, dtype=np.float64) + NormalDist().inv_cdf(power)
    return np.asarray(beyond * np.asarray(standard_error, dtype=np.float64))


def expected_largest_gap(
    values: FloatArray, replicates: FloatArray, eligible: npt.NDArray[np.bool_]
) -> float:
    """Return the largest gap that groups as large as these would show if they were equal.

    The largest gap is a maximum: it is above 0 in equal groups too, and the more so the more and
    the smaller they are. Each group's replicates are moved to a common centre, and the largest gaps
    in them averaged.

    Args:
        values: shape (G,).
        replicates: shape (B, G), bootstrap replicates of the values.
        eligible: shape (G,), the groups that are compared.

    Returns:
        0 or more; NaN with fewer than two groups.
    """
    chosen = np.asarray(eligible, dtype=bool) & ~np.isnan(values)
    if chosen.sum() < 2:
        return math.nan
    noise = replicates[:, chosen] - values[chosen]
    return float(np.mean(np.fmax.reduce(noise, axis=1) - np.fmin.reduce(noise, axis=1)))


@dataclass(frozen=True)
class PermutationTest:
    """A test of "all these groups are equal in this metric".

    Attributes:
        p: in (0, 1]; NaN where there is no test.
        statistic: the largest difference of two groups in standard errors.
        permutations: how many were drawn.
        method: what was permuted: "permuted rows", "permuted rows within label", "permuted
            persons", "permuted persons within label" or "none".
        reason: why there is none; empty where there is one.
    """

    p: float
    statistic: float
    permutations: int
    method: str
    reason: str = ""


def permutation_test(
    counted: CountedGroups,
    metric: Metric,
    *,
    eligible: npt.NDArray[np.bool_],
    within_label: bool,
    permutations: int = 1000,
    further: int = 0,
    rng: np.random.Generator,
) -> PermutationTest:
    """Test whether groups are equal in a metric, by giving the rows' groups out anew.

    The statistic is the largest difference of two groups divided by its standard error, which is
    worked out anew in each permuted table. So the test is exact where the groups are alike in
    everything, and holds in large samples where they are equal in this metric but in nothing else,
    as with other mixes of labels (Janssen 1997, Statistics & Probability Letters 36; Chung & Romano
    2013, Annals of Statistics 41; of fairness metrics DiCiccio et al. 2020, KDD). Tables are drawn
    as such, so the time does not depend on the number of rows. Where a person has several rows,
    whole persons change groups.

    Args:
        counted: from `count_groups`.
        metric: function of counts (..., C, C) that gives (...), such as `metrics.accuracy`; the
            same for twice as many rows of each kind.
        eligible: shape (G,), the declared groups to compare.
        within_label: give groups out among rows of one label only, for metrics that are conditional
            on the label (recall, macro recall). Persons with rows of several labels are
            given out among all persons.
        permutations: how many.
        further: how many more, where none of these reached the observed statistic: small ones
            are worth finding among many tests (in two stages, as Besag & Clifford 1991, Biometrika
            78).
        rng: the generator to draw from.

    Returns:
        p = (1 + permuted statistics that reach the observed one) / (1 + permutations), all that
        were drawn (Phipson & Smyth 2010, Statistical Applications in Genetics 9). NaN where persons
        have rows in several groups: nothing can be given out anew.
    """
    values = metric(counted.counts[:-1])
    chosen = np.flatnonzero(eligible & ~np.isnan(values))
    if len(chosen) < 2:
        return PermutationTest(math.nan, math.nan, 0, "none", "fewer than two groups to compare")
    units = _units(counted, chosen, within_label)
    if units is None:
        return PermutationTest(math.nan, math.nan, 0, "none", "persons have rows in several groups")
    observed = float(_statistics(units.members[None], units, metric)[0])
    reached, drawn = _reached(observed, units, metric, permutations, rng), permutations
    if not reached:
        # It stays a p-value: below 2 / (1 + permutations) it says no more than all draws would,
        # and no p-value from the first ones is below that.
        reached, drawn = _reached(observed, units, metric, further, rng), permutations + further
    return PermutationTest((1 + reached) / (1 + drawn), observed, drawn, units.method)


def _reached(
    observed: float, units: _Units, metric: Metric, permutations: int, rng: np.random.Generator
) -> int:
    """Return how many of so many permuted statistics reach the observed one."""
    return sum(
        int((_statistics(members, units, metric) >= observed * (1 - 1e-9)).sum())
        for members in _permuted(units, permutations, rng)
    )


@dataclass(frozen=True, eq=False)
class _Units:
    """What changes groups: rows or persons, of K kinds that can stand in for one another."""

    members: Array  # (G, K), how many units of each kind each group has
    contents: Array  # (K, C * C), the rows of a unit of each kind
    strata: Array  # (K,), kinds among which groups are given out
    method: str


def _units(counted: CountedGroups, chosen: Array, within_label: bool) -> _Units | None:
    """Return the units of the chosen groups; None where a person is in several of them."""
    n_classes = counted.counts.shape[-1]
    if counted.patterns is None:
        members, name = counted.counts[chosen].reshape(len(chosen), -1), "rows"
        contents = np.eye(n_classes**2, dtype=np.int64)
    else:
        found = _persons_by_group(counted.patterns, chosen)
        if found is None:
            return None
        (members, contents), name = found, "persons"
    labels = contents.reshape(-1, n_classes, n_classes).any(axis=-1)
    if within_label and (labels.sum(axis=-1) == 1).all():
        return _Units(members, contents, labels.argmax(axis=-1), f"permuted {name} within label")
    return _Units(members, contents, np.zeros(len(contents)), f"permuted {name}")


def _persons_by_group(patterns: PersonPatterns, chosen: Array) -> tuple[Array, Array] | None:
    """Return how many persons of each kind each group has (G, K), and the kinds (K, C * C)."""
    n_groups, n_classes, _ = patterns.shape
    n_cells = n_classes**2
    place = np.full(n_groups, -1)
    place[chosen] = np.arange(len(chosen))
    groups = place[patterns.cells // n_cells]
    entries = groups >= 0
    contents = np.zeros((len(patterns.persons), n_cells), dtype=np.int64)
    where = patterns.patterns[entries], patterns.cells[entries] % n_cells
    np.add.at(contents, where, patterns.times[entries])
    group_of = np.full(len(patterns.persons), -1)
    group_of[where[0]] = groups[entries]
    if (group_of[where[0]] != groups[entries]).any():
        return None
    met = group_of >= 0
    kinds, kind = np.unique(contents[met], axis=0, return_inverse=True)
    members = np.zeros((len(chosen), len(kinds)), dtype=np.int64)
    np.add.at(members, (group_of[met], kind.ravel()), patterns.persons[met])
    return members, kinds


def _permuted(units: _Units, permutations: int, rng: np.random.Generator) -> Iterator[Array]:
    """Yield tables (b, G, K) of members with the sizes of groups and kinds kept."""
    from scipy.stats import random_table

    n_groups = len(units.members)
    pairs = n_groups**2 if n_groups <= MOST_PAIRED else 0
    step = max(1, _CHUNK_NUMBERS // max(units.members.size, pairs))
    tables = [
        (kinds, random_table(units.members[:, kinds].sum(1), units.members[:, kinds].sum(0)))
        for kinds in (units.strata == stratum for stratum in np.unique(units.strata))
    ]
    for start in range(0, permutations, step):
        size = min(step, permutations - start)
        drawn = np.zeros((size, *units.members.shape))
        for kinds, table in tables:
            drawn[..., kinds] = table.rvs(size, random_state=rng)
        yield drawn


def _statistics(members: Array, units: _Units, metric: Metric) -> FloatArray:
    """Return the largest difference of two groups in standard errors, (b,), of tables (b, G, K).

    Infinite where the metric is undefined in a permuted group: it counts as reached.
    """
    n_classes = math.isqrt(units.contents.shape[1])
    counts = (members @ units.contents).reshape(*members.shape[:2], n_classes, n_classes)
    slopes = sensitivities(metric, counts).reshape(*members.shape[:2], -1)
    # The variance of a sum over independent units, each with its share in the metric's deviation.
    errors = np.sqrt((members * (slopes @ units.contents.T) ** 2).sum(axis=-1))
    return _largest_studentised(metric(counts), errors)


def _largest_studentised(values: FloatArray, errors: FloatArray) -> FloatArray:
    """Return the largest |difference| / standard error of independent groups (b, G)."""
    if values.shape[-1] > MOST_PAIRED:
        return largest_apart(values, errors)
    first, second = np.triu_indices(values.shape[-1], 1)
    difference = np.abs(values[..., first] - values[..., second])
    error = np.hypot(errors[..., first], errors[..., second])
    # Without any spread, equal values are 0 errors apart and different ones infinitely many.
    scaled = np.where(difference > _ROUNDING, np.inf, 0.0)
    np.divide(difference, error, out=scaled, where=error > _ROUNDING)
    return np.asarray(np.where(np.isnan(scaled), np.inf, scaled).max(axis=-1))


def sensitivities(metric: Metric, counts: Array) -> FloatArray:
    """Return how much a metric changes for one row more in each cell: its derivative.

    The delta method needs it: the variance of the metric is the sum over independent units of the
    square of their cells' sum (Jaeckel 1972, the infinitesimal jackknife).

    Args:
        metric: function of counts (..., C, C) that gives (...).
        counts: shape (..., C, C).

    Returns:
        Shape (..., C, C); 0 in empty cells, which have no rows that could vary.
    """
    moved = np.array(counts, dtype=np.float64)
    here = metric(moved)
    slopes = np.zeros(moved.shape)
    for cell in np.ndindex(moved.shape[-2:]):
        moved[..., *cell] += _STEP
        slopes[..., *cell] = (metric(moved) - here) / _STEP
        moved[..., *cell] = counts[..., *cell]
    return np.where(np.asarray(counts) > 0, slopes, 0.0)


def _adjusted(p: npt.ArrayLike, adjust: Callable[[FloatArray, int], FloatArray]) -> FloatArray:
    """Adjust the defined p-values in ascending order, and put them back."""
    result = np.array(p, dtype=np.float64)
    family = np.flatnonzero(~np.isnan(result))
    order = family[np.argsort(result[family], kind="stable")]
    result[order] = np.minimum(adjust(result[order], len(order)), 1)
    return result
