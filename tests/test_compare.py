"""`python -m facebias.compare`, from two trainings to a folder."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf
from PIL import Image

from facebias.compare import compare
from facebias.predict import predict
from facebias.schemas import Compare
from facebias.train import train
from tests.generated_folder import generated_rows, write_folder
from tests.trained import compose_compare, compose_predict, compose_train

Command = Callable[..., int]
OPTIONS = (
    "data=faces",
    "data.height=32",
    "data.copies=report",  # drawn faces look alike
    "trainer.max_epochs=1",
    "callbacks.cam=null",
)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("generated") / "faces", generated_rows(240))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> tuple[Path, Path]:
    """Trainings of two variants by valence."""
    folders = [tmp_path_factory.mktemp(name) for name in ("balanced", "positive")]
    return (
        train(compose_train(folders[0], faces, *OPTIONS, "bias=balanced")),
        train(compose_train(folders[1], faces, *OPTIONS, "bias=positive")),
    )


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_as_command: Callable[..., int]
) -> Command:
    """Return a function that runs the verb in a folder of its own and gives its exit code."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return partial(run_as_command, "compare", Compare, compare)


def test_two_runs_become_a_table_and_a_picture(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = compare(compose_compare(tmp_path, runs, "faces_per_label=1"))
    assert folder == tmp_path / "compared"
    table = pd.read_csv(folder / "comparison.csv")
    assert list(dict.fromkeys(table["run"])) == ["balanced, seed 0", "positive, seed 0"]
    attributes = OmegaConf.load(runs[0] / "config.yaml").data.reader.attributes
    assert list(dict.fromkeys(table["attribute"])) == ["all", *attributes]
    with Image.open(folder / "maps.png") as picture:
        assert picture.height > 3 * 128
    assert json.loads((folder / "status.json").read_text())["status"] == "done"
    printed = capsys.readouterr().out
    paired = pd.read_csv(folder / "paired_differences.csv")
    assert set(zip(paired["first"], paired["second"], strict=True)) == {
        ("balanced, seed 0", "positive, seed 0")
    }
    for said in ("balanced, seed 0", "positive, seed 0", "skin_tone: dark", "comparison.csv"):
        assert said in printed


def test_raw_numbers_are_those_of_the_runs(runs: tuple[Path, Path], tmp_path: Path) -> None:
    folder = compare(compose_compare(tmp_path, runs, "faces_per_label=1"))
    table = pd.read_csv(folder / "comparison.csv")
    whole = table[(table["attribute"] == "all") & (table["reading"] == "raw")].set_index("folder")
    for run in runs:
        report = json.loads((run / "fairness.json").read_text())["test"]["overall"]
        for name in ("n", "accuracy", "macro_f1", "auroc"):
            assert whole.loc[str(run), name] == pytest.approx(report[name])
        # A comparison has as many replicates of the bootstrap for every run, these runs have fewer.
        low, high = whole.loc[str(run), ["accuracy_low", "accuracy_high"]]
        assert low < report["accuracy"] < high


def test_variants_by_valence_are_told_to_be_twins(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = compare(compose_compare(tmp_path, runs, "faces_per_label=1"))
    (report,) = json.loads((folder / "twins.json").read_text())
    assert report["twins"] is True, report["sentence"]
    assert 0 < report["shared"]["share"] < 1
    table = pd.read_csv(folder / "twins.csv")
    assert set(table["answer"].dropna()) == {"yes"}
    assert "balanced, seed 0 and positive, seed 0 are twins" in capsys.readouterr().out


def test_what_changes_no_result_parts_no_twins(runs: tuple[Path, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(runs[1], tmp_path / "copy"))
    settings = OmegaConf.load(copy / "config.yaml")
    settings.data.workers, settings.threads = 1, 7
    OmegaConf.save(settings, copy / "config.yaml")
    folder = compare(compose_compare(tmp_path, [runs[0], copy], "faces_per_label=1"))
    (report,) = json.loads((folder / "twins.json").read_text())
    assert report["twins"] is True, report["sentence"]


def test_a_run_whose_groups_were_not_measured_is_compared(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(runs[0], tmp_path / "unmeasured")
    for file in (tmp_path / "unmeasured").glob("fairness.*"):
        file.unlink()
    copy = compose_compare(tmp_path, [tmp_path / "unmeasured", runs[1]], "faces_per_label=1")
    table = pd.read_csv(compare(copy) / "comparison.csv")
    one, other = (rows["group"].tolist() for _, rows in table.groupby("run"))
    assert one == other
    assert set(table["status"]) == {"too small"}


def test_runs_that_did_not_score_test_faces_are_compared_on_validation(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copies = [Path(shutil.copytree(run, tmp_path / str(n))) for n, run in enumerate(runs)]
    for copy in copies:
        rows = pd.read_parquet(copy / "predictions.parquet")
        rows[rows["split"] != "test"].to_parquet(copy / "predictions.parquet", index=False)
    compare(compose_compare(tmp_path, copies, "faces_per_label=1", "target=neutral"))
    assert "validation faces" in capsys.readouterr().out


def test_the_command_writes_below_outputs(
    runs: tuple[Path, Path], tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(f"runs=[{runs[0]},{runs[1]}]", "faces_per_label=1", "seed=3") == 0
    (folder,) = (tmp_path / "here" / "outputs" / "compare").iterdir()
    assert {"maps.png", "comparison.csv", "config.yaml"} <= {path.name for path in folder.iterdir()}
    assert OmegaConf.load(folder / "config.yaml").seed == 3
    assert str(folder.name) in capsys.readouterr().out


def test_a_sweep_is_compared_by_its_name(
    runs: tuple[Path, Path], tmp_path: Path, command: Command
) -> None:
    sweep = tmp_path / "here" / "outputs" / "sweeps" / "mine"
    for number, run in enumerate(runs):
        shutil.copytree(run, sweep / f"{number}_{run.name}")
    assert command("sweep=mine", "faces_per_label=1") == 0
    (folder,) = (tmp_path / "here" / "outputs" / "compare").iterdir()
    table = pd.read_csv(folder / "comparison.csv")
    assert set(table["folder"].map(lambda path: Path(path).parent.name)) == {"mine"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "neither runs nor a sweep are given"),
        (["runs=[{0},{1}]", "sweep=mine"], "runs and a sweep are given"),
        (["sweep=mine"], "there is no sweep 'mine'"),
        (["runs=[]"], "no runs to compare"),
        (["runs=[{0}]"], "1 run to compare"),
        (["runs={0}"], "runs is "),
        (["runs=[{0},{0}]"], "is given twice"),
        (["runs=[{0},/nowhere]"], "/nowhere is no run folder"),
        (["runs=[{0},{1}]", "target=happy"], "target is 'happy'"),
        (["runs=[{0},{1}]", "layer=layer9"], "no layer named 'layer9'"),
        (["runs=[{0},{1}]", "method=sam"], "method is 'sam'"),
        (["runs=[{0},{1}]", "faces_per_label=0"], "faces_per_label is 0"),
        (["runs=[{0},{1}]", "sead=1"], "did you mean seed?"),
    ],
    ids=str,
)
def test_what_is_wrong_ends_with_two_and_no_traceback(
    runs: tuple[Path, Path],
    command: Command,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    assert command(*(text.format(*runs) for text in arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("facebias: ")
    assert says in error
    assert "Traceback" not in error


def test_runs_that_do_not_fit_end_with_two(
    runs: tuple[Path, Path],
    faces: Path,
    tmp_path: Path,
    command: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predicted = predict(compose_predict(tmp_path, runs[0], faces, "callbacks.cam=null"))
    uncertain = tmp_path / "uncertain"
    shutil.copytree(runs[1], uncertain)
    shutil.rmtree(uncertain / "checkpoints")
    gone = tmp_path / "gone"
    shutil.copytree(runs[1], gone)
    config = OmegaConf.load(gone / "config.yaml")
    config.data.root = config.data.reader.root = str(tmp_path / "nothing")
    OmegaConf.save(config, gone / "config.yaml")
    for other, says in (
        (predicted, "folder of a prediction"),
        (uncertain, "no checkpoint"),
        (gone, "no folder of generated faces"),
    ):
        capsys.readouterr()
        assert command(f"runs=[{runs[0]},{other}]") == 2
        error = capsys.readouterr().err
        assert says in error
        assert "Expected: " in error
        assert "Traceback" not in error
