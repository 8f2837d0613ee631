"""Figures of what models attend to: shares of regions by group, deletion and insertion."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from facebias.report.attention import SHARE, region_words
from facebias.report.cam_page import save_both
from facebias.report.figures import GRAY

# Okabe and Ito's colours and a mark each, for as many runs as a page has columns.
COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7"),
    *("#e69f00", "#56b4e9", "#000000", "#7f6000"),
)
_MARKS = "osD^vP*X"
_MOST_GROUPS, _ACROSS, _FEW = 12, 3, 4


def draw_regions(
    means: pd.DataFrame,
    areas: pd.Series,
    models: Sequence[str],
    path: Path,
    *,
    words: str,
) -> list[Path]:
    """Draw the share of the map's mass in each region, for each group and model.

    Args:
        means: a row a model, group and measure, as
            `facebias.report.attention.attention_means` returns them, with the column `model`.
        areas: what an even map has, as `facebias.report.attention.even_shares` returns it.
        models: to draw, no more than 8.
        path: of the files, without a suffix.
        words: what the maps are, and what the intervals are over.

    Returns:
        The files; none where no map is defined.
    """
    region = means["measure"].str.removeprefix(SHARE)
    drawn = means["model"].isin(list(models)) & region.isin(areas.index)
    shares = means.assign(region=region)[drawn]
    # The faces of a class are in the table; here are people.
    shares = shares[(shares["attribute"] != "label") & (shares["n"] > 0)]
    groups = list(dict.fromkeys(zip(shares["attribute"], shares["group"], strict=True)))
    groups = groups[:_MOST_GROUPS]
    if not groups:
        return []
    across = min(_ACROSS, len(groups))
    down = -(-len(groups) // across)
    thick = 0.16 if len(models) <= _FEW else 0.06
    tall = 0.8 + len(areas) * (0.16 + thick * len(models))
    figure = Figure(figsize=(4.2 * across, tall * down + 1.1), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes, (attribute, group) in zip(panels.flat, groups, strict=False):
        own = shares[(shares["attribute"] == attribute) & (shares["group"] == group)]
        _panel(axes, own, areas, models)
        faces = int(own["n"].max())
        # A region that few of them have, such as glasses, does not make the group small.
        small = "" if (own["status"] == "ok").any() else ", too few to tell"
        name = "all faces" if attribute == "all" else f"{attribute}: {group}"
        axes.set_title(f"{name} ({faces:,}{small})", fontsize="medium")
    panels.flat[0].set_xlim(0, 1.05 * float(shares[["value", "high"]].max(axis=None)))
    for axes in panels.flat[len(groups) :]:
        axes.set_axis_off()
    for number, axes in enumerate(panels.flat[: len(groups)]):
        if number + across >= len(groups):  # the lowest of its column
            axes.set_xlabel("share of the map's mass")
            axes.tick_params(labelbottom=True)
    figure.suptitle(f"What the maps attend to\n{words}")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
    return save_both(figure, path)


def _panel(axes: Axes, rows: pd.DataFrame, areas: pd.Series, models: Sequence[str]) -> None:
    """Draw the bars of one group."""
    thick = 0.8 / len(models)
    places = np.arange(len(areas))
    for number, model in enumerate(models):
        own = rows[rows["model"] == model].set_index("region").reindex(areas.index)
        at = places - 0.4 + thick * (number + 0.5)
        axes.barh(at, own["value"], thick * 0.9, color=COLOURS[number], label=model)
        # Rounding may leave a bound a hair beyond the value.
        reach = np.stack([own["value"] - own["low"], own["high"] - own["value"]]).clip(min=0)
        axes.errorbar(own["value"], at, xerr=reach, fmt="none", ecolor="#1b1f24", elinewidth=1)
    for place, area in zip(places, areas, strict=True):
        axes.plot([area, area], [place - 0.45, place + 0.45], "--", color=GRAY, linewidth=1.5)
    axes.plot([], [], "--", color=GRAY, label="an even map")
    axes.set_yticks(places, [region_words(str(name)) for name in areas.index])
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


def draw_randomised(
    table: pd.DataFrame, runs: Sequence[str], path: Path, *, words: str
) -> list[Path]:
    """Draw what is left of the maps as the weights of a network become random, layer by layer.

    Args:
        table: a row a run and stage, as `facebias.cam.sanity.cascade` gives them, with `run`.
        runs: the models to draw, no more than 8.
        path: of the files, without a suffix.
        words: what the maps are.

    Returns:
        The files; none where no map is defined.
    """
    if table["correlation"].isna().all():
        return []
    figure = Figure(figsize=(9, 4.5 + 0.25 * len(runs)), layout="constrained")
    axes = figure.subplots()
    for number, run in enumerate(runs):
        own, colour = table[table["run"] == run], COLOURS[number]
        share = own["stage"] / own["stage"].max()
        axes.plot(share, own["correlation"], "-" + _MARKS[number], color=colour, label=run)
        axes.fill_between(share, own["low"], own["high"], color=colour, alpha=0.18, linewidth=0)
    axes.axhline(0, color=GRAY, linewidth=1)
    axes.set(xlabel="share of the layers that are random, from the head to the first")
    axes.set(ylabel="rank correlation with the trained network's maps", xlim=(-0.02, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    figure.suptitle(f"Do the maps depend on what was learnt? The nearer to 0, the more\n{words}")
    return save_both(figure, path)
