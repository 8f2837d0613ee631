"""Calibration: are scores of .8 right in 80 % of the cases?

Rows are put into bins by their score. ECE, the expected calibration error, is the mean over rows of
|share of right rows - mean score| of the row's bin (Naeini, Cooper & Hauskrecht 2015, AAAI; Guo et
al. 2017, ICML, who take the score of the predicted class and 15 bins of equal width). Bins of equal
mass have equally many rows (Nguyen & O'Connor 2015, EMNLP). It is biased upwards: rows scatter
around their bin's mean, so a perfectly calibrated model shows some ECE too, and the more the fewer
rows there are. What it would show is simulated; it stands beside the value (Vaicenavicius et al.
2019, AISTATS).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facebias.fairness.influence import FloatArray, GroupUnits, Orders, divide
from facebias.fairness.predictions import Codes

BINS = 15
"""Bins of a group, as Guo et al. have them."""

BINNINGS = ("equal_width", "equal_mass")
"""Bins as wide as each other, or with as many rows as each other."""


@dataclass(frozen=True, eq=False)
class Binned:
    """Rows in bins, by group; G groups, K bins.

    Attributes:
        rows: shape (G, K).
        scores: shape (G, K), sum of the scores.
        right: shape (G, K), rows for which the event came true.
        design: shape (G,), how many times larger the variance of the shares is than that of
            independent rows, at least 1, because persons have several rows.
    """

    rows: Codes
    scores: FloatArray
    right: FloatArray
    design: FloatArray


def bin_rows(
    score: FloatArray,
    right: npt.NDArray[np.bool_],
    units: GroupUnits,
    binning: str,
    order: Orders | None = None,
) -> Binned:
    """Put the rows of each group into bins by their score.

    A bin holds its upper edge and not its lower one; equal scores share a bin.

    Args:
        score: shape (N,), 0..1.
        right: shape (N,), whether what the score is of came true.
        units: of these rows.
        binning: one of BINNINGS; bins of equal mass are each group's own.
        order: shape (N,), the rows by ascending score, where it is known.
    """
    if binning == "equal_width":
        bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], score)
    else:
        bins = _equal_mass_bins(score, units, order)
    cells = units.groups * BINS + bins
    shape, size = (units.n_groups, BINS), units.n_groups * BINS
    rows = np.bincount(cells, minlength=size).reshape(shape)
    scores, trues = (
        np.bincount(cells, each, minlength=size).reshape(shape).astype(np.float64)
        for each in (score, right)
    )
    return Binned(rows, scores, trues, _design(score, right, units, cells))


def _equal_mass_bins(score: FloatArray, units: GroupUnits, order: Orders | None) -> Codes:
    """Return the bin of each row (N,); the edges are quantiles of the group's scores."""
    ordered, bins = units.sort(score, order), np.empty(len(score), dtype=np.int64)
    ends = np.cumsum(np.bincount(units.groups, minlength=units.n_groups))
    for rows in np.split(ordered, ends[:-1]):
        if len(rows):
            values = score[rows]
            places = np.linspace(0, 1, BINS + 1)[1:-1] * (len(values) - 1)
            edges = np.interp(places, np.arange(len(values)), values)
            bins[rows] = np.searchsorted(edges, values)
    return bins


def _design(
    score: FloatArray, right: npt.NDArray[np.bool_], units: GroupUnits, cells: Codes
) -> FloatArray:
    """Return the design effect of each group (G,), from what is left after each bin's mean."""
    if not units.by_person:
        return np.ones(units.n_groups)
    left = right - score
    size = units.n_groups * BINS
    means = divide(np.bincount(cells, left, minlength=size), np.bincount(cells, minlength=size))
    left = left - means[cells]
    effect = divide(units.squares(left), units.sums(left**2))
    return np.where(effect > 1, effect, 1.0)


def calibration_error(binned: Binned) -> FloatArray:
    """Return the ECE of each group, shape (G,), 0..1; NaN without rows."""
    return divide(np.abs(binned.right - binned.scores).sum(axis=-1), binned.rows.sum(axis=-1))


def calibrated_errors(binned: Binned, replicates: int, rng: np.random.Generator) -> FloatArray:
    """Simulate the ECE that a perfectly calibrated model of the same scores would show.

    The rows of a bin come true with the bin's mean score. This takes no account of different scores
    in a bin, which overstates the spread by 2 % at most. Where persons have several rows, there are
    fewer by the design effect.

    Args:
        binned: rows in bins.
        replicates: B, how many test sets are drawn.
        rng: the generator to draw from.

    Returns:
        Shape (B, G); NaN without rows.
    """
    means = np.clip(divide(binned.scores, binned.rows), 0, 1)
    told = np.maximum(np.rint(binned.rows / binned.design[:, None]), binned.rows > 0)
    drawn = rng.binomial(told.astype(np.int64), np.nan_to_num(means), (replicates, *means.shape))
    differences = np.abs(divide(drawn, told) - means) * binned.rows
    return divide(np.nansum(differences, axis=-1), binned.rows.sum(axis=-1))
