"""How a run reads valences, and if it amplifies the bias of its training, as two tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from facebias.fairness.amplification import bias_amplification, train_counts
from facebias.fairness.group_report import GroupReport
from facebias.fairness.predictions import GroupCodes, ScoredRows, all_group_codes, scored_rows
from facebias.fairness.settings import Settings
from facebias.fairness.valence import ValenceModel, declared_valences, valence_readings
from facebias.files import whole_file

VALENCE, AMPLIFICATION = "valence.csv", "amplification.csv"
NEUTRAL = "neutral"


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
    """Write `valence.csv`, where every class has a valence, and `amplification.csv`.

    Both are by single attributes: intersections would double the time that a run's end takes.

    Args:
        predictions: of one run, of several splits.
        reports: of each split that was measured; they say how groups are judged.
        folder: of the run.
        train: what the model was trained on; None: no amplification, and no valences without the
            shares of the training.
        valences: of labels; None: the labels are valences, or have none.
    """
    parts: dict[str, list[pd.DataFrame]] = {VALENCE: [], AMPLIFICATION: []}
    for split, report in reports.items():
        rows, coded, settings = _coded(predictions[predictions["split"] == split], report)
        classes = report.settings["classes"]
        found = _valence(rows, coded, classes, settings, train, valences)
        parts[VALENCE] += [each.assign(split=split) for each in found]
        found = _amplification(rows, coded, report, settings, train)
        parts[AMPLIFICATION] += [each.assign(split=split) for each in found]
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


def read_readings(folder: Path, split: str) -> dict[str, list[dict[str, Any]]]:
    """Return what a run's page shows of its readings: rows by "valence" and "amplification".

    Args:
        folder: of the run.
        split: whose rows; of valences those of neutral faces, as answered and without the
            training's shares.
    """
    found: dict[str, list[dict[str, Any]]] = {"valence": [], "amplification": []}
    for name, file in (("valence", VALENCE), ("amplification", AMPLIFICATION)):
        if (folder / file).is_file():
            table = pd.read_csv(folder / file, keep_default_na=False, na_values=[""])
            table = table[table["split"] == split]
            if name == "valence":
                table = table[(table["true"] == NEUTRAL) & (table["reading"] != "scores")]
            table = table.astype(object).where(table.notna(), None)
            found[name] = [
                {str(key): each for key, each in row.items()} for row in table.to_dict("records")
            ]
    return found
