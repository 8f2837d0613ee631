"""Pictures of a run, each drawn from tables only."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from facebias.files import whole_file

# Okabe and Ito's colours, which the colour-blind tell apart; shapes tell them apart too.
BLUE, ORANGE, GRAY = "#0072b2", "#d55e00", "#888888"
_DOTS_PER_INCH = 150
_MOST_GROUPS = 60


def learning_curves(metrics: pd.DataFrame, path: Path) -> None:
    """Draw loss, accuracy and macro F1 of train and validation by epoch.

    Args:
        metrics: what the CSV logger wrote, a row a log call: `epoch`, `train/loss`,
            `validation/loss`, ...
        path: PNG to write.
    """
    names = ("loss", "accuracy", "macro_f1")
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names)), names, strict=True):
        for split, colour, line in (("train", BLUE, "-"), ("validation", ORANGE, "--")):
            column = f"{split}/{name}"
            if column in metrics:
                by_epoch = metrics.groupby("epoch")[column].last().dropna()
                axes.plot(by_epoch.index + 1, by_epoch, line, color=colour, label=split)
        axes.set(xlabel="epoch", title=name.replace("_f1", " F1"))
        if name != "loss":
            axes.set_ylim(0, 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    save_figure(figure, path)


def group_forest(table: pd.DataFrame, path: Path) -> None:
    """Draw the accuracy of every group with its interval, and chance and majority beside it.

    Args:
        table: of a `GroupReport`; groups without faces are named without a point. Of more than
            60 groups those with the most faces are drawn.
        path: PNG to write.
    """
    shown = table if len(table) <= _MOST_GROUPS else table.nlargest(_MOST_GROUPS, "n").sort_index()
    rows = shown.reset_index(drop=True)
    figure = Figure(figsize=(9, 0.36 * len(rows) + 1.5), layout="constrained")
    axes = figure.subplots()
    for place, row in rows.iterrows():
        _forest_row(axes, int(str(place)), row)
    axes.plot([], [], "o", color=BLUE, label="accuracy, 95 % interval")
    axes.plot([], [], "o", color="white", markeredgecolor=GRAY, label="group too small")
    axes.plot([], [], "|", color=ORANGE, label="majority class")
    axes.plot([], [], ":", color=GRAY, label="chance")
    labels = [f"{row.attribute}: {row.group}  (n = {row.n})" for row in rows.itertuples()]
    axes.set_yticks(range(len(rows)), labels)
    axes.set(xlim=(0, 1), xlabel="accuracy", ylim=(len(rows) - 0.5, -0.5))
    if len(rows) < len(table):
        axes.set_title(f"the {len(rows)} largest of {len(table)} groups")
    axes.axvline(float(rows["chance"].iloc[0]), linestyle=":", color=GRAY)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=4, fontsize="small")
    save_figure(figure, path)


def _forest_row(axes: Axes, place: int, row: pd.Series) -> None:
    if not np.isfinite(row["accuracy"]):
        return
    colour = BLUE if row["status"] == "ok" else GRAY
    axes.plot([row["accuracy_low"], row["accuracy_high"]], [place, place], color=colour)
    face = colour if row["status"] == "ok" else "white"
    axes.plot(row["accuracy"], place, "o", color=colour, markerfacecolor=face)
    axes.plot(row["majority"], place, "|", color=ORANGE, markersize=11)


def confusion_matrix(predictions: pd.DataFrame, classes: Sequence[str], path: Path) -> None:
    """Draw how often each class was taken for each other, as counts and shares of its faces.

    Args:
        predictions: of one split; faces without a label are not counted.
        classes: in the order of the rows and columns.
        path: PNG to write.
    """
    table = pd.crosstab(predictions["label"], predictions["predicted"])
    counts = table.reindex(index=list(classes), columns=list(classes), fill_value=0).to_numpy()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 0.8 * len(classes) + 2
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.55 else "black"
        text = f"{count}\n{shares[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="small")
    axes.set_xticks(range(len(classes)), list(classes), rotation=30, ha="right")
    axes.set_yticks(range(len(classes)), list(classes))
    axes.set(xlabel="predicted", ylabel="label")
    figure.colorbar(picture, label="share of the label's faces", shrink=0.8)
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, whole or not at all."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=_DOTS_PER_INCH)
