"""How variants read the valences of faces: raw, prior-corrected and by scores, and the shifts.

The words "what survives the correction" are those of the prior-corrected rows of
`valence_shifts`: they say how much of the raw shift is left once each model's own shares of the
training are divided out, and whether that can be told from nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from facebias.fairness.predictions import UNKNOWN, GroupCodes, all_group_codes, scored_rows
from facebias.fairness.settings import Settings
from facebias.fairness.significance import holm
from facebias.fairness.valence import CORRECTED, RAW, VALENCES, ValenceModel, declared_valences
from facebias.fairness.valence_seeds import (
    Reading,
    read_by_seeds,
    seed_valence_shifts,
    seed_valences,
)
from facebias.report.paired import SCOPES, Variant, VariantPair, variant_pairs
from facebias.report.paired_words import CANNOT_TELL, NOT_COMPARED, SUPPORTED
from facebias.report.shift_words import shift_sentence
from facebias.runs.trained import TrainedRun

_BY_VARIANT = [
    *("variant", "seeds", "dose", "bias", "attribute", "group", "reading", "true", "read"),
    *("n", "units", "value", "low", "high", "resampled", "status", "reason"),
]
_SHIFTS = [
    *("first", "second", "first_seeds", "second_seeds", "attribute", "group", "reading", "true"),
    *("read", "n", "units", "first_value", "second_value", "difference", "low", "high"),
    *("resampled", "test", "p", "family", "comparisons", "p_holm", "verdict", "reason", "says"),
]


def valence_by_variant(
    variants: Sequence[Variant],
    attributes: Mapping[str, Sequence[str]],
    settings: Settings | None = None,
) -> pd.DataFrame | None:
    """Return how each variant reads the valences of all faces and of every group.

    Valences are those of the first run's `callbacks.fairness.valences`.

    Args:
        variants: one or more, with the same faces.
        attributes: the declared groups of each attribute.
        settings: how groups are judged.

    Returns:
        A row a variant, group, reading, true and read valence: variant, seeds, dose (of the bias;
        NaN if it has none), bias (its variant), attribute, group, reading ("raw",
        "prior-corrected", "scores"), true, read, n (faces; of the scores those of both valences),
        units (faces or persons), value (mean over seeds, 0..1), low, high (`settings.level`),
        resampled ("seeds x faces", "seeds x persons"; with one seed "faces" or "persons", and
        "none" without an interval), status (as of `facebias.fairness.valence.valence_readings`)
        and reason (why there is no interval). Undefined is NaN. None where a label has no valence.

    Raises:
        DataError: if the runs have not the same faces.
    """
    settings = settings or Settings()
    valences = _valences(variants)
    if valences is None:
        return None
    classes = variants[0].runs[0].classes
    parts = []
    for variant in variants:
        models = _models(variant.runs, classes)
        for codes in all_group_codes(models[0].rows.table, attributes, ()):
            found = seed_valences(models, codes, classes, settings, valences=valences)
            parts.append(found.assign(**_names(variant)))
    return pd.concat(parts, ignore_index=True)[_BY_VARIANT]


def valence_shifts(
    variants: Sequence[Variant],
    attributes: Mapping[str, Sequence[str]],
    settings: Settings | None = None,
) -> pd.DataFrame | None:
    """Compare how each two variants read the same faces of one valence as another.

    The faces are the neutral ones, or, where no class is neutral, those of the first valence that
    the classes have. Which two are compared: `facebias.report.paired.variant_pairs`. Intervals and
    tests: `facebias.fairness.valence_seeds.seed_valence_shifts`.

    A family is one reading of all pairs and all valences that the faces are read as, of all faces
    or of the groups. p-values are adjusted over it (Holm 1979). A shift is supported where its
    adjusted p-value is at most 1 - level and its own interval leaves out 0.

    Args:
        variants: two or more, with the same faces.
        attributes: the declared groups of each attribute.
        settings: how groups are judged.

    Returns:
        A row a pair, group, reading and read valence: first, second, first_seeds, second_seeds,
        attribute, group, reading, true, read, n, units, first_value, second_value, difference
        (first minus second), low, high, resampled, test, p, family, comparisons (in it), p_holm,
        verdict ("supported", "cannot tell", "not compared"), reason (why there is no interval, or
        no comparison), says (the row as a sentence; of a prior-corrected one also what is left of
        the raw shift). Undefined is NaN; rows that are not compared have no family. None where a
        label has no valence; no rows for one variant.

    Raises:
        DataError: if the runs have not the same faces.
    """
    settings = settings or Settings()
    valences = _valences(variants)
    if valences is None:
        return None
    pairs = variant_pairs(variants)
    readings = _Readings(variants, attributes, settings, valences)
    rows = [row for pair in pairs for row in _pair_rows(pair, readings, settings)]
    families: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        row |= {"family": "", "comparisons": 0, "p_holm": math.nan}
        if not row["verdict"]:
            scope = SCOPES["all" if row["attribute"] == "all" else "group"]
            families.setdefault(f"{row['true']} faces, {row['reading']}, {scope}", []).append(row)
    for name, members in families.items():
        _judge(name, members, settings.level)
    _say(rows)
    return pd.DataFrame(rows, columns=_SHIFTS)


def dose_response(by_variant: pd.DataFrame) -> pd.DataFrame | None:
    """Return how readings of all faces change with the dose of a bias.

    Args:
        by_variant: as `valence_by_variant` returns it.

    Returns:
        The rows of all faces whose variant has a dose, with `curve` (what a line joins: the bias,
        and what else tells variants of equal dose apart), by curve and dose; None where no bias has
        two doses.
    """
    rows = by_variant[(by_variant["attribute"] == "all") & by_variant["dose"].notna()]
    curves = rows["variant"].where(rows["bias"] == "", _curve_names(rows))
    rows = rows.assign(curve=curves)
    doses = rows.groupby("curve")["dose"].transform("nunique")
    rows = rows[doses > 1]
    if rows.empty:
        return None
    order = ["reading", "true", "read", "curve", "dose"]
    return rows.sort_values(order, kind="stable").reset_index(drop=True)


def _curve_names(rows: pd.DataFrame) -> list[str]:
    """Name what tells variants apart beside their dose."""
    return [
        ", ".join(
            word for word in str(name).split(", ") if not word.startswith(("bias.dose ", "seed "))
        )
        or str(bias)
        for name, bias in zip(rows["variant"], rows["bias"], strict=True)
    ]


def _valences(variants: Sequence[Variant]) -> dict[str, str] | None:
    first = variants[0].runs[0]
    said = OmegaConf.select(first.config, "callbacks.fairness.valences")
    return declared_valences(first.classes, said)


def _models(runs: Iterable[TrainedRun], classes: Sequence[str]) -> list[ValenceModel]:
    """Return the answers of runs, their faces in one order."""
    return [
        ValenceModel(scored_rows(run.rows.sort_values("id"), classes), run.train_prior())
        for run in runs
    ]


def _names(variant: Variant) -> dict[str, Any]:
    config = variant.runs[0].config
    return {
        "variant": variant.name,
        "seeds": len(variant.runs),
        "dose": bias_dose(config),
        "bias": str(OmegaConf.select(config, "bias.variant") or ""),
    }


def bias_dose(config: DictConfig) -> float:
    """Return the dose of a run's bias: NaN if it has none, 0 of balanced valences."""
    dose = OmegaConf.select(config, "bias.dose")
    if dose is None:
        return math.nan
    # Beside "balanced" the dose says what total it has in common with its twins.
    return 0.0 if config.bias.variant == "balanced" else float(dose)


class _Readings:
    """The readings of every run and variant, each made once.

    Attributes:
        codes: of all faces, then of each attribute.
    """

    def __init__(
        self,
        variants: Sequence[Variant],
        attributes: Mapping[str, Sequence[str]],
        settings: Settings,
        valences: Mapping[str, str],
    ) -> None:
        self.classes = variants[0].runs[0].classes
        runs = [run for variant in variants for run in variant.runs]
        models = _models(runs, self.classes)
        self._models = {id(run): model for run, model in zip(runs, models, strict=True)}
        self.codes = all_group_codes(models[0].rows.table, attributes, ())
        present = set(valences.values())
        own = "neutral" if "neutral" in present else next(v for v in VALENCES if v in present)
        self._asked: dict[str, Any] = {"valences": valences, "trues": (own,)}
        self._settings = settings
        self._made: dict[tuple[int, ...], list[Reading]] = {}

    def of(self, variant: Variant, codes: GroupCodes) -> list[Reading]:
        """Return how a variant reads the groups of an attribute, as other valences."""
        key = (*(id(run) for run in variant.runs), id(codes))
        if key not in self._made:
            models = [self._models[id(run)] for run in variant.runs]
            found = read_by_seeds(models, codes, self.classes, self._settings, **self._asked)
            self._made[key] = [each for each in found if each.read != each.true]
        return self._made[key]


def _pair_rows(pair: VariantPair, readings: _Readings, settings: Settings) -> list[dict[str, Any]]:
    """Return the rows of two variants, before their families are known."""
    names = {
        **{"first": pair.first.name, "second": pair.second.name},
        **{"first_seeds": len(pair.first.runs), "second_seeds": len(pair.second.runs)},
    }
    rows: list[dict[str, Any]] = []
    for codes in readings.codes if pair.groups else readings.codes[:1]:
        first, second = (readings.of(each, codes) for each in (pair.first, pair.second))
        rows += [names | row for row in seed_valence_shifts(first, second, settings)]
    for row in rows:
        group = row["attribute"] != "all"
        small = group and (row["n"] < settings.min_group or row["group"] == UNKNOWN)
        row["verdict"] = NOT_COMPARED if small or math.isnan(row["difference"]) else ""
        if small and not row["reason"]:
            row["reason"] = "too few faces to be compared"
    return rows


def _judge(family: str, members: Sequence[dict[str, Any]], level: float) -> None:
    """Add to the rows of a family what depends on how many there are."""
    p = np.array([row["p"] for row in members], np.float64)
    # A comparison without p counts as one that is not rejected: the others pay for it.
    adjusted = np.where(np.isnan(p), np.nan, holm(np.nan_to_num(p, nan=1.0)))
    for row, own in zip(members, adjusted.tolist(), strict=True):
        told = (row["low"] > 0 or row["high"] < 0) and own <= 1 - level
        row |= {"family": family, "comparisons": len(members), "p_holm": own}
        row["verdict"] = SUPPORTED if told else CANNOT_TELL


def _say(rows: Sequence[dict[str, Any]]) -> None:
    """Add the sentences; a corrected shift is said beside the raw one."""
    keys = ("first", "second", "attribute", "group", "true", "read")
    raw = {tuple(row[key] for key in keys): row for row in rows if row["reading"] == RAW}
    for row in rows:
        beside = raw[tuple(row[key] for key in keys)] if row["reading"] == CORRECTED else None
        row["says"] = shift_sentence(row, beside)
