"""What each group's faces make each variant look at: means over its seeds, with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import DataError
from facebias.fairness.crossed import share_bounds
from facebias.report.attention import bounded, face_groups, means_of, measured

FloatArray = npt.NDArray[np.float64]

COLUMNS = [
    *("variant", "seeds", "attribute", "group", "measure", "value", "low", "high"),
    *("n", "units", "faces", "resampled", "status"),
]


def attention_by_variant(
    attention: pd.DataFrame, attributes: Mapping[str, Sequence[str]], *, min_group: int = 30
) -> pd.DataFrame:
    """Return the mean of every measure of attention, for each variant and group.

    With several seeds, seeds and faces are crossed: each seed's maps are of the same faces, and the
    interval holds other seeds and other faces at once, as `facebias.fairness.crossed` explains. The
    seeds' term is the variance of their means, the faces' term that of the faces' means over the
    seeds less what both together bring. With one seed the interval is over faces (persons) alone,
    as of `facebias.report.attention.attention_means`.

    Args:
        attention: a row a run and face, the same faces in the same order for every run.
        attributes: groups of each attribute.
        min_group: fewer faces with a map in every run are marked.

    Returns:
        A row a variant, group and measure: seeds, value, low, high (95 %), n (faces that have a
        value in every run), units (persons among them), faces (of the group), resampled ("seeds x
        persons", "persons") and status: "ok", "too small" or "empty".

    Raises:
        DataError: for runs of different faces.
    """
    rows = [
        {"variant": variant, "seeds": own["run"].nunique(), **row}
        for variant, own in attention.groupby("variant", sort=False)
        for row in _of_variant(own, attributes)
    ]
    table = pd.DataFrame(rows)
    small = [table["n"] == 0, table["n"] < min_group]
    return table.assign(status=np.select(small, ["empty", "too small"], "ok"))[COLUMNS]


def _of_variant(
    attention: pd.DataFrame, attributes: Mapping[str, Sequence[str]]
) -> Iterator[dict[str, Any]]:
    runs = [own for _, own in attention.groupby("run", sort=False)]
    first = runs[0]
    if any(list(own["id"]) != list(first["id"]) for own in runs):
        raise DataError("The runs of a variant have maps of different faces.", "the same faces")
    names = list(measured(first))
    values = np.stack([measured(own).to_numpy(np.float64) for own in runs])
    values[:, np.isnan(values).any(axis=0)] = np.nan
    persons = pd.factorize(first["identity"])[0]
    for attribute, group, mask in face_groups(first, attributes):
        found = _means(values[:, mask], persons[mask], names)
        for number, measure in enumerate(names):
            row = {name: column[number] for name, column in found.items()}
            yield {"attribute": attribute, "group": group, "measure": measure, **row} | {
                "faces": int(mask.sum()),
                "resampled": "persons" if len(runs) == 1 else "seeds x persons",
            }


def _means(
    values: FloatArray, persons: npt.NDArray[np.int64], names: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """Return the mean of each column of (seeds, N, K) with its interval."""
    over_faces = means_of(values.mean(axis=0), persons, names)
    if len(values) == 1:
        return over_faces
    half = np.sqrt(_square(values, persons))
    mean = over_faces["value"]
    low, high = mean - half, mean + half
    for place in np.flatnonzero(bounded(names) & np.isfinite(half)):
        value, units = float(np.clip(mean[place], 0, 1)), int(over_faces["units"][place])
        low[place], high[place] = share_bounds(value, float(half[place]), units)
    return over_faces | {"low": low, "high": high}


def _square(values: FloatArray, persons: npt.NDArray[np.int64]) -> FloatArray:
    """Return the squared half width of the interval at 95 % of each column, (K,)."""
    from scipy.special import stdtrit

    known = ~np.isnan(values[0])
    n = np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    centred = np.where(known, values, 0)
    of_seeds = centred.sum(axis=1) / n
    of_faces = np.where(known, centred.mean(axis=0), 0)
    mean = of_seeds.mean(axis=0)
    both = np.where(known, centred - of_faces - of_seeds[:, None] + mean, 0)
    units = _added(known.astype(np.float64), persons) > 0
    count, seeds = units.sum(axis=0), len(values)
    spare = np.where(count > 1, count - 1, np.nan)
    alone = (_added(np.where(known, of_faces - mean, 0), persons) ** 2).sum(axis=0)
    together = (np.stack([_added(each, persons) for each in both]) ** 2).sum(axis=(0, 1))
    faces = (alone - together / (seeds * (seeds - 1))) * count / spare / n**2
    seeds_term = of_seeds.var(axis=0, ddof=1) / seeds
    quantiles = stdtrit(seeds - 1, 0.975), stdtrit(spare, 0.975)
    # The faces' term is a difference: chance, like rounding, may bring it below 0.
    return np.asarray(quantiles[0] ** 2 * seeds_term + quantiles[1] ** 2 * np.maximum(faces, 0))


def _added(values: FloatArray, persons: npt.NDArray[np.int64]) -> FloatArray:
    """Return the sums of (N, K) over the rows of each person."""
    codes = np.unique(persons, return_inverse=True)[1]
    sums = np.zeros((int(codes.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(sums, codes, values)
    return sums
