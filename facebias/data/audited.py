"""Somebody else's predictions, read for an audit: truth, groups and the answers of models.

    id,gender,race,predicted,p_female,p_male
    17,female,White,male,0.31,0.69

The truth stands in the same file, or in a second one that is joined on a key. Several files are
several models on the same faces. Nothing is left out in silence: every row and value that could
not be used is counted in the notes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.readers.frames import column_names, read_frame, refuse_twice
from facebias.data.readers.side_tables import NOTHING
from facebias.data.table import UNKNOWN
from facebias.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]

KINDS = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".json")
"""Endings of the files that can be read."""

RESERVED = ("all", "id", "identity", "label", "predicted", "split")
"""Names of columns that mean something of their own, so that no attribute may have them."""

_LISTED = 5  # rows or values that a note or a message names
_NEAR = 0.02  # of 1, that the probabilities of a row sum to: they may be rounded
_BELOW = re.compile(r"\s*(<|under|below|less|younger|up to)", re.IGNORECASE)


@dataclass(frozen=True)
class Note:
    """Something about the data that a reader of the audit has to know.

    Attributes:
        kind: "read" (a file), "no partner" (rows that the join left over), "no label", "no answer",
            "unmapped", "unknown group", "map unused", "percent" (read as percent), "not likeliest"
            (the predicted class is not that of the largest probability).
        where: the file, model or column.
        value: what it is about: a value, or the first keys; empty where there is nothing to name.
        rows: how many rows.
    """

    kind: str
    where: str
    value: str
    rows: int


@dataclass(frozen=True)
class AuditColumns:
    """What the columns of the files mean.

    Attributes:
        label: column of the true class.
        predicted: column of the predicted class; it may be named as the label is where the truth
            stands in a file of its own.
        groups: columns of the attributes.
        key: column that names a row in all files; needed where there are several.
        identity: column of the person; None: every row is its own person.
        confidence: column of the confidence in the predicted class, in shares or percent.
        probabilities: what the columns of probabilities begin with; the class follows. They are
            read where all classes have one.
    """

    label: str
    predicted: str
    groups: Sequence[str] = ()
    key: str | None = None
    identity: str | None = None
    confidence: str | None = None
    probabilities: str = "p_"


@dataclass(frozen=True)
class AuditValues:
    """What the values in the columns mean.

    Attributes:
        classes: the declared classes; empty: those of the truth, in natural order.
        attributes: the declared groups of an attribute; none: those found, in natural order.
        label_map: value of the truth: its class, where they differ.
        predicted_map: value of the predictions: its class, where they differ; None: as label_map.
        group_map: attribute: value: its group, where they differ.
        unmapped: "error" refuses a value that is no declared class or group; "report" counts it:
            a group becomes unknown, a label or an answer missing.
    """

    classes: Sequence[str] = ()
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    label_map: Mapping[str, str] = field(default_factory=dict)
    predicted_map: Mapping[str, str] | None = None
    group_map: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unmapped: str = "error"


@dataclass(frozen=True, eq=False)
class AuditedFaces:
    """The faces of an audit.

    Attributes:
        rows: one row a face: id, label (missing where unknown), a column for each attribute
            ("unknown" where nobody knows), identity if there is one, and for each model
            `<model>: predicted` (missing where it gave no answer), and where they are given
            `<model>: p_<class>`, which sum to 1, and `<model>: confidence`, 0..1. Labels, groups
            and predictions are categories: the declared ones, in their order.
        classes: the declared classes.
        attributes: the declared groups of each attribute.
        models: the names of the models, in the order of their files.
        notes: what was read, and what could not be used.
    """

    rows: pd.DataFrame
    classes: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]]
    models: tuple[str, ...]
    notes: tuple[Note, ...]

    def columns(self) -> dict[str, Any]:
        """Return what `facebias.fairness.audit.audit` has to know of the columns."""
        return {
            "groups": tuple(self.attributes),
            "identity": "identity" if "identity" in self.rows else None,
            "predicted": {model: f"{model}: predicted" for model in self.models},
            "probabilities": {model: f"{model}: p_" for model in self.models},
            "confidence": {model: f"{model}: confidence" for model in self.models},
        }


def read_audited(
    predictions: Mapping[str, Path],
    columns: AuditColumns,
    values: AuditValues,
    truth: Path | None = None,
) -> AuditedFaces:
    """Read predictions, and the truth that they are held against.

    Args:
        predictions: model: its file (CSV, Parquet or JSON), one or more.
        columns: what the columns mean.
        values: what the values mean.
        truth: the file of labels and groups; None: they stand beside the predictions, in the first
            file where there are several.

    Raises:
        ConfigError: several files without a key, or an attribute with a reserved name.
        DataError: a file that is not there, of an unknown kind, empty, or without a column that was
            named; a key that is missing or stands twice; a value that is no declared class or
            group, unless it is to be reported.
    """
    source = next(iter(predictions.values())) if truth is None else truth
    _check_columns(columns, several=len({source, *predictions.values()}) > 1, apart=truth)
    notes: list[Note] = []
    given = _read(source, columns, notes, truth=True, answers=truth is None)
    keys = _keys(given, columns.key, source)
    rows, classes, attributes = _decode_truth(given, keys, columns, values, notes)
    for model, path in predictions.items():
        answers = given
        if path != source:
            answers = _read(path, columns, notes, truth=False, answers=True)
            found = _keys(answers, columns.key, path)
            answers = _joined(answers, found, keys, (path.name, source.name), notes)
        coded = _decode_answers(answers, model, path, columns, classes, values, notes)
        rows = rows.assign(**{f"{model}: {name}": column for name, column in coded.items()})
        _note_unanswered(rows, model, notes)
    return AuditedFaces(rows, classes, attributes, tuple(predictions), tuple(notes))


def read_trained(
    path: Path, columns: AuditColumns, values: AuditValues, faces: AuditedFaces
) -> pd.DataFrame:
    """Read the labels and groups of the faces that a model was trained on.

    Args:
        path: a file (CSV, Parquet or JSON), a row a face, with the columns of label and groups.
        columns: of label and groups.
        values: what values mean, as of the truth.
        faces: those that are audited; they declare classes and groups.

    Returns:
        The columns `label` and one for each attribute, missing or "unknown" where nobody knows.

    Raises:
        DataError: a file that is not there, of an unknown kind, empty, or without a column; a value
            that is no declared class or group, unless it is to be reported.
    """
    notes: list[Note] = []
    known = replace(values, classes=faces.classes, attributes=faces.attributes)
    wanted = replace(columns, key=None, identity=None)
    given = _read(path, wanted, notes, truth=True, answers=False)
    keys = _keys(given, None, path)
    return _decode_truth(given, keys, wanted, known, notes)[0]


def _check_columns(columns: AuditColumns, *, several: bool, apart: Path | None) -> None:
    """Refuse meanings that do not go together."""
    if several and columns.key is None:
        raise ConfigError(
            "several files, and no key that joins them",
            "a column that names a row, in all files",
            "add key=COLUMN",
        )
    if apart is None and columns.predicted == columns.label:
        raise ConfigError(
            f"label and predicted are both the column {columns.label!r}",
            "two columns, or a file of its own for the truth",
            "correct predicted=COLUMN, or add truth=FILE",
        )
    wrong = [name for name in columns.groups if name in RESERVED]
    if wrong:
        raise ConfigError(
            f"groups names {', '.join(wrong)}",
            f"columns with other names than {', '.join(RESERVED)}",
            "rename the column in its file",
        )


def _read(
    path: Path, columns: AuditColumns, notes: list[Note], *, truth: bool, answers: bool
) -> pd.DataFrame:
    """Read the columns of a file that say the truth, the answers of a model, or both."""
    if path.suffix.lower() not in KINDS:
        raise DataError(
            f"{path} is of an unknown kind", f"a file that ends with {', '.join(KINDS)}"
        )
    there = column_names(path)
    wanted = {"key": columns.key}
    if truth:
        wanted |= {"label": columns.label, "identity": columns.identity}
        wanted |= {f"groups: {name}": name for name in columns.groups}
    if answers:
        wanted |= {"predicted": columns.predicted, "confidence": columns.confidence}
    for meaning, name in wanted.items():
        if name is not None and name not in there:
            raise _no_column(path, meaning.partition(":")[0], name, there)
    named = [name for name in wanted.values() if name is not None]
    scores = [name for name in there if answers and name.startswith(columns.probabilities)]
    frame = read_frame(path, list(dict.fromkeys([*named, *scores])))
    notes.append(Note("read", path.name, "", len(frame)))
    return frame


def _no_column(path: Path, meaning: str, name: str, there: Sequence[str]) -> DataError:
    near = get_close_matches(name, there, n=3, cutoff=0.5)
    return DataError(
        f"{path} has no column {name!r}, which {meaning} names",
        f"one of {', '.join(there)}",
        f"did you mean {' or '.join(near)}?" if near else f"name one of these in {meaning}",
    )


def _keys(frame: pd.DataFrame, key: str | None, path: Path) -> pd.Index:
    """Return the key of each row as text; its number where there is no key."""
    if key is None:
        return pd.RangeIndex(1, len(frame) + 1)
    column = frame[key]
    if column.isna().any():
        raise DataError(
            f"{path}, line {column.isna().idxmax()}: there is no {key}",
            "a key in every row",
            "fill it, or remove the line",
        )
    if not pd.api.types.is_integer_dtype(column):
        column = column.astype("str").str.strip()
    refuse_twice(column, path)
    return pd.Index(column)


def _joined(
    answers: pd.DataFrame,
    found: pd.Index,
    keys: pd.Index,
    names: tuple[str, str],
    notes: list[Note],
) -> pd.DataFrame:
    """Return the answers in the order of the faces, missing where a face has none."""
    if found.dtype != keys.dtype:  # numbers in a Parquet file, text in a CSV file
        found, keys = found.astype(str), keys.astype(str)
    places = found.get_indexer(keys)
    if (places < 0).all():
        raise DataError(
            f"no row of {names[0]} ({found[0]!r}, ...) has a partner in {names[1]} "
            f"({keys[0]!r}, ...)",
            "the same keys in both files",
            "check key=COLUMN and that the files belong together",
        )
    left = {names[1]: keys[places < 0], names[0]: found.difference(keys, sort=False)}
    for name, lonely in left.items():
        if len(lonely):
            listed = ", ".join(map(str, lonely[:_LISTED])) + ", ..." * (len(lonely) > _LISTED)
            notes.append(Note("no partner", name, listed, len(lonely)))
    return answers.reset_index(drop=True).reindex(np.where(places < 0, len(answers), places))


def _decode_truth(
    given: pd.DataFrame,
    keys: pd.Index,
    columns: AuditColumns,
    values: AuditValues,
    notes: list[Note],
) -> tuple[pd.DataFrame, tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return the faces with their labels and groups, the classes, and the groups."""
    coding = _Coding(values.unmapped, notes)
    labels = _texts(given[columns.label], columns.label)
    label, classes = coding.decode(labels, values.classes, values.label_map, "label")
    if label.isna().all():
        raise DataError(
            f"no row has a label in the column {columns.label!r}", "at least one row to score"
        )
    _note(notes, "no label", columns.label, int(label.isna().sum()))
    parts: dict[str, object] = {"id": keys, "label": label}
    attributes = {}
    for name in columns.groups:
        declared, codes = values.attributes.get(name, ()), values.group_map.get(name, {})
        groups, attributes[name] = coding.decode(_texts(given[name], name), declared, codes, name)
        _note(notes, "unknown group", name, int(groups.isna().sum()))
        parts[name] = groups.add_categories([UNKNOWN]).fillna(UNKNOWN)
    if columns.identity is not None:
        parts["identity"] = given[columns.identity].array
    return pd.DataFrame(parts), classes, attributes


def _decode_answers(
    answers: pd.DataFrame,
    model: str,
    path: Path,
    columns: AuditColumns,
    classes: tuple[str, ...],
    values: AuditValues,
    notes: list[Note],
) -> dict[str, object]:
    """Return the predicted class of each face, and its scores where there are any."""
    texts = _texts(answers[columns.predicted], columns.predicted)
    codes = values.predicted_map
    if codes is None:
        codes = {name: values.label_map[name] for name in texts.names if name in values.label_map}
    coding = _Coding(values.unmapped, notes)
    predicted, _ = coding.decode(texts, classes, codes, f"{model}: predicted")
    decoded: dict[str, object] = {"predicted": predicted}
    answered = np.asarray(~predicted.isna(), dtype=bool)
    wanted = [f"{columns.probabilities}{name}" for name in classes]
    if set(wanted) <= set(answers.columns):
        scores = _shares(answers[wanted], answered, path, model, notes)
        _check_sums(scores[answered], path)
        unlikely = scores.argmax(axis=1) != predicted.codes
        _note(notes, "not likeliest", model, int((unlikely & answered).sum()))
        scores[answered] /= scores[answered].sum(axis=1, keepdims=True)
        decoded |= {f"p_{name}": scores[:, place] for place, name in enumerate(classes)}
    if columns.confidence is not None:
        told = _shares(answers[[columns.confidence]], answered, path, model, notes)
        decoded["confidence"] = told[:, 0]
    return decoded


def _note_unanswered(rows: pd.DataFrame, model: str, notes: list[Note]) -> None:
    """Count the labelled faces that a model gives no answer to."""
    lonely = rows[f"{model}: predicted"].isna() & rows["label"].notna()
    _note(notes, "no answer", model, int(lonely.sum()))


def _note(notes: list[Note], kind: str, where: str, rows: int) -> None:
    if rows:
        notes.append(Note(kind, where, "", rows))


def _shares(
    given: pd.DataFrame,
    answered: npt.NDArray[np.bool_],
    path: Path,
    model: str,
    notes: list[Note],
) -> Floats:
    """Return probabilities or confidences 0..1, shape (N, columns); percent are divided by 100."""
    names = ", ".join(map(str, given.columns))
    try:
        found: Floats = given.to_numpy(np.float64, copy=True, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: {names} holds something else than numbers: {error}") from error
    there = found[answered]
    if not np.isfinite(there).all() or there.min(initial=0) < 0 or there.max(initial=0) > 100:
        raise DataError(
            f"{path}: {names} has numbers that are missing, below 0 or above 100",
            "shares from 0 to 1, or percent, in every row with an answer",
            "mend them, or leave the column out",
        )
    if there.max(initial=0) > 1:
        _note(notes, "percent", f"{model}: {names}", len(there))
        return found / 100
    return found


def _check_sums(scores: Floats, path: Path) -> None:
    wrong = np.abs(scores.sum(axis=1) - 1) > _NEAR
    if wrong.any():
        raise DataError(
            f"{path}: the probabilities of {wrong.sum():,} rows do not sum to 1, the first to "
            f"{scores[wrong][0].sum():.3f}",
            "probabilities of classes that exclude each other",
            "divide them by their sum, or rename the columns so that they are not read",
        )


@dataclass(frozen=True, eq=False)
class _Texts:
    """A column as text: the few different values, and the place of each row's among them."""

    codes: npt.NDArray[np.int64]  # (N,), -1 where there is nothing
    names: list[str]


def _texts(column: pd.Series, name: str) -> _Texts:
    """Return values as text without spaces around."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # codes, some of which are missing
    try:
        codes, found = pd.factorize(column)
    except TypeError as error:
        raise DataError(f"the column {name!r} holds lists or records", "a value a row") from error
    return _merged(codes.astype(np.int64), [str(each).strip() for each in np.asarray(found)])


def _merged(codes: npt.NDArray[np.int64], names: Sequence[str]) -> _Texts:
    """Join values that have become the same."""
    kept = list(dict.fromkeys(names))
    places = np.array([*(kept.index(name) for name in names), -1], dtype=np.int64)
    return _Texts(places[codes], kept)


@dataclass(frozen=True, eq=False)
class _Coding:
    """How values become classes or groups."""

    unmapped: str
    notes: list[Note]

    def decode(
        self,
        texts: _Texts,
        declared: Sequence[str],
        codes: Mapping[str, str],
        where: str,
    ) -> tuple[pd.Categorical, tuple[str, ...]]:
        """Return the class or group of each row, missing where there is none, and the declared."""
        for name in codes:
            if name not in texts.names:
                self.notes.append(Note("map unused", where, name, 0))
        named = _merged(texts.codes, [codes.get(name, name) for name in texts.names])
        nothing = {name for name in named.names if name.lower() in NOTHING and name not in declared}
        known = tuple(declared) or natural_order(set(named.names) - nothing)
        self._refuse_undeclared(named, {*known, *nothing}, known, where)
        places = {name: place for place, name in enumerate(known)}
        lookup = np.array([*(places.get(name, -1) for name in named.names), -1], dtype=np.int64)
        return pd.Categorical.from_codes(lookup[named.codes], categories=list(known)), known

    def _refuse_undeclared(
        self, texts: _Texts, allowed: set[str], known: Sequence[str], where: str
    ) -> None:
        """Refuse values that are not declared, or note them with their counts."""
        counts = np.bincount(texts.codes[texts.codes >= 0], minlength=len(texts.names))
        wrong = {
            name: int(n)
            for name, n in zip(texts.names, counts, strict=True)
            if name not in allowed and n
        }
        if self.unmapped == "report":
            self.notes.extend(Note("unmapped", where, name, n) for name, n in wrong.items())
        elif wrong:
            listed = ", ".join(f"{name!r} ({n:,} rows)" for name, n in wrong.items())
            raise DataError(
                f"{where} has values that are not declared: {listed}",
                f"one of {', '.join(known)}",
                "map them (label_map, predicted_map, group_map), declare them (classes, "
                "attributes), or count them as missing with unmapped=report",
            )


def natural_order(names: Collection[str]) -> tuple[str, ...]:
    """Sort names, those with numbers by the number.

    >>> natural_order({"more than 70", "10-19", "3-9", "under 3", "60-69"})
    ('under 3', '3-9', '10-19', '60-69', 'more than 70')
    >>> natural_order({"female", "Male"})
    ('female', 'Male')
    """
    numbers = {name: re.search(r"\d+(\.\d+)?", name) for name in names}
    if names and all(numbers.values()):
        places = {name: float(found[0]) for name, found in numbers.items() if found}
        below = {name: _BELOW.match(name) is not None for name in names}
        return tuple(sorted(names, key=lambda name: (places[name], not below[name], name)))
    return tuple(sorted(names, key=lambda name: (name.casefold(), name)))
