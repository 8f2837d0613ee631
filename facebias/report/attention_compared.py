"""Do variants look elsewhere, and how alike are the runs of one variant: tables and words."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from facebias.cam.between import (
    DESCRIPTIVE,
    DIFFERENT,
    MIN_SEEDS,
    compare_attention,
    compare_maps,
)
from facebias.cam.sanity import stability
from facebias.report.attention import region_words
from facebias.report.cam_maps import ExplainedRun, Question

BETWEEN, BETWEEN_MAPS, STABILITY = "between", "between_maps", "stability"


def compared(
    runs: Sequence[ExplainedRun], attention: pd.DataFrame, question: Question
) -> tuple[dict[str, pd.DataFrame], str]:
    """Compare variants, or the runs of one variant.

    Args:
        runs: as `facebias.report.cam_maps.explain_runs` returns them.
        attention: their rows.
        question: what was asked.

    Returns:
        Tables by name: "between" and "between_maps" (`facebias.cam.between`) of several variants,
        "stability" (`facebias.cam.sanity`) of the runs of one; and why variants are not compared,
        empty where they are.
    """
    if len(runs) < 2:
        return {}, "one model: nothing to compare"
    if not question.comparable:
        return {}, "maps of each model's own answer are for different classes: name one"
    alike = len({run.cells for run in runs}) == 1
    maps = {run.name: np.load(run.maps, mmap_mode="r", allow_pickle=False) for run in runs}
    if len({run.variant for run in runs}) == 1:
        persons = list(runs[0].faces.table.rows["identity"])
        return {STABILITY: stability(maps, persons)}, "one variant: its runs differ in their seed"
    found = {BETWEEN: compare_attention(attention)}
    if alike:
        found[BETWEEN_MAPS] = compare_maps(maps, {run.name: run.variant for run in runs})
    return found, ""


def verdicts(between: pd.DataFrame) -> Iterator[str]:
    """Yield what can be said of the regions of each two variants.

    Args:
        between: as `compared` returns it.
    """
    for (first, second), rows in between.groupby(["first", "second"], sort=False):
        different = rows[rows["verdict"] == DIFFERENT]
        if (rows["verdict"] == DESCRIPTIVE).any():
            said = f"descriptive only, with fewer than {MIN_SEEDS} seeds of each"
        elif different.empty:
            said = "no region differs by more than seeds do"
        else:
            parts = zip(different["region"], different["difference"], strict=True)
            listed = (f"{region_words(name)} {size:+.3f}" for name, size in parts)
            said = f"more than seeds differ by: {', '.join(listed)}"
        yield f"{first} against {second}: {said}."
