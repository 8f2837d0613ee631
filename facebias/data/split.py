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
    rows = table.rows.copy()
    present = set(rows["split"].dropna())
    used = rows[(rows["left_out"] == "") & rows["label"].notna()]
    pool = used[used["split"].isna() | (used["split"] == "train")]
    strata = ["label", *stratify]
    rows.loc[pool.index, "split"] = "train"
    if "test" not in present:
        tested = _deal(pool, strata, folds, seed) == 0
        rows.loc[pool.index[tested], "split"] = "test"
        pool = pool[~tested]
    if "validation" not in present:
        validated = _deal(pool, strata, folds, seed) == fold
        rows.loc[pool.index[validated], "split"] = "validation"
    return table.with_rows(rows)


def _deal(pool: pd.DataFrame, strata: list[str], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Deal rows into parts: whole identities, one stratum after the other, round and round."""
    ordered = pool.sort_values("id")
    people = ordered.drop_duplicates("identity")
    hashes = seeded_order(people["identity"], seed)
    deck = people.assign(hash=hashes).sort_values([*strata, "hash"], na_position="last")
    part = pd.Series(np.arange(len(deck)) % folds, index=deck["identity"])
    return np.asarray(pool["identity"].map(part), dtype=np.int64)


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
