"""What an audit says in plain words: what is supported, and what cannot be told.

"No difference" is never said. Where a gap may be chance, the words name the smallest gap that these
faces would have shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from facebias.data.audited import Note
from facebias.fairness.audit import AGAINST, MODEL, Audit
from facebias.fairness.many_groups import MOST_PAIRED
from facebias.fairness.paired import MCNEMAR
from facebias.fairness.significance import holm

MEASURED, SUPPORTED, CANNOT_TELL = "measured", "supported", "cannot tell"
"""The verdicts of statements."""

ONE_LABEL = "has one label only"
"""Part of the reason of a criterion that is refused because the label is the group itself."""

_NOTABLE = 0.01  # difference between a gap and the standardised one that is worth a sentence


@dataclass(frozen=True)
class Statement:
    """One thing that an audit says.

    Attributes:
        model: that it is about.
        about: "all", an attribute, or "models".
        verdict: `MEASURED`, `SUPPORTED` or `CANNOT_TELL`.
        text: a sentence or a few, with n and intervals.
    """

    model: str
    about: str
    verdict: str
    text: str


def statements(audit: Audit) -> list[Statement]:
    """Return what an audit says of accuracy, model by model, and of the models on the same faces.

    A gap is supported where its simultaneous interval leaves out 0, and where the test of all
    groups being equal is rejected after Holm's adjustment for all largest gaps of the model. A
    difference between two models is supported where its interval leaves out 0, and where its test
    rejects after Holm's adjustment for all pairs of models: McNemar's exact test, or that of the
    interval over persons where a person has several faces.
    """
    said: list[Statement] = []
    for model in audit.models:
        measures, gaps = (of_model(audit.tables[name], model) for name in ("measures", "gaps"))
        said.append(_overall(audit, model, measures))
        accuracy = measures[measures["metric"] == "accuracy"]
        compared = gaps[(gaps["metric"] == "accuracy") & gaps["kind"].isin(["largest", "pair"])]
        for attribute, found in compared.groupby("attribute", sort=False):
            n = accuracy[accuracy["attribute"] == attribute].set_index("group")["n"]
            said.append(_gap(audit, model, found, n))
    return [*said, *_refused(audit), *_between_models(audit)]


def of_model(table: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return the rows of one model."""
    return table[table[MODEL] == model]


def note_words(note: Note) -> str:
    """Say what a note means for the audit."""
    n, value, where = f"{note.rows:,}", note.value, note.where
    words = {
        "read": f"{where}: {n} rows read.",
        "no partner": f"{where}: {n} rows have no partner in the other file and are not measured"
        f" ({value}).",
        "no label": f"{n} faces have no label in the column {where} and are not measured.",
        "no answer": f"{where} gives no answer to {n} labelled faces. They are not counted as"
        " wrong: a model that is silent on hard faces looks better than it is.",
        "unmapped": f"{where}: the value {value!r} of {n} rows is not declared and counts as"
        " missing.",
        "unknown group": f"{where}: the group of {n} faces is unknown. They are a row of their own"
        " and in no gap.",
        "map unused": f"{where}: the value {value!r} is mapped, and no row has it.",
        "percent": f"{where}: numbers above 1, so all {n} were read as percent.",
        "not likeliest": f"{where}: the predicted class of {n} rows is not the one of the largest"
        " probability.",
    }
    return words[note.kind]


def percent(value: float | None) -> str:
    """Format a share as percent; what is undefined is a dash.

    >>> percent(0.6848), percent(float("nan"))
    ('68.5 %', '–')
    """
    return "–" if value is None or not np.isfinite(value) else f"{100 * value:.1f} %"


def points(value: float | None) -> str:
    """Format a difference of shares in percentage points, without the unit.

    >>> points(-0.0512), points(None)
    ('-5.1', '–')
    """
    return "–" if value is None or not np.isfinite(value) else f"{100 * value:.1f}"


def p_value(value: float | None) -> str:
    """Format a p-value.

    >>> p_value(0.0312), p_value(0.00001), p_value(None)
    ('0.031', '< 0.001', '–')
    """
    if value is None or not np.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def interval_name(audit: Audit) -> str:
    """Return what the intervals of an audit are called: "95 % interval"."""
    return f"{100 * audit.settings['level']:g} % interval"


def many_groups_words(audit: Audit, attribute: str) -> str:
    """Say what is not listed of an attribute with many groups; nothing where all pairs are."""
    gaps = audit.tables["gaps"]
    rows = gaps[(gaps["attribute"] == attribute) & (gaps["kind"] == "largest")]
    compared = int(rows["eligible"].max()) if len(rows) else 0
    if compared <= MOST_PAIRED:
        return ""
    text = (
        f"{compared:,} groups are compared, more than {MOST_PAIRED}. Tests and intervals allow for "
        "all pairs of them, but not every pair is listed: for each group the one whose interval is "
        "farthest from 0."
    )
    if "paired" in audit.tables:
        text += " How much models differ in the gaps between these groups is not compared."
    return text


def _overall(audit: Audit, model: str, measures: pd.DataFrame) -> Statement:
    whole = measures[measures["attribute"] == "all"]
    found = whole[whole["metric"] == "accuracy"].iloc[0]
    majority = float(audit.reports[model].overall["majority"])
    text = (
        f"{model} is right on {percent(found['value'])} of {int(found['n']):,} faces "
        f"({_interval(found)}). Always giving the most frequent answer would be right on "
        f"{percent(majority)}, guessing on {percent(1 / len(audit.settings['classes']))}."
    )
    return Statement(model, "all", MEASURED, text)


def _gap(audit: Audit, model: str, gaps: pd.DataFrame, n: pd.Series) -> Statement:
    """Say whether accuracies are told apart between the groups of one attribute.

    Args:
        audit: what was found.
        model: that it is about.
        gaps: of accuracy, of the model and attribute; the largest and all pairs.
        n: faces of each group, by its name.
    """
    largest = gaps[gaps["kind"] == "largest"].to_dict(orient="records")[0]
    attribute, level = str(largest["attribute"]), audit.settings["level"]
    counts = f"{int(largest['eligible'])} of {int(largest['groups'])} groups"
    among = f"{counts} have enough faces to be compared"
    if not np.isfinite(largest["difference"]):
        text = f"By {attribute}, {model}'s accuracies cannot be compared: {among}."
        return Statement(model, attribute, CANNOT_TELL, text)
    unequal = largest["p_holm"] <= 1 - level  # an undefined one rejects nothing
    pair = _surest(gaps) if unequal else None
    if pair is None:
        return Statement(
            model, attribute, CANNOT_TELL, _untold(largest, model, attribute, n, among, unequal)
        )
    low, high = (_side(side, n) for side in _sides(pair))
    text = (
        f"By {attribute}, {model} is right less often on {low} than on {high}: a gap of "
        f"{_seen(pair)}; {among}."
    )
    same_mix = pair["standardised"] * np.sign(pair["difference"])
    if abs(same_mix - abs(pair["difference"])) > _NOTABLE:
        text += f" It is {points(same_mix)} points if every group is given the same mix of labels."
    if pair["kind"] != "largest":
        low, high = (_side(side, n) for side in _sides(largest))
        text += f" A larger gap was seen, {_seen(largest)} from {low} to {high}, and may be chance."
    return Statement(model, attribute, SUPPORTED, text)


def _surest(gaps: pd.DataFrame) -> dict[str, Any] | None:
    """Return the largest gap if its simultaneous interval leaves out 0.

    Else that pair whose interval does and is furthest from 0; None where there is none.
    """
    reach = np.fmax(gaps["low"], -gaps["high"])
    told = gaps[reach > 0]
    first = told[told["kind"] == "largest"]
    chosen = first if len(first) else told.loc[reach[told.index].sort_values().index[-1:]]
    return next(iter(chosen.to_dict(orient="records")), None)


def _untold(
    gap: dict[str, Any], model: str, attribute: str, n: pd.Series, among: str, unequal: bool
) -> str:
    """Say what was seen, and what these faces would have shown."""
    low, high = (_side(side, n) for side in _sides(gap))
    seen = (
        f"The largest gap seen is {_seen(gap)}, {low} against {high}; equal groups of these sizes "
        f"would show about {points(gap['expected'])}. {_hidden(gap)} {among}."
    )
    if unequal:
        return (
            f"By {attribute}, {model}'s accuracies are not all equal ({_test_name(gap)}, "
            f"allowing for all gaps that are tested: p {_compared(gap['p_holm'])}), but which "
            f"groups differ cannot be told. {seen}"
        )
    return f"By {attribute}, it cannot be told whether {model}'s accuracies differ. {seen}"


def _test_name(gap: dict[str, Any]) -> str:
    permuted = str(gap["p_method"]).startswith("permuted")
    return "permutation test" if permuted else str(gap["p_method"])


def _side(side: tuple[str, float], n: pd.Series) -> str:
    name, value = side
    return f"{name} ({percent(value)}, n = {int(n[name]):,})"


def _seen(gap: dict[str, Any]) -> str:
    """Format the size of a gap with its interval."""
    bounds = sorted((abs(gap["low"]), abs(gap["high"])))
    if gap["low"] < 0 < gap["high"]:
        bounds = [gap["low"], gap["high"]]
    size = {"low": bounds[0], "high": bounds[1]}
    return f"{points(abs(gap['difference']))} points ({_interval(size, points)})"


def _hidden(gap: dict[str, Any]) -> str:
    """Say which gap these faces would have shown."""
    if not np.isfinite(gap["detectable"]):
        return "How large a gap these faces would have shown cannot be said."
    return (
        f"These faces would have shown a gap of {points(gap['detectable'])} points or more in four "
        "of five cases; a smaller one may be there."
    )


def _refused(audit: Audit) -> Iterator[Statement]:
    """Say of which attributes the label is the group itself, so that parity means nothing."""
    criteria = of_model(audit.tables["criteria"], audit.models[0])
    refused = criteria[criteria["reason"].fillna("").str.contains(ONE_LABEL)]
    attributes = list(dict.fromkeys(refused["attribute"]))
    if attributes:
        text = (
            f"Parity by {' and by '.join(attributes)} is refused: in each of these groups all "
            "faces have the same label, so a perfect model answers differently there too. What can "
            "be said is the recall and the precision of each class."
        )
        yield Statement("all", ", ".join(attributes), CANNOT_TELL, text)


def _between_models(audit: Audit) -> Iterator[Statement]:
    """Say of each two models which is right more often on the same faces."""
    table = audit.tables.get("paired")
    if table is None:
        return
    whole = table[(table["attribute"] == "all") & (table["metric"] == "accuracy")]
    allowing = ", allowing for all pairs of models" if len(whole) > 1 else ""
    for row in whole.assign(p=holm(whole["p"])).to_dict(orient="records"):
        model, other = str(row[MODEL]), str(row[AGAINST])
        if row["difference"] < 0:
            model, other = other, model
            row |= {"low": -row["high"], "high": -row["low"], "difference": -row["difference"]}
        seen = f"{points(row['difference'])} points ({_interval(row, points)})"
        tested = np.isfinite(row["p"])
        named = "McNemar's test" if row["test"] == MCNEMAR else "test over persons"
        test = f"; {named}{allowing}: p {_compared(row['p'])}" if tested else ""
        faces = f"the {int(row['n']):,} faces that both answered"
        if row["low"] > 0 and row["p"] <= 1 - audit.settings["level"]:
            text = f"On {faces}, {model} is right more often than {other}, by {seen}{test}."
            yield Statement(model, "models", SUPPORTED, text)
        else:
            text = (
                f"On {faces}, it cannot be told whether {model} or {other} is right more often: "
                f"the difference is {seen}{test}."
            )
            yield Statement(model, "models", CANNOT_TELL, text)


def _compared(p: float) -> str:
    said = p_value(p)
    return said if said.startswith("<") else f"= {said}"


def _sides(gap: dict[str, Any]) -> tuple[tuple[str, float], tuple[str, float]]:
    """Return name and value of the lower and of the higher group."""
    one, other = sorted(
        ((str(gap[side]), float(gap[f"{side}_value"])) for side in ("first", "second")),
        key=lambda side: side[1],
    )
    return one, other


def _interval(row: Any, form: Any = percent) -> str:  # noqa: ANN401 - a row or a dict
    low, high = form(row["low"]), form(row["high"])
    return f"interval {low} to {high}" if low != "–" else "no interval"
