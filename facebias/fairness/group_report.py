"""The report on groups: what each group gets, how sure that is, and how far groups are apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import DataError
from facebias.fairness import metrics
from facebias.fairness.auroc import auroc
from facebias.fairness.criteria import CRITERIA_COLUMNS, fairness_criteria
from facebias.fairness.gaps import GAP_COLUMNS, LARGEST, adjust_largest, group_gaps
from facebias.fairness.group_pairs import GAP_METRICS, compare_groups
from facebias.fairness.measures import estimate_groups, measure_groups
from facebias.fairness.predictions import (
    UNKNOWN,
    GroupCodes,
    ScoredRows,
    all_group_codes,
    scored_rows,
)
from facebias.fairness.resampling import CountedGroups, count_groups
from facebias.fairness.settings import Settings

Array = npt.NDArray[Any]

SCHEMA_VERSION = 2

_SHOWN = ("accuracy", "macro_f1")  # in the table, with intervals


@dataclass(frozen=True, eq=False)
class GroupReport:
    """What `group_report` found.

    Attributes:
        overall: metrics of all scored rows together.
        table: one row a group: attribute, group, n (scored rows), share (of the scored rows),
            units (persons where identity is known, else rows), classes (with true rows: those
            that the macro metrics average over), accuracy, accuracy_low, accuracy_high,
            accuracy_method, macro_precision, macro_recall, macro_f1, macro_f1_low, macro_f1_high,
            chance, majority, status ("ok", "too small", "empty" or "unknown").
        measures: every metric of every group, see `facebias.fairness.measures.measure_groups`.
        gaps: between groups, see `facebias.fairness.gaps.group_gaps`.
        criteria: how far each is missed, see `facebias.fairness.criteria.fairness_criteria`.
        settings: how it was made: classes, attributes, intersections and `Settings`.
    """

    overall: dict[str, Any]
    table: pd.DataFrame
    measures: pd.DataFrame
    gaps: pd.DataFrame
    criteria: pd.DataFrame
    settings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return all but the measures as plain types for JSON; what is undefined is None.

        `gaps` holds the largest gaps in metrics of whole groups, `further_gaps` all others.
        """
        headed = (self.gaps["kind"] == LARGEST) & self.gaps["class"].isna()
        report: dict[str, Any] = _plain(
            {
                "schema_version": SCHEMA_VERSION,
                "settings": self.settings,
                "overall": self.overall,
                "groups": self.table.to_dict(orient="records"),
                "gaps": self.gaps[headed].to_dict(orient="records"),
                "further_gaps": self.gaps[~headed].to_dict(orient="records"),
                "criteria": self.criteria.to_dict(orient="records"),
            }
        )
        return report


def group_report(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    *,
    intersections: Sequence[Sequence[str]] = (),
    min_group: int = 30,
    min_class: int = 5,
    replicates: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    pairs: bool = False,
    references: Mapping[str, str] | None = None,
    positive: str | None = None,
) -> GroupReport:
    """Measure every declared group, and how far groups are apart.

    Where a person has several rows (column `identity`), persons are resampled instead of rows.

    Args:
        predictions: one row a face of one run and one split: label (missing: not scored),
            predicted, a column for each attribute ("unknown" or missing: a row of its own, outside
            of gaps), and if known id, split, identity, p_<class>.
        classes: the declared classes.
        attributes: the declared groups of each attribute. One never met appears with n = 0.
        intersections: sets of attributes whose combinations are groups too.
        min_group: see `Settings`.
        min_class: see `Settings`.
        replicates: see `Settings`.
        level: see `Settings`.
        seed: see `Settings`. The order of the rows does not matter, nor do the other attributes,
            but that more tests need more permutations where a p-value is the smallest there is.
        pairs: compare all pairs of groups too.
        references: compare every group of these attributes with this one too.
        positive: the class that the criteria are about; None: every class against the rest.

    Raises:
        DataError: `references` or `positive` name what was not declared; the table lacks columns,
            has undeclared classes or groups, mixes splits or counts a face twice.
        ConfigError: a setting out of its range.
    """
    settings = Settings(min_group, min_class, replicates, level, seed)
    # An iterator would be used up by the first pass over it.
    classes = tuple(classes)
    attributes = {name: tuple(groups) for name, groups in attributes.items()}
    intersections = tuple(tuple(names) for names in intersections)
    rows = scored_rows(predictions, classes)
    references = dict(references or {})
    _check_references(references, attributes, intersections)
    coded = all_group_codes(rows.table, attributes, intersections)
    tests = len(GAP_METRICS) * (len(coded) - 1)
    asked = _Asked(classes, settings, pairs, references, positive, tests)
    parts = [_measure(rows, codes, asked) for codes in coded]
    table = pd.concat([part.table for part in parts], ignore_index=True)
    declared = {"classes": classes, "attributes": attributes, "intersections": intersections}
    return GroupReport(
        overall=_overall(rows, parts[0]),
        table=table,
        measures=pd.concat([part.measures for part in parts], ignore_index=True),
        gaps=adjust_largest(_joined([part.gaps for part in parts[1:]], GAP_COLUMNS)),
        criteria=_joined([part.criteria for part in parts[1:]], CRITERIA_COLUMNS),
        settings=declared | asdict(settings),
    )


def group_table(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    settings: Settings | None = None,
) -> tuple[pd.DataFrame, float]:
    """Return the table and the AUROC of `group_report`, without what takes its time.

    Args:
        predictions: see `group_report`.
        classes: the declared classes.
        attributes: the declared groups of each attribute.
        settings: how groups are judged.

    Returns:
        `GroupReport.table`, and the AUROC of all rows; NaN where it is undefined.

    Raises:
        DataError: see `group_report`.
    """
    settings = settings or Settings()
    rows = scored_rows(predictions, classes)
    parts = []
    for codes in all_group_codes(rows.table, attributes, ()):
        counted = count_groups(rows, codes, len(classes), settings)
        estimates = estimate_groups(counted, settings, _SHOWN)
        parts.append(
            _table(counted, measure_groups(counted, estimates, classes, settings), settings)
        )
    return pd.concat(parts, ignore_index=True), _area(rows)


@dataclass(frozen=True)
class _Asked:
    """What is asked of every attribute."""

    classes: tuple[str, ...]
    settings: Settings
    pairs: bool
    references: Mapping[str, str]
    positive: str | None
    tests: int  # in the family of the report's largest gaps


@dataclass(frozen=True, eq=False)
class _Measured:
    """The tables of one attribute."""

    counts: Array  # (G + 1, C, C)
    table: pd.DataFrame
    measures: pd.DataFrame
    gaps: pd.DataFrame
    criteria: pd.DataFrame


def _measure(rows: ScoredRows, codes: GroupCodes, asked: _Asked) -> _Measured:
    """Measure the groups of one attribute, and compare them unless it is the whole."""
    classes, settings = asked.classes, asked.settings
    counted = count_groups(rows, codes, len(classes), settings)
    estimates = estimate_groups(counted, settings)
    measures = measure_groups(counted, estimates, classes, settings)
    compared = [] if codes.attribute == "all" else compare_groups(counted, estimates, settings)
    reference = asked.references.get(codes.attribute)
    gaps = group_gaps(
        counted,
        compared,
        classes,
        settings,
        pairs=asked.pairs,
        reference=reference,
        tests=asked.tests,
    )
    criteria = fairness_criteria(
        counted, compared, gaps, classes, settings, positive=asked.positive
    )
    table = _table(counted, measures, settings)
    return _Measured(counted.counts, table, measures, gaps, criteria)


def _check_references(
    references: Mapping[str, str],
    attributes: Mapping[str, Sequence[str]],
    intersections: Sequence[Sequence[str]],
) -> None:
    """Refuse a reference of an attribute that is not measured."""
    measured = [*attributes, *(" x ".join(names) for names in intersections)]
    for attribute in references:
        if attribute not in measured:
            raise DataError(
                f"a reference group of {attribute!r}", f"of one of {', '.join(measured)}"
            )


def _joined(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Put tables below each other; an empty one where there are none."""
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(columns))


def _table(counted: CountedGroups, measures: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Return one row a declared group, and one for unknown where there is any."""
    counts = counted.counts if counted.counts[-1].any() else counted.counts[:-1]
    rows = counts.sum(axis=(-2, -1))
    accuracy, macro_f1 = (
        measures[measures["metric"] == name].reset_index(drop=True) for name in _SHOWN
    )
    statuses = [*_statuses(rows[: len(counted.groups)], settings.min_group), "unknown"]
    return pd.DataFrame(
        {
            "attribute": counted.attribute,
            "group": [*counted.groups, UNKNOWN][: len(rows)],
            "n": rows,
            "share": rows / rows.sum(),
            "units": counted.units[: len(rows)],
            "classes": (metrics.support(counts) > 0).sum(axis=-1),
            "accuracy": accuracy["value"],
            "accuracy_low": accuracy["low"],
            "accuracy_high": accuracy["high"],
            "accuracy_method": accuracy["method"],
            "macro_precision": metrics.macro_precision(counts),
            "macro_recall": metrics.macro_recall(counts),
            "macro_f1": macro_f1["value"],
            "macro_f1_low": macro_f1["low"],
            "macro_f1_high": macro_f1["high"],
            "chance": metrics.chance_level(counts.shape[-1]),
            "majority": metrics.majority_rate(counts),
            "status": statuses[: len(rows)],
        }
    )


def _statuses(rows: Array, min_group: int) -> list[str]:
    """Return the status of each declared group."""
    return ["empty" if n == 0 else "too small" if n < min_group else "ok" for n in rows]


def _overall(rows: ScoredRows, whole: _Measured) -> dict[str, Any]:
    """Return the metrics of all scored rows."""
    first = {str(name): value for name, value in whole.table.iloc[0].items()}
    micro = float(metrics.micro(whole.counts[0]))
    skipped = {"attribute", "group", "share", "status"}
    return (
        {"n": int(first["n"]), "unscored": rows.unscored}
        | {name: value for name, value in first.items() if name not in skipped}
        | {"micro_precision": micro, "micro_recall": micro, "micro_f1": micro, "auroc": _area(rows)}
    )


def _area(rows: ScoredRows) -> float:
    """Return the AUROC of all rows; NaN where it is undefined."""
    # A run that diverged ends with scores of NaN, and its report must still be written.
    if rows.scores is None or not np.isfinite(rows.scores).all():
        return math.nan
    return auroc(rows.labels, rows.scores)


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return a value in JSON's types; NaN becomes None."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
