"""A report in other shapes: one tidy pandas table, and fairlearn's MetricFrame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import DataError
from facebias.fairness import metrics
from facebias.fairness.counts import count_decisions
from facebias.fairness.group_report import GroupReport
from facebias.fairness.predictions import attribute_codes, scored_rows

if TYPE_CHECKING:
    from fairlearn.metrics import MetricFrame

MEASURE, GAP, CRITERION = "measure", "gap", "criterion"

_TIDY_COLUMNS = [
    *("table", "kind", "attribute", "group", "against", "metric", "class"),
    *("value", "low", "high"),
]


def tidy_frame(report: GroupReport) -> pd.DataFrame:
    """Return all values, gaps and criteria of a report in one table, one number a row.

    Args:
        report: of `facebias.fairness.group_report.group_report`.

    Returns:
        table ("measure", "gap" or "criterion"), kind (of a gap: "largest", "pair" or "reference";
        of a criterion: its name; else missing), attribute, group, against (of gaps and criteria:
        the group that is subtracted), metric, class (missing for averages), value (of gaps and
        criteria the difference), low, high. What else is known of a number stands in the report's
        own tables.
    """
    second = {"first": "group", "second": "against", "difference": "value"}
    criteria = report.criteria.drop(columns="kind").rename(columns={"criterion": "kind"})
    parts = {
        MEASURE: report.measures,
        GAP: report.gaps.rename(columns=second),
        CRITERION: criteria.rename(columns=second),
    }
    tables = [
        part.assign(table=name).reindex(columns=_TIDY_COLUMNS) for name, part in parts.items()
    ]
    return pd.concat(tables, ignore_index=True)


def metric_frame(
    report: GroupReport, predictions: pd.DataFrame, attributes: Sequence[str]
) -> MetricFrame:
    """Return fairlearn's MetricFrame with the numbers of a report.

    Its methods (`difference`, `ratio`, `group_min`, plots) then work on them. It asks facebias'
    metrics, so that undefined stays NaN where scikit-learn would say 0. It knows neither intervals
    nor `min_group`: a gap of it may be one between two faces.

    Args:
        report: of these predictions; it says what the classes and the groups are.
        predictions: what the report was made of.
        attributes: one, or several whose combinations are the groups. Rows of unknown group are
            left out, also of `overall`. A declared group without rows is missing, or NaN among
            combinations.

    Returns:
        The metrics of `facebias.fairness.metrics.AVERAGES` by their names, and those of `BY_CLASS`
        as "recall, happy". y_true and y_pred hold indices of classes.

    Raises:
        DataError: fairlearn is not installed, the predictions are not those of the report, an
            attribute is not in the report, or no row has a known group.
    """
    frame = _fairlearn()
    classes = tuple(report.settings["classes"])
    declared = report.settings["attributes"]
    if not attributes or not set(attributes) <= set(declared):
        raise DataError(
            f"MetricFrame by {', '.join(map(str, attributes)) or 'nothing'}.",
            f"attributes of the report: {', '.join(declared)}",
        )
    rows = scored_rows(predictions, classes)
    if len(rows.labels) != report.overall["n"]:
        raise DataError(
            f"{len(rows.labels)} rows with a label; the report has {report.overall['n']}.",
            "the predictions that the report was made of",
        )
    codes = [attribute_codes(rows.table, name, declared[name]) for name in attributes]
    known = np.logical_and.reduce([each.codes < len(each.groups) for each in codes])
    if not known.any():
        raise DataError("No row has a known group.", "groups that are known in some rows")
    features = {
        each.attribute: np.array(each.groups, dtype=object)[each.codes[known]] for each in codes
    }
    return frame(
        metrics=_functions(classes),
        y_true=rows.labels[known],
        y_pred=rows.predicted[known],
        sensitive_features=pd.DataFrame(features),
    )


def _fairlearn() -> Any:  # noqa: ANN401
    """Return fairlearn's MetricFrame."""
    try:
        from fairlearn.metrics import MetricFrame
    except ImportError as error:
        raise DataError(
            "fairlearn is not installed.",
            "fairlearn, which makes the MetricFrame",
            "pip install 'facebias[fairlearn]'",
        ) from error
    return MetricFrame


def _functions(classes: Sequence[str]) -> dict[str, Callable[..., float]]:
    """Return every metric as a function of true and predicted classes."""
    averages = {name: _function(metric, len(classes)) for name, metric in metrics.AVERAGES.items()}
    by_class = {
        f"{name}, {each}": _function(metric, len(classes), place)
        for name, metric in metrics.BY_CLASS.items()
        for place, each in enumerate(classes)
    }
    return averages | by_class


def _function(
    metric: Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]],
    n_classes: int,
    place: int | None = None,
) -> Callable[..., float]:
    """Return one metric of counts, or of one class, as a function of rows."""

    def of_rows(true: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> float:
        groups = np.zeros(len(true), dtype=np.int64)
        counts = count_decisions(groups, true, predicted, n_groups=1, n_classes=n_classes)
        values = metric(counts[0])
        return float(values if place is None else values[place])

    return of_rows
