"""Several seeds of one variant, of two, and of folds: what they get on the same faces.

How seeds and faces make one interval: `facebias.fairness.crossed`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from facebias.errors import DataError
from facebias.fairness.crossed import Crossed, crossed_groups, estimate, share_bounds
from facebias.fairness.predictions import UNKNOWN
from facebias.fairness.settings import Settings

SEED_METRICS = ("accuracy", "macro_precision", "macro_recall", "macro_f1")
"""The metrics of `seed_measures`, each in 0..1."""

_MEASURE_COLUMNS = [
    *("attribute", "group", "metric", "value", "low", "high", "method", "n", "units", "seeds"),
    *("seed_error", "face_error", "status", "reason"),
]
_GAP_COLUMNS = [
    *("attribute", "metric", "kind", "first", "second", "first_value", "second_value"),
    *("difference", "low", "high", "method", "seeds", "seed_error", "face_error"),
    *("eligible", "groups", "reason"),
]
_DIFFERENCE_COLUMNS = [
    *("attribute", "metric", "group", "against", "first_value", "second_value", "difference"),
    *("low", "high", "method", "n", "units", "first_seeds", "second_seeds"),
    *("seed_error", "face_error", "reason"),
]


def seed_measures(
    runs: Sequence[pd.DataFrame],
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    *,
    intersections: Sequence[Sequence[str]] = (),
    settings: Settings | None = None,
) -> pd.DataFrame:
    """Return the mean of several seeds in every group, with an interval over seeds and faces.

    Args:
        runs: R tables of predictions of the same faces, one a seed; see
            `facebias.fairness.group_report`. Each has the column `id`.
        classes: the declared classes.
        attributes: the declared groups of each attribute.
        intersections: sets of attributes whose combinations are groups too.
        settings: how groups are judged; replicates and seed are not used.

    Returns:
        One row a group and metric of `SEED_METRICS`: attribute, group, metric,
        value (mean over seeds), low and high (0..1; shaped as Wilson's, see `share_bounds`),
        method ("crossed seeds x faces", "crossed seeds x persons", "none"), n (rows), units (rows,
        or persons), seeds (R), seed_error and face_error (standard errors of the two terms of the
        module's text), status ("ok", "too small", "empty" or "unknown"), reason (why there is no
        interval). Undefined is NaN.

    Raises:
        DataError: the runs have not the same faces with the same labels and groups, or two are of
            the same seed.

    >>> run = pd.DataFrame({"id": range(40), "label": ["a", "b"] * 20, "predicted": "a"})
    >>> other = run.assign(predicted=["a", "b"] * 10 + ["a"] * 20)
    >>> seed_measures([run, other], ("a", "b"), {}).loc[0, "value"].item()
    0.625
    """
    settings = settings or Settings()
    found = [
        row
        for crossed in crossed_groups(
            [runs], classes, attributes, intersections, settings, SEED_METRICS
        )
        for row in measure_rows(crossed, settings)
    ]
    return pd.DataFrame(found, columns=_MEASURE_COLUMNS)


def seed_gaps(
    runs: Sequence[pd.DataFrame],
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    *,
    intersections: Sequence[Sequence[str]] = (),
    settings: Settings | None = None,
) -> pd.DataFrame:
    """Return the mean gap of several seeds between groups, with an interval over seeds and faces.

    Args:
        runs: see `seed_measures`.
        classes: see `seed_measures`.
        attributes: see `seed_measures`.
        intersections: see `seed_measures`.
        settings: see `seed_measures`. Groups below `min_group` rows are left out, and of macro
            metrics those below `min_class` rows of a class.

    Returns:
        For each attribute and metric, a row for each pair of groups (kind "pair"), and the pair
        whose mean gap is the largest once more (kind "largest"), better group first, with an
        interval that allows for the search by Bonferroni over all pairs: first, second,
        first_value, second_value, difference (first minus second), low, high, method, seeds,
        seed_error, face_error, eligible and groups (how many were compared, of how many), reason.

    Raises:
        DataError: see `seed_measures`.
    """
    settings = settings or Settings()
    found = [
        row
        for crossed in crossed_groups([runs], classes, attributes, intersections, settings)
        if crossed.attribute != "all"
        for row in gap_rows(crossed, settings)
    ]
    return pd.DataFrame(found, columns=_GAP_COLUMNS)


def seed_differences(
    first: Sequence[pd.DataFrame],
    second: Sequence[pd.DataFrame],
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    *,
    intersections: Sequence[Sequence[str]] = (),
    settings: Settings | None = None,
) -> pd.DataFrame:
    """Compare two variants, each with seeds of its own, on the same faces.

    What is hard for both variants cancels out of the faces' term; the seeds of the one say nothing
    of those of the other, so each variant brings a seeds' term with its own t.

    Args:
        first: runs of one variant, see `seed_measures`.
        second: runs of the other; as many or not.
        classes: see `seed_measures`.
        attributes: see `seed_measures`.
        intersections: see `seed_measures`.
        settings: see `seed_gaps`.

    Returns:
        A row for each group and metric and for each metric and pair of groups, as
        `facebias.fairness.paired.compare_models` gives them: attribute, metric, group, against (of
        a gap: the other group), first_value, second_value, difference (first minus second), low,
        high, method, n, units, first_seeds, second_seeds, seed_error, face_error, reason.

    Raises:
        DataError: see `seed_measures`.
    """
    settings = settings or Settings()
    found = [
        row
        for crossed in crossed_groups([first, second], classes, attributes, intersections, settings)
        for row in _difference_rows(crossed, settings)
    ]
    return pd.DataFrame(found, columns=_DIFFERENCE_COLUMNS)


def pool_folds(folds: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put the validation faces of all folds together, each scored by the run that held it out.

    The pool is one table of predictions: its intervals are those of any other
    (`facebias.fairness.group_report`), and the pools of several seeds are runs for
    `seed_measures`. They cover other faces, with the models as they are; that folds share most of
    their train faces makes them a little too narrow (Bates, Hastie & Tibshirani 2024, JASA 119).
    Scores of several models do not rank with each other (Forman & Scholz 2010, SIGKDD Explorations
    12), so the columns `p_<class>` are left out, and with them every AUROC.

    Args:
        folds: predictions of each fold's validation faces, of one seed.

    Returns:
        All rows, without scores.

    Raises:
        DataError: no fold, no ids, or a face in two folds.
    """
    if not folds or any("id" not in fold.columns for fold in folds):
        raise DataError("Folds without ids, or no fold.", "the column id in every fold")
    pool = pd.concat(folds, ignore_index=True)
    twice = pool.loc[pool["id"].duplicated(), "id"].unique()
    if len(twice):
        raise DataError(
            f"{len(twice)} faces come in more than one fold, such as {twice[0]}.",
            "each face in the validation set of one fold",
            "Pool only folds that rotate validation, of one seed and one data.seed. Where all "
            "folds validate on the same official split, there is nothing to pool.",
        )
    return pool.drop(columns=[name for name in pool.columns if str(name).startswith("p_")])


def measure_rows(crossed: Crossed, settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield a row for each group, as of `seed_measures`.

    Args:
        crossed: of one variant.
        settings: how groups are judged.
    """
    for group in crossed.shown():
        found = estimate(crossed, [group], settings.level)
        units = int(crossed.units[group])
        low = high = math.nan
        if not found.columns["reason"]:
            rarest = int(crossed.rarest[group])
            low, high = share_bounds(found.values[0], found.half_width, rarest, settings.level)
        yield (
            {"attribute": crossed.attribute, "group": crossed.groups[group]}
            | {"metric": crossed.metric, "value": found.values[0], "low": low, "high": high}
            | {"n": int(crossed.n[group]), "units": units, "seeds": int(crossed.seeds[0])}
            | {"status": _status(crossed, group, settings.min_group)}
            | found.columns
        )


def _status(crossed: Crossed, group: int, min_group: int) -> str:
    if group == len(crossed.groups) - 1:
        return UNKNOWN
    n = crossed.n[group]
    return "empty" if n == 0 else "too small" if n < min_group else "ok"


def gap_rows(crossed: Crossed, settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield a row for each pair of groups, and the largest gap, as of `seed_gaps`.

    Args:
        crossed: of one variant.
        settings: how groups are judged.
    """
    eligible = crossed.eligible(settings.min_group)
    pairs = [("pair", pair, settings.level) for pair in combinations(eligible, 2)]
    if pairs:
        ordered = sorted(eligible, key=lambda group: -crossed.values[0, group])
        joint = 1 - (1 - settings.level) / len(pairs)
        pairs.append(("largest", (ordered[0], ordered[-1]), joint))
    for kind, pair, level in pairs:
        found = estimate(crossed, pair, level)
        first, second = (float(crossed.values[0, group]) for group in pair)
        yield (
            {"attribute": crossed.attribute, "metric": crossed.metric, "kind": kind}
            | dict(zip(("first", "second"), (crossed.groups[group] for group in pair), strict=True))
            | {"first_value": first, "second_value": second, "difference": first - second}
            | {"low": first - second - found.half_width}
            | {"high": first - second + found.half_width, "seeds": int(crossed.seeds[0])}
            | {"eligible": len(eligible), "groups": len(crossed.groups) - 1}
            | found.columns
        )


def _difference_rows(crossed: Crossed, settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield a row for each group, and for each gap between two."""
    places: list[tuple[int, ...]] = [(group,) for group in crossed.shown()]
    if crossed.attribute != "all":
        places += combinations(crossed.eligible(settings.min_group), 2)
    for place in places:
        found = estimate(crossed, place, settings.level)
        first, second = found.values
        yield (
            {"attribute": crossed.attribute, "metric": crossed.metric}
            | {"group": crossed.groups[place[0]]}
            | {"against": crossed.groups[place[1]] if len(place) > 1 else None}
            | {"first_value": first, "second_value": second, "difference": first - second}
            | {"low": first - second - found.half_width}
            | {"high": first - second + found.half_width}
            | {"n": int(crossed.n[[*place]].sum()), "units": int(crossed.units[[*place]].sum())}
            | {"first_seeds": int(crossed.seeds[0]), "second_seeds": int(crossed.seeds[1])}
            | found.columns
        )
