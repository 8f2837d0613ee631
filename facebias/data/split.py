"""Splits: drawn by `data.seed`, the same whatever the order of the rows."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.table import FaceTable
from facebias.errors import DataError

_BATCHES = 10_000  # of persons, who of a batch are dealt at once: one by one up to that number
_WHOLE = 2**36  # a share of a column, as whole numbers: the same splits on every machine


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
    Persons with several faces come first, the largest before the others, each to the part that has
    the smallest share of the likes of their faces; single faces then fill up what is uneven. So
    parts are as even as the persons let them be, and differ by one face where nobody has two.
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
    pool = _pool(rows, ["label", *stratify], seed)
    split = rows["split"].copy()
    split.iloc[pool["place"]] = "train"
    if "test" not in present:
        tested = _deal(pool, folds, seed) == 0
        split.iloc[pool["place"][tested]] = "test"
        pool = pool[~tested]
    if "validation" not in present:
        validated = _deal(pool, folds, seed) == fold
        split.iloc[pool["place"][validated]] = "validation"
    return table.with_rows(rows.assign(split=split))


def _pool(rows: pd.DataFrame, strata: list[str], seed: int) -> pd.DataFrame:
    """Return the faces that may be drawn, by id.

    Returns:
        Columns `place` (of the row, from 0), `person` (a number), `hash` (of the person), `label`
        and `cell` (numbers of the label, and of label and groups, in their order).
    """
    drawn = (rows["left_out"] == "") & rows["label"].notna()
    drawn &= rows["split"].isna() | (rows["split"] == "train")
    place = np.flatnonzero(drawn)
    place = place[rows["id"].iloc[place].astype("str").argsort()]
    person, names = pd.factorize(rows["identity"].iloc[place])
    hashes = seeded_order(pd.Series(names), seed)
    faces = rows[strata].iloc[place]
    label = cell = _ranks(faces["label"])
    for name in strata[1:]:
        group = _ranks(faces[name])
        cell = _ranks(pd.Series(cell * (group.max(initial=0) + 1) + group))
    numbers = {"person": person, "hash": hashes[person], "label": label, "cell": cell}
    return pd.DataFrame({"place": place} | numbers)


def _deal(pool: pd.DataFrame, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Deal faces into parts, persons whole: those with several faces, then the single faces."""
    person, cell = pool["person"].to_numpy(), pool["cell"].to_numpy()
    several = np.bincount(person)[person] > 1
    part = np.empty(len(pool), np.int64)
    part[several] = _deal_persons(pool[several], folds, seed)
    filled = np.zeros((cell.max(initial=-1) + 1, folds), np.int64)
    np.add.at(filled, (cell[several], part[several]), 1)
    part[~several] = _deal_singles(pool[~several], filled)
    return part


def _deal_persons(faces: pd.DataFrame, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Deal the largest persons first, each to the part that has the least of faces like theirs.

    What a part has is its share of all faces, plus its share of the label, plus its share of the
    cell, added up over the faces of the person. So the squared deviations from even parts, over
    the counts, grow least. `StratifiedGroupKFold` of scikit-learn goes by the same idea.
    """
    sizes = np.bincount(faces["person"])[faces["person"]]
    order = np.lexsort([faces["person"], faces["hash"], -sizes])
    columns = _columns(faces.iloc[order])
    share = _WHOLE // np.maximum(np.bincount(columns.ravel()), 1)
    has = np.zeros((len(share), folds), np.int64)
    part = np.empty(len(faces), np.int64)
    starts = np.flatnonzero(np.diff(faces["person"].to_numpy()[order], prepend=-1))
    step = 1 + len(starts) // _BATCHES
    for begin, end in pairwise([*starts[::step], len(faces)]):
        taken = columns[begin:end]
        people = starts[np.searchsorted(starts, begin) : np.searchsorted(starts, end)] - begin
        least = np.add.reduceat(has[taken].sum(axis=1), people).argmin(axis=1)
        part[begin:end] = np.repeat(least, np.diff(people, append=end - begin))
        np.add.at(has, (taken, part[begin:end, None]), share[taken])
    dealt = np.empty_like(part)
    dealt[order] = _shuffled_parts(folds, seed)[part]  # or the largest were in test at any seed
    return dealt


def _columns(faces: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return numbers for what is to be even, (faces, 3): all faces, the label, the cell."""
    label, cell = faces["label"].to_numpy(), faces["cell"].to_numpy()
    return np.stack([np.zeros_like(label), 1 + label, 2 + label.max(initial=0) + cell], axis=1)


def _shuffled_parts(folds: int, seed: int) -> npt.NDArray[np.int64]:
    return seeded_order(pd.Series([f"part {number}" for number in range(folds)]), seed).argsort()


def _deal_singles(faces: pd.DataFrame, has: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Deal faces one by one to the part that has fewest of their cell, then fewest in all.

    Args:
        faces: columns `cell` and `hash`.
        has: faces of each cell that each part has already, (cells, parts).
    """
    order = np.lexsort([faces["hash"], faces["cell"]])
    cells, counts = np.unique(faces["cell"], return_counts=True)
    total, decks = has.sum(axis=0), [np.empty(0, np.int64)]
    for cell, count in zip(cells, counts, strict=True):
        decks.append(_level(has[cell], total, count))
        total = total + np.bincount(decks[-1], minlength=len(total))
    part = np.empty(len(faces), np.int64)
    part[order] = np.concatenate(decks)
    return part


def _level(
    has: npt.NDArray[np.int64], total: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64]:
    """Return the parts of `count` faces, each put where fewest are, then where `total` is least."""
    top = -(-(has.sum() + count) // len(has))  # the average, rounded up: no part need go beyond
    room = np.maximum(top - has, 0)
    part = np.repeat(np.arange(len(has)), room)
    height = top - 1 - (np.repeat(np.cumsum(room), room) - 1 - np.arange(len(part)))
    filled: npt.NDArray[np.int64] = part[np.lexsort([part, total[part], height])[:count]]
    return filled


def _ranks(column: pd.Series) -> npt.NDArray[np.int64]:
    """Return the rank of each value among the sorted ones, those that are missing last."""
    ranks, _ = pd.factorize(column, sort=True, use_na_sentinel=False)
    return np.asarray(ranks, dtype=np.int64)


def _refuse_wrong(table: FaceTable, folds: int, fold: int, stratify: tuple[str, ...]) -> None:
    if not 0 <= fold < folds or folds < 2:
        raise DataError(
            f"fold={fold} of data.folds={folds}",
            "2 folds or more, and a fold from 0 to folds - 1",
            "change fold or data.folds",
        )
    missing = [name for name in stratify if name not in table.attributes]
    if missing:
        raise DataError(
            f"data.stratify names {', '.join(missing)}",
            f"attributes of the data set: {', '.join(table.attributes) or 'it has none'}",
            "change data.stratify",
        )
