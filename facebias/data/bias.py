"""Biases: which of the train faces a variant is trained on."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from facebias.data.composition import attribute_counts
from facebias.data.split import seeded_order
from facebias.data.table import UNKNOWN, FaceTable
from facebias.errors import DataError

NOT_COMPOSED = "not in the composition"


class AllFaces:
    """The train split as it is."""

    attribute: str | None = None

    def __init__(self, variant: str = "none") -> None:
        self.variant = variant

    def counts(self, available: pd.DataFrame) -> pd.DataFrame:
        """Return the counts of every cell, unchanged."""
        return available


class AttributeShares:
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
        shares: Mapping[str, float] | None = None,
        twins: Sequence[Mapping[str, float]] = (),
        total: int | None = None,
    ) -> None:
        self.variant, self.attribute = variant, attribute
        self.shares, self.twins, self.total = shares or {}, twins, total

    def counts(self, available: pd.DataFrame) -> pd.DataFrame:
        """Return the counts of every cell (label x group); faces of unknown group count 0.

        Raises:
            CompositionError: if the faces at hand do not suffice.
        """
        known = available.drop(columns=UNKNOWN)
        composed = attribute_counts(known, self.shares, self.twins, self.total)
        return composed.assign(**{UNKNOWN: 0})[list(available.columns)]


def compose(table: FaceTable, bias: AllFaces | AttributeShares, seed: int) -> FaceTable:
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
        DataError: if the table lacks the attribute.
        CompositionError: if the faces at hand do not suffice.
    """
    attribute = bias.attribute
    if attribute is not None and attribute not in table.attributes:
        raise DataError(
            f"bias.attribute is {attribute!r}",
            f"an attribute of the data set: {', '.join(table.attributes) or 'it has none'}",
            "change bias.attribute",
        )
    wanted = bias.counts(table.cells("train", attribute)).stack()
    train = table.used("train")
    group = train[attribute] if attribute else pd.Series("all", index=train.index)
    cells = pd.MultiIndex.from_arrays([train["label"], group])
    order = pd.Series(seeded_order(train["id"], seed), index=train.index)
    rank = order.groupby([train["label"], group]).rank(method="first")
    taken = rank.to_numpy() <= wanted.reindex(cells).to_numpy()
    rows = table.rows.copy()
    rows.loc[train.index[np.logical_not(taken)], "left_out"] = NOT_COMPOSED
    return table.with_rows(rows)
