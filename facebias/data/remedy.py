"""Remedies: what is done to the train faces after the bias, to make up for it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.bias import refuse_absent_columns
from facebias.data.cells import count_cells, joint_groups
from facebias.data.composition import largest_remainder
from facebias.data.split import seeded_order
from facebias.data.table import UNKNOWN, FaceTable
from facebias.errors import CompositionError, DataError

UNDERSAMPLED = "undersampled"
WEIGHT = "weight"  # column of what a face weighs in the loss

Weights = npt.NDArray[np.float64]


class Remedy(ABC):
    """What every remedy says of itself.

    Attributes:
        attributes: its cells are labels by the joint groups of these; none: labels alone.
    """

    attributes: tuple[str, ...] = ()

    @abstractmethod
    def apply(self, table: FaceTable, seed: int) -> FaceTable:
        """Return the table with train faces left out, or with a column of weights."""


class NoRemedy(Remedy):
    """The train faces as the bias left them."""

    def apply(self, table: FaceTable, seed: int) -> FaceTable:
        """Return the table, unchanged."""
        return table


class Undersample(Remedy):
    """Equally many train faces of every cell: as many as the smallest one has.

    Each cell keeps its first faces in the order that `data.seed` gives. Faces of unknown group are
    left out.

    Args:
        attributes: such as ["gender"]; none: cells are labels.
        total: faces in all; None: the smallest cell times the number of cells.
    """

    def __init__(self, attributes: Sequence[str] = (), total: int | None = None) -> None:
        self.attributes, self.total = tuple(attributes), total

    def apply(self, table: FaceTable, seed: int) -> FaceTable:
        """Return the table with the faces beyond each cell's number left out.

        Raises:
            DataError: if the table lacks an attribute.
            CompositionError: if a cell has no face, or too few for the total.
        """
        refuse_absent_columns(table, self.attributes, "remedy")
        train = table.used("train")
        known = count_cells(table, train, self.attributes).drop(columns=UNKNOWN, errors="ignore")
        wanted = self._counts(known).stack()
        groups = joint_groups(train, self.attributes)
        cells = pd.MultiIndex.from_arrays([train["label"], groups])
        ordered = train.iloc[np.argsort(seeded_order(train["id"], seed), kind="stable")]
        place = ordered.groupby(["label", groups]).cumcount().reindex(train.index)
        left = place.to_numpy() >= wanted.reindex(cells, fill_value=0).to_numpy()
        rows = table.rows.copy()
        rows.loc[train.index[left], "left_out"] = UNDERSAMPLED
        return table.with_rows(rows)

    def _counts(self, known: pd.DataFrame) -> pd.DataFrame:
        """Return how many faces of each cell are kept."""
        smallest = int(known.to_numpy().min())
        largest = smallest * known.size
        total = largest if self.total is None else self.total
        if not known.size <= total <= largest:
            rarest = [
                f"{label}, {group}" for (label, group), n in known.stack().items() if n == smallest
            ]
            raise CompositionError(
                f"remedy=undersample to {total} faces in all; {smallest} of {'; '.join(rarest)}",
                f"{known.size} to {largest} faces in all" if smallest else "faces of every cell",
                f"set remedy.total={largest} or less"
                if smallest
                else "choose other remedy.attributes, or remedy=weights, which needs no full cell",
            )
        kept = largest_remainder(total, [1.0] * known.size).reshape(known.shape)
        return pd.DataFrame(kept, index=known.index, columns=known.columns)


class CellWeights(Remedy):
    """A weight in the loss for each train face, by its cell; every face stays.

    - reweighing: P(label) P(group) / P(label, group), so that label and group are independent in
      the weighted faces, labels and groups each as frequent as before (Kamiran & Calders 2012,
      Knowledge and Information Systems 33);
    - inverse: n / (cells n_cell), so that every cell weighs the same.

    Weights are 1 on average over the faces of known group. Those of unknown group weigh 1.

    Args:
        attributes: such as ["gender"]; none: cells are labels, which only `inverse` can weigh.
        kind: reweighing or inverse.

    Raises:
        DataError: for a kind that does not exist, or reweighing without an attribute.
    """

    def __init__(self, attributes: Sequence[str], kind: str = "reweighing") -> None:
        self.attributes, self.kind = tuple(attributes), kind
        if kind not in ("reweighing", "inverse") or (kind == "reweighing" and not attributes):
            raise DataError(
                f"remedy.kind={kind} with remedy.attributes={list(attributes)}",
                "reweighing with an attribute or more, or inverse with any number of them",
                "set remedy.attributes or remedy.kind",
            )

    def apply(self, table: FaceTable, seed: int) -> FaceTable:
        """Return the table with the column `weight`, NaN for all but the used train faces.

        Raises:
            DataError: if the table lacks an attribute.
        """
        refuse_absent_columns(table, self.attributes, "remedy")
        train = table.used("train")
        known = count_cells(table, train, self.attributes).drop(columns=UNKNOWN, errors="ignore")
        counts = known.to_numpy(np.float64)
        weights = reweighing(counts) if self.kind == "reweighing" else inverse_frequency(counts)
        by_cell = pd.DataFrame(weights, index=known.index, columns=known.columns).stack()
        groups = joint_groups(train, self.attributes)
        cells = pd.MultiIndex.from_arrays([train["label"], groups])
        rows = table.rows.assign(**{WEIGHT: np.nan})
        rows.loc[train.index, WEIGHT] = by_cell.reindex(cells, fill_value=1.0).to_numpy()
        return table.with_rows(rows)


def reweighing(counts: Weights) -> Weights:
    """Return P(label) P(group) / P(label, group) of each cell, NaN where it has no face.

    Args:
        counts: (labels, groups).
    """
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    return _divided(expected, counts)


def inverse_frequency(counts: Weights) -> Weights:
    """Return n / (cells n_cell) over the cells with faces, NaN where a cell has none.

    Args:
        counts: (labels, groups).
    """
    return _divided(counts.sum() / (counts > 0).sum(), counts)


def _divided(share: Weights | float, counts: Weights) -> Weights:
    weights: Weights = np.full_like(counts, np.nan)
    np.divide(share, counts, out=weights, where=counts > 0)
    return weights


def loss_shares(rows: pd.DataFrame, classes: Sequence[str], *, balanced: bool) -> dict[str, float]:
    """Return the share that each class has in a training's loss, 0..1.

    Args:
        rows: train faces of a prepared table, each as often as it is drawn.
        classes: the declared classes.
        balanced: whether the loss weighs classes equally; then all that are there have one share.
    """
    weights = pd.Series(loss_weights(rows).astype(np.float64), index=rows.index)
    sums = weights.groupby(rows["label"]).sum()
    shares = sums / sums.sum()
    if balanced:
        shares = shares.gt(0) / shares.gt(0).sum()
    return {name: float(shares.get(name, 0)) for name in classes}


def loss_weights(rows: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Return what each row weighs in a loss (rows,): 1 without a remedy.

    Args:
        rows: train faces of a prepared table.
    """
    if WEIGHT not in rows:
        return np.ones(len(rows), dtype=np.float32)
    return np.asarray(rows[WEIGHT].to_numpy(np.float32))
