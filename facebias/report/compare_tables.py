"""The tables of a comparison's page: cells as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from facebias.fairness.valence import CORRECTED, RAW, SCORES
from facebias.report.audit_words import p_value, percent, points
from facebias.report.compare_measures import Comparison
from facebias.report.compare_runs import CURVES
from facebias.report.page_parts import PageTable
from facebias.report.paired_words import SUPPORTED, attribute_words
from facebias.report.variant_pictures import shown_valence

MOST_CLASSES = 4
"""Classes whose recall has a column in the tables of groups, and a panel in a picture."""

METRICS = {"accuracy": "accuracy", "macro_recall": "macro recall", "macro_f1": "macro F1"}
"""What the page calls the metrics of variants."""

READINGS = {RAW: "as answered", CORRECTED: "without the training's shares", SCORES: "by score"}
"""What the page calls the readings."""

_SCORES = {
    "auroc": "AUROC",
    "brier": "Brier score",
    "log_loss": "log loss",
    "ece_equal_mass": "ECE",
}
_MOST_ROWS = 200  # of a table on the page; all are in its CSV file


def variant_page_table(comparison: Comparison) -> PageTable:
    """Return what each variant was trained with, and what its runs cost."""
    table = comparison.tables["variants"]
    runs = comparison.tables["runs"]
    rows = []
    for row in table.to_dict(orient="records"):
        own = runs[runs["variant"] == row["variant"]]
        rows.append(
            (
                row["variant"],
                row["seeds"],
                row["bias"],
                "–" if np.isnan(row["dose"]) else f"{row['dose']:g}",
                row["remedy"],
                row["model"],
                *(f"{row[name]:,}" for name in ("train", "validation", "test", "epochs")),
                duration(own["cpu_seconds"].sum(min_count=len(own))),
            )
        )
    kind = ("variant", "seeds", "bias", "dose", "remedy", "model")
    heads = (*kind, "train faces", "validation faces", "test faces", "epochs", "CPU time")
    return _cut("What was run: variants, each with its seeds", heads, rows, names=len(kind))


def duration(seconds: float) -> str:
    """Format a time in minutes, or hours; what was not recorded is a dash.

    >>> duration(95), duration(7300), duration(float("nan"))
    ('1.6 min', '2.0 h', '–')
    """
    if not np.isfinite(seconds):
        return "–"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def run_page_table(comparison: Comparison) -> PageTable:
    """Return where each run lies, and what it ran on."""
    rows = [
        (
            row["run"],
            str(row["seed"]),
            (row["ended"] or "–")[:16].replace("T", " "),
            (row["commit"] or "–")[:12] + ("+changes" if "+" in (row["commit"] or "") else ""),
            f"{row['device'] or '–'}, {row['threads'] or '–'} threads",
            duration(row["cpu_seconds"]),
            row["folder"],
        )
        for row in _records(comparison.tables["runs"])
    ]
    heads = ("run", "seed", "ended (UTC)", "commit", "device", "CPU time", "folder")
    return _cut("Every run", heads, rows, names=5)


def setting_page_table(comparison: Comparison) -> Iterator[PageTable]:
    """Yield the settings that differ between variants, if any do."""
    table = comparison.tables.get("settings")
    if table is not None:
        variants = [each.name for each in comparison.variants]
        rows = [
            (name, *(str(part.at[place, "setting"] or "–") for place in part.index))
            for name in variants
            for part in [table[[name]].rename(columns={name: "setting"})]
        ]
        heads = ("variant", *table["setting"])
        caption = "Every setting in which variants differ, but for seed and fold"
        yield _cut(caption, heads, rows, names=len(heads))


def twin_page_table(comparison: Comparison) -> Iterator[PageTable]:
    """Yield for each variant whether it is a twin of the first one."""
    if not comparison.twins:
        return
    rows = []
    for report in comparison.twins:
        wrong = [f"{each.question}: {each.detail}" for each in report.answers if not each.same]
        verdict = {True: "yes", False: "no", None: "not recorded"}[report.are_twins]
        shared = f"{report.shared:,} ({percent(report.share)})"
        rows.append((f"{report.first}, {report.second}", verdict, shared, "; ".join(wrong) or "–"))
    yield _cut(
        "Do they differ in the chosen train faces alone?",
        ("variants", "twins", "train faces in both", "what else differs"),
        rows,
        names=4,
    )


def twin_answers(comparison: Comparison) -> Iterator[PageTable]:
    """Yield every answer of what must be the same in twins."""
    table = comparison.tables.get("twins")
    if table is not None:
        rows = [
            (f"{row['first']}, {row['second']}", row["question"], row["answer"], row["detail"])
            for row in table.to_dict(orient="records")
        ]
        heads = ("variants", "asked", "answer", "detail")
        yield _cut("What must be the same in twins", heads, rows, names=len(heads))


def cell_page_table(comparison: Comparison) -> Iterator[PageTable]:
    """Yield the train faces by label and group, of the source and of each variant's last stage."""
    table = comparison.tables.get("cells")
    if table is None:
        return
    columns = cell_columns(table)
    rows = []
    for label, group in dict.fromkeys(zip(table["label"], table["group"], strict=True)):
        found = [each.get((label, group)) for each in columns.values()]
        name = label if group == "all" else f"{label}, {group}"
        rows.append((name, *("–" if n is None else f"{n:,.0f}" for n in found)))
    totals = (f"{sum(each.values()):,.0f}" for each in columns.values())
    yield _cut(
        "Train faces by label and group, before the bias and as they were trained on",
        ("cell", *columns),
        [*rows, ("total", *totals)],
    )


def cell_columns(table: pd.DataFrame) -> dict[str, dict[tuple[str, str], float]]:
    """Return the faces of each cell (label, group): of the source, then of each variant.

    Args:
        table: as `facebias.report.compare_runs.cell_table` returns it.
    """
    columns: dict[str, dict[tuple[str, str], float]] = {}
    for variant, part in table.groupby("variant", sort=False):
        first, *later = dict.fromkeys(part["stage"])
        counts = [stage for stage in later if stage != "weighted"] or [first]
        for name, stage in (("source", first), (str(variant), counts[-1])):
            own = part[part["stage"] == stage]
            cells = dict(zip(zip(own["label"], own["group"], strict=True), own["n"], strict=True))
            columns.setdefault(name, cells)
    return columns


def left_out_page_table(comparison: Comparison) -> Iterator[PageTable]:
    """Yield why faces are not used, and how many, a column a variant."""
    table = comparison.tables.get("left_out")
    if table is None:
        return
    variants = list(dict.fromkeys(table["variant"]))
    keys = ["split", "reason"]
    wide = table.pivot_table("n", keys, "variant", "sum", sort=False).reindex(columns=variants)
    rows = [
        (f"{split}: {reason}", *("0" if np.isnan(n) else f"{n:,.0f}" for n in counts))
        for (split, reason), counts in zip(wide.index, wide.to_numpy(np.float64), strict=True)
    ]
    yield _cut("Faces left out, and why", ("split: reason", *variants), rows)


def overall_page_table(comparison: Comparison) -> PageTable:
    """Return the metrics of all faces, a row a variant."""
    table = comparison.tables["groups"]
    whole = table[table["attribute"] == "all"]
    classes = _shown_classes(comparison)
    rows = []
    for variant in comparison.variants:
        found = _by_metric(whole[whole["variant"] == variant.name])
        cells = [_cell(found, RAW, metric) for metric in METRICS]
        cells.append(_cell(found, CORRECTED, "accuracy"))
        cells += [_cell(found, RAW, "recall", name) for name in classes]
        cells += [_cell(found, RAW, "precision", name) for name in classes]
        rows.append((variant.name, str(len(variant.runs)), *map(_with_interval, cells)))
    heads = ("variant", "seeds", *METRICS.values(), f"accuracy {READINGS[CORRECTED]}")
    heads += tuple(f"{metric} of {name}" for metric in ("recall", "precision") for name in classes)
    return _cut(f"All {comparison.split} faces, with 95 % intervals", heads, rows)


def _shown_classes(comparison: Comparison) -> Sequence[str]:
    classes = comparison.runs[0].classes
    return classes if len(classes) <= MOST_CLASSES else ()


def group_page_table(comparison: Comparison, attribute: str) -> PageTable:
    """Return the metrics of the groups of an attribute, the variants below each other."""
    table = comparison.tables["groups"]
    own = table[(table["attribute"] == attribute) & (table["status"] != "empty")]
    classes = _shown_classes(comparison)
    rows = []
    for (group, variant), part in own.groupby(["group", "variant"], sort=False):
        found = _by_metric(part)
        cells = [_cell(found, RAW, metric) for metric in METRICS]
        first = cells[0]
        cells.append(_cell(found, CORRECTED, "accuracy"))
        cells += [_cell(found, RAW, "recall", name) for name in classes]
        status = "" if first["status"] == "ok" else str(first["status"])
        rows.append((str(group), str(variant), f"{first['n']:,}", *map(_marked, cells), status))
    order = {str(group): place for place, group in enumerate(dict.fromkeys(own["group"]))}
    rows.sort(key=lambda row: order[row[0]])  # stable: the variants stay in their order
    heads = ("group", "variant", "n", *METRICS.values(), f"accuracy {READINGS[CORRECTED]}")
    heads += (*(f"recall of {name}" for name in classes), "")
    return _cut(
        f"By {attribute_words(attribute)}, with 95 % intervals; [in brackets] what rests on "
        "too few faces",
        heads,
        rows,
        names=2,
    )


def gap_page_table(comparison: Comparison, attribute: str) -> Iterator[PageTable]:
    """Yield the largest gap of each variant and metric between groups of an attribute."""
    table = comparison.tables.get("gaps")
    if table is None:
        return
    own = table[(table["attribute"] == attribute) & (table["kind"] == "largest")]
    own = own[own["reading"] == RAW]
    if own.empty:
        return
    rows = [
        (
            str(row["variant"]),
            METRICS[str(row["metric"])],
            _difference(row),
            f"{row['first']} – {row['second']}" if np.isfinite(row["difference"]) else "–",
            f"{row['eligible']} of {row['groups']}",
        )
        for row in own.to_dict(orient="records")
    ]
    yield _cut(
        f"Largest gaps by {attribute_words(attribute)}, in points; the interval allows for all "
        "pairs of groups",
        ("variant", "metric", "gap", "between", "groups compared"),
        rows,
        names=2,
    )


def paired_page_tables(comparison: Comparison, *, headline: bool) -> Iterator[PageTable]:
    """Yield the differences between variants on the same faces.

    Args:
        comparison: what was measured.
        headline: all faces, and what is supported of groups and gaps; or all the rest.
    """
    table = comparison.tables.get("paired_differences")
    if table is None:
        return
    whole = table["kind"] == "all"
    told = table["verdict"] == SUPPORTED
    parts = (
        {"All faces": table[whole], "Groups and gaps: what is supported": table[~whole & told]}
        if headline
        else {"Groups and gaps: what cannot be told, or was not compared": table[~whole & ~told]}
    )
    heads = ("variants", "faces", "metric", "n", "first", "second", "difference", "p", "p Holm")
    for title, rows in parts.items():
        if len(rows):
            lines = [_paired_row(row) for row in rows.to_dict(orient="records")]
            caption = f"{title}; differences in points, with 95 % intervals"
            yield _cut(caption, (*heads, "verdict"), lines, names=2)


def _paired_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    gap = row["kind"] == "gap"
    values = (points(row[name]) if gap else percent(row[name]) for name in _BOTH)
    return (
        f"{row['first']} – {row['second']}",
        place_name(row),
        str(row["metric"]).replace("_", " "),
        f"{row['n']:,}",
        *values,
        _difference(row),
        p_value(row["p"]),
        p_value(row["p_holm"]),
        str(row["verdict"]),
    )


_BOTH = ("first_value", "second_value")


def place_name(row: Mapping[str, Any]) -> str:
    """Name the faces that a paired difference is of."""
    if row["attribute"] == "all":
        return "all faces"
    name = f"{row['attribute']}: {row['group']}"
    return f"{name} – {row['against']}" if row.get("kind") == "gap" else name


def valence_page_table(comparison: Comparison, *, headline: bool) -> Iterator[PageTable]:
    """Yield how faces of one valence are read.

    Args:
        comparison: what was measured.
        headline: all faces; or the groups.
    """
    table = comparison.tables.get("valence")
    if table is None:
        return
    true = shown_valence(table)
    own = table[(table["true"] == true) & ((table["attribute"] == "all") == headline)]
    own = own[own["status"] != "empty"]
    reads = list(dict.fromkeys(own["read"]))
    rows = []
    keys = ["attribute", "group", "variant", "reading"]
    for (attribute, group, variant, reading), part in own.groupby(keys, sort=False):
        found = {str(row["read"]): row for row in part.to_dict(orient="records")}
        first = next(iter(found.values()))
        place = "all faces" if attribute == "all" else f"{attribute_words(attribute)}: {group}"
        cells = (_marked(found[read]) if read in found else "–" for read in reads)
        rows.append((place, str(variant), READINGS[str(reading)], f"{first['n']:,}", *cells))
    if rows:
        yield _cut(
            f"How {true} faces are read, with 95 % intervals",
            ("faces", "variant", "reading", "n", *(f"as {read}" for read in reads)),
            rows,
            names=3,
        )


def shift_page_table(comparison: Comparison, *, headline: bool) -> Iterator[PageTable]:
    """Yield the shifts between variants in how faces of one valence are read.

    Args:
        comparison: what was measured.
        headline: all faces; or the groups.
    """
    table = comparison.tables.get("valence_differences")
    if table is None:
        return
    own = table[(table["attribute"] == "all") == headline]
    rows = [
        (
            f"{row['first']} – {row['second']}",
            place_name(row),
            f"as {row['read']}, {READINGS[str(row['reading'])]}",
            f"{row['n']:,}",
            *(percent(row[name]) for name in _BOTH),
            _difference(row),
            p_value(row["p"]),
            p_value(row["p_holm"]),
            str(row["verdict"]),
        )
        for row in own.to_dict(orient="records")
    ]
    if rows:
        true = str(own["true"].iloc[0])
        heads = ("variants", "faces", f"{true} faces read", "n", "first", "second", "shift")
        caption = f"Shifts between variants in how {true} faces are read, in points"
        yield _cut(caption, (*heads, "p", "p Holm", "verdict"), rows, names=3)


def score_page_table(comparison: Comparison, *, headline: bool) -> Iterator[PageTable]:
    """Yield the metrics of scores by variant.

    Args:
        comparison: what was measured.
        headline: all faces; or the groups.
    """
    table = comparison.tables["calibration"]
    own = table[(table["attribute"] == "all") == headline]
    own = own[own["status"] != "empty"]
    rows = []
    for (attribute, group, variant), part in own.groupby(
        ["attribute", "group", "variant"], sort=False
    ):
        found = {str(row["metric"]): row for row in part.to_dict(orient="records")}
        first = next(iter(found.values()))
        place = "all faces" if attribute == "all" else f"{attribute_words(attribute)}: {group}"
        cells = (_score(found.get(name)) for name in _SCORES)
        expected = _score_value(found.get("ece_equal_mass", {}).get("if_calibrated", np.nan))
        rows.append((place, str(variant), f"{first['n']:,}", *cells, expected))
    if rows:
        yield _cut(
            "What the probabilities are worth: means over seeds, with 95 % intervals",
            ("faces", "variant", "n", *_SCORES.values(), "ECE if calibrated"),
            rows,
            names=2,
        )


def _score(row: Mapping[str, Any] | None) -> str:
    if row is None or not np.isfinite(row["value"]):
        return "–"
    low, high = row["low"], row["high"]
    span = f" ({low:.3f}–{high:.3f})" if np.isfinite(low) else ""
    said = f"{row['value']:.3f}{span}"
    return said if row["status"] == "ok" else f"[{said}]"


def _score_value(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "–"


def curve_page_table(comparison: Comparison) -> PageTable:
    """Return where the learning curves end."""
    table = comparison.tables["learning_curves"]
    rows = []
    for (variant, split), part in table.groupby(["variant", "split"], sort=False):
        found = {str(name): each.iloc[-1] for name, each in part.groupby("metric", sort=False)}
        cells = [_ending(found[name]) if name in found else "–" for name in CURVES]
        rows.append((str(variant), str(split), str(int(part["epoch"].max())), *cells))
    return _cut(
        "Where the curves end: mean over seeds (least–most)",
        ("variant", "split", "epoch", "loss", "accuracy", "macro F1"),
        rows,
        names=2,
    )


def _ending(row: pd.Series) -> str:
    return f"{row['mean']:.3f} ({row['low']:.3f}–{row['high']:.3f})"


def leak_page_table(comparison: Comparison) -> Iterator[PageTable]:
    """Yield the pairs of faces that leak, a row a variant and kind; of seeds that differ each."""
    table = comparison.tables.get("leaks")
    if table is None:
        return
    keys = ["variant", "kind", "pairs", "across"]
    counted = table.groupby(keys, sort=False, as_index=False).size()
    rows = [
        (row["variant"], row["kind"], f"{row['size']}", f"{row['pairs']:,}", f"{row['across']:,}")
        for row in counted.to_dict(orient="records")
    ]
    heads = ("variant", "kind", "runs", "pairs", "of them across splits")
    yield _cut("Pairs of faces that are copies, or contradict each other", heads, rows, names=2)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table of text; what is not recorded is None."""
    plain = table.astype(object).where(table.notna(), None)
    rows = [{str(key): value for key, value in row.items()} for row in plain.to_dict("records")]
    return [row | {"cpu_seconds": row["cpu_seconds"] or np.nan} for row in rows]


def _by_metric(rows: pd.DataFrame) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the rows of one group and variant by reading, metric and class."""
    names = rows["class"].fillna("")
    keys = zip(rows["reading"], rows["metric"], names, strict=True)
    return dict(zip(keys, rows.to_dict(orient="records"), strict=True))


def _cell(
    found: Mapping[tuple[str, str, str], dict[str, Any]], reading: str, metric: str, name: str = ""
) -> dict[str, Any]:
    nothing = {"value": np.nan, "low": np.nan, "high": np.nan, "status": "", "n": 0}
    return found.get((reading, metric, name), nothing)


def _with_interval(cell: Mapping[str, Any]) -> str:
    """Format a share with its interval."""
    if not np.isfinite(cell["value"]):
        return "–"
    low, high = cell["low"], cell["high"]
    span = f" ({100 * low:.0f}–{100 * high:.0f})" if np.isfinite(low) else ""
    return f"{percent(cell['value'])}{span}"


def _marked(cell: Mapping[str, Any]) -> str:
    said = _with_interval(cell)
    return said if cell["status"] == "ok" or said == "–" else f"[{said}]"


def _difference(row: Mapping[str, Any]) -> str:
    """Format a difference in points with its interval."""
    if not np.isfinite(row["difference"]):
        return "–"
    if not np.isfinite(row["low"]):
        return f"{100 * row['difference']:+.1f}"
    # Few seeds reach farther than a difference of shares can: it lies within -100 and 100 points.
    low, high = max(row["low"], -1.0), min(row["high"], 1.0)
    return f"{100 * row['difference']:+.1f} ({points(low)} to {points(high)})"


def _cut(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1
) -> PageTable:
    """Return a table that a page can show; the CSV file has all rows."""
    left_out = max(0, len(rows) - _MOST_ROWS)
    return PageTable(caption, tuple(heads), tuple(map(tuple, rows[:_MOST_ROWS])), names, left_out)
