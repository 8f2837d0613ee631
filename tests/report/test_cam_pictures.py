from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facebias.data.store import FaceStore
from facebias.data.table import FaceTable
from facebias.report.cam_figures import draw_curves, draw_regions
from facebias.report.cam_maps import ExplainedRun
from facebias.report.cam_page import Page
from facebias.report.cam_pictures import (
    _alike,
    _chosen,
    _diverging,
    _highest,
    draw_differences,
    draw_means,
    joined_means,
    mean_maps,
    shown_runs,
    variant_runs,
)
from facebias.runs.explained import ExplainedFaces

COUNT, SIZE = 40, 8


@dataclass(frozen=True)
class Named:
    """A run of which the name alone matters."""

    name: str
    variant: str


def made_faces(channels: int = 1) -> ExplainedFaces:
    random = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "id": [f"face{number:02d}" for number in range(COUNT)],
            "source": [f"{number}.png" for number in range(COUNT)],
            "label": ["happy", "neutral", "sad", "surprise"] * (COUNT // 4),
            "identity": [f"person{number}" for number in range(COUNT)],
            "split": "test",
            "left_out": "",
            "gender": ["female"] * 30 + ["male"] * 9 + ["unknown"],
            "row": np.arange(COUNT),
        }
    )
    classes = ("happy", "neutral", "sad", "surprise")
    table = FaceTable(rows, Path("faces"), classes, {"gender": ("female", "male", "diverse")})
    pixels = random.integers(0, 256, (COUNT, SIZE, SIZE, channels), dtype=np.uint8)
    store = FaceStore(pixels, np.zeros((COUNT, 4), np.float32), {})
    return ExplainedFaces(table, store, None)


def made_run(folder: Path, faces: ExplainedFaces, variant: str, seed: int = 0) -> ExplainedRun:
    random = np.random.default_rng([seed, *variant.encode()])
    maps = random.uniform(0, 1, (COUNT, 4, 4))
    maps /= maps.max(axis=(1, 2), keepdims=True)
    maps[3] = np.nan
    file = folder / f"{variant}{seed}.npy"
    np.save(file, maps.astype(np.float16))
    config = SimpleNamespace(bias=SimpleNamespace(variant=variant), seed=seed)
    run: Any = SimpleNamespace(name=f"{variant}, seed {seed}", config=config)
    return ExplainedRun(run, variant, faces, "layer", file, (4, 4), 1)


def test_of_many_runs_each_variant_is_shown() -> None:
    runs = [Named(f"{variant}{seed}", variant) for variant in "abc" for seed in range(5)]
    shown = [run.name for run in shown_runs(cast(list[ExplainedRun], runs))]
    assert shown == ["a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1"]
    assert len(shown_runs(cast(list[ExplainedRun], runs[:8]))) == 8


def test_faces_are_neutral_positive_negative_where_valences_are_known(tmp_path: Path) -> None:
    run = made_run(tmp_path, made_faces(), "a")
    valences = {"happy": "positive", "surprise": "positive", "neutral": "neutral"}
    chosen = _chosen(run, 2, 0, valences | {"sad": "negative"})
    assert list(dict.fromkeys(chosen["label"])) == ["neutral", "happy", "surprise", "sad"]
    assert list(dict.fromkeys(_chosen(run, 2, 0, None)["label"])) == list(run.faces.table.classes)


def test_means_are_of_the_faces_that_have_a_map(tmp_path: Path) -> None:
    run = made_run(tmp_path, made_faces(), "a")
    means = mean_maps([run])
    maps = np.load(run.maps).astype(np.float64)
    assert means.names == ("all faces", "gender: female", "gender: male")
    assert means.counts.tolist() == [[39, 29, 9]]
    female = np.delete(maps[:30], 3, axis=0)
    assert np.allclose(means.maps[0][1], female.mean(axis=0))
    density = female / female.mean(axis=(1, 2), keepdims=True)
    assert np.allclose(means.densities[0][1], density.mean(axis=0))
    assert means.densities[0].mean(axis=(1, 2)) == pytest.approx(1)
    assert (means.faces[2] == np.rint(run.faces.store.faces[30:39].mean(axis=0))).all()


def test_variants_are_compared_by_the_mean_of_their_runs(tmp_path: Path) -> None:
    faces = made_faces()
    runs = [made_run(tmp_path, faces, *each) for each in (("a", 0), ("a", 1), ("b", 0))]
    means = mean_maps(runs)
    assert variant_runs(runs) == {
        "a (mean of 2)": ["a, seed 0", "a, seed 1"],
        "b": ["b, seed 0"],
    }
    joined = joined_means(means, variant_runs(runs))
    assert joined.models == ("a (mean of 2)", "b")
    for two, one in ((joined.maps, means.maps), (joined.densities, means.densities)):
        assert np.allclose(two[0], (one[0] + one[1]) / 2)
        assert np.allclose(two[1], one[2])
    assert (joined.counts[0] == means.counts[0]).all()
    models = _alike(joined)
    apart = models["a (mean of 2)"] - models["b"]
    assert apart.sum(axis=(1, 2)) == pytest.approx(0, abs=1e-4)


def test_small_groups_have_no_say_in_where_the_colours_end(tmp_path: Path) -> None:
    means = mean_maps([made_run(tmp_path, made_faces(), "a")])
    values = [np.stack([np.full((4, 4), size) for size in (0.2, 0.3, 5.0)])]
    assert _highest(values, means, 30) == pytest.approx(0.2)
    assert _highest(values, means, 20) == pytest.approx(0.3)
    assert _highest(values, means, 1) == pytest.approx(5.0)


def test_both_signs_of_a_difference_are_told_apart_and_nothing_is_nearly_white() -> None:
    low, none, high = _diverging(np.array([-1.0, 0.0, 1.0])).astype(int)
    assert np.abs(low - high).sum() > 150
    assert none.min() > 235
    assert max(low.min(), high.min()) < 90
    assert (_diverging(np.array([np.nan])) == _diverging(np.array([0.0]))).all()


def test_pages_are_written_whole_and_the_same_again(tmp_path: Path) -> None:
    faces = made_faces(channels=3)
    runs = [made_run(tmp_path, faces, variant) for variant in ("a", "b")]
    means = mean_maps(runs)
    for draw in (draw_means, draw_differences):
        first, second = (
            draw(means, tmp_path / name, words="$layer_cam$ of x", min_group=30)
            for name in ("one", "two")
        )
        assert [file.suffix for file in first] == [".png", ".svg"]
        for one, other in zip(first, second, strict=True):
            assert one.read_bytes() == other.read_bytes()
        assert ElementTree.parse(first[1]).getroot().tag.endswith("svg")  # noqa: S314 - our own
    alone = mean_maps(runs[:1])
    assert draw_differences(alone, tmp_path / "none", words="", min_group=1) == []


def test_a_page_has_what_is_laid_on_it_where_it_is_laid(tmp_path: Path) -> None:
    page = Page(200, 100)
    page.picture(50, 20, np.full((4, 4, 3), (255, 0, 0), np.uint8), 40, 30)
    page.bar(120, 60, 20, 10, "#0000ff")
    png, _ = page.save(tmp_path / "page")
    with Image.open(png) as picture:
        scale = picture.width / 200
        pixels = np.asarray(picture.convert("RGB"))
    at = {place: pixels[int(place[1] * scale), int(place[0] * scale)] for place in
          ((70, 35), (130, 65), (20, 35), (70, 60))}  # fmt: skip
    assert at[70, 35].tolist() == [255, 0, 0]
    assert at[130, 65].tolist() == [0, 0, 255]
    assert at[20, 35].tolist() == at[70, 60].tolist() == [255, 255, 255]


def test_where_no_map_is_defined_nothing_is_drawn(tmp_path: Path) -> None:
    means = {"model": "a", "attribute": "all", "group": "all", "measure": "share_eyes", "n": 0}
    table = pd.DataFrame([means | {"value": np.nan, "low": np.nan, "high": np.nan}])
    areas = pd.Series({"eyes": np.nan})
    assert draw_regions(table, areas, ["a"], tmp_path / "regions", words="") == []
    row = {"run": "a", "kind": "deletion", "order": "map", "share": 0.0, "area": np.nan}
    curves = pd.DataFrame([row | {"probability": np.nan, "low": np.nan, "high": np.nan}])
    assert draw_curves(curves, ["a"], tmp_path / "curves", words="") == []
    assert not list(tmp_path.iterdir())
