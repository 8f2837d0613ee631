"""Face tables without images, for tests of what tables alone decide."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from facebias.data.table import UNKNOWN, FaceTable

CLASSES = ("happy", "neutral")
ATTRIBUTES = {"gender": ("female", "male")}


def face_rows(
    labels: Sequence[str | None],
    *,
    genders: Sequence[str] | None = None,
    identities: Sequence[str] | None = None,
    splits: Sequence[str | None] | None = None,
) -> pd.DataFrame:
    """Return rows with the ids face0, face1, ..."""
    ids = [f"face{number}.png" for number in range(len(labels))]
    columns = {
        "id": ids,
        "source": ids,
        "label": list(labels),
        "identity": list(identities or ids),
        "split": list(splits or [None] * len(ids)),
        "left_out": [""] * len(ids),
        "gender": list(genders or ["female"] * len(ids)),
    }
    return pd.DataFrame(columns).astype({"label": object, "split": object})


def face_table(rows: pd.DataFrame) -> FaceTable:
    """Return a table of two classes and one attribute."""
    return FaceTable(rows, Path("faces"), CLASSES, ATTRIBUTES)


def random_table(count: int, seed: int = 0, split: str | None = None) -> FaceTable:
    """Return faces with labels and genders drawn at random, a few of unknown gender."""
    random = np.random.default_rng(seed)
    genders = random.choice(["female", "male", "unknown"], count, p=[0.6, 0.35, 0.05])
    labels = random.choice(CLASSES, count)
    return face_table(face_rows(labels.tolist(), genders=genders.tolist(), splits=[split] * count))


def shuffled(table: FaceTable, seed: int = 1) -> FaceTable:
    """Return the same rows in another order, with their old index."""
    return table.with_rows(table.rows.sample(frac=1, random_state=seed))


def with_age(count: int) -> FaceTable:
    """Return random train faces with an age, drawn at random too, a few of them unknown."""
    table = random_table(count)
    ages = np.random.default_rng(1).choice(["young", "old", UNKNOWN], count, p=[0.45, 0.45, 0.1])
    rows = table.rows.assign(age=ages, split="train")
    return FaceTable(rows, table.root, CLASSES, {**ATTRIBUTES, "age": ("young", "old")})
