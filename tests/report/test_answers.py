"""Faces beside their probabilities, and what is answered where nobody says what is right."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from facebias.errors import DataError
from facebias.report.answers import answer_in_words, choose_answers, draw_answers
from facebias.report.by_class import read_by_class
from facebias.report.unlabelled import (
    answer_lines,
    answers_of_groups,
    read_answers,
    write_answers,
)

CLASSES = ("anger", "happy", "sad")
BLUE, GRAY = (0, 114, 178), (136, 136, 136)


def predictions(n: int = 30, classes: tuple[str, ...] = CLASSES) -> pd.DataFrame:
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.ones(len(classes)), n)
    return pd.DataFrame(
        {
            "id": [f"face{number}" for number in range(n)],
            "label": random.choice(classes, n),
            "predicted": np.array(classes, object)[shares.argmax(axis=1)],
            **{f"p_{name}": shares[:, place] for place, name in enumerate(classes)},
            "gender": random.choice(["female", "male", "unknown"], n),
        }
    )


def drawn(
    path: Path, rows: pd.DataFrame, classes: tuple[str, ...] = CLASSES
) -> npt.NDArray[np.uint8]:
    faces = np.zeros((len(rows), 20, 10, 1), np.uint8)
    draw_answers(path, rows, faces, classes, title="What is answered")
    return np.asarray(Image.open(path).convert("RGB"))


def longest(page: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    return int((page == colour).all(axis=2).sum(axis=1).max())


def test_faces_of_every_class_are_chosen_whatever_was_answered() -> None:
    table = predictions()
    chosen = choose_answers(table, CLASSES, ["gender"], 2, 0)
    assert chosen["label"].tolist() == [name for name in CLASSES for _ in range(2)]
    assert (table.loc[chosen["position"], "id"].to_numpy() == chosen["id"].to_numpy()).all()
    others = table.assign(predicted="sad", p_sad=1.0)
    assert choose_answers(others, CLASSES, ["gender"], 2, 0)["id"].tolist() == chosen["id"].tolist()
    assert choose_answers(table, CLASSES, ["gender"], 2, 1)["id"].tolist() != chosen["id"].tolist()


def test_without_labels_as_many_faces_are_chosen() -> None:
    table = predictions().assign(label=pd.Series([None] * 30, dtype=object))
    assert len(choose_answers(table, CLASSES, [], 2, 0)) == 6


def test_bars_are_as_long_as_the_probabilities(tmp_path: Path) -> None:
    row = predictions(1).assign(label="anger", predicted="sad", p_anger=0.2, p_happy=0.1, p_sad=0.7)
    page = drawn(tmp_path / "one.png", row)
    assert abs(longest(page, BLUE) - 0.7 * 110) <= 2
    assert abs(longest(page, GRAY) - 0.2 * 110) <= 2
    surer = drawn(tmp_path / "two.png", row.assign(p_sad=1.0, p_anger=0.0, p_happy=0.0))
    assert longest(surer, BLUE) > longest(page, BLUE)


def test_of_many_classes_the_likeliest_and_the_own_are_drawn(tmp_path: Path) -> None:
    many = tuple(f"class{number:02d}" for number in range(30))
    table = predictions(6, many)
    page = drawn(tmp_path / "many.png", table, many)
    few = drawn(tmp_path / "few.png", predictions(6, many[:12]), many[:12])
    assert page.shape == few.shape


def test_no_faces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no faces"):
        drawn(tmp_path / "none.png", predictions(0))


@pytest.mark.parametrize(
    ("label", "said"),
    [("happy", "happy: right"), ("sad", "sad, taken for happy"), (None, "answered happy")],
)
def test_an_answer_is_said_in_words(label: str | None, said: str) -> None:
    assert answer_in_words({"label": label, "predicted": "happy"}) == said


def test_answers_of_groups_look_at_no_label(tmp_path: Path) -> None:
    rows = predictions()
    table = answers_of_groups(rows, CLASSES, {"gender": ("female", "male", "other")})
    assert table["group"].tolist() == ["all", "female", "male", "other", "unknown"]
    assert table["n"].tolist()[:1] == [30]
    for name in CLASSES:
        assert table.loc[0, f"share_{name}"] == (rows["predicted"] == name).mean()
    likeliest = rows[[f"p_{name}" for name in CLASSES]].max(axis=1)
    assert table.loc[0, "confidence"] == pytest.approx(likeliest.mean())
    assert table.loc[0, "sure"] == (likeliest >= 0.9).mean()
    empty = table[table["group"] == "other"].iloc[0]
    assert empty["n"] == 0
    assert np.isnan(empty[["confidence", "sure", "share_sad"]].to_numpy(float)).all()
    other = answers_of_groups(rows.assign(label="sad"), CLASSES, {"gender": ("female", "male")})
    assert other.iloc[0].equals(table.iloc[0])
    write_answers(table, tmp_path)
    written = read_answers(tmp_path)
    assert written is not None
    assert written["group"].tolist() == table["group"].tolist()
    lines = answer_lines(tmp_path)
    assert "30 faces" in lines[0]
    assert "no accuracy" in lines[1]


def test_a_run_with_labels_has_no_such_table(tmp_path: Path) -> None:
    assert read_answers(tmp_path) is None
    assert answer_lines(tmp_path) == []


def test_recall_and_precision_stand_class_by_class(tmp_path: Path) -> None:
    assert read_by_class(tmp_path, "test") is None
    kinds = [(name, metric) for name in ("female", "male") for metric in ("recall", "precision")]
    rows = [
        {
            **{"attribute": attribute, "group": group, "metric": metric, "class": name},
            **{"value": value, "low": value, "high": 1, "n": 9, "status": "ok", "split": split},
        }
        for split in ("validation", "test")
        for attribute, group in (("all", "all"), ("age x skin", "NA, dark"))
        for (name, metric), value in zip(kinds, (0.1, 0.2, 0.3, None), strict=True)
    ]
    accuracy = {"attribute": "all", "group": "all", "metric": "accuracy", "split": "test"}
    pd.DataFrame([accuracy, *rows]).to_csv(tmp_path / "fairness_measures.csv", index=False)
    found = read_by_class(tmp_path, "test")
    assert found is not None
    assert found["classes"] == ["female", "male"]
    assert [row["group"] for row in found["rows"]] == ["all", "NA, dark"]
    assert [cell["value"] for cell in found["rows"][1]["cells"]] == [0.1, 0.2, 0.3, None]
    assert read_by_class(tmp_path, "train") is None
