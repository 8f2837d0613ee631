import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from facebias.errors import DataError, FacebiasError, RunError
from facebias.runs.explained import explained_faces
from facebias.runs.trained import load_runs
from facebias.train import train
from tests.drawn_faces import ATTRIBUTES, CLASSES, write_class_folders
from tests.trained import compose_train

Change = Callable[[DictConfig], Any]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces that a test may put aside for a while."""
    return write_class_folders(tmp_path_factory.mktemp("faces"), train=12, test=4)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> tuple[Path, Path]:
    """Two trainings on the same faces, of which one saw fewer women."""
    folders = [tmp_path_factory.mktemp(name) for name in ("male", "all")]
    options = ("trainer.max_epochs=1", "callbacks.cam=null", "data.folds=4")
    bias = ("bias=attribute_shares", "bias.attribute=gender", "bias.shares={female: 1, male: 3}")
    return (
        train(compose_train(folders[0], faces, *options, *bias, "bias.variant=male")),
        train(compose_train(folders[1], faces, *options, "seed=1", "data.channels=3")),
    )


def copied(run: Path, folder: Path, change: Change | None = None) -> Path:
    """Return a copy of a run, its configuration changed."""
    shutil.copytree(run, folder)
    if change is not None:
        config = OmegaConf.load(folder / "config.yaml")
        assert isinstance(config, DictConfig)
        change(config)
        OmegaConf.save(config, folder / "config.yaml")
    return folder


def with_predictions(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    file = folder / "predictions.parquet"
    change(pd.read_parquet(file)).to_parquet(file, index=False)
    return folder


def test_a_run_says_what_it_was_trained_and_measured_on(runs: tuple[Path, Path]) -> None:
    first, second = load_runs(runs)
    assert (first.name, second.name) == ("male, seed 0", "no bias, seed 1")
    assert first.classes == second.classes == CLASSES
    assert first.attributes == ATTRIBUTES
    assert len(first.rows) == 16
    assert set(first.rows["split"]) == {"test"}


def test_the_model_gives_the_probabilities_of_the_run(runs: tuple[Path, Path]) -> None:
    for run, channels in zip(load_runs(runs), (1, 3), strict=True):
        names = run.rows["id"].tolist()[::-3]
        (faces,) = explained_faces([run], names)
        images = faces.pixels(slice(None))
        assert images.shape == (len(names), 48, 48, channels)
        assert images.dtype == np.uint8
        model = run.model()
        assert not model.training
        with torch.no_grad():
            found = model(faces.images(slice(None))).softmax(1).numpy()
        written = run.rows.set_index("id").loc[names, [f"p_{name}" for name in run.classes]]
        assert np.allclose(found, written, atol=1e-5)


def _composed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return faces after a bias that leaves out all happy ones and some neutral ones."""
    happy, neutral = rows["label"] == "happy", rows["label"] == "neutral"
    return rows.assign(left_out=rows["left_out"].mask(happy | neutral & (rows.index % 3 > 0), "no"))


def test_the_prior_is_the_share_of_each_class_in_the_loss(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    plain = copied(runs[1], tmp_path / "plain")
    weighted = copied(
        runs[1],
        tmp_path / "weighted",
        lambda config: config.classifier.update({"class_weights": "balanced"}),
    )
    rows = _composed(pd.read_parquet(runs[1] / "split.parquet"))
    for folder in (plain, weighted):
        rows.to_parquet(folder / "split.parquet", index=False)
    counts = rows.query("split == 'train' and left_out == ''")["label"].value_counts()
    prior, equal = (run.train_prior() for run in load_runs([plain, weighted]))
    assert prior == {name: counts.get(name, 0) / counts.sum() for name in CLASSES}
    assert prior["happy"] == 0 < prior["neutral"] < prior["focused"]
    third = pytest.approx(1 / 3)
    assert equal == {"focused": third, "happy": 0, "neutral": third, "surprised": third}


def test_equal_names_are_numbered(runs: tuple[Path, Path], tmp_path: Path) -> None:
    again = [copied(runs[0], tmp_path / name) for name in ("again", "and_again")]
    names = [run.name for run in load_runs([runs[0], again[0], runs[1], again[1]])]
    assert names == ["male, seed 0", "male, seed 0 (2)", "no bias, seed 1", "male, seed 0 (3)"]


def test_groups_that_are_not_declared_are_found(runs: tuple[Path, Path], tmp_path: Path) -> None:
    found = copied(
        runs[0],
        tmp_path / "found",
        lambda config: config.data.reader.attributes.update({"age": []}),
    )
    none = copied(
        runs[1], tmp_path / "none", lambda config: config.data.reader.update({"attributes": None})
    )
    first, second = load_runs([found, none])
    assert first.attributes == {"gender": ("female", "male"), "age": ("old", "young")}
    assert second.attributes == {}


def test_groups_are_those_that_the_faces_have_also_from_a_side_table(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    def change(config: DictConfig) -> None:
        config.data.side_table.attributes = {"age": list(config.data.reader.attributes.age)}
        # Read as the label, so that no column has it.
        config.data.reader.attributes = {"gender": ["female", "male"], "mood": ["good", "bad"]}

    run, _ = load_runs([copied(runs[0], tmp_path / "joined", change), runs[1]])
    assert run.attributes == {"gender": ("female", "male"), "age": ("young", "old")}


def test_classes_may_stand_in_another_order(runs: tuple[Path, Path], tmp_path: Path) -> None:
    other = copied(
        runs[1],
        tmp_path / "other",
        lambda config: config.data.reader.update({"classes": list(CLASSES)[::-1]}),
    )
    assert load_runs([runs[0], other])[1].classes == CLASSES[::-1]


def _without(name: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda rows: rows[rows["split"] != name]


def _swapped(column: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return a change that gives each face the value of the next one."""
    return lambda rows: rows.assign(**{column: np.roll(rows[column], 5)})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_without("test"), r"16 test faces and .* [0-9]+ validation faces; 0 of them"),
        (lambda rows: rows[rows["id"] != rows["id"].iloc[-1]], "15 test faces; 15 of them"),
        (lambda rows: rows.assign(id="other/" + rows["id"]), "16 test faces; 0 of them"),
        (_swapped("label"), "16 test faces; [0-9]+ of them"),
        (_swapped("gender"), "16 test faces; [0-9]+ of them"),
    ],
)
def test_other_faces_are_refused(
    runs: tuple[Path, Path],
    tmp_path: Path,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    says: str,
) -> None:
    other = with_predictions(copied(runs[1], tmp_path / "other"), change)
    with pytest.raises(RunError, match=says) as refused:
        load_runs([runs[0], other])
    assert refused.value.expected
    assert refused.value.todo


def test_folds_are_sent_to_the_summary(runs: tuple[Path, Path], tmp_path: Path) -> None:
    fold = with_predictions(
        copied(runs[1], tmp_path / "fold", lambda config: config.data.update({"fold": 1})),
        _without("test"),
    )
    with pytest.raises(RunError, match=r"facebias\.summary"):
        load_runs([runs[0], fold])


def test_runs_that_did_not_score_the_test_faces_are_compared_on_validation(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    copies = [
        with_predictions(copied(run, tmp_path / str(number)), _without("test"))
        for number, run in enumerate(runs)
    ]
    assert {run.results.headline_split for run in load_runs(copies)} == {"validation"}


def test_what_cannot_be_compared_is_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    fewer = copied(
        runs[1],
        tmp_path / "fewer",
        lambda config: config.data.reader.update({"classes": ["happy", "neutral"]}),
    )
    predicted = copied(
        runs[1], tmp_path / "predicted", lambda config: config.update({"faces": "/", "run": "/run"})
    )
    compared = copied(
        runs[1], tmp_path / "compared", lambda config: config.update({"runs": ["/one", "/other"]})
    )
    failed = copied(runs[1], tmp_path / "failed")
    (failed / "status.json").write_text(json.dumps({"status": "failed", "reason": "it broke"}))
    bare = copied(runs[1], tmp_path / "bare")
    (bare / "predictions.parquet").unlink()
    link = tmp_path / "link"
    link.symlink_to(runs[0])
    cases: list[tuple[list[Path], str]] = [
        ([], "no runs to compare"),
        ([runs[0]], "1 run to compare"),
        ([runs[0], runs[0] / ".." / runs[0].name], "is given twice"),
        ([runs[0], link], "is given twice"),
        ([runs[0], fewer], "happy, neutral"),
        ([runs[0], predicted], "folder of a prediction"),
        ([runs[0], compared], "folder of a comparison"),
        ([runs[0], failed], "it broke"),
        ([runs[0], bare], "predictions.parquet"),
        ([runs[0], tmp_path / "nothing"], "no run folder"),
    ]
    for folders, says in cases:
        with pytest.raises(FacebiasError, match=says) as refused:
            load_runs(folders)
        assert refused.value.expected
        assert refused.value.todo


def test_faces_that_are_gone_or_broken_are_told(
    runs: tuple[Path, Path], faces: Path, tmp_path: Path
) -> None:
    run, _ = load_runs(runs)
    with pytest.raises(DataError, match="no face 'test/happy/im999"):
        explained_faces([run], ["test/happy/im1.png", "test/happy/im999.png"])
    image = faces / "test" / "happy" / "im1.png"
    shutil.move(image, tmp_path / "im1.png")
    try:
        for broken in (False, True):
            if broken:
                image.write_bytes(b"no image")
            with pytest.raises(DataError, match=r"im1\.png"):
                explained_faces([run], ["test/happy/im1.png"])
    finally:
        shutil.move(tmp_path / "im1.png", image)
    (found,) = explained_faces([run], ["test/happy/im1.png"])
    assert found.pixels(slice(1))[0, ..., 0].tolist() == np.asarray(Image.open(image)).tolist()


def test_a_checkpoint_that_is_gone_is_told(runs: tuple[Path, Path], tmp_path: Path) -> None:
    copy = copied(runs[1], tmp_path / "copy")
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(RunError, match="no checkpoint"):
        load_runs([runs[0], copy])[1].model()


def test_a_table_that_was_cut_off_is_told(runs: tuple[Path, Path], tmp_path: Path) -> None:
    copy = copied(runs[1], tmp_path / "copy")
    table = copy / "predictions.parquet"
    table.write_bytes(table.read_bytes()[:1000])
    with pytest.raises(RunError, match="cannot be read"):
        load_runs([runs[0], copy])
