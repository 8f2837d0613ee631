"""Biases: which of the train faces a variant is trained on."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.composition import (
    VALENCES,
    VARIANTS,
    GroupShares,
    association_counts,
    attribute_counts,
    even_sequence,
    valence_counts,
)
from facebias.data.split import seeded_order
from facebias.data.table import UNKNOWN, FaceTable
from facebias.errors import CompositionError, DataError

NOT_COMPOSED = "not in the composition"


class Bias(ABC):
    """What every bias says of itself; `counts` is its own.

    Attributes:
        variant: the name of the result.
        attribute: the columns of its cells are the groups of this attribute; None: all faces.
        within: the faces of a cell are taken in the mix that this column has there; None: in any.
        absent: labels that may be left without a face.
    """

    variant: str
    attribute: str | None = None
    within: str | None = None
    absent: frozenset[str] = frozenset()

    def cell_labels(self, labels: pd.Series) -> pd.Series:
        """Return what the rows of its cells are called, for each label."""
        return labels

    @abstractmethod
    def counts(self, available: pd.DataFrame) -> pd.DataFrame:
        """Return how many faces of each cell are taken, given those at hand (label x group)."""


class AllFaces(Bias):
    """The train split as it is."""

    def __init__(self, variant: str = "none") -> None:
        self.variant = variant

    def counts(self, available: pd.DataFrame) -> pd.DataFrame:
        """Return the counts of every cell, unchanged."""
        return available


class AttributeShares(Bias):
    """A composition by the groups of one attribute, with equal label counts in all twins.

    Args:
        variant: the name of the result.
        attribute: such as "gender".
        shares: share of each group, 0 for those not named.
        twins: shares of the other variants, so that all of them get equal label counts.
        total: faces in all; None takes the most that all twins can supply.
    """

    def __init__(
        self,
        variant: str,
        attribute: str,
        shares: GroupShares | None = None,
        twins: Sequence[GroupShares] = (),
        total: int | None = None,
    ) -> None:
        self.variant, self.attribute = variant, attribute
        self.shares, self.twins, self.total = shares or {}, twins, total

    def counts(self, available: pd.DataFrame) -> pd.DataFrame:
        """Return the counts of every cell (label x group); faces of unknown group count 0.

        Raises:
            CompositionError: if the faces at hand do not suffice.
        """
        return _of_known(
            available, lambda known: attribute_counts(known, self.shares, self.twins, self.total)
        )


class Association(Bias):
    """A label tied to groups of an attribute, the mix of labels being that of the source.

    Its twin with other shares has the same total and the same label counts; the one without
    shares has groups that are independent of the label.

    Args:
        variant: the name of the result.
        attribute: such as "skin_tone".
        shares: for each label the share of each group, 0 for those not named, such as
            {negative: {dark: 0.9, light: 0.05, medium: 0.05}}; in a label that is not named all
            groups are equal.
        twins: shares of the other variants, so that all of them get equal label counts.
        total: faces in all; None takes the most that all twins can supply.
        within: column whose mix inside of a cell stays the source's, such as "expression".
    """

    def __init__(
        self,
        variant: str,
        attribute: str,
        shares: Mapping[str, GroupShares] | None = None,
        twins: Sequence[Mapping[str, GroupShares]] = (),
        total: int | None = None,
        within: str | None = None,
    ) -> None:
        self.variant, self.attribute, self.within = variant, attribute, within
        self.shares, self.twins, self.total = shares or {}, twins, total

    def counts(self, available: pd.DataFrame) -> pd.DataFrame:
        """Return the counts of every cell (label x group); faces of unknown group count 0.

        Raises:
            CompositionError: if the faces at hand do not suffice.
        """
        return _of_known(
            available, lambda known: association_counts(known, self.shares, self.twins, self.total)
        )


class ValenceShares(Bias):
    """More positive, negative or neutral faces, or equally many; `valence_counts` says how many.

    All four variants with equal settings have the same total, whatever their dose up to
    `largest_dose`: variants of several doses are compared with one `largest_dose`. Doses are
    nested: of a valence, the variant that takes fewer faces takes the first of those of the other.

    Args:
        variant: balanced, positive, negative or neutral.
        dose: 0..1; 0.6 makes positive : negative 8 : 2, and neutral 11 of 15.
        largest_dose: of the variants that are compared; None: `dose`.
        total: faces in all; None takes the most that all four variants can supply.
        valences: valence of each label; None: the labels are the valences.
        within: column whose mix inside of a valence stays the source's, such as "expression", or
            "label" where the labels are finer than the valences; None: faces of any kind.
        allow_absent: labels that may be left without a face.

    Raises:
        DataError: for a variant or dose that does not exist.
    """

    def __init__(
        self,
        variant: str,
        dose: float = 0.6,
        largest_dose: float | None = None,
        total: int | None = None,
        valences: Mapping[str, str] | None = None,
        within: str | None = None,
        allow_absent: Sequence[str] = (),
    ) -> None:
        self.variant, self.dose, self.total = variant, dose, total
        self.largest_dose = dose if largest_dose is None else largest_dose
        self.valences = dict(valences or {name: name for name in VALENCES})
        self.within, self.absent = within, frozenset(allow_absent)
        if variant not in VARIANTS or not 0 <= dose <= self.largest_dose <= 1:
            raise DataError(
                f"bias.variant={variant}, bias.dose={dose}, bias.largest_dose={largest_dose}",
                f"one of {', '.join(VARIANTS)}, and 0 <= dose <= largest_dose <= 1",
                "correct the bias",
            )

    def cell_labels(self, labels: pd.Series) -> pd.Series:
        """Return the valence of each label.

        Raises:
            DataError: for a label of which nobody said the valence.
        """
        valence = labels.map(self.valences)
        unknown = sorted(set(labels[~valence.isin(VALENCES)]))
        if unknown:
            raise DataError(
                f"bias.valences does not say the valence of {', '.join(unknown)}",
                f"one of {', '.join(VALENCES)} for every label",
                f"add it: '+bias.valences.{unknown[0]}=VALENCE'",
            )
        return valence

    def counts(self, available: pd.DataFrame) -> pd.DataFrame:
        """Return the counts of every valence.

        Raises:
            CompositionError: if the faces at hand do not suffice.
        """
        valence = self.cell_labels(available.index.to_series())
        have = available.sum(axis=1).groupby(valence).sum()
        counts = valence_counts(have, self.variant, self.dose, self.largest_dose, self.total)
        return counts.to_frame(available.columns[0])


def _of_known(
    available: pd.DataFrame, count: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """Count the cells of known groups; nobody of unknown group is taken."""
    composed = count(available.drop(columns=UNKNOWN))
    return composed.assign(**{UNKNOWN: 0})[list(available.columns)]


def compose(table: FaceTable, bias: Bias, seed: int) -> FaceTable:
    """Leave out the train faces that a bias does not take; validation and test stay as they are.

    Each cell has one order, given by the seed, of which the first faces are taken: of two
    compositions the smaller one of a cell is part of the larger one. No face is taken twice.

    Args:
        table: faces with their splits.
        bias: what to take.
        seed: the data seed.

    Returns:
        The table with `left_out` filled in.

    Raises:
        DataError: if the table lacks the attribute or the column of a mix.
        CompositionError: if the faces at hand do not suffice, or a label is left without any.
    """
    _refuse_absent_columns(table, bias)
    wanted = bias.counts(table.cells("train", bias.attribute)).stack()
    train = table.used("train")
    group = train[bias.attribute] if bias.attribute else pd.Series("all", index=train.index)
    cells = pd.MultiIndex.from_arrays([bias.cell_labels(train["label"]), group])
    kinds = train[bias.within] if bias.within else pd.Series("", index=train.index)
    order = seeded_order(train["id"], seed)
    left = _places(cells, kinds, order) >= wanted.reindex(cells).to_numpy()
    rows = table.rows.copy()
    rows.loc[train.index[left], "left_out"] = NOT_COMPOSED
    composed = table.with_rows(rows)
    _refuse_absent_labels(set(train["label"]) - set(composed.used("train")["label"]), bias)
    return composed


def _places(
    cells: pd.MultiIndex, kinds: pd.Series, order: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """Return the place of each face in its cell, from 0: by order, the mix of kinds kept."""
    frame = pd.DataFrame({"cell": cells, "kind": kinds.astype(str).to_numpy(), "order": order})
    # The j-th face of a kind, by order, gets the j-th place that its kind has in the cell.
    places = pd.Series(0, index=frame.index, dtype=np.int64)
    ordered = frame.sort_values(["kind", "order"])
    for _, faces in ordered.groupby("cell", sort=False):
        sizes = faces["kind"].value_counts(sort=False).sort_index()
        sequence = even_sequence(sizes.to_list())
        places[faces.index] = np.argsort(sequence, kind="stable")
    return np.asarray(places, dtype=np.int64)


def _refuse_absent_columns(table: FaceTable, bias: Bias) -> None:
    if bias.attribute is not None and bias.attribute not in table.attributes:
        raise DataError(
            f"bias.attribute is {bias.attribute!r}",
            f"an attribute of the data set: {', '.join(table.attributes) or 'it has none'}",
            "change bias.attribute",
        )
    if bias.within is not None and bias.within not in table.rows:
        raise DataError(
            f"bias.within is {bias.within!r}",
            f"a column of the faces: {', '.join(table.rows.columns)}",
            "change bias.within: label where the labels are finer than valences, null for any mix",
        )


def _refuse_absent_labels(absent: set[str], bias: Bias) -> None:
    """Refuse to leave a label without faces, unless it was asked for by name."""
    refused = sorted(absent - bias.absent)
    if refused:
        raise CompositionError(
            f"the composition {bias.variant!r} leaves no train face of {', '.join(refused)}",
            "faces of every label that the train split has",
            f"choose other shares, or allow it: 'bias.allow_absent=[{','.join(refused)}]'",
        )
