"""Splits: drawn by `data.seed`, the same whatever the order of the rows."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.table import FaceTable
from facebias.errors import DataError


def seeded_order(names: pd.Series, seed: int) -> npt.NDArray[np.uint64]:
    """Return a number for each name that depends on the name and the seed only.

    Sorting by it is a random order that no other row can change: rows may come and go, or stand
    in another order, and the rest keep their places.

    Args:
        names: text.
        seed: 0 or more.
    """
    key = f"{seed % 10**16:016d}"  # the 16 characters that the hash takes
    return np.asarray(pd.util.hash_array(names.to_numpy(object), hash_key=key, categorize=False))


def draw_splits(
    table: FaceTable, *, folds: int, fold: int, stratify: tuple[str, ...], seed: int
) -> FaceTable:
    """Draw the splits that the data set does not bring along.

    The draw is a function of the faces and the seed; the order of the rows plays no part. One face
    more or less, or another group of a face, moves others: every part takes its turn.

    Faces are dealt into `folds` equal parts, stratified by label and groups, identities kept whole.
    Official splits are respected. Without a test split, one part of the faces is test, whatever
    the fold: the folds may choose a recipe, and the test faces have no say in it. Without a
    validation split, validation is part `fold` of the train faces.

    Args:
        table: faces; those left out stay as they are.
        folds: number of parts, 2 or more.
        fold: which part, 0 to `folds - 1`.
        stratify: attributes that are stratified by, beside the label.
        seed: the data seed.

    Raises:
        DataError: for a fold that does not exist, or an attribute that the table lacks.
    """
    _refuse_wrong(table, folds, fold, stratify)
    rows = table.rows
    present = set(rows["split"].dropna().unique())
    pool = _pool(rows, seed)
    split = rows["split"].copy()
    split.iloc[pool["place"]] = "train"
    strata = ["label", *stratify]
    if "test" not in present:
        tested = _deal(pool, rows, strata, folds) == 0
        split.iloc[pool["place"][tested]] = "test"
        pool = pool[~tested]
    if "validation" not in present:
        validated = _deal(pool, rows, strata, folds) == fold
        split.iloc[pool["place"][validated]] = "validation"
    return table.with_rows(rows.assign(split=split))


def _pool(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the faces that may be drawn, by id.

    Returns:
        Columns `place` (of the row, from 0), `person` (a number) and `hash` (of the person).
    """
    drawn = (rows["left_out"] == "") & rows["label"].notna()
    drawn &= rows["split"].isna() | (rows["split"] == "train")
    place = np.flatnonzero(drawn)
    place = place[rows["id"].iloc[place].astype("str").argsort()]
    person, names = pd.factorize(rows["identity"].iloc[place])
    hashes = seeded_order(pd.Series(names), seed)
    return pd.DataFrame({"place": place, "person": person, "hash": hashes[person]})


def _deal(
    pool: pd.DataFrame, rows: pd.DataFrame, strata: list[str], folds: int
) -> npt.NDArray[np.int64]:
    """Deal rows into parts: whole identities, one stratum after the other, round and round."""
    people = pool.drop_duplicates("person")  # as their first face, by id
    first = rows[strata].iloc[people["place"]]
    deck = people["person"].to_numpy()[
        np.lexsort([people["hash"], *(_ranks(first[name]) for name in reversed(strata))])
    ]
    part = np.zeros(pool["person"].max() + 1 if len(pool) else 0, dtype=np.int64)
    part[deck] = np.arange(len(deck)) % folds
    return np.asarray(part[pool["person"]], dtype=np.int64)


def _ranks(column: pd.Series) -> npt.NDArray[np.int64]:
    """Return the rank of each value among the sorted ones, those that are missing last."""
    ranks, _ = pd.factorize(column, sort=True, use_na_sentinel=False)
    return np.asarray(ranks, dtype=np.int64)


def _refuse_wrong(table: FaceTable, folds: int, fold: int, stratify: tuple[str, ...]) -> None:
    if not 0 <= fold < folds or folds < 2:
        raise DataError(
            f"data.fold={fold} of data.folds={folds}",
            "2 folds or more, and a fold from 0 to folds - 1",
            "change data.fold or data.folds",
        )
    missing = [name for name in stratify if name not in table.attributes]
    if missing:
        raise DataError(
            f"data.stratify names {', '.join(missing)}",
            f"attributes of the data set: {', '.join(table.attributes) or 'it has none'}",
            "change data.stratify",
        )
