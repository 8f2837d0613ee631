"""What a model answers to faces of which nobody says what is right: shares and confidence only."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from facebias.data.predictions import PROBABILITY
from facebias.data.table import UNKNOWN
from facebias.files import whole_file

TABLE = "answers.csv"
SURE = 0.9
"""Probability from which an answer counts as sure."""

SHARE = "share_"  # begins the name of each column of shares


def answers_of_groups(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
) -> pd.DataFrame:
    """Say what is answered to all faces and to those of each group; no label is looked at.

    Confidence is what the model makes of itself: without labels nobody knows whether it is right
    that often.

    Args:
        predictions: of one split.
        classes: the declared classes.
        attributes: the declared groups of each attribute.

    Returns:
        A row a group: attribute, group, n, `share_<class>` (of the faces, by the answer),
        confidence (mean probability of the answer), and sure (share of the faces whose answer has
        a probability of .9 or more); NaN of no faces.
    """
    rows = [_answers("all", "all", predictions, classes)]
    for attribute, groups in attributes.items():
        unheard = [UNKNOWN] if (predictions[attribute] == UNKNOWN).any() else []
        for group in (*groups, *unheard):
            own = predictions[predictions[attribute] == group]
            rows.append(_answers(attribute, group, own, classes))
    return pd.DataFrame(rows)


def _answers(
    attribute: str, group: str, rows: pd.DataFrame, classes: Sequence[str]
) -> dict[str, Any]:
    confidence = rows[[PROBABILITY + name for name in classes]].max(axis=1)
    shares = {SHARE + name: (rows["predicted"] == name).mean() for name in classes}
    named = {"attribute": attribute, "group": group, "n": len(rows)}
    return named | shares | {"confidence": confidence.mean(), "sure": (confidence >= SURE).mean()}


def write_answers(table: pd.DataFrame, folder: Path) -> None:
    """Write `answers.csv`.

    Args:
        table: as `answers_of_groups` returns it.
        folder: of the run.
    """
    with whole_file(folder / TABLE) as temporary:
        table.to_csv(temporary, index=False)


def read_answers(folder: Path) -> pd.DataFrame | None:
    """Return what was answered to faces without labels; None where they have some."""
    file = folder / TABLE
    names = {"attribute": str, "group": str}  # a group may be named NA
    return pd.read_csv(file, converters=names) if file.is_file() else None


def answer_lines(folder: Path) -> list[str]:
    """Say what was answered to faces without labels, and how sure; nothing if they have some."""
    table = read_answers(folder)
    if table is None:
        return []
    everybody = table.iloc[0]
    shares = ", ".join(
        f"{name.removeprefix(SHARE)} {100 * everybody[name]:.1f} %"
        for name in table
        if name.startswith(SHARE)
    )
    return [
        f"answers to {everybody['n']:,} faces: {shares}",
        f"mean confidence {everybody['confidence']:.3f}; {100 * everybody['sure']:.1f} % of the "
        f"answers have {SURE} or more. Nobody says what is right, so there is no accuracy",
    ]
