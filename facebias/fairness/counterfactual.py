"""Counterfactual faces: how far the answer changes when one cause does and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from facebias.errors import DataError
from facebias.fairness.group_report import group_report
from facebias.fairness.influence import FloatArray, group_means, group_units
from facebias.fairness.intervals import student_interval
from facebias.fairness.predictions import Codes, scored_rows

OWN = "its own value"
"""The value of originals that differ in the factor, or whose value nobody wrote down."""

_NOTHING = {"n": 0, "share": nan, "low": nan, "high": nan, "method": "none"}


@dataclass(frozen=True)
class Flips:
    """How often the predicted label differs between two values of one factor.

    Attributes:
        factor: what was changed.
        before: its value in the first face of each pair.
        after: its value in the second.
        n: pairs.
        flips: pairs whose predicted labels differ.
        share: flips / n; NaN without pairs.
        low: lower bound of the share's interval.
        high: upper bound.
        method: of the interval: "wilson", "wilson, by person" or "none".
        directions: for each change that happens `from`, `to` and `n`, the most frequent one first.
        by_label: for each class, as the true label of the first face, `label`, n, share, low, high
            and method; a class without pairs has n = 0.
        shifts: how far the scores move from the first face to the second. For all pairs (`label`
            None) and for each true label, and for each class (`class`): `shift`, the mean of
            p(class) after minus before, -1..1; low, high; method ("paired student", the same with
            ", by person", or "none"); n (pairs); units (pairs, or persons). Empty without scores.
    """

    factor: str
    before: str
    after: str
    n: int
    flips: int
    share: float
    low: float
    high: float
    method: str
    directions: list[dict[str, Any]]
    by_label: list[dict[str, Any]]
    shifts: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain types for JSON."""
        return asdict(self)


def counterfactual_flips(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    *,
    replicates: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> list[Flips]:
    """Compare the predicted labels and the scores of faces that differ in one factor only.

    A set of pairs is an original and what was made from it. Every two values of a factor are
    compared, over the sets that have both; an original stands for its own value, whatever it is,
    and for a value of the others where it has that one anyway. Pairs are independent and the
    intervals Wilson's, unless a person has several of them: then persons are resampled, as in
    `facebias.fairness.group_report.group_report`.

    Args:
        predictions: one row a face of one run and one split: id, label (may be missing),
            predicted, `pair` (id of the original; missing or its own id in an original),
            `pair_factor` and `pair_value` (what was changed, and to which value, as text; in an
            original its own value or missing), and if known identity and p_<class>.
        classes: the declared classes.
        replicates: of the person bootstrap.
        level: confidence in (0, 1).
        seed: of the person bootstrap.

    Returns:
        One entry for every two values, in the order in which they come in the table; none where
        nothing has a counterfactual.

    Raises:
        DataError: for missing columns, a changed face without factor or value, or a value that an
            original has twice.
    """
    originals, changed = _members(predictions)
    options = {"replicates": replicates, "level": level, "seed": seed}
    return [
        _compare(str(factor), before, after, tuple(classes), options)
        for factor, faces in changed.groupby("pair_factor", sort=False)
        for before, after in combinations(_by_value(originals, faces).items(), 2)
    ]


def _members(predictions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the originals and the changed faces, each with `original`, the id of its original."""
    needed = ["id", "label", "predicted", "pair", "pair_factor", "pair_value"]
    missing = [name for name in needed if name not in predictions]
    if missing:
        raise DataError(
            f"the predictions have no column {', '.join(missing)}",
            "those of counterfactual faces, as python -m facebias.faces writes them",
        )
    faces = predictions.assign(original=predictions["pair"].fillna(predictions["id"]))
    is_original = faces["original"] == faces["id"]
    changed = faces[~is_original]
    unsaid = changed[changed[["pair_factor", "pair_value"]].isna().any(axis=1)]
    if len(unsaid):
        raise DataError(
            f"{len(unsaid)} faces do not say what was changed, the first is {unsaid['id'].iloc[0]}",
            "pair_factor and pair_value of every face that was made from another",
        )
    return faces[is_original], changed.assign(pair_value=changed["pair_value"].astype(str))


def _by_value(originals: pd.DataFrame, changed: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the faces at each value of one factor, by their original; originals come first."""
    concerned = originals[originals["original"].isin(changed["original"])]
    own = concerned["pair_value"].astype(str).where(concerned["pair_value"].notna())
    values = {
        str(value): _at_value(faces, concerned[own == value], str(value))
        for value, faces in changed.groupby("pair_value", sort=False)
    }
    if concerned.empty:
        return values
    only = set(own)
    name = str(only.pop()) if len(only) == 1 and own.notna().all() else OWN
    return {name: concerned.set_index("original")} | values


def _at_value(changed: pd.DataFrame, originals: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return the faces changed to a value, and the originals that have it without a change."""
    twice = changed["original"][changed["original"].duplicated()]
    if len(twice):
        raise DataError(
            f"{twice.iloc[0]} has two faces with {changed['pair_factor'].iloc[0]} = {value}",
            "one of each value",
        )
    unchanged = originals[~originals["original"].isin(changed["original"])]
    return pd.concat([changed, unchanged]).set_index("original")


def _compare(
    factor: str,
    before: tuple[str, pd.DataFrame],
    after: tuple[str, pd.DataFrame],
    classes: tuple[str, ...],
    options: Mapping[str, Any],
) -> Flips:
    """Compare the predictions of the originals that have a face of both values."""
    first = before[1].loc[before[1].index.intersection(after[1].index)]
    second = after[1].loc[first.index]
    # What a model answers after the change is right where it is what it answered before.
    answers = {"label": first["predicted"], "predicted": second["predicted"]}
    decisions = answers | {"true label": first["label"]}
    persons = {"identity": first["identity"]} if "identity" in first else {}
    pairs = pd.DataFrame(decisions | persons).reset_index(drop=True)
    overall, *by_label = _agreement(pairs, classes, options)
    flipped = pairs[pairs["label"] != pairs["predicted"]]
    return Flips(
        factor=factor,
        before=before[0],
        after=after[0],
        flips=len(flipped),
        directions=_directions(flipped),
        by_label=[{"label": name, **row} for name, row in zip(classes, by_label, strict=True)],
        shifts=_shifts(pairs, _scores(second, classes) - _scores(first, classes), classes, options),
        **overall,
    )


def _scores(faces: pd.DataFrame, classes: tuple[str, ...]) -> FloatArray:
    """Return the scores of faces, shape (N, C); (N, 0) where a class has none."""
    columns = [f"p_{name}" for name in classes]
    known = columns if set(columns) <= set(faces) else []
    return np.asarray(faces[known], dtype=np.float64)


def _shifts(
    pairs: pd.DataFrame, moved: FloatArray, classes: tuple[str, ...], options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the mean shift of every class's score: of all pairs, then of each true label."""
    whole = np.isfinite(moved).all(axis=1)
    if not moved.shape[1] or not whole.any():
        return []
    persons = scored_rows(pairs, classes).persons
    labels: list[str | None] = [None, *classes]
    found = []
    for label in labels:
        chosen = whole if label is None else whole & (pairs["true label"] == label).to_numpy(bool)
        of_persons = None if persons is None else persons[chosen]
        rows = [
            {
                "label": label,
                "class": name,
                **_mean_shift(moved[chosen, place], of_persons, options),
            }
            for place, name in enumerate(classes)
        ]
        found.extend(rows)
    return found


def _mean_shift(
    moved: FloatArray, persons: Codes | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the mean of the pairs' shifts (n,) with its interval."""
    units = group_units(np.zeros(len(moved), dtype=np.int64), persons, 1)
    mean, error = group_means(moved, units)
    n_units = len(units.unit_groups)
    low, high = student_interval(mean, error * np.sqrt(n_units), n_units, options["level"])
    # Shifts that are all alike say nothing of how far they scatter.
    known = bool(error[0] > 0)
    return {
        "shift": mean.item(),
        "low": max(low.item(), -1.0) if known else nan,
        "high": min(high.item(), 1.0) if known else nan,
        "method": f"paired student{', by person' * units.by_person}" if known else "none",
        "n": len(moved),
        "units": n_units,
    }


def _agreement(
    pairs: pd.DataFrame, classes: tuple[str, ...], options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return n and share of flips with its interval: of all pairs, then of each true label."""
    if pairs.empty:
        return [dict(_NOTHING) for _ in range(1 + len(classes))]
    table = group_report(pairs, classes, {"true label": classes}, **options).table
    rows = table[table["group"] != "unknown"]
    return [
        {
            "n": int(row["n"]),
            "share": 1 - row["accuracy"],
            "low": 1 - row["accuracy_high"],
            "high": 1 - row["accuracy_low"],
            "method": row["accuracy_method"],
        }
        for row in rows.to_dict(orient="records")
    ]


def _directions(flipped: pd.DataFrame) -> list[dict[str, Any]]:
    """Count each change of the predicted label."""
    counts = flipped.groupby(["label", "predicted"]).size()
    ordered = counts.iloc[np.argsort(-counts.to_numpy(), kind="stable")]
    return [{"from": old, "to": new, "n": int(n)} for (old, new), n in ordered.items()]
