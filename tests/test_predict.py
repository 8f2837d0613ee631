import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from facebias.errors import ConfigError, DataError, RunError
from facebias.fairness.counterfactual import OWN
from facebias.predict import predict
from facebias.train import train
from tests.generated_folder import generated_rows, with_twins, write_folder
from tests.trained import compose_predict, compose_train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, faces_root: Path) -> Path:
    return train(compose_train(tmp_path_factory.mktemp("run"), faces_root))


def test_its_own_test_faces_get_the_probabilities_of_the_training(
    run: Path, tmp_path: Path, faces_root: Path
) -> None:
    folder = predict(compose_predict(tmp_path, run, faces_root / "test"))
    trained = pd.read_parquet(run / "predictions.parquet").query("split == 'test'")
    found = pd.read_parquet(folder / "predictions.parquet")
    found["id"] = "test/" + found["id"]
    both = trained.merge(found, on="id", suffixes=("", "_found"))
    assert len(both) == len(trained) == len(found)
    for name in ("p_happy", "p_neutral"):
        assert np.allclose(both[name], both[f"{name}_found"], atol=1e-6)
    for name in ("label", "predicted", "gender", "age", "run", "variant", "seed"):
        assert (both[name] == both[f"{name}_found"]).all()
    report = json.loads((folder / "fairness.json").read_text())["test"]
    before = json.loads((run / "fairness.json").read_text())["test"]
    assert report["overall"]["accuracy"] == before["overall"]["accuracy"]
    for name in ("report.html", "cam/sheet.png", "fairness.png", "confusion.png", "status.json"):
        assert (folder / name).is_file()


def test_faces_without_labels_get_predictions_and_maps(
    run: Path, tmp_path: Path, faces_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(faces_root / "test" / "happy", tmp_path / "flat")
    folder = predict(compose_predict(tmp_path, run, tmp_path / "flat"))
    predictions = pd.read_parquet(folder / "predictions.parquet")
    assert len(predictions) == 16
    assert predictions["label"].isna().all()
    assert not (folder / "fairness.json").exists()
    assert (folder / "cam" / "sheet.png").is_file()
    assert (folder / "answers.png").is_file()
    printed, page = capsys.readouterr().out, (folder / "report.html").read_text()
    for said in (printed, page):
        assert "No labels" in said
    assert "there is no accuracy" in printed
    assert "so no accuracy follows" in page
    for claimed in ("<h2>Results</h2>", "<h2>Groups</h2>", "<th>accuracy</th>", "confusion"):
        assert claimed not in page.partition("Configuration")[0]
    answers = pd.read_csv(folder / "answers.csv").iloc[0]
    likeliest = predictions[["p_focused", "p_happy", "p_neutral", "p_surprised"]].max(axis=1)
    assert answers["n"] == 16
    assert answers["confidence"] == pytest.approx(likeliest.mean(), abs=1e-6)
    assert answers["share_happy"] == (predictions["predicted"] == "happy").mean()


def test_labels_are_mapped_and_groups_are_found(
    run: Path, tmp_path: Path, faces_root: Path
) -> None:
    faces = tmp_path / "mine"
    shutil.copytree(faces_root / "test" / "happy", faces / "smiling")
    for file in faces.rglob("*.csv"):
        file.unlink()
    names = sorted(path.stem for path in faces.rglob("*.png"))
    with (faces / "people.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["face_id", "skin"])
        writer.writerows([name, ("light", "dark")[n % 2]] for n, name in enumerate(names))
    config = compose_predict(
        tmp_path, run, faces, "label_map={smiling: happy}", "attributes={skin: []}"
    )
    folder = predict(config)
    report = json.loads((folder / "fairness.json").read_text())["test"]
    groups = {row["group"]: row["n"] for row in report["groups"] if row["attribute"] == "skin"}
    assert groups == {"dark": 8, "light": 8}
    predictions = pd.read_parquet(folder / "predictions.parquet")
    assert set(predictions["label"]) == {"happy"}


def test_a_table_is_read_like_a_folder(run: Path, tmp_path: Path, faces_root: Path) -> None:
    images = sorted((faces_root / "test").rglob("*.png"))
    table = pd.DataFrame(
        {
            "photo": [path.relative_to(faces_root).as_posix() for path in images],
            "label": [path.parent.name for path in images],
            "gender": ["female", "male"] * 32,
        }
    )
    copy = tmp_path / "faces"
    shutil.copytree(faces_root, copy)
    for suffix, write in ((".csv", table.to_csv), (".parquet", table.to_parquet)):
        write(copy / f"faces{suffix}", index=False)
        config = compose_predict(
            tmp_path,
            run,
            copy / f"faces{suffix}",
            "columns={source: photo}",
            f"paths.run={tmp_path}/{suffix[1:]}",
        )
        folder = predict(config)
        report = json.loads((folder / "fairness.json").read_text())["test"]
        assert report["overall"]["n"] == 64
        assert {row["attribute"] for row in report["groups"]} == {"all", "gender"}


@pytest.fixture(scope="module")
def generated_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    faces = write_folder(folder / "faces", generated_rows(120))
    options = ("data=faces", "data.height=32", "bias=balanced", "callbacks.cam=null")
    # Drawn faces differ by shift and light alone.
    return train(compose_train(folder, faces, *options, "data.copies=report"))


def test_a_run_on_generated_faces_keeps_persons_together_and_composes(generated_run: Path) -> None:
    rows = pd.read_parquet(generated_run / "split.parquet")
    assert (rows.groupby("identity")["split"].nunique() == 1).all()
    train_faces = rows[(rows["split"] == "train") & (rows["left_out"] == "")]
    assert train_faces["label"].value_counts().max() - train_faces["label"].value_counts().min() < 2
    predictions = pd.read_parquet(generated_run / "predictions.parquet")
    assert "pair" not in predictions
    assert not (generated_run / "counterfactual.json").exists()


def test_counterfactual_faces_get_the_share_that_flips(
    generated_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = with_twins(generated_rows(24), "skin_ita", "-50")
    faces = write_folder(tmp_path / "pairs", rows)
    folder = predict(compose_predict(tmp_path, generated_run, faces, "callbacks.cam=null"))
    predictions = pd.read_parquet(folder / "predictions.parquet").set_index("id")
    assert set(predictions["label"]) == {"negative", "neutral", "positive"}
    assert {"gender", "age", "skin_tone"} <= set(predictions)
    (found,) = json.loads((folder / "counterfactual.json").read_text())["test"]
    twins = predictions[predictions.index != predictions["pair"]]
    before = predictions.loc[twins["pair"], "predicted"].to_numpy()
    flips = int((before != twins["predicted"].to_numpy()).sum())
    assert (found["n"], found["flips"], found["factor"]) == (24, flips, "skin_ita")
    said = f"of 24 faces change their predicted label when only skin_ita changes from {OWN} to -50"
    assert said in capsys.readouterr().out


def test_a_model_of_gender_is_shown_generated_faces_by_gender(
    tmp_path: Path,
) -> None:
    faces = write_folder(tmp_path / "faces", generated_rows(120))
    options = ("data=faces", "data.height=32", "callbacks.cam=null", "data.copies=report")
    reader = {"target": "gender", "classes": "[female,male]", "equal_by": "valence"}
    gender = tuple(f"data.reader.{name}={value}" for name, value in reader.items())
    of_gender = train(compose_train(tmp_path, faces, *gender, *options, "trainer.max_epochs=1"))
    # As a run on CelebA has it.
    config = OmegaConf.load(of_gender / "config.yaml")
    config.data.reader = {
        "_target_": "facebias.data.readers.celeba.read_celeba",
        **{"root": "/celeba", "target": "Male", "classes": ["female", "male"]},
        **{"attributes": {"age": ["older", "young"]}, "columns": {"age": "Young"}},
    }
    OmegaConf.save(config, of_gender / "config.yaml")
    other = compose_predict(tmp_path, of_gender, faces, "attributes={skin_tone: []}")
    predicted = pd.read_parquet(predict(other) / "predictions.parquet")
    assert predicted["label"].value_counts().to_dict() == {"female": 60, "male": 60}
    assert "skin_tone" in predicted


def test_generated_faces_that_are_not_finished_are_told(
    generated_run: Path, tmp_path: Path
) -> None:
    faces = write_folder(tmp_path / "half", generated_rows(6))
    (faces / "faces.parquet").unlink()
    with pytest.raises(DataError, match="not finished"):
        predict(compose_predict(tmp_path, generated_run, faces))


def test_a_run_on_other_faces_says_that_it_knows_none_of_the_labels(
    run: Path, tmp_path: Path
) -> None:
    faces = write_folder(tmp_path / "faces", generated_rows(6))
    with pytest.raises(DataError, match="focused, happy, neutral, surprised"):
        predict(compose_predict(tmp_path, run, faces))


def test_faces_without_labels_are_told_apart_by_groups_of_their_own(
    run: Path, tmp_path: Path, faces_root: Path
) -> None:
    names = sorted(path.name for path in (faces_root / "test" / "happy").glob("*.png"))
    says = ["she", "he", "they", ""] * 4
    rows = pd.DataFrame({"source": [f"test/happy/{name}" for name in names], "says": says})
    copy = shutil.copytree(faces_root, tmp_path / "faces")
    rows.to_csv(copy / "people.csv", index=False)
    config = compose_predict(tmp_path, run, copy / "people.csv", "attributes={says: []}")
    folder = predict(config)
    answers = pd.read_csv(folder / "answers.csv")
    assert dict(zip(answers["group"], answers["n"], strict=True)) == {
        "all": 16,
        "he": 4,
        "she": 4,
        "they": 4,
        "unknown": 4,
    }
    assert not (folder / "fairness.json").exists()


def test_a_bad_image_is_listed_and_the_rest_goes_on(
    run: Path, tmp_path: Path, faces_root: Path
) -> None:
    flat = tmp_path / "flat"
    shutil.copytree(faces_root / "test" / "happy", flat)
    whole = (flat / "im1.png").read_bytes()
    (flat / "half.png").write_bytes(whole[: len(whole) // 2])
    (flat / "empty.png").write_bytes(b"")
    folder = predict(compose_predict(tmp_path, run, flat))
    assert len(pd.read_parquet(folder / "predictions.parquet")) == 16
    rows = pd.read_parquet(folder / "split.parquet").set_index("id")
    for name in ("half.png", "empty.png"):
        assert rows.loc[name, "left_out"].startswith("bad image")
    with pytest.raises(DataError, match="half"):
        predict(compose_predict(tmp_path, run, flat, "max_bad=1", f"paths.run={tmp_path}/strict"))


def test_unknown_classes_are_told_with_the_way_out(
    run: Path, tmp_path: Path, faces_root: Path
) -> None:
    shutil.copytree(faces_root / "test" / "happy", tmp_path / "mine" / "smiling")
    with pytest.raises(DataError, match="label_map"):
        predict(compose_predict(tmp_path, run, tmp_path / "mine"))


def test_no_run_and_no_faces_are_told(run: Path, tmp_path: Path, faces_root: Path) -> None:
    with pytest.raises(RunError, match="no run folder"):
        predict(compose_predict(tmp_path, tmp_path, faces_root))
    with pytest.raises(DataError, match="nothing at"):
        predict(compose_predict(tmp_path, run, tmp_path / "nothing"))


def test_the_folder_of_a_prediction_is_told_from_a_run(
    run: Path, tmp_path: Path, faces_root: Path
) -> None:
    folder = predict(compose_predict(tmp_path, run, faces_root / "test", "callbacks.cam=null"))
    with pytest.raises(RunError, match="folder of a prediction"):
        predict(compose_predict(tmp_path, folder, faces_root, f"paths.run={tmp_path}/again"))


def test_a_run_that_is_not_done_is_refused(run: Path, tmp_path: Path, faces_root: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    (broken / "status.json").write_text('{"status": "failed", "reason": "it broke"}')
    with pytest.raises(RunError, match="it broke"):
        predict(compose_predict(tmp_path, broken, faces_root))


def test_a_run_folder_cannot_name_code_to_run(run: Path, tmp_path: Path, faces_root: Path) -> None:
    evil = tmp_path / "evil"
    shutil.copytree(run, evil)
    config = (evil / "config.yaml").read_text()
    (evil / "config.yaml").write_text(config.replace("facebias.models.cnn.CNN", "os.system"))
    with pytest.raises(ConfigError, match="may not run"):
        predict(compose_predict(tmp_path, evil, faces_root))


@pytest.mark.slow
def test_other_real_faces(
    tmp_path: Path, faces_root: Path, real_data: Callable[[str], Path], run: Path
) -> None:
    config = compose_predict(
        tmp_path,
        run,
        real_data("london"),
        "label_map={smiling: happy}",
        "columns={source: face_id, gender: face_gender}",
        "attributes={gender: []}",
    )
    report = json.loads((predict(config) / "fairness.json").read_text())["test"]
    assert report["overall"]["n"] == 204
