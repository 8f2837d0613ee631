"""Do two variants look elsewhere? Held against what two seeds of one variant differ by.

Two trainings of the same thing look at a face in different ways already. All models see the same
faces, so more faces make no test of variants: the models are the units. The test deals the names
of the variants out anew among the models, in every possible way. It is exact where a model of the
one could as well be one of the other. If variants agree in the mean but not in how far their seeds
spread, it is too ready: of tables of 8 regions and 5 seeds each, 10 % instead of 5 % had a false
finding where one spread was twice the other, 14 % at three times; so both spreads are shown. Where
seeds of two variants share their beginning, it is too strict (1 % where they correlate by .5).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facebias.cam.similarity import jensen_shannon, standard_ranks
from facebias.errors import DataError

MIN_SEEDS = 5
"""Seeds of each variant below which nothing is tested: 2 of 252 is the smallest p of 5 and 5."""

ALPHA = 0.05

DESCRIPTIVE, DIFFERENT, UNCLEAR, UNDEFINED = "descriptive", "different", "not told apart", ""
"""The verdicts: too few seeds for a test; adjusted p at most `ALPHA`; above; and no value."""

MEASURES = ("rank correlation", "Jensen-Shannon distance")
"""What `compare_maps` measures between two models."""

_ALL, _DRAWN = 200_000, 20_000  # ways to deal names out that are all tried; else so many are drawn

_ROUNDING = 1e-9  # statistics that differ by less, relative to their size, are equal

_NUMBERS = 2**21  # of all models' maps that are in memory together: 16 MiB

Values = NDArray[np.float64]


def compare_attention(attention: pd.DataFrame, *, against: str | None = None) -> pd.DataFrame:
    """Compare the shares of the maps' mass in each region between variants.

    Of each model and region the mean over the faces is taken, over those only that have a value in
    every model. The statistic of a region is the difference of the variants' means in standard
    deviations of all the models of both; p is the share of all ways to give the variants' names to
    the models in which it is as large or larger, in either direction. The adjusted p takes the
    largest statistic of all regions instead (Westfall & Young, "Resampling-Based Multiple Testing",
    1993), times the pairs of variants: in a whole table, what is different by chance comes in at
    most 5 % of tables.

    Args:
        attention: a row a run and face: `run`, `variant`, `seed`, `id`, and as of
            `facebias.cam.attention.attention` the columns `share_<region>` and `outside`, where
            there; also `target`, where there: the class that the map is for.
        against: the variant that every other is compared with; None compares all pairs.

    Returns:
        One row a pair and region: first, second (variants; the second is `against`), region,
        first_value, second_value (means over models), difference (first minus second, -1..1), low,
        high (its interval at 95 % over models by Welch's t; NaN with fewer than two seeds of
        each), first_spread, second_spread (standard deviation over the seeds of each), n (faces),
        first_seeds, second_seeds, p, p_adjusted, verdict: "descriptive" where a variant has fewer
        than `MIN_SEEDS`, and p NaN; "different" or "not told apart"; empty where the region has no
        value in any face. The interval is of each region by itself, the verdict of the table.

    Raises:
        DataError: columns missing, fewer than two variants, two runs of one variant and seed, runs
            of different faces, maps of one face for different classes, or no variant `against`.
    """
    regions = _regions(attention)
    _refuse_unpaired(attention)
    models = attention.groupby("run", sort=False)[["variant"]].first().astype(str)
    variants = _variants(models, against)
    measured = _means(attention, regions, list(models.index))
    pairs = {pair: _members(models, *pair) for pair in _pairs(variants, against)}
    tested, rows = sum(map(_testable, pairs.values())), []
    for (first, second), members in pairs.items():
        found = _region_rows(measured, members, tested)
        rows += [{"first": first, "second": second} | row for row in found]
    return pd.DataFrame(rows)


def compare_maps(
    maps: Mapping[str, NDArray[np.floating]],
    variants: Mapping[str, str],
    *,
    against: str | None = None,
) -> pd.DataFrame:
    """Compare whole maps between variants: are they farther apart than seeds of one variant?

    Every two models are held against each other, face by face, over the faces on which all models
    have a map. The statistic is the mean distance of two models of different variants less that of
    two of the same (the mean of both variants' own), with 1 less the rank correlation as its
    distance; p is the share of all ways to give the variants' names to the models in which it is
    as large or larger (one-sided: as of Clarke, "Non-parametric multivariate analyses of changes
    in community structure", Australian Journal of Ecology 18, 1993, with means for ranks).

    Args:
        maps: of each run (N, h, w), all of the same N faces and the same named classes, not
            negative, NaN throughout where undefined. They may lie on disk (`np.memmap`).
        variants: the variant of each run.
        against: the variant that every other is compared with; None compares all pairs.

    Returns:
        One row a pair and measure of `MEASURES`: first, second, measure, between (mean over pairs
        of models of both variants), within_first, within_second (over pairs of one variant; NaN of
        a single seed), n (faces), first_seeds, second_seeds, p, p_adjusted (times measures and
        tested pairs of variants), verdict, as `compare_attention` gives them.

    Raises:
        DataError: fewer than two variants, a run without a variant, maps of different shapes, or
            no variant `against`.
    """
    strange = [run for run in maps if run not in variants]
    if strange:
        raise DataError(f"The run {strange[0]!r} has no variant.", "the variant of every run")
    models = pd.DataFrame({"variant": [variants[run] for run in maps]}, index=list(maps))
    pairs = {pair: _members(models, *pair) for pair in _pairs(_variants(models, against), against)}
    closeness, n = _closeness(list(maps.values()))
    tested, rows = sum(map(_testable, pairs.values())), []
    for (first, second), members in pairs.items():
        for measure, matrix in zip(MEASURES, closeness, strict=True):
            found = _matrix_row(matrix, members, n, alike=measure == MEASURES[0])
            adjusted = float(np.minimum(1, found["p"] * tested * len(MEASURES)))
            found |= {"p_adjusted": adjusted, "verdict": _verdict(adjusted, n, members)}
            rows.append({"first": first, "second": second, "measure": measure} | found)
    return pd.DataFrame(rows)


@dataclass(frozen=True, eq=False)
class _Measured:
    """What each model does on the same faces.

    Attributes:
        regions: their R names.
        means: (M, R), of each model; NaN where no face has a value in every model.
        n: (R,), the faces that the means are of.
    """

    regions: tuple[str, ...]
    means: Values
    n: tuple[int, ...]


Members = tuple[NDArray[np.intp], NDArray[np.intp]]
"""The places of the models of two variants."""


def _regions(attention: pd.DataFrame) -> list[str]:
    """Return the columns that are compared."""
    missing = [name for name in ("run", "variant", "seed", "id") if name not in attention]
    found = [name for name in attention if name == "outside" or str(name).startswith("share_")]
    if missing or not found:
        raise DataError(
            f"A table of attention without {', '.join(missing) or 'shares of regions'}.",
            "the columns run, variant, seed, id and share_<region>",
        )
    return found


def _refuse_unpaired(attention: pd.DataFrame) -> None:
    """Refuse runs that were not shown the same faces, or not asked for the same class."""
    faces = attention.groupby("run")["id"].agg(["size", "nunique"])
    runs, ids = len(faces), attention["id"].nunique()
    if (faces != ids).any(axis=None):
        other = faces.index[(faces != ids).any(axis=1)][0]
        raise DataError(
            f"The run {other!r} has {faces.loc[other, 'size']} faces, and all runs have {ids}.",
            "the same faces in each run, each once",
        )
    if "target" in attention:
        asked = attention.groupby("id")["target"].nunique(dropna=False)
        if (asked > 1).any():
            raise DataError(
                f"The maps of {(asked > 1).sum()} faces are for different classes, such as those "
                f"of {asked.index[asked > 1][0]!r}.",
                f"maps for one class of each face in all {runs} runs",
                "Explain a named class, not the predicted one.",
            )
    models = attention.drop_duplicates("run")[["variant", "seed"]]
    if models.duplicated().any():
        twice = models[models.duplicated()].iloc[0]
        raise DataError(
            f"Two runs are of variant {twice['variant']!r} and seed {twice['seed']}.",
            "one run of each: copies are no models of their own",
        )


def _variants(models: pd.DataFrame, against: str | None) -> list[str]:
    """Return the variants in the order of their runs."""
    names = list(models["variant"].unique())
    if len(names) < 2 or (against is not None and against not in names):
        wanted = "" if against is None else f", one of them {against!r}"
        raise DataError(f"Variants: {', '.join(names) or 'none'}.", f"two or more{wanted}")
    return names


def _pairs(variants: list[str], against: str | None) -> Iterator[tuple[str, str]]:
    if against is None:
        yield from combinations(variants, 2)
    else:
        yield from ((name, against) for name in variants if name != against)


def _members(models: pd.DataFrame, first: str, second: str) -> Members:
    variant = models["variant"].to_numpy()
    return np.flatnonzero(variant == first), np.flatnonzero(variant == second)


def _means(attention: pd.DataFrame, regions: list[str], runs: list[str]) -> _Measured:
    wide = attention.pivot(index="id", columns="run", values=regions)
    means, n = np.full((len(runs), len(regions)), np.nan), []
    for place, region in enumerate(regions):
        values = wide[region][runs].to_numpy(np.float64)
        common = values[~np.isnan(values).any(axis=1)]
        n.append(len(common))
        if len(common):
            means[:, place] = common.mean(axis=0)
    return _Measured(tuple(name.removeprefix("share_") for name in regions), means, tuple(n))


def _region_rows(measured: _Measured, members: Members, tested: int) -> Iterator[dict[str, Any]]:
    """Yield the comparison of two variants in each region."""
    p, largest = _region_tests(measured.means, members)
    for place, region in enumerate(measured.regions):
        first, second = (measured.means[group, place] for group in members)
        difference = float(first.mean() - second.mean())
        half = _half_width(first, second)
        spreads = [_spread(group) for group in (first, second)]
        adjusted = float(np.minimum(1, largest[place] * tested))
        yield (
            {"region": region, "first_value": float(first.mean())}
            | {"second_value": float(second.mean()), "difference": difference}
            | {"low": difference - half, "high": difference + half}
            | {"first_spread": spreads[0], "second_spread": spreads[1]}
            | {"n": measured.n[place], "first_seeds": len(first), "second_seeds": len(second)}
            | {"p": float(p[place]), "p_adjusted": adjusted}
            | {"verdict": _verdict(adjusted, measured.n[place], members)}
        )


def _region_tests(means: Values, members: Members) -> tuple[Values, Values]:
    """Return p of each region, (R,), and p of the largest statistic of all regions, (R,)."""
    both = means[np.concatenate(members)]
    undefined = np.full(both.shape[1], np.nan)
    if not _testable(members):
        return undefined, undefined
    centred = both - both.mean(axis=0)
    deviation = centred.std(axis=0)
    # Where all models agree to the last digit, nothing is as large as nothing: p is 1.
    scaled = centred / np.where(deviation > _ROUNDING, deviation, np.inf)
    sums = _ways(*(len(group) for group in members)) @ np.nan_to_num(scaled)
    # The sums of both variants add up to 0: the difference of the means is in proportion to one.
    statistics = np.abs(sums)
    p = np.stack([_reached(column) for column in statistics.T])
    largest = statistics.max(axis=1)
    adjusted = np.stack([_reached(np.append(column[0], largest[1:])) for column in statistics.T])
    known = np.isfinite(both).all(axis=0)
    return np.where(known, p, np.nan), np.where(known, adjusted, np.nan)


def _testable(members: Members) -> bool:
    return min(len(group) for group in members) >= MIN_SEEDS


def _ways(first: int, second: int) -> Values:
    """Return who of all models gets the first name, (W, models), 0 or 1; first as it truly is."""
    total = first + second
    if math.comb(total, first) <= _ALL:
        chosen = np.array(list(combinations(range(total), first)))
    else:
        random = np.random.default_rng(0).random((_DRAWN, total))
        drawn = random.argsort(axis=1)[:, :first]
        chosen = np.concatenate([np.arange(first)[None], drawn])
    ways = np.zeros((len(chosen), total))
    np.put_along_axis(ways, chosen, 1, axis=1)
    return ways


def _reached(statistics: Values) -> float:
    """Return the share of ways with a statistic as large as the first, which is the true one."""
    return float((statistics >= statistics[0] - _ROUNDING).mean())


def _spread(values: Values) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan


def _half_width(first: Values, second: Values) -> float:
    """Return half the width of the interval at 95 % of a difference of means.

    Welch, "The generalization of Student's problem when several different population variances are
    involved", Biometrika 34, 1947.
    """
    from scipy.special import stdtrit

    counts = np.array([len(first), len(second)])
    if counts.min() < 2:
        return math.nan
    errors = np.array([_spread(group) ** 2 for group in (first, second)]) / counts
    total = float(errors.sum())
    if not total > 0:
        return total
    degrees = total**2 / float((errors**2 / (counts - 1)).sum())
    return float(stdtrit(degrees, 1 - ALPHA / 2)) * math.sqrt(total)


def _closeness(maps: list[NDArray[np.floating]]) -> tuple[tuple[Values, Values], int]:
    """Return what two models' maps have in common, of each measure (M, M), and of how many faces.

    The diagonals are NaN.
    """
    shapes = {each.shape for each in maps}
    if len(shapes) != 1:
        raise DataError(
            f"Maps of shapes {', '.join(map(str, sorted(shapes)))}.", "the same in every run"
        )
    models, sums, n = len(maps), np.zeros((2, len(maps), len(maps))), 0
    step = max(1, _NUMBERS // (models * max(1, math.prod(maps[0].shape[1:]))))
    for start in range(0, len(maps[0]), step):
        some = [np.asarray(each[start : start + step], np.float64) for each in maps]
        # Of a map that is the same everywhere there is no rank correlation.
        uneven = [each.max(axis=(1, 2)) > each.min(axis=(1, 2)) for each in some]
        common = np.stack(uneven).all(axis=0)
        n += int(common.sum())
        chosen = [each[common] for each in some]
        ranks = np.stack([standard_ranks(each).ravel() for each in chosen])
        sums[0] += ranks @ ranks.T
        for first, second in combinations(range(models), 2):
            distance = jensen_shannon(chosen[first], chosen[second]).sum()
            sums[1, [first, second], [second, first]] += distance
    sums[:, np.eye(models, dtype=bool) | (n == 0)] = np.nan
    return (sums[0] / max(n, 1), sums[1] / max(n, 1)), n


def _matrix_row(closeness: Values, members: Members, n: int, *, alike: bool) -> dict[str, Any]:
    """Return means within and between two variants, and how often chance does as well.

    Args:
        closeness: (M, M), of all models, the diagonal NaN.
        members: of both variants.
        n: faces that it is of.
        alike: whether a large value means close maps.
    """
    first, second = members
    own = [_mean(closeness[np.ix_(group, group)]) for group in members]
    between, p = _mean(closeness[np.ix_(first, second)]), math.nan
    if n and _testable(members):
        both = np.concatenate(members)
        matrix = np.nan_to_num(closeness[np.ix_(both, both)])
        p = _reached(_separations(-matrix if alike else matrix, len(first)))
    return {"between": between, "within_first": own[0], "within_second": own[1], "n": n} | {
        "first_seeds": len(first),
        "second_seeds": len(second),
        "p": p,
    }


def _separations(distances: Values, first: int) -> Values:
    """Return the mean distance between variants less that within, of each way to name models, (W,).

    Args:
        distances: (M, M), the diagonal 0.
        first: the models of the first variant, which stand first.
    """
    second = len(distances) - first
    ways = _ways(first, second)
    # The sums over ordered pairs within the first, within the second and between them.
    rows = ways @ distances
    one = (rows * ways).sum(axis=1)
    across = rows.sum(axis=1) - one
    other = distances.sum() - one - 2 * across
    within = one / (first * (first - 1)) + other / (second * (second - 1))
    return np.asarray(across / (first * second) - within / 2)


def _mean(values: Values) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _verdict(adjusted: float, n: int, members: Members) -> str:
    if n == 0:
        return UNDEFINED
    if not _testable(members):
        return DESCRIPTIVE
    return DIFFERENT if adjusted <= ALPHA else UNCLEAR
