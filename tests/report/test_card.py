import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from facebias.data.leaks import pair_columns
from facebias.data.table import FaceTable
from facebias.fairness import dataset_bias
from facebias.files import write_json
from facebias.report.card import number, print_card
from facebias.report.card_figures import class_bars, jpeg_url, sample_grid, size_scatter
from facebias.report.card_measures import (
    ASSOCIATION,
    REPRESENTATION,
    count_classes,
    headline,
    measure_attributes,
    measure_axis,
)
from facebias.report.card_pixels import EDGES, summarise_pixels

CELLS = [  # label, gender, age, faces
    ("happy", "female", "young", 6),
    ("happy", "male", "young", 2),
    ("sad", "female", "old", 1),
    ("sad", "male", "unknown", 3),
]


def table_of(cells: list[tuple[str, str, str, int]] = CELLS) -> FaceTable:
    faces = [cell[:3] for cell in cells for _ in range(cell[3])]
    rows = pd.DataFrame(faces, columns=["label", "gender", "age"])
    names = [f"{number}.png" for number in range(len(rows))]
    rows = rows.assign(id=names, source=names, identity=names, split="train", left_out="")
    attributes = {"gender": ("female", "male", "other"), "age": ("young", "old")}
    return FaceTable(rows, Path("/faces"), ("happy", "sad"), attributes)


def test_an_axis_is_counted_by_hand() -> None:
    table = table_of()
    axis = measure_axis(table.used(), table, ["gender"])
    assert axis["table"] == {
        "female": {"happy": 6, "sad": 1},
        "male": {"happy": 2, "sad": 3},
        "other": {"happy": 0, "sad": 0},
    }
    assert (axis["n"], axis["unknown"], axis["absent"]) == (12, 0, ["other"])
    assert axis["counts"] == {"female": 7, "male": 5, "other": 0}
    declared, observed = np.array([7, 5, 0]), np.array([7, 5])
    for meaning in REPRESENTATION:
        metric = getattr(dataset_bias, meaning.key)
        values = axis["representation"][meaning.key]
        assert values["declared"] == pytest.approx(float(metric(declared)))
        if meaning.key != "representational_similarity":
            assert values["observed"] == pytest.approx(float(metric(observed)))
    by_label = np.array([[6, 1], [2, 3]])
    assert axis["association"]["cramers_v"] == dataset_bias.cramers_v(by_label)
    assert axis["association"]["theils_u_group"] == pytest.approx(
        float(dataset_bias.theils_u(by_label.T))
    )
    assert np.isnan(axis["npmi"]["other"]["sad"])


def test_faces_of_unknown_group_are_in_no_measure_of_it() -> None:
    table = table_of()
    axis = measure_axis(table.used(), table, ["age"])
    assert (axis["n"], axis["unknown"], axis["counts"]) == (9, 3, {"young": 8, "old": 1})
    joint = measure_axis(table.used(), table, ["gender", "age"])
    assert (joint["n"], joint["unknown"]) == (9, 3)
    assert joint["counts"] == {
        "female × young": 6,
        "female × old": 1,
        "male × young": 2,
        "male × old": 0,
        "other × young": 0,
        "other × old": 0,
    }


def test_every_measure_is_explained_and_every_explanation_measured() -> None:
    (gender, age), (joint,) = measure_attributes(table_of())
    for axis in (gender, age, joint):
        assert list(axis["representation"]) == [meaning.key for meaning in REPRESENTATION]
        assert list(axis["association"]) == [meaning.key for meaning in ASSOCIATION]


def test_left_out_faces_are_not_counted() -> None:
    table = table_of()
    rows = table.rows.copy()
    rows.loc[rows["label"] == "sad", "left_out"] = "flipped copy of 0.png"
    fewer = table.with_rows(rows)
    assert count_classes(fewer) == {"train": {"happy": 8, "sad": 0}}
    assert measure_axis(fewer.used(), fewer, ["gender"])["n"] == 8


def test_the_headline_says_what_is_missing_and_what_is_told() -> None:
    (gender, _), _ = measure_attributes(table_of())
    said = headline(gender)
    assert "the largest is female with 58.3 % of 12 faces" in said
    assert "Without any face: other." in said
    one_label = table_of([("happy", "female", "young", 3)])
    (single, _), _ = measure_attributes(one_label)
    assert "uncertainty" not in headline(single)
    nobody = table_of([("happy", "unknown", "young", 3)])
    (unknown, _), _ = measure_attributes(nobody)
    assert headline(unknown) == "No face has a known group."


def test_a_measure_is_printed_as_a_number_infinity_or_a_dash() -> None:
    assert [number(value) for value in (0.0, 1.23456, float("inf"), float("nan"))] == [
        "0.000",
        "1.235",
        "∞",
        "–",
    ]


def drawn(count: int, channels: int = 3) -> npt.NDArray[np.uint8]:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, 6, 5, channels), dtype=np.uint8)


@pytest.mark.parametrize("count", [1, 256, 600])
def test_pixels_in_chunks_are_those_of_all_at_once(count: int) -> None:
    faces = drawn(count)
    rows = np.arange(count)[::-1].copy()
    females = np.arange(count) % 3 == 0
    members = {
        ("gender", "female"): females,
        ("gender", "male"): ~females,
        ("gender", "other"): np.zeros(count, bool),
    }

    def normalised(part: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return ((part.astype(np.float32) - 128) / 20).astype(np.float32)

    summary = summarise_pixels(lambda at: faces[at], rows, normalised, members)
    for channel in range(3):
        values = faces[..., channel].ravel()
        np.testing.assert_array_equal(summary.before[channel], np.bincount(values, minlength=256))
        clipped = np.clip((values.astype(np.float32) - 128) / 20, -3.999, 3.999)
        np.testing.assert_array_equal(summary.after[channel], np.histogram(clipped, EDGES)[0])
    assert ("gender", "other") not in summary.means
    for (_, group), mask in members.items():
        if mask.any():
            expected = np.round(faces[rows[mask]].mean(0, dtype=np.float64))
            np.testing.assert_array_equal(summary.means["gender", group], expected)


def test_a_grid_holds_25_faces_and_no_more() -> None:
    assert sample_grid(list(drawn(40))).size == sample_grid(list(drawn(25))).size
    assert sample_grid(list(drawn(3, 1))).height < sample_grid(list(drawn(6, 1))).height


def test_pictures_in_a_page_are_jpeg() -> None:
    assert jpeg_url(Image.new("RGB", (4, 4))).startswith("data:image/jpeg;base64,/9j/")


def test_names_with_dollars_are_drawn(tmp_path: Path) -> None:
    class_bars({"train": {"$x_{": 1, "plain": 0}}, tmp_path / "classes.png")
    headers = pd.DataFrame({"width": [10, 10, 20], "height": [10, 10, 30]})
    size_scatter(headers, tmp_path / "sizes.png")
    for name in ("classes.png", "sizes.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.width > 300


def test_the_summary_prints_names_as_they_are(tmp_path: Path) -> None:
    attributes, joint = measure_attributes(table_of())
    attributes[0]["attributes"] = ["[red]gender"]
    said = {
        "guessed": ["classes: [bold]x"],
        "faces": {"read": 12, "used": 12},
        "attributes": attributes,
        "joint": joint,
        "left_out": [],
        "hindrances": [],
        "command": "",
    }
    console = Console(record=True, width=120)
    print_card(said, tmp_path, console)
    printed = console.export_text()
    assert "guessed: classes: [bold]x" in printed
    assert "[red]gender" in printed
    assert "∞" in printed


def test_the_summary_says_which_groups_leaks_would_have_inflated(tmp_path: Path) -> None:
    rows = table_of().rows.assign(identity=["copied"] * 2 + [f"person{n}" for n in range(10)])
    rows.loc[0, "split"] = "test"
    rows.loc[1, "left_out"] = "the same picture as 0.png"
    rows.to_parquet(tmp_path / "split.parquet")
    pair: dict[str, object] = {"first_gender": "female", "second_gender": "female"}
    pair |= {"first": "0.png", "second": "1.png", "kind": "exact", "score": 1.0}
    pair |= {"first_split": "test", "second_split": "train", "left_out": "second"}
    pd.DataFrame([pair], columns=pair_columns(["gender"])).to_csv(tmp_path / "leaks.csv")
    console = Console(record=True, width=120)
    said = {"guessed": [], "faces": {"read": 12, "used": 11}, "attributes": [], "joint": []}
    said |= {"left_out": [], "hindrances": [], "command": ""}
    print_card(said, tmp_path, console)
    printed = " ".join(console.export_text().split())
    assert "leaks: 1 of 1 test faces have a copy" in printed
    assert "gender female 100.0 %" in printed


def test_the_numbers_of_an_axis_are_json(tmp_path: Path) -> None:
    attributes, _ = measure_attributes(table_of())
    write_json(tmp_path / "axis.json", attributes)
    (gender, _) = json.loads((tmp_path / "axis.json").read_text())
    assert gender["representation"]["imbalance_ratio"]["declared"] is None
    assert gender["npmi"]["other"]["happy"] is None
