"""Exact compositions: how many faces of each cell, from shares."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.cells import EVERYONE, JOINT
from facebias.errors import CompositionError

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]
GroupShares = Mapping[str, float]

VALENCES = ("positive", "neutral", "negative")
VARIANTS = ("balanced", "positive", "negative", "neutral")  # by valence


def largest_remainder(total: int, shares: Sequence[float]) -> Counts:
    """Apportion a total by shares: floors first, the rest to the largest remainders.

    Args:
        total: 0 or more.
        shares: 0 or more each, not all 0; they need not add up to 1.

    Returns:
        Counts (len(shares),) that add up to the total, each within 1 of its exact share; ties go
        to the earlier one.

    >>> largest_remainder(10, [1, 1, 1])
    array([4, 3, 3])
    """
    weights = np.asarray(shares, dtype=np.float64)
    exact = total * weights / weights.sum()
    # 0.1 + 0.2 style noise must not decide which remainder is the larger.
    counts: Counts = np.floor(np.round(exact, 9)).astype(np.int64)
    order = np.argsort(-np.round(exact - counts, 9), kind="stable")
    counts[order[: total - counts.sum()]] += 1
    return counts


def even_sequence(sizes: Sequence[int]) -> Counts:
    """Arrange kinds so that every beginning has the mix of the whole.

    The j-th one of a kind (from 0) with n of N stands after place j N / n and by place
    (j + 1) N / n; of those that may come, the most pressing comes. So the first k hold k n / N of
    it, give or take less than 1, for every k (Baruah, Cohen, Plaxton & Varvel 1996, Algorithmica
    15; the sort key (j + 1/2) / n does not hold that with one large kind and many small ones).

    Args:
        sizes: how many there are of each kind, 0 or more.

    Returns:
        The kind at each place (sum(sizes),).

    >>> even_sequence([4, 2]).tolist()
    [0, 0, 1, 0, 0, 1]
    """
    kinds = np.repeat(np.arange(len(sizes)), sizes)
    size = np.repeat(np.asarray(sizes, dtype=np.int64), sizes)
    total = len(kinds)
    number = np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    may = number * total // size
    must = -(-(number + 1) * total // size)
    # One whole number a turn, as a heap of these is much quicker than one of tuples.
    turns = must * len(sizes) + kinds
    by_place = np.argsort(may, kind="stable")
    return np.fromiter(_most_pressing(may[by_place], turns[by_place]), np.int64) % len(sizes)


def _most_pressing(may: Counts, turns: Counts) -> Iterator[int]:
    """Give for each place the least of the turns that may come by then and have not."""
    waiting: list[int] = []
    first = 0
    to_come = turns.tolist()
    for last in np.searchsorted(may, np.arange(len(may)), side="right").tolist():
        for turn in to_come[first:last]:
            heapq.heappush(waiting, turn)
        first = last
        yield heapq.heappop(waiting)


def attribute_counts(
    available: pd.DataFrame,
    shares: GroupShares,
    twins: Sequence[GroupShares] = (),
    total: int | None = None,
) -> pd.DataFrame:
    """Count the faces of each cell of a composition by one attribute.

    Every label gets the same count in all twins, and inside of each label the groups have the
    asked shares. Without a total it is the largest that all twins can supply.

    Args:
        available: faces at hand, labels down, groups across.
        shares: share of each group, 0 for those not named.
        twins: shares of the other variants.
        total: faces in all, over all labels.

    Returns:
        Counts in the shape of `available`.

    Raises:
        CompositionError: if the faces at hand do not suffice; it names the cells.
    """
    variants = [_same_for_all(available, each) for each in (shares, *twins)]
    most = _most(available, variants)
    largest = 0 if (most == 0).any() else int(most.sum())
    return _counts(available, variants, most, largest, total)


def association_counts(
    available: pd.DataFrame,
    shares: Mapping[str, GroupShares],
    twins: Sequence[Mapping[str, GroupShares]] = (),
    total: int | None = None,
) -> pd.DataFrame:
    """Count the faces of each cell of an association between label and attribute.

    The labels keep the mix that they have in `available`, in all twins; inside of a label the
    groups have the shares asked for it. Without a total it is the largest that all twins can
    supply.

    Args:
        available: faces at hand, labels down, groups across.
        shares: for each label the share of each group, 0 for those not named; in a label that is
            not named all groups are equal.
        twins: shares of the other variants; an empty one has groups independent of the label.
        total: faces in all, over all labels.

    Returns:
        Counts in the shape of `available`.

    Raises:
        CompositionError: if the faces at hand do not suffice; it names the cells.
    """
    variants = [own_for_each(available, each) for each in (shares, *twins)]
    weights = np.asarray(available.sum(axis=1), dtype=np.int64)
    return _counts(available, variants, weights, _largest_mixed(available, variants), total)


def cell_counts(
    available: pd.DataFrame,
    shares: Mapping[str, Any] | None,
    twins: Sequence[Mapping[str, Any] | None] = (),
    total: int | None = None,
) -> pd.DataFrame:
    """Count the faces of each cell of a composition by shares of the cells themselves.

    Without a total it is the largest that all twins can supply.

    Args:
        available: faces at hand, labels down, (joint) groups across.
        shares: the share of each cell, nested: label, then the group of each attribute; 0 for
            those not named, and None for equal shares of all cells.
        twins: shares of the other variants.
        total: faces in all.

    Returns:
        Counts in the shape of `available`, by largest remainder over all cells.

    Raises:
        CompositionError: if the faces at hand do not suffice; it names the cells.
    """
    have = available.to_numpy()
    variants = [_cell_shares(available, each) for each in (shares, *twins)]
    asked = np.maximum.reduce(variants) > 0
    largest = _largest_total(have.ravel(), [each.ravel() for each in variants])
    if (have[asked] == 0).any():  # a total small enough to round it to nobody is no composition
        largest = 0
    total = largest if total is None else total
    counts = [_apportioned(max(total, 1), each) for each in variants]
    if not 0 < total <= largest or any((each > have).any() for each in counts):
        needed = np.maximum(np.maximum.reduce(counts), asked)
        raise shortage(available, needed, total, largest)
    return pd.DataFrame(counts[0], index=available.index, columns=available.columns)


def _apportioned(total: int, shares: Shares) -> Counts:
    counts: Counts = largest_remainder(total, shares.ravel().tolist()).reshape(shares.shape)
    return counts


def _cell_shares(available: pd.DataFrame, shares: Mapping[str, Any] | None) -> Shares:
    """Return nested shares in the shape of the cells."""
    if shares is None:
        return np.ones(available.shape)
    values = pd.DataFrame(0.0, index=available.index, columns=available.columns)
    named = list(_flat(shares))
    wrong = [path for path, _ in named if not _is_cell(available, path)]
    if not wrong:
        for (label, *groups), share in named:
            values.loc[label, JOINT.join(groups) or EVERYONE] = share
    cells: Shares = values.to_numpy()
    if wrong or not np.isfinite(cells).all() or (cells < 0).any() or cells.sum() <= 0:
        raise CompositionError(
            f"the shares {dict(shares)}" + (f": no cell {' / '.join(wrong[0])}" if wrong else ""),
            "shares, 0 or more, not all 0, of "
            + " / ".join(f"one of {', '.join(names)}" for names in _levels(available)),
            "correct bias.shares and bias.twins",
        )
    return cells


def _flat(
    shares: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield the path of names to each share."""
    for name, share in shares.items():
        if isinstance(share, Mapping):
            yield from _flat(share, (*path, str(name)))
        else:
            yield (*path, str(name)), _number(share)


def _number(share: Any) -> float:  # noqa: ANN401
    """Return a share as a number; what is none is NaN, which no share may be."""
    try:
        return float(share)
    except (TypeError, ValueError):
        return np.nan


def _is_cell(available: pd.DataFrame, path: tuple[str, ...]) -> bool:
    label, *groups = path
    return label in available.index and (JOINT.join(groups) or EVERYONE) in available.columns


def _levels(available: pd.DataFrame) -> list[list[str]]:
    """Return the names that shares are nested by, for a message."""
    groups = [str(name) for name in available.columns]
    return [list(available.index), *([] if groups == [EVERYONE] else [groups])]


def under_representation_counts(
    available: pd.DataFrame,
    group: str,
    factor: float,
    smallest_factor: float,
    total: int | None = None,
) -> pd.DataFrame:
    """Count the faces of each cell where one group is cut to a factor of what it has.

    Each label has as many faces as are left where the group is cut to `smallest_factor` and all
    others stay. Inside of a label the groups have the mix of `available`, the group's faces
    weighing `factor`: at the smallest factor just these are taken, and at 1 everybody's mix.

    Args:
        available: faces at hand, labels down, groups across.
        group: that is cut.
        factor: 0..1; 1 is the twin that nobody is cut in.
        smallest_factor: of the variants that are compared.
        total: faces in all; None takes the most that all factors can supply.

    Returns:
        Counts in the shape of `available`, by largest remainder in each label.

    Raises:
        CompositionError: if the group does not exist, or the faces at hand do not suffice.
    """
    if group not in available.columns:
        raise CompositionError(
            f"bias.group is {group!r}",
            f"one of the groups {', '.join(available.columns)}",
            "correct bias.group",
        )
    cut = available.astype(float)
    cut[group] *= smallest_factor
    most = np.floor(np.round(cut.sum(axis=1).to_numpy(), 9)).astype(np.int64)
    largest = int(most.sum())
    total = largest if total is None else total
    if not 0 < total <= largest:
        needed = largest_remainder(max(total, 1), np.maximum(most, 1e-12).tolist())
        cells = pd.DataFrame({EVERYONE: most}, index=available.index)
        raise shortage(cells, needed[:, None], total, largest)
    weights = available.astype(float)
    weights[group] *= factor
    labels = largest_remainder(total, most.tolist())
    counts = [
        largest_remainder(int(count), row.tolist()) if count else np.zeros(len(row), np.int64)
        for count, row in zip(labels, weights.to_numpy(), strict=True)
    ]
    return pd.DataFrame(np.array(counts), index=available.index, columns=available.columns)


def valence_counts(
    available: pd.Series, variant: str, dose: float, largest_dose: float, total: int | None = None
) -> pd.Series:
    """Count the faces of each valence in one of the four variants by valence.

    With dose d the shares of positive, neutral and negative are thirds of

    - balanced: 1, 1, 1;
    - positive: 1 + d, 1, 1 - d;
    - negative: 1 - d, 1, 1 + d;
    - neutral: 1 - d, 1 + 2d, 1 - d.

    Without a total it is the largest whole n such that n times the largest share that a valence
    has in any of the four, at `largest_dose`, is at hand. It depends neither on the variant nor on
    the dose, and as no share grows beyond that one at a smaller dose, all of them can be supplied,
    whichever way their counts are rounded.

    Args:
        available: faces at hand of positive, neutral and negative.
        variant: balanced, positive, negative or neutral.
        dose: 0..1.
        largest_dose: of the variants that are compared.
        total: faces in all.

    Returns:
        Counts in the order of `VALENCES`, by largest remainder.

    Raises:
        CompositionError: if the faces at hand do not suffice; it names the valences.
    """
    have = available.reindex(list(VALENCES), fill_value=0).to_numpy(np.int64)
    highest = np.max([_valence_weights(each, largest_dose) for each in VARIANTS], axis=0)
    # Noise of floats must not cost a face.
    largest = int(np.floor(np.round(3 * have / highest, 9)).min())
    total = largest if total is None else total
    if not 0 < total <= largest:
        needed = np.ceil(np.round(max(total, 1) * highest / 3, 9)).astype(np.int64)
        raise _valence_shortage(have, needed, total, largest)
    counts = largest_remainder(total, _valence_weights(variant, dose))
    return pd.Series(counts, index=list(VALENCES))


def _valence_weights(variant: str, dose: float) -> list[float]:
    """Return three times the shares of positive, neutral and negative."""
    more, less = 1 + dose, 1 - dose
    return {
        "balanced": [1.0, 1.0, 1.0],
        "positive": [more, 1.0, less],
        "negative": [less, 1.0, more],
        "neutral": [less, 1 + 2 * dose, less],
    }[variant]


def _valence_shortage(have: Counts, needed: Counts, total: int, largest: int) -> CompositionError:
    """Name the valences that lack faces in any variant, and the largest total that would work."""
    lacking = [
        f"{valence}: {there} of {wanted}"
        for valence, there, wanted in zip(VALENCES, have, needed, strict=True)
        if there < wanted
    ]
    lacks = f"; it lacks {'; '.join(lacking)}" if lacking else ""
    return CompositionError(
        f"the train split cannot supply {total} faces to all four variants by valence{lacks}",
        f"1 to {largest} faces in all" if largest else "faces of every valence",
        f"set bias.total={largest}, or lower bias.dose" if largest else "check bias.valences",
    )


def _counts(
    available: pd.DataFrame,
    variants: Sequence[Shares],
    weights: Counts,
    largest: int,
    total: int | None,
) -> pd.DataFrame:
    """Count the cells of the first variant; the labels are apportioned by weights.

    Args:
        available: faces at hand, labels down, groups across.
        variants: shares (labels, groups) of each twin.
        weights: of the labels.
        largest: the largest total that all variants can supply; 0 where none can.
        total: faces in all; None: the largest.
    """
    total = largest if total is None else total
    _refuse_too_few(available, weights, total, largest)
    labels = largest_remainder(total, np.maximum(weights, 1).tolist())
    counts = [_composed(labels, shares) for shares in variants]
    if not 0 < total <= largest or any((each > available.to_numpy()).any() for each in counts):
        least = np.maximum(largest_remainder(max(total, 0), np.maximum(weights, 1).tolist()), 1)
        needed = np.maximum.reduce([_composed(least, shares) for shares in variants])
        raise shortage(available, needed, total, largest)
    return pd.DataFrame(counts[0], index=available.index, columns=available.columns)


def _composed(labels: Counts, shares: Shares) -> Counts:
    """Return the counts (labels, groups) of label counts and shares inside of each label."""
    rows = zip(labels, shares, strict=True)
    return np.array([largest_remainder(int(count), row.tolist()) for count, row in rows])


def _refuse_too_few(available: pd.DataFrame, weights: Counts, total: int, largest: int) -> None:
    """Refuse a total that leaves a class without faces, where a larger one would not."""
    if not largest or largest_remainder(max(total, 0), weights.tolist()).all():
        return
    fewest = next(
        (n for n in range(1, largest + 1) if largest_remainder(n, weights.tolist()).all()), None
    )
    if fewest is not None:
        raise CompositionError(
            f"{total} faces leave a class without any",
            f"{fewest} to {largest} faces, at least one of each of the {len(available)} classes",
            f"set bias.total={fewest} or more",
        )


def _same_for_all(available: pd.DataFrame, shares: GroupShares) -> Shares:
    """Return the shares of the groups in their order, the same for every label."""
    return np.tile(_aligned(available, shares), (len(available), 1))


def own_for_each(available: pd.DataFrame, shares: Mapping[str, GroupShares]) -> Shares:
    """Return the shares of the groups in their order, for every label its own.

    Args:
        available: labels down, groups across.
        shares: for each label the share of each group, 0 for those not named; in a label that is
            not named all groups are equal.

    Raises:
        CompositionError: for a label or group that does not exist, or shares that are none.
    """
    unknown = [label for label in shares if label not in available.index]
    if unknown:
        raise CompositionError(
            f"the shares name the labels {', '.join(unknown)}",
            f"labels of the data set: {', '.join(available.index)}",
            "correct bias.shares and bias.twins",
        )
    equal = dict.fromkeys(available.columns, 1.0)
    return np.array([_aligned(available, shares.get(label, equal)) for label in available.index])


def _aligned(available: pd.DataFrame, shares: GroupShares) -> Shares:
    """Return the shares in the order of the groups."""
    unknown = [group for group in shares if group not in available.columns]
    values = np.array([_number(shares.get(group, 0)) for group in available.columns])
    if unknown or not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        raise CompositionError(
            f"the shares {dict(shares)}",
            f"shares, 0 or more, not all 0, of the groups {', '.join(available.columns)}",
            "correct bias.shares and bias.twins",
        )
    return values


def _most(available: pd.DataFrame, variants: Sequence[Shares]) -> Counts:
    """Return the largest count of each label that every variant can supply."""
    cells = available.to_numpy()
    each = [_largest_total(row, [s[n] for s in variants]) for n, row in enumerate(cells)]
    return np.array(each, dtype=np.int64)


def _largest_total(available: Counts, variants: Sequence[Shares]) -> int:
    """Return the largest count of one label that every variant can supply."""
    bounds = [
        (available + 1)[shares > 0] * shares.sum() / shares[shares > 0] for shares in variants
    ]
    # Apportionment is not monotone in the total, so the bound is walked down to the first fit.
    for total in range(int(np.concatenate(bounds).min()), 0, -1):
        if all((largest_remainder(total, s.tolist()) <= available).all() for s in variants):
            return total
    return 0


def _largest_mixed(available: pd.DataFrame, variants: Sequence[Shares]) -> int:
    """Return the largest total that every variant can supply with the labels' own mix."""
    cells, most = available.to_numpy(), _most(available, variants)
    weights = cells.sum(axis=1)
    if (most == 0).any():
        return 0
    for total in range(int(((most + 1) * weights.sum() / weights).min()), 0, -1):
        labels = largest_remainder(total, weights.tolist())
        if all((_composed(labels, shares) <= cells).all() for shares in variants):
            return total
    return 0


def shortage(available: pd.DataFrame, needed: Counts, total: int, largest: int) -> CompositionError:
    """Name the cells that lack faces in any variant, and the largest total that would work.

    Args:
        available: faces at hand, labels down, groups across.
        needed: the most of each cell that any variant asks for, in the same shape.
        total: faces in all, as asked for.
        largest: the largest total that all variants can supply; 0 where none can.
    """
    have = available.to_numpy()
    cells = "; ".join(
        f"{_cell_name(available, row, column)}: {have[row, column]} of {needed[row, column]}"
        for row, column in np.argwhere(have < needed)
    )
    return CompositionError(
        f"the train split cannot supply {total} faces in this composition and its twins"
        + (f"; it lacks {cells}" if cells else ""),
        f"at most {largest} faces in all, as many in all twins",
        f"set bias.total={largest}" if largest else "choose shares that the data has",
    )


def _cell_name(available: pd.DataFrame, row: int, column: int) -> str:
    """Name a cell by its label and, where there is more than one, its group."""
    label = str(available.index[row])
    return label if available.shape[1] == 1 else f"{label}, {available.columns[column]}"
