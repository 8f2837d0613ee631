"""What a biased and remedied training leaves in its folder, and says."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from facebias.runs.assemble import assemble_datamodule, assemble_faces
from facebias.train import train
from tests.generated_folder import generated_rows, write_folder
from tests.trained import compose_train

OPTIONS = (
    "data=faces",
    "data.height=32",
    "data.copies=report",  # drawn faces look alike
    "trainer.max_epochs=1",
    "callbacks.cam=null",
)
NOISE = ("bias=label_noise", "bias.attribute=gender", "bias.group=female", "bias.rate=0.5")
WEIGHTS = ("remedy=weights", "remedy.attributes=[gender]")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("generated") / "faces", generated_rows(240))


def test_noise_and_weights_are_recorded_and_said(
    faces: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="facebias"):
        folder = train(compose_train(tmp_path, faces, *OPTIONS, *NOISE, *WEIGHTS))
    rows = pd.read_parquet(folder / "split.parquet")
    wrong = rows[rows["label"] != rows["true_label"]]
    assert set(wrong["split"]) == {"train"}
    assert set(wrong["gender"]) == {"female"}
    record = json.loads((folder / "composition.json").read_text())
    assert list(record["cells"]) == ["source", "after the bias", "weighted"]
    assert record["attributes"] == ["gender"]
    assert record["cramers_v"]["weighted"] == pytest.approx(0, abs=1e-6)
    line = f"LABEL NOISE: {len(wrong)} of "
    assert line in capsys.readouterr().out
    (warned,) = (record for record in caplog.records if line in record.getMessage())
    assert warned.levelno == logging.WARNING
    assert len(json.loads((folder / "normalisation.json").read_text())["mean"]) == 3


def test_weights_reach_the_train_batches_alone(faces: Path, tmp_path: Path) -> None:
    config = compose_train(tmp_path, faces, *OPTIONS, *NOISE, "bias.towards=negative", *WEIGHTS)
    prepared = assemble_faces(config)
    loaders = assemble_datamodule(config, prepared)
    train_rows = prepared.rows("train")
    for batch in loaders.train_dataloader():
        expected = train_rows["weight"].to_numpy(np.float32)[batch.rows.numpy()]
        np.testing.assert_array_equal(batch.weights.numpy(), expected)
    assert train_rows["weight"].nunique() > 1
    for loader in (loaders.val_dataloader(), *loaders.predict_dataloader()[1:]):
        assert all(torch.equal(batch.weights, torch.ones(len(batch.rows))) for batch in loader)


def test_undersampling_after_a_bias_shows_three_stages(faces: Path, tmp_path: Path) -> None:
    bias = ("bias=under_representation", "bias.attribute=gender", "bias.group=female")
    remedy = ("remedy=undersample", "remedy.attributes=[gender]")
    config = compose_train(tmp_path, faces, *OPTIONS, *bias, "bias.factor=0.3", *remedy)
    stages = assemble_faces(config).stages()
    assert list(stages) == ["source", "after the bias", "after the remedy"]
    source, biased, remedied = (cells.drop(columns="unknown") for cells in stages.values())
    assert (biased["female"] < source["female"]).all()
    assert (remedied == biased.to_numpy().min()).to_numpy().all()
