"""What a comparison measures: every table of its page, made from finished runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd
from omegaconf import OmegaConf

from facebias.data.twins import TwinReport
from facebias.fairness.settings import Settings
from facebias.report.compare_runs import (
    cell_table,
    curve_table,
    leak_table,
    left_out_table,
    run_table,
    setting_table,
    variant_table,
)
from facebias.report.comparison import run_comparison
from facebias.report.paired import Variant, find_variants, paired_differences
from facebias.report.twin_reports import twin_reports, twin_table
from facebias.report.variant_groups import (
    calibration_by_variant,
    gaps_by_variant,
    groups_by_variant,
    reliability_by_variant,
)
from facebias.report.variant_readings import dose_response, valence_by_variant, valence_shifts
from facebias.runs.trained import TrainedRun, shared_attributes


@dataclass(frozen=True, eq=False)
class Comparison:
    """Variants beside each other.

    Attributes:
        runs: all of them.
        variants: runs that differ in nothing but their seed, put together.
        attributes: the groups of each attribute that all runs know.
        intersections: sets of attributes whose combinations are groups too.
        settings: how groups are judged.
        tables: by their name; one that the runs have no data for is absent.
        twins: each variant beside the first.
    """

    runs: Sequence[TrainedRun]
    variants: Sequence[Variant]
    attributes: Mapping[str, Sequence[str]]
    intersections: Sequence[Sequence[str]]
    settings: Settings
    tables: dict[str, pd.DataFrame]
    twins: Sequence[TwinReport]

    @property
    def split(self) -> str:
        """The split that is measured."""
        return self.runs[0].results.headline_split


def compare_runs(runs: Sequence[TrainedRun]) -> Comparison:
    """Measure finished runs beside each other.

    Args:
        runs: with the same faces, as `facebias.runs.trained.load_runs` returns them.

    Raises:
        DataError: if the faces of the runs have other labels or groups.
    """
    variants, settings = find_variants(runs), Settings()
    attributes = shared_attributes(runs)
    intersections = _intersections(runs[0], attributes)
    twins = twin_reports(variants)
    tables = dict(_facts(variants))
    tables["twins"] = twin_table(twins)
    tables["comparison"] = run_comparison(runs)
    crossed = (variants, attributes, intersections, settings)
    tables["groups"] = groups_by_variant(*crossed)
    tables["gaps"] = gaps_by_variant(*crossed)
    classes = runs[0].classes
    tables["paired_differences"] = paired_differences(variants, classes, attributes, settings)
    tables |= _readings(variants, attributes, settings)
    tables["calibration"] = calibration_by_variant(variants, attributes, settings)
    tables["reliability"] = reliability_by_variant(variants, settings)
    kept = {name: table for name, table in tables.items() if len(table)}
    return Comparison(runs, variants, attributes, intersections, settings, kept, twins)


def _intersections(
    run: TrainedRun, attributes: Mapping[str, Sequence[str]]
) -> list[tuple[str, ...]]:
    """Return the sets of attributes that the run crosses; by default every pair."""
    said = OmegaConf.select(run.config, "callbacks.fairness.intersections")
    if said is None:
        return list(combinations(attributes, 2))
    return [tuple(names) for names in said if set(names) <= set(attributes)]


def _facts(variants: Sequence[Variant]) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "variants", variant_table(variants)
    yield "runs", run_table(variants)
    yield "settings", setting_table(variants)
    yield "cells", cell_table(variants)
    yield "left_out", left_out_table(variants)
    yield "leaks", leak_table(variants)
    yield "learning_curves", curve_table(variants)


def _readings(
    variants: Sequence[Variant], attributes: Mapping[str, Sequence[str]], settings: Settings
) -> dict[str, pd.DataFrame]:
    """Return how valences are read; nothing where a label has none."""
    readings = valence_by_variant(variants, attributes, settings)
    shifts = valence_shifts(variants, attributes, settings)
    if readings is None or shifts is None:
        return {}
    found = {"valence": readings, "valence_differences": shifts}
    doses = dose_response(readings)
    return found if doses is None else found | {"dose_response": doses}
