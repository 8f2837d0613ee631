"""Biases: which of the train faces a variant is trained on."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.association import Direction, cramers_v_counts
from facebias.data.cells import count_cells, joint_groups
from facebias.data.composition import (
    VALENCES,
    VARIANTS,
    GroupShares,
    association_counts,
    attribute_counts,
    cell_counts,
    even_sequence,
    under_representation_counts,
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
        attributes: the columns of its cells are the joint groups of these; none: all faces.
        within: the faces of a cell are taken in the mix that this column has there; None: in any.
        absent: labels that may be left without a face.
    """

    variant: str
    attributes: tuple[str, ...] = ()
    within: str | None = None
    absent: frozenset[str] = frozenset()

    def cell_labels(self, labels: pd.Series) -> pd.Series:
        """Return what the rows of its cells are called, for each label."""
        return labels

    @abstractmethod
    def counts(self, available: pd.DataFrame) -> pd.DataFrame:
        """Return how many faces of each cell are taken, given those at hand (label x group)."""

    def relabel(self, table: FaceTable, seed: int) -> FaceTable:
        """Return the composed table with labels changed; no change but in a bias of labels."""
        return table


class AllFaces(Bias):
    """The train split as it is."""

    def __init__(self, variant: str = "none") -> None:
        self.variant = variant

    def counts(self, available: pd.DataFrame) -> pd.DataFrame:
        """Return the counts of every cell, unchanged."""
        return available


class TwinShares(Bias):
    """A composition by shares, at a total that all of its twins can supply.

    Args:
        variant: the name of the result.
        attribute: such as "gender".
        shares: what a subclass says.
        twins: shares of the other variants that this one is compared with.
        total: faces in all; None takes the most that all twins can supply.
        within: column whose mix inside of a cell stays the source's, such as "expression".
    """

    def __init__(
        self,
        variant: str,
        attribute: str,
        shares: Mapping[str, Any] | None = None,
        twins: Sequence[Mapping[str, Any] | None] = (),
        total: int | None = None,
        within: str | None = None,
    ) -> None:
        self.variant, self.attributes, self.within = variant, (attribute,), within
        self.shares, self.twins, self.total = shares, twins, total

    def counts(self, available: pd.DataFrame) -> pd.DataFrame:
        """Return the counts of every cell (label x group); faces of unknown group count 0.

        Raises:
            CompositionError: if the faces at hand do not suffice.
        """
        return _of_known(available, self.known_counts)

    @abstractmethod
    def known_counts(self, known: pd.DataFrame) -> pd.DataFrame:
        """Return the counts of the cells of known groups, given those at hand."""


class AttributeShares(TwinShares):
    """A composition by the groups of one attribute, with equal label counts in all twins.

    `shares` are those of the groups, such as {female: 0.8, male: 0.2}, 0 for those not named, and
    the same in every label.
    """

    def known_counts(self, known: pd.DataFrame) -> pd.DataFrame:
        """Return the counts of `attribute_counts`."""
        twins = [twin or {} for twin in self.twins]
        return attribute_counts(known, self.shares or {}, twins, self.total)


class Association(TwinShares):
    """A label tied to groups of an attribute, the mix of labels being that of the source.

    Its twin with other shares has the same total and the same label counts; the one without
    shares has groups that are independent of the label. With `cramers_v` the strength is asked
    for instead, in the direction of `pairs` or of `shares`, and twins are those of other values of
    `cramers_v`, 0 among them, with the same `largest_cramers_v`.

    Args:
        variant: the name of the result.
        attribute: such as "skin_tone".
        shares: for each label the share of each group, 0 for those not named, such as
            {negative: {dark: 0.9, light: 0.05, medium: 0.05}}; in a label that is not named all
            groups are equal.
        twins: shares of the other variants, so that all of them get equal label counts.
        total: faces in all; None takes the most that all twins can supply.
        within: column whose mix inside of a cell stays the source's, such as "expression".
        cramers_v: 0..1, of label and group; None: as `shares` say.
        largest_cramers_v: of the variants that are compared; None: `cramers_v`.
        pairs: for some labels the group that as many of their faces as possible have, such as
            {negative: dark}.

    Raises:
        DataError: for a Cramer's V without a direction, or a direction without one.
    """

    def __init__(
        self,
        variant: str,
        attribute: str,
        shares: Mapping[str, GroupShares] | None = None,
        twins: Sequence[Mapping[str, GroupShares]] = (),
        total: int | None = None,
        within: str | None = None,
        cramers_v: float | None = None,
        largest_cramers_v: float | None = None,
        pairs: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(variant, attribute, shares, twins, total, within)
        self.cramers_v, self.direction = cramers_v, Direction(pairs, shares)
        self.largest_cramers_v = cramers_v if largest_cramers_v is None else largest_cramers_v
        if cramers_v is None:
            if pairs or largest_cramers_v is not None:
                raise DataError(
                    "bias.pairs or bias.largest_cramers_v, and no bias.cramers_v",
                    "the Cramer's V that they belong to",
                    "set bias.cramers_v, or give bias.shares instead",
                )
        elif bool(pairs) == bool(shares) or twins or not 0 <= cramers_v <= self._largest <= 1:
            raise DataError(
                f"bias.cramers_v={cramers_v}, bias.largest_cramers_v={largest_cramers_v}, "
                f"bias.pairs={pairs}, bias.shares={shares}, bias.twins={list(twins)}",
                "0 <= cramers_v <= largest_cramers_v <= 1, one direction (pairs or shares), and "
                "no twins: they follow from largest_cramers_v",
                "correct the bias",
            )

    @property
    def _largest(self) -> float:
        return self.largest_cramers_v or 0.0

    def known_counts(self, known: pd.DataFrame) -> pd.DataFrame:
        """Return the counts of `association_counts` or of `cramers_v_counts`."""
        if self.cramers_v is None:
            twins = [twin or {} for twin in self.twins]
            return association_counts(known, self.shares or {}, twins, self.total)
        return cramers_v_counts(known, self.direction, self.cramers_v, self._largest, self.total)


class CellShares(TwinShares):
    """A composition by shares of cells: of label and groups of any attributes, or of labels alone.

    Twins have the same total, and nothing else in common: labels may be more frequent in one.

    Args:
        variant: the name of the result.
        attributes: such as ["gender", "age"]; none: cells are labels.
        shares: nested: label, then the group of each attribute, such as
            {happy: {female: {old: 0.3}}}; 0 for those not named; None: all cells are equal.
        twins: shares of the other variants, so that all of them get equal totals.
        total: faces in all; None takes the most that all twins can supply.
        within: column whose mix inside of a cell stays the source's, such as "expression".
        allow_absent: labels that may be left without a face.
    """

    def __init__(
        self,
        variant: str,
        attributes: Sequence[str] = (),
        shares: Mapping[str, Any] | None = None,
        twins: Sequence[Mapping[str, Any] | None] = (),
        total: int | None = None,
        within: str | None = None,
        allow_absent: Sequence[str] = (),
    ) -> None:
        super().__init__(variant, "", shares, twins, total, within)
        self.attributes, self.absent = tuple(attributes), frozenset(allow_absent)

    def known_counts(self, known: pd.DataFrame) -> pd.DataFrame:
        """Return the counts of `cell_counts`."""
        return cell_counts(known, self.shares, self.twins, self.total)


class UnderRepresentation(Bias):
    """One group cut to a factor of its faces, in every label; `under_representation_counts`.

    The twin is factor 1 with the same `smallest_factor`: as many faces of every label, drawn from
    everybody. Factors are nested: a smaller one's faces of the group are some of a larger one's.

    Args:
        variant: the name of the result.
        attribute: such as "gender".
        group: such as "female".
        factor: 0..1; 0.1 leaves a tenth of the group's faces.
        smallest_factor: of the variants that are compared; None: `factor`.
        total: faces in all; None takes the most that all factors can supply.
        within: column whose mix inside of a cell stays the source's, such as "expression".

    Raises:
        DataError: for factors that are none.
    """

    def __init__(
        self,
        variant: str,
        attribute: str,
        group: str,
        factor: float = 0.1,
        smallest_factor: float | None = None,
        total: int | None = None,
        within: str | None = None,
    ) -> None:
        self.variant, self.attributes, self.within = variant, (attribute,), within
        self.group, self.factor, self.total = group, factor, total
        self.smallest_factor = factor if smallest_factor is None else smallest_factor
        if not 0 <= self.smallest_factor <= factor <= 1:
            raise DataError(
                f"bias.factor={factor}, bias.smallest_factor={smallest_factor}",
                "0 <= smallest_factor <= factor <= 1",
                "correct the bias",
            )

    def counts(self, available: pd.DataFrame) -> pd.DataFrame:
        """Return the counts of every cell (label x group); faces of unknown group count 0.

        Raises:
            CompositionError: if the faces at hand do not suffice.
        """
        return _of_known(
            available,
            lambda known: under_representation_counts(
                known, self.group, self.factor, self.smallest_factor, self.total
            ),
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
    composed = count(available.drop(columns=UNKNOWN, errors="ignore"))
    return composed.reindex(columns=available.columns, fill_value=0)


def compose(table: FaceTable, bias: Bias, seed: int) -> FaceTable:
    """Leave out the train faces that a bias does not take; validation and test stay as they are.

    Each cell has one order, given by the seed, of which the first faces are taken: of two
    compositions the smaller one of a cell is part of the larger one. No face is taken twice.

    Args:
        table: faces with their splits.
        bias: what to take.
        seed: the data seed.

    Returns:
        The table with `left_out` filled in, and with other labels where the bias is one of labels.

    Raises:
        DataError: if the table lacks the attribute or the column of a mix.
        CompositionError: if the faces at hand do not suffice, or a label is left without any.
    """
    refuse_absent_columns(table, bias.attributes, "bias", bias.within)
    train = table.used("train")
    wanted = bias.counts(count_cells(table, train, bias.attributes)).stack()
    groups = joint_groups(train, bias.attributes)
    cells = pd.MultiIndex.from_arrays([bias.cell_labels(train["label"]), groups])
    kinds = train[bias.within] if bias.within else pd.Series("", index=train.index)
    order = seeded_order(train["id"], seed)
    left = _places(cells, kinds, order) >= wanted.reindex(cells).to_numpy()
    rows = table.rows.copy()
    rows.loc[train.index[left], "left_out"] = NOT_COMPOSED
    composed = table.with_rows(rows)
    _refuse_absent_labels(set(train["label"]) - set(composed.used("train")["label"]), bias)
    return bias.relabel(composed, seed)


def _places(
    cells: pd.MultiIndex, kinds: pd.Series, order: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """Return the place of each face in its cell, from 0: by order, the mix of kinds kept."""
    shape = [len(level) + 1 for level in cells.levels]  # one more for what is missing
    cell = np.ravel_multi_index([codes + 1 for codes in cells.codes], shape)
    kind, _ = pd.factorize(kinds.astype(str), sort=True, use_na_sentinel=False)
    # The j-th face of a kind, by order, gets the j-th place that its kind has in the cell.
    ordered = np.lexsort((order, kind, cell))
    starts = np.flatnonzero(np.diff(cell[ordered]))
    places = np.empty(len(cell), dtype=np.int64)
    for faces in np.split(ordered, starts + 1):
        sequence = even_sequence(np.bincount(kind[faces]).tolist())
        places[faces] = np.argsort(sequence, kind="stable")
    return places


def refuse_absent_columns(
    table: FaceTable, attributes: Sequence[str], place: str, within: str | None = None
) -> None:
    """Refuse attributes and a mix that a table does not have.

    Args:
        table: the faces.
        attributes: columns of groups.
        place: bias or remedy, whose keys the message names.
        within: column of a mix.

    Raises:
        DataError: for the first that is absent.
    """
    for attribute in attributes:
        if attribute not in table.attributes:
            raise DataError(
                f"{place}.attribute is {attribute!r}",
                f"an attribute of the data set: {', '.join(table.attributes) or 'it has none'}",
                f"change {place}.attribute or {place}.attributes",
            )
    if within is not None and within not in table.rows:
        raise DataError(
            f"{place}.within is {within!r}",
            f"a column of the faces: {', '.join(table.rows.columns)}",
            f"change {place}.within: label where the labels are finer than valences, null for any",
        )


def _refuse_absent_labels(absent: set[str], bias: Bias) -> None:
    """Refuse to leave a label without faces, unless it was asked for by name."""
    refused = sorted(absent - bias.absent)
    if refused:
        raise CompositionError(
            f"the composition {bias.variant!r} leaves no train face of {', '.join(refused)}",
            "faces of every label that the train split has",
            "choose other shares or a larger total, or, in a bias by valence or cells, allow it: "
            f"'bias.allow_absent=[{','.join(refused)}]'",
        )
