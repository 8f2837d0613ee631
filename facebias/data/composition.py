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
    counts = np.floor(np.round(exact, 9)).astype(np.int64)
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
    if (most == 0).any() or total > most.sum():
        raise _shortage(available, variants[0], most, total)
    labels = largest_remainder(total, most.tolist())
    counts = [largest_remainder(int(count), variants[0].tolist()) for count in labels]
    composed = pd.DataFrame(counts, index=available.index, columns=available.columns)
    if (composed > available).to_numpy().any():
        raise _shortage(available, variants[0], most, total)
    return composed


def _aligned(available: pd.DataFrame, shares: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """Return the shares in the order of the groups."""
    unknown = [group for group in shares if group not in available.columns]
    values = np.array([float(shares.get(group, 0)) for group in available.columns])
    if unknown or (values < 0).any() or values.sum() <= 0:
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
    shares: npt.NDArray[np.float64],
    most: npt.NDArray[np.int64],
    total: int,
) -> CompositionError:
    """Name the cells that lack faces, and the largest total that would work."""
    weights = np.where(most > 0, most, 1)
    asked = largest_remainder(total, weights.tolist()) if total else weights
    lacking = []
    for (label, row), count in zip(available.iterrows(), asked, strict=True):
        needed = largest_remainder(max(int(count), 1), shares.tolist())
        lacking += [
            f"{label}, {group}: {have} of {need}"
            for group, have, need in zip(available.columns, row, needed, strict=True)
            if have < need
        ]
    cells = "; ".join(lacking) or "a cell of one of the twins"
    largest = 0 if (most == 0).any() else int(most.sum())
    return CompositionError(
        f"the train split cannot supply {total} faces in this composition; it lacks {cells}",
        f"at most {largest} faces in all, with equal label counts in all twins",
        f"set bias.total={largest} or less" if largest else "choose shares that the data has",
    )
