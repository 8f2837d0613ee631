"""An audit: predictions of one model or several on the same faces, measured by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import DataError
from facebias.fairness.audit_further import Further, further_differences, further_tables
from facebias.fairness.counts import count_decisions
from facebias.fairness.estimated import named_misclassification
from facebias.fairness.group_report import GroupReport, group_report
from facebias.fairness.paired import compare_models
from facebias.fairness.predictions import (
    UNKNOWN,
    GroupCodes,
    ScoredRows,
    all_group_codes,
    scored_rows,
)
from facebias.fairness.scores import reliability, score_measures, score_orders
from facebias.fairness.settings import Settings
from facebias.fairness.top_label import top_label_calibration

MODEL, AGAINST, CONFIDENCE = "model", "against_model", "confidence"

RESERVED = ("all", "id", "identity", "label", "predicted", "split")
"""Names that mean something of their own, so that no attribute may have them."""

Columns = str | Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Audit:
    """What `audit` found.

    Attributes:
        models: in their order.
        reports: the report on groups of each model.
        tables: by name, each with the column `model`: "measures", "gaps", "criteria" (see
            `facebias.fairness.group_report`), "confusion" (attribute, group, label, predicted, n),
            and where there are scores "scores" and "reliability" (see `facebias.fairness.scores`
            and `facebias.fairness.top_label`). Of several models "paired", each two on the faces
            that both answered: model and against, then the columns of
            `facebias.fairness.paired.compare_models`. Where they are asked for "estimated" (see
            `facebias.fairness.audit_further`), "valence" and of two models "valence_differences"
            (`facebias.fairness.valence`), and "amplification" (`facebias.fairness.amplification`).
        settings: classes, attributes, intersections, models, and how groups are judged.
    """

    models: tuple[str, ...]
    reports: dict[str, GroupReport]
    tables: dict[str, pd.DataFrame]
    settings: dict[str, Any]


def audit(
    faces: pd.DataFrame,
    *,
    label: str = "label",
    predicted: Columns = "predicted",
    groups: Sequence[str] = (),
    classes: Sequence[str] | None = None,
    attributes: Mapping[str, Sequence[str]] | None = None,
    probabilities: Columns = "p_",
    confidence: Columns | None = None,
    identity: str | None = None,
    references: Mapping[str, str] | None = None,
    positive: str | None = None,
    intersections: Sequence[Sequence[str]] | None = None,
    estimated: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
    estimated_rows: Mapping[str, Mapping[str, int]] | None = None,
    valences: Mapping[str, str] | None = None,
    train_shares: Mapping[str, Mapping[str, float]] | None = None,
    train_counts: Mapping[str, Mapping[str, npt.ArrayLike]] | None = None,
    min_group: int = 30,
    min_class: int = 5,
    replicates: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Audit:
    """Measure predictions by group, and several models beside each other.

    Every model is measured on the faces that have a label and its answer. Models are compared with
    each other on the faces that both answered.

    Args:
        faces: one row a face; known by its `id`, where there is that column.
        label: column of the true class; a face without one is not measured.
        predicted: column of the predicted class, or model: its column. Missing is no answer.
        groups: columns of the attributes; missing or "unknown" is a row of its own, outside gaps.
        classes: the declared classes; None: those of the label, in the order of its categories or
            sorted.
        attributes: the declared groups of some attributes; of others those of the column, in the
            order of its categories or sorted.
        probabilities: what the columns of probabilities begin with, or model: beginning. The class
            follows. Used where all classes have one.
        confidence: column of the confidence in the predicted class, 0..1, or model: column. Used
            where there are no probabilities.
        identity: column of the person; None: every face is its own person.
        references: attribute: the group that every other is compared with, beside all pairs.
        positive: the class that the fairness criteria are about; None: every class.
        intersections: sets of attributes whose combinations are groups too; None: every pair.
        estimated: of attributes whose groups were estimated, true group: estimated group: how often
            the one is taken for the other, P(estimated | true).
        estimated_rows: of these, true group: how many rows that was found on; None: known exactly.
        valences: valence of each class (negative, neutral, positive), to read how faces of one are
            taken for another; None: no such reading.
        train_shares: model: class: its share in the training, for the prior-corrected reading;
            None: those of its train counts.
        train_counts: model: attribute: rows of each group and class that it was trained on, shape
            (G, C), see `facebias.fairness.amplification.train_counts`; for bias amplification.
        min_group: see `facebias.fairness.settings.Settings`.
        min_class: see there.
        replicates: see there.
        level: see there.
        seed: see there.

    Raises:
        DataError: a missing column, an undeclared class or group, a confidence outside 0..1, a face
            that counts twice, or nothing to measure.
        ConfigError: a setting out of its range.

    >>> faces = pd.DataFrame({"label": ["f", "m"], "predicted": ["f", "f"], "race": ["a", "b"]})
    >>> found = audit(faces, groups=["race"], replicates=100)
    >>> found.tables["confusion"].query("attribute == 'all' and n > 0")[["label", "predicted"]]
      label predicted
    0     f         f
    2     m         f
    """
    settings = Settings(min_group, min_class, replicates, level, seed)
    models = {predicted: predicted} if isinstance(predicted, str) else dict(predicted)
    people = {} if identity is None else {"identity": identity}
    _check_columns(faces, [label, *groups, *models.values(), *people.values()], groups)
    declared = Declared(
        tuple(map(str, classes or _values(faces[label]))),
        {name: tuple((attributes or {}).get(name, _values(faces[name]))) for name in groups},
        tuple(map(tuple, combinations(groups, 2) if intersections is None else intersections)),
        dict(references or {}),
        positive,
    )
    further = _further(
        declared, estimated or {}, estimated_rows or {}, valences, train_shares, train_counts
    )
    common = _common(faces, label, groups, people)
    tables = {}
    for model, column in models.items():
        sure = None if confidence is None else _of_model(confidence, model)
        scores = _scores(faces, declared.classes, _of_model(probabilities, model), sure)
        table = pd.DataFrame(common | {"predicted": _text(faces[column])} | scores)
        tables[model] = _answered(table, model)
    reports = {model: _report(table, declared, settings) for model, table in tables.items()}
    found = [
        *(
            _tables(tables[model], model, reports[model], declared, settings, further)
            for model in models
        ),
        *(_paired(tables, pair, declared, settings, further) for pair in combinations(models, 2)),
    ]
    names = {"models": list(models), "valences": valences, "estimated": estimated}
    return Audit(
        tuple(models), reports, _joined(found), names | asdict(declared) | asdict(settings)
    )


@dataclass(frozen=True)
class Declared:
    """What can be met in the data, and what is asked of it.

    Attributes:
        classes: the declared classes.
        attributes: the declared groups of each attribute.
        intersections: sets of attributes whose combinations are groups too.
        references: attribute: group that the others are compared with.
        positive: the class that the criteria are about; None: every class.
    """

    classes: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]]
    intersections: tuple[tuple[str, ...], ...]
    references: Mapping[str, str]
    positive: str | None


Tables = dict[str, pd.DataFrame]


def _common(
    faces: pd.DataFrame, label: str, groups: Sequence[str], people: Mapping[str, str]
) -> dict[str, Any]:
    """Return the columns that the tables of all models share, under their usual names."""
    ids = faces["id"] if "id" in faces.columns else np.arange(len(faces))
    common = {"id": ids, "label": _text(faces[label])}
    common |= {name: _text(faces[name]) for name in groups}
    return common | {name: faces[column] for name, column in people.items()}


def _answered(table: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return the faces that have a label and an answer."""
    answered = table[table["label"].notna() & table["predicted"].notna()]
    if answered.empty:
        raise DataError(
            f"no face has both a label and an answer of {model}", "at least one row to score"
        )
    return answered.reset_index(drop=True)


def _report(table: pd.DataFrame, declared: Declared, settings: Settings) -> GroupReport:
    return group_report(table, pairs=True, **asdict(declared), **asdict(settings))


def _tables(
    table: pd.DataFrame,
    model: str,
    report: GroupReport,
    declared: Declared,
    settings: Settings,
    further: Further,
) -> Tables:
    """Return the tables of one model."""
    rows = scored_rows(table, declared.classes)
    coded = all_group_codes(rows.table, declared.attributes, declared.intersections)
    confusion = [_confusion(rows, codes, declared.classes) for codes in coded]
    tables = {
        "measures": report.measures,
        "gaps": report.gaps,
        "criteria": report.criteria,
        "confusion": pd.concat(confusion, ignore_index=True),
        **_score_tables(rows, coded, declared.classes, settings),
        **further_tables(rows, coded, model, report, declared.classes, settings, further),
    }
    return {name: _named(each, {MODEL: model}) for name, each in tables.items()}


def _score_tables(
    rows: ScoredRows, coded: Sequence[GroupCodes], classes: Sequence[str], settings: Settings
) -> Tables:
    """Return what can be said of scores: of probabilities, or of confidences alone."""
    if rows.scores is not None:
        orders = score_orders(rows)
        parts = [
            (
                score_measures(rows, codes, classes, settings, orders=orders),
                reliability(rows, codes, classes, settings, orders=orders),
            )
            for codes in coded
        ]
    elif CONFIDENCE in rows.table.columns:
        sure = rows.table[CONFIDENCE].to_numpy(np.float64)
        parts = [top_label_calibration(rows, sure, codes, settings) for codes in coded]
    else:
        return {}
    measures, curves = zip(*parts, strict=True)
    return {
        "scores": pd.concat(measures, ignore_index=True),
        "reliability": pd.concat(curves, ignore_index=True),
    }


def _further(
    declared: Declared,
    estimated: Mapping[str, Mapping[str, Mapping[str, float]]],
    estimated_rows: Mapping[str, Mapping[str, int]],
    valences: Mapping[str, str] | None,
    train_shares: Mapping[str, Mapping[str, float]] | None,
    train_counts: Mapping[str, Mapping[str, npt.ArrayLike]] | None,
) -> Further:
    """Check what is known beyond labels, groups and answers."""
    wrong = {*estimated, *estimated_rows} - set(declared.attributes)
    if wrong or not set(estimated_rows) <= set(estimated):
        raise DataError(
            f"estimated names {', '.join({*estimated, *estimated_rows})}",
            f"attributes out of {', '.join(declared.attributes) or 'none'}, each with its matrix",
            "correct estimated and estimated_rows",
        )
    matrices = {
        name: named_misclassification(
            name, declared.attributes[name], shares, estimated_rows.get(name)
        )
        for name, shares in estimated.items()
    }
    return Further(matrices, valences, train_shares or {}, train_counts or {})


def _paired(
    tables: Tables, pair: tuple[str, str], declared: Declared, settings: Settings, further: Further
) -> Tables:
    """Compare two models on the faces that both answered."""
    first, second = (tables[model] for model in pair)
    both = first["id"][first["id"].isin(second["id"])]
    if both.empty:
        return {}
    first, second = (each[each["id"].isin(both)] for each in (first, second))
    compared = compare_models(
        first,
        second,
        declared.classes,
        declared.attributes,
        intersections=declared.intersections,
        settings=settings,
    )
    found = {"paired": compared}
    if further.valences is not None:
        rows = scored_rows(first, declared.classes), scored_rows(second, declared.classes)
        coded = all_group_codes(rows[0].table, declared.attributes, declared.intersections)
        found["valence_differences"] = further_differences(
            rows, coded, pair, declared.classes, settings, further
        )
    return {name: _named(each, {MODEL: pair[0], AGAINST: pair[1]}) for name, each in found.items()}


def _confusion(rows: ScoredRows, codes: GroupCodes, classes: Sequence[str]) -> pd.DataFrame:
    """Return how often each class was taken for each other, in every group."""
    groups, size = [*codes.groups, UNKNOWN], len(classes)
    counts = count_decisions(
        codes.codes, rows.labels, rows.predicted, n_groups=len(groups), n_classes=size
    )
    names = np.array(classes, dtype=object)
    table = pd.DataFrame(
        {
            "attribute": codes.attribute,
            "group": np.repeat(np.array(groups, dtype=object), size * size),
            "label": np.tile(np.repeat(names, size), len(groups)),
            "predicted": np.tile(names, size * len(groups)),
            "n": counts.ravel(),
        }
    )
    return table if counts[-1].any() else table[table["group"] != UNKNOWN]


def _scores(
    faces: pd.DataFrame, classes: Sequence[str], prefix: str | None, confidence: str | None
) -> dict[str, Any]:
    """Return the columns of scores under their usual names: all probabilities, or a confidence."""
    columns = [f"{prefix}{name}" for name in classes]
    if prefix is not None and set(columns) <= set(faces.columns):
        return {f"p_{name}": faces[column] for name, column in zip(classes, columns, strict=True)}
    if confidence is not None and confidence in faces.columns:
        return {CONFIDENCE: _shares(faces[confidence])}
    return {}


def _shares(column: pd.Series) -> pd.Series:
    """Return confidences; missing ones are left out later, others must be shares."""
    wrong = column[column.notna() & ~column.between(0, 1)]
    if len(wrong):
        raise DataError(
            f"{len(wrong)} confidences in the column {column.name!r} are outside 0..1, such as "
            f"{wrong.iloc[0]}",
            "shares from 0 to 1",
            "divide percent by 100",
        )
    return column


def _of_model(columns: Columns, model: str) -> str | None:
    return columns if isinstance(columns, str) else columns.get(model)


def _values(column: pd.Series) -> tuple[str, ...]:
    """Return the categories of a column in their order, or else the values found, sorted."""
    found = (
        column.cat.categories
        if isinstance(column.dtype, pd.CategoricalDtype)
        else sorted(column.dropna().unique())
    )
    return tuple(str(value) for value in found if value != UNKNOWN)


def _text(column: pd.Series) -> pd.Series:
    """Return values as text, missing where there is nothing; categories as they are."""
    if isinstance(column.dtype, pd.CategoricalDtype | pd.StringDtype):
        return column
    return column.map(str, na_action="ignore")


def _check_columns(faces: pd.DataFrame, columns: Sequence[str], attributes: Sequence[str]) -> None:
    """Refuse a column that is not there, naming the nearest that are, and a reserved name."""
    wrong = [name for name in attributes if name in RESERVED]
    if wrong:
        raise DataError(
            f"groups names {', '.join(wrong)}",
            f"columns with other names than {', '.join(RESERVED)}",
            "rename the column",
        )
    for name in columns:
        if name not in faces.columns:
            there = [str(column) for column in faces.columns]
            near = get_close_matches(name, there, n=3, cutoff=0.5)
            raise DataError(
                f"the faces have no column {name!r}",
                f"one of {', '.join(there)}",
                f"did you mean {' or '.join(near)}?" if near else "name one of these",
            )


def _joined(found: Sequence[Tables]) -> Tables:
    """Put the tables of the same name below each other."""
    names = dict.fromkeys(name for tables in found for name in tables)
    return {
        name: pd.concat([tables[name] for tables in found if name in tables], ignore_index=True)
        for name in names
    }


def _named(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Return a table whose first columns say of which model it is."""
    return pd.concat([pd.DataFrame(names, index=table.index), table], axis=1)
