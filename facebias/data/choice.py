"""Which faces are shown: the same ones for every model of a comparison, not the prettiest."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from facebias.data.predictions import PROBABILITY
from facebias.data.split import seeded_order

_MOST_GROUPS = 16  # beyond, a sheet of all combinations is no picture any more


def choose_faces(
    predictions: pd.DataFrame,
    attributes: Mapping[str, tuple[str, ...]],
    per_group: int,
    seed: int,
) -> pd.DataFrame:
    """Choose correct and wrong faces of each group by a seeded order.

    Args:
        predictions: of one split.
        attributes: groups of each attribute; their combinations are shown, or the 16 largest of
            the attributes' own groups where there are more than 16 combinations.
        per_group: correct faces, and as many wrong ones; fewer where a group has fewer.
        seed: of the order.

    Returns:
        The chosen rows with the columns `position` (row of the predictions), `group`, `correct`
        (None where there is no label to tell; such faces count with the correct ones) and
        `title`.
    """
    order = np.argsort(seeded_order(predictions["id"], seed), kind="stable")
    shuffled = predictions.assign(position=np.arange(len(predictions))).iloc[order]
    unlabelled = shuffled["label"].isna()
    wrong = ~unlabelled & (shuffled["label"] != shuffled["predicted"])
    titles = [_title(row) for row in shuffled.to_dict(orient="records")]
    correct = (~wrong).astype(object).where(~unlabelled, None)
    shuffled = shuffled.assign(correct=correct, title=titles)
    parts = [
        shuffled[mask & (wrong == side)].head(per_group).assign(group=group)
        for group, mask in _groups(shuffled, attributes)
        for side in (False, True)
    ]
    return pd.concat(parts, ignore_index=True)


def spread_faces(
    rows: pd.DataFrame,
    classes: Sequence[str],
    attributes: Iterable[str],
    per_label: int,
    seed: int,
) -> pd.DataFrame:
    """Choose faces of each class by a seeded order; groups that were not shown yet come first.

    Args:
        rows: with `id`, `label` and a column for each attribute.
        classes: in the order of the result; faces without a label come last, as one class.
        attributes: whose groups are spread.
        per_label: faces of each class; fewer where it has fewer.
        seed: of the order.

    Returns:
        The chosen rows, with the column `position` (row of `rows`).
    """
    order = np.argsort(seeded_order(rows["id"], seed), kind="stable")
    shuffled = rows.assign(position=np.arange(len(rows))).iloc[order].reset_index(drop=True)
    chosen: list[pd.Series] = []
    labels = shuffled["label"]
    for mask in (*(labels == label for label in classes), labels.isna()):
        left = shuffled[mask]
        for _ in range(min(per_label, len(left))):
            shown = np.zeros(len(left))
            for name in attributes:
                counts = pd.Series([face[name] for face in chosen], dtype=object).value_counts()
                shown += left[name].map(counts).fillna(0).to_numpy(np.float64)
            best = int(shown.argmin())
            chosen.append(left.iloc[best])
            left = left.drop(index=left.index[best])
    return pd.DataFrame(chosen).reset_index(drop=True)


def _groups(
    rows: pd.DataFrame, attributes: Mapping[str, tuple[str, ...]]
) -> list[tuple[str, pd.Series]]:
    """Return the name and the rows of each group that is shown."""
    everyone = pd.Series(True, index=rows.index)
    if not attributes:
        return [("all", everyone)]
    combined = list(product(*attributes.values()))
    if len(combined) > _MOST_GROUPS:
        single = [
            (f"{attribute}: {group}", rows[attribute] == group)
            for attribute, groups in attributes.items()
            for group in groups
        ]
        return sorted(single, key=lambda named: -named[1].sum())[:_MOST_GROUPS]
    found = []
    for groups in combined:
        mask = everyone
        for attribute, group in zip(attributes, groups, strict=True):
            mask = mask & (rows[attribute] == group)
        found.append((", ".join(groups), mask))
    unknown = everyone & ~np.logical_or.reduce([mask for _, mask in found])
    return [*found, ("not known", unknown)]


def _title(row: Mapping[str, Any]) -> str:
    """Say what the face is, what it was taken for, and with which probability."""
    predicted = str(row["predicted"])
    taken_for = f"{predicted} {float(row[PROBABILITY + predicted]):.2f}"
    label = row["label"]
    right = not isinstance(label, str) or label == predicted
    return taken_for if right else f"{label} → {taken_for}"
