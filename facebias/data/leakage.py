"""The leak gate: one picture or person in two splits, and pictures that teach nothing or wrongly.

`facebias.data.duplicates` finds the copies; here they become clusters, and clusters decisions.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.clusters import Clusters, clusters
from facebias.data.duplicates import CONSTANT, find_links
from facebias.data.fingerprints import fingerprints
from facebias.data.leaks import list_pairs, refuse_leaks, warn_of_leaks
from facebias.data.store import FaceStore
from facebias.data.table import FaceTable

_RANK = {"test": 0, "validation": 1, "train": 2}


def guard(table: FaceTable, store: FaceStore, copies: str) -> tuple[FaceTable, pd.DataFrame]:
    """Pass the faces of a store through the leak gate.

    Args:
        table: with the column `row`, -1 where there is no image.
        store: the decoded faces.
        copies: "drop" leaves out what would leak, "error" stops, "report" warns and uses all, for
            those who find that the gate errs: then only copies with equal pixels, in any form,
            share their identity, and near ones are as any two faces. "leak" warns, uses all and
            joins none, so that a split of ours parts copies: for those who show what a leak does.

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
    if copies in ("report", "leak"):
        warn_of_leaks(pairs, copies)
    if copies == "leak":
        return table, pairs.assign(left_out="")
    if copies == "report":
        alike, _ = gate(table, links[links["score"] == 1], constant)
        return with_all_faces(alike, table), pairs.assign(left_out="")
    return gated, pairs


def with_all_faces(gated: FaceTable, table: FaceTable) -> FaceTable:
    """Return gated faces with their identities, and none left out that was not before the gate."""
    return gated.with_rows(gated.rows.assign(left_out=table.rows["left_out"]))


def gate(
    table: FaceTable, links: pd.DataFrame, constant: npt.NDArray[np.bool_]
) -> tuple[FaceTable, pd.DataFrame]:
    """Make clusters of copies one identity, and leave out what would leak or teach wrongly.

    - Persons who share a picture become one person, with all of their pictures.
    - A flipped copy of another face is left out: it is no new face.
    - Of a picture in two official splits, the copy in train is left out, then the one in
      validation. So are a person's faces, where the data set says who is who. Faces without a
      split count as train faces: our splits are drawn from both.
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
        each copy with the first of its cluster, each face whose person is in another official
        split, and of which no copy is there, with a face of that split. `score` is 1 for equal
        pixels, towards 0.5 the less alike; `left_out` says which of the two is: first, second,
        both, or "" for none.
    """
    rows = table.rows.reset_index(drop=True)
    blank = (rows["left_out"] == "") & constant
    rows["left_out"] = rows["left_out"].mask(blank, "constant image")
    used = rows["left_out"] == ""
    rank = rows["split"].map(_RANK).fillna(_RANK["train"]).astype(int)
    order = _order(rows[used], rank)
    found = clusters(links, order, len(rows))
    rows["identity"] = _persons(rows["identity"], order, found.first[order])
    rows["left_out"] = rows["left_out"].where(~used, _reasons(rows, rank, found))
    elsewhere = _elsewhere(rows["identity"].loc[order], rank)
    kept = _elsewhere(rows["identity"].loc[order[rows["left_out"].loc[order] == ""]], rank)
    person = "the same person as " + kept.map(rows["id"])
    rows["left_out"] = rows["left_out"].mask(kept.reindex(rows.index).notna(), person)
    copied = rank > rank.to_numpy()[found.first]
    persons = kept.combine_first(elsewhere[~copied.loc[elsewhere.index]])
    pairs = list_pairs(table, rows, found, persons)
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
    told: pd.Series, order: npt.NDArray[np.int64], first: npt.NDArray[np.int64]
) -> pd.Series:
    """Give all faces that are joined by pictures or persons the identity of the first of them."""
    persons, names = pd.factorize(told.loc[order])
    numbers = pd.Series(persons)
    while True:
        joined = numbers.groupby(first).transform("min")
        joined = joined.groupby(persons).transform("min")
        if joined.equals(numbers):
            break
        numbers = joined
    of_name = numbers.groupby(persons).first()  # by number: 0, 1, ...
    joined_names = pd.Series(names.to_numpy(object)[of_name.to_numpy(np.int64)], index=names)
    joined = told.map(joined_names).astype(object).fillna(told)  # unused ones keep to their person
    return joined.astype(told.dtype)


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


def _elsewhere(identities: pd.Series, rank: pd.Series) -> pd.Series:
    """Return, of those whose person is in a split before theirs, the first face of it there.

    Args:
        identities: of positions, in the order of `_order`.
        rank: of the split of each position.
    """
    faces = pd.DataFrame({"position": identities.index, "rank": rank.loc[identities.index]})
    first = faces.groupby(identities).transform("first")
    return first["position"][faces["rank"] > first["rank"]]
