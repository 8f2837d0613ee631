"""Proof of what a bias and a remedy have done: cells at every stage, and Cramer's V of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from facebias.data.bag import DRAWS, NOT_DRAWN, drawn_faces
from facebias.data.cells import JOINT, count_cells, cramers_v, joint_groups
from facebias.data.remedy import UNDERSAMPLED, WEIGHT
from facebias.data.statistics import PixelStatistics
from facebias.data.table import UNKNOWN, FaceTable

SOURCE, BIASED, REMEDIED = "source", "after the bias", "after the remedy"
DRAWN, WEIGHTED = "after the bag", "weighted"


def stages(
    table: FaceTable, source: pd.DataFrame, attributes: tuple[str, ...]
) -> dict[str, pd.DataFrame]:
    """Return the cells of the train faces at every stage that there was.

    Args:
        table: composed, and remedied.
        source: the cells before.
        attributes: of the cells.

    Returns:
        Label x joint group: before, after the bias and, where there was a remedy, after it: counts
        of undersampled faces, or sums of weights; where a bag was drawn, counts of its draws.
    """
    train = table.rows[table.rows["split"] == "train"]
    biased = train[train["left_out"].isin(["", UNDERSAMPLED, NOT_DRAWN])]
    remedied = train[train["left_out"].isin(["", NOT_DRAWN])]
    kept = drawn_faces(train[train["left_out"] == ""])
    found = {SOURCE: source, BIASED: count_cells(table, biased, attributes)}
    if len(remedied) < len(biased):
        found[REMEDIED] = count_cells(table, remedied, attributes)
    if DRAWS in kept:
        found[DRAWN] = count_cells(table, kept, attributes)
    if WEIGHT in kept:
        sums = kept.groupby([kept["label"], joint_groups(kept, attributes)])[WEIGHT].sum()
        cells = sums.unstack(fill_value=0.0)
        found[WEIGHTED] = cells.reindex(index=source.index, columns=source.columns, fill_value=0.0)
    return found


def association(cells: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Return Cramer's V of label and known group at every stage; NaN where it is undefined."""
    return {
        stage: cramers_v(counts.drop(columns=UNKNOWN, errors="ignore"))
        for stage, counts in cells.items()
    }


def association_line(cells: Mapping[str, pd.DataFrame], attributes: tuple[str, ...]) -> str | None:
    """Say how strongly label and group go together at every stage; None without groups."""
    found = association(cells)
    if not attributes or not np.isfinite(found[SOURCE]):
        return None
    said = ", ".join(f"{stage} {value:.3f}" for stage, value in found.items())
    return f"Cramer's V of label and {JOINT.join(attributes)} in the train faces: {said}"


def nested(cells: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return cells as they stand in a JSON file: label, then group."""
    return {
        str(label): {str(group): float(n) if n % 1 else int(n) for group, n in row.items()}
        for label, row in cells.iterrows()
    }


def normalisation_record(statistics: PixelStatistics) -> dict[str, Any]:
    """Return the statistics of a normalisation as they stand in a JSON file.

    Args:
        statistics: of each channel, or of each pixel.

    Returns:
        The shape, the mean and deviation of each channel on the scale 0..1 (of pixel statistics
        their averages), and a digest of all values that is the same for equal ones alone.
    """
    return {
        "shape": list(statistics.mean.shape),
        "mean": [float(channel.mean()) for channel in statistics.mean],
        "deviation": [float(channel.mean()) for channel in statistics.deviation],
        "sha256": statistics.digest(),
    }
