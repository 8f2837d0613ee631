"""Variants of a training group by group: metrics, gaps and calibration, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.fairness.crossed import (
    Counted,
    Crossed,
    count_average,
    count_rows,
    decision_values,
    join,
    seed_terms,
    seeds_of_variants,
    share_values,
)
from facebias.fairness.intervals import student_interval
from facebias.fairness.metrics import AVERAGES
from facebias.fairness.paired import distinct_persons
from facebias.fairness.predictions import (
    UNKNOWN,
    Codes,
    GroupCodes,
    ScoredRows,
    all_group_codes,
    scored_rows,
)
from facebias.fairness.priors import prior_corrected
from facebias.fairness.scores import reliability, score_measures
from facebias.fairness.seeds import gap_rows, measure_rows
from facebias.fairness.settings import Settings
from facebias.fairness.valence import CORRECTED, RAW
from facebias.report.paired import Variant
from facebias.runs.trained import TrainedRun

AVERAGED = ("accuracy", "macro_recall", "macro_f1")
BY_CLASS = ("recall", "precision")
SCORED = ("auroc", "brier", "log_loss", "ece_equal_mass")
"""Metrics of scores, in the order of the tables."""

_GROUPS = [
    *("variant", "seeds", "reading", "attribute", "group", "metric", "class", "value"),
    *("low", "high", "n", "units", "status", "resampled", "reason"),
]
_GAPS = [
    *("variant", "seeds", "reading", "attribute", "metric", "kind", "first", "second"),
    *("first_value", "second_value", "difference", "low", "high", "eligible", "groups"),
    *("resampled", "reason"),
]
_CALIBRATION = [
    *("variant", "seeds", "attribute", "group", "metric", "value", "low", "high"),
    *("if_calibrated", "n", "units", "status", "resampled", "reason"),
]
_CURVES = ["variant", "seeds", "bin", "n", "confidence", "share", "low", "high"]


def groups_by_variant(
    variants: Sequence[Variant],
    attributes: Mapping[str, Sequence[str]],
    intersections: Sequence[Sequence[str]] = (),
    settings: Settings | None = None,
) -> pd.DataFrame:
    """Return every metric of all faces and of every group by variant, raw and prior-corrected.

    With several seeds, seeds and faces are crossed (`facebias.fairness.crossed`). With one seed the
    interval holds other faces alone: of a share of independent rows it is Wilson's.

    Args:
        variants: one or more; the runs of each have the same faces.
        attributes: the declared groups of each attribute.
        intersections: sets of attributes whose combinations are groups too.
        settings: how groups are judged; replicates and seed are not used.

    Returns:
        A row a variant, reading, group, metric and class: variant, seeds, reading ("raw",
        "prior-corrected"; a variant of which a run's training lacked a class has the raw one
        alone), attribute, group, metric ("accuracy", "macro_recall", "macro_f1", "recall",
        "precision"), class (of the last two), value (mean over seeds, 0..1), low, high, n (faces
        behind it: of a recall those of the class, of a precision those taken for it by the seed
        with the fewest), units (faces or persons), status ("ok", "too small", "empty", "unknown"),
        resampled ("seeds x faces", "seeds x persons", "faces", "persons", "none") and reason (why
        there is no interval). Undefined is NaN.

    Raises:
        DataError: if the runs of a variant have not the same faces.
    """
    settings = settings or Settings()
    rows = []
    for names, scored, predicted in _readings(variants, attributes):
        classes = variants[0].runs[0].classes
        for codes in all_group_codes(scored.table, attributes, intersections):
            for crossed, name in _measured(scored, predicted, codes, classes, settings):
                found = measure_rows(crossed, settings)
                rows += [names | {"class": name} | _resampled(row) for row in found]
    return pd.DataFrame(rows, columns=_GROUPS)


def gaps_by_variant(
    variants: Sequence[Variant],
    attributes: Mapping[str, Sequence[str]],
    intersections: Sequence[Sequence[str]] = (),
    settings: Settings | None = None,
) -> pd.DataFrame:
    """Return the gaps between groups by variant, raw and prior-corrected.

    Args:
        variants: as of `groups_by_variant`.
        attributes: the declared groups of each attribute.
        intersections: sets of attributes whose combinations are groups too.
        settings: how groups are judged.

    Returns:
        For each variant, reading, attribute and metric ("accuracy", "macro_recall", "macro_f1") the
        rows of `facebias.fairness.seeds.seed_gaps`: each pair of groups, and the largest once more
        (kind "largest", its interval allowing for the search): variant, seeds, reading, attribute,
        metric, kind, first, second, first_value, second_value, difference, low, high, eligible and
        groups (how many were compared, of how many), resampled, reason.

    Raises:
        DataError: as of `groups_by_variant`.
    """
    settings = settings or Settings()
    rows = []
    for names, scored, predicted in _readings(variants, attributes):
        n_classes = len(variants[0].runs[0].classes)
        for codes in all_group_codes(scored.table, attributes, intersections)[1:]:
            for metric in AVERAGED:
                crossed = _average(metric, scored, predicted, codes, n_classes, settings)
                rows += [names | _resampled(row) for row in gap_rows(crossed, settings)]
    return pd.DataFrame(rows, columns=_GAPS)


def _readings(
    variants: Sequence[Variant], attributes: Mapping[str, Sequence[str]]
) -> Iterator[tuple[dict[str, Any], ScoredRows, Codes]]:
    """Yield the names, rows and predictions (R, N) of each variant and reading."""
    classes = variants[0].runs[0].classes
    for variant in variants:
        names = {"variant": variant.name, "seeds": len(variant.runs)}
        for reading in (RAW, CORRECTED):
            tables = [_table(run, reading) for run in variant.runs]
            known = [table for table in tables if table is not None]
            if len(known) == len(tables):
                rows, (predicted,) = seeds_of_variants([known], classes, attributes)
                yield names | {"reading": reading}, rows, predicted


def _table(run: TrainedRun, reading: str) -> pd.DataFrame | None:
    """Return a run's predictions; None where its training lacked a class."""
    if reading == RAW:
        return run.rows
    prior = run.train_prior()
    return prior_corrected(run.rows, run.classes, prior) if all(prior.values()) else None


def _measured(
    rows: ScoredRows,
    predicted: Codes,
    codes: GroupCodes,
    classes: Sequence[str],
    settings: Settings,
) -> Iterator[tuple[Crossed, str | None]]:
    """Yield every metric of an attribute's groups, and its class."""
    for metric in AVERAGED:
        yield _average(metric, rows, predicted, codes, len(classes), settings), None
    for metric in BY_CLASS:
        for place, name in enumerate(classes):
            yield _of_class(metric, place, rows, predicted, codes, settings), name


def _average(
    metric: str,
    rows: ScoredRows,
    predicted: Codes,
    codes: GroupCodes,
    n_classes: int,
    settings: Settings,
) -> Crossed:
    counted = count_average(metric, rows, codes, n_classes, settings.min_class)
    values = decision_values(AVERAGES[metric], rows.labels, predicted, counted, n_classes)
    return join(counted, [seed_terms(values, counted)], other_seeds=len(predicted) > 1)


def _of_class(
    metric: str,
    place: int,
    rows: ScoredRows,
    predicted: Codes,
    codes: GroupCodes,
    settings: Settings,
) -> Crossed:
    """Return the recall or precision of a class."""
    labels = np.broadcast_to(rows.labels, predicted.shape)
    members = (labels if metric == "recall" else predicted) == place
    counted = _count_members(metric, members, rows, codes, settings.min_class)
    found = share_values((labels == predicted).astype(np.float64), counted, members)
    return join(counted, [seed_terms(found, counted)], other_seeds=len(predicted) > 1)


def _count_members(
    metric: str,
    members: npt.NDArray[np.bool_],
    rows: ScoredRows,
    codes: GroupCodes,
    min_class: int,
) -> Counted:
    """Count the rows that a share is of (R, N), by the seed that has the fewest."""
    counted = count_rows(metric, codes, rows.persons)
    size = len(counted.groups)
    n = np.min([np.bincount(counted.codes[each], minlength=size) for each in members], axis=0)
    units = n
    if counted.by_person and members.any(axis=1).all():
        of_seeds = [
            distinct_persons(counted.persons[each], counted.codes[each], size) for each in members
        ]
        units = np.min(of_seeds, axis=0)
    return replace(counted, n=n, units=units, rarest=units, judged=n >= min_class)


def _resampled(row: Mapping[str, Any]) -> dict[str, Any]:
    """Say what was drawn anew in place of the method's name."""
    return {**row, "resampled": str(row["method"]).removeprefix("crossed ")}


def calibration_by_variant(
    variants: Sequence[Variant],
    attributes: Mapping[str, Sequence[str]] | None = None,
    settings: Settings | None = None,
) -> pd.DataFrame:
    """Return metrics of the scores by variant: the mean over seeds.

    With two or more seeds the interval is Student's t over them: other seeds on these faces. With
    one it is the run's own over faces (`facebias.fairness.scores.score_measures`), and the ECE has
    none.

    Args:
        variants: one or more.
        attributes: the declared groups of each attribute; None: all faces alone.
        settings: how groups are judged.

    Returns:
        A row a variant, group and metric of `SCORED`: variant, seeds, attribute, group, metric,
        value, low, high, if_calibrated (of the ECE: what a perfectly calibrated model of the same
        scores would show), n, units, status (of the first seed that is not "ok"), resampled
        ("seeds"; with one seed "faces", "persons"; "none" without an interval), reason. Undefined
        in any seed is NaN.
    """
    settings = settings or Settings()
    parts = []
    for variant in variants:
        by_seed = [_scores(run, variants, attributes or {}, settings) for run in variant.runs]
        table = _over_seeds(by_seed)
        names = {"variant": variant.name, "seeds": len(variant.runs)}
        parts.append(table.assign(**names))
    return pd.concat(parts, ignore_index=True)[_CALIBRATION]


def _scores(
    run: TrainedRun,
    variants: Sequence[Variant],
    attributes: Mapping[str, Sequence[str]],
    settings: Settings,
) -> pd.DataFrame:
    """Return the metrics of one run's scores, what is simulated beside what it is of."""
    classes = variants[0].runs[0].classes
    rows = scored_rows(run.rows, classes)
    parts = [
        score_measures(rows, codes, classes, settings)
        for codes in all_group_codes(rows.table, attributes, ())
    ]
    table = pd.concat(parts, ignore_index=True)
    table = table[table["class"].isna() & (table["group"] != UNKNOWN)]
    keys = ["attribute", "group", "metric"]
    simulated = table[keys].assign(metric=table["metric"] + "_if_calibrated").reset_index(drop=True)
    values = table.set_index(keys)["value"]
    expected = values.reindex(pd.MultiIndex.from_frame(simulated)).to_numpy()
    table = table.assign(if_calibrated=expected)
    return table[table["metric"].isin(SCORED)].reset_index(drop=True)


def _over_seeds(by_seed: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the mean over seeds of each row."""
    first = by_seed[0]
    if len(by_seed) == 1:
        person = first["method"].str.endswith("by person")
        none = first["low"].isna()
        why = np.where(
            first["metric"].str.startswith("ece"), "one seed tells nothing of others", ""
        )
        why = np.where(first["value"].isna(), first["status"], why)
        return first.assign(
            resampled=np.select([none, person], ["none", "persons"], "faces"),
            reason=np.where(none, why, ""),
        )
    columns = ("value", "if_calibrated", "status")
    values, expected, statuses = (np.stack([each[name] for each in by_seed]) for name in columns)
    with np.errstate(invalid="ignore"):  # an infinite log loss has no deviation
        mean, deviation = values.mean(axis=0), values.std(axis=0, ddof=1)
    low, high = student_interval(mean, deviation, len(by_seed))
    status = statuses[(statuses != "ok").argmax(axis=0), np.arange(len(first))]
    known = np.isfinite(low) & (deviation > 0)
    highest = first["metric"].map({"log_loss": np.inf, "brier": 2.0}).fillna(1.0)
    return first.assign(
        value=mean,
        low=np.where(known, np.maximum(low, 0), np.nan),
        high=np.where(known, np.minimum(high, highest), np.nan),
        if_calibrated=expected.mean(axis=0),
        status=status,
        resampled=np.where(known, "seeds", "none"),
        reason=np.where(known, "", np.where(np.isfinite(mean), "the seeds do not differ", status)),
    )


def reliability_by_variant(
    variants: Sequence[Variant], settings: Settings | None = None
) -> pd.DataFrame:
    """Return how often answers of a certainty are right, the answers of all seeds together.

    Answers on one face go together: bounds are of as many faces (persons) as there are.

    Args:
        variants: one or more.
        settings: its `level` is used.

    Returns:
        A row a variant and bin of equally many answers: variant, seeds, bin (from 0), n (answers),
        confidence (mean probability of the predicted class), share (of right answers), low, high.
        No rows of a variant without probabilities.
    """
    settings = settings or Settings()
    parts = []
    for variant in variants:
        pool = pd.concat([_named_by_seed(run) for run in variant.runs], ignore_index=True)
        classes = variants[0].runs[0].classes
        rows = scored_rows(pool, classes)
        codes = all_group_codes(rows.table, {}, ())[0]
        curves = reliability(rows, codes, classes, settings)
        curve = curves[curves["class"].isna() & (curves["binning"] == "equal_mass")]
        parts.append(curve.assign(variant=variant.name, seeds=len(variant.runs)))
    return pd.concat(parts, ignore_index=True)[_CURVES]


def _named_by_seed(run: TrainedRun) -> pd.DataFrame:
    """Return a run's predictions, each face a person where it is not one's, under its own id."""
    rows = run.rows.reset_index(drop=True)
    known = rows["identity"] if "identity" in rows.columns else rows["id"]
    ids = rows["id"].astype(str)
    return rows.assign(identity=known.where(known.notna(), ids), id=f"{run.folder} " + ids)
