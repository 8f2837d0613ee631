"""Metrics of every group without intervals: for averages over runs, which have their own."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from facebias.fairness import metrics
from facebias.fairness.auroc import group_auroc, macro_area
from facebias.fairness.counts import count_decisions
from facebias.fairness.predictions import GroupCodes, ScoredRows, all_group_codes, scored_rows

DECISION_METRICS = {
    "accuracy": metrics.accuracy,
    "macro_precision": metrics.macro_precision,
    "macro_recall": metrics.macro_recall,
    "macro_f1": metrics.macro_f1,
    "micro_precision": metrics.micro,
    "micro_recall": metrics.micro,
    "micro_f1": metrics.micro,
}
"""Metrics of hard decisions, each a function of counts."""

AUROC = "auroc"


def group_metrics(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    intersections: Sequence[Sequence[str]] = (),
) -> pd.DataFrame:
    """Return the metrics of all rows together and of every declared group.

    Args:
        predictions: one row a face of one split, see `facebias.fairness.group_report`.
        classes: the declared classes.
        attributes: the declared groups of each attribute.
        intersections: sets of attributes whose combinations are groups too.

    Returns:
        A row a group: attribute, group, n (scored rows), the `DECISION_METRICS`, and auroc (one
        versus rest, mean over classes; undefined in all groups where any score is missing or
        infinite); 0..1, NaN where undefined.

    Raises:
        DataError: see `facebias.fairness.predictions`.
    """
    rows = scored_rows(predictions, classes)
    parts = [
        _of_attribute(rows, codes, len(classes))
        for codes in all_group_codes(rows.table, attributes, intersections)
    ]
    return pd.concat(parts, ignore_index=True)


def _of_attribute(rows: ScoredRows, codes: GroupCodes, n_classes: int) -> pd.DataFrame:
    size = {"n_groups": len(codes.groups) + 1, "n_classes": n_classes}
    counts = count_decisions(codes.codes, rows.labels, rows.predicted, **size)[:-1]
    columns = {name: metric(counts) for name, metric in DECISION_METRICS.items()}
    areas = np.full(len(counts), np.nan)
    # A run that diverged ends with scores of NaN; its decisions are still counted in a sweep.
    if rows.scores is not None and np.isfinite(rows.scores).all():
        by_class = group_auroc(rows.labels, rows.scores, codes.codes, size["n_groups"])
        areas = macro_area(by_class)[:-1]
    names = {"attribute": codes.attribute, "group": list(codes.groups)}
    return pd.DataFrame({**names, "n": counts.sum(axis=(-2, -1)), **columns, AUROC: areas})
