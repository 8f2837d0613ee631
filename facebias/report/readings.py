"""Further tables of a run's groups: valences as read, bias amplification, metrics of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from facebias.data.table import SPLITS
from facebias.fairness.amplification import bias_amplification, train_counts
from facebias.fairness.group_report import GroupReport
from facebias.fairness.predictions import GroupCodes, ScoredRows, all_group_codes, scored_rows
from facebias.fairness.scores import score_measures, score_orders
from facebias.fairness.settings import Settings
from facebias.fairness.valence import ValenceModel, declared_valences, valence_readings
from facebias.files import whole_file

VALENCE, AMPLIFICATION, SCORES = "valence.csv", "amplification.csv", "fairness_scores.csv"
NEUTRAL = "neutral"
_AMPLIFICATIONS = {
    "mals": "MALS",
    "directional A->T": "directional, group to label",
    "directional T->A": "directional, label to group",
}
_SHOWN_SCORES = ("auroc", "log_loss", "brier", "ece_equal_mass", "ece_equal_mass_if_calibrated")


@dataclass(frozen=True, eq=False)
class TrainFaces:
    """What a model was trained on.

    Attributes:
        rows: a row a train face, as often as it was drawn: label and a column for each attribute.
        shares: share of each class in the loss.
    """

    rows: pd.DataFrame
    shares: Mapping[str, float]


def write_readings(
    predictions: pd.DataFrame,
    reports: Mapping[str, GroupReport],
    folder: Path,
    *,
    train: TrainFaces | None = None,
    valences: Mapping[str, str] | None = None,
) -> None:
    """Write `valence.csv`, `amplification.csv` and `fairness_scores.csv`.

    The first where every class has a valence; the last of the split that counts (test, or else
    validation) where there are probabilities. All are by single attributes: intersections and the
    scores of train faces would double the time that a run's end takes.

    Args:
        predictions: of one run, of several splits.
        reports: of each split that was measured; they say how groups are judged.
        folder: of the run.
        train: what the model was trained on; None: no amplification, and no valences without the
            shares of the training.
        valences: of labels; None: the labels are valences, or have none.
    """
    parts: dict[str, list[pd.DataFrame]] = {VALENCE: [], AMPLIFICATION: [], SCORES: []}
    counts = next((split for split in reversed(SPLITS) if split in reports), None)
    for split, report in reports.items():
        rows, coded, settings = _coded(predictions[predictions["split"] == split], report)
        classes = report.settings["classes"]
        found = _valence(rows, coded, classes, settings, train, valences)
        parts[VALENCE] += [each.assign(split=split) for each in found]
        found = _amplification(rows, coded, report, settings, train)
        parts[AMPLIFICATION] += [each.assign(split=split) for each in found]
        found = _scores(rows, coded, classes, settings) if split == counts else []
        parts[SCORES] += [each.assign(split=split) for each in found]
    for name, tables in parts.items():
        if tables:
            with whole_file(folder / name) as temporary:
                pd.concat(tables, ignore_index=True).to_csv(temporary, index=False)


def _coded(
    rows: pd.DataFrame, report: GroupReport
) -> tuple[ScoredRows, list[GroupCodes], Settings]:
    """Return the rows of a split and their groups by single attributes, as the report has them."""
    said = report.settings
    scored = scored_rows(rows, said["classes"])
    coded = all_group_codes(scored.table, said["attributes"], ())
    names = ("min_group", "min_class", "replicates", "level", "seed")
    return scored, coded, Settings(**{name: said[name] for name in names})


def _valence(
    rows: ScoredRows,
    coded: Sequence[GroupCodes],
    classes: Sequence[str],
    settings: Settings,
    train: TrainFaces | None,
    valences: Mapping[str, str] | None,
) -> list[pd.DataFrame]:
    """Return the valence readings by every attribute; none where a class has no valence."""
    known = declared_valences(classes, valences)
    if known is None:
        return []
    model = ValenceModel(rows, None if train is None else train.shares)
    return [valence_readings(model, each, classes, settings, valences=known) for each in coded]


def _amplification(
    rows: ScoredRows,
    coded: Sequence[GroupCodes],
    report: GroupReport,
    settings: Settings,
    train: TrainFaces | None,
) -> list[pd.DataFrame]:
    """Return the amplification by every attribute; none where nothing is known of the training."""
    if train is None:
        return []
    said = report.settings
    counts = train_counts(train.rows, said["classes"], said["attributes"])
    return [
        bias_amplification(rows, codes, counts[codes.attribute], settings) for codes in coded[1:]
    ]


def _scores(
    rows: ScoredRows, coded: Sequence[GroupCodes], classes: Sequence[str], settings: Settings
) -> list[pd.DataFrame]:
    """Return the metrics of the scores by every attribute; none where there are no scores."""
    if rows.scores is None:
        return []
    orders = score_orders(rows)
    return [score_measures(rows, each, classes, settings, orders=orders) for each in coded]


def read_readings(folder: Path, split: str) -> dict[str, list[dict[str, Any]]]:
    """Return what a run's page shows of its further tables.

    Args:
        folder: of the run.
        split: whose rows.

    Returns:
        Rows by name; an empty list where the run has none. "valence": attribute, group, reading
        ("raw" or "prior-corrected"), n, status, and in `cells` how neutral faces are read, by the
        valence that they are read as. "scores": attribute, group, n, status, and in `cells` the
        metrics that the page shows. A cell has value, low and high. "amplification": attribute,
        measure, n, value, low, high. "undefined": attribute, measures and reason of those that the
        former lacks.
    """
    valence, amplification, scores = (
        _read(folder / name, split) for name in (VALENCE, AMPLIFICATION, SCORES)
    )
    if len(valence):
        valence = valence[(valence["true"] == NEUTRAL) & (valence["reading"] != "scores")]
    if len(scores):
        scores = scores[scores["metric"].isin(_SHOWN_SCORES) & scores["class"].isna()]
    return {
        "valence": _wide(valence, ["attribute", "group", "reading"], "read"),
        "scores": _wide(scores, ["attribute", "group"], "metric"),
        **_amplified(amplification),
    }


def _read(file: Path, split: str) -> pd.DataFrame:
    """Return the rows of one split, undefined as None; none where there is no file."""
    if not file.is_file():
        return pd.DataFrame()
    table = pd.read_csv(file, keep_default_na=False, na_values=[""])
    table = table[table["split"] == split].astype(object)
    return table.where(table.notna(), None)


def _wide(table: pd.DataFrame, keys: Sequence[str], across: str) -> list[dict[str, Any]]:
    """Return a row for each combination of keys, with a cell for each value of a column."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in table.to_dict("records"):
        place = tuple(row[key] for key in keys)
        first = {**dict(zip(keys, place, strict=True)), "n": row["n"], "status": row["status"]}
        cell = {name: row[name] for name in ("value", "low", "high")}
        found.setdefault(place, {**first, "cells": {}})["cells"][row[across]] = cell
    return list(found.values())


def _amplified(table: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Return the defined measures of amplification, and why others are not."""
    defined: list[dict[str, Any]] = []
    undefined: dict[tuple[str, str], list[str]] = {}
    for row in table.to_dict("records"):
        measure = _AMPLIFICATIONS[row["metric"]]
        if row["value"] is None:
            undefined.setdefault((row["attribute"], row["status"]), []).append(measure)
        else:
            names = ("attribute", "n", "value", "low", "high")
            defined.append({"measure": measure, **{name: row[name] for name in names}})
    reasons = [
        {"attribute": attribute, "measures": "; ".join(measures), "reason": reason}
        for (attribute, reason), measures in undefined.items()
    ]
    return {"amplification": defined, "undefined": reasons}
