"""`python -m facebias.ensemble`: finished runs that vote."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from rich.console import Console

from facebias.ensemble import ensemble
from facebias.errors import RunError
from facebias.report.paired import find_variants
from facebias.report.twin_reports import twin_reports
from facebias.runs.ensembles import combine_runs
from facebias.runs.plan import print_plan
from facebias.runs.trained import load_runs, shared_splits
from facebias.schemas import Ensemble
from facebias.train import train
from tests.drawn_faces import CLASSES
from tests.made_runs import FOLDS, measure, write_run
from tests.trained import compose_ensemble, compose_train

Command = Callable[..., int]
P = [f"p_{name}" for name in CLASSES]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sweep of three seeds, and of as many folds of the first."""
    folder = tmp_path_factory.mktemp("made") / "sweeps" / "made"
    for seed in range(3):
        write_run(folder / f"{seed}_train_seed{seed}", seed=seed)
    for fold in range(1, FOLDS):
        write_run(folder / f"{fold + 2}_train_seed0_fold{fold}", fold=fold)
    return folder


@pytest.fixture(scope="module")
def seeds(made: Path) -> list[Path]:
    return [made / f"{seed}_train_seed{seed}" for seed in range(3)]


@pytest.fixture(scope="module")
def folds(made: Path) -> list[Path]:
    return [made / "0_train_seed0", made / "3_train_seed0_fold1", made / "4_train_seed0_fold2"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, faces_root: Path) -> list[Path]:
    """Return two bags and a training on every face once."""
    options = ("trainer.max_epochs=1", "callbacks.cam=null", "data.folds=4")
    return [
        train(compose_train(tmp_path_factory.mktemp("bag"), faces_root, *options, bag))
        for bag in ("data.bag=0", "data.bag=1", "data.bag=null")
    ]


def named(folders: list[Path]) -> str:
    return f"runs=[{','.join(map(str, folders))}]"


def test_bags_differ_in_their_faces_and_draw_as_many(trained: list[Path]) -> None:
    tables = [pd.read_parquet(run / "split.parquet") for run in trained]
    train_faces = [rows[(rows["split"] == "train") & (rows["left_out"] == "")] for rows in tables]
    assert len(train_faces[2]) == 120
    assert "draws" not in tables[2]
    assert [rows["draws"].sum() for rows in train_faces[:2]] == [120, 120]
    assert 60 < len(train_faces[0]) < 90  # 120 (1 - 1/e) are expected
    assert set(train_faces[0]["id"]) != set(train_faces[1]["id"])
    predictions = pd.read_parquet(trained[0] / "predictions.parquet")
    scored = predictions[predictions["split"] == "train"]
    assert sorted(scored["id"]) == sorted(train_faces[0]["id"])  # each once
    composition = json.loads((trained[0] / "composition.json").read_text())
    drawn = composition["cells"]["after the bag"]
    counts = train_faces[0].groupby("label")["draws"].sum()
    assert {label: sum(row.values()) for label, row in drawn.items()} == counts.to_dict()
    assert any("draws with replacement" in line for line in composition["says"])


def test_the_prior_of_a_bag_counts_its_draws(trained: list[Path]) -> None:
    first = load_runs(trained)[0]
    rows = first.faces[first.faces["split"] == "train"]
    shares = rows.groupby("label")["draws"].sum() / 120
    assert first.train_prior() == pytest.approx(shares.to_dict())


def test_bags_are_trained_for_as_many_steps_and_are_no_twins(trained: list[Path]) -> None:
    reports = twin_reports(find_variants(load_runs(trained)))
    assert len(reports) == len(trained) - 1
    for report in reports:
        answers = {answer.question: answer for answer in report.answers}
        assert answers["same total"].detail == "120 and 120 faces"
        for question in ("identical source", "same total", "same number of steps"):
            assert answers[question].same, question
        assert answers["same settings otherwise"].detail.startswith("data.bag is 0 and ")
        cells = [int(each.to_numpy().sum()) for each in report.cells.values()]
        assert cells == [120, 120, 120]


def test_a_plan_counts_the_draws_of_a_bag(faces_root: Path, tmp_path: Path) -> None:
    console = Console(record=True, width=120)
    print_plan(compose_train(tmp_path, faces_root, "data.bag=0", "data.folds=4"), console)
    printed = console.export_text()
    assert "after the bag" in printed
    assert "bag: 120 draws with replacement (data.bag) took" in printed


def test_bags_become_an_ensemble(
    trained: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ensemble(compose_ensemble(tmp_path, named(trained)))
    assert folder == tmp_path / "ensemble"
    tables = [pd.read_parquet(run / "predictions.parquet") for run in trained]
    found = pd.read_parquet(folder / "predictions.parquet")
    # The same validation and test faces; every bag has other train faces.
    assert set(found["split"]) == {"validation", "test"}
    assert list(found.columns) == list(tables[0].columns)
    aligned = [rows.set_index("id").loc[found["id"], P] for rows in tables]
    mean = np.mean([rows.to_numpy(np.float64) for rows in aligned], axis=0)
    np.testing.assert_allclose(found[P].to_numpy(), mean)
    assert list(found["predicted"]) == [CLASSES[n] for n in mean.argmax(axis=1)]
    assert set(found["run"]) == {"ensemble"}
    assert set(found["seed"]) == {0}
    report = json.loads((folder / "fairness.json").read_text())
    right = found["label"] == found["predicted"]
    for split in ("validation", "test"):
        overall = report[split]["overall"]
        assert overall["accuracy"] == pytest.approx(right[found["split"] == split].mean())
    for name in ("fairness.csv", "fairness.png", "confusion.png", "members.csv", "status.json"):
        assert (folder / name).is_file(), name
    page = (folder / "report.html").read_text()
    printed = capsys.readouterr().out
    for said in ("no bias, seed 0, bag 0", "no bias, seed 0, bag 1", "mean of the members"):
        assert said in page
        assert said in printed
    assert "annotators, by looking at the photo" in page
    assert "Soft vote of 3 runs" in page


def test_members_are_listed_with_their_own_numbers(seeds: list[Path], tmp_path: Path) -> None:
    folder = ensemble(compose_ensemble(tmp_path, named(seeds), "vote=hard"))
    table = pd.read_csv(folder / "members.csv").set_index("member")
    tables = [pd.read_parquet(run / "predictions.parquet") for run in seeds]
    tests = [rows[rows["split"] == "test"] for rows in tables]
    together = pd.read_parquet(folder / "predictions.parquet")
    together = together[together["split"] == "test"]
    right = (together["predicted"] == together["label"]).to_numpy()
    own = [(rows["predicted"] == rows["label"]).to_numpy() for rows in tests]
    accuracies = [answers.mean() for answers in own]
    assert table.loc["ensemble", "accuracy"] == pytest.approx(right.mean())
    assert table.loc["mean of the members", "accuracy"] == pytest.approx(np.mean(accuracies))
    difference = right.mean() - np.mean(accuracies)
    assert table.loc["mean of the members", "difference"] == pytest.approx(difference)
    for seed, (run, answers) in enumerate(zip(seeds, own, strict=True)):
        row = table.loc[f"no bias, seed {seed}"]
        overall = json.loads((run / "fairness.json").read_text())["test"]["overall"]
        for name in ("n", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "auroc"):
            assert row[name] == pytest.approx(overall[name])
        assert row["folder"] == str(run)
        assert row["difference"] == pytest.approx(right.mean() - answers.mean())
        assert row["difference_low"] < row["difference"] < row["difference_high"]
        assert row["only_ensemble"] == (right & ~answers).sum()
        assert row["only_member"] == (~right & answers).sum()


def test_seeds_share_every_split_and_folds_the_test_split(
    seeds: list[Path], folds: list[Path]
) -> None:
    runs = load_runs(seeds, "combine")
    assert shared_splits(runs) == ["train", "validation", "test"]
    assert combine_runs(runs, "soft")["seed"].isna().all()
    parts = load_runs(folds, "combine")
    assert [run.name for run in parts] == [f"no bias, seed 0, fold {fold}" for fold in range(FOLDS)]
    assert shared_splits(parts) == ["test"]
    combined = combine_runs(parts, "hard")
    assert set(combined["split"]) == {"test"}
    assert combined["fold"].isna().all()
    assert set(combined["seed"]) == {0}
    assert set(np.unique(combined[P])) <= {0, 1 / 3, 2 / 3, 1}


def test_the_order_of_rows_and_classes_plays_no_part(seeds: list[Path], tmp_path: Path) -> None:
    other = shutil.copytree(seeds[1], tmp_path / "other")
    rows = pd.read_parquet(other / "predictions.parquet").sample(frac=1, random_state=0)
    rows[[*reversed(rows.columns)]].to_parquet(other / "predictions.parquet", index=False)
    config = OmegaConf.load(other / "config.yaml")
    config.data.reader.classes = [*reversed(CLASSES)]
    OmegaConf.save(config, other / "config.yaml")
    for vote in ("soft", "hard"):
        one, two = (
            combine_runs(load_runs([seeds[0], run, seeds[2]]), vote) for run in (seeds[1], other)
        )
        pd.testing.assert_frame_equal(one, two)


def test_a_sweep_votes_but_for_what_is_unfinished(
    made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = shutil.copytree(made, tmp_path / "outputs" / "sweeps" / "copied")
    (copy / "1_train_seed1" / "status.json").write_text('{"status": "running"}')
    outputs = f"paths.outputs={tmp_path}/outputs"
    folder = ensemble(compose_ensemble(tmp_path, outputs, "sweep=copied"))
    assert "1_train_seed1 is running" in caplog.text
    listed = json.loads((folder / "ensemble.json").read_text())["rows"][2:]
    numbers = [int(Path(row["folder"]).name[0]) for row in listed]
    assert numbers == [0, 2, 3, 4]


def test_an_ensemble_is_no_member(seeds: list[Path], tmp_path: Path) -> None:
    folder = ensemble(compose_ensemble(tmp_path, named(seeds)))
    with pytest.raises(RunError, match="folder of an ensemble"):
        load_runs([seeds[0], folder], "combine")


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_as_command: Callable[..., int]
) -> Command:
    monkeypatch.chdir(tmp_path)
    return partial(run_as_command, "ensemble", Ensemble, ensemble)


def changed(run: Path, folder: Path, column: str, found: str) -> Path:
    """Return a copy of a run of which the first test face has another value."""
    shutil.copytree(run, folder)
    rows = pd.read_parquet(folder / "predictions.parquet")
    rows.loc[rows.index[rows["split"] == "test"][0], column] = found
    rows.to_parquet(folder / "predictions.parquet", index=False)
    measure(folder)
    return folder


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "neither runs nor a sweep"),
        (["runs=[{0}]"], "1 run to combine"),
        (["runs=[]"], "no runs to combine"),
        (["runs=[{0},{0}]"], "is given twice"),
        (["runs=[{0},/nowhere]"], "/nowhere is no run folder"),
        (["runs=[{0},{1}]", "vote=sift"], "did you mean soft?"),
        (["sweep=nothing"], "there is no sweep 'nothing'"),
        (["runs=[{0},unfinished]"], "is failed: no memory"),
        (["runs=[{0},label]"], "have the same id, label and groups"),
        (["runs=[{0},id]"], "have the same id, label and groups"),
        (["runs=[{0},gender]"], "have the same id, label and groups"),
        (["runs=[{0},classes]"], "combine runs of one task"),
    ],
    ids=str,
)
def test_what_is_wrong_ends_with_two_and_no_traceback(
    seeds: list[Path],
    tmp_path: Path,
    command: Command,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    for column, found in (("label", "other"), ("id", "face9.png"), ("gender", "other")):
        if f"runs=[{{0}},{column}]" in arguments:
            same = pd.read_parquet(seeds[1] / "predictions.parquet")
            first = same[same["split"] == "test"].iloc[0]
            other = {"label": set(CLASSES), "gender": {"female", "male"}}.get(column, {found})
            changed(seeds[1], tmp_path / column, column, sorted(other - {first[column]})[0])
    if "classes" in str(arguments):
        copy = shutil.copytree(seeds[1], tmp_path / "classes")
        config = OmegaConf.load(copy / "config.yaml")
        config.data.reader.classes = [*CLASSES[:3], "bored"]
        OmegaConf.save(config, copy / "config.yaml")
    if "unfinished" in str(arguments):
        copy = shutil.copytree(seeds[1], tmp_path / "unfinished")
        (copy / "status.json").write_text('{"status": "failed", "reason": "no memory"}')
    assert command(*(text.format(*seeds) for text in arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("facebias: ")
    assert says in error
    assert "Expected: " in error
    assert "Traceback" not in error
