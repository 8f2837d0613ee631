"""The pictures of variants: how faces are read, dose-response, shifts, groups, calibration."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from facebias.fairness.valence import CORRECTED, RAW
from facebias.report import audit_figures
from facebias.report.card_figures import plain
from facebias.report.page_parts import Picture, picture_name
from facebias.report.paired_words import NOT_COMPARED, SUPPORTED, attribute_words

MOST_SERIES = 7
"""Variants that colours and shapes can tell apart in one picture."""
MOST_SHIFTS = 12
"""Shifts in one picture, each raw and prior-corrected."""


def valence_picture(table: pd.DataFrame) -> Picture:
    """Draw how every variant reads all faces of one valence, raw and prior-corrected.

    Args:
        table: as `facebias.report.variant_readings.valence_by_variant` returns it.
    """
    true = shown_valence(table)
    rows = table[(table["attribute"] == "all") & (table["true"] == true)]
    rows = rows[rows["reading"].isin((RAW, CORRECTED))]
    shown = rows.assign(group=rows["variant"], model=rows["reading"])
    shown["class"] = rows["read"]
    sizes = rows.groupby("variant", sort=False)["n"].max()
    title = f"How {true} faces are read"
    known = rows.loc[rows["value"].notna(), "reading"]
    series = [each for each in (RAW, CORRECTED) if each in set(known)]
    figure = audit_figures.forest(shown, sizes, series, title, "read as")
    alt = f"{title} by each variant ({', '.join(series)}), with 95 % intervals; see the table"
    return Picture(picture_name("valence", true), alt, figure)


def shown_valence(table: pd.DataFrame) -> str:
    """Return the true valence that comes first: neutral, or the first of the table."""
    present = list(dict.fromkeys(table["true"]))
    return "neutral" if "neutral" in present else str(present[0])


def dose_picture(table: pd.DataFrame) -> Picture:
    """Draw how readings change with the dose of a bias, raw and prior-corrected.

    Args:
        table: as `facebias.report.variant_readings.dose_response` returns it.
    """
    true = shown_valence(table)
    rows = table[(table["true"] == true) & table["reading"].isin((RAW, CORRECTED))]
    title = f"How {true} faces are read by dose"
    return Picture(
        picture_name("dose", true),
        f"{title}, a line a bias and reading, with 95 % intervals; see the table",
        _dose_figure(rows, title),
    )


def _dose_figure(rows: pd.DataFrame, title: str) -> Figure:
    reads = list(dict.fromkeys(rows["read"]))
    figure = Figure(figsize=(3.4 * len(reads) + 1, 4.2), layout="constrained")
    panels = figure.subplots(1, len(reads), sharey=True, squeeze=False)[0]
    for axes, read in zip(panels, reads, strict=True):
        part = rows[rows["read"] == read]
        for number, (curve, of_curve) in enumerate(part.groupby("curve", sort=False)):
            for reading, line in ((RAW, "-"), (CORRECTED, "--")):
                own = of_curve[(of_curve["reading"] == reading) & of_curve["value"].notna()]
                colour, shape = audit_figures.style(number)
                value = own["value"]
                reach = [(value - own["low"]).fillna(0), (own["high"] - value).fillna(0)]
                axes.errorbar(
                    own["dose"],
                    value,
                    [each.clip(lower=0) for each in reach],
                    fmt=f"{shape}{line}",
                    color=colour,
                    markersize=4,
                    capsize=2,
                    label=plain(f"{curve}, {reading}"),
                )
        axes.set(xlabel="dose", ylim=(-0.02, 1.02))
        axes.set_title(plain(f"read as {read}"), fontsize="small")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("share of faces")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=2, fontsize="small", frameon=False
    )
    figure.suptitle(plain(title), fontsize="medium")
    return figure


def shift_picture(table: pd.DataFrame) -> Picture:
    """Draw the shifts of all faces between each two variants, the raw one above the corrected.

    Of more than fit, those with the largest raw shifts.

    Args:
        table: as `facebias.report.variant_readings.valence_shifts` returns it, with a row that is
            compared.
    """
    whole = table[(table["attribute"] == "all") & (table["verdict"] != NOT_COMPARED)]
    rows = whole[whole["reading"].isin((RAW, CORRECTED))]
    keys = ["first", "second", "read"]
    raw = rows[rows["reading"] == RAW].set_index(keys)["difference"].abs()
    kept = raw.nlargest(MOST_SHIFTS).index
    order = {key: place for place, key in enumerate(raw.index) if key in set(kept)}
    places = pd.MultiIndex.from_frame(rows[keys]).map(order).to_numpy(np.float64)
    rows = rows.assign(place=places).dropna(subset="place")
    rows = rows.sort_values("place", kind="stable")
    names = rows["first"] + "\nminus " + rows["second"]
    names += "\nas " + rows["read"] + ", " + rows["reading"]
    true = str(table["true"].iloc[0])
    cut = f", the {len(kept)} largest of {len(raw)}" if len(kept) < len(raw) else ""
    title = f"Shifts in how {true} faces are read{cut}"
    told = rows["verdict"] == SUPPORTED
    figure = audit_figures.difference_forest(
        rows.assign(name=names, told=told), title, "first minus second, share of faces", SUPPORTED
    )
    figure.set_figheight(figure.get_figheight() + 0.3 * len(rows))  # names have three lines
    figure.set_figwidth(figure.get_figwidth() + 1)
    alt = f"{title}: differences between variants with 95 % intervals; see the table"
    return Picture(picture_name("valence-shift", true), alt, figure)


def groups_picture(
    table: pd.DataFrame, attribute: str, metric: str = "accuracy", reading: str = RAW
) -> Picture:
    """Draw a metric of an attribute's groups under every variant.

    Of more variants than colours tell apart, the first.

    Args:
        table: as `facebias.report.variant_groups.groups_by_variant` returns it.
        attribute: of the groups; "all" for all faces, with the variants below each other.
        metric: a metric of the table; one by class has a panel a class.
        reading: "raw" or "prior-corrected".
    """
    rows = table[(table["metric"] == metric) & (table["reading"] == reading)]
    rows = rows[(rows["attribute"] == attribute) & (rows["status"] != "unknown")]
    variants = list(dict.fromkeys(rows["variant"]))
    name = metric.replace("_", " ")
    whose = "of all faces" if attribute == "all" else f"by {attribute_words(attribute)}"
    title = f"{name.capitalize()} {whose}"
    title += f", {reading}" if reading != RAW else ""
    if attribute == "all":
        rows, variants = rows.assign(group=rows["variant"], model=reading), [reading]
    else:
        cut = f", the first {MOST_SERIES} variants" if len(variants) > MOST_SERIES else ""
        title, variants = title + cut, variants[:MOST_SERIES]
        rows = rows.assign(model=rows["variant"])
    axis = f"{name} of" if rows["class"].notna().any() else name
    figure = audit_figures.forest(rows, _faces(table, rows), variants, title, axis)
    alt = f"{title} under every variant, with 95 % intervals; the table has the numbers"
    return Picture(picture_name(metric, attribute, reading), alt, figure)


def _faces(table: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """Return how many faces each group has; a recall is of those of a class alone."""
    whole = table[(table["metric"] == "accuracy") & table["attribute"].isin(rows["attribute"])]
    sizes = whole.groupby("group", sort=False)["n"].max()
    if (rows["attribute"] == "all").all():
        return rows.groupby("group", sort=False)["n"].max()
    return sizes.reindex(dict.fromkeys(rows["group"]))


def calibration_picture(bins: pd.DataFrame) -> Picture:
    """Draw reliability curves, one a variant; of more than colours tell apart, the first.

    Args:
        bins: as `facebias.report.variant_groups.reliability_by_variant` returns it.
    """
    variants = list(dict.fromkeys(bins["variant"]))
    cut = f", the first {MOST_SERIES} variants" if len(variants) > MOST_SERIES else ""
    rows = bins[bins["variant"].isin(variants[:MOST_SERIES])]
    title = f"How often answers of a certainty are right{cut}"
    figure = audit_figures.reliability(rows.assign(name=rows["variant"]), title)
    alt = f"{title}: the share of right answers by their certainty, a curve a variant"
    return Picture(picture_name("reliability"), alt, figure)
