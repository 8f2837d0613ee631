"""Calibration of predictions that say how sure they are of their answer, and no more.

Without the probabilities of all classes there is no AUROC, log loss or Brier score: what can be
asked is whether answers given with a confidence of .8 are right in 80 % of the cases.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.fairness.calibration import (
    BINNINGS,
    Binned,
    bin_rows,
    calibrated_errors,
    calibration_error,
)
from facebias.fairness.influence import GroupUnits, group_units
from facebias.fairness.intervals import percentile_interval, wilson_interval
from facebias.fairness.predictions import UNKNOWN, GroupCodes, ScoredRows
from facebias.fairness.settings import Settings

FloatArray = npt.NDArray[np.float64]


def top_label_calibration(
    rows: ScoredRows, confidence: FloatArray, codes: GroupCodes, settings: Settings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure the calibration of every group of one attribute from confidences alone.

    Args:
        rows: N scored rows.
        confidence: shape (N,), in the predicted class, 0..1; rows with NaN are left out.
        codes: the group of each row.
        settings: how groups are judged.

    Returns:
        The ECEs, in the columns of `facebias.fairness.scores.score_measures`; and the reliability
        curves, in those of `facebias.fairness.scores.reliability`, class None.
    """
    known = np.isfinite(confidence)
    groups, persons = codes.codes[known], None if rows.persons is None else rows.persons[known]
    units = group_units(groups, persons, len(codes.groups) + 1)
    right = (rows.labels == rows.predicted)[known]
    rng = np.random.default_rng(settings.seed)
    measures, curves = [], []
    for binning in BINNINGS:
        binned = bin_rows(confidence[known], right, units, binning)
        measures += _errors(binned, units, codes, binning, settings, rng)
        curves.append(_curve(binned, codes, binning, settings.level))
    return pd.concat(measures, ignore_index=True), pd.concat(curves, ignore_index=True)


def _errors(
    binned: Binned,
    units: GroupUnits,
    codes: GroupCodes,
    binning: str,
    settings: Settings,
    rng: np.random.Generator,
) -> list[pd.DataFrame]:
    """Return the ECE of each group, and what a calibrated model of these scores would show."""
    drawn = calibrated_errors(binned, settings.replicates, rng)
    low, high = percentile_interval(drawn, settings.level)
    nothing = np.full(len(low), np.nan)
    found = {
        "": (calibration_error(binned), nothing, nothing, "none"),
        "_if_calibrated": (drawn.mean(axis=0), low, high, "simulation"),
    }
    n = binned.rows.sum(axis=-1)
    status = np.where(n == 0, "empty", np.where(n < settings.min_group, "too small", "ok"))
    status = status.astype(object)
    status[-1] = UNKNOWN
    shown = (n > 0) | (np.arange(len(n)) < len(codes.groups))
    common: dict[str, Any] = {"attribute": codes.attribute, "group": [*codes.groups, UNKNOWN]}
    persons = units.count_units(np.ones(len(units.groups), dtype=bool))
    return [
        pd.DataFrame(
            common
            | {"metric": f"ece_{binning}{ending}", "class": None, "value": value}
            | {"low": lower, "high": upper, "method": method}
            | {"n": n, "units": persons, "status": status}
        )[shown]
        for ending, (value, lower, upper, method) in found.items()
    ]


def _curve(binned: Binned, codes: GroupCodes, binning: str, level: float) -> pd.DataFrame:
    """Return the reliability curve of each group: the filled bins."""
    groups, bins = np.nonzero(binned.rows)
    n, right = binned.rows[groups, bins], binned.right[groups, bins]
    # Of as many independent rows as say the same.
    told = np.maximum(n / binned.design[groups], 1)
    low, high = wilson_interval(right / n * told, told, level)
    return pd.DataFrame(
        {
            "attribute": codes.attribute,
            "group": np.array([*codes.groups, UNKNOWN], dtype=object)[groups],
            "class": None,
            "binning": binning,
            "bin": bins,
            "n": n,
            "confidence": binned.scores[groups, bins] / n,
            "share": right / n,
            "low": low,
            "high": high,
        }
    )
