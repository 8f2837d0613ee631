"""`python -m facebias.compare`, from two trainings to a folder."""

import html
import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from facebias.compare import compare
from facebias.predict import predict
from facebias.schemas import Compare
from facebias.train import train
from tests.generated_folder import generated_rows, write_folder
from tests.made_runs import write_run
from tests.trained import compose_compare, compose_predict, compose_train

Command = Callable[..., int]
OPTIONS = (
    "data=faces",
    "data.height=32",
    "data.copies=report",  # drawn faces look alike
    "trainer.max_epochs=1",
    "callbacks.cam=null",
)
FEW = ("faces_per_label=1", "attention_faces=9")


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


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, runs: tuple[Path, Path]) -> Path:
    """A comparison of both runs. Read only."""
    return compare(compose_compare(tmp_path_factory.mktemp("both"), runs, *FEW))


def said_on(folder: Path) -> pd.DataFrame:
    """Return the sentences of a page, as its table has them."""
    return pd.read_csv(folder / "tables" / "summary.csv")


def headings(page: str) -> list[tuple[int, str]]:
    """Return level and text of every heading."""
    found = re.findall(r"<h([1-6])[^>]*>(.*?)</h", page)
    return [(int(level), html.unescape(text)) for level, text in found]


def test_two_runs_become_a_page_with_tables_and_pictures(compared: Path) -> None:
    page = (compared / "report.html").read_text()
    titles = [text for level, text in headings(page) if level == 2]
    assert titles[:3] == ["Summary", "What was run", "All faces"]
    for name in ("By gender", "By gender and age", "Differences between variants"):
        assert name in titles
    for name in ("How neutral faces are read", "Where the networks look", "Calibration"):
        assert name in titles
    assert titles[-3:] == ["Learning curves", "Leaks", "How it was measured"]
    names = {path.stem for path in (compared / "tables").iterdir()}
    for ending in (".csv", ".json", ".tex"):
        assert {path.stem for path in (compared / "tables").glob(f"*{ending}")} == names
    for table in names:
        assert f"tables/{table} (.csv, .json, .tex)" in page
    drawn = {path.stem for path in (compared / "pictures").glob("*.png")}
    vector = {path.stem for path in (compared / "pictures").glob("*.svg")}
    assert [name.partition("_")[2] for name in drawn - vector] == ["leaks"]  # photos, of the run
    assert vector < drawn
    assert page.count("<img ") == len(drawn)
    assert json.loads((compared / "status.json").read_text())["status"] == "done"


def test_the_page_needs_nothing_beside_it_and_can_be_read_without_pictures(compared: Path) -> None:
    page = (compared / "report.html").read_text()
    assert '<html lang="en">' in page
    assert "<script" not in page
    for source in re.findall(r' src="([^"]*)"', page):
        assert source.startswith("data:image/")
    assert not re.search(r"(?:href|url)[=(][\"']?(?:https?:|//)", page)
    for picture in re.findall(r"<img [^>]*>", page):
        assert len(re.findall(r' alt="([^"]{20,})"', picture)) == 1
    levels = [level for level, _ in headings(page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    targets = re.findall(r'href="#([^"]+)"', page)
    assert targets
    assert all(page.count(f'id="{target}"') == 1 for target in targets)


def test_one_seed_is_said_to_be_about_two_networks(compared: Path) -> None:
    said = said_on(compared)
    *leaks, warning = said[said["verdict"] == "warning"]["text"]
    assert all(text.startswith("LEAK: ") for text in leaks)
    assert warning.startswith("One seed only: balanced, seed 0, positive, seed 0.")
    assert "about these two networks" in warning
    page = (compared / "report.html").read_text()
    for text in said["text"]:
        assert html.escape(text, quote=False).replace("'", "&#39;") in page


def test_the_summary_says_the_numbers_of_the_tables(compared: Path) -> None:
    groups = pd.read_csv(compared / "tables" / "groups.csv")
    whole = groups[(groups["attribute"] == "all") & (groups["reading"] == "raw")]
    accuracies = whole[whole["metric"] == "accuracy"].set_index("variant")["value"]
    said = said_on(compared)
    (right,) = said[said["text"].str.startswith("Right answers")]["text"]
    for variant, value in accuracies.items():
        assert f"“{variant}” on {100 * value:.1f} %" in right
    paired = pd.read_csv(compared / "tables" / "paired_differences.csv")
    pair = paired[(paired["kind"] == "all") & (paired["metric"] == "accuracy")]
    assert set(pair["says"]) <= set(said["text"])


def test_raw_numbers_are_those_of_the_runs(runs: tuple[Path, Path], compared: Path) -> None:
    table = pd.read_csv(compared / "tables" / "comparison.csv")
    whole = table[(table["attribute"] == "all") & (table["reading"] == "raw")].set_index("folder")
    for run in runs:
        report = json.loads((run / "fairness.json").read_text())["test"]["overall"]
        for name in ("n", "accuracy", "macro_f1", "auroc"):
            assert whole.loc[str(run), name] == pytest.approx(report[name])
        # A comparison has as many replicates of the bootstrap for every run, these runs have fewer.
        low, high = whole.loc[str(run), ["accuracy_low", "accuracy_high"]]
        assert low < report["accuracy"] < high


def test_variants_by_valence_are_told_to_be_twins(compared: Path) -> None:
    table = pd.read_csv(compared / "tables" / "twins.csv")
    assert set(table["twins"]) == {"yes"}
    assert set(table["answer"].dropna()) == {"yes"}
    said = said_on(compared)
    assert set(said[said["about"] == "twins"]["verdict"]) == {"measured"}


def test_names_come_out_as_they_are_and_lost_weights_leave_the_rest(tmp_path: Path) -> None:
    name = "<b>&$_%^"
    made = [
        write_run(tmp_path / str(number), f"bias.variant='{each}'")
        for number, each in enumerate(("plain", name))
    ]
    folder = compare(compose_compare(tmp_path, made, *FEW))
    page = (folder / "report.html").read_text()
    assert "<b>" not in page
    assert html.escape(f"{name}, seed 0") in page
    latex = (folder / "tables" / "groups.tex").read_text()
    assert r"\textless{}b\textgreater{}\&\$\_\%\textasciicircum{}, seed 0" in latex
    assert list((folder / "pictures").glob("*_accuracy_gender_raw.png"))
    assert "There are no maps here" in page
    assert said_on(folder)["text"].str.startswith("Maps: there are none").any()


def test_a_sweep_is_compared_by_its_name_below_outputs(
    runs: tuple[Path, Path], tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = tmp_path / "here" / "outputs" / "sweeps" / "mine"
    for number, run in enumerate(runs):
        shutil.copytree(run, sweep / f"{number}_{run.name}")
    assert command("sweep=mine", *FEW, "seed=3") == 0
    (folder,) = (tmp_path / "here" / "outputs" / "compare").iterdir()
    printed = capsys.readouterr().out
    assert f"Open in a browser: {(folder / 'report.html').as_uri()}" in printed
    assert "warning: One seed only" in printed
    assert len(printed.splitlines()) < 20
    assert OmegaConf.load(folder / "config.yaml").seed == 3
    table = pd.read_csv(folder / "tables" / "comparison.csv")
    assert set(table["folder"].map(lambda path: Path(path).parent.name)) == {"mine"}
    assert headings((folder / "report.html").read_text())[0] == (1, "Comparison: sweep mine")


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
        (["runs=[{0},{1}]", "target=happy"], "The target 'happy'"),
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


def test_a_prediction_ends_with_two(
    runs: tuple[Path, Path],
    faces: Path,
    tmp_path: Path,
    command: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predicted = predict(compose_predict(tmp_path, runs[0], faces, "callbacks.cam=null"))
    capsys.readouterr()
    assert command(f"runs=[{runs[0]},{predicted}]") == 2
    error = capsys.readouterr().err
    assert "folder of a prediction" in error
    assert "Expected: " in error
    assert "Traceback" not in error
