"""The page of a comparison: its sections, each with pictures and tables."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from facebias.fairness.valence import CORRECTED, RAW
from facebias.report import compare_pictures as pictures
from facebias.report import compare_tables as tables
from facebias.report import variant_pictures
from facebias.report.compare_measures import Comparison
from facebias.report.compare_runs import data_facts
from facebias.report.compare_words import leak_words
from facebias.report.page_parts import Picture, SavedPicture, Section
from facebias.report.paired_words import NOT_COMPARED, attribute_words

_MOST_PHOTO = 1_500_000  # bytes of a picture of leaks


def sections(comparison: Comparison, attention: Section) -> Iterator[Section]:
    """Yield the parts of the page below the summary.

    Args:
        comparison: what was measured.
        attention: where the networks look.
    """
    yield _runs(comparison)
    yield _all_faces(comparison)
    for attribute in _shown_attributes(comparison):
        yield _groups(comparison, attribute)
    if "paired_differences" in comparison.tables:
        yield _paired(comparison)
    if "valence" in comparison.tables:
        yield _valence(comparison)
    yield attention
    yield _calibration(comparison)
    if "learning_curves" in comparison.tables:
        yield _curves(comparison)
    yield _leaks(comparison)


def _runs(comparison: Comparison) -> Section:
    return Section(
        "What was run",
        " ".join(data_facts(comparison.runs)),
        tuple(pictures.cell_picture(comparison)),
        (
            tables.variant_page_table(comparison),
            *tables.twin_page_table(comparison),
            *tables.cell_page_table(comparison),
            *tables.left_out_page_table(comparison),
        ),
        (
            *tables.setting_page_table(comparison),
            *tables.twin_answers(comparison),
            tables.run_page_table(comparison),
        ),
    )


def _all_faces(comparison: Comparison) -> Section:
    table = comparison.tables["groups"]
    shown = [variant_pictures.groups_picture(table, "all")]
    if (table["reading"] == CORRECTED).any():
        shown.append(variant_pictures.groups_picture(table, "all", reading=CORRECTED))
    return Section(
        "All faces",
        "Values are means over the seeds of a variant. With two seeds or more, intervals hold "
        "other seeds and other faces (or persons, where one has several faces); with one, other "
        "faces alone. “Without the training's shares” is what a model would answer had all classes "
        "been as many in its training. Intervals of two variants may overlap where their "
        "difference is told from 0: that is below, on the same faces.",
        tuple(shown),
        (tables.overall_page_table(comparison),),
    )


def _shown_attributes(comparison: Comparison) -> list[str]:
    crossed = [" x ".join(names) for names in comparison.intersections]
    return [*comparison.attributes, *crossed]


def _groups(comparison: Comparison, attribute: str) -> Section:
    """Return the groups of an attribute, or of several crossed."""
    crossed = " x " in attribute and attribute not in comparison.attributes
    groups = tables.group_page_table(comparison, attribute)
    gaps = tuple(tables.gap_page_table(comparison, attribute))
    return Section(
        f"By {attribute_words(attribute).replace(' x ', ' and ')}",
        "",
        tuple(_group_pictures(comparison, attribute, recalls=not crossed)),
        () if crossed else (groups, *gaps),
        (groups, *gaps) if crossed else (),
    )


def _group_pictures(comparison: Comparison, attribute: str, *, recalls: bool) -> Iterator[Picture]:
    table = comparison.tables["groups"]
    yield variant_pictures.groups_picture(table, attribute)
    if recalls and len(comparison.runs[0].classes) <= tables.MOST_CLASSES:
        yield variant_pictures.groups_picture(table, attribute, "recall")


def _paired(comparison: Comparison) -> Section:
    return Section(
        "Differences between variants",
        "Each two variants on the same faces: what is hard for both cancels out, so differences "
        "are surer than the intervals of each suggest. p is adjusted (Holm) over a family: one "
        "metric of all pairs, and all faces, all groups, or all gaps between groups. “Supported” "
        "means that the 95 % interval leaves out 0 and that the test stands after the adjustment. "
        "“Cannot tell” never means that there is no difference.",
        tuple(pictures.paired_pictures(comparison)),
        tuple(tables.paired_page_tables(comparison, headline=True)),
        tuple(tables.paired_page_tables(comparison, headline=False)),
    )


def _valence(comparison: Comparison) -> Section:
    table = comparison.tables["valence"]
    shifts, doses = (
        comparison.tables.get(name) for name in ("valence_differences", "dose_response")
    )
    true = variant_pictures.shown_valence(table)
    return Section(
        f"How {true} faces are read",
        "A model answers in the shares that it was trained on. “Without the training's shares” is "
        "what it would answer had all classes been as many. “By score” is how often a face scores "
        "more like the other valence than a face of that does (50 % is chance); it does not depend "
        "on the shares. What the three do not agree on may come from the shares alone.",
        tuple(_valence_pictures(table, shifts, doses)),
        (
            *tables.valence_page_table(comparison, headline=True),
            *tables.shift_page_table(comparison, headline=True),
        ),
        (
            *tables.valence_page_table(comparison, headline=False),
            *tables.shift_page_table(comparison, headline=False),
        ),
    )


def _valence_pictures(
    table: pd.DataFrame, shifts: pd.DataFrame | None, doses: pd.DataFrame | None
) -> Iterator[Picture]:
    yield variant_pictures.valence_picture(table)
    if shifts is not None:
        whole = shifts[(shifts["attribute"] == "all") & (shifts["reading"] == RAW)]
        if (whole["verdict"] != NOT_COMPARED).any():
            yield variant_pictures.shift_picture(shifts)
    if doses is not None:
        yield variant_pictures.dose_picture(doses)


def _calibration(comparison: Comparison) -> Section:
    return Section(
        "Calibration",
        "ECE, the expected calibration error, is the mean distance between certainty and the share "
        "of right answers. A perfectly calibrated model shows some of it too: “if calibrated” says "
        "how much, on these scores. Brier score and log loss: smaller is better. Intervals of "
        "several seeds are Student's over them: other seeds on these faces.",
        (variant_pictures.calibration_picture(comparison.tables["reliability"]),),
        tuple(tables.score_page_table(comparison, headline=True)),
        tuple(tables.score_page_table(comparison, headline=False)),
    )


def _curves(comparison: Comparison) -> Section:
    return Section(
        "Learning curves",
        "Train values are of augmented faces, while the weights still changed. The band goes from "
        "the least to the most of any seed; it is no interval.",
        (pictures.curve_picture(comparison),),
        (),
        (tables.curve_page_table(comparison),),
    )


def _leaks(comparison: Comparison) -> Section:
    sheets = (run.folder / "leaks.png" for run in comparison.runs)
    first = next((file for file in sheets if file.is_file()), None)
    small = first is not None and first.stat().st_size <= _MOST_PHOTO
    alt = "Pairs of faces that are copies, or contradict each other, of the first run that has some"
    return Section(
        "Leaks",
        leak_words(comparison),
        (SavedPicture(alt, first),) if first is not None and small else (),
        tuple(tables.leak_page_table(comparison)),
    )
