"""The tables of an audit's page: cells as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from facebias.fairness.audit import AGAINST, MODEL, Audit
from facebias.fairness.audit_further import GROUP
from facebias.fairness.valence import CORRECTED, RAW, SCORES
from facebias.report.audit_words import interval_name, of_model, p_value, percent, points
from facebias.report.page_parts import PageTable

MOST_CLASSES = 4
"""Classes whose recall has a column in the tables of groups, and a panel in a picture."""

METRICS = {"accuracy": "accuracy", "macro_recall": "balanced accuracy", "macro_f1": "macro F1"}
"""What the page calls the metrics that groups are compared in."""

_READING_WORDS = {
    RAW: "as answered",
    CORRECTED: "without the training's shares",
    SCORES: "by score",
}

_AMPLIFICATION_WORDS = {
    "mals": "Zhao et al. 2017",
    "directional A->T": "directional, group to label",
    "directional T->A": "directional, label to group",
}

_BRACKETS = "what rests on too few faces, or is averaged over fewer classes than elsewhere"

_MOST_ROWS = 200  # of a table on the page; all are in its CSV file


def overall_table(audit: Audit) -> PageTable:
    """Return the metrics of all faces, a row a model."""
    rows = []
    for model in audit.models:
        found = _indexed(of_model(of_attribute(audit, "all"), model))
        first = audit.reports[model].overall
        cells = [_with_interval(_cell(found, metric)) for metric in (*METRICS, "kappa")]
        rows.append((model, f"{first['n']:,}", *cells, percent(first["majority"])))
    return PageTable(
        f"All faces that have a label and an answer, with {interval_name(audit)}s",
        ("model", "n", *METRICS.values(), "Cohen's kappa", "majority class"),
        tuple(rows),
    )


def class_tables(audit: Audit) -> Iterator[PageTable]:
    """Yield recall, precision and F1 of each class, a table a model."""
    metrics = ("recall", "precision", "f1")
    for model in audit.models:
        found = _indexed(of_model(of_attribute(audit, "all"), model))
        rows = []
        for name in audit.settings["classes"]:
            cells = [_cell(found, metric, name) for metric in metrics]
            n = int(cells[0]["n"])
            rows.append((name, f"{n:,}", *(_with_interval(cell) for cell in cells)))
        yield PageTable(
            f"{model}: classes", ("class", "n", "recall", "precision", "F1"), tuple(rows)
        )


def of_attribute(audit: Audit, attribute: str) -> pd.DataFrame:
    """Return every metric of the groups of an attribute."""
    measures = audit.tables["measures"]
    return measures[measures["attribute"] == attribute]


def group_table(audit: Audit, attribute: str) -> PageTable:
    """Return the table of groups: n, share, metrics and recalls, the models below each other.

    What has another status than "ok" stands in brackets: too few faces, or too few of a class of
    the test set, so that a macro metric is an average over other classes than elsewhere.
    """
    classes = audit.settings["classes"]
    recalls = list(classes) if len(classes) <= MOST_CLASSES else []
    wanted = [("accuracy", ""), ("macro_recall", ""), ("macro_f1", "")]
    wanted += [("recall", name) for name in recalls]
    several = len(audit.models) > 1
    lines = []
    for group, part in of_attribute(audit, attribute).groupby("group", sort=False):
        for model in audit.models:
            found = _indexed(of_model(part, model))
            if found.empty:
                continue
            cells = [_cell(found, *each) for each in wanted]
            total = audit.reports[model].overall["n"]
            n = int(cells[0]["n"])
            status = "" if cells[0]["status"] == "ok" else str(cells[0]["status"])
            lines.append(
                (
                    str(group),
                    *([model] if several else []),
                    f"{n:,}",
                    percent(n / total),
                    *(_marked(cell) for cell in cells[:3]),
                    *(_marked(cell, n=True) for cell in cells[3:]),
                    status,
                )
            )
    heads = (*METRICS.values(), *(f"recall of {each}" for each in recalls))
    return _cut(
        PageTable(
            f"Groups by {attribute}, with {interval_name(audit)}s; [in brackets] {_BRACKETS}",
            ("group", *(["model"] if several else []), "n", "share", *heads, ""),
            tuple(lines),
            2 if several else 1,
        )
    )


def reference_table(audit: Audit, attribute: str) -> Iterator[PageTable]:
    """Yield the differences of every group from the reference, if there is one."""
    gaps = audit.tables["gaps"]
    chosen = gaps[(gaps["attribute"] == attribute) & (gaps["kind"] == "reference")]
    chosen = chosen[(chosen["metric"] == "accuracy") & chosen["second"].notna()]
    n = _sizes(audit, attribute)
    lines = [
        (
            str(row["second"]),
            str(row[MODEL]),
            f"{n[row[MODEL], row['second']]:,}",
            percent(row["second_value"]),
            percent(row["first_value"]),
            points(row["difference"]),
            _span(row),
            *(p_value(row[name]) for name in ("p", "p_holm")),
        )
        for row in chosen.to_dict(orient="records")
    ]
    if lines:
        name = audit.settings["references"][attribute]
        yield PageTable(
            f"Accuracy of {name} minus that of each group, in percentage points",
            (
                "group",
                "model",
                "n",
                "accuracy",
                name,
                "difference",
                interval_name(audit),
                "p",
                "p Holm",
            ),
            tuple(lines),
            2,
        )


def gap_table(audit: Audit, attribute: str) -> PageTable:
    """Return the largest gaps of an attribute with all that is known of them."""
    gaps = audit.tables["gaps"]
    chosen = gaps[(gaps["attribute"] == attribute) & (gaps["kind"] == "largest")]
    chosen = chosen[chosen["metric"].isin(METRICS)]
    n = _sizes(audit, attribute)
    lines = [
        (
            str(row["model"]),
            METRICS[row["metric"]],
            _between(row, n),
            points(row["difference"]),
            _span(row),
            _ratio(row["ratio"]),
            points(row["standardised"]),
            points(row["expected"]),
            points(row["detectable"]),
            *(p_value(row[name]) for name in ("p", "p_holm", "p_bh")),
            f"{row['eligible']} of {row['groups']}",
        )
        for row in chosen.to_dict(orient="records")
    ]
    return PageTable(
        f"Largest gaps by {attribute}, in percentage points",
        (
            *("model", "metric", "between", "gap", interval_name(audit), "ratio"),
            *("same labels' mix", "if equal", "detectable", "p", "p Holm", "p BH", "compared"),
        ),
        tuple(lines),
        3,
    )


def criteria_table(audit: Audit, attribute: str) -> PageTable:
    """Return by how much each criterion is missed, its largest part named; or why it is refused."""
    table = audit.tables["criteria"]
    whole = table[(table["attribute"] == attribute) & (table["kind"] == "whole")]
    lines, n = [], _sizes(audit, attribute)
    for row in whole.to_dict(orient="records"):
        defined = np.isfinite(row["difference"])
        part = str(row["metric"]).replace("_", " ")
        part += "" if pd.isna(row["class"]) else f" of {row['class']}"
        lines.append(
            (
                str(row[MODEL]),
                str(row["criterion"]),
                part if defined else "–",
                _between(row, n),
                points(row["difference"]),
                _span(row),
                _ratio(row["ratio"]),
                f"{row['eligible']} of {row['groups']}",
                "" if defined or pd.isna(row["reason"]) else str(row["reason"]),
            )
        )
    heads = (
        "largest part",
        "between",
        "gap",
        interval_name(audit),
        "smallest ratio",
        "compared",
        "",
    )
    return PageTable(
        f"Fairness criteria by {attribute}, in percentage points",
        ("model", "criterion", *heads),
        tuple(lines),
        4,
    )


def paired_tables(audit: Audit, *, headline: bool) -> Iterator[PageTable]:
    """Yield the differences of each two models on the same faces.

    Args:
        audit: what was found.
        headline: all metrics of all faces, and the accuracies of the groups; else the rest.
    """
    for (model, other), rows in single_groups(audit).groupby([MODEL, AGAINST], sort=False):
        first = (rows["metric"] == "accuracy") | (rows["attribute"] == "all")
        shown = rows[first if headline else ~first]
        yield _paired_table(shown, str(model), str(other), interval_name(audit))


def single_groups(audit: Audit) -> pd.DataFrame:
    """Return the paired differences of all faces and of the groups of single attributes."""
    table = audit.tables["paired"]
    shown = table["attribute"].isin(["all", *audit.settings["attributes"]])
    return table[shown & table["against"].isna()]


def _paired_table(rows: pd.DataFrame, model: str, other: str, interval: str) -> PageTable:
    lines = [
        (
            group_name(row),
            METRICS[row["metric"]],
            f"{int(row['n']):,}",
            percent(row["first_value"]),
            percent(row["second_value"]),
            points(row["difference"]),
            _span(row) if np.isfinite(row["low"]) else str(row["reason"]),
            p_value(row["p"]),
            "" if pd.isna(row["test"]) else str(row["test"]),
        )
        for row in rows.to_dict(orient="records")
    ]
    return _cut(
        PageTable(
            f"{model} minus {other}, in percentage points",
            ("faces", "metric", "n", model, other, "difference", interval, "p", "test"),
            tuple(lines),
            2,
        )
    )


def group_name(row: Mapping[str, Any]) -> str:
    """Name a group with its attribute."""
    return "all" if row["attribute"] == "all" else f"{row['attribute']}: {row['group']}"


def score_table(audit: Audit) -> PageTable:
    """Return the metrics of scores of all faces."""
    scores = audit.tables["scores"]
    lines = [
        (
            str(row[MODEL]),
            str(row["metric"]).replace("_", " "),
            "" if pd.isna(row["class"]) else str(row["class"]),
            f"{int(row['n']):,}",
            _decimal(row["value"]),
            _bounds(row),
            "" if row["status"] == "ok" else str(row["status"]),
        )
        for row in scores[scores["attribute"] == "all"].to_dict(orient="records")
    ]
    return PageTable(
        "Scores of all faces",
        ("model", "metric", "class", "n", "value", interval_name(audit), ""),
        tuple(lines),
        3,
    )


def estimated_table(audit: Audit, attribute: str) -> PageTable:
    """Return the values of the true groups beside those of the estimated ones, the gaps below."""
    table = audit.tables["estimated"]
    lines = []
    for row in table[table["attribute"] == attribute].to_dict(orient="records"):
        raw = {"low": row["raw_low"], "high": row["raw_high"]}
        gap = pd.notna(row["against"]) or row["kind"] != GROUP
        metric = "share of the faces" if row["metric"] == "share" else METRICS[row["metric"]]
        lines.append(
            (
                str(row[MODEL]),
                f"largest gap in {metric}" if gap else metric,
                _pair_of(row, "group", "against") if gap else str(row["group"]),
                percent(row["value"]),
                _span(row),
                percent(row["raw_value"]),
                _span(raw),
                _pair_of(row, "raw_group", "raw_against") if gap else "",
                "" if gap else f"{int(row['n']):,}",
                "" if row["status"] == "ok" else str(row["status"]),
            )
        )
    heads = (
        "true groups",
        interval_name(audit),
        "estimated groups",
        interval_name(audit),
        "between",
        "n",
        "",
    )
    return _cut(
        PageTable(
            f"True and estimated groups by {attribute}, intervals in percentage points",
            ("model", "metric", "group", *heads),
            tuple(lines),
            3,
        )
    )


def _pair_of(row: Mapping[str, Any], first: str, second: str) -> str:
    return "–" if pd.isna(row[first]) else f"{row[first]} – {row[second]}"


def valence_tables(audit: Audit, *, headline: bool) -> Iterator[PageTable]:
    """Yield how valences are read, a table an attribute.

    Args:
        audit: what was found.
        headline: of the faces of `shown_valence` in all and in single attributes; else the rest.
    """
    table = audit.tables["valence"]
    for attribute, rows in _by_headline(audit, table, headline=headline):
        lines = [
            (
                str(row["group"]),
                str(row[MODEL]),
                f"{row['true']} as {row['read']}",
                _READING_WORDS[row["reading"]],
                f"{int(row['n']):,}",
                _decimal(row["value"]) if row["reading"] == SCORES else percent(row["value"]),
                _bounds(row) if row["reading"] == SCORES else _span(row),
                "" if row["status"] == "ok" else str(row["status"]),
            )
            for row in rows.to_dict(orient="records")
        ]
        heads = ("n", "value", interval_name(audit), "")
        yield _cut(
            PageTable(
                f"How faces are read by {attribute}",
                ("group", "model", "faces", "reading", *heads),
                tuple(lines),
                4,
            )
        )


def valence_difference_tables(audit: Audit, *, headline: bool) -> Iterator[PageTable]:
    """Yield how each two models differ in reading valences, a table an attribute.

    Args:
        audit: what was found.
        headline: as of `valence_tables`.
    """
    table = audit.tables.get("valence_differences")
    if table is None:
        return
    for (model, other), part in table.groupby([MODEL, AGAINST], sort=False):
        for attribute, rows in _by_headline(audit, part, headline=headline):
            lines = [
                (
                    str(row["group"]),
                    f"{row['true']} as {row['read']}",
                    _READING_WORDS[row["reading"]],
                    f"{int(row['n']):,}",
                    *(_decimal(row[name]) for name in ("first_value", "second_value")),
                    _decimal(row["value"]),
                    _bounds(row),
                    "" if row["status"] == "ok" else str(row["status"]),
                )
                for row in rows.to_dict(orient="records")
            ]
            heads = ("n", str(model), str(other), "difference", interval_name(audit), "")
            yield _cut(
                PageTable(
                    f"{model} minus {other}: how faces are read by {attribute}",
                    ("group", "faces", "reading", *heads),
                    tuple(lines),
                    3,
                )
            )


def shown_valence(audit: Audit) -> str:
    """Return the true valence that comes first: neutral, or the first that the classes have."""
    present = list(dict.fromkeys(audit.tables["valence"]["true"]))
    return "neutral" if "neutral" in present else str(present[0])


def _by_headline(
    audit: Audit, table: pd.DataFrame, *, headline: bool
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each attribute that come first, or the others."""
    single = table["attribute"].isin(["all", *audit.settings["attributes"]])
    first = single & (table["true"] == shown_valence(audit))
    for attribute, rows in table[first if headline else ~first].groupby("attribute", sort=False):
        yield str(attribute), rows


def amplification_table(audit: Audit) -> PageTable:
    """Return the bias amplification of each attribute, or why it is undefined."""
    lines = [
        (
            str(row[MODEL]),
            str(row["attribute"]),
            _AMPLIFICATION_WORDS[row["metric"]],
            points(row["value"]),
            _span(row),
            f"{int(row['n']):,}",
            percent(row["distance"]),
            "" if row["status"] == "ok" else str(row["status"]),
        )
        for row in audit.tables["amplification"].to_dict(orient="records")
    ]
    heads = ("added", interval_name(audit), "n", "other composition", "")
    return _cut(
        PageTable(
            "Bias amplification, in percentage points",
            ("model", "attribute", "measure", *heads),
            tuple(lines),
            3,
        )
    )


def _bounds(row: Mapping[str, Any]) -> str:
    return f"{_decimal(row['low'])} to {_decimal(row['high'])}" if pd.notna(row["low"]) else "–"


def _sizes(audit: Audit, attribute: str) -> dict[tuple[str, str], int]:
    """Return the faces of each model and group."""
    rows = of_attribute(audit, attribute)
    rows = rows[rows["metric"] == "accuracy"]
    return {
        (str(model), str(group)): int(n)
        for model, group, n in zip(rows[MODEL], rows["group"], rows["n"], strict=True)
    }


def _between(row: Mapping[str, Any], n: Mapping[tuple[str, str], int]) -> str:
    """Name the two groups of a gap, each with its faces."""
    if pd.isna(row["first"]):
        return "–"
    sides = [str(row[side]) for side in ("first", "second")]
    return " – ".join(f"{side} (n = {n[row[MODEL], side]:,})" for side in sides)


def _indexed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows by metric and class, "" for metrics of no class."""
    return rows.assign(**{"class": rows["class"].fillna("")}).set_index(["metric", "class"])


def _cell(found: pd.DataFrame, metric: str, name: str = "") -> dict[str, Any]:
    """Return the row of a metric and class."""
    return {str(column): value for column, value in found.loc[(metric, name)].items()}


def _with_interval(cell: dict[str, Any], *, n: bool = False) -> str:
    """Format a share with its interval and, if asked for, its n."""
    if not np.isfinite(cell["value"]):
        return "–"
    low, high = cell["low"], cell["high"]
    span = f" ({100 * low:.0f}–{100 * high:.0f})" if np.isfinite(low) else ""
    return f"{percent(cell['value'])}{span}" + (f" of {int(cell['n']):,}" if n else "")


def _marked(cell: dict[str, Any], *, n: bool = False) -> str:
    """Format a share, in brackets where it cannot be compared with those of other groups."""
    said = _with_interval(cell, n=n)
    return said if cell["status"] == "ok" or not np.isfinite(cell["value"]) else f"[{said}]"


def _span(row: dict[str, Any]) -> str:
    return f"{points(row['low'])} to {points(row['high'])}" if np.isfinite(row["low"]) else "–"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "–"


def _decimal(value: float) -> str:
    return "∞" if np.isposinf(value) else f"{value:.3f}" if np.isfinite(value) else "–"


def _cut(table: PageTable) -> PageTable:
    """Return a table that a page can show; the CSV file has all rows."""
    left_out = max(0, len(table.rows) - _MOST_ROWS)
    return PageTable(table.caption, table.columns, table.rows[:_MOST_ROWS], table.names, left_out)
