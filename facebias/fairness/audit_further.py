"""What an audit measures where it knows more: estimated groups, valences, train compositions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import DataError
from facebias.fairness.amplification import bias_amplification
from facebias.fairness.estimated import Misclassification, estimated_gaps, estimated_measures
from facebias.fairness.group_report import GroupReport
from facebias.fairness.predictions import GroupCodes, ScoredRows
from facebias.fairness.resampling import count_groups
from facebias.fairness.settings import Settings
from facebias.fairness.valence import ValenceModel, valence_differences, valence_readings

GROUP, LARGEST = "group", "largest gap"
"""The kinds of rows of the table of estimated groups."""

ESTIMATED_COLUMNS = (
    *("attribute", "kind", "metric", "group", "against", "value", "low", "high", "method"),
    *("raw_group", "raw_against", "raw_value", "raw_low", "raw_high", "n", "status"),
)

_RAW = {"value": "raw_value", "low": "raw_low", "high": "raw_high"}


@dataclass(frozen=True, eq=False)
class Further:
    """What is known beyond labels, groups and answers.

    Attributes:
        estimated: how wrong the estimator of an attribute's groups is.
        valences: valence of each class; None: nothing is read of valences.
        train_shares: model: class: its share in the training.
        train_counts: model: attribute: rows of each group and class in the training, (G, C).
    """

    estimated: Mapping[str, Misclassification] = field(default_factory=dict)
    valences: Mapping[str, str] | None = None
    train_shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    train_counts: Mapping[str, Mapping[str, npt.ArrayLike]] = field(default_factory=dict)

    def shares(self, model: str, classes: Sequence[str]) -> Mapping[str, float] | None:
        """Return the class shares of a model's training, those of its counts unless given."""
        if model in self.train_shares:
            return self.train_shares[model]
        counts = [np.asarray(each) for each in self.train_counts.get(model, {}).values()]
        if not counts:
            return None
        # Rows of unknown group are missing in the counts of that attribute: the fullest has most.
        sums = max((each.sum(axis=0) for each in counts), key=np.sum)
        return {name: float(n) for name, n in zip(classes, sums, strict=True)}


def named_counts(
    attribute: str,
    counts: Mapping[str, Mapping[str, int]],
    groups: Sequence[str],
    classes: Sequence[str],
) -> npt.NDArray[np.int64]:
    """Return train counts that are given by name as an array.

    Args:
        attribute: whose groups they are, for messages.
        counts: group: class: rows; what is not named has none.
        groups: the declared groups, G.
        classes: the declared classes, C.

    Returns:
        Shape (G, C).

    Raises:
        DataError: for a group or class that is not declared, or rows that are no number of rows.

    >>> named_counts("sex", {"m": {"happy": 3}}, ["f", "m"], ["happy", "sad"]).tolist()
    [[0, 0], [3, 0]]
    """
    found = np.zeros((len(groups), len(classes)), dtype=np.int64)
    wrong = DataError(
        f"the train counts of {attribute} are {counts!r}",
        f"{{group: {{class: rows}}}} with groups out of {', '.join(groups)}, classes out of "
        f"{', '.join(classes)}, and rows 0 or more",
        "correct train",
    )
    if not isinstance(counts, Mapping):
        raise wrong
    for group, rows in counts.items():
        if group not in groups or not isinstance(rows, Mapping):
            raise wrong
        for name, n in rows.items():
            if name not in classes or not isinstance(n, int) or n < 0:
                raise wrong
            found[groups.index(group), classes.index(name)] = n
    return found


def further_tables(
    rows: ScoredRows,
    coded: Sequence[GroupCodes],
    model: str,
    report: GroupReport,
    classes: Sequence[str],
    settings: Settings,
    further: Further,
) -> dict[str, pd.DataFrame]:
    """Return the tables "estimated", "valence" and "amplification", those that are asked for.

    Args:
        rows: one model's.
        coded: the groups of all rows, the attributes and the intersections.
        model: its name.
        report: on its groups.
        classes: the declared classes.
        settings: how groups are judged.
        further: what is known.
    """
    found = {}
    estimated = [codes for codes in coded if codes.attribute in further.estimated]
    if estimated:
        parts = [
            _estimated(rows, codes, report, further.estimated[codes.attribute], settings)
            for codes in estimated
        ]
        found["estimated"] = pd.concat(parts, ignore_index=True)
    if further.valences is not None:
        of_model = ValenceModel(rows, further.shares(model, classes))
        options: dict[str, Any] = {"valences": further.valences}
        parts = [valence_readings(of_model, each, classes, settings, **options) for each in coded]
        found["valence"] = pd.concat(parts, ignore_index=True)
    counts = further.train_counts.get(model, {})
    trained = [codes for codes in coded[1:] if codes.attribute in counts]
    if trained:
        parts = [
            bias_amplification(rows, codes, counts[codes.attribute], settings) for codes in trained
        ]
        found["amplification"] = pd.concat(parts, ignore_index=True)
    return found


def further_differences(
    rows: tuple[ScoredRows, ScoredRows],
    coded: Sequence[GroupCodes],
    models: tuple[str, str],
    classes: Sequence[str],
    settings: Settings,
    further: Further,
) -> pd.DataFrame:
    """Return how two models differ in reading valences, in every group.

    Args:
        rows: of both models, the same faces in the same order.
        coded: the groups of all rows, the attributes and the intersections.
        models: their names.
        classes: the declared classes.
        settings: how groups are judged.
        further: what is known.
    """
    first, second = (
        ValenceModel(each, further.shares(model, classes))
        for each, model in zip(rows, models, strict=True)
    )
    parts = [
        valence_differences(first, second, codes, classes, settings, valences=further.valences)
        for codes in coded
    ]
    return pd.concat(parts, ignore_index=True)


def _estimated(
    rows: ScoredRows,
    codes: GroupCodes,
    report: GroupReport,
    misclassification: Misclassification,
    settings: Settings,
) -> pd.DataFrame:
    """Return the values and gaps of the true groups beside those of the estimated ones."""
    counted = count_groups(rows, codes, len(report.settings["classes"]), settings)
    measures = estimated_measures(counted, misclassification, settings)
    gaps = estimated_gaps(counted, misclassification, settings)
    n = counted.counts[:-1].sum(axis=(-2, -1))
    table = pd.concat([_beside(measures, report, n), _gaps_beside(gaps, report)])
    return table.reindex(columns=list(ESTIMATED_COLUMNS)).reset_index(drop=True)


def _beside(measures: pd.DataFrame, report: GroupReport, n: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Return the true groups' values with those of the estimated groups."""
    keys = ["attribute", "metric", "group"]
    raw = report.measures[report.measures["class"].isna()].rename(columns=_RAW)
    table = measures.merge(raw[[*keys, *_RAW.values()]], how="left", on=keys)
    share = (table["metric"] == "share").to_numpy()
    table.loc[share, "raw_value"] = n / max(n.sum(), 1)
    return table.assign(kind=GROUP, raw_group=table["group"])


def _gaps_beside(gaps: pd.DataFrame, report: GroupReport) -> pd.DataFrame:
    """Return the largest gaps between true groups with those between estimated ones."""
    raw = report.gaps[(report.gaps["kind"] == "largest") & report.gaps["class"].isna()]
    names = {"first": "raw_group", "second": "raw_against", "difference": "raw_value"}
    names |= {"low": "raw_low", "high": "raw_high"}
    keys = ["attribute", "metric"]
    raw = raw.rename(columns=names)[[*keys, *names.values()]]
    renamed = {"first": "group", "second": "against", "difference": "value"}
    table = gaps.rename(columns=renamed).merge(raw, how="left", on=keys)
    status = table["reason"].where(table["reason"] != "", "ok")
    return table.assign(kind=LARGEST, status=status)
