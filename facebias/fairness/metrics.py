"""Metrics of hard decisions as functions of counts.

Every function of counts takes `counts[..., label, predicted]`, shape (..., C, C), with any leading
dimensions (groups, replicates), and gives values in [0, 1] (Cohen's kappa: [-1, 1]). What has no
denominator is NaN. Metrics of each class see it against the rest; the true positive rate
(sensitivity) is `recall`, the positive predictive value is `precision`, and balanced accuracy is
`macro_recall`: each has one name here.

The macro rule: a macro metric is the mean over the classes that have true rows in that group. A
class without true rows says nothing about whom the model fails, so it is left out (scikit-learn
would count it as 0 and call a group worse for lacking a class). A class that has true rows but
was never predicted has an undefined precision; inside the mean it counts as 0, because every one
of its rows was missed (its F1 is 0 by its own formula) and leaving it out would reward a model for
giving up on a hard class. Both agree with scikit-learn (`zero_division=0`) wherever every class
has true rows.
"""

from __future__ import annotations

from collections.abc import Callable
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
    return _divide(*share_parts("accuracy", counts))


def recall(counts: Array) -> FloatArray:
    """Return right / true rows of each class, shape (..., C); NaN for a class without true rows."""
    return _divide(*share_parts("recall", counts))


def precision(counts: Array) -> FloatArray:
    """Return right / predicted rows of each class, shape (..., C); NaN if never predicted."""
    return _divide(*share_parts("precision", counts))


def f1(counts: Array) -> FloatArray:
    """Return 2 TP / (2 TP + FP + FN) of each class, shape (..., C).

    NaN only for a class that is neither true nor predicted anywhere; 0 for a class that was always
    missed, although its precision may be undefined.

    >>> f1(np.array([[2, 0, 0], [2, 0, 0], [0, 0, 0]])).round(3).tolist()
    [0.667, 0.0, nan]
    """
    return _divide(2 * _right(counts), counts.sum(axis=-1) + counts.sum(axis=-2))


def false_positive_rate(counts: Array) -> FloatArray:
    """Return the share of other classes' rows that were taken for the class, shape (..., C)."""
    return _divide(*share_parts("false_positive_rate", counts))


def true_negative_rate(counts: Array) -> FloatArray:
    """Return the share of other classes' rows not taken for the class (specificity), (..., C)."""
    return _divide(*share_parts("true_negative_rate", counts))


def false_negative_rate(counts: Array) -> FloatArray:
    """Return the share of the class's rows that were taken for another, shape (..., C)."""
    return _divide(*share_parts("false_negative_rate", counts))


def negative_predictive_value(counts: Array) -> FloatArray:
    """Return the share of the rows not taken for the class that are of another, shape (..., C)."""
    return _divide(*share_parts("negative_predictive_value", counts))


def prevalence(counts: Array) -> FloatArray:
    """Return the share of rows whose label is the class, shape (..., C); NaN without rows."""
    return _divide(*share_parts("prevalence", counts))


def predicted_prevalence(counts: Array) -> FloatArray:
    """Return the share of rows taken for the class (selection rate), shape (..., C)."""
    return _divide(*share_parts("predicted_prevalence", counts))


def share_parts(name: str, counts: Array) -> tuple[Array, Array]:
    """Return hits and rows of a metric that is hits / rows: what Wilson's interval needs.

    Args:
        name: one of `SHARES`.
        counts: shape (..., C, C).

    Returns:
        Two arrays of shape (...) for accuracy, else (..., C).

    >>> share_parts("false_positive_rate", np.array([[3, 1], [2, 4]]))
    (array([2, 1]), array([6, 4]))
    """
    hits, rows = SHARES[name](counts)
    return hits, rows


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


def weighted(values: FloatArray, counts: Array) -> FloatArray:
    """Average a metric of each class, weighted by the class's true rows.

    Args:
        values: shape (..., C), from `precision` or `f1`; of `recall` it gives the accuracy.
        counts: shape (..., C, C), the counts they were made of.

    Returns:
        Shape (...); NaN without rows. An undefined value of a class with true rows counts as 0,
        as in `macro`.
    """
    rows = support(counts)
    return _divide((np.where(np.isnan(values), 0.0, values) * rows).sum(axis=-1), rows.sum(axis=-1))


def weighted_precision(counts: Array) -> FloatArray:
    """Return the mean of the classes' precision, weighted by true rows, shape (...)."""
    return weighted(precision(counts), counts)


def weighted_f1(counts: Array) -> FloatArray:
    """Return the mean of the classes' F1, weighted by true rows, shape (...)."""
    return weighted(f1(counts), counts)


def kappa(counts: Array) -> FloatArray:
    """Return Cohen's kappa: agreement beyond that of chance, shape (...), in [-1, 1].

    (observed - expected) / (1 - expected), expected from the two margins (Cohen 1960, Educational
    and Psychological Measurement 20). NaN without rows, and where labels and predictions are all
    one class: nothing could disagree.

    >>> kappa(np.array([[[20, 5], [10, 15]], [[9, 0], [0, 0]]])).round(3).tolist()
    [0.4, nan]
    """
    rows = counts.sum(axis=(-2, -1))
    met_by_chance = (counts.sum(axis=-1) * counts.sum(axis=-2)).sum(axis=-1)
    return _divide(rows * _right(counts).sum(axis=-1) - met_by_chance, rows**2 - met_by_chance)


def with_label_mix(counts: Array, shares: npt.ArrayLike) -> FloatArray:
    """Return counts as they would be if every group had the same mix of labels.

    Groups that differ in their labels differ in accuracy even where each label is read equally
    well. Any metric of the result is label-standardised (direct standardisation).

    Args:
        counts: shape (..., C, C).
        shares: shape (C,), what each label weighs, at least 0; they need not add up to 1.

    Returns:
        Shape (..., C, C), real numbers: the rows of each label add up to its share. NaN all over
        where a label with a share has no rows: nothing says how it would be read.

    >>> with_label_mix(np.array([[8, 2], [0, 1]]), [1, 1]).tolist()
    [[0.8, 0.2], [0.0, 1.0]]
    """
    weights = np.asarray(shares, dtype=np.float64)
    read = _divide(counts, np.broadcast_to(counts.sum(axis=-1, keepdims=True), counts.shape))
    mixed = np.where(weights[:, None] > 0, read * weights[:, None], 0.0)
    unread = np.isnan(mixed).any(axis=(-2, -1), keepdims=True)
    return np.where(unread, np.nan, mixed)


def standardised_accuracy(counts: Array, shares: npt.ArrayLike) -> FloatArray:
    """Return the accuracy that a group would have with this mix of labels, shape (...).

    Args:
        counts: shape (..., C, C).
        shares: see `with_label_mix`.

    >>> standardised_accuracy(np.array([[8, 2], [0, 1]]), [0.5, 0.5]).item()
    0.9
    """
    return accuracy(with_label_mix(counts, shares))


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


def _accuracy_parts(counts: Array) -> tuple[Array, Array]:
    return _right(counts).sum(axis=-1), counts.sum(axis=(-2, -1))


def _recall_parts(counts: Array) -> tuple[Array, Array]:
    return _right(counts), support(counts)


def _false_negative_parts(counts: Array) -> tuple[Array, Array]:
    return support(counts) - _right(counts), support(counts)


def _false_positive_parts(counts: Array) -> tuple[Array, Array]:
    return counts.sum(axis=-2) - _right(counts), _rows(counts) - support(counts)


def _true_negative_parts(counts: Array) -> tuple[Array, Array]:
    others = _rows(counts) - support(counts)
    return others - (counts.sum(axis=-2) - _right(counts)), others


def _precision_parts(counts: Array) -> tuple[Array, Array]:
    return _right(counts), counts.sum(axis=-2)


def _negative_predictive_parts(counts: Array) -> tuple[Array, Array]:
    rejected = _rows(counts) - counts.sum(axis=-2)
    return rejected - (support(counts) - _right(counts)), rejected


def _prevalence_parts(counts: Array) -> tuple[Array, Array]:
    return support(counts), np.broadcast_to(_rows(counts), support(counts).shape)


def _predicted_prevalence_parts(counts: Array) -> tuple[Array, Array]:
    return counts.sum(axis=-2), np.broadcast_to(_rows(counts), support(counts).shape)


def _rows(counts: Array) -> Array:
    """Return all rows, shape (..., 1)."""
    return np.asarray(counts.sum(axis=(-2, -1)))[..., None]


def _right(counts: Array) -> Array:
    """Return the diagonal, shape (..., C): right decisions of each class."""
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _divide(numerator: Array, denominator: Array) -> FloatArray:
    """Divide where the denominator is not 0; NaN elsewhere, without a warning."""
    undefined = np.full(np.shape(numerator), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=denominator != 0))


SHARES: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "accuracy": _accuracy_parts,
    "recall": _recall_parts,
    "precision": _precision_parts,
    "false_positive_rate": _false_positive_parts,
    "true_negative_rate": _true_negative_parts,
    "false_negative_rate": _false_negative_parts,
    "negative_predictive_value": _negative_predictive_parts,
    "prevalence": _prevalence_parts,
    "predicted_prevalence": _predicted_prevalence_parts,
}
"""Metrics that are a number of rows over another, with these two."""

AVERAGES: dict[str, Callable[[Array], FloatArray]] = {
    "accuracy": accuracy,
    "macro_precision": macro_precision,
    "macro_recall": macro_recall,
    "macro_f1": macro_f1,
    "weighted_precision": weighted_precision,
    "weighted_f1": weighted_f1,
    "kappa": kappa,
}
"""Metrics of a whole group, shape (...). Micro averages and weighted recall are the accuracy."""

BY_CLASS: dict[str, Callable[[Array], FloatArray]] = {
    "recall": recall,
    "precision": precision,
    "f1": f1,
    "false_positive_rate": false_positive_rate,
    "true_negative_rate": true_negative_rate,
    "false_negative_rate": false_negative_rate,
    "negative_predictive_value": negative_predictive_value,
    "prevalence": prevalence,
    "predicted_prevalence": predicted_prevalence,
}
"""Metrics of each class against the rest, shape (..., C)."""

LOWER_IS_BETTER = frozenset({"false_positive_rate", "false_negative_rate"})
"""Metrics whose largest value is the worst."""

NEITHER_IS_BETTER = frozenset({"prevalence", "predicted_prevalence"})
"""Metrics that have a highest and a lowest group, and no worst one."""
