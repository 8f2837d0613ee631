"""Metrics of hard decisions as functions of counts, and the one-vs-rest AUROC of scores.

Every function of counts takes `counts[..., label, predicted]`, shape (..., C, C), with any leading
dimensions (groups, replicates), and gives values in [0, 1]. What has no denominator is NaN.

The macro rule: a macro metric is the mean over the classes that have true rows in that group. A
class without true rows says nothing about whom the model fails, so it is left out (scikit-learn
would count it as 0 and call a group worse for lacking a class). A class that has true rows but
was never predicted has an undefined precision; inside the mean it counts as 0, because every one
of its rows was missed (its F1 is 0 by its own formula) and leaving it out would reward a model for
giving up on a hard class. Both agree with scikit-learn (`zero_division=0`) wherever every class
has true rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from facebias.errors import DataError

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]


def support(counts: Array) -> Array:
    """Return the true rows of each class, shape (..., C)."""
    return np.asarray(counts.sum(axis=-1))


def accuracy(counts: Array) -> FloatArray:
    """Return the share of right decisions, shape (...); NaN without rows.

    >>> accuracy(np.array([[[3, 1], [0, 4]], [[0, 0], [0, 0]]])).tolist()
    [0.875, nan]
    """
    return _divide(_right(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def recall(counts: Array) -> FloatArray:
    """Return right / true rows of each class, shape (..., C); NaN for a class without true rows."""
    return _divide(_right(counts), counts.sum(axis=-1))


def precision(counts: Array) -> FloatArray:
    """Return right / predicted rows of each class, shape (..., C); NaN if never predicted."""
    return _divide(_right(counts), counts.sum(axis=-2))


def f1(counts: Array) -> FloatArray:
    """Return 2 TP / (2 TP + FP + FN) of each class, shape (..., C).

    NaN only for a class that is neither true nor predicted anywhere; 0 for a class that was always
    missed, although its precision may be undefined.

    >>> f1(np.array([[2, 0, 0], [2, 0, 0], [0, 0, 0]])).round(3).tolist()
    [0.667, 0.0, nan]
    """
    return _divide(2 * _right(counts), counts.sum(axis=-1) + counts.sum(axis=-2))


def macro(values: FloatArray, counts: Array) -> FloatArray:
    """Average a metric of each class over the classes that have true rows.

    Args:
        values: shape (..., C), from `precision`, `recall` or `f1`.
        counts: shape (..., C, C), the counts they were made of.

    Returns:
        Shape (...); NaN where no class has true rows. An undefined value of a class with true rows
        (precision of a class never predicted) counts as 0: the module's text says why.
    """
    seen = support(counts) > 0
    total = np.where(seen & ~np.isnan(values), values, 0.0).sum(axis=-1)
    return _divide(total, seen.sum(axis=-1))


def macro_precision(counts: Array) -> FloatArray:
    """Return the macro average of precision, shape (...)."""
    return macro(precision(counts), counts)


def macro_recall(counts: Array) -> FloatArray:
    """Return the macro average of recall (balanced accuracy), shape (...)."""
    return macro(recall(counts), counts)


def macro_f1(counts: Array) -> FloatArray:
    """Return the mean of the classes' F1, shape (...); not the F1 of macro precision and recall."""
    return macro(f1(counts), counts)


def micro(counts: Array) -> FloatArray:
    """Return micro precision, micro recall and micro F1, which are one number: the accuracy.

    Micro averages add up TP, FP and FN over the classes before dividing. With one label a row,
    each wrong decision is a FP of the class predicted and a FN of the class missed, so the sums
    of FP and FN are equal; TP / (TP + FP), TP / (TP + FN) and 2 TP / (2 TP + FP + FN) are all
    right / all.
    """
    return accuracy(counts)


def chance_level(n_classes: int) -> float:
    """Return the accuracy (and macro recall) to be expected of a uniform guess: 1 / C.

    It holds whatever the true labels are, because each row is guessed right with chance 1 / C.

    Args:
        n_classes: C, the classes declared, at least 1.

    Raises:
        DataError: without any class.
    """
    if n_classes < 1:
        raise DataError(f"{n_classes} classes.", "at least one")
    return 1.0 / n_classes


def majority_rate(counts: Array) -> FloatArray:
    """Return the share of the most frequent true label, shape (...); NaN without rows.

    It is the accuracy of one constant answer, the best one for that group.
    """
    rows = support(counts)
    return _divide(rows.max(axis=-1), rows.sum(axis=-1))


def class_auroc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> FloatArray:
    """Return the area under the ROC curve of each class against the rest.

    It is the chance that a row of the class scores higher than a row of another, ties counting
    half: the Mann-Whitney U of the scores' mid-ranks over positives x negatives (Hanley & McNeil
    1982, Radiology 143).

    Args:
        labels: shape (N,), integers in [0, C).
        scores: shape (N, C), finite; probabilities, or anything that grows with them.

    Returns:
        Shape (C,), values in [0, 1]; NaN for a class without true rows or without other rows.

    Raises:
        DataError: shapes that do not match, labels out of range, scores that are not finite.

    >>> class_auroc([0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]]).tolist()
    [0.75, 0.75]
    """
    truth, values = _checked_scores(labels, scores)
    ranks = np.apply_along_axis(_mid_ranks, 0, values) if values.size else values
    positive = truth[:, None] == np.arange(values.shape[1])
    n_positive = positive.sum(axis=0)
    n_negative = len(truth) - n_positive
    wins = (ranks * positive).sum(axis=0) - n_positive * (n_positive + 1) / 2
    return _divide(wins, n_positive * n_negative)


def auroc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the one-vs-rest AUROC, averaged over the classes where it is defined.

    Args:
        labels: shape (N,), integers in [0, C).
        scores: shape (N, C), finite.

    Returns:
        A number in [0, 1]; NaN where fewer than two classes have true rows.

    Raises:
        DataError: see `class_auroc`.
    """
    areas = class_auroc(labels, scores)
    defined = areas[~np.isnan(areas)]
    return float(defined.mean()) if defined.size else float("nan")


def _right(counts: Array) -> Array:
    """Return the diagonal, shape (..., C): right decisions of each class."""
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _divide(numerator: Array, denominator: Array) -> FloatArray:
    """Divide where the denominator is not 0; NaN elsewhere, without a warning."""
    undefined = np.full(np.shape(numerator), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=denominator != 0))


def _mid_ranks(values: FloatArray) -> FloatArray:
    """Return ranks from 1, shape (N,); equal values share the mean of their ranks."""
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, side="left")
    up_to = np.searchsorted(ordered, values, side="right")
    return np.asarray((below + up_to + 1) / 2.0)


def _checked_scores(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Array, FloatArray]:
    """Return labels and scores as arrays after checking shape, range and finiteness."""
    truth, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or truth.shape != values.shape[:1]:
        raise DataError(
            f"labels have shape {truth.shape}, scores {values.shape}.", "(N,) and (N, C)"
        )
    if not np.isfinite(values).all():
        raise DataError("Some scores are missing or infinite.", "a finite score for every class")
    if truth.size and (truth.min() < 0 or truth.max() >= values.shape[1]):
        raise DataError(
            f"labels run from {truth.min()} to {truth.max()}.",
            f"integers from 0 to {values.shape[1] - 1}",
        )
    return truth, values
