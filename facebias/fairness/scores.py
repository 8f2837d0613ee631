"""Metrics of scores by group: AUROC, log loss, Brier score, calibration.

All need the rows themselves. Undefined is NaN, and `status` says why. Log loss is infinite where
the true class of a row had the probability 0; `status` says in how many rows, and nothing is
clipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.fairness.auroc import (
    Areas,
    area_interval,
    group_areas,
    macro_area,
)
from facebias.fairness.calibration import (
    BINNINGS,
    Binned,
    bin_rows,
    calibrated_errors,
    calibration_error,
)
from facebias.fairness.influence import (
    FloatArray,
    GroupUnits,
    Orders,
    divide,
    group_means,
    group_units,
)
from facebias.fairness.intervals import percentile_interval, student_interval, wilson_interval
from facebias.fairness.measures import MEASURE_COLUMNS
from facebias.fairness.predictions import UNKNOWN, GroupCodes, ScoredRows
from facebias.fairness.settings import Settings

Array = npt.NDArray[Any]

SUM_TOLERANCE = 1e-3
"""How far from 1 the probabilities of a row may add up."""

_CURVES = [
    "attribute",
    "group",
    "class",
    "binning",
    "bin",
    "n",
    "confidence",
    "share",
    "low",
    "high",
]


def score_orders(rows: ScoredRows) -> Orders:
    """Sort the rows by the score of each class and of the predicted one, once for all attributes.

    Args:
        rows: N scored rows.

    Returns:
        Shape (C + 1, N), the rows by ascending score; the last is that of the predicted class.
        Shape (1, 0) without scores.
    """
    if rows.scores is None:
        return np.empty((1, 0), dtype=np.int32)
    columns = [*rows.scores.T, _confidence(rows)]
    return np.stack([np.argsort(np.nan_to_num(each)).astype(np.int32) for each in columns])


def score_measures(
    rows: ScoredRows,
    codes: GroupCodes,
    classes: Sequence[str],
    settings: Settings,
    *,
    orders: Orders | None = None,
) -> pd.DataFrame:
    """Measure the scores of every group of one attribute.

    | metric | what | interval |
    |---|---|---|
    | auroc | each class against the rest, and the mean over classes | "delong" or "newcombe" |
    | log_loss | mean of -ln p of the true class, 0 to infinity | "student" |
    | brier | mean over rows of the squared differences of p and truth, added up over classes, 0..2
      (Brier 1950, Monthly Weather Review 78) | "student" |
    | ece_equal_width, ece_equal_mass | calibration error of the predicted class, 0..1 | "none": see
      the next |
    | ..._if_calibrated | what a perfectly calibrated model of the same scores would show: mean and
      the middle 95 % (`settings.level`) of simulated test sets | "simulation" |

    Where persons have several rows, the methods end in ", by person". Macro AUROC gets an interval
    where the group has `min_class` rows of every class of the test set, that of a class where it
    has as many of the class and of the rest.

    Args:
        rows: the scored rows.
        codes: the group of each row.
        classes: the declared classes.
        settings: how groups are judged.
        orders: from `score_orders`, to sort once for several attributes.

    Returns:
        A row a group and metric: attribute, group (the unknown one where there are any), metric,
        class (None for what is of all), value, low, high, method, n, units and status as in
        `facebias.fairness.measures.measure_groups`, with the reason where the value is undefined or
        infinite ("undefined: no rows of ..."). No row where the predictions have no scores.
    """
    if rows.scores is None:
        return pd.DataFrame(columns=list(MEASURE_COLUMNS))
    scored = _ScoredGroups(rows, codes, settings, orders)
    parts = [*scored.areas(classes), *scored.losses(), *scored.calibration()]
    table = _frame(scored, parts)
    known = table["group"].to_numpy() != UNKNOWN
    return table[known | (table["n"].to_numpy() > 0)][list(MEASURE_COLUMNS)].reset_index(drop=True)


def reliability(
    rows: ScoredRows,
    codes: GroupCodes,
    classes: Sequence[str],
    settings: Settings,
    *,
    orders: Orders | None = None,
) -> pd.DataFrame:
    """Return reliability curves: how often came true what was given a score?

    Args:
        rows: the scored rows.
        codes: the group of each row.
        classes: the declared classes.
        settings: its `level` is used.
        orders: from `score_orders`, to sort once for several attributes.

    Returns:
        A row a bin with rows: attribute, group, class (None: the predicted class, whatever it is),
        binning, bin (from 0), n, confidence (mean score), share (of rows for which it came true)
        and low, high (Wilson's interval of the share; of fewer rows by the design effect where
        persons have several). Groups whose scores are no probabilities have no rows.
    """
    if rows.scores is None:
        return pd.DataFrame(columns=_CURVES)
    scored = _ScoredGroups(rows, codes, settings, orders)
    parts = [
        _curve(scored, name, binning, scored.binned(number, binning))
        for number, name in enumerate([*classes, None])
        for binning in BINNINGS
    ]
    return pd.concat(parts, ignore_index=True)[_CURVES]


class _ScoredGroups:
    """The rows of one attribute with their scores, and what can be said of each group.

    Attributes:
        names: of the G declared groups, and the unknown one.
        n: shape (G + 1,), rows.
        units: the rows by group and unit.
    """

    def __init__(
        self, rows: ScoredRows, codes: GroupCodes, settings: Settings, orders: Orders | None
    ) -> None:
        self.attribute, self.names = codes.attribute, [*codes.groups, UNKNOWN]
        self.units = group_units(codes.codes, rows.persons, len(self.names))
        self.labels, self.predicted, self.settings = rows.labels, rows.predicted, settings
        raw = np.empty((0, 0)) if rows.scores is None else rows.scores
        self.scores = np.nan_to_num(raw, posinf=0, neginf=0)
        self.orders: Sequence[Orders | None] = (
            [None] * (raw.shape[1] + 1) if orders is None else list(orders)
        )
        self.n = np.bincount(codes.codes, minlength=len(self.names))
        self.n_units = np.bincount(self.units.unit_groups, minlength=len(self.names))
        finite = np.asarray(np.isfinite(raw).all(axis=1))
        sums = np.abs(self.scores.sum(axis=1) - 1) <= SUM_TOLERANCE
        probable = finite & sums & np.asarray((self.scores >= 0).all(axis=1))
        self.unscored = self.units.sums(~finite)
        self.improbable = self.units.sums(np.asarray(~probable))

    def statuses(self, improbable: bool = True) -> tuple[npt.NDArray[np.bool_], list[str]]:
        """Return which groups are defined, and the status of each."""
        bad = self.improbable if improbable else self.unscored
        said = "have no probabilities that add up to one" if improbable else "lack scores"
        defined = (bad == 0) & (self.n > 0)
        small = ["too small" if n < self.settings.min_group else "ok" for n in self.n]
        small[-1] = UNKNOWN
        words = [
            "empty"
            if not n
            else f"undefined: {int(wrong)} of {n} rows {said}"
            if wrong
            else small[place]
            for place, (n, wrong) in enumerate(zip(self.n, bad, strict=True))
        ]
        return defined, words

    def areas(self, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the macro AUROC, then that of each class."""
        found = []
        for number in range(len(classes)):
            is_class = self.labels == number
            of_class = self.scores[:, number]
            found.append(group_areas(is_class, of_class, self.units, self.orders[number]))
        support = np.stack(
            [self.units.sums(self.labels == k) for k in range(len(classes))], axis=-1
        )
        tested = support.sum(axis=0) > 0
        enough = (support >= self.settings.min_class) | ~tested
        why = "undefined: rows of fewer than two classes"
        yield self._area(_macro(found, self.units), None, enough.all(axis=-1), why)
        for number, name in enumerate(classes):
            rest = self.n - support[:, number]
            least = np.minimum(support[:, number], rest)
            why = f"undefined: no rows of {name}, or of another class"
            yield self._area(found[number], name, least >= self.settings.min_class, why)

    def _area(
        self, found: Areas, name: str | None, enough: npt.NDArray[np.bool_], why: str
    ) -> dict[str, Any]:
        defined, words = self.statuses(improbable=False)
        low, high, methods = area_interval(found, self.settings.level)
        sure = defined & enough
        missing = defined & np.isnan(found.values)
        words = [
            why if gone else "too few of a class" if word == "ok" and not plenty else word
            for gone, plenty, word in zip(missing, enough, words, strict=True)
        ]
        return {
            "metric": "auroc",
            "class": name,
            "value": np.where(defined, found.values, np.nan),
            "low": np.where(sure, low, np.nan),
            "high": np.where(sure, high, np.nan),
            "method": self.methods(np.where(sure, methods, "none")),
            "status": words,
        }

    def methods(self, names: Array) -> list[str]:
        """Say of each method whether it is of persons."""
        ending = ", by person" if self.units.by_person else ""
        return [name if name == "none" else f"{name}{ending}" for name in map(str, names)]

    def losses(self) -> Iterator[dict[str, Any]]:
        """Yield log loss and Brier score."""
        of_truth = self.scores[np.arange(len(self.labels)), self.labels]
        impossible = of_truth <= 0
        logarithms = -np.log(np.where(impossible, 1.0, of_truth))
        yield self._loss("log_loss", logarithms, self.units.sums(impossible))
        squares = (self.scores**2).sum(axis=1) + 1 - 2 * of_truth
        yield self._loss("brier", squares, np.zeros(len(self.names)))

    def _loss(self, metric: str, values: FloatArray, impossible: FloatArray) -> dict[str, Any]:
        """Return the mean of values (N,); infinite in groups with impossible rows (G,)."""
        defined, words = self.statuses()
        means, errors = group_means(values, self.units)
        deviations = errors * np.sqrt(self.n_units)
        low, high = student_interval(means, deviations, self.n_units, self.settings.level)
        sure = defined & (impossible == 0) & (errors > 0)
        infinite = defined & (impossible > 0)
        return {
            "metric": metric,
            "class": None,
            "value": np.where(infinite, np.inf, np.where(defined, means, np.nan)),
            "low": np.where(sure, np.maximum(low, 0), np.nan),
            "high": np.where(sure, high, np.nan),
            "method": self.methods(np.where(sure, "student", "none")),
            "status": [
                f"infinite: {int(rows)} of {n} rows gave their true class the probability 0"
                if endless
                else word
                for endless, rows, n, word in zip(infinite, impossible, self.n, words, strict=True)
            ],
        }

    def binned(self, number: int, binning: str) -> Binned:
        """Return the rows in bins: by the score of a class, or, after the last, the predicted."""
        if number < self.scores.shape[1]:
            score, right = self.scores[:, number], self.labels == number
        else:
            score = self.scores[np.arange(len(self.predicted)), self.predicted]
            right = self.labels == self.predicted
        return bin_rows(score, right, self.units, binning, self.orders[number])

    def calibration(self) -> Iterator[dict[str, Any]]:
        """Yield each ECE, and what a calibrated model would show."""
        defined, words = self.statuses()
        shown = {"class": None, "status": words}
        nothing = np.full(len(self.names), np.nan)
        rng = np.random.default_rng(self.settings.seed)
        for binning in BINNINGS:
            binned = self.binned(self.scores.shape[1], binning)
            drawn = calibrated_errors(binned, self.settings.replicates, rng)
            low, high = percentile_interval(drawn, self.settings.level)
            none = self.methods(np.full(len(self.names), "none"))
            simulated = self.methods(np.where(defined, "simulation", "none"))
            found = [
                ("", calibration_error(binned), nothing, nothing, none),
                ("_if_calibrated", drawn.mean(axis=0), low, high, simulated),
            ]
            for ending, *values, methods in found:
                masked = [np.where(defined, each, np.nan) for each in values]
                bounds = dict(zip(("value", "low", "high"), masked, strict=True))
                yield {"metric": f"ece_{binning}{ending}", "method": methods, **bounds, **shown}


def _macro(found: Sequence[Areas], units: GroupUnits) -> Areas:
    """Average the areas over the classes where they are defined."""
    values = np.stack([each.values for each in found], axis=-1)
    defined = ~np.isnan(values)
    parts = divide(defined.astype(np.float64), defined.sum(axis=-1, keepdims=True))
    influence = np.zeros(len(units.groups))
    for number, each in enumerate(found):
        influence += np.where(
            defined[units.groups, number], each.influence * parts[units.groups, number], 0.0
        )
    # A class without variance has no freedom; the rarest of the others bounds that of the mean.
    freedom, positives, negatives = (
        np.fmin.reduce(np.where(defined, np.stack(each, axis=-1), np.inf), axis=-1)
        for each in (
            [one.freedom for one in found],
            [one.positives for one in found],
            [one.negatives for one in found],
        )
    )
    errors = np.sqrt(units.squares(influence))
    return Areas(macro_area(values), influence, errors, freedom, positives, negatives)


def _confidence(rows: ScoredRows) -> FloatArray:
    """Return the score of the predicted class of each row (N,)."""
    if rows.scores is None:
        return np.empty(0)
    return rows.scores[np.arange(len(rows.predicted)), rows.predicted]


def _frame(scored: _ScoredGroups, parts: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return all metrics of all groups as a table, group by group.

    A frame for each metric, put together, would take ten times as long.
    """
    columns = {name: np.stack([_column(scored, part, name) for part in parts]) for name in parts[0]}
    known = {"group": scored.names, "n": scored.n, "units": scored.n_units}
    columns |= {name: np.tile(np.asarray(each), (len(parts), 1)) for name, each in known.items()}
    flat = {name: each.ravel(order="F") for name, each in columns.items()}
    flat["class"] = pd.Series(flat["class"], dtype=object)  # None stays None
    return pd.DataFrame(flat).assign(attribute=scored.attribute)


def _column(scored: _ScoredGroups, part: Mapping[str, Any], name: str) -> Array:
    """Return a column of one metric, a value a group."""
    kind = np.float64 if name in ("value", "low", "high") else np.object_
    return np.broadcast_to(np.asarray(part[name], dtype=kind), len(scored.names))


def _curve(scored: _ScoredGroups, name: str | None, binning: str, binned: Binned) -> pd.DataFrame:
    """Return one curve of all groups as a table."""
    defined, _ = scored.statuses()
    groups, bins = np.nonzero((binned.rows > 0) & defined[:, None])
    n = binned.rows[groups, bins]
    share = binned.right[groups, bins] / n
    told = np.maximum(n / binned.design[groups], 1)
    low, high = wilson_interval(share * told, told, scored.settings.level)
    return pd.DataFrame(
        {
            "attribute": scored.attribute,
            "group": np.array(scored.names, dtype=object)[groups],
            "class": np.full(len(n), name, dtype=object),
            "binning": binning,
            "bin": bins,
            "n": n,
            "confidence": binned.scores[groups, bins] / n,
            "share": share,
            "low": low,
            "high": high,
        }
    )
