import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from facebias.errors import ConfigError, ModelError
from facebias.report.compare_attention import attention_section
from facebias.report.page_parts import SavedPicture, Section
from facebias.report.paired import find_variants
from facebias.runs.trained import load_runs
from facebias.train import train
from tests.drawn_faces import CLASSES
from tests.trained import compose_compare, compose_train

OPTIONS = ("trainer.max_epochs=1", "callbacks.cam=null", "bias.variant=first")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, faces_root: Path) -> list[Path]:
    """Two variants with two seeds each; the second has the networks of the first."""
    folder = tmp_path_factory.mktemp("runs")
    trained = [
        train(compose_train(folder / str(seed), faces_root, *OPTIONS, f"seed={seed}"))
        for seed in (0, 1)
    ]

    def rename(config: DictConfig) -> None:
        config.bias.variant = "second"

    return [*trained, *(copied(run, folder / f"again{n}", rename) for n, run in enumerate(trained))]


def section_of(
    folder: Path, runs: Sequence[Path], *overrides: str
) -> tuple[Section, dict[str, pd.DataFrame]]:
    config = compose_compare(folder, runs, "faces_per_label=1", *overrides)
    loaded = load_runs(runs)
    return attention_section(loaded, find_variants(loaded), folder, config)


def copied(run: Path, folder: Path, change: Callable[[DictConfig], Any] | None = None) -> Path:
    shutil.copytree(run, folder)
    if change is not None:
        config = OmegaConf.load(folder / "config.yaml")
        assert isinstance(config, DictConfig)
        change(config)
        OmegaConf.save(config, folder / "config.yaml")
    return folder


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, runs: list[Path]
) -> tuple[Path, Section, dict[str, pd.DataFrame]]:
    folder = tmp_path_factory.mktemp("compared")
    return folder, *section_of(folder, runs, "attention_faces=30")


def test_pictures_lie_where_the_section_says(
    whole: tuple[Path, Section, dict[str, pd.DataFrame]],
) -> None:
    folder, section, _ = whole
    names = []
    for picture in section.pictures:
        assert isinstance(picture, SavedPicture)
        assert picture.alt
        with Image.open(picture.file) as image:
            assert min(image.size) > 400
        assert picture.file.with_suffix(".svg").is_file()
        names.append(picture.file.relative_to(folder).as_posix())
    kinds = ("faces", "means", "differences", "regions")
    assert names == [f"pictures/attention_{kind}.png" for kind in kinds]


def test_tables_are_of_the_maps_that_are_beside_them(
    whole: tuple[Path, Section, dict[str, pd.DataFrame]],
) -> None:
    folder, section, tables = whole
    assert set(tables) == {"attention", "attention_between", "attention_between_maps"}
    rows = pd.read_parquet(folder / "attention" / "attention.parquet")
    table = tables["attention"]
    row = table.set_index(["variant", "group", "measure"]).loc[("second", "male", "share_eyes")]
    own = rows[(rows["variant"] == "second") & (rows["gender"] == "male")]
    by_run = own.pivot(index="id", columns="run", values="share_eyes").dropna()
    assert row["value"] == pytest.approx(by_run.to_numpy().mean(), abs=1e-6)
    assert (row["seeds"], row["n"], row["regions"]) == (2, len(by_run), "template")
    between = tables["attention_between"]
    assert set(between["verdict"]) == {"descriptive"}
    assert "descriptive" in section.text
    assert "drawn by lot" in section.text
    first = section.tables[0]
    assert first.columns == ("region", "an even map", "first", "second")
    assert [each[0] for each in first.rows][-1] == "not on the face"


def test_every_run_is_shown_the_same_faces_of_every_class(
    whole: tuple[Path, Section, dict[str, pd.DataFrame]],
) -> None:
    rows = pd.read_parquet(whole[0] / "attention" / "attention.parquet")
    shown = rows.groupby("run")["id"].agg(tuple)
    assert len(set(shown)) == 1
    first = rows[rows["run"] == "first, seed 0"]
    assert first["label"].value_counts().to_dict() == dict.fromkeys(CLASSES, 8)
    assert len(first.groupby(["gender", "age"])) == 4


def test_runs_of_one_variant_show_how_alike_they_are(runs: list[Path], tmp_path: Path) -> None:
    section, tables = section_of(tmp_path, runs[:2], "attention_faces=4")
    assert set(tables) == {"attention", "attention_stability"}
    assert "Variants are not compared" in section.text
    assert not (tmp_path / "pictures" / "attention_differences.png").exists()
    assert [table.columns[0] for table in section.folded] == ["group", "run"]


def test_faces_that_are_gone_are_told_and_stop_nothing(
    runs: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def elsewhere(config: DictConfig) -> None:
        config.data.root = config.data.reader.root = str(tmp_path / "nothing")

    gone = [copied(run, tmp_path / f"run{n}", elsewhere) for n, run in enumerate(runs[:2])]
    with caplog.at_level(logging.WARNING):
        section, tables = section_of(tmp_path, gone)
    assert not tables
    assert not section.pictures
    assert "There are no maps here" in section.text
    assert str(tmp_path / "nothing") in section.text
    assert str(tmp_path / "nothing") in caplog.text


def test_other_images_of_the_same_names_are_told(
    runs: list[Path], faces_root: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(faces_root, tmp_path / "faces")

    def reread(config: DictConfig) -> None:
        config.data.root = config.data.reader.root = str(moved)

    copies = [copied(run, tmp_path / f"run{n}", reread) for n, run in enumerate(runs[:2])]
    assert section_of(tmp_path / "same", copies)[1]
    for file in (moved / "test").rglob("*.png"):
        with Image.open(file) as image:
            turned = 255 - np.asarray(image)
        Image.fromarray(turned).save(file)
    section, tables = section_of(tmp_path / "other", copies)
    assert not tables
    assert "get other probabilities" in section.text


def test_weights_that_are_gone_are_told(runs: list[Path], tmp_path: Path) -> None:
    bare = copied(runs[1], tmp_path / "bare")
    shutil.rmtree(bare / "checkpoints")
    section, tables = section_of(tmp_path, [runs[0], bare])
    assert not tables
    assert "no checkpoint" in section.text


def test_what_was_asked_wrongly_is_refused(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="The target 'sad'"):
        section_of(tmp_path, runs[:2], "target=sad")
    with pytest.raises(ModelError, match="no layer named 'layer9'"):
        section_of(tmp_path, runs[:2], "layer=layer9")
