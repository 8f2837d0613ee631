"""What is measured of the groups of every split, and the files that say so."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from facebias.fairness.counterfactual import counterfactual_flips
from facebias.fairness.group_report import GroupReport, group_report
from facebias.files import whole_file, write_json

TABLE, REPORT, FLIPS = "fairness.csv", "fairness.json", "counterfactual.json"
MEASURES = "fairness_measures.csv"


def measure_splits(
    predictions: pd.DataFrame,
    splits: Iterable[str],
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    *,
    intersections: Sequence[Sequence[str]] | None = None,
    **options: Any,  # noqa: ANN401
) -> dict[str, GroupReport]:
    """Return the report on the groups of each split that has labels.

    Args:
        predictions: of one run, of several splits.
        splits: those to measure.
        classes: the declared classes.
        attributes: the declared groups of each attribute.
        intersections: sets of attributes whose combinations are groups too; None: every pair.
        options: further settings of `facebias.fairness.group_report.group_report`.
    """
    pairs = list(combinations(attributes, 2))
    chosen = pairs if intersections is None else intersections
    parts = {split: predictions[predictions["split"] == split] for split in splits}
    return {
        split: group_report(rows, classes, attributes, intersections=chosen, **options)
        for split, rows in parts.items()
        if rows["label"].notna().any()
    }


def write_group_reports(reports: Mapping[str, GroupReport], folder: Path) -> None:
    """Write `fairness.json`, `fairness.csv` and `fairness_measures.csv`, if anything was measured.

    Args:
        reports: of each split.
        folder: of the run.
    """
    if not reports:
        return
    write_json(folder / REPORT, {split: report.to_dict() for split, report in reports.items()})
    tables = {
        TABLE: [report.table.assign(split=split) for split, report in reports.items()],
        MEASURES: [report.measures.assign(split=split) for split, report in reports.items()],
    }
    for name, parts in tables.items():
        with whole_file(folder / name) as temporary:
            pd.concat(parts, ignore_index=True).to_csv(temporary, index=False)


def write_flips(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    folder: Path,
    **options: Any,  # noqa: ANN401
) -> None:
    """Write `counterfactual.json`: how often predictions differ within pairs, if there are any.

    Args:
        predictions: of one run, of several splits.
        classes: the declared classes.
        folder: of the run.
        options: further settings of `facebias.fairness.counterfactual.counterfactual_flips`.
    """
    if "pair" not in predictions or predictions["pair"].isna().all():
        return
    flips = {
        str(split): counterfactual_flips(rows, classes, **options)
        for split, rows in predictions.groupby("split")
    }
    write_json(
        folder / FLIPS,
        {split: [each.to_dict() for each in found] for split, found in flips.items() if found},
    )
