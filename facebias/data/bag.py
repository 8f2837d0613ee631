"""Bagging: a bootstrap sample of the train faces, asked for by name (`data.bag`)."""

import numpy as np
import pandas as pd

from facebias.data.table import FaceTable
from facebias.errors import DataError

DRAWS = "draws"  # column of how often a train face is drawn; 0 outside of the sample
NOT_DRAWN = "not drawn"

_STREAM = 2**32 - 1  # keeps these draws apart from others that are seeded by two numbers


def draw_bag(table: FaceTable, seed: int, bag: int) -> FaceTable:
    """Draw as many train faces as there are, with replacement; no other split changes.

    Faces are drawn, not persons, also where persons are known: every sample has the same size, and
    a training the same number of steps. The samples are there to make models differ, and no
    interval is taken from them. A sample is a function of the ids, the seed and its number; the
    order of the rows plays no part. (Breiman 1996, Bagging predictors, Machine Learning 24.)

    Args:
        table: split, composed and remedied.
        seed: the data seed.
        bag: number of the sample, 0 or more.

    Returns:
        The table with the column `draws`; a train face that is not drawn is left out.

    Raises:
        DataError: if the sample has no face of a class.
    """
    train = table.used("train")
    places = train.index[np.argsort(train["id"].to_numpy(object))]
    dice = np.random.default_rng((seed, bag, _STREAM))
    draws = pd.Series(0, index=table.rows.index)
    draws[places] = np.bincount(dice.integers(len(train), size=len(train)), minlength=len(train))
    rows = table.rows.assign(**{DRAWS: draws})
    rows.loc[places[draws[places] == 0], "left_out"] = NOT_DRAWN
    drawn = table.with_rows(rows)
    _refuse_absent_labels(set(train["label"]) - set(drawn.used("train")["label"]), bag)
    return drawn


def drawn_faces(rows: pd.DataFrame) -> pd.DataFrame:
    """Return train faces as often as they are drawn, the draws of one face after each other.

    Args:
        rows: used train faces of a prepared table; without a bag each stays once.
    """
    return rows.loc[rows.index.repeat(rows[DRAWS])] if DRAWS in rows else rows


def bag_line(rows: pd.DataFrame) -> str | None:
    """Say how many train faces a sample has; None where none was drawn.

    Args:
        rows: of a face table.
    """
    if DRAWS not in rows:
        return None
    once, left = int((rows[DRAWS] > 0).sum()), int((rows["left_out"] == NOT_DRAWN).sum())
    return (
        f"bag: {int(rows[DRAWS].sum()):,} draws with replacement (data.bag) took {once:,} of "
        f"{once + left:,} train faces; {DRAWS} in split.parquet says how often each"
    )


def _refuse_absent_labels(absent: set[str], bag: int) -> None:
    if absent:
        raise DataError(
            f"data.bag={bag} draws no train face of {', '.join(sorted(absent))}",
            "a sample with faces of every class",
            "take another number, or a class with more train faces",
        )
