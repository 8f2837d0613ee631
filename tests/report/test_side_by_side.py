import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from facebias.errors import ConfigError, DataError, ModelError
from facebias.pictures import SIDE, Row
from facebias.report import side_by_side
from facebias.report.side_by_side import draw_maps
from facebias.runs.trained import TrainedRun, load_runs
from facebias.train import train
from tests.drawn_faces import CLASSES, write_class_folders
from tests.trained import compose_train

OPTIONS: dict[str, Any] = {
    "per_label": 2,
    "target": "label",
    "method": "layer_cam",
    "layer": "auto",
    "seed": 0,
}


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_class_folders(tmp_path_factory.mktemp("faces"), train=12, test=8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> list[Path]:
    """Trainings whose faces differ in size, channels and the order of the classes."""
    turned = f"data.reader.classes=[{','.join(CLASSES[::-1])}]"
    options = ("callbacks.cam=null", "data.folds=4")
    return [
        train(compose_train(tmp_path_factory.mktemp("run"), faces, *options, *own))
        for own in ((), ("data.channels=3", "data.height=32", "data.width=32", turned, "seed=1"))
    ]


@pytest.fixture(scope="module")
def runs(folders: list[Path]) -> list[TrainedRun]:
    return load_runs(folders)


class Page:
    """What would have been drawn."""

    rows: Sequence[Row] = ()
    words: dict[str, Any]

    def __call__(self, path: Path, rows: Sequence[Row], **words: Any) -> None:  # noqa: ANN401
        self.rows, self.words = rows, words

    @property
    def shown(self) -> list[bytes]:
        """The faces, as they were before they were coloured."""
        return [row.cells[0].image.tobytes() for row in self.rows]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    drawn = Page()
    monkeypatch.setattr(side_by_side, "write_rows", drawn)
    return drawn


def test_one_picture_is_written(runs: list[TrainedRun], tmp_path: Path) -> None:
    draw_maps(runs, tmp_path / "maps.png", **OPTIONS)
    with Image.open(tmp_path / "maps.png") as picture:
        assert picture.width > 3 * SIDE
        assert picture.height > 8 * SIDE
    assert [path.name for path in tmp_path.iterdir()] == ["maps.png"]


def test_each_row_is_a_face_under_each_model(
    runs: list[TrainedRun], page: Page, tmp_path: Path
) -> None:
    draw_maps(runs, tmp_path / "maps.png", **OPTIONS)
    assert [row.label for row in page.rows] == [name for name in CLASSES for _ in range(2)]
    assert page.words["columns"] == ["the face", "none, seed 0", "none, seed 1"]
    for row in page.rows:
        plain, small, large = (cell.image for cell in row.cells)
        assert (plain.shape, small.shape, large.shape) == ((48, 48, 1), (48, 48, 3), (32, 32, 3))
        assert (small != plain).any()
        assert row.cells[0].caption in {
            f"{gender}, {age}" for gender in ("female", "male") for age in ("young", "old")
        }


def test_answers_are_those_of_the_run(runs: list[TrainedRun], page: Page, tmp_path: Path) -> None:
    draw_maps(runs, tmp_path / "maps.png", **OPTIONS | {"per_label": 8})
    assert len(page.rows) == 32
    for number, run in enumerate(runs, start=1):
        said = [
            f"{'✓' if row['predicted'] == row['label'] else '✗'} {row['predicted']} "
            f"{row['p_' + row['predicted']]:.2f}"
            for row in run.rows.to_dict(orient="records")
        ]
        assert sorted(row.cells[number].caption for row in page.rows) == sorted(said)


def test_maps_explain_the_class_of_the_face_whatever_the_order_of_classes(
    runs: list[TrainedRun], page: Page, tmp_path: Path
) -> None:
    draw_maps(runs, tmp_path / "maps.png", **OPTIONS)
    own = [[cell.image for cell in row.cells] for row in page.rows]
    differ = 0
    for target in CLASSES:
        draw_maps(runs, tmp_path / "maps.png", **OPTIONS | {"target": target})
        assert f"class {target}" in page.words["note"]
        for row, before in zip(page.rows, own, strict=True):
            same = [
                np.array_equal(cell.image, image)
                for cell, image in zip(row.cells, before, strict=True)
            ]
            assert same[0]
            assert row.label != target or all(same)
            differ += row.label != target and not any(same[1:])
    assert differ > 12  # of 24: of another class, other maps under both models


def test_the_choice_is_seeded_and_shows_every_group(
    runs: list[TrainedRun], page: Page, tmp_path: Path
) -> None:
    shown = []
    for order, seed in ((1, 0), (1, 0), (-1, 0), (1, 1)):
        draw_maps(runs[::order], tmp_path / "maps.png", **OPTIONS | {"seed": seed})
        shown.append([row.cells[0].caption for row in page.rows])
        faces = sorted(cell.caption for row in page.rows for cell in row.cells)
        shown[-1] += faces
    assert shown[0] == shown[1]
    assert shown[0][8:] == shown[2][8:]
    assert shown[0] != shown[3]
    for captions in (shown[0][:2], shown[3][:2]):  # of one class: two of a kind are not shown
        first, second = (caption.split(", ") for caption in captions)
        assert all(one != other for one, other in zip(first, second, strict=True))


def copied(run: Path, folder: Path, change: Callable[[DictConfig], Any]) -> Path:
    shutil.copytree(run, folder)
    config = OmegaConf.load(folder / "config.yaml")
    assert isinstance(config, DictConfig)
    change(config)
    OmegaConf.save(config, folder / "config.yaml")
    return folder


def test_faces_without_attributes_are_chosen_too(
    folders: list[Path], page: Page, tmp_path: Path
) -> None:
    bare = [
        copied(run, tmp_path / str(n), lambda config: config.data.reader.update(attributes=None))
        for n, run in enumerate(folders)
    ]
    draw_maps(load_runs(bare), tmp_path / "maps.png", **OPTIONS)
    assert len(page.rows) == 8
    assert {row.cells[0].caption for row in page.rows} == {""}


def test_a_layer_may_be_named(runs: list[TrainedRun], page: Page, tmp_path: Path) -> None:
    layers = [name for name, _ in runs[0].model().network.named_modules() if name]
    draw_maps(runs, tmp_path / "maps.png", **OPTIONS | {"layer": layers[1], "method": "grad_cam"})
    assert page.words["note"].startswith("grad_cam")
    with pytest.raises(ModelError, match="no layer named 'nothing'") as refused:
        draw_maps(runs, tmp_path / "maps.png", **OPTIONS | {"layer": "nothing"})
    assert "network." not in str(refused.value)


def test_a_target_that_is_no_class_is_told(
    runs: list[TrainedRun], page: Page, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="target is 'sad'") as refused:
        draw_maps(runs, tmp_path / "maps.png", **OPTIONS | {"target": "sad"})
    assert "focused, happy" in refused.value.expected
    assert not page.rows


def test_other_images_of_the_same_names_are_refused(
    folders: list[Path], faces: Path, page: Page, tmp_path: Path
) -> None:
    moved = shutil.copytree(faces, tmp_path / "faces")

    def reread(config: DictConfig) -> None:
        config.data.root = config.data.reader.root = str(moved)

    copies = [copied(run, tmp_path / f"run{n}", reread) for n, run in enumerate(folders)]
    runs = load_runs(copies)
    draw_maps(runs, tmp_path / "maps.png", **OPTIONS)
    names = [f"{label}/im{number}.png" for label in CLASSES for number in range(32)]
    here = [moved / "test" / name for name in names if (moved / "test" / name).is_file()]
    pictures = [file.read_bytes() for file in here]
    for file, picture in zip(here, pictures[8:] + pictures[:8], strict=True):
        file.write_bytes(picture)
    with pytest.raises(DataError, match="get other probabilities") as refused:
        draw_maps(runs, tmp_path / "maps.png", **OPTIONS)
    assert refused.value.expected
    assert refused.value.todo
