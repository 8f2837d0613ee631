"""Pictures of an audit, each drawn from its tables only.

Colours are Okabe and Ito's, which the colour-blind tell apart, and shapes tell them apart too. The
scale of values (cividis) and that of differences are even to the eye: equal steps look equal.
"""

import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

from facebias.files import whole_file
from facebias.report.card_figures import plain
from facebias.report.figures import BLUE, GRAY, ORANGE

MOST_GROUPS = 40
"""Groups in a forest plot; of more, those with the most faces are drawn."""
MOST_CELLS = 16
"""Groups or classes along a side of a matrix; a larger one is a table only."""

Floats = npt.NDArray[np.float64]

_INK = "#1b1f24"
_COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", _INK)
_SHAPES = "osD^vPX"
# Inches, of which a browser shows 96 pixels: two narrow pictures stand beside each other.
_WIDTH, _PANEL, _ROW, _HEAD, _CELL = 5.0, 2.0, 0.28, 1.2, 0.6
_DOTS_PER_INCH = 150
_LONGEST = 34  # letters of a name
_EAST_ASIAN = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans SC", "Noto Sans KR"),
    *("Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback"),
    *("IPAexGothic", "NanumGothic", "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo"),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Arial Unicode MS"),
)


def _even_scale() -> LinearSegmentedColormap:
    """Return blue to white to orange, both halves straight lines in CIELAB."""
    ends = {"blue": (34.0, 2.0, -42.0), "white": (97.0, 0.0, 0.0), "orange": (45.0, 38.0, 52.0)}
    steps = np.linspace(0, 1, 33)[:, None]
    blue, white, orange = (np.array(ends[name]) for name in ("blue", "white", "orange"))
    lab = np.vstack([blue + (white - blue) * steps, white + (orange - white) * steps[1:]])
    return LinearSegmentedColormap.from_list("differences", _lab_to_rgb(lab))


def _lab_to_rgb(lab: Floats) -> list[tuple[float, float, float]]:
    """Turn CIELAB (D65) colours, shape (N, 3), into sRGB 0..1 (IEC 61966-2-1)."""
    height = (lab[:, 0] + 16) / 116
    cubes = np.stack([height + lab[:, 1] / 500, height, height - lab[:, 2] / 200], axis=1)
    linear = np.where(cubes > 6 / 29, cubes**3, 3 * (6 / 29) ** 2 * (cubes - 4 / 29))
    xyz = linear * [0.95047, 1.0, 1.08883]
    matrix = [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
    light = np.clip(xyz @ np.array(matrix).T, 0, 1)
    rgb = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    return [(float(red), float(green), float(blue)) for red, green, blue in rgb]


VALUES = "cividis"
"""The scale of shares."""
DIFFERENCES = _even_scale()
"""The scale of differences, white at 0."""


def forest(
    rows: pd.DataFrame, sizes: pd.Series, models: Sequence[str], title: str, axis: str
) -> Figure:
    """Draw a value of every group with its interval, the models below each other in a group.

    Args:
        rows: model, group, class, value, low, high, status; a value for each model, group and
            class. One panel a class.
        sizes: faces of each group, by its name.
        models: in their order.
        title: of the figure.
        axis: what the values are; the name of a class stands behind it.
    """
    classes = list(dict.fromkeys(rows["class"].fillna("")))
    shown = sizes if len(sizes) <= MOST_GROUPS else sizes.nlargest(MOST_GROUPS)
    groups = [group for group in sizes.index if group in shown.index]
    high = _ROW * len(groups) * max(1, 0.6 * len(models)) + _HEAD
    wide = _WIDTH + _PANEL * (len(classes) - 1)
    figure = Figure(figsize=(wide, high), layout="constrained")
    panels = figure.subplots(1, len(classes), sharey=True, squeeze=False)[0]
    limits = _limits(rows[["value", "low", "high"]].to_numpy(np.float64))
    for axes, name in zip(panels, classes, strict=True):
        part = rows[rows["class"].fillna("") == name]
        _forest_panel(axes, part, groups, models)
        axes.set_xlim(limits)  # one for all panels, so that they can be compared
        axes.set_xlabel(f"{axis} {_short(name)}" if name else axis)
    places = range(len(groups))
    labels = [f"{_short(group)}  (n = {int(sizes[group]):,})" for group in groups]
    panels[0].set(yticks=places, yticklabels=labels, ylim=(len(groups) - 0.5, -0.5))
    cut = f", the {len(groups)} largest of {len(sizes)} groups" if len(groups) < len(sizes) else ""
    figure.suptitle(plain(title) + cut, fontsize="medium")
    _legend(figure, models)
    return figure


def _forest_panel(
    axes: Axes, rows: pd.DataFrame, groups: Sequence[str], models: Sequence[str]
) -> None:
    spread = np.linspace(-0.5, 0.5, len(models) + 2)[1:-1]
    for number, model in enumerate(models):
        colour, shape = style(number)
        by_group = rows[rows["model"] == model].set_index("group")
        for place, group in enumerate(groups):
            if group not in by_group.index:
                continue
            row = by_group.loc[group]
            if not np.isfinite(row["value"]):
                continue
            y = place + spread[number]
            ok = row["status"] == "ok"
            axes.plot([row["low"], row["high"]], [y, y], color=colour, alpha=1 if ok else 0.5)
            face = colour if ok else "white"
            axes.plot(row["value"], y, shape, color=colour, markerfacecolor=face, markersize=5)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _limits(found: Floats) -> tuple[float, float]:
    """Return tenths around all values, of shares hardly beyond 0 and 1."""
    known = found[np.isfinite(found)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.floor(10 * known.min() - 0.1) / 10, np.ceil(10 * known.max() + 0.1) / 10
    least = -0.02 if known.min() > -1e-9 else -1.0
    return float(max(low, least)), float(min(high, 1.02))


def difference_forest(rows: pd.DataFrame, title: str, axis: str, filled: str) -> Figure:
    """Draw differences with their intervals around a line at 0.

    Args:
        rows: name, n, difference, low, high, told (whether its mark is filled).
        title: of the figure.
        axis: what the differences are.
        filled: what a filled mark means.
    """
    figure = Figure(figsize=(_WIDTH, _ROW * len(rows) + _HEAD), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows.itertuples()):
        if np.isfinite(row.difference):
            axes.plot([row.low, row.high], [place, place], color=BLUE)
            face = BLUE if row.told else "white"
            axes.plot(row.difference, place, "o", color=BLUE, markerfacecolor=face, markersize=5)
    axes.axvline(0, color=GRAY, linewidth=1)
    labels = [f"{_short(row.name)}  (n = {int(row.n):,})" for row in rows.itertuples(index=False)]
    axes.set(yticks=range(len(rows)), yticklabels=labels, ylim=(len(rows) - 0.5, -0.5))
    axes.set_xlabel(plain(axis))
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.plot([], [], "o", color=BLUE, label=filled)
    axes.plot([], [], "o", color=BLUE, markerfacecolor="white", label="cannot tell")
    figure.suptitle(plain(title), fontsize="medium")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small", frameon=False)
    return figure


def gap_matrix(
    differences: Floats,
    told: npt.NDArray[np.bool_],
    names: Sequence[str],
    title: str,
    reach: float,
) -> Figure:
    """Draw the difference of every two groups, row minus column.

    Args:
        differences: shape (G, G); NaN where two groups cannot be compared.
        told: shape (G, G), whether the interval leaves out 0; such numbers are bold.
        names: of the groups, with their n.
        title: of the figure.
        reach: the difference that has the strongest colour, above 0.
    """
    figure, axes = _square(len(names))
    picture = axes.imshow(differences, cmap=DIFFERENCES, vmin=-reach, vmax=reach)
    for (row, column), value in np.ndenumerate(differences):
        if row != column and np.isfinite(value):
            _cell_text(
                axes,
                (column, row),
                f"{100 * value:+.1f}",
                dark=bool(abs(value) > 0.55 * reach),
                bold=bool(told[row, column]),
            )
    _name_sides(axes, names, names)
    axes.set_title(plain(title), fontsize="medium")
    label = "row minus column, points"
    figure.colorbar(picture, label=label, shrink=0.8, format=lambda value, _: f"{100 * value:+.0f}")
    return figure


def heat_map(
    values: Floats,
    counts: npt.NDArray[np.int64],
    weak: npt.NDArray[np.bool_],
    names: tuple[Sequence[str], Sequence[str]],
    title: str,
    span: tuple[float, float],
) -> Figure:
    """Draw a value of every combination of two attributes' groups.

    Args:
        values: shape (R, C), 0..1; NaN where undefined.
        counts: shape (R, C), faces.
        weak: shape (R, C), whether there are too few faces to compare; these are in brackets.
        names: of the rows and of the columns.
        title: of the figure.
        span: the values at the ends of the scale.
    """
    rows, columns = names
    figure = Figure(
        figsize=(0.85 * len(columns) + 2.6, 0.55 * len(rows) + 1.9), layout="constrained"
    )
    axes = figure.subplots()
    low, high = span
    shown = np.where(weak, np.nan, values)
    picture = axes.imshow(shown, cmap=VALUES, vmin=low, vmax=high, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        text = f"{100 * value:.0f}" if np.isfinite(value) else "–"
        n = f"\nn = {counts[row, column]:,}"
        if weak[row, column]:
            _cell_text(axes, (column, row), f"({text}){n}", dark=False)
        else:
            dark = bool(value < (low + high) / 2)
            _cell_text(axes, (column, row), f"{text}{n}", dark=dark)
    _name_sides(axes, rows, columns)
    axes.set_title(plain(title), fontsize="medium")
    figure.colorbar(picture, shrink=0.8, format=_percent)
    return figure


def confusion(counts: npt.NDArray[np.int64], classes: Sequence[str], title: str) -> Figure:
    """Draw how often each class was taken for each other, as counts and shares of its faces.

    Args:
        counts: shape (C, C), `counts[label, predicted]`.
        classes: their names.
        title: of the figure.
    """
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals[:, None], 1)
    figure, axes = _square(len(classes))
    picture = axes.imshow(shares, cmap=VALUES, vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        text = f"{shares[row, column]:.0%}\n{count:,}" if totals[row] else "–"
        _cell_text(axes, (column, row), text, dark=bool(shares[row, column] < 0.5))
    labels = [f"{_short(name)}\n(n = {n:,})" for name, n in zip(classes, totals, strict=True)]
    _name_sides(axes, labels, classes)
    axes.set(xlabel="predicted", ylabel="label")
    axes.set_title(plain(title), fontsize="medium")
    figure.colorbar(picture, label="share of the label's faces", shrink=0.8, format=_percent)
    return figure


def reliability(rows: pd.DataFrame, title: str) -> Figure:
    """Draw how often answers of a certainty are right, and how many there are.

    Args:
        rows: name (of the curve), confidence, share, low, high, n; in the order of the bins.
        title: of the figure.
    """
    figure = Figure(figsize=(5.0, 5.2), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], ":", color=GRAY, label="as sure as right")
    for number, (name, part) in enumerate(rows.groupby("name", sort=False)):
        colour, shape = style(number)
        filled = part[part["n"] > 0]
        sure, share = filled["confidence"], filled["share"]
        reach = [(share - filled["low"]).clip(lower=0), (filled["high"] - share).clip(lower=0)]
        label = f"{_short(str(name))} (n = {int(part['n'].sum()):,})"
        axes.errorbar(sure, share, reach, fmt=f"{shape}-", color=colour, markersize=4, label=label)
        below.plot(sure, filled["n"], f"{shape}-", color=colour, markersize=4)
    axes.set(ylabel="share right", ylim=(0, 1.02))
    below.set(xlabel="probability or confidence", ylabel="faces", xlim=(0, 1.02))
    below.set_ylim(0, 1.1 * max(1, rows["n"].max()))
    for each in (axes, below):
        each.grid(alpha=0.3)
        each.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize="small", frameon=False)
    figure.suptitle(plain(title), fontsize="medium")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG and as an SVG, each whole or not at all.

    Args:
        figure: to write; the same figure gives the same bytes.
        path: without an ending.
    """
    families = _families()
    for text in figure.findobj(Text):
        text.set_fontfamily(families)
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "facebias"}):
        # Without a font for its script a letter is a box; the tables have the name as it is.
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font", UserWarning)
        with whole_file(path.with_name(f"{path.name}.png")) as temporary:
            figure.savefig(temporary, dpi=_DOTS_PER_INCH)
        figure.set_layout_engine("none")  # what was laid out stays where it is
        with whole_file(path.with_name(f"{path.name}.svg")) as temporary:
            figure.savefig(temporary, metadata={"Date": None, "Creator": None})


@cache
def _families() -> list[str]:
    """Return matplotlib's font, then those of Chinese, Japanese and Korean that are installed."""
    installed = set(fontManager.get_font_names())
    return ["DejaVu Sans", *(name for name in _EAST_ASIAN if name in installed)]


def _square(size: int) -> tuple[Figure, Axes]:
    side = _CELL * size + 1.6
    figure = Figure(figsize=(side + 1.4, side), layout="constrained")
    return figure, figure.subplots()


def _name_sides(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    axes.set_xticks(
        range(len(columns)), [_short(name) for name in columns], rotation=35, ha="right"
    )
    axes.set_yticks(range(len(rows)), [_short(name) for name in rows])
    axes.tick_params(length=0)


def _cell_text(
    axes: Axes, place: tuple[int, int], text: str, *, dark: bool, bold: bool = False
) -> None:
    """Write into a cell, in white where it is dark."""
    axes.text(
        *place,
        text,
        ha="center",
        va="center",
        fontsize="small",
        color="white" if dark else _INK,
        weight="bold" if bold else "normal",
    )


def style(number: int) -> tuple[str, str]:
    """Return the colour and shape of a model or curve."""
    return _COLOURS[number % len(_COLOURS)], _SHAPES[number % len(_SHAPES)]


def _legend(figure: Figure, models: Sequence[str]) -> None:
    axes = figure.axes[0]
    for number, model in enumerate(models):
        colour, shape = style(number)
        axes.plot([], [], shape, color=colour, label=_short(model))
    axes.plot([], [], "o", color="white", markeredgecolor=GRAY, label="too few faces to compare")
    columns = 3 if max(map(len, models)) <= _LONGEST // 2 else 2
    figure.legend(loc="outside lower center", ncols=columns, fontsize="small", frameon=False)


def _short(name: str) -> str:
    """Return a name that fits, and that matplotlib prints as it is."""
    if "\n" in name:
        return "\n".join(_short(line) for line in name.split("\n"))
    return plain(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…")


def _percent(share: float, _place: object) -> str:
    """Format a share as percent."""
    return f"{100 * share:.0f} %"
