"""What a comparison says in plain words; each sentence is a row of its tables, or several.

"No difference" is never said. What would change how all the rest is read comes first: variants
that differ in more than they should, and faces that leak.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from facebias.cam.between import DIFFERENT
from facebias.fairness.valence import CORRECTED, RAW, SCORES
from facebias.report.attention import region_words
from facebias.report.audit_words import CANNOT_TELL, MEASURED, SUPPORTED, Statement, percent, points
from facebias.report.compare_measures import Comparison
from facebias.report.compare_runs import loud_lines
from facebias.report.paired_words import NOT_COMPARED, p_value
from facebias.report.twin_reports import unlike_seeds
from facebias.report.variant_pictures import shown_valence

WARNING, NOT_MEASURED = "warning", "not measured"
"""Further verdicts of statements."""

VERDICTS = (WARNING, SUPPORTED, MEASURED, CANNOT_TELL, NOT_MEASURED)
"""In the order of the page."""

_READINGS = {
    RAW: "As answered",
    CORRECTED: "Without the training's shares",
    SCORES: "By score",
}
_MOST_ALIKE = 6  # sentences of one kind; the tables have the rest
_MOST_NAMED = 8  # variants whose values are told one by one


def statements(comparison: Comparison, attention: Mapping[str, pd.DataFrame]) -> list[Statement]:
    """Return what a comparison says: warnings, what is supported, measured, and cannot be told.

    Args:
        comparison: what was measured.
        attention: the tables of where the networks look, by name.
    """
    said = [
        *_not_twins(comparison),
        *_leaking(comparison),
        *_unlike_code(comparison),
        *_seeds(comparison),
        *_overall(comparison),
        *_paired(comparison),
        *_shifts(comparison),
        *_doses(comparison),
        *_groups(comparison),
        *_attention(attention),
        *_not_measured(comparison, attention),
    ]
    return sorted(said, key=lambda each: VERDICTS.index(each.verdict))


def _not_twins(comparison: Comparison) -> Iterator[Statement]:
    """Say which variants differ in more than their chosen train faces."""
    wrong = [report for report in comparison.twins if not report.are_twins]
    for report in wrong[:_MOST_ALIKE]:
        text = (
            f"{report.sentence} What differs between their answers may come from any of it, and "
            "not from the chosen train faces."
        )
        yield Statement(report.second, "twins", WARNING, text)
    yield from _further(len(wrong), "variants are no twins of the first", "twins", WARNING)
    unlike = unlike_seeds(comparison.variants)
    if unlike:
        text = (
            f"{', '.join(unlike)}: not trained on the same faces as the first seed of the variant, "
            "so a spread over these seeds is one over faces too."
        )
        yield Statement("all", "twins", WARNING, text)


def _further(count: int, what: str, about: str, verdict: str) -> Iterator[Statement]:
    """Say how many sentences of a kind are left out."""
    if count > _MOST_ALIKE:
        text = f"{count - _MOST_ALIKE:,} more {what}: see the table."
        yield Statement("all", about, verdict, text)


def _leaking(comparison: Comparison) -> Iterator[Statement]:
    for line, variants in loud_lines(comparison.variants).items():
        text = f"{line} ({', '.join(variants)})."
        yield Statement(", ".join(variants), "leaks", WARNING, text)


def leak_words(comparison: Comparison) -> str:
    """Say what the runs found of copies and contradictions, and what was done with them."""
    loud = loud_lines(comparison.variants)
    said = [f"{line} ({', '.join(variants)})." for line, variants in loud.items()]
    if "leaks" not in comparison.tables:
        looked = any((run.folder / "leaks.csv").is_file() for run in comparison.runs)
        return " ".join(
            [*said, "No pairs were found." if looked else "No run has looked for copies."]
        )
    policies = {str(run.config.data.copies) for run in comparison.runs}
    return " ".join(
        [
            *said,
            f"What the runs found before they were split, with data.copies={', '.join(policies)}: "
            "a pair across splits would let a network be scored on a face that it was trained on. "
            "“What was run” says how many faces were left out for it.",
        ]
    )


def _unlike_code(comparison: Comparison) -> Iterator[Statement]:
    """Say whether the runs are of different code or hardware."""
    runs = comparison.tables["runs"]
    for name, words in (("commit", "commits of facebias"), ("torch", "versions of torch")):
        found = [str(value) for value in dict.fromkeys(runs[name].dropna())]
        if len(found) > 1:
            shown = ", ".join(each[:12] for each in found)
            text = f"The runs are of {len(found)} {words} ({shown}): a difference may come from it."
            yield Statement("all", "runs", WARNING, text)
    devices = list(dict.fromkeys(runs["device"].dropna()))
    if len(devices) > 1:
        text = f"The runs were trained on {len(devices)} kinds of devices: {', '.join(devices)}."
        yield Statement("all", "runs", MEASURED, text)


def _seeds(comparison: Comparison) -> Iterator[Statement]:
    """Say how many runs there are, and what one seed means."""
    variants, first = comparison.variants, comparison.tables["groups"].iloc[0]
    seeds = sorted({len(each.runs) for each in variants})
    counts = f"{seeds[0]} {'seed' if seeds[0] == 1 else 'seeds'}"
    if len(seeds) > 1:
        counts = f"{seeds[0]} to {seeds[-1]} seeds"
    each = "" if len(variants) == 1 else " each"
    units = f" of {first['units']:,} persons" if first["units"] < first["n"] else ""
    text = (
        f"{len(variants)} {'variant' if len(variants) == 1 else 'variants'} of {counts}{each}, "
        f"{len(comparison.runs)} runs, all measured on the same {first['n']:,} {comparison.split} "
        f"faces{units}."
    )
    yield Statement("all", "runs", MEASURED, text)
    if comparison.twins and all(report.are_twins for report in comparison.twins):
        text = "The variants are twins: they differ in the chosen train faces alone."
        yield Statement("all", "twins", MEASURED, text)
    single = [each.name for each in variants if len(each.runs) == 1]
    if single:
        listed = ", ".join(single[:_MOST_NAMED]) + (", ..." if len(single) > _MOST_NAMED else "")
        text = (
            f"One seed only: {listed}. With one seed a comparison is about these two networks: "
            "another training of the same recipe may turn it round."
        )
        yield Statement(listed, "runs", WARNING, text)


def _overall(comparison: Comparison) -> Iterator[Statement]:
    """Say how often each variant is right; of many, how far apart they are."""
    table = comparison.tables["groups"]
    whole = table[(table["attribute"] == "all") & (table["metric"] == "accuracy")]
    rows = whole[(whole["reading"] == RAW) & whole["value"].notna()].to_dict(orient="records")
    if not rows:
        return
    chance = f"guessing would be right on {percent(1 / len(comparison.runs[0].classes))}"
    if len(rows) <= _MOST_NAMED:
        each = "; ".join(
            f"“{row['variant']}” on {percent(row['value'])} ({_span(row)})" for row in rows
        )
        yield Statement("all", "all", MEASURED, f"Right answers: {each}; {chance}.")
        return
    rows.sort(key=lambda row: row["value"])
    ends = (
        f"“{row['variant']}” ({percent(row['value'])}, {_span(row)})" for row in (rows[0], rows[-1])
    )
    text = (
        f"Accuracies go from {' to '.join(ends)}; {chance}. The highest of {len(rows)} is high by "
        "chance too: it was picked on these faces."
    )
    yield Statement("all", "all", MEASURED, text)


def _span(row: Mapping[str, Any]) -> str:
    """Format an interval of a share, and what it is over."""
    if not math.isfinite(row["low"]):
        return "no interval"
    over = str(row["resampled"]).replace(" x ", " and ")
    return f"interval {percent(row['low'])} to {percent(row['high'])}, over {over}"


def _paired(comparison: Comparison) -> Iterator[Statement]:
    """Say of each two variants which is right more often, those farthest apart first."""
    table = comparison.tables.get("paired_differences")
    if table is None:
        return
    whole = table[table["kind"] == "all"]
    told = _farthest(whole[whole["verdict"] == SUPPORTED])
    for row in told[:_MOST_ALIKE]:
        yield Statement(str(row["first"]), "variants", SUPPORTED, str(row["says"]))
    yield from _further(
        len(told), "differences between variants are supported", "variants", SUPPORTED
    )
    # Of what cannot be told, accuracy stands for both metrics.
    accuracy = whole[(whole["verdict"] == CANNOT_TELL) & (whole["metric"] == "accuracy")]
    untold = _farthest(accuracy)
    for row in untold[:_MOST_ALIKE]:
        yield Statement(str(row["first"]), "variants", CANNOT_TELL, str(row["says"]))
    yield from _further(
        len(untold), "pairs cannot be told apart in accuracy", "variants", CANNOT_TELL
    )


def _farthest(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows, the largest difference first."""
    order = rows["difference"].abs().sort_values(ascending=False, kind="stable").index
    return [
        {str(key): value for key, value in row.items()}
        for row in rows.loc[order].to_dict(orient="records")
    ]


def _groups(comparison: Comparison) -> Iterator[Statement]:
    """Say in which groups, and in which gaps, variants differ."""
    table = comparison.tables.get("paired_differences")
    if table is None:
        return
    rows = table[table["kind"] != "all"]
    told = _farthest(rows[rows["verdict"] == SUPPORTED])
    for row in told[:_MOST_ALIKE]:
        yield Statement(str(row["first"]), str(row["attribute"]), SUPPORTED, str(row["says"]))
    yield from _further(
        len(told), "differences of groups or gaps are supported", "groups", SUPPORTED
    )
    unknown = int((rows["verdict"] == CANNOT_TELL).sum())
    if unknown:
        text = (
            f"Of {unknown + len(told):,} differences between variants in groups and in gaps "
            f"between groups (accuracy and macro recall), {unknown:,} cannot be told from 0, "
            "allowing for all comparisons of their kind; the table has for each the smallest that "
            "would have been found."
        )
        yield Statement("all", "groups", CANNOT_TELL, text)


def _shifts(comparison: Comparison) -> Iterator[Statement]:
    """Say how variants differ in reading faces of one valence: raw, corrected and by score."""
    table = comparison.tables.get("valence_differences")
    if table is None:
        return
    compared = table[table["verdict"] != NOT_COMPARED]
    whole = compared[compared["attribute"] == "all"]
    for (reading, verdict), chosen in whole.groupby(["reading", "verdict"], sort=False):
        rows = _farthest(chosen)
        for row in rows[:_MOST_ALIKE]:
            yield Statement(str(row["first"]), "valence", str(verdict), _shift_text(row))
        what = f"shifts {_READINGS[reading].lower()} ({verdict})"
        yield from _further(len(rows), what, "valence", str(verdict))
    if RAW in set(whole["reading"]) and CORRECTED not in set(whole["reading"]):
        text = (
            "Shifts without the training's shares: a class was not in a training, or there are no "
            "probabilities."
        )
        yield Statement("all", "valence", NOT_MEASURED, text)
    groups = compared[compared["attribute"] != "all"]
    if len(groups):
        parts = groups.groupby("reading", sort=False)["verdict"]
        counts = parts.agg([lambda found: int((found == SUPPORTED).sum()), "size"])
        said = "; ".join(
            f"{_READINGS[name].lower()} {count:,} of {size:,}"
            for name, (count, size) in zip(counts.index, counts.to_numpy(), strict=True)
        )
        verdict = SUPPORTED if counts.iloc[:, 0].any() else CANNOT_TELL
        text = f"Shifts in reading faces, in groups, supported: {said}."
        yield Statement("all", "valence", verdict, text)


def _shift_text(row: Mapping[str, Any]) -> str:
    """Say what a shift is in one reading."""
    reading, true, read = row["reading"], row["true"], row["read"]
    one, other = percent(row["first_value"]), percent(row["second_value"])
    if reading == SCORES:
        text = (
            f"By score, on the same {row['n']:,} {true} and {read} faces: {true} faces score more "
            f"like {read} than {read} faces do in {one} of pairs with “{row['first']}”, in {other} "
            f"with “{row['second']}”"
        )
    else:
        text = (
            f"{_READINGS[reading]}, “{row['first']}” reads {one} of the same {row['n']:,} {true} "
            f"faces as {read}, “{row['second']}” {other}"
        )
    text += f": a shift of {_size(row)}, {_verdict(row)}."
    if reading == RAW and row["verdict"] == SUPPORTED:
        text += " Other shares in the training can do this by themselves."
    if min(row["first_seeds"], row["second_seeds"]) == 1:
        text += " This is about these two networks."
    return text


def _size(row: Mapping[str, Any]) -> str:
    said = f"{points(row['difference'])} points"
    if not math.isfinite(row["low"]):
        return f"{said} (no interval)"
    return f"{said} (interval {points(row['low'])} to {points(row['high'])})"


def _verdict(row: Mapping[str, Any]) -> str:
    if row["verdict"] == SUPPORTED:
        return f"supported (p Holm {p_value(row['p_holm'])})"
    if row["verdict"] == CANNOT_TELL:
        return f"cannot be told from 0 (p Holm {p_value(row['p_holm'])})"
    return f"not compared ({row['reason']})"


def _doses(comparison: Comparison) -> Iterator[Statement]:
    """Say how the readings of all faces change from the smallest dose to the largest."""
    table = comparison.tables.get("dose_response")
    if table is None:
        return
    own = table[table["true"] == shown_valence(table)]
    for (curve, read), part in own.groupby(["curve", "read"], sort=False):
        said = [
            f"{_dose_ends(part[part['reading'] == reading])} {words}"
            for reading, words in ((RAW, "as answered"), (CORRECTED, "without those shares"))
            if part[part["reading"] == reading]["value"].notna().sum() > 1
        ]
        if said:
            text = (
                f"Under “{curve}”, {part['true'].iloc[0]} faces are read as {read} thus: "
                f"{'; '.join(said)}."
            )
            yield Statement(str(curve), "doses", MEASURED, text)


def _dose_ends(rows: pd.DataFrame) -> str:
    known = rows[rows["value"].notna()]
    ends = (
        f"{percent(row['value'])} at dose {row['dose']:g}"
        for row in (known.iloc[0], known.iloc[-1])
    )
    return " to ".join(ends)


def _attention(tables: Mapping[str, pd.DataFrame]) -> Iterator[Statement]:
    """Say between which variants maps differ by more than between seeds."""
    between = tables.get("attention_between")
    if between is None or between["p_adjusted"].isna().all():
        return
    tested = between[between["p_adjusted"].notna()]
    told = tested[tested["verdict"] == DIFFERENT]
    for row in _farthest(told)[:_MOST_ALIKE]:
        more, less = row["first"], row["second"]
        if row["difference"] < 0:
            more, less = less, more
        where, pair = region_words(row["region"]), f"“{row['first']}” minus “{row['second']}”"
        text = (
            f"“{more}” has more of its maps on the region “{where}” than “{less}”. The "
            f"difference, {_size(row)} of the maps ({pair}), is larger than that between seeds, "
            f"adjusted p {p_value(row['p_adjusted'])}."
        )
        yield Statement(str(row["first"]), "attention", SUPPORTED, text)
    yield from _further(len(told), "regions differ by more than seeds do", "attention", SUPPORTED)
    if len(told) < len(tested):
        text = (
            f"In {len(tested) - len(told):,} of {len(tested):,} regions and pairs it cannot be "
            "told whether maps of variants differ by more than those of seeds."
        )
        yield Statement("all", "attention", CANNOT_TELL, text)


def _not_measured(
    comparison: Comparison, attention: Mapping[str, pd.DataFrame]
) -> Iterator[Statement]:
    """Say what the page has not, and why."""
    for text in _missing(comparison, attention):
        yield Statement("all", "page", NOT_MEASURED, text)


def _missing(comparison: Comparison, attention: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    tables = comparison.tables
    if comparison.split != "test":
        yield f"Test faces: not all runs have scored them, so these are {comparison.split} faces."
    if not comparison.attributes:
        yield "Groups: there is no attribute whose groups all runs know."
    small = tables["groups"]
    small = small[(small["metric"] == "accuracy") & small["status"].isin(["too small", "empty"])]
    names = list(dict.fromkeys(zip(small["attribute"], small["group"], strict=True)))
    if names:
        yield (
            f"{len(names):,} {'group' if len(names) == 1 else 'groups'} with fewer than "
            f"{comparison.settings.min_group} faces: shown, "
            "and compared with nothing."
        )
    if "paired_differences" not in tables:
        yield (
            "Differences between variants: all runs are seeds of one variant. facebias.summary "
            "says what they have in common."
        )
    if "valence" not in tables:
        yield "Valences: not every label has one (callbacks.fairness.valences)."
    elif "dose_response" not in tables:
        yield "Dose and response: no bias comes in two doses here."
    if not attention:
        yield "Maps: there are none; the part on where the networks look says why."
    elif "attention_between" in attention and attention["attention_between"]["p"].isna().all():
        yield (
            "Whether variants look at other regions: that takes more seeds, because seeds of one "
            "variant differ too. The differences are shown without a test."
        )
    if "learning_curves" not in tables:
        yield "Learning curves: no run has logged its training."
    unknown = tables["runs"]["cpu_seconds"].isna()
    if unknown.any():
        yield f"CPU time: {'no' if unknown.all() else 'not every'} run has recorded it."
