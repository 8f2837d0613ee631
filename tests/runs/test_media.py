import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from facebias.runs.media import markdown_table, read_media
from facebias.runs.wandb_run import ID_FILE
from facebias.train import train
from tests.trained import compose_train
from tests.wandb_file import items, read_records

EPOCHS = "trainer.max_epochs=2"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, faces_root: Path) -> Path:
    folder = tmp_path_factory.mktemp("shown")
    overrides = (EPOCHS, "logger=[wandb,tensorboard]", "sweep=study", "fold=1")
    return train(compose_train(folder, faces_root, *overrides))


def test_wandb_gets_pictures_faces_and_tables(run: Path) -> None:
    (media,) = run.glob("wandb/offline-run-*/files/media")
    for name in ("learning_curves", "confusion", "fairness", "cam_sheet"):
        assert len(list(media.glob(f"images/pictures/{name}_*.png"))) == 1
    assert len(list(media.glob("images/faces_*.png"))) == len(list(run.glob("cam/faces/*.png")))
    for split in ("train", "validation", "test"):
        (file,) = media.glob(f"table/fairness/{split}_*.table.json")
        table = json.loads(file.read_text())
        column = table["columns"].index("group")
        assert {row[column] for row in table["data"]} >= {"female", "male", "female, young"}


def test_wandb_knows_group_tags_configuration_axes_and_headline(run: Path) -> None:
    records = read_records(run)
    (record,) = [each.run for each in records if each.HasField("run")]
    assert record.run_id == (run / ID_FILE).read_text().strip()
    assert (record.run_group, record.job_type) == ("study", "train")
    tags = ["variant: none", "remedy: none", "seed: 0", "data.seed: 0", "fold: 1"]
    assert sorted(record.tags) == sorted(tags)
    config = items(record.config.update)
    assert config["model"]["filters"] == [8]
    assert str(run.parent) not in str(record)
    axes = {
        each.metric.glob_name: each.metric.step_metric
        for each in records
        if each.HasField("metric")
    }
    assert axes["train/*"] == axes["validation/*"] == "epoch"
    accuracy = json.loads((run / "fairness.json").read_text())["test"]["overall"]["accuracy"]
    summary = {
        name: value
        for each in records
        if each.HasField("summary")
        for name, value in items(each.summary.update).items()
    }
    assert summary["result/test/accuracy"] == pytest.approx(accuracy)
    history = [items(each.history.item) for each in records if each.HasField("history")]
    assert sum("validation/loss" in row for row in history) == 2
    captions = [row["faces/captions"] for row in history if "faces/captions" in row]
    assert all("label" in each and "predicted" in each for each in captions[0])


def test_tensorboard_gets_curves_pictures_tables_and_hyperparameters(run: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    events = EventAccumulator(str(run / "tensorboard"), {"tensors": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    metrics = pd.read_csv(run / "metrics.csv")["validation/loss"].dropna()
    logged = [each.value for each in events.Scalars("validation/loss")]
    assert logged == pytest.approx(metrics.to_list())
    assert "result/test/accuracy" in tags["scalars"]
    assert {f"pictures/{name}" for name in ("confusion", "fairness")} <= set(tags["images"])
    faces = [name for name in tags["images"] if name.startswith("faces/01_label_")]
    assert len(faces) == 1
    (table,) = events.Tensors("fairness/test/text_summary")
    assert b"| gender | female |" in table.tensor_proto.string_val[0]
    assert "custom_scalars__config__" in tags["tensors"]
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    parameters = HParamsPluginData.FromString(content).session_start_info.hparams
    assert parameters["variant"].string_value == "none"
    assert parameters["fold"].number_value == 1


@pytest.mark.slow
def test_loggers_change_no_weight(run: Path, tmp_path: Path, faces_root: Path) -> None:
    plain = train(compose_train(tmp_path, faces_root, EPOCHS, "fold=1"))
    states = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (run, plain)
    ]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    tables = [pd.read_parquet(folder / "predictions.parquet") for folder in (run, plain)]
    pd.testing.assert_frame_equal(*tables)


def test_captions_are_those_of_the_faces_in_the_pictures(run: Path) -> None:
    predictions = pd.read_parquet(run / "predictions.parquet").set_index("id")
    with np.load(run / "cam" / "maps.npz", allow_pickle=False) as stored:
        identifiers = stored["id"]
    shown = read_media(run).faces
    assert len(shown) == len(identifiers)
    for (path, caption), identifier in zip(shown, identifiers, strict=True):
        row = predictions.loc[identifier]
        assert Path(identifier).stem in path.name
        assert caption == (
            f"label {row['label']}, predicted {row['predicted']}; {row['gender']}, {row['age']}"
        )


def test_what_was_not_measured_is_not_shown(run: Path, tmp_path: Path) -> None:
    for name in ("config.yaml", "environment.json", "predictions.parquet", "split.parquet"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    media = read_media(tmp_path)
    assert (media.headline, media.tables, media.pictures, media.faces) == ({}, {}, {}, [])
    assert media.labels["fold"] == 1


def test_undefined_cells_of_a_table_are_dashes() -> None:
    table = pd.DataFrame({"group": ["a|b"], "n": [0], "accuracy": [float("nan")]})
    assert markdown_table(table).splitlines()[-1] == "| a\\|b | 0 | – |"
