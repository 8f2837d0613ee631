"""`python -m facebias.check`, from a folder to a card."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from facebias import schemas
from facebias.check import check
from facebias.config import build, conf_folder
from facebias.config import check as check_config
from tests.drawn_faces import CLASSES, DrawnFace
from tests.trained import compose_check

Command = Callable[..., int]
HOSTILE = "<script>alert(1)<"


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory, faces_root: Path) -> Path:
    """The card of the drawn faces, read as the emotions data set."""
    folder = tmp_path_factory.mktemp("known")
    return check(compose_check(folder, "data=emotions", f"data.root={faces_root}"))


@pytest.fixture(scope="module")
def guessed(tmp_path_factory: pytest.TempPathFactory, faces_root: Path) -> Path:
    """The card of the same faces, of which nothing was said."""
    return check(compose_check(tmp_path_factory.mktemp("unseen"), f"faces={faces_root}"))


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_as_command: Callable[..., int]
) -> Command:
    """Return a function that runs the verb in a folder of its own and gives its exit code."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return partial(run_as_command, "check", schemas.Check, check)


def content(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "card.json").read_text())
    return read


def test_a_card_is_a_page_its_numbers_and_its_pictures(card: Path) -> None:
    there = {path.name for path in card.iterdir()}
    pictures = {"classes.png", "means.png", "pixels.png"}
    grids = {f"samples_{number:02d}.png" for number in range(len(CLASSES))}
    assert {"card.html", "card.json", "split.parquet", *pictures, *grids} <= there
    assert json.loads((card / "status.json").read_text())["status"] == "done"
    page = (card / "card.html").read_text()
    assert "<script" not in page
    assert 'src="http' not in page
    for label in CLASSES:
        assert f"<figcaption>{label}</figcaption>" in page
    # A phone shows the first columns: what is measured, and its values.
    assert len(re.findall("<th>measure</th><th>.*unbiased to biased</th></tr>", page)) == 2
    assert len(re.findall("</td><td class=.text small.>0 up to 1</td></tr>", page)) >= 4


def test_the_numbers_are_those_of_the_table(card: Path) -> None:
    rows = pd.read_parquet(card / "split.parquet")
    used = rows[rows["left_out"] == ""]
    said = content(card)
    assert said["faces"] == {"read": len(rows), "used": len(used)}
    for split, counts in said["classes"].items():
        part = used[used["split"] == split]
        assert counts == {name: int((part["label"] == name).sum()) for name in CLASSES}
    for axis in said["attributes"]:
        (name,) = axis["attributes"]
        for group, by_label in axis["table"].items():
            of_group = used[used[name] == group]
            assert by_label == {label: int((of_group["label"] == label).sum()) for label in CLASSES}
        assert axis["unknown"] == int((used[name] == "unknown").sum())
        assert axis["n"] + axis["unknown"] == len(used)
        assert axis["who_said"] == "annotators, by looking at the photo"
    left_out = rows[rows["left_out"] != ""]
    assert sum(row["n"] for row in said["left_out"]) == len(left_out)


def test_a_group_nobody_has_is_absent_and_not_a_gap(tmp_path: Path, faces_root: Path) -> None:
    groups = "data.reader.attributes.gender=[female,male,nonbinary]"
    config = compose_check(tmp_path, "data=emotions", f"data.root={faces_root}", groups)
    axis = content(check(config))["attributes"][0]
    assert axis["absent"] == ["nonbinary"]
    assert axis["counts"]["nonbinary"] == 0
    evenness, ratio = (axis["representation"][k] for k in ("shannon_evenness", "imbalance_ratio"))
    assert evenness["declared"] < evenness["observed"] == pytest.approx(1, abs=1e-3)
    assert ratio["declared"] is None  # infinite: JSON has no number for it, `absent` says why
    assert ratio["observed"] == pytest.approx(1, abs=0.1)
    page = (tmp_path / "card" / "card.html").read_text()
    assert "∞" in page
    assert "Without any face: nonbinary" in page


def test_a_guess_says_the_same_as_a_description(card: Path, guessed: Path) -> None:
    known, unseen = content(card), content(guessed)
    for key in ("faces", "classes", "sizes", "left_out", "stored"):
        assert unseen[key] == known[key], key
    tables = [
        {tuple(axis["attributes"]): axis["counts"] for axis in each["attributes"]}
        for each in (known, unseen)
    ]
    assert tables[0] == tables[1]
    assert "4 classes: focused, happy, neutral, surprised" in unseen["guessed"]


def test_the_option_that_a_guess_leaves_trains(guessed: Path, faces_root: Path) -> None:
    said = content(guessed)
    conf = guessed / "conf"
    assert said["command"] == f"python -m facebias.train --config-dir {conf} data=guessed"
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        searched = f"hydra.searchpath=[file://{conf}]"
        config = compose("train", [searched, "data=guessed", f"paths.run={guessed}"])
    checked = check_config(config, schemas.Train)
    table = build(checked.data.reader)
    assert (table.root, table.classes) == (faces_root, CLASSES)
    assert checked.data.height == 48
    assert said["command"] in (guessed / "card.html").read_text().replace("&#39;", "'")


def test_hostile_names_are_text(tmp_path: Path) -> None:
    root = tmp_path / "<b>faces"
    lines = ["filename,gender"]
    for label in (HOSTILE, "plain"):
        (root / label).mkdir(parents=True)
        for number in range(12):
            name = f"{label[1:4]}{number}.png"
            face = DrawnFace("happy", "male", "old", 100 * len(label) + number)
            face.draw(24).save(root / label / name)
            lines.append(f"{name},{('<img src=x>', '$x_{')[number % 2]}")
    (root / "meta.csv").write_text("\n".join(lines))
    folder = check(compose_check(tmp_path, f'faces="{root}"'))
    assert [axis["groups"] for axis in content(folder)["attributes"]] == [["$x_{", "<img src=x>"]]
    page = (folder / "card.html").read_text()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "<b>faces" not in page
    assert "&lt;script&gt;alert(1)&lt;" in page


def test_faces_without_classes_get_a_card(tmp_path: Path) -> None:
    root = tmp_path / "plain"
    root.mkdir()
    for number in range(20):
        DrawnFace("happy", "male", "old", number).draw(30 + number % 3).save(root / f"{number}.png")
    (root / "broken.png").write_bytes(b"no image")
    folder = check(compose_check(tmp_path, f"faces={root}"))
    said = content(folder)
    assert not said["labelled"]
    assert said["faces"] == {"read": 21, "used": 20}
    assert said["bad_images"]["n"] == 1
    assert said["bad_images"]["first"][0]["source"] == "broken.png"
    assert (said["sizes"]["smallest"], said["sizes"]["largest"]) == ([30, 30], [32, 32])
    assert (folder / "sizes.png").is_file()
    page = (folder / "card.html").read_text()
    assert "Nobody has labelled these faces" in page
    assert "broken.png" in page


def test_what_a_training_would_refuse_is_said_and_shown(tmp_path: Path) -> None:
    root = tmp_path / "few"
    for label, count in (("common", 12), ("rare", 1)):
        (root / label).mkdir(parents=True)
        for number in range(count):
            face = DrawnFace("happy", "male", "old", 100 * count + number).draw(24)
            face.save(root / label / f"{number}.png")
    folder = check(compose_check(tmp_path, f"faces={root}"))
    assert any("none of rare" in line for line in content(folder)["hindrances"])
    assert "A training would refuse" in (folder / "card.html").read_text()


def test_the_command_prints_a_summary(
    faces_root: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(f"faces={faces_root}", f"paths.cache={tmp_path}/cache") == 0
    (folder,) = (tmp_path / "here" / "outputs" / "check").iterdir()
    assert OmegaConf.load(folder / "config.yaml").data.root == str(faces_root)
    printed = capsys.readouterr().out
    for said in ("224 of 384 faces are used", "guessed: 4 classes", "card.html", "data=guessed"):
        assert said in printed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["faces=/nowhere"], "there is nothing at /nowhere"),
        (["faces=/nowhere", "data.root=/there"], "beside data.root=/there"),
        (["data=emotions"], "data.root is not set"),
        (["data=emotions", "data.root=/nowhere"], "there is no folder /nowhere"),
        (["face=/nowhere"], "did you mean faces or name?"),
    ],
    ids=str,
)
def test_what_is_wrong_ends_with_two_and_no_traceback(
    command: Command, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert command(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("facebias: ")
    assert says in error
    assert "Traceback" not in error


def test_the_picture_of_samples_has_25_faces_of_a_class(card: Path) -> None:
    with Image.open(card / "samples_00.png") as picture:
        assert picture.size == (5 * 96 + 4 * 3, 5 * 96 + 4 * 3)
