"""Variants beside each other on the same faces: differences, intervals, corrected tests."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from facebias.fairness.crossed import Crossed, crossed_groups, estimate
from facebias.fairness.intervals import normal_critical
from facebias.fairness.paired import compare_models
from facebias.fairness.predictions import UNKNOWN
from facebias.fairness.settings import Settings
from facebias.fairness.significance import holm, smallest_detectable
from facebias.files import whole_file, write_json
from facebias.report.paired_words import (
    CANNOT_TELL,
    CROSSED,
    JOINT,
    NOT_COMPARED,
    SUPPORTED,
    p_value,
    points,
    sentence,
)
from facebias.report.summary import console_for_tables
from facebias.runs.settings import differing_settings, telling_keys
from facebias.runs.trained import TrainedRun, shared_attributes

TABLE, REPORT = "paired_differences.csv", "paired_differences.json"
SCHEMA_VERSION = 1
METRICS = ("accuracy", "macro_recall")
SCOPES = {"all": "all faces", "group": "groups", "gap": "gaps between groups"}
"""What a row is about, by its `kind`: each is a family of its own in each metric."""

_SMALLEST_P = 1e-12
_MOST_ROWS = 50  # on the console
_COLUMNS = [
    *("first", "second", "first_seeds", "second_seeds", "kind", "attribute", "group", "against"),
    *("metric", "n", "units", "resampled", "first_value", "second_value", "difference"),
    *("low", "high", "only_first", "only_second", "test", "p", "family", "comparisons", "p_holm"),
    *("joint_low", "joint_high", "detectable", "verdict", "reason", "says"),
]


@dataclass(frozen=True, eq=False)
class Variant:
    """Runs that differ in nothing but their seed.

    Attributes:
        name: what tells it from the others; of a single run that of the run.
        runs: one of each seed.
    """

    name: str
    runs: tuple[TrainedRun, ...]


@dataclass(frozen=True, eq=False)
class _Contrast:
    """One comparison before its family is known.

    Attributes:
        row: the columns that do not depend on the family.
        interval: from a confidence in (0, 1) to low and high.
        error: standard error of the difference.
    """

    row: dict[str, Any]
    interval: Callable[[float], tuple[float, float]]
    error: float


def find_variants(runs: Sequence[TrainedRun]) -> list[Variant]:
    """Put runs together that differ in their seed only.

    A seed that comes again with the same settings and fold begins another variant: a repeated run
    tells nothing of other seeds.

    Args:
        runs: as `facebias.runs.trained.load_runs` returns them.

    Returns:
        In the order of their first runs.
    """
    settings = differing_settings([run.config for run in runs])
    keys = telling_keys(settings)
    alike: dict[tuple[str, ...], list[TrainedRun]] = {}
    met: Counter[tuple[str, ...]] = Counter()
    for run, chosen in zip(runs, settings, strict=True):
        own = (*(str(chosen[key]) for key in keys), str(run.config.data.fold))
        times = met[(*own, str(run.config.seed))]
        met[(*own, str(run.config.seed))] += 1
        alike.setdefault((*own, str(times)), []).append(run)
    folds = len({key[-2] for key in alike}) > 1
    return [
        Variant(_name(dict(zip(keys, own, strict=False)), own[-2:], found, folds), tuple(found))
        for own, found in alike.items()
    ]


def _name(
    chosen: Mapping[str, str], repeated: Sequence[str], runs: Sequence[TrainedRun], folds: bool
) -> str:
    """Name a variant by the settings that tell it from the others."""
    if len(runs) == 1:
        return runs[0].name
    words = [value if key == "bias.variant" else f"{key} {value}" for key, value in chosen.items()]
    fold, times = repeated
    name = ", ".join([*(words or [str(runs[0].config.bias.variant)]), *[f"fold {fold}"] * folds])
    return name if times == "0" else f"{name} ({int(times) + 1})"


def paired_differences(
    variants: Sequence[Variant],
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    settings: Settings | None = None,
) -> pd.DataFrame:
    """Compare each two variants on the same faces: all of them, every group, gaps between groups.

    With two or more seeds of both, seeds and faces are crossed (`facebias.fairness.crossed`), and p
    is 1 - the confidence at which that interval just touches 0. With one seed of a variant the
    networks themselves are compared, each with each (`facebias.fairness.paired.compare_models`):
    accuracies by McNemar's exact test or, where persons have several faces, by the interval over
    persons. What has no test (macro recall, gaps) is held against its interval at the confidence
    1 - 5 % / comparisons (Bonferroni).

    A family is one metric of all pairs: of all faces, of the groups, or of gaps between groups.
    p-values are adjusted over it (Holm 1979); comparisons without one count in it.

    Args:
        variants: two or more, with the same faces.
        classes: the declared classes.
        attributes: the declared groups of each attribute.
        settings: how groups are judged.

    Returns:
        A row for each pair, group (or gap) and metric: first, second, first_seeds, second_seeds,
        kind ("all", "group", "gap"), attribute, group, against (of a gap: the group subtracted),
        metric, n (faces), units (faces or persons), resampled ("faces", "persons", "seeds x faces",
        "seeds x persons", "none"), first_value, second_value, difference (first minus second), low,
        high (`settings.level`), only_first, only_second (faces that only this network has right),
        test, p, family, comparisons (in the family), p_holm, joint_low, joint_high (intervals that
        hold in all of the family together), detectable (the smallest difference that intervals so
        wide would have told from 0 in 80 % of cases, about), verdict
        ("supported", "cannot tell", "not compared"), reason (why there is no interval), says.
        Undefined is NaN; where a family has no comparison, its words are empty.

    Raises:
        DataError: if the runs have not the same faces with the same labels and groups.
    """
    settings = settings or Settings()
    found: list[_Contrast] = []
    for first, second in combinations(variants, 2):
        if min(len(first.runs), len(second.runs)) > 1:
            found += _of_seeds(first, second, classes, attributes, settings)
            continue
        for one, other in product(first.runs, second.runs):
            found += _of_networks(one, other, classes, attributes, settings)
    families: dict[tuple[str, str], list[_Contrast]] = {}
    for each in found:
        if each.row["verdict"] != NOT_COMPARED:
            families.setdefault((each.row["metric"], each.row["kind"]), []).append(each)
    for members in families.values():
        _judge(members, settings.level)
    for each in found:
        each.row["says"] = sentence(each.row)
    return pd.DataFrame([each.row for each in found], columns=_COLUMNS)


def _judge(members: Sequence[_Contrast], level: float) -> None:
    """Add to the rows of a family what depends on how many there are."""
    count = len(members)
    joint = 1 - (1 - level) / count
    p = np.array([each.row["p"] for each in members], np.float64)
    # A comparison without p counts as one that is not rejected: the others pay for it.
    adjusted = np.where(np.isnan(p), np.nan, holm(np.nan_to_num(p, nan=1.0)))
    for each, own in zip(members, adjusted.tolist(), strict=True):
        row = each.row
        low, high = each.interval(joint)
        told = _leaves_out_0(row["low"], row["high"])
        told &= _leaves_out_0(low, high) if row["test"] == JOINT else own <= 1 - level
        critical = (high - low) / 2 / each.error if each.error else math.nan
        metric = str(row["metric"]).replace("_", " ")
        row |= {
            "family": f"{metric}, {SCOPES[row['kind']]}",
            "comparisons": count,
            "p_holm": own,
            "joint_low": low,
            "joint_high": high,
            "detectable": float(smallest_detectable(each.error, critical)),
            "verdict": SUPPORTED if told else CANNOT_TELL,
        }


def _leaves_out_0(low: float, high: float) -> bool:
    return low > 0 or high < 0


def _of_networks(
    first: TrainedRun,
    second: TrainedRun,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    settings: Settings,
) -> Iterator[_Contrast]:
    """Yield the comparisons of two networks."""

    @cache
    def at(level: float) -> pd.DataFrame:
        models = first.rows, second.rows
        return compare_models(*models, classes, attributes, settings=replace(settings, level=level))

    table = at(settings.level)
    for place in table.index[table["metric"].isin(METRICS)]:
        row = {str(key): value for key, value in table.loc[place].items()}
        by_person = str(row["method"]).endswith("by person")
        tested = math.isfinite(row["p"])
        own = {
            **{"first": first.name, "second": second.name, "first_seeds": 1, "second_seeds": 1},
            "against": None if pd.isna(row["against"]) else row["against"],
            "resampled": "none" if row["reason"] else "persons" if by_person else "faces",
            "test": row["test"] if tested else "none" if row["reason"] else JOINT,
        }
        error = (row["high"] - row["low"]) / 2 / normal_critical(settings.level)
        yield _contrast(row | own, partial(_bounds, at, place), error, settings)


def _bounds(at: Callable[[float], pd.DataFrame], place: int, level: float) -> tuple[float, float]:
    row = at(level).loc[place]
    return float(row["low"]), float(row["high"])


def _of_seeds(
    first: Variant,
    second: Variant,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    settings: Settings,
) -> Iterator[_Contrast]:
    """Yield the comparisons of two variants with several seeds each."""
    tables = [[run.rows for run in each.runs] for each in (first, second)]
    names = {"first": first.name, "second": second.name}
    for crossed in crossed_groups(tables, classes, attributes, (), settings, METRICS):
        places: list[tuple[int, ...]] = [(group,) for group in crossed.shown()]
        if crossed.attribute != "all":
            places += combinations(crossed.eligible(settings.min_group), 2)
        for place in places:
            yield _crossed_contrast(crossed, place, names, settings)


def _crossed_contrast(
    crossed: Crossed, place: tuple[int, ...], names: Mapping[str, str], settings: Settings
) -> _Contrast:
    """Return one comparison over seeds and faces."""

    def interval(level: float) -> tuple[float, float]:
        half = estimate(crossed, place, level).half_width
        return difference - half, difference + half

    found = estimate(crossed, place, settings.level)
    difference = found.values[0] - found.values[1]
    low, high = interval(settings.level)
    row = {
        **names,
        **{"first_seeds": int(crossed.seeds[0]), "second_seeds": int(crossed.seeds[1])},
        **{"attribute": crossed.attribute, "group": crossed.groups[place[0]]},
        "against": crossed.groups[place[1]] if len(place) > 1 else None,
        "metric": crossed.metric,
        "n": int(crossed.n[[*place]].sum()),
        "units": int(crossed.units[[*place]].sum()),
        "resampled": str(found.columns["method"]).removeprefix("crossed "),
        **dict(zip(("first_value", "second_value"), found.values, strict=True)),
        **{"difference": difference, "low": low, "high": high},
        **{"only_first": math.nan, "only_second": math.nan},
        "test": "none" if found.columns["reason"] else CROSSED,
        "p": _crossed_p(crossed, place, abs(difference)),
        "reason": found.columns["reason"],
    }
    error = math.hypot(found.columns["seed_error"], found.columns["face_error"])
    return _contrast(row, interval, error, settings)


def _crossed_p(crossed: Crossed, place: tuple[int, ...], distance: float) -> float:
    """Return 1 - the confidence at which the interval of a difference just touches 0."""
    from scipy.optimize import brentq

    def beyond(p: float) -> float:
        return estimate(crossed, place, 1 - p).half_width - distance

    if math.isnan(beyond(0.5)):
        return math.nan
    if beyond(_SMALLEST_P) <= 0:
        return _SMALLEST_P
    return float(brentq(beyond, _SMALLEST_P, 1.0))


def _contrast(
    row: Mapping[str, Any],
    interval: Callable[[float], tuple[float, float]],
    error: float,
    settings: Settings,
) -> _Contrast:
    """Complete the columns that every comparison has before its family is known."""
    kind = "gap" if row["against"] is not None else "all" if row["attribute"] == "all" else "group"
    small = kind == "group" and (row["n"] < settings.min_group or row["group"] == UNKNOWN)
    nothing = math.isnan(row["p"]) and math.isnan(row["low"])
    reason = row["reason"] or ("too few faces to be compared" if small else "")
    own = {
        "kind": kind,
        "verdict": NOT_COMPARED if small or nothing else "",
        "reason": reason,
        **dict.fromkeys(("p_holm", "joint_low", "joint_high", "detectable"), math.nan),
        **{"family": "", "comparisons": 0},
    }
    return _Contrast({**row, **own}, interval, error)


def write_paired_differences(runs: Sequence[TrainedRun], folder: Path) -> pd.DataFrame:
    """Write `paired_differences.csv` and `paired_differences.json`.

    Args:
        runs: as `facebias.runs.trained.load_runs` returns them.
        folder: of the comparison.

    Returns:
        See `paired_differences`; no rows, and no files, where all runs are seeds of one variant.

    Raises:
        RunError: if a file cannot be written.
        DataError: see `paired_differences`.
    """
    variants = find_variants(runs)
    settings = Settings()
    table = paired_differences(variants, runs[0].classes, shared_attributes(runs), settings)
    if table.empty:
        return table
    with whole_file(folder / TABLE) as temporary:
        table.to_csv(temporary, index=False)
    write_json(folder / REPORT, _content(variants, table, settings))
    return table


def _content(
    variants: Sequence[Variant], table: pd.DataFrame, settings: Settings
) -> dict[str, Any]:
    """Return variants and rows as JSON has them; what is undefined is null."""
    plain = table.astype(object).where(table.notna(), None)
    return {
        "schema_version": SCHEMA_VERSION,
        "settings": vars(settings),
        "variants": [
            {"name": each.name, "folders": [str(run.folder) for run in each.runs]}
            for each in variants
        ],
        "differences": plain.to_dict(orient="records"),
    }


def print_paired(table: pd.DataFrame) -> None:
    """Print the differences on all faces, what is supported of groups and gaps, and the words.

    Args:
        table: as `write_paired_differences` returns it.
    """
    console = console_for_tables()
    if table.empty:
        said = "All runs are seeds of one variant: facebias.summary says what they have in common."
        console.print(said, highlight=False)
        return
    whole = table["kind"] == "all"
    chosen = table[whole | (table["verdict"] == SUPPORTED)]
    console.print(_printed(chosen.head(_MOST_ROWS)))
    hidden = len(chosen) - _MOST_ROWS
    if hidden > 0:
        console.print(f"{hidden} more supported or of all faces in {TABLE}", highlight=False)
    rest = table[~whole & (table["verdict"] == CANNOT_TELL)]
    if len(rest):
        console.print(
            f"Not shown: {len(rest)} differences of groups and gaps of which it cannot be told "
            f"({TABLE})",
            highlight=False,
        )
    for said in table.loc[whole & (table["metric"] == "accuracy"), "says"].head(_MOST_ROWS):
        console.print(f"- {said}", highlight=False, markup=False, soft_wrap=True)


def _printed(rows: pd.DataFrame) -> Table:
    """Return the table to print: comparisons down, each two variants below their names."""
    printed = Table(title="differences on the same faces, in points")
    printed.add_column("first minus second", overflow="fold")
    for name in ("faces", "metric", "difference [95 % interval]", "p (Holm)", "verdict"):
        printed.add_column(name, justify="right", overflow="fold")
    for (first, second), part in rows.groupby(["first", "second"], sort=False):
        printed.add_section()
        printed.add_row(f"{first} - {second}", style="bold")
        for row in part.to_dict(orient="records"):
            printed.add_row(*_printed_cells(row))
    return printed


def _printed_cells(row: Mapping[str, Any]) -> list[str]:
    """Format one comparison."""
    place = "all faces" if row["kind"] == "all" else f"{row['attribute']}: {row['group']}"
    if row["kind"] == "gap":
        place += f" - {row['against']}"
    size = f"{points(row['difference'])} [{points(row['low'])}, {points(row['high'])}]"
    metric = str(row["metric"]).replace("_", " ")
    return [
        *(place, f"{row['n']:,}", metric, size),
        *(p_value(row["p_holm"]), str(row["verdict"])),
    ]
