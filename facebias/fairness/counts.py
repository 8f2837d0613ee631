"""Hard decisions, counted: the tensor that every metric of hard decisions is a function of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facebias.errors import DataError


def count_decisions(
    groups: npt.ArrayLike,
    labels: npt.ArrayLike,
    predicted: npt.ArrayLike,
    *,
    n_groups: int,
    n_classes: int,
) -> npt.NDArray[np.int64]:
    """Count the rows of each group, label and predicted class.

    The sizes are declared, not read off the data, so a group or class without rows keeps its
    place as zeros instead of shifting the ones after it. Counts of parts add up to the counts
    of the whole, in any order.

    Args:
        groups: shape (N,), integers in [0, n_groups).
        labels: shape (N,), integers in [0, n_classes).
        predicted: shape (N,), integers in [0, n_classes).
        n_groups: G, how many groups were declared.
        n_classes: C, how many classes were declared.

    Returns:
        Shape (G, C, C), `counts[group, label, predicted]`; the sum is N.

    Raises:
        DataError: an array is not a vector of integers, is out of range or differs in length.

    >>> count_decisions([0, 0, 2], [0, 1, 1], [0, 0, 1], n_groups=3, n_classes=2).tolist()
    [[[1, 0], [1, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 1]]]
    """
    group_codes = _checked_codes("groups", groups, n_groups)
    label_codes = _checked_codes("labels", labels, n_classes)
    predicted_codes = _checked_codes("predicted", predicted, n_classes)
    if not len(group_codes) == len(label_codes) == len(predicted_codes):
        raise DataError(
            f"{len(group_codes)} groups, {len(label_codes)} labels and "
            f"{len(predicted_codes)} predicted classes.",
            "one of each a row",
        )
    cells = (group_codes * n_classes + label_codes) * n_classes + predicted_codes
    flat = np.bincount(cells, minlength=n_groups * n_classes * n_classes)
    return flat.reshape(n_groups, n_classes, n_classes).astype(np.int64, copy=False)


def _checked_codes(name: str, codes: npt.ArrayLike, size: int) -> npt.NDArray[np.int64]:
    """Return `codes` as int64 after checking kind, shape and range."""
    array = np.asarray(codes)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise DataError(
            f"{name} has shape {array.shape} and type {array.dtype}.", "a vector of integers"
        )
    if array.size and (array.min() < 0 or array.max() >= size):
        raise DataError(
            f"{name} runs from {array.min()} to {array.max()}.",
            f"integers from 0 to {size - 1}",
            "Leave out rows without a label or group before counting.",
        )
    return array.astype(np.int64, copy=False)
