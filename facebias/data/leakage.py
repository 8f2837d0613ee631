"""The leak gate: one picture or person in two splits, and pictures that teach nothing or wrongly.

`facebias.data.duplicates` finds the copies; here they become clusters, and clusters decisions.
"""

import logging

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.clusters import Clusters, clusters
from facebias.data.duplicates import CONSTANT, find_links
from facebias.data.fingerprints import fingerprints
from facebias.data.leaks import count_kinds, list_pairs, refuse_leaks
from facebias.data.store import FaceStore
from facebias.data.table import FaceTable

logger = logging.getLogger(__name__)

_RANK = {"test": 0, "validation": 1, "train": 2}


def guard(table: FaceTable, store: FaceStore, copies: str) -> tuple[FaceTable, pd.DataFrame]:
    """Pass the faces of a store through the leak gate.

    Args:
        table: with the column `row`, -1 where there is no image.
        store: the decoded faces.
        copies: "drop" leaves out what would leak, "error" stops, "report" warns and uses all.

    Returns:
        The table, and the pairs of faces that leak or contradict each other; see `gate`.

    Raises:
        DataError: if `copies` is "error" and a face would have been left out.
    """
    prints = fingerprints(store.read, len(store), store.path)
    used = np.flatnonzero(table.rows["left_out"] == "")
    stored = table.rows["row"].to_numpy(np.int64)[used]
    links = find_links(prints, store.read, stored)
    position = np.zeros(len(store), np.int64)
    position[stored] = used
    links = links.assign(first=position[links["first"]], second=position[links["second"]])
    constant = np.zeros(len(table.rows), bool)
    constant[used] = prints.deviation[stored] < CONSTANT
    gated, pairs = gate(table, links, constant)
    if copies == "error":
        refuse_leaks(pairs)
    if copies == "report":
        _warn(table, gated, pairs)
        return table, pairs.assign(left_out="")
    return gated, pairs


def _warn(table: FaceTable, gated: FaceTable, pairs: pd.DataFrame) -> None:
    """Say how many faces are used that would have been left out."""
    count = int((gated.rows["left_out"] != table.rows["left_out"]).sum())
    if count:
        logger.warning(
            "%s faces would have been left out (data.copies=report uses them): %s",
            f"{count:,}",
            count_kinds(pairs),
        )


def gate(
    table: FaceTable, links: pd.DataFrame, constant: npt.NDArray[np.bool_]
) -> tuple[FaceTable, pd.DataFrame]:
    """Make clusters of copies one identity, and leave out what would leak or teach wrongly.

    - Persons who share a picture become one person, with all of their pictures.
    - A flipped copy of another face is left out: it is no new face.
    - Of a picture in two official splits, the copy in train is left out, then the one in
      validation. So are a person's faces, where the data set says who is who.
    - Copies within a split, exact or near, stay and share their identity, so that no split of
      ours parts them.
    - Of a picture under two labels nobody knows which is right: all of its copies are left out.
    - Constant pictures are left out.

    But for the constant ones, no face of an official test split is left out.

    Args:
        table: faces with their official splits, where there are any.
        links: between positions in `table.rows`; see `find_links`.
        constant: of each row, whether its picture shows nothing.

    Returns:
        The table with `identity` and `left_out` filled in, in the same order of rows, and the
        pairs of faces that leak or contradict each other, with the columns of `pair_columns`:
        each copy with the first of its cluster, each face left out for its person with one of the
        split that keeps it. `score` is 1 for equal pixels, towards 0.5 the less alike; `left_out`
        says which of the two is: first, second, both, or "" for none.
    """
    rows = table.rows.reset_index(drop=True)
    blank = (rows["left_out"] == "") & constant
    rows["left_out"] = rows["left_out"].mask(blank, "constant image")
    used = rows["left_out"] == ""
    rank = rows["split"].map(_RANK).fillna(len(_RANK)).astype(int)
    order = _order(rows[used], rank)
    found = clusters(links, order, len(rows))
    told, rows["identity"] = rows["identity"], _persons(rows, order, found.first[order])
    rows["left_out"] = rows["left_out"].where(~used, _reasons(rows, rank, found))
    kept = _keepers(rows.assign(identity=told), rank, order)
    person = "the same person as " + kept.map(rows["id"])
    rows["left_out"] = rows["left_out"].mask(kept.notna(), person)
    pairs = list_pairs(table, rows, found, kept)
    return table.with_rows(rows.set_axis(table.rows.index)), pairs


def _order(rows: pd.DataFrame, rank: pd.Series) -> npt.NDArray[np.int64]:
    """Return positions, test before validation before train.

    The shorter name comes first, since copies are named after their originals.
    """
    keys = pd.DataFrame({"rank": rank, "length": rows["id"].str.len(), "id": rows["id"]})
    order = keys.loc[rows.index].sort_values(["rank", "length", "id"], kind="stable")
    positions: npt.NDArray[np.int64] = order.index.to_numpy(np.int64)
    return positions


def _persons(
    rows: pd.DataFrame, order: npt.NDArray[np.int64], first: npt.NDArray[np.int64]
) -> pd.Series:
    """Give all faces that are joined by pictures or persons the identity of the first of them."""
    persons, names = pd.factorize(rows["identity"].loc[order])
    numbers = pd.Series(persons, index=order)
    while True:
        joined = numbers.groupby(first).transform("min")
        joined = joined.groupby(persons).transform("min")
        if joined.equals(numbers):
            break
        numbers = joined
    joined = pd.Series(names.to_numpy(object)[numbers], index=order)
    return joined.reindex(rows.index).fillna(rows["identity"])


def _reasons(rows: pd.DataFrame, rank: pd.Series, found: Clusters) -> pd.Series:
    """Say of each face why its copies leave it out; "" if they do not."""
    original = pd.Series(rows["id"].to_numpy()[found.first], index=rows.index)
    leaked = rank > rank.to_numpy()[found.first]
    labels = rows["label"].groupby(found.first).transform("nunique")
    reasons = pd.Series("", index=rows.index, dtype=object)
    reasons = reasons.mask(leaked, "the same picture as " + original)
    reasons = reasons.mask(found.turn > 0, "flipped copy of " + original)
    reasons = reasons.mask(labels > 1, "one picture under two labels")
    return reasons.mask(rows["split"] == "test", "")


def _keepers(rows: pd.DataFrame, rank: pd.Series, order: npt.NDArray[np.int64]) -> pd.Series:
    """Return for each face whose person is kept in another official split a face of it there.

    Only where the data set says who is who: there, an identity is not the face's own name.
    """
    told = rows.loc[order].assign(rank=rank.loc[order], position=order)
    told = told[(told["left_out"] == "") & (told["identity"] != told["id"])]
    told = told[told["rank"] < len(_RANK)]
    first = told.groupby("identity")[["position", "rank"]].transform("first")
    return first["position"][told["rank"] > first["rank"]].reindex(rows.index)
