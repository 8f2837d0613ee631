"""How alike two maps of the same image are."""

import math

import numpy as np
from numpy.typing import NDArray

from facebias.errors import DataError

Values = NDArray[np.float64]

_NUMBERS = 2**20  # of the maps that are ranked together, which may lie on disk: 8 MiB


def rank_correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> Values:
    """Return Spearman's rank correlation of two maps of each image, over their cells.

    It asks for the order of the cells only; equal cells share their mean rank.

    Args:
        first: (N, h, w).
        second: (N, h, w).

    Returns:
        (N,), -1..1; NaN where a map is undefined or the same everywhere.

    Raises:
        DataError: maps of different shapes.

    >>> one = np.array([[[0.0, 0.1], [0.2, 0.9]]])
    >>> rank_correlation(one, one**2), rank_correlation(one, -one)
    (array([1.]), array([-1.]))
    """
    _refuse_unlike(first, second)
    found = np.empty(len(first))
    step = max(1, _NUMBERS // max(1, math.prod(first.shape[1:])))
    for start in range(0, len(first), step):
        some = slice(start, start + step)
        products = standard_ranks(first[some]) * standard_ranks(second[some])
        found[some] = products.sum(axis=1)
    return np.clip(found, -1, 1)


def standard_ranks(maps: NDArray[np.floating]) -> Values:
    """Return the ranks of each map's cells, of mean 0 and length 1.

    The rank correlation of two maps is the sum of the products of these.

    Args:
        maps: (N, h, w).

    Returns:
        (N, h * w); NaN throughout where a map is undefined or the same everywhere.
    """
    from scipy.stats import rankdata

    values = np.asarray(maps, np.float64).reshape(len(maps), math.prod(maps.shape[1:]))
    known = np.isfinite(values).all(axis=1, keepdims=True)
    ranks = rankdata(np.where(known, values, 0), axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    length = np.sqrt((ranks**2).sum(axis=1, keepdims=True))
    return np.asarray(ranks / np.where(known & (length > 0), length, np.nan))


def jensen_shannon(first: NDArray[np.floating], second: NDArray[np.floating]) -> Values:
    r"""Return the Jensen-Shannon distance of two maps of each image.

    The maps are divided by their mass, which makes them distributions p and q over the cells; with
    m half way between them

    .. math:: \sqrt{\tfrac12 \sum p \log_2 \tfrac pm + \tfrac12 \sum q \log_2 \tfrac qm}

    It is a metric (Endres & Schindelin, "A New Metric for Probability Distributions", IEEE
    Transactions on Information Theory 49, 2003).

    Args:
        first: (N, h, w), not negative, of any scale.
        second: (N, h, w).

    Returns:
        (N,), 0 (equal) to 1 (no cell in common); NaN where a map is undefined or zero everywhere.

    Raises:
        DataError: maps of different shapes.

    >>> jensen_shannon(np.array([[[2.0, 0.0]]]), np.array([[[0.0, 1.0]]]))
    array([1.])
    """
    _refuse_unlike(first, second)
    p, q = (_distributions(maps) for maps in (first, second))
    middle = (p + q) / 2
    divergence = sum(_relative_bits(each, middle) for each in (p, q)) / 2
    return np.asarray(np.sqrt(np.clip(divergence, 0, 1)))


def _distributions(maps: NDArray[np.floating]) -> Values:
    values = np.asarray(maps, np.float64).reshape(len(maps), math.prod(maps.shape[1:]))
    mass = values.sum(axis=1, keepdims=True)
    return values / np.where(mass > 0, mass, np.nan)


def _relative_bits(values: Values, middle: Values) -> Values:
    """Return the sum of p log2(p / m), (N,); a cell where p is 0 adds nothing."""
    ratio = np.divide(values, middle, out=np.ones_like(values), where=values > 0)
    bits = np.asarray((values * np.log2(ratio)).sum(axis=1))
    return bits


def _refuse_unlike(first: NDArray[np.floating], second: NDArray[np.floating]) -> None:
    if first.shape != second.shape or first.ndim != 3:
        raise DataError(
            f"Maps of shapes {first.shape} and {second.shape}.",
            "two maps (h, w) of each image, of one size",
            "Bring them to one size with facebias.cam.explain.resize_maps.",
        )
