"""The pictures of a comparison's page that no other module draws: cells, differences, curves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from facebias.report import audit_figures
from facebias.report.audit_figures import MOST_GROUPS
from facebias.report.card_figures import plain
from facebias.report.compare_measures import Comparison
from facebias.report.compare_runs import CURVES
from facebias.report.compare_tables import METRICS, cell_columns, place_name
from facebias.report.page_parts import Picture, picture_name
from facebias.report.paired_words import NOT_COMPARED, SUPPORTED
from facebias.report.variant_pictures import MOST_SERIES

_LINES = {"train": ":", "validation": "-"}
_MOST_CELLS = 14  # of the bars; more are a table only
_LONGEST = 34  # letters of a name


def cell_picture(comparison: Comparison) -> Iterator[Picture]:
    """Yield the train faces of each cell: of the source and of each variant a bar of its cells."""
    table = comparison.tables.get("cells")
    if table is None:
        return
    columns = cell_columns(table)
    cells = list(dict.fromkeys(cell for each in columns.values() for cell in each))
    if len(cells) > _MOST_CELLS:
        return
    shown = list(columns)[: MOST_SERIES + 1]
    figure = Figure(figsize=(6.4, 0.36 * len(shown) + 1.5), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(shown))
    for number, (label, group) in enumerate(cells):
        counts = np.array([columns[name].get((label, group), 0) for name in shown], np.float64)
        colour, _ = audit_figures.style(number)
        name = plain(label if group == "all" else f"{label}, {group}")
        pattern = "" if number < MOST_SERIES else "///"
        bars = axes.barh(range(len(shown)), counts, left=left, color=colour, label=name)
        for bar in bars:
            bar.set(hatch=pattern, edgecolor="white")
        if len(cells) <= MOST_SERIES:
            texts = [f"{n:,.0f}" if n else "" for n in counts]
            axes.bar_label(bars, texts, label_type="center", fontsize="x-small", color="white")
        left += counts
    _finish_bars(axes, shown)
    figure.legend(loc="outside lower center", ncols=3, fontsize="small", frameon=False)
    cut = f", the first {MOST_SERIES} variants" if len(columns) > len(shown) else ""
    title = f"Train faces before the bias, and as they were trained on{cut}"
    figure.suptitle(plain(title), fontsize="medium")
    yield Picture("cells", f"{title}, by label and group; the table has the numbers", figure)


def _finish_bars(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set(xlabel="train faces", ylim=(len(names) - 0.5, -0.5))
    axes.spines[["top", "right"]].set_visible(False)


def _short(name: str) -> str:
    return plain(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…")


def paired_pictures(comparison: Comparison) -> Iterator[Picture]:
    """Yield the differences between variants: of all faces, and of the groups in accuracy.

    Of more than fit, those that are farthest from 0.
    """
    table = comparison.tables.get("paired_differences")
    if table is None:
        return
    compared = table[(table["verdict"] != NOT_COMPARED) & table["difference"].notna()]
    for metric in ("accuracy", "macro_recall"):
        rows = compared[(compared["metric"] == metric) & (compared["kind"] == "all")]
        yield from _difference_picture(rows, metric, "all faces")
    groups = compared[(compared["metric"] == "accuracy") & (compared["kind"] == "group")]
    yield from _difference_picture(groups, "accuracy", "groups")


def _difference_picture(rows: pd.DataFrame, metric: str, scope: str) -> Iterator[Picture]:
    if rows.empty:
        return
    kept = rows["difference"].abs().nlargest(MOST_GROUPS).index
    shown = rows[rows.index.isin(kept)]
    pairs = shown["first"] + " - " + shown["second"]
    places = [place_name(row) for row in shown.to_dict(orient="records")]
    names = pairs if scope == "all faces" else pairs + "\n" + pd.Series(places, shown.index)
    cut = f", the {len(shown)} largest of {len(rows)}" if len(shown) < len(rows) else ""
    title = f"Differences in {METRICS[metric]} on the same faces, {scope}{cut}"
    told, axis = shown["verdict"] == SUPPORTED, f"first minus second, {METRICS[metric]}"
    figure = audit_figures.difference_forest(
        shown.assign(name=names, told=told), title, axis, SUPPORTED
    )
    if scope != "all faces":
        figure.set_figheight(figure.get_figheight() + 0.12 * len(shown))  # names have two lines
    figure.set_figwidth(figure.get_figwidth() + 1)
    alt = f"{title}: each two variants, with 95 % intervals; the table has the numbers"
    yield Picture(picture_name("paired", metric, scope), alt, figure)


def curve_picture(comparison: Comparison) -> Picture:
    """Draw the learning curves: mean over seeds, and the band from the least to the most.

    Of more variants than colours tell apart, the first.
    """
    table = comparison.tables["learning_curves"]
    variants = list(dict.fromkeys(table["variant"]))
    figure = Figure(figsize=(11.5, 4.2), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(CURVES)), CURVES, strict=True):
        for number, variant in enumerate(variants[:MOST_SERIES]):
            rows = table[(table["variant"] == variant) & (table["metric"] == metric)]
            _draw_curves(axes, rows, audit_figures.style(number)[0])
        axes.set(xlabel="epoch", title=metric.replace("_f1", " F1"))
        if metric != "loss":
            axes.set_ylim(0, 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    _name_curves(figure, variants[:MOST_SERIES])
    cut = f", the first {MOST_SERIES} variants" if len(variants) > MOST_SERIES else ""
    title = f"Learning curves{cut}: mean over seeds, and from the least to the most"
    figure.suptitle(plain(title), fontsize="medium")
    return Picture("learning_curves", f"{title}; the table has where they end", figure)


def _draw_curves(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    for split, line in _LINES.items():
        own = rows[rows["split"] == split]
        axes.plot(own["epoch"], own["mean"], line, color=colour, marker="." if len(own) < 3 else "")
        axes.fill_between(own["epoch"], own["low"], own["high"], color=colour, alpha=0.15, lw=0)


def _name_curves(figure: Figure, variants: list[str]) -> None:
    axes = figure.axes[0]
    for number, variant in enumerate(variants):
        colour = audit_figures.style(number)[0]
        axes.plot([], [], "-", color=colour, label=_short(variant))
    for split, line in _LINES.items():
        axes.plot([], [], line, color=audit_figures.style(6)[0], label=split)
    figure.legend(loc="outside lower center", ncols=4, fontsize="small", frameon=False)
