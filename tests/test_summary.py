"""`python -m facebias.summary`: many runs in one table."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from facebias.errors import RunError
from facebias.fairness.seeds import seed_gaps, seed_measures
from facebias.runs.finished import find_runs
from facebias.runs.summary import MEAN_OF_FOLDS, POOLED, read_finished, summarise
from facebias.schemas import Summary
from facebias.summary import summary
from tests.drawn_faces import ATTRIBUTES, CLASSES
from tests.made_runs import FOLDS, write_run
from tests.trained import compose_summary

Command = Callable[..., int]
SEEDS = (0, 1, 2)
POSITIVE = ("bias=attribute_shares", "bias.attribute=gender", "bias.variant=women")
SKLEARN = {
    "accuracy": accuracy_score,
    "macro_precision": partial(precision_score, average="macro", zero_division=0),
    "macro_recall": partial(recall_score, average="macro", zero_division=0),
    "macro_f1": partial(f1_score, average="macro", zero_division=0),
    "micro_precision": partial(precision_score, average="micro"),
    "micro_recall": partial(recall_score, average="micro"),
    "micro_f1": partial(f1_score, average="micro"),
}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sweep of two variants, three seeds and three folds, and a job that failed."""
    folder = tmp_path_factory.mktemp("outputs") / "sweeps" / "study"
    number = 0
    for variant in ((), POSITIVE):
        for seed in SEEDS:
            for fold in range(FOLDS):
                write_run(
                    folder / f"{number}_train_seed{seed}_fold{fold}",
                    *variant,
                    seed=seed,
                    fold=fold,
                )
                number += 1
    failed = write_run(folder / f"{number}_train_seed9", seed=9)
    (failed / "status.json").write_text('{"status": "failed", "reason": "no memory"}')
    return folder


def seeds_of(sweep: Path, fold: int = 0, variant: int = 0) -> list[Path]:
    """Return the runs of one variant and fold."""
    numbers = [FOLDS * (len(SEEDS) * variant + seed) + fold for seed in SEEDS]
    return [
        sweep / f"{number}_train_seed{seed}_fold{fold}"
        for number, seed in zip(numbers, SEEDS, strict=True)
    ]


def rows_of(table: pd.DataFrame, **wanted: object) -> pd.DataFrame:
    for name, found in wanted.items():
        table = table[table[name] == found]
    return table


def predictions(run: Path, split: str) -> pd.DataFrame:
    rows = pd.read_parquet(run / "predictions.parquet")
    return rows[rows["split"] == split]


def test_mean_deviation_and_interval_are_those_of_scipy_and_scikit_learn(sweep: Path) -> None:
    runs = seeds_of(sweep)
    table = summarise(read_finished(runs))
    assert len(runs) == 3
    assert set(table["reading"]) == {"runs"}
    for attribute, group in (("all", "all"), ("gender", "female"), ("gender", "male")):
        tables = [predictions(run, "test") for run in runs]
        if attribute != "all":
            tables = [rows[rows[attribute] == group] for rows in tables]
        for metric, measure in SKLEARN.items():
            values = [measure(rows["label"], rows["predicted"]) for rows in tables]
            (found,) = rows_of(
                table, split="test", attribute=attribute, group=group, metric=metric
            ).to_dict(orient="records")
            assert found["mean"] == pytest.approx(np.mean(values))
            assert found["sd"] == pytest.approx(np.std(values, ddof=1))
            assert found["interval"] == "crossed seeds x faces"
            assert found["low"] < found["mean"] < found["high"]
            assert (found["n"], found["over"], found["folds"]) == (3, "seeds", 1)
            assert found["fewest_faces"] == len(tables[0])


def test_intervals_of_decisions_hold_seeds_and_faces(sweep: Path) -> None:
    runs = seeds_of(sweep)
    table = summarise(read_finished(runs))
    tables = [predictions(run, "test") for run in runs]
    expected = seed_measures(tables, CLASSES, ATTRIBUTES)
    for row in expected[expected["low"].notna()].to_dict(orient="records"):
        names = {name: row[name] for name in ("attribute", "group", "metric")}
        found = rows_of(table, split="test", **names)
        assert found["low"].item() == pytest.approx(row["low"])
        assert found["high"].item() == pytest.approx(row["high"])
    whole = rows_of(table, split="test", attribute="all")
    same = whole[whole["metric"].isin(["accuracy", "micro_f1", "micro_recall"])]
    assert len(same) == 3
    assert same["high"].nunique() == 1
    (area,) = rows_of(whole, metric="auroc").to_dict(orient="records")
    assert area["interval"] == "student over seeds"
    half = stats.t.ppf(0.975, 2) * area["sd"] / 3**0.5
    assert area["high"] - area["mean"] == pytest.approx(half)


def test_seeds_on_other_faces_keep_the_interval_of_student(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [write_run(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    path = runs[1] / "predictions.parquet"
    rows = pd.read_parquet(path)
    rows.assign(id=rows["id"] + "?").to_parquet(path, index=False)
    table = summarise(read_finished(runs))
    assert set(table["interval"]) == {"student over seeds", "none"}
    assert "hold other seeds alone" in caplog.text


def test_auroc_is_that_of_scikit_learn(sweep: Path) -> None:
    runs = seeds_of(sweep)
    table = summarise(read_finished(runs))
    columns = [f"p_{name}" for name in sorted(CLASSES)]
    for attribute, group in (("all", "all"), ("gender", "female")):
        areas = []
        for run in runs:
            rows = predictions(run, "test")
            rows = rows if attribute == "all" else rows[rows[attribute] == group]
            scores = rows[columns].to_numpy(np.float64)
            scores = scores / scores.sum(axis=1, keepdims=True)
            areas.append(roc_auc_score(rows["label"], scores, multi_class="ovr"))
        found = rows_of(table, split="test", attribute=attribute, group=group, metric="auroc")
        assert found["mean"].item() == pytest.approx(np.mean(areas), abs=1e-6)


def test_groups_are_the_means_of_the_runs_own(sweep: Path) -> None:
    runs = seeds_of(sweep)
    table = summarise(read_finished(runs))
    reports = [json.loads((run / "fairness.json").read_text())["test"] for run in runs]
    for place, group in enumerate(reports[0]["groups"]):
        for metric in ("accuracy", "macro_precision", "macro_recall", "macro_f1"):
            names = {name: group[name] for name in ("attribute", "group")}
            found = rows_of(table, split="test", metric=metric, **names)["mean"].item()
            own = [report["groups"][place][metric] for report in reports]
            if None in own:
                assert np.isnan(found)
            else:
                assert found == pytest.approx(np.mean(own))


def test_a_largest_gap_is_of_one_pair_and_its_interval_allows_for_the_search(sweep: Path) -> None:
    runs = seeds_of(sweep)
    table = rows_of(summarise(read_finished(runs)), split="test", group="largest gap")
    tables = [predictions(run, "test") for run in runs]
    settings = json.loads((runs[0] / "fairness.json").read_text())["test"]["settings"]
    expected = seed_gaps(tables, CLASSES, ATTRIBUTES, intersections=settings["intersections"])
    expected = expected[(expected["kind"] == "largest") & expected["low"].notna()]
    assert len(expected)
    for row in expected.to_dict(orient="records"):
        names = {name: row[name] for name in ("attribute", "metric")}
        (found,) = rows_of(table, **names).to_dict(orient="records")
        assert found["interval"] == "crossed seeds x faces"
        assert (found["first"], found["second"]) == (row["first"], row["second"])
        assert found["mean"] == pytest.approx(row["difference"])
        assert (found["low"], found["high"]) == pytest.approx((row["low"], row["high"]))
    (found,) = rows_of(table, attribute="gender", metric="accuracy").to_dict(orient="records")
    right = [rows["label"].eq(rows["predicted"]).groupby(rows["gender"]).mean() for rows in tables]
    own = [each[found["first"]] - each[found["second"]] for each in right]
    assert found["mean"] == pytest.approx(np.mean(own))
    assert found["sd"] == pytest.approx(np.std(own, ddof=1))


def test_gaps_that_each_run_picked_itself_have_a_mean_and_no_interval(
    sweep: Path, tmp_path: Path
) -> None:
    runs = [write_run(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    path = runs[1] / "predictions.parquet"
    rows = pd.read_parquet(path)
    rows.assign(id=rows["id"] + "?").to_parquet(path, index=False)
    folds = [run for fold in range(FOLDS) for run in seeds_of(sweep, fold)]
    for given in (runs, folds):
        table = rows_of(summarise(read_finished(given)), group="largest gap", over="seeds")
        assert table["sd"].notna().any()
        assert table[["low", "high", "first", "second"]].isna().all(axis=None)
        assert set(table["interval"]) == {"none"}
    reports = [json.loads((run / "fairness.json").read_text())["test"] for run in runs]
    own = [report["gaps"][0]["difference"] for report in reports]
    table = summarise(read_finished(runs))
    names = {name: reports[0]["gaps"][0][name] for name in ("attribute", "metric")}
    found = rows_of(table, split="test", group="largest gap", **names)
    assert found["mean"].item() == pytest.approx(np.mean(own))


def test_folds_are_pooled_and_averaged_without_an_interval(sweep: Path) -> None:
    runs = [sweep / f"{fold}_train_seed0_fold{fold}" for fold in range(FOLDS)]
    table = summarise(read_finished(runs))
    assert set(table["reading"]) == {MEAN_OF_FOLDS, POOLED}
    assert table[["low", "high"]].isna().all(axis=None)
    tables = [predictions(run, "validation") for run in runs]
    pooled = pd.concat(tables)
    assert pooled["id"].is_unique
    for metric, measure in SKLEARN.items():
        names = {"split": "validation", "attribute": "all", "metric": metric}
        (mean,) = rows_of(table, reading=MEAN_OF_FOLDS, **names).to_dict(orient="records")
        values = [measure(rows["label"], rows["predicted"]) for rows in tables]
        assert mean["mean"] == pytest.approx(np.mean(values))
        assert mean["sd"] == pytest.approx(np.std(values, ddof=1))
        assert (mean["n"], mean["over"]) == (FOLDS, "folds")
        (whole,) = rows_of(table, reading=POOLED, **names).to_dict(orient="records")
        assert whole["mean"] == pytest.approx(measure(pooled["label"], pooled["predicted"]))
        assert whole["fewest_faces"] == len(pooled)
        assert (whole["n"], whole["folds"]) == (1, FOLDS)
    assert "auroc" not in set(table.loc[table["reading"] == POOLED, "metric"])
    assert set(table.loc[table["reading"] == POOLED, "split"]) == {"validation"}


def test_over_seeds_of_folds_the_interval_is_of_the_seeds_means(sweep: Path) -> None:
    runs = [run for fold in range(FOLDS) for run in seeds_of(sweep, fold)]
    table = summarise(read_finished(runs))
    shown = [predictions(run, "test") for run in runs]
    values = [(rows["seed"].iloc[0], (rows["label"] == rows["predicted"]).mean()) for rows in shown]
    means = pd.DataFrame(values, columns=["seed", "accuracy"]).groupby("seed")["accuracy"].mean()
    names = {"split": "test", "attribute": "all", "metric": "accuracy"}
    (found,) = rows_of(table, **names).to_dict(orient="records")
    assert (found["reading"], found["over"], found["n"]) == (MEAN_OF_FOLDS, "seeds", 3)
    interval = stats.t.interval(0.95, 2, means.mean(), stats.sem(means))
    assert (found["low"], found["high"]) == pytest.approx(interval)
    pooled = []
    for seed in SEEDS:
        own = [run for run in runs if f"_seed{seed}_" in run.name]
        rows = pd.concat(predictions(run, "validation") for run in own)
        pooled.append(f1_score(rows["label"], rows["predicted"], average="macro"))
    names = {"split": "validation", "attribute": "all", "metric": "macro_f1"}
    (found,) = rows_of(table, reading=POOLED, **names).to_dict(orient="records")
    assert found["mean"] == pytest.approx(np.mean(pooled))
    assert found["sd"] == pytest.approx(np.std(pooled, ddof=1))


def test_variants_stand_apart(sweep: Path) -> None:
    table = summarise(read_finished([*seeds_of(sweep), *seeds_of(sweep, variant=1)]))
    assert list(table.columns[:2]) == ["bias.variant", "split"]
    assert set(table["bias.variant"]) == {"none", "women"}
    assert set(table["n"]) == {3}


@pytest.mark.slow
def test_bags_and_models_stand_apart_too(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / f"{bag}_{filters}", f"data.bag={bag}", f"model.filters=[{filters}]")
        for bag in (0, 1)
        for filters in (4, 8)
    ]
    table = summarise(read_finished(runs))
    assert list(table.columns[:3]) == ["data.bag", "model.filters", "split"]
    assert set(table["model.filters"]) == {"[4]", "[8]"}
    assert len(table.drop_duplicates(["data.bag", "model.filters"])) == 4
    assert table[["sd", "low", "high"]].isna().all(axis=None)


def test_what_is_undefined_in_one_run_has_no_mean(sweep: Path, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    report = json.loads((runs[1] / "fairness.json").read_text())
    for gap in report["test"]["gaps"]:
        gap["difference"] = None
    (runs[1] / "fairness.json").write_text(json.dumps(report))
    table = summarise(read_finished(runs))
    gaps = rows_of(table, split="test", group="largest gap")
    assert len(gaps)
    assert gaps[["mean", "sd", "low", "high"]].isna().all(axis=None)


def test_an_official_validation_split_is_not_pooled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [write_run(tmp_path / str(fold), fold=fold, official=True) for fold in (0, 1)]
    table = summarise(read_finished(runs))
    assert set(table["reading"]) == {MEAN_OF_FOLDS}
    assert "nothing to pool" in caplog.text


def test_folds_that_not_every_seed_has_are_left_out(
    sweep: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [sweep / f"{n}_train_seed{n // 3}_fold{n % 3}" for n in (0, 1, 2, 3, 4)]
    table = summarise(read_finished(runs))
    assert set(table["folds"]) == {2}
    assert set(table["n"]) == {2}
    assert "not every seed has fold 2" in caplog.text
    with pytest.raises(RunError, match="no fold in common"):
        summarise(read_finished([runs[0], runs[4]]))


def test_a_repeated_run_is_refused(sweep: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "again")
    with pytest.raises(RunError, match="differ in nothing that is chosen"):
        summarise(read_finished([sweep / "0_train_seed0_fold0", run]))


def test_a_sweep_is_found_by_name_and_summed_up(
    sweep: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    outputs = sweep.parent.parent
    folder = summary(compose_summary(tmp_path, f"paths.outputs={outputs}", "sweep=study"))
    assert "failed: no memory" in caplog.text
    table = pd.read_csv(folder / "summary.csv")
    assert set(table["attribute"]) >= {"all", *ATTRIBUTES}
    runs = pd.read_csv(folder / "runs.csv")
    assert len(runs) == 18
    assert set(runs["bias.variant"]) == {"none", "women"}
    printed = capsys.readouterr().out
    for said in ("women", "pooled", "3 seeds", "Folds share", "Student's t", "summary.csv"):
        assert said in printed
    mean = rows_of(table, split="test", attribute="all", metric="accuracy")["mean"]
    assert f"{mean.iloc[0]:.3f} ±" in printed
    assert json.loads((folder / "status.json").read_text())["status"] == "done"


def test_jobs_are_in_the_order_of_their_numbers(sweep: Path) -> None:
    found = find_runs(None, str(sweep), Path("nowhere"))
    assert [int(run.name.split("_")[0]) for run in found] == list(range(18))
    assert find_runs([str(sweep)], None, Path("nowhere")) == found
    some = find_runs([str(sweep / "*_seed1_fold2")], None, Path("nowhere"))
    assert [int(run.name.split("_")[0]) for run in some] == [5, 14]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_as_command: Callable[..., int]
) -> Command:
    monkeypatch.chdir(tmp_path)
    return partial(run_as_command, "summary", Summary, summary)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "neither runs nor a sweep"),
        (["runs=[]"], "no runs to sum up"),
        (["sweep=nothing"], "there is no sweep 'nothing'"),
        (["sweep=nothing", "runs=[a]"], "runs and a sweep are given"),
        (["runs=[/nowhere]"], "/nowhere is no run folder"),
        (["runs=['/nowhere/*']"], "no finished run"),
        (["runs=[{0}]"], "no memory"),
        (["sweeep=a"], "did you mean sweep?"),
    ],
    ids=str,
)
def test_what_is_wrong_ends_with_two_and_no_traceback(
    sweep: Path,
    command: Command,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    assert command(*(text.format(sweep / "18_train_seed9") for text in arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("facebias: ")
    assert says in error
    assert "Traceback" not in error


def test_a_run_whose_groups_were_not_measured_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "fairness.json").unlink()
    with pytest.raises(RunError, match=r"fairness.json, as a training with callbacks.fairness"):
        read_finished([run])


def test_a_run_that_another_version_measured_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    report = json.loads((run / "fairness.json").read_text())
    report["test"]["schema_version"] = 1
    (run / "fairness.json").write_text(json.dumps(report))
    with pytest.raises(RunError, match=r"fairness.json has the schema 1"):
        read_finished([run])


def test_a_summary_is_no_run(sweep: Path, tmp_path: Path) -> None:
    outputs = sweep.parent.parent
    folder = summary(compose_summary(tmp_path, f"paths.outputs={outputs}", "sweep=study"))
    assert OmegaConf.load(folder / "config.yaml").sweep == "study"
    with pytest.raises(RunError, match="folder of a comparison or summary"):
        read_finished([folder])
