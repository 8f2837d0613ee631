"""`python -m facebias.cam`, from two trainings to maps, tables and pictures."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from PIL import Image

from facebias.cam.__main__ import explain
from facebias.cam.attention import attention
from facebias.cam.methods import METHODS
from facebias.cam.regions import FEATURES
from facebias.cam.template import template_regions
from facebias.faces.regions import PARTS
from facebias.report import cam_maps
from facebias.schemas import CAM_METHODS, Cam
from facebias.train import train
from tests.drawn_faces import CLASSES
from tests.generated_folder import generated_rows, write_folder
from tests.trained import compose_cam, compose_train

Command = Callable[..., int]
OPTIONS = ("trainer.max_epochs=1", "callbacks.cam=null")
QUICK = ("curve_faces=0", "sanity_faces=0", "per_label=1")
PICTURES = ("faces", "means", "differences", "regions")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, faces_root: Path) -> list[Path]:
    """Trainings of two variants."""
    return [
        train(
            compose_train(
                tmp_path_factory.mktemp(name), faces_root, *OPTIONS, f"bias.variant={name}"
            )
        )
        for name in ("first", "second")
    ]


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory, runs: list[Path]) -> Path:
    """What the verb leaves, of its defaults but few faces that are taken away."""
    few = ("curve_faces=12", "sanity_faces=6")
    return explain(compose_cam(tmp_path_factory.mktemp("cam"), runs, *few))


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_as_command: Callable[..., int]
) -> Command:
    """Return a function that runs the verb in a folder of its own and gives its exit code."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("FACEBIAS_CACHE", str(tmp_path / "cache"))
    return partial(run_as_command, "cam", Cam, explain)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the drawing of pictures at which no test looks; `explained` was drawn before."""
    monkeypatch.setattr(Figure, "savefig", lambda _, path, **__: Path(path).touch())


def rows_of(folder: Path, run: str = "first, seed 0") -> pd.DataFrame:
    rows = pd.read_parquet(folder / "attention.parquet")
    return rows[rows["run"] == run].reset_index(drop=True)


def maps_of(folder: Path, number: int = 0) -> np.ndarray:
    record = json.loads((folder / "cam.json").read_text())["runs"][number]
    maps: np.ndarray = np.load(folder / record["maps"], mmap_mode="r", allow_pickle=False)
    return maps


def test_every_method_may_be_named() -> None:
    assert set(CAM_METHODS) == set(METHODS)


def test_every_picture_is_there_as_png_and_svg(explained: Path) -> None:
    for name in (*PICTURES, "curves", "randomised"):
        with Image.open(explained / f"{name}.png") as picture:
            assert min(picture.size) > 400
        assert ElementTree.parse(explained / f"{name}.svg").getroot().tag.endswith("svg")  # noqa: S314
    assert not list(explained.rglob(".*.png"))
    assert json.loads((explained / "status.json").read_text())["status"] == "done"


def test_the_table_measures_the_maps_that_are_beside_it(explained: Path) -> None:
    for number, run in enumerate(("first, seed 0", "second, seed 0")):
        rows, maps = rows_of(explained, run), maps_of(explained, number)
        assert (len(rows), len(maps), str(maps.dtype)) == (64, 64, "float16")
        assert np.nanmax(maps.max(axis=(1, 2))) == 1
        measured = attention(maps.astype(np.float64), template_regions((48, 48)))
        for name in ("share_eyes", "density_mouth", "entropy", "outside"):
            assert np.allclose(rows[name], measured[name], atol=2e-3, equal_nan=True)
        assert set(rows["pointing"].dropna()) <= {*FEATURES, "outside"}
        assert set(rows["regions"]) == {"template"}


def test_rows_are_the_runs_own_answers(explained: Path, runs: list[Path]) -> None:
    for run, name in zip(runs, ("first, seed 0", "second, seed 0"), strict=True):
        predictions = pd.read_parquet(run / "predictions.parquet")
        test = predictions[predictions["split"] == "test"].reset_index(drop=True)
        rows = rows_of(explained, name)
        for column in ("id", "label", "predicted", "gender", "age", "identity"):
            assert (rows[column] == test[column]).all(), column
        answers = [f"p_{label}" for label in CLASSES]
        assert np.allclose(rows[answers], test[answers], atol=1e-5)
        assert (rows["target"] == rows["label"]).all()
        assert rows["against"].isna().all()


def test_means_are_of_each_group_and_model(explained: Path) -> None:
    table = pd.read_csv(explained / "attention.csv").set_index(["run", "group", "measure"])
    rows = rows_of(explained, "second, seed 0")
    own = rows.loc[rows["gender"] == "female", "share_eyes"]
    row = table.loc[("second, seed 0", "female", "share_eyes")]
    assert row["value"] == pytest.approx(own.mean(), abs=1e-6)
    assert row["low"] < row["value"] < row["high"]
    assert (row["n"], row["attribute"], row["status"]) == (own.notna().sum(), "gender", "ok")
    groups = ["all", "female", "male", "young", "old", *sorted(CLASSES)]
    assert list(dict.fromkeys(table.index.get_level_values("group"))) == groups


def test_variants_are_compared_and_few_seeds_are_no_test(
    explained: Path, capsys: pytest.CaptureFixture[str], runs: list[Path], tmp_path: Path
) -> None:
    between = pd.read_csv(explained / "between.csv")
    assert set(between["region"]) == {*FEATURES, "outside"}
    assert set(between["verdict"]) == {"descriptive"}
    assert len(pd.read_csv(explained / "between_maps.csv")) == 2
    explain(compose_cam(tmp_path, runs, *QUICK))
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "first, seed 0 against second, seed 0: descriptive only, with fewer than 5 seeds of each"
        in said
    )
    assert "Regions are from a template" in said


def test_faces_are_taken_away_from_what_the_model_said_of_them(explained: Path) -> None:
    curves = pd.read_csv(explained / "curves.csv")
    assert set(curves["n"]) <= set(range(13))
    for _, own in curves.groupby(["run", "order"]):
        deleted = own[own["kind"] == "deletion"].set_index("share")["probability"]
        back = own[own["kind"] == "insertion"].set_index("share")["probability"]
        assert deleted[0] == pytest.approx(back[1], abs=1e-4)
        assert deleted[1] == pytest.approx(back[0], abs=1e-4)
    gains = pd.read_csv(explained / "faithfulness.csv")
    assert (gains["gain"].between(gains["low"], gains["high"])).all()


def test_maps_are_held_against_those_of_random_weights_and_of_noise(explained: Path) -> None:
    stages = pd.read_csv(explained / "randomised.csv", keep_default_na=False, na_values=["nan"])
    for _, own in stages.groupby("run"):
        assert own["stage"].tolist() == list(range(len(own)))
        assert float(own["correlation"].iloc[0]) == pytest.approx(1)
        assert own["layer"].iloc[0] == ""
        assert not own["layer"].str.startswith("network.").any()
        assert set(own["n"]) <= set(range(7))
    noise = pd.read_csv(explained / "noise.csv").set_index(["run", "measure"])
    for run in ("first, seed 0", "second, seed 0"):
        for measure in ("infidelity", "sensitivity"):
            assert noise.loc[(run, measure), "value"] >= 0
        assert noise.loc[(run, "infidelity"), "random"] >= 0
        assert np.isnan(noise.loc[(run, "sensitivity"), "random"])


def test_the_size_of_batches_changes_nothing_but_the_row_groups(
    explained: Path, runs: list[Path], tmp_path: Path
) -> None:
    folder = explain(compose_cam(tmp_path, runs, *QUICK, "batch_size=7"))
    one, other = (pd.read_parquet(each / "attention.parquet") for each in (explained, folder))
    pd.testing.assert_frame_equal(one, other, atol=1e-4, rtol=1e-4)
    assert pq.ParquetFile(folder / "attention.parquet").num_row_groups == 20
    assert not [*folder.glob("curves*"), *folder.glob("randomised*"), *folder.glob("noise*")]


def test_fewer_faces_are_drawn_by_lot_and_the_same_for_every_run(
    runs: list[Path], tmp_path: Path
) -> None:
    found = []
    for seed in (0, 1):
        folder = explain(
            compose_cam(tmp_path / str(seed), runs, *QUICK, "max_faces=9", f"seed={seed}")
        )
        ids = [list(rows_of(folder, f"{name}, seed 0")["id"]) for name in ("first", "second")]
        assert ids[0] == ids[1]
        assert len(ids[0]) == len(maps_of(folder)) == 9
        found.append(ids[0])
    assert found[0] != found[1]


def test_a_contrast_names_both_classes(runs: list[Path], tmp_path: Path) -> None:
    folder = explain(compose_cam(tmp_path, runs[:1], *QUICK, "target=[happy,neutral]"))
    rows = rows_of(folder)
    assert set(rows["target"]) == {"happy"}
    assert set(rows["against"]) == {"neutral"}


def test_maps_of_each_models_own_answer_are_not_compared(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = explain(compose_cam(tmp_path, runs, *QUICK, "target=predicted"))
    assert not list(folder.glob("differences.*"))
    assert not list(folder.glob("between*"))
    assert "for different classes" in " ".join(capsys.readouterr().out.split())
    rows = rows_of(folder)
    assert (rows["target"] == rows["predicted"]).all()


@pytest.mark.slow
def test_runs_of_one_variant_show_how_alike_they_are(
    runs: list[Path], tmp_path: Path, faces_root: Path
) -> None:
    again = train(compose_train(tmp_path, faces_root, *OPTIONS, "bias.variant=first", "seed=1"))
    folder = explain(compose_cam(tmp_path, [runs[0], again], *QUICK))
    stable = pd.read_csv(folder / "stability.csv")
    assert stable[["first", "second"]].values.tolist() == [["first, seed 0", "first, seed 1"]]
    assert stable["correlation"].between(-1, 1).all()


@pytest.mark.slow
def test_runs_may_see_the_faces_in_other_sizes(
    runs: list[Path], tmp_path: Path, faces_root: Path
) -> None:
    small = ("data.height=32", "data.width=32", "data.channels=3", "bias.variant=small")
    other = train(compose_train(tmp_path, faces_root, *OPTIONS, *small))
    folder = explain(compose_cam(tmp_path, [runs[0], other], *QUICK))
    assert maps_of(folder, 0).shape[1:] == (24, 24)
    assert maps_of(folder, 1).shape[1:] == (16, 16)
    assert len(pd.read_csv(folder / "between.csv")) == len(FEATURES) + 1
    assert not (folder / "between_maps.csv").exists()
    assert (folder / "differences.png").is_file()


def test_other_faces_may_have_no_labels(runs: list[Path], tmp_path: Path, faces_root: Path) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    for file in sorted((faces_root / "test" / "happy").glob("*.png"))[:5]:
        shutil.copy(file, loose)
    options = (*QUICK, f"faces={loose}", "target=happy")
    folder = explain(compose_cam(tmp_path, runs, *options))
    rows = rows_of(folder)
    assert len(rows) == 5
    assert rows["label"].isna().all()
    assert (folder / "faces.png").is_file()


def test_landmarks_of_a_table_are_used(
    runs: list[Path], tmp_path: Path, faces_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((faces_root / "test" / "happy").glob("*.png"))[:4]
    points = "14 19 33 19 24 28 17 36 31 36"
    table = {"source": [f"{file.name}" for file in files], "label": "happy"}
    pd.DataFrame(table | {"landmarks": [points] * 3 + [None]}).to_csv(
        tmp_path / "faces.csv", index=False
    )
    for file in files:
        shutil.copy(file, tmp_path)
    faces = f"faces={tmp_path}/faces.csv"
    folder = explain(compose_cam(tmp_path, runs, *QUICK, faces, "attributes={}"))
    record = json.loads((folder / "cam.json").read_text())
    assert record["regions"]["source"] == "landmarks"
    for run in ("first, seed 0", "second, seed 0"):
        rows = rows_of(folder, run)
        assert rows["share_eyes"].isna().tolist() == [False, False, False, True]
        assert rows["entropy"].notna().all()
    monkeypatch.setattr(cam_maps, "_KEPT", 0)  # as for many faces, whose masks are not kept
    again = explain(compose_cam(tmp_path / "again", runs, *QUICK, faces, "attributes={}"))
    one, other = (pd.read_parquet(each / "attention.parquet") for each in (folder, again))
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.slow
def test_masks_of_generated_faces_are_used_and_small_regions_merged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = generated_rows(120)
    faces = write_folder(tmp_path / "faces", rows)
    codes = np.zeros((32, 32), np.uint8)
    codes[4:28, 6:26] = PARTS.index("skin") if "skin" in PARTS else 1
    codes[10:12, 10:12] = PARTS.index("left eye")
    Image.fromarray(codes).save(faces / "regions" / "000000.png")
    small = ("data=faces", "data.height=32", "data.copies=report", "bias=balanced")
    run = train(compose_train(tmp_path, faces, *OPTIONS, *small))
    folder = explain(compose_cam(tmp_path, [run], *QUICK))
    record = json.loads((folder / "cam.json").read_text())
    assert record["regions"]["source"] == "masks"
    assert "the data set's masks" in " ".join(capsys.readouterr().out.split())
    shares = pd.read_parquet(folder / "attention.parquet").filter(like="share_")
    total = shares.sum(axis=1)
    assert total[total > 0].to_numpy() == pytest.approx(1, abs=1e-4)


def test_the_command_writes_below_outputs(
    runs: list[Path], tmp_path: Path, command: Command
) -> None:
    assert command(f"runs=[{runs[0]}]", *QUICK, "max_faces=8", "faces=validation") == 0
    (folder,) = (tmp_path / "here" / "outputs" / "cam").iterdir()
    assert OmegaConf.load(folder / "config.yaml").faces == "validation"
    assert not (folder / "differences.png").exists()
    assert not (folder / "curves.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "runs is not set"),
        (["runs=[]"], "no runs to explain"),
        (["runs=[{0},{0}]"], "is given twice"),
        (["runs=[/nowhere]"], "/nowhere is no run folder"),
        (["runs=[{0}]", "faces=/nowhere"], "there is nothing at /nowhere"),
        (["runs=[{0}]", "target=sad"], "The target 'sad'"),
        (["runs=[{0}]", "target=[happy,happy]"], "a pair of different classes"),
        (["runs=[{0}]", "target=3"], "target is 3"),
        (["runs=[{0}]", "layer=layer9"], "no layer named 'layer9'"),
        (["runs=[{0}]", "layer=[]"], "layer is []"),
        (["runs=[{0}]", "layer=stages", "method=grad_cam"], "several layers for grad_cam"),
        (["runs=[{0}]", "method=occlusion", "layer=blocks.0"], "looks at no layer"),
        (["runs=[{0}]", "method=cam"], "CAM is not defined for this model"),
        (["runs=[{0}]", "method=sam"], "method is 'sam'"),
        (["runs=[{0}]", "max_faces=0"], "max_faces is 0"),
        (["runs=[{0}]", "eyes=[[0.5,0.5]]"], "The eyes are at"),
    ],
    ids=str,
)
def test_what_is_wrong_ends_with_two_and_no_traceback(
    runs: list[Path],
    tmp_path: Path,
    command: Command,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    assert command(*(text.format(*runs) for text in arguments)) == 2
    error = capsys.readouterr().err
    assert "facebias: " in error
    assert says in error
    assert "Traceback" not in error


def test_labels_that_nobody_knows_cannot_be_explained(
    runs: list[Path], tmp_path: Path, faces_root: Path, command: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    loose = tmp_path / "loose"
    loose.mkdir()
    shutil.copy(next((faces_root / "test" / "happy").glob("*.png")), loose)
    assert command(f"runs=[{runs[0]}]", f"faces={loose}") == 2
    assert "1 of 1 faces have no label" in capsys.readouterr().err
    for file in loose.iterdir():
        file.unlink()
    assert command(f"runs=[{runs[0]}]", f"faces={loose}", "target=happy") == 2
    error = capsys.readouterr().err
    assert "check faces: a folder of images" in error
    assert "data.root" not in error


def test_runs_of_other_faces_or_classes_are_refused(
    runs: list[Path], tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(runs[1], other)
    predictions = pd.read_parquet(other / "predictions.parquet")
    predictions.iloc[:-3].to_parquet(other / "predictions.parquet", index=False)
    assert command(f"runs=[{runs[0]},{other}]") == 2
    assert "of them have the same id, label and groups" in capsys.readouterr().err
    untested = predictions[predictions["split"] != "test"]
    untested.to_parquet(other / "predictions.parquet", index=False)
    assert command(f"runs=[{other}]") == 2
    assert "has not predicted test faces" in capsys.readouterr().err


def test_images_that_give_other_answers_are_refused(
    runs: list[Path], tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(runs[1], other)
    rows = pd.read_parquet(other / "predictions.parquet")
    answers = [f"p_{label}" for label in CLASSES]
    rows[answers] = rows[answers].to_numpy()[:, ::-1]
    rows.to_parquet(other / "predictions.parquet", index=False)
    assert command(f"runs=[{other}]", *QUICK) == 2
    assert "get other probabilities" in capsys.readouterr().err


def test_london_with_its_landmarks(
    runs: list[Path], tmp_path: Path, real_data: Callable[[str], Path]
) -> None:
    london = real_data("london")
    points = pd.read_csv(london / "landmarks.csv").head(8)
    shutil.copytree(london / "neutral", tmp_path / "faces" / "neutral")
    numbers = points.drop(columns="file").to_numpy()
    columns = {"source": points["file"], "label": "neutral"}
    columns |= dict(zip(("left", "top", "right", "bottom"), (70, 60, 186, 196), strict=True))
    said = [" ".join(map(str, row)) for row in numbers]
    pd.DataFrame(columns | {"landmarks": said}).to_csv(tmp_path / "faces/faces.csv", index=False)
    faces = f"faces={tmp_path}/faces/faces.csv"
    folder = explain(compose_cam(tmp_path, runs, *QUICK, faces, "attributes={}"))
    record = json.loads((folder / "cam.json").read_text())
    assert record["regions"]["source"] == "landmarks"
    shares = rows_of(folder).filter(like="share_").sum(axis=1) + rows_of(folder)["outside"]
    assert shares.to_numpy() == pytest.approx(1, abs=1e-3)
