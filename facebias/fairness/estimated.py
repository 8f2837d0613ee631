"""Groups that were estimated: how often the estimator is wrong, carried into values and intervals.

Where groups come from a model or an onlooker, a group's rows are a mixture of the true groups. With
M[t, e] = P(estimated e | true t), the counts of the estimated groups are expected to be those of
the true groups times M, so the true groups' are the estimated ones' times the inverse of M (the
matrix method; Barron 1977, Biometrics 33). It holds if the estimator errs alike whatever the label
is and whatever the model answers. Gaps between estimated groups are too small by its errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import DataError
from facebias.fairness import metrics
from facebias.fairness.influence import FloatArray, divide
from facebias.fairness.intervals import UNDEFINED_LIMIT, max_t, percentile_interval
from facebias.fairness.measures import MEASURE_COLUMNS
from facebias.fairness.resampling import (
    CountedGroups,
    bootstrap_counts,
    bootstrap_person_counts,
)
from facebias.fairness.settings import Settings
from facebias.fairness.significance import expected_largest_gap

Array = npt.NDArray[Any]

GAP_COLUMNS = (
    *("attribute", "metric", "first", "second", "first_value", "second_value", "difference"),
    *("low", "high", "method", "expected", "eligible", "groups", "reason"),
)

LARGEST_CONDITION = 1e4
"""A matrix whose inverse magnifies errors more than this tells nothing of the true groups."""


def _group_shares(counts: Array) -> FloatArray:
    """Return each group's share of the rows, shape (..., G)."""
    rows = counts.sum(axis=(-2, -1))
    return divide(rows, rows.sum(axis=-1, keepdims=True))


_METRICS: dict[str, Callable[[Array], FloatArray]] = {
    "share": _group_shares,
    "accuracy": metrics.accuracy,
    "macro_recall": metrics.macro_recall,
    "macro_f1": metrics.macro_f1,
}

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Misclassification:
    """How often an estimator takes one group for another.

    Attributes:
        attribute: what it estimates.
        groups: the declared groups, G.
        matrix: G rows of G shares, `matrix[true][estimated]`; each row adds up to 1.
        rows: of each true group, how many rows the shares were found on; None: they are known
            exactly. It is what makes the matrix itself uncertain.

    Raises:
        DataError: a matrix of another shape, with shares outside of 0..1, rows that do not add up
            to 1, or without an inverse to speak of; or rows that are not a number above 0 a group.
    """

    attribute: str
    groups: tuple[str, ...]
    matrix: FloatArray
    rows: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Check the matrix and the rows."""
        object.__setattr__(self, "matrix", _checked_matrix(self))
        if self.rows is not None and (len(self.rows) != len(self.groups) or min(self.rows) < 1):
            raise DataError(
                f"The misclassification of {self.attribute} was found on {list(self.rows)} rows.",
                f"{len(self.groups)} numbers above 0, one for each true group",
            )

    def draw(self, replicates: int, rng: np.random.Generator) -> FloatArray:
        """Return matrices that may as well be the true one, shape (B, G, G), or (1, G, G) if known.

        Rows are drawn from the Dirichlet posterior of their counts under Jeffreys' prior.
        """
        if self.rows is None:
            return self.matrix[None]
        drawn = [
            rng.dirichlet(shares * n + 0.5, size=replicates)
            for shares, n in zip(self.matrix, self.rows, strict=True)
        ]
        return np.stack(drawn, axis=1)


def _checked_matrix(given: Misclassification) -> FloatArray:
    """Return the matrix with rows that add up to 1 exactly."""
    what, n = f"The misclassification matrix of {given.attribute}", len(given.groups)
    wanted = f"{n} rows (true) of {n} shares (estimated), in the order {', '.join(given.groups)}"
    try:
        shares = np.asarray(given.matrix, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{what} is no table of numbers.", wanted) from None
    if shares.shape != (n, n):
        raise DataError(f"{what} has the shape {shares.shape}.", wanted)
    if not ((shares >= 0) & (shares <= 1)).all() or (np.abs(shares.sum(axis=1) - 1) > 1e-3).any():
        sums = ", ".join(f"{each:.4g}" for each in shares.sum(axis=1))
        raise DataError(
            f"{what} has rows that add up to {sums}.",
            "shares of 0 to 1 that add up to 1 in each row",
        )
    if np.linalg.cond(shares) > LARGEST_CONDITION:
        raise DataError(
            f"{what} cannot be inverted: it takes some true groups for others in the same shares.",
            "a matrix by which the true groups can be told apart",
            "Join the groups that the estimator cannot tell apart.",
        )
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def named_misclassification(
    attribute: str,
    groups: Sequence[str],
    shares: Mapping[str, Mapping[str, float]],
    rows: Mapping[str, int] | None = None,
) -> Misclassification:
    """Return the misclassification that is given by names.

    Args:
        attribute: what was estimated.
        groups: its declared groups.
        shares: true group: estimated group: share; what is not named is 0.
        rows: of each true group, how many rows the shares were found on; None: known exactly.

    Raises:
        DataError: true groups that are not the declared ones, estimated ones that are not declared,
            or what `Misclassification` refuses.

    >>> shares = {"f": {"f": 0.9, "m": 0.1}, "m": {"m": 1}}
    >>> named_misclassification("sex", ["f", "m"], shares).matrix.tolist()
    [[0.9, 0.1], [0.0, 1.0]]
    """
    if not isinstance(shares, Mapping) or not all(
        isinstance(each, Mapping) for each in shares.values()
    ):
        raise DataError(
            f"The misclassification of {attribute} is {shares!r}.",
            "{true group: {estimated group: share}}",
        )
    wanted, estimated = set(groups), {name for row in shares.values() for name in row}
    for what, names in (("rows", set(rows or wanted)), ("true groups", set(shares))):
        if names != wanted:
            raise DataError(
                f"The misclassification of {attribute} has {what} for {', '.join(names)}.",
                f"exactly the groups {', '.join(groups)}",
                "Give a row of shares for each true group.",
            )
    if not estimated <= wanted:
        raise DataError(
            f"The misclassification of {attribute} names the estimated groups "
            f"{', '.join(estimated - wanted)}.",
            f"groups out of {', '.join(groups)}",
        )
    matrix = np.array([[shares[true].get(name, 0.0) for name in groups] for true in groups])
    found = None if rows is None else tuple(rows[name] for name in groups)
    return Misclassification(attribute, tuple(groups), matrix, found)


def corrected_counts(counts: Array, matrix: FloatArray) -> FloatArray:
    """Return the counts that the true groups are expected to have, by those of the estimated ones.

    Args:
        counts: shape (..., G, C, C), by estimated group.
        matrix: shape (..., G, G), see `Misclassification`.

    Returns:
        Shape (..., G, C, C), by true group; not integers, and below 0 where few rows scatter.
    """
    shape = (*counts.shape[:-3], counts.shape[-3], counts.shape[-2] * counts.shape[-1])
    flat = counts.reshape(shape).astype(np.float64)
    true = np.linalg.solve(np.swapaxes(matrix, -1, -2), flat)
    return np.asarray(true.reshape(*true.shape[:-1], *counts.shape[-2:]), dtype=np.float64)


def estimated_measures(
    counted: CountedGroups, misclassification: Misclassification, settings: Settings
) -> pd.DataFrame:
    """Measure the true groups of an attribute that was estimated.

    The bootstrap draws all rows (persons, where they have several) together and, where it was found
    on so many rows, the matrix too. Rows whose group nobody estimated are left out.

    Args:
        counted: the estimated groups, from `count_groups`.
        misclassification: of the same attribute and groups.
        settings: how groups are judged.

    Returns:
        The columns of `facebias.fairness.measures.measure_groups`; metric is "share" (of the true
        group among the rows), "accuracy", "macro_recall" or "macro_f1"; n and units are of the
        estimated group; method is "misclassification, percentiles", the same with ", by person", or
        "none". A value that no true group can have is undefined, and `status` says that the matrix
        does not fit.

    Raises:
        DataError: a misclassification of another attribute or of other groups.
    """
    true, drawn = _corrected(counted, misclassification, settings)
    parts = [
        _measured(counted, name, _possible(metric, true), _possible(metric, drawn), settings)
        for name, metric in _METRICS.items()
    ]
    return pd.concat(parts, ignore_index=True)[list(MEASURE_COLUMNS)]


def estimated_gaps(
    counted: CountedGroups, misclassification: Misclassification, settings: Settings
) -> pd.DataFrame:
    """Find the largest gap between the true groups of an attribute that was estimated.

    Its interval holds for all pairs at once, see `facebias.fairness.intervals.max_t`.

    Args:
        counted: the estimated groups, from `count_groups`.
        misclassification: of the same attribute and groups.
        settings: how groups are judged; groups of fewer than `min_group` estimated rows are left
            out.

    Returns:
        A row for accuracy, macro_recall and macro_f1: attribute, metric, first and second (the best
        and the worst group), first_value, second_value, difference, low, high, method
        ("misclassification, max-t", the same with ", by person", or "none"), expected (the largest
        gap that equal groups would show), eligible (groups that were compared), groups (declared)
        and reason (why there is no gap; "" where there is one).

    Raises:
        DataError: a misclassification of another attribute or of other groups.
    """
    true, drawn = _corrected(counted, misclassification, settings)
    compared = {name: metric for name, metric in _METRICS.items() if name != "share"}
    return pd.DataFrame(
        [
            {"attribute": counted.attribute, "metric": name, "groups": len(counted.groups)}
            | _gap(counted, _possible(metric, true), _possible(metric, drawn), settings)
            for name, metric in compared.items()
        ]
    )[list(GAP_COLUMNS)]


def _gap(
    counted: CountedGroups, values: FloatArray, drawn: FloatArray, settings: Settings
) -> dict[str, Any]:
    """Return the largest gap of values (G,) with replicates (B, G)."""
    large = counted.counts[:-1].sum(axis=(-2, -1)) >= settings.min_group
    fits = (values > -_ROUNDING) & (values < 1 + _ROUNDING)
    chosen = large & fits & (np.isnan(drawn).mean(axis=0) <= UNDEFINED_LIMIT)
    nothing = dict.fromkeys(("first_value", "second_value", "difference", "low", "high"), np.nan)
    row = {"first": None, "second": None, **nothing, "method": "none", "expected": np.nan}
    row |= {"eligible": int(chosen.sum()), "reason": "fewer than two groups can be compared"}
    if chosen.sum() < 2:
        return row
    best = int(np.where(chosen, values, -np.inf).argmax())
    worst = int(np.where(chosen, values, np.inf).argmin())
    return row | {
        "first": counted.groups[best],
        "second": counted.groups[worst],
        "first_value": float(values[best]),
        "second_value": float(values[worst]),
        "expected": expected_largest_gap(values, drawn, chosen),
        "reason": "",
        **_gap_bounds(values, drawn, chosen, (best, worst), settings.level),
        "method": f"misclassification, max-t{', by person' * counted.by_person}",
    }


def _gap_bounds(
    values: FloatArray, drawn: FloatArray, chosen: Array, pair: tuple[int, int], level: float
) -> dict[str, float]:
    """Return the difference of a pair of groups, low and high."""
    difference = float(values[pair[0]] - values[pair[1]])
    error = float(np.nanstd(drawn[:, pair[0]] - drawn[:, pair[1]], ddof=1))
    half = max_t(values[chosen], drawn[:, chosen]).critical(level) * error
    low, high = max(difference - half, -1.0), min(difference + half, 1.0)
    return {"difference": difference, "low": low, "high": high}


def _corrected(
    counted: CountedGroups, misclassification: Misclassification, settings: Settings
) -> tuple[FloatArray, FloatArray]:
    """Return the true groups' counts (G, C, C), and replicates (B, G, C, C)."""
    _check_same_groups(counted, misclassification)
    rng = np.random.default_rng(settings.seed)
    matrices = misclassification.draw(settings.replicates, rng)
    true = corrected_counts(counted.counts[:-1], misclassification.matrix)
    return true, corrected_counts(_draw(counted, settings, rng), matrices)


def _check_same_groups(counted: CountedGroups, misclassification: Misclassification) -> None:
    theirs = (misclassification.attribute, misclassification.groups)
    if theirs != (counted.attribute, counted.groups):
        raise DataError(
            f"The misclassification matrix is of {theirs[0]} ({', '.join(theirs[1])}).",
            f"one of {counted.attribute} ({', '.join(counted.groups)}), in this order",
        )


def _draw(counted: CountedGroups, settings: Settings, rng: np.random.Generator) -> Array:
    """Return replicates of the estimated groups' counts (B, G, C, C), their sizes varying too."""
    if counted.patterns is not None:
        return bootstrap_person_counts(counted.patterns, settings.replicates, rng)[:, :-1]
    known = counted.counts[:-1]
    together = bootstrap_counts(known.reshape(1, -1, known.shape[-1]), settings.replicates, rng)
    return together.reshape(-1, *known.shape)


def _possible(metric: Callable[[Array], FloatArray], counts: FloatArray) -> FloatArray:
    """Return a metric of counts (..., G, C, C); NaN for a group with no rows, or more than all."""
    shares = _group_shares(counts)
    return np.where((shares > 0) & (shares < 1 + _ROUNDING), metric(counts), np.nan)


def _measured(
    counted: CountedGroups, name: str, values: FloatArray, drawn: FloatArray, settings: Settings
) -> pd.DataFrame:
    """Return one metric of every true group."""
    rows = counted.counts[:-1].sum(axis=(-2, -1))
    fits = (values > -_ROUNDING) & (values < 1 + _ROUNDING)
    # A replicate may scatter past what a share can be; its nearest possible value is kept.
    low, high = percentile_interval(np.clip(drawn, 0, 1), settings.level)
    status = np.where(rows < settings.min_group, "too small", "ok").astype(object)
    status[~fits] = "undefined: the misclassification matrix does not fit these rows"
    status[rows == 0] = "empty"
    kept = fits & (rows > 0)
    known = kept & ~np.isnan(low)
    way = "percentiles, by person" if counted.by_person else "percentiles"
    return pd.DataFrame(
        {
            "attribute": counted.attribute,
            "group": list(counted.groups),
            "metric": name,
            "class": np.full(len(rows), None, dtype=object),
            "value": np.where(kept, np.clip(values, 0, 1), np.nan),
            "low": np.where(known, low, np.nan),
            "high": np.where(known, high, np.nan),
            "method": np.where(known, f"misclassification, {way}", "none").astype(object),
            "n": rows,
            "units": counted.units[:-1],
            "status": status,
        }
    )
