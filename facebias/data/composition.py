"""Exact compositions: how many faces of each cell, from shares."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import CompositionError


def largest_remainder(total: int, shares: Sequence[float]) -> npt.NDArray[np.int64]:
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
    counts: npt.NDArray[np.int64] = np.floor(np.round(exact, 9)).astype(np.int64)
    order = np.argsort(-np.round(exact - counts, 9), kind="stable")
    counts[order[: total - counts.sum()]] += 1
    return counts


def attribute_counts(
    available: pd.DataFrame,
    shares: Mapping[str, float],
    twins: Sequence[Mapping[str, float]] = (),
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
    variants = [_aligned(available, each) for each in (shares, *twins)]
    most = np.array([_largest_total(row, variants) for row in available.to_numpy()])
    if total is None:
        total = int(most.sum())
    _refuse_too_few(available, most, total)
    if (most == 0).any() or total > most.sum():
        raise _shortage(available, variants, most, total)
    labels = largest_remainder(total, most.tolist())
    composed, *others = (_composed(available, labels, each) for each in variants)
    if any((each > available).to_numpy().any() for each in (composed, *others)):
        raise _shortage(available, variants, most, total)
    return composed


def _composed(
    available: pd.DataFrame, labels: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]
) -> pd.DataFrame:
    counts = [largest_remainder(int(count), shares.tolist()) for count in labels]
    return pd.DataFrame(counts, index=available.index, columns=available.columns)


def _refuse_too_few(available: pd.DataFrame, most: npt.NDArray[np.int64], total: int) -> None:
    """Refuse a total that leaves a class without faces, where a larger one would not."""
    if (most > 0).all() and (largest_remainder(max(total, 0), most.tolist()) == 0).any():
        fewest = next(
            n for n in range(1, most.sum() + 1) if largest_remainder(n, most.tolist()).all()
        )
        raise CompositionError(
            f"{total} faces leave a class without any",
            f"{fewest} to {most.sum()} faces, at least one of each of the {len(available)} classes",
            f"set bias.total={fewest} or more",
        )


def _aligned(available: pd.DataFrame, shares: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """Return the shares in the order of the groups."""
    unknown = [group for group in shares if group not in available.columns]
    values = np.array([float(shares.get(group, 0)) for group in available.columns])
    if unknown or not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        raise CompositionError(
            f"the shares {dict(shares)}",
            f"shares, 0 or more, not all 0, of the groups {', '.join(available.columns)}",
            "correct bias.shares and bias.twins",
        )
    return values


def _largest_total(
    available: npt.NDArray[np.int64], variants: Sequence[npt.NDArray[np.float64]]
) -> int:
    """Return the largest count of one label that every variant can supply."""
    bounds = [
        (available + 1)[shares > 0] * shares.sum() / shares[shares > 0] for shares in variants
    ]
    # Apportionment is not monotone in the total, so the bound is walked down to the first fit.
    for total in range(int(np.concatenate(bounds).min()), 0, -1):
        if all((largest_remainder(total, s.tolist()) <= available).all() for s in variants):
            return total
    return 0


def _shortage(
    available: pd.DataFrame,
    variants: Sequence[npt.NDArray[np.float64]],
    most: npt.NDArray[np.int64],
    total: int,
) -> CompositionError:
    """Name the cells that lack faces in any variant, and the largest total that would work."""
    labels = np.maximum(largest_remainder(total, np.maximum(most, 1).tolist()), 1)
    counts = [_composed(available, labels, shares).to_numpy() for shares in variants]
    needed = np.maximum.reduce(counts)
    have = available.to_numpy()
    cells = "; ".join(
        f"{available.index[row]}, {available.columns[column]}: "
        f"{have[row, column]} of {needed[row, column]}"
        for row, column in np.argwhere(have < needed)
    )
    largest = 0 if (most == 0).any() else int(most.sum())
    return CompositionError(
        f"the train split cannot supply {total} faces in this composition and its twins; "
        f"it lacks {cells}",
        f"at most {largest} faces in all, with equal label counts in all twins",
        f"set bias.total={largest}" if largest else "choose shares that the data has",
    )
