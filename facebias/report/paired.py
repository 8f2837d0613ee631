"""Variants beside each other on the same faces: differences, intervals, corrected tests."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from facebias.fairness.crossed import (
    CROSSED,
    Contrast,
    Counted,
    Crossed,
    SeedTerms,
    contrast,
    count_average,
    decision_values,
    join,
    seed_terms,
    seeds_of_variants,
    touching_p,
)
from facebias.fairness.intervals import normal_critical
from facebias.fairness.metrics import AVERAGES
from facebias.fairness.paired import compare_places
from facebias.fairness.predictions import UNKNOWN, Codes, GroupCodes, all_group_codes
from facebias.fairness.settings import Settings
from facebias.fairness.significance import holm, smallest_detectable
from facebias.report.paired_words import (
    CANNOT_TELL,
    JOINT,
    NOT_COMPARED,
    SUPPORTED,
    sentence,
)
from facebias.runs.settings import bias_name, differing_settings, telling_keys
from facebias.runs.trained import TrainedRun

METRICS = ("accuracy", "macro_recall")
SCOPES = {"all": "all faces", "group": "groups", "gap": "gaps between groups"}
"""What a row is about, by its `kind`: each is a family of its own in each metric."""

MOST_VARIANTS = 12
"""Of more variants, groups are compared with those of the first alone; all faces of each two."""

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
class VariantPair:
    """Two variants, or two networks, that are compared.

    Attributes:
        first: one.
        second: the other.
        groups: whether groups are compared too, and not all faces alone.
    """

    first: Variant
    second: Variant
    groups: bool

    @property
    def networks(self) -> bool:
        """Whether two single networks are compared."""
        return len(self.first.runs) == len(self.second.runs) == 1


@dataclass(frozen=True, eq=False)
class _Contrast:
    """One comparison before its family is known.

    Attributes:
        row: the columns that do not depend on the family.
        interval: from a confidence in (0, 1) to low and high.
        error: standard error of the difference.
        crossed: what a comparison over seeds is made of; None for two networks.
    """

    row: dict[str, Any]
    interval: Callable[[float], tuple[float, float]]
    error: float
    crossed: Contrast | None


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


def variant_pairs(variants: Sequence[Variant]) -> list[VariantPair]:
    """Return each two variants; where one has one seed only, each two of their networks.

    Of more than `MOST_VARIANTS`, groups are compared with those of the first variant alone: 50
    runs with three attributes of eight groups would make a table of 270,000 rows, and a family in
    which nothing could be told.

    Args:
        variants: in their order.
    """
    few = len(variants) <= MOST_VARIANTS
    found = []
    for first, second in combinations(variants, 2):
        groups = few or first is variants[0]
        if min(len(first.runs), len(second.runs)) > 1:
            found.append(VariantPair(first, second, groups))
            continue
        for one, other in product(first.runs, second.runs):
            networks = [Variant(run.name, (run,)) for run in (one, other)]
            found.append(VariantPair(networks[0], networks[1], groups))
    return found


def _name(
    chosen: Mapping[str, str], repeated: Sequence[str], runs: Sequence[TrainedRun], folds: bool
) -> str:
    """Name a variant by the settings that tell it from the others."""
    if len(runs) == 1:
        return runs[0].name
    words = [
        bias_name(value) if key == "bias.variant" else f"{key} {value}"
        for key, value in chosen.items()
    ]
    fold, times = repeated
    words = words or [bias_name(runs[0].config.bias.variant)]
    name = ", ".join([*words, *[f"fold {fold}"] * folds])
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
    pairs = variant_pairs(variants)
    if not pairs:
        return pd.DataFrame(columns=_COLUMNS)
    faces = _Faces(variants, classes, attributes, settings)
    found = [
        each
        for pair in pairs
        for each in (_of_networks if pair.networks else _of_seeds)(pair, faces)
    ]
    _add_p(found)
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


class _Faces:
    """The faces, and what every run and variant says of them, each worked out once.

    Attributes:
        rows: of the faces, N of them.
        codes: of all faces, then of each attribute.
        n_classes: how many there are.
        settings: how groups are judged.
    """

    def __init__(
        self,
        variants: Sequence[Variant],
        classes: Sequence[str],
        attributes: Mapping[str, Sequence[str]],
        settings: Settings,
    ) -> None:
        tables = [[run.rows for run in variant.runs] for variant in variants]
        self.rows, predicted = seeds_of_variants(tables, classes, attributes)
        runs = [run for variant in variants for run in variant.runs]
        self._predicted = {
            id(run): each for run, each in zip(runs, np.concatenate(predicted), strict=True)
        }
        self.codes = all_group_codes(self.rows.table, attributes, ())
        self.n_classes, self.settings = len(classes), settings
        self._counted = {
            (codes.attribute, metric): count_average(
                metric, self.rows, codes, self.n_classes, settings.min_class
            )
            for codes in self.codes
            for metric in METRICS
        }
        self._terms: dict[tuple[Any, ...], SeedTerms] = {}

    def predicted(self, variant: Variant) -> Codes:
        """Return what the R runs of a variant predict, shape (R, N)."""
        return np.stack([self._predicted[id(run)] for run in variant.runs])

    def crossed(self, pair: VariantPair, codes: GroupCodes, metric: str) -> Crossed:
        """Return a metric of two variants in the groups of an attribute."""
        counted = self._counted[codes.attribute, metric]
        sides = [self._side(each, counted) for each in (pair.first, pair.second)]
        return join(counted, sides)

    def _side(self, variant: Variant, counted: Counted) -> SeedTerms:
        key = (*(id(run) for run in variant.runs), counted.attribute, counted.metric)
        if key not in self._terms:
            found = decision_values(
                AVERAGES[counted.metric],
                self.rows.labels,
                self.predicted(variant),
                counted,
                self.n_classes,
            )
            self._terms[key] = seed_terms(found, counted)
        return self._terms[key]

    def asked(self, pair: VariantPair) -> Sequence[GroupCodes]:
        """Return the groups in which two variants are compared."""
        return self.codes if pair.groups else self.codes[:1]


def _of_networks(pair: VariantPair, faces: _Faces) -> Iterator[_Contrast]:
    """Yield the comparisons of two networks."""
    names = {"first": pair.first.name, "second": pair.second.name}
    predicted = np.concatenate([faces.predicted(each) for each in (pair.first, pair.second)])
    settings = faces.settings
    for codes in faces.asked(pair):
        for found in compare_places(
            faces.rows, predicted, codes, faces.n_classes, settings, METRICS
        ):
            row = found.row
            by_person = str(row["method"]).endswith("by person")
            tested = math.isfinite(row["p"])
            own = {
                **names,
                **{"first_seeds": 1, "second_seeds": 1},
                "resampled": "none" if row["reason"] else "persons" if by_person else "faces",
                "test": row["test"] if tested else "none" if row["reason"] else JOINT,
            }
            error = (row["high"] - row["low"]) / 2 / normal_critical(settings.level)
            yield _contrast(row | own, found.interval, error, settings)


def _of_seeds(pair: VariantPair, faces: _Faces) -> Iterator[_Contrast]:
    """Yield the comparisons of two variants with several seeds each."""
    names = {"first": pair.first.name, "second": pair.second.name}
    for codes in faces.asked(pair):
        for metric in METRICS:
            crossed = faces.crossed(pair, codes, metric)
            places: list[tuple[int, ...]] = [(group,) for group in crossed.shown()]
            if crossed.attribute != "all":
                places += combinations(crossed.eligible(faces.settings.min_group), 2)
            for place in places:
                yield _crossed_contrast(crossed, place, names, faces.settings)


def _crossed_contrast(
    crossed: Crossed, place: tuple[int, ...], names: Mapping[str, str], settings: Settings
) -> _Contrast:
    """Return one comparison over seeds and faces; its p comes later."""
    found = contrast(crossed, place)
    difference = found.values[0] - found.values[1]

    def interval(level: float) -> tuple[float, float]:
        half = found.half_width(level)
        return difference - half, difference + half

    low, high = interval(settings.level)
    units = "persons" if crossed.by_person else "faces"
    row = {
        **names,
        **{"first_seeds": int(crossed.seeds[0]), "second_seeds": int(crossed.seeds[1])},
        **{"attribute": crossed.attribute, "group": crossed.groups[place[0]]},
        "against": crossed.groups[place[1]] if len(place) > 1 else None,
        "metric": crossed.metric,
        "n": int(crossed.n[[*place]].sum()),
        "units": int(crossed.units[[*place]].sum()),
        "resampled": "none" if found.reason else f"seeds x {units}",
        **dict(zip(("first_value", "second_value"), found.values, strict=True)),
        **{"difference": difference, "low": low, "high": high},
        **{"only_first": math.nan, "only_second": math.nan},
        **{"test": "none" if found.reason else CROSSED, "p": math.nan},
        "reason": found.reason,
    }
    error = math.nan if found.reason else math.sqrt(sum(found.terms))
    return _contrast(row, interval, error, settings, found)


def _add_p(found: Sequence[_Contrast]) -> None:
    """Add to comparisons over seeds 1 - the confidence at which their interval touches 0."""
    tested = [each for each in found if each.crossed and not each.crossed.reason]
    if not tested:
        return
    distance = np.array([abs(each.row["difference"]) for each in tested])
    terms, freedom = (
        np.array([getattr(each.crossed, name) for each in tested], np.float64)
        for name in ("terms", "freedom")
    )
    for each, p in zip(tested, touching_p(terms, freedom, distance).tolist(), strict=True):
        each.row["p"] = p


def _contrast(
    row: Mapping[str, Any],
    interval: Callable[[float], tuple[float, float]],
    error: float,
    settings: Settings,
    crossed: Contrast | None = None,
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
    return _Contrast({**row, **own}, interval, error, crossed)
