"""Bias amplification: does a model tie labels to groups more than its training did?

Both measures compare what a model answers on test rows with a tie of the train split, so they mean
something only where the test rows have the train split's composition (shares of label x group).
Elsewhere a difference may come from the rows alone, and the value is undefined.

- `mals`: Zhao, Wang, Yatskar, Ordonez & Chang, "Men Also Like Shopping", EMNLP 2017. Over the pairs
  of label t and group a with P(a|t) > 1/G in the train split, the sum of P(a | answer t) - P(a|t),
  divided by the number of labels.
- `directional A->T` and `T->A`: Wang & Russakovsky, "Directional Bias Amplification", ICML 2021.
  Over all pairs, the mean of P(answer t | a) - P(t|a), or of P(answer a | t) - P(a|t), with the
  sign of P(a, t) - P(a) P(t) in the train split; a pair that is exactly independent there counts as
  0, as in the authors' program.

Above 0 the model amplifies the bias, below 0 it takes some away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.errors import DataError
from facebias.fairness.counts import PersonPatterns, count_decisions, count_patterns
from facebias.fairness.influence import FloatArray, divide
from facebias.fairness.intervals import percentile_interval
from facebias.fairness.predictions import Codes, GroupCodes, ScoredRows, all_group_codes
from facebias.fairness.resampling import bootstrap_counts, bootstrap_person_counts
from facebias.fairness.settings import Settings

Array = npt.NDArray[np.int64] | FloatArray

SIGNIFICANCE = 0.05
"""A composition whose p-value is below this is another one."""

DISTANCE = 0.01
"""Compositions that differ by this share of the rows at most are taken for the same."""

COLUMNS = (
    *("attribute", "metric", "value", "low", "high", "method"),
    *("n", "units", "distance", "p", "status"),
)


@dataclass(frozen=True)
class CompositionCheck:
    """Whether test rows have the train split's shares of label x group.

    Attributes:
        distance: share of rows that would have to change their cell, 0..1 (half the sum of the
            absolute differences of shares); NaN where one of the two has no rows.
        p: of the chi-squared test of homogeneity (Pearson 1911), of as many rows as there are
            persons; NaN where it cannot be made.
        same: whether amplification is defined.
        reason: why not; "" where it is.
    """

    distance: float
    p: float
    same: bool
    reason: str


def check_composition(train: npt.ArrayLike, test: npt.ArrayLike, units: int) -> CompositionCheck:
    """Compare the composition of test rows with that of the train split.

    Compositions are taken for the same where the test does not reject it at 5 % and there are
    enough rows for it to tell (Cochran's rule, Biometrics 10, 1954: five or more expected in four
    fifths of the cells and one or more in each), or where they differ by 1 % of the rows at most.

    Args:
        train: counts of label x group in the train split, of any shape.
        test: counts of the test rows, of the same shape.
        units: independent test rows: persons, where they have several.
    """
    ours, theirs = (np.asarray(each, dtype=np.float64).ravel() for each in (train, test))
    if not ours.sum() or not theirs.sum():
        return CompositionCheck(np.nan, np.nan, False, "no rows with a known group")
    distance = float(np.abs(ours / ours.sum() - theirs / theirs.sum()).sum() / 2)
    p, enough = _homogeneity(ours, theirs * units / theirs.sum())
    words = f"{100 * distance:.1f} % of the rows would have to have another label or group"
    if distance <= DISTANCE:
        return CompositionCheck(distance, p, True, "")
    if p < SIGNIFICANCE:
        reason = f"the rows have another composition than the train's: {words} (p = {p:.2g})"
        return CompositionCheck(distance, p, False, reason)
    reason = "" if enough else f"too few rows to tell if they have the train's composition: {words}"
    return CompositionCheck(distance, p if enough else np.nan, enough, reason)


def _homogeneity(first: FloatArray, second: FloatArray) -> tuple[float, bool]:
    """Return the p-value of two vectors of counts having the same shares, and if it can tell."""
    from scipy.special import chdtrc

    filled = (first + second) > 0
    both = np.stack([first[filled], second[filled]])
    shares = both.sum(axis=0) / both.sum()
    expected = both.sum(axis=1, keepdims=True) * shares
    statistic = ((both - expected) ** 2 / expected).sum()
    p = float(chdtrc(len(shares) - 1, statistic)) if len(shares) > 1 else 1.0
    return p, bool((expected[1] >= 5).mean() >= 0.8 and (expected[1] >= 1).all())


def mals(train: npt.ArrayLike, counts: Array) -> FloatArray:
    """Return Zhao's bias amplification, shape (...); NaN where no group stands out of any label.

    Args:
        train: shape (G, C), counts of group and label in the train split.
        counts: shape (..., G, C, C), `counts[group, label, predicted]` of the test rows.

    Returns:
        -1..1; NaN, too, where a label that is tied to a group in the train split is never answered.

    >>> train = [[67], [33]]  # women and men who cook, of Zhao's introduction
    >>> mals(train, np.array([[[84]], [[16]]])).round(2).item()
    0.17
    """
    trained = np.asarray(train, dtype=np.float64)
    before = divide(trained, trained.sum(axis=0))
    answered = np.asarray(counts).sum(axis=-2)
    after = divide(answered, answered.sum(axis=-2, keepdims=True))
    tied = trained * len(trained) > trained.sum(axis=0)
    added = np.where(tied, after - before, 0.0).sum(axis=(-2, -1)) / trained.shape[1]
    return np.asarray(added) if tied.any() else np.full_like(added, np.nan)


def directional(train: npt.ArrayLike, counts: Array) -> FloatArray:
    """Return Wang and Russakovsky's directional amplification, shape (...).

    Args:
        train: shape (X, Y), counts in the train split of the side X that is given and the side Y
            that is answered: group and label for A->T, label and group for T->A.
        counts: shape (..., X, Y, Y), `counts[x, y, answered y]` of the test rows.

    Returns:
        -1..1, the mean over pairs; an X without test rows is left out. NaN where X and Y are
        independent in the train split: there is no bias to amplify.

    >>> # Groups of 3 and of 5 people, 2 and 1 of whom have a label: all and none are said to.
    >>> counts = np.array([[[0, 1], [0, 2]], [[4, 0], [1, 0]]])
    >>> directional(counts.sum(axis=-1), counts).round(4).item()
    0.2667
    """
    pairs = directional_pairs(train, counts)
    known = ~np.isnan(pairs)
    return divide(np.where(known, pairs, 0.0).sum(axis=(-2, -1)), known.sum(axis=(-2, -1)))


def directional_pairs(train: npt.ArrayLike, counts: Array) -> FloatArray:
    """Return the amplification of each pair, shape (..., X, Y), which `directional` averages.

    Args:
        train: as of `directional`.
        counts: as of `directional`.

    Returns:
        -1..1; NaN for an X without test rows, and where the train split has no bias.
    """
    trained = np.asarray(train, dtype=np.int64)
    apart = trained.sum(axis=1, keepdims=True) * trained.sum(axis=0, keepdims=True)
    signs = np.sign(trained * trained.sum() - apart)
    rows = counts.sum(axis=(-2, -1))[..., None]
    added = divide(counts.sum(axis=-2) - counts.sum(axis=-1), rows)
    return signs * added if signs.any() else np.full_like(added, np.nan)


def train_counts(
    train: pd.DataFrame,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    intersections: Sequence[Sequence[str]] = (),
) -> dict[str, npt.NDArray[np.int64]]:
    """Count the faces that a model was trained on.

    Args:
        train: a row a face, as often as it was drawn: label and a column for each attribute. Faces
            without a label, and in each attribute those of unknown group, are left out.
        classes: the declared classes, C.
        attributes: the declared groups of each attribute.
        intersections: sets of attributes whose combinations are groups too.

    Returns:
        By attribute and intersection, "all" first: shape (G, C).

    Raises:
        DataError: see `facebias.fairness.predictions.all_group_codes`.

    >>> faces = pd.DataFrame({"label": ["happy", "sad", "sad"], "sex": ["f", "m", "m"]})
    >>> train_counts(faces, ["happy", "sad"], {"sex": ["f", "m"]})["sex"].tolist()
    [[1, 0], [0, 2]]
    """
    places = pd.Index(list(classes), dtype=object)
    labels = places.get_indexer(pd.Index(train["label"], dtype=object))
    counts = {}
    for codes in all_group_codes(train, attributes, intersections):
        size = len(codes.groups), len(classes)
        known = (labels >= 0) & (codes.codes < size[0])
        cells = codes.codes[known] * size[1] + labels[known]
        counts[codes.attribute] = np.bincount(cells, minlength=size[0] * size[1]).reshape(size)
    return counts


def bias_amplification(
    rows: ScoredRows,
    codes: GroupCodes,
    train: npt.ArrayLike,
    settings: Settings,
    *,
    predicted_groups: Codes | None = None,
) -> pd.DataFrame:
    """Measure the amplification of one attribute's bias, where it is defined.

    Rows of unknown group are left out. Intervals are percentiles of the bootstrap, of rows or of
    persons where they have several; the train split stays what it was, so they cover other test
    rows, not other trainings.

    Args:
        rows: the scored rows.
        codes: their groups.
        train: shape (G, C), rows of each group and class that the model was trained on.
        settings: its replicates, level and seed are used.
        predicted_groups: shape (N,), the group that the model answers, 0 to G - 1, or G where it
            answers none (a row that T->A leaves out); None where it answers labels only, which
            leaves T->A undefined.

    Returns:
        Three rows: attribute, metric ("mals", "directional A->T", "directional T->A"), value, low,
        high, method ("percentiles", the same with ", by person", or "none"), n, units (rows, or
        persons), distance and p of `check_composition`, and status: "ok", or "undefined: ..." with
        the reason.

    Raises:
        DataError: train counts of another shape, or below 0.
    """
    trained = _checked_train(train, len(codes.groups))
    known = codes.codes < len(codes.groups)
    to_task = _Answers.of(codes.codes, rows.labels, rows.predicted, rows.persons, known, trained)
    found = [
        {"metric": "mals"} | _measured(mals, to_task, trained, settings),
        {"metric": "directional A->T"} | _measured(directional, to_task, trained, settings),
    ]
    if predicted_groups is None:
        reason = "the model does not answer the group"
        found.append({"metric": "directional T->A"} | _undefined(to_task, reason))
    else:
        known &= predicted_groups < len(codes.groups)
        swapped = trained.T
        sides = (rows.labels, codes.codes, predicted_groups)
        to_group = _Answers.of(*sides, rows.persons, known, swapped)
        measured = _measured(directional, to_group, swapped, settings)
        found.append({"metric": "directional T->A"} | measured)
    return pd.DataFrame([{"attribute": codes.attribute} | row for row in found])[list(COLUMNS)]


def _checked_train(train: npt.ArrayLike, n_groups: int) -> npt.NDArray[np.int64]:
    counts = np.asarray(train)
    if counts.ndim != 2 or len(counts) != n_groups or not (counts >= 0).all():
        raise DataError(
            f"The train counts have shape {counts.shape}.",
            f"({n_groups}, classes): rows of each declared group and class, 0 or more",
        )
    return counts.astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Answers:
    """The test rows, counted by the side that is given and the one that is answered.

    Attributes:
        counts: shape (X, Y, Y).
        patterns: the persons' counts; None where rows are independent.
        n_units: persons, or rows.
        check: of the composition.
    """

    counts: npt.NDArray[np.int64]
    patterns: PersonPatterns | None
    n_units: int
    check: CompositionCheck

    @classmethod
    def of(
        cls,
        given: Codes,
        truth: Codes,
        answered: Codes,
        persons: Codes | None,
        known: npt.NDArray[np.bool_],
        train: Array,
    ) -> _Answers:
        """Count the known rows."""
        sides = (given[known], truth[known], answered[known])
        size = {"n_groups": train.shape[0], "n_classes": train.shape[1]}
        counts = count_decisions(*sides, **size)
        patterns, n_units = None, int(known.sum())
        if persons is not None:
            names, numbers = np.unique(persons[known], return_inverse=True)
            patterns, n_units = count_patterns(numbers, *sides, **size), len(names)
        check = check_composition(train, counts.sum(axis=-1), n_units)
        return cls(counts, patterns, n_units, check)

    def draw(self, settings: Settings) -> npt.NDArray[np.int64]:
        """Return bootstrap replicates of the counts, shape (B, X, Y, Y)."""
        rng = np.random.default_rng(settings.seed)
        if self.patterns is not None:
            return bootstrap_person_counts(self.patterns, settings.replicates, rng)
        # All rows are drawn together, so that the composition varies too.
        together = self.counts.reshape(1, -1, self.counts.shape[-1])
        drawn = bootstrap_counts(together, settings.replicates, rng)
        return drawn.reshape(-1, *self.counts.shape)


def _measured(
    measure: Callable[[Array, Array], FloatArray],
    answers: _Answers,
    train: Array,
    settings: Settings,
) -> dict[str, Any]:
    """Return value, interval and status of one measure."""
    if answers.check.reason:
        return _undefined(answers, answers.check.reason)
    value = measure(train, answers.counts).item()
    if np.isnan(value):
        reason = "the train split ties no label to a group, or such a label is never answered"
        return _undefined(answers, reason)
    low, high = percentile_interval(measure(train, answers.draw(settings)), settings.level)
    name = "percentiles" if answers.patterns is None else "percentiles, by person"
    method = "none" if np.isnan(low) else name
    bounds = {"value": value, "low": low.item(), "high": high.item(), "method": method}
    return _undefined(answers, "") | bounds | {"status": "ok"}


def _undefined(answers: _Answers, reason: str) -> dict[str, Any]:
    """Return the columns of a measure that is undefined for a reason."""
    return {
        **{"value": np.nan, "low": np.nan, "high": np.nan, "method": "none"},
        "n": int(answers.counts.sum()),
        "units": answers.n_units,
        "distance": answers.check.distance,
        "p": answers.check.p,
        "status": f"undefined: {reason}",
    }
