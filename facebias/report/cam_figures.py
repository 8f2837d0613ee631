"""Figures of what models attend to: shares of regions by group, deletion and insertion."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from facebias.report.attention import SHARE
from facebias.report.cam_page import save_both
from facebias.report.figures import GRAY

# Okabe and Ito's colours and a mark each, for as many runs as a page has columns.
COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7"),
    *("#e69f00", "#56b4e9", "#000000", "#7f6000"),
)
_MARKS = "osD^vP*X"
_MOST_GROUPS, _ACROSS = 12, 3


def draw_regions(
    means: pd.DataFrame,
    areas: pd.Series,
    runs: Sequence[str],
    path: Path,
    *,
    words: str,
) -> list[Path]:
    """Draw the share of the map's mass in each region, for each group and model.

    Args:
        means: as `facebias.report.attention.attention_means` returns them.
        areas: the share of the image that each region covers, on average: what an even map has.
        runs: the models to draw, no more than 8.
        path: of the files, without a suffix.
        words: what the maps are.

    Returns:
        The files; none where no map is defined.
    """
    shares = means[means["measure"].str.startswith(SHARE) & means["run"].isin(list(runs))]
    shares = shares.assign(region=shares["measure"].str.removeprefix(SHARE))
    # The faces of a class are in the table; here are people.
    shares = shares[(shares["attribute"] != "label") & (shares["n"] > 0)]
    groups = list(dict.fromkeys(zip(shares["attribute"], shares["group"], strict=True)))
    groups = groups[:_MOST_GROUPS]
    if not groups:
        return []
    across = min(_ACROSS, len(groups))
    down = -(-len(groups) // across)
    tall = 0.8 + 0.16 * len(areas) * (len(runs) + 1)
    figure = Figure(figsize=(4.2 * across, tall * down + 1.1), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes, (attribute, group) in zip(panels.flat, groups, strict=False):
        own = shares[(shares["attribute"] == attribute) & (shares["group"] == group)]
        _panel(axes, own, areas, runs)
        faces = int(own["n"].max())
        small = ", too few to tell" if (own["status"] == "too small").any() else ""
        name = "all faces" if attribute == "all" else f"{attribute}: {group}"
        axes.set_title(f"{name} ({faces:,}{small})", fontsize="medium")
    panels.flat[0].set_xlim(0, 1.05 * float(shares[["value", "high"]].max(axis=None)))
    for axes in panels.flat[len(groups) :]:
        axes.set_axis_off()
    for number, axes in enumerate(panels.flat[: len(groups)]):
        if number + across >= len(groups):  # the lowest of its column
            axes.set_xlabel("share of the map's mass")
            axes.tick_params(labelbottom=True)
    units = "faces" if (shares["units"] == shares["n"]).all() else "persons"
    figure.suptitle(f"What the maps attend to, with 95 % intervals over {units}\n{words}")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
    return save_both(figure, path)


def _panel(axes: Axes, rows: pd.DataFrame, areas: pd.Series, runs: Sequence[str]) -> None:
    """Draw the bars of one group."""
    thick = 0.8 / len(runs)
    places = np.arange(len(areas))
    for number, run in enumerate(runs):
        own = rows[rows["run"] == run].set_index("region").reindex(areas.index)
        at = places - 0.4 + thick * (number + 0.5)
        axes.barh(at, own["value"], thick * 0.9, color=COLOURS[number], label=run)
        reach = np.stack([own["value"] - own["low"], own["high"] - own["value"]])
        axes.errorbar(own["value"], at, xerr=reach, fmt="none", ecolor="#1b1f24", elinewidth=1)
    for place, area in zip(places, areas, strict=True):
        axes.plot([area, area], [place - 0.45, place + 0.45], "--", color=GRAY, linewidth=1.5)
    axes.plot([], [], "--", color=GRAY, label="an even map")
    axes.set_yticks(places, [str(name).replace("_", " ") for name in areas.index])
    axes.set_ylim(len(areas) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def draw_curves(curves: pd.DataFrame, runs: Sequence[str], path: Path, *, words: str) -> list[Path]:
    """Draw how the probability falls as a face is taken away, and rises as it comes back.

    Args:
        curves: a row a run, kind ("deletion", "insertion"), order ("map", "random") and share:
            probability, low, high, and area, of the mean over faces.
        runs: the models to draw, no more than 8.
        path: of the files, without a suffix.
        words: what the maps are.

    Returns:
        The files; none where no map is defined.
    """
    highest = float(curves[["probability", "high"]].max(axis=None))
    if not np.isfinite(highest):
        return []
    figure = Figure(figsize=(11, 5 + 0.25 * len(runs)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    heads = {
        "deletion": "taken away, highest first: the sooner it falls, the better",
        "insertion": "put back, highest first: the sooner it rises, the better",
    }
    for axes, (kind, head) in zip(panels, heads.items(), strict=True):
        for number, run in enumerate(runs):
            own = curves[(curves["run"] == run) & (curves["kind"] == kind)]
            _curve(axes, own, run, number)
        axes.set(xlabel=f"share of the image {head.split(',')[0]}", xlim=(0, 1))
        axes.set_title(head, fontsize="medium")
        axes.grid(alpha=0.3)
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12), "ncols": 2}
        axes.legend(fontsize="small", title="area under the curve", **below)
    panels[0].set_ylabel("probability of what is explained")
    panels[0].set_ylim(0, min(1, 1.1 * highest))
    figure.suptitle(f"Do the maps say what the models go by? {words}")
    return save_both(figure, path)


def _curve(axes: Axes, rows: pd.DataFrame, run: str, number: int) -> None:
    colour = COLOURS[number]
    for order, line, shade in (("map", "-", 0.18), ("random", ":", 0.0)):
        own = rows[rows["order"] == order].sort_values("share")
        if own.empty or own["probability"].isna().all():
            continue
        name = run if order == "map" else "random maps"
        label = f"{name}: {own['area'].iloc[0]:.3f}"
        mark = _MARKS[number] if order == "map" else ""
        axes.plot(
            own["share"],
            own["probability"],
            line + mark,
            color=colour,
            markevery=4,
            markersize=5,
            label=label,
        )
        if shade:
            axes.fill_between(
                own["share"], own["low"], own["high"], color=colour, alpha=shade, linewidth=0
            )
