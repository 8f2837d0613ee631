"""Valence reading: how often are each group's neutral faces read as negative, and so on.

Three readings stand beside each other, because a model that was trained on shifted shares answers
in shifted shares:

- raw: the share of the faces of true valence t that the model answers with valence r;
- prior-corrected: the same once the shares of the training are divided out (`priors.py`);
- scores: where r is t, the AUROC of t against the rest. Else how often a face of t scores more like
  r than a face of r does, ties counting half: 0 never, 1/2 as often as by chance. It is 1 - A(r|t)
  of Hand & Till (2001, Machine Learning 45) with the score p(r) / (p(r) + p(t)), which orders faces
  alike whatever the shares of the training were, if the classes are the valences.

What the three do not agree on may come from the shares of the training alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import DataError
from facebias.fairness.auroc import Areas, area_interval, group_areas
from facebias.fairness.influence import (
    FloatArray,
    GroupUnits,
    divide,
    group_means,
    group_units,
)
from facebias.fairness.intervals import (
    agresti_min_interval,
    normal_critical,
    shares,
    student_interval,
)
from facebias.fairness.predictions import UNKNOWN, Codes, GroupCodes, ScoredRows
from facebias.fairness.priors import prior_corrected
from facebias.fairness.settings import Settings

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

VALENCES = ("negative", "neutral", "positive")

RAW, CORRECTED, SCORES = READINGS = ("raw", "prior-corrected", "scores")

COLUMNS = (
    *("attribute", "group", "true", "read", "reading", "value"),
    *("low", "high", "method", "n", "units", "status"),
)


@dataclass(frozen=True, eq=False)
class ValenceModel:
    """One model's predictions, and what is needed to read valences from them.

    Attributes:
        rows: the scored rows.
        train_shares: share of each class in its training, for the prior-corrected reading; None, or
            a class without a share: that reading is undefined.
    """

    rows: ScoredRows
    train_shares: Mapping[str, float] | None = None


def declared_valences(
    classes: Sequence[str], valences: Mapping[str, str] | None
) -> dict[str, str] | None:
    """Return the valence of each class, a valence being its own; None where one has none.

    >>> declared_valences(["happy", "neutral"], {"happy": "positive", "sad": "negative"})
    {'happy': 'positive', 'neutral': 'neutral'}
    >>> declared_valences(["female", "male"], {"happy": "positive"}) is None
    True
    """
    known = {name: name for name in VALENCES} | dict(valences or {})
    return {name: known[name] for name in classes} if set(classes) <= set(known) else None


def valence_readings(
    model: ValenceModel,
    codes: GroupCodes,
    classes: Sequence[str],
    settings: Settings,
    *,
    valences: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Measure how one model reads the valences of every group of an attribute.

    Args:
        model: its predictions.
        codes: the group of each row.
        classes: the declared classes.
        settings: `level` and `min_group` are used.
        valences: valence of each class; None: the classes are valences themselves.

    Returns:
        A row a group (the unknown one where there are any), true and read valence and reading:
        attribute, group, true, read, reading, value (0..1, NaN where undefined), low, high, method
        ("wilson", "delong", "newcombe", ending in ", by person" where they have several faces, or
        "none"), n (faces of the true valence; for the scores, those of the two that are compared),
        units (persons, or faces) and status ("ok", "too small", "empty", "unknown", or
        "undefined: ..." with the reason).

    Raises:
        DataError: a class without a valence, or with another than negative, neutral or positive.
    """
    faces = ValenceFaces(model.rows, codes, valence_codes(classes, valences), settings)
    return _table(faces, _each(faces, [ValenceAnswers.of(model, classes, faces)]))


def valence_differences(
    first: ValenceModel,
    second: ValenceModel,
    codes: GroupCodes,
    classes: Sequence[str],
    settings: Settings,
    *,
    valences: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Measure how two models differ in reading the valences of the same faces.

    Intervals are paired: what is hard for both models cancels out.

    Args:
        first: predictions of one model.
        second: predictions of another, of the same rows in the same order.
        codes: the group of each row.
        classes: the declared classes.
        settings: `level` and `min_group` are used.
        valences: as of `valence_readings`.

    Returns:
        The columns of `valence_readings` with `value` the first model's minus the second's, -1..1,
        and `first_value` and `second_value`. The method is "paired shares" (Agresti & Min 2005,
        Statistics in Medicine 24: half a face is added to each way of differing), "paired student,
        by person" or "paired delong".

    Raises:
        DataError: as of `valence_readings`, or faces that are not the same.
    """
    check_same(first.rows, second.rows)
    faces = ValenceFaces(first.rows, codes, valence_codes(classes, valences), settings)
    answers = [ValenceAnswers.of(model, classes, faces) for model in (first, second)]
    return _table(faces, _each(faces, answers))


def valence_codes(classes: Sequence[str], valences: Mapping[str, str] | None) -> Codes:
    """Return the place of each class's valence in VALENCES."""
    names = [str((valences or {}).get(name, name)) for name in classes]
    wrong = [name for name, said in zip(classes, names, strict=True) if said not in VALENCES]
    if wrong:
        raise DataError(
            f"The valence of {', '.join(map(str, wrong))} is not known.",
            f"one of {', '.join(VALENCES)} for every class",
            "Give a valence for it.",
        )
    return np.array([VALENCES.index(name) for name in names], dtype=np.int64)


def check_same(first: ScoredRows, second: ScoredRows) -> None:
    """Raise where two tables are not of the same faces in the same order."""
    same = np.array_equal(first.labels, second.labels)
    if same and "id" in first.table and "id" in second.table:
        same = np.array_equal(np.asarray(first.table["id"]), np.asarray(second.table["id"]))
    if not same:
        raise DataError(
            f"Two models were given {len(first.labels)} and {len(second.labels)} faces, which are "
            "not the same or not in the same order.",
            "the same faces with the same labels",
            "Keep the faces of both and sort them by id.",
        )


class ValenceFaces:
    """The rows of one attribute by true valence, group and unit.

    Attributes:
        names: of the G declared groups, and the unknown one.
        true: shape (N,), place of the true valence in VALENCES.
        of_class: shape (C,), place of each class's valence.
        size: shape (G + 1,), rows of each group.
    """

    def __init__(
        self, rows: ScoredRows, codes: GroupCodes, of_class: Codes, settings: Settings
    ) -> None:
        self.attribute, self.names = codes.attribute, [*codes.groups, UNKNOWN]
        self.groups, self.persons = codes.codes, rows.persons
        self.of_class, self.settings = of_class, settings
        self.true: Codes = of_class[rows.labels]
        self.size = np.bincount(codes.codes, minlength=len(self.names))

    def compared(self, true: int, read: int) -> tuple[Mask, Mask]:
        """Return which faces (N,) the scores of two valences compare, and of them the true ones.

        Of one valence all faces are compared with those of the others.
        """
        same = true == read
        chosen = np.ones(len(self.true), dtype=bool) if same else np.isin(self.true, (true, read))
        return chosen, self.true[chosen] == true

    def units(self, chosen: Mask) -> GroupUnits:
        """Return the chosen faces by group and unit."""
        persons = None if self.persons is None else self.persons[chosen]
        return group_units(self.groups[chosen], persons, len(self.names))


@dataclass(frozen=True, eq=False)
class ValenceAnswers:
    """One model's answers: the read valence by reading, and the score of each valence.

    Attributes:
        read: of the raw and the prior-corrected reading, the valence of each face (N,), or why
            there is none.
        scores: shape (N, 3), or why there are none.
    """

    read: dict[str, Codes | str]
    scores: FloatArray | str

    @classmethod
    def of(cls, model: ValenceModel, classes: Sequence[str], faces: ValenceFaces) -> ValenceAnswers:
        """Return what a model answers."""
        rows, read = model.rows, dict[str, Codes | str]()
        read[RAW] = faces.of_class[rows.predicted]
        read[CORRECTED] = _corrected(model, classes, faces.of_class)
        if rows.scores is None or not np.isfinite(rows.scores).all():
            return cls(read, "the predictions lack scores")
        columns = [rows.scores[:, faces.of_class == place].sum(axis=1) for place in range(3)]
        return cls(read, np.stack(columns, axis=-1))

    def likeness(self, chosen: Mask, true: int, read: int) -> FloatArray | str:
        """Return how much each chosen face scores like a valence, or why there is no score.

        Args:
            chosen: shape (N,), M faces.
            true: the valence that the AUROC is of, where `read` is the same.
            read: else how much more like this one than like the true one, 0..1.
        """
        if isinstance(self.scores, str):
            return self.scores
        of_true, of_read = self.scores[chosen][:, [true, read]].T
        return of_true if true == read else _among_two(of_read, of_true)


def _corrected(model: ValenceModel, classes: Sequence[str], of_class: Codes) -> Codes | str:
    """Return the valences of the prior-corrected answers, or why there are none."""
    if model.rows.scores is None:
        return "the predictions lack scores"
    if model.train_shares is None:
        return "the shares of the training are not known"
    try:
        corrected = prior_corrected(model.rows.table, classes, model.train_shares)
    except DataError as error:
        return error.found
    places = pd.Index(list(classes), dtype=object).get_indexer(corrected["predicted"])
    return np.asarray(of_class[places], dtype=np.int64)


def _each(faces: ValenceFaces, answers: Sequence[ValenceAnswers]) -> Iterator[dict[str, Any]]:
    """Yield the columns of every reading and pair of valences that the classes have."""
    present = sorted(set(faces.of_class.tolist()))
    for reading in READINGS:
        for true in present:
            for read in present:
                names = {"true": VALENCES[true], "read": VALENCES[read], "reading": reading}
                yield names | (
                    _areas(faces, answers, true, read)
                    if reading == SCORES
                    else _shares(faces, answers, reading, true, read)
                )


def _shares(
    faces: ValenceFaces, answers: Sequence[ValenceAnswers], reading: str, true: int, read: int
) -> dict[str, Any]:
    """Return the share of the faces of a valence that are read as another, by group."""
    chosen = faces.true == true
    units = faces.units(chosen)
    found = []
    for answer in answers:
        valence = answer.read[reading]
        if isinstance(valence, str):
            return _undefined(faces, units, valence, len(answers))
        found.append((valence[chosen] == read).astype(np.float64))
    means = [group_means(values, units)[0] for values in found]
    shown = _shown(faces, units, means, f"no {VALENCES[true]} faces")
    if len(found) == 2:
        return shown | _paired_shares(found[0] - found[1], units, faces.settings.level)
    share, error = group_means(found[0], units)
    n_units = np.bincount(units.unit_groups, minlength=units.n_groups)
    found_share = shares(share, error, n_units, by_person=units.by_person)
    low, high = found_share.interval(normal_critical(faces.settings.level))
    return shown | _bounds(low, high, "wilson", units)


def _paired_shares(difference: FloatArray, units: GroupUnits, level: float) -> dict[str, Any]:
    """Return the interval of a mean difference (N,) of -1, 0 and 1."""
    mean, error = group_means(difference, units)
    n_units = np.bincount(units.unit_groups, minlength=units.n_groups)
    if units.by_person:
        low, high = student_interval(mean, error * np.sqrt(n_units), n_units, level)
        varies = error > 0
        low, high = (np.where(varies, each, np.nan) for each in (low, high))
        return _bounds(np.maximum(low, -1), np.minimum(high, 1), "paired student", units)
    apart = units.sums(difference), units.sums(difference**2)
    low, high = agresti_min_interval(*apart, n_units, level)
    return _bounds(low, high, "paired shares", units)


def _areas(
    faces: ValenceFaces, answers: Sequence[ValenceAnswers], true: int, read: int
) -> dict[str, Any]:
    """Return how often a face of a valence scores more like another than a face of that does."""
    chosen, positive = faces.compared(true, read)
    units = faces.units(chosen)
    found: list[Areas] = []
    for answer in answers:
        score = answer.likeness(chosen, true, read)
        if isinstance(score, str):
            return _undefined(faces, units, score, len(answers))
        found.append(group_areas(positive, score, units))
    same = true == read
    needed = f"no {VALENCES[true]} faces, or no " + ("others" if same else f"{VALENCES[read]} ones")
    shown = _shown(faces, units, [each.values for each in found], needed)
    if len(found) == 2:
        return shown | _paired_areas(found, units, faces.settings.level)
    low, high, methods = area_interval(found[0], faces.settings.level)
    return shown | _bounds(low, high, np.array(methods, dtype=object), units)


def _among_two(of_read: FloatArray, of_true: FloatArray) -> FloatArray:
    """Return p(read) / (p(read) + p(true)), 1/2 where both are 0."""
    shares = divide(of_read, of_read + of_true)
    return np.where(np.isnan(shares), 0.5, shares)


def _paired_areas(found: Sequence[Areas], units: GroupUnits, level: float) -> dict[str, Any]:
    """Return DeLong's interval of the difference of two areas of the same faces."""
    influence = found[0].influence - found[1].influence
    errors = np.sqrt(units.squares(influence))
    freedom = np.fmin(found[0].freedom, found[1].freedom)
    mean = found[0].values - found[1].values
    low, high = student_interval(mean, errors * np.sqrt(freedom + 1), freedom + 1, level)
    low, high = (np.where(errors > 0, each, np.nan) for each in (low, high))
    return _bounds(np.maximum(low, -1), np.minimum(high, 1), "paired delong", units)


def _shown(
    faces: ValenceFaces, units: GroupUnits, values: Sequence[FloatArray], needed: str
) -> dict[str, Any]:
    """Return values, n, units and status of every group; of two models, their difference."""
    value = values[0] - values[1] if len(values) == 2 else values[0]
    n = np.bincount(units.groups, minlength=units.n_groups)
    status = np.where(n < faces.settings.min_group, "too small", "ok").astype(object)
    status[-1] = UNKNOWN
    status[np.isnan(value)] = f"undefined: {needed}"
    status[faces.size == 0] = "empty"
    columns = {"value": value, "n": n, "status": status}
    if len(values) == 2:
        columns |= {"first_value": values[0], "second_value": values[1]}
    return columns | {"units": np.bincount(units.unit_groups, minlength=units.n_groups)}


def _undefined(faces: ValenceFaces, units: GroupUnits, reason: str, models: int) -> dict[str, Any]:
    """Return the columns of a reading that cannot be made."""
    nothing = np.full(len(faces.names), np.nan)
    shown = _shown(faces, units, [nothing] * models, reason)
    return shown | {"low": nothing, "high": nothing, "method": "none"}


def _bounds(low: FloatArray, high: FloatArray, method: Any, units: GroupUnits) -> dict[str, Any]:  # noqa: ANN401
    """Return an interval and its method, "none" where it is undefined."""
    ending = ", by person" if units.by_person else ""
    known = ~np.isnan(low) & ~np.isnan(high)
    names = np.broadcast_to(np.asarray(method, dtype=object), low.shape)
    methods = np.where(known, [f"{name}{ending}" for name in names], "none")
    return {"low": low, "high": high, "method": methods.astype(object)}


def _table(faces: ValenceFaces, parts: Iterator[dict[str, Any]]) -> pd.DataFrame:
    """Return the columns of all parts as a table, group by group."""
    n_groups, found = len(faces.names), list(parts)
    columns = {
        name: np.concatenate([np.broadcast_to(part[name], n_groups) for part in found])
        for name in found[0]
    }
    columns |= {"attribute": np.full(n_groups * len(found), faces.attribute, dtype=object)}
    columns |= {"group": np.tile(np.array(faces.names, dtype=object), len(found))}
    order = np.argsort(np.tile(np.arange(n_groups), len(found)), kind="stable")
    kept = order[(columns["group"][order] != UNKNOWN) | (faces.size[-1] > 0)]
    extra = [name for name in ("first_value", "second_value") if name in columns]
    return pd.DataFrame({name: columns[name][kept] for name in (*COLUMNS, *extra)})
