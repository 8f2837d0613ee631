"""Several runs in one table: mean, spread and interval over seeds, means and pools of folds."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from facebias.data.predictions import PREDICTIONS_FILE
from facebias.errors import DataError, RunError
from facebias.fairness.group_metrics import AUROC, DECISION_METRICS, group_metrics
from facebias.fairness.group_report import SCHEMA_VERSION
from facebias.fairness.intervals import student_interval
from facebias.fairness.seeds import pool_folds, seed_gaps, seed_measures
from facebias.fairness.settings import Settings
from facebias.report.groups import REPORT
from facebias.runs.finished import read_train_config
from facebias.runs.settings import differing_settings, telling_keys

logger = logging.getLogger(__name__)

RUNS, MEAN_OF_FOLDS, POOLED = "runs", "mean of folds", "pooled folds"
SEEDS, FOLDS = "seeds", "folds"
GAP = "largest gap"
STUDENT = "student over seeds"
_MEASURED = ["split", "attribute", "group", "metric"]
_COLUMNS = [
    *("reading", "over", "n", "folds", "fewest_faces", "mean", "sd", "low", "high", "interval"),
    *("first", "second"),
]


@dataclass(frozen=True)
class FinishedRun:
    """What a summary reads of a finished training.

    Attributes:
        folder: of the run.
        config: its checked configuration.
        settings: what not all runs of the summary have in common, but for seed and fold.
        predictions: one row a face.
        fairness: its `fairness.json`.
    """

    folder: Path
    config: DictConfig
    settings: dict[str, Any]
    predictions: pd.DataFrame
    fairness: dict[str, Any]

    @property
    def seed(self) -> int:
        """Of initialisation, order and augmentation."""
        return int(self.config.seed)

    @property
    def fold(self) -> int:
        """The part of the train split that validated."""
        return int(self.config.data.fold)

    def measured(self) -> pd.DataFrame:
        """Return a row for each split, attribute, group and metric: value, and faces."""
        parts = [
            _long(split, group_metrics(rows, *_declared(self.fairness[str(split)])))
            for split, rows in self.predictions.groupby("split")
            if str(split) in self.fairness
        ]
        return pd.concat([*parts, self._gaps()], ignore_index=True)

    def _gaps(self) -> pd.DataFrame:
        """Return the largest gaps that the run has found between groups, for itself."""
        rows = [
            {
                **{"split": split, "attribute": gap["attribute"], "group": GAP},
                **{"metric": gap["metric"], "value": gap["difference"], "faces": None},
            }
            for split, report in self.fairness.items()
            for gap in report["gaps"]
        ]
        columns = [*_MEASURED, "value", "faces"]
        return pd.DataFrame(rows, columns=columns).astype({"value": float, "faces": float})


def read_finished(folders: Sequence[Path]) -> list[FinishedRun]:
    """Return what finished trainings have left.

    Args:
        folders: of the runs, one or more.

    Raises:
        RunError: if there is none, one is not finished, or its groups were not measured.
        ConfigError: if one was written by another version and does not fit this one.
    """
    if not folders:
        raise RunError("no runs to sum up", "one run or more", "give runs=[FOLDER,FOLDER]")
    configs = [read_train_config(folder) for folder in folders]
    return [
        FinishedRun(folder, config, settings, *_tables(folder))
        for folder, config, settings in zip(
            folders, configs, differing_settings(configs), strict=True
        )
    ]


def _tables(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        _check_version(folder, report)
        return pd.read_parquet(folder / PREDICTIONS_FILE), report
    except FileNotFoundError as error:
        raise RunError(
            f"a table of {folder} is not there: {error.filename}",
            f"{PREDICTIONS_FILE} and {REPORT}, as a training with callbacks.fairness leaves them",
            "delete its status.json and give its command again (environment.json has it), with "
            "callbacks.fairness; or leave the run out",
        ) from error


def _check_version(folder: Path, report: Mapping[str, Any]) -> None:
    """Refuse what another version of facebias has measured."""
    found = {split["schema_version"] for split in report.values()} - {SCHEMA_VERSION}
    if found:
        raise RunError(
            f"{folder / REPORT} has the schema {', '.join(map(str, sorted(found)))}",
            f"{SCHEMA_VERSION}, which this version of facebias writes",
            "train it again, or use the version that its environment.json names",
        )


def summarise(runs: Sequence[FinishedRun]) -> pd.DataFrame:
    """Return mean, standard deviation and interval of every metric over runs that differ by seed.

    Runs that differ in anything but seed and fold stand apart. Over seeds, `low` and `high` are
    the 95 % interval of the mean, and `interval` says what it holds. "crossed seeds x faces" (or "x
    persons", where one has several faces): other seeds (initialisation, order, augmentation) and
    other faces of the same kind, see `facebias.fairness.seeds`. "student over seeds": other seeds
    on these faces, of what has no other (AUROC, means of folds, groups with too few faces of a
    class). Folds share most of their train faces, so a spread over folds makes no interval
    (Bengio & Grandvalet 2004, JMLR 5); there is a mean of folds, and over several seeds an interval
    of these means.

    The pooled reading scores each train face once, by the run that had it in validation, and
    measures all of them together; it has no AUROC, because scores of several models do not rank
    with each other (Forman & Scholz 2010, SIGKDD Explorations 12). A pooled F1 is not the mean of
    the folds' F1. Where all folds validate on the same official split, nothing is pooled.

    Args:
        runs: as `read_finished` returns them.

    Returns:
        A row for each combination of settings that differ, split, attribute, group, metric and
        reading ("runs", "mean of folds" or "pooled folds"): over ("seeds" or "folds"), n (how many
        of these), folds (of each), fewest_faces (of the group in a run or pool; NaN for gaps),
        mean, sd (with n - 1), low, high, interval ("none" without one), first and second; NaN where
        it is undefined in any of them. A largest gap over seeds on the same faces is that of the
        two groups whose means are farthest apart, `first` and `second`, and its interval allows for
        all pairs having been looked at. Other largest gaps are means of what each run found for
        itself, which lean high: they have neither an interval nor a pair.

    Raises:
        RunError: if two runs have the same settings, seed and fold, or seeds have no fold in
            common.
    """
    keys = telling_keys([run.settings for run in runs])
    alike: dict[tuple[str, ...], list[FinishedRun]] = {}
    for run in runs:
        alike.setdefault(tuple(str(run.settings[key]) for key in keys), []).append(run)
    parts = []
    for group in alike.values():
        part = _summarise_alike(_with_shared_folds(group))
        for place, key in enumerate(keys):
            part.insert(place, key, group[0].settings[key])
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _summarise_alike(runs: Sequence[FinishedRun]) -> pd.DataFrame:
    """Summarise runs that differ in seed and fold only, and of which all seeds have all folds."""
    values = pd.concat([run.measured().assign(seed=run.seed, fold=run.fold) for run in runs])
    seeds, folds = values["seed"].nunique(), values["fold"].nunique()
    if folds == 1:
        return _with_faces(_statistics(values, RUNS, SEEDS, folds), runs, _by_split(runs))
    if seeds == 1:
        parts = [_statistics(values, MEAN_OF_FOLDS, FOLDS, folds)]
    else:
        means = values.groupby([*_MEASURED, "seed"], sort=False, as_index=False).agg(
            value=("value", _mean_if_all), faces=("faces", "min")
        )
        parts = [_statistics(means, MEAN_OF_FOLDS, SEEDS, folds)]
    pools = _pools(runs)
    if pools:
        declared = _declared(runs[0].fairness["validation"])
        measured = [
            _long("validation", group_metrics(rows, *declared)).assign(seed=seed)
            for seed, rows in pools.items()
        ]
        pooled = pd.concat(measured, ignore_index=True)
        part = _statistics(pooled[pooled["metric"] != AUROC], POOLED, SEEDS, folds)
        parts.append(_with_faces(part, runs, {"validation": list(pools.values())}))
    return pd.concat(parts, ignore_index=True)


def _statistics(values: pd.DataFrame, reading: str, over: str, folds: int) -> pd.DataFrame:
    """Return a row for each measured thing, over the rows that measure it."""
    found = values.groupby(_MEASURED, sort=False, as_index=False).agg(
        n=("value", "size"),
        fewest_faces=("faces", "min"),
        mean=("value", _mean_if_all),
        sd=("value", lambda column: column.std(ddof=1, skipna=False)),
    )
    low, high = student_interval(found["mean"], found["sd"], found["n"])
    # An interval is of independent repetitions, which folds are not; and of a quantity chosen
    # beforehand: the largest gap of a run is above 0 among equal groups too.
    kept = (found["group"] != GAP) & (over == SEEDS)
    found = found.assign(reading=reading, over=over, folds=folds, first=None, second=None)
    found = found.assign(low=np.where(kept, low, np.nan), high=np.where(kept, high, np.nan))
    found["interval"] = found["low"].notna().map({True: STUDENT, False: "none"})
    return found[[*_MEASURED, *_COLUMNS]]


def _mean_if_all(column: pd.Series) -> float:
    """Return the mean; over those alone where it is defined it would be another quantity."""
    return float(column.mean(skipna=False))


def _by_split(runs: Sequence[FinishedRun]) -> dict[str, list[pd.DataFrame]]:
    """Return the predictions of every run, by measured split."""
    return {
        split: [run.predictions[run.predictions["split"] == split] for run in runs]
        for split in runs[0].fairness
    }


def _with_faces(
    table: pd.DataFrame, runs: Sequence[FinishedRun], tables: Mapping[str, Sequence[pd.DataFrame]]
) -> pd.DataFrame:
    """Let the intervals of metrics hold other faces too, where all seeds have the same faces.

    Student's stay where there are no others: of AUROC, and of groups with too few faces of a class.
    A largest gap becomes that of the two groups whose means are farthest apart.
    """
    found = []
    for split, predictions in tables.items():
        try:
            found.append(_crossed(predictions, runs[0].fairness[split]).assign(split=split))
        except DataError as error:
            logger.warning("intervals of %s hold other seeds alone: %s", split, error.found)
    if not found:
        return table
    crossed = pd.concat(found)
    # Micro averages are the accuracy.
    names = table["metric"].str.replace("micro_.*", "accuracy", regex=True)
    keys = pd.MultiIndex.from_frame(table[_MEASURED].assign(metric=names))
    own = crossed.set_index(_MEASURED).reindex(keys).set_axis(table.index)
    has = own["low"].notna() & table["mean"].notna()
    gap = has & (table["group"] == GAP)
    for column in ("low", "high", "interval"):
        table.loc[has, column] = own.loc[has, column]
    for column in ("mean", "sd", "first", "second"):
        table.loc[gap, column] = own.loc[gap, column]
    return table


def _crossed(predictions: Sequence[pd.DataFrame], report: Mapping[str, Any]) -> pd.DataFrame:
    """Return metrics and largest gaps that have an interval over seeds and faces."""
    classes, attributes, intersections = _declared(report)
    judged = {name: report["settings"][name] for name in ("min_group", "min_class")}
    asked: dict[str, Any] = {"intersections": intersections, "settings": Settings(**judged)}
    measures = seed_measures(predictions, classes, attributes, **asked)
    gaps = seed_gaps(predictions, classes, attributes, **asked)
    gaps = gaps[gaps["kind"] == "largest"].assign(group=GAP)
    # The standard error of the mean of the seeds gives back their deviation.
    gaps["sd"] = gaps["seed_error"] * gaps["seeds"] ** 0.5
    found = pd.concat([part[part["low"].notna()] for part in (measures, gaps)])
    names = {"method": "interval", "difference": "mean"}
    return found.rename(columns=names)


def _pools(runs: Sequence[FinishedRun]) -> dict[int, pd.DataFrame]:
    """Return all validation faces of each seed's folds together; none if folds share faces."""
    pools = {}
    for seed in dict.fromkeys(run.seed for run in runs):
        tables = [
            run.predictions[run.predictions["split"] == "validation"]
            for run in runs
            if run.seed == seed
        ]
        try:
            pools[seed] = pool_folds(tables)
        except DataError:
            logger.warning("the folds validate on the same faces: nothing to pool")
            return {}
    return pools


def _declared(report: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Return classes, attributes and intersections that a run was measured with."""
    settings = report["settings"]
    return settings["classes"], settings["attributes"], settings["intersections"]


def _long(split: Any, table: pd.DataFrame) -> pd.DataFrame:  # noqa: ANN401
    """Return a row a metric, with the columns of `_MEASURED`, value and faces."""
    renamed = table.rename(columns={"n": "faces"}).assign(split=split)
    names = ["split", "attribute", "group", "faces"]
    long = renamed.melt(names, [*DECISION_METRICS, AUROC], "metric", "value")
    return long[[*_MEASURED, "value", "faces"]].astype({"faces": float})


def _with_shared_folds(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Return the runs of the folds that every seed has: means over other folds are no repetition.

    Raises:
        RunError: if a run is there twice, or no fold is shared.
    """
    by_seed: dict[int, dict[int, FinishedRun]] = {}
    for run in runs:
        own = by_seed.setdefault(run.seed, {})
        if run.fold in own:
            raise RunError(
                f"{own[run.fold].folder} and {run.folder} differ in nothing that is chosen",
                "one run of every setting, seed and fold: a repeated one would narrow intervals",
                "leave one of them out",
            )
        own[run.fold] = run
    shared = set.intersection(*(set(own) for own in by_seed.values()))
    if not shared:
        said = "; ".join(f"seed {seed}: folds {sorted(own)}" for seed, own in by_seed.items())
        raise RunError(
            f"the seeds have no fold in common ({said})",
            "the same folds for every seed",
            "train the missing ones, or summarise each seed by itself",
        )
    for run in runs:
        if run.fold not in shared:
            logger.warning("left out: %s; not every seed has fold %s", run.folder, run.fold)
    return [run for run in runs if run.fold in shared]
