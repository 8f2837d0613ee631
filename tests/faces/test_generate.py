"""A folder of faces from a few words; the verb `python -m facebias.faces` says the same ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from facebias.config import check, conf_folder, register_resolvers
from facebias.data.readers.generated import read_generated_faces
from facebias.errors import DataError
from facebias.faces.__main__ import generate
from facebias.faces.factors import FaceFactors
from facebias.faces.generate import generate_faces
from facebias.faces.writer import PAIRS, PLAN, TABLE, read_faces
from facebias.schemas import Faces

Drawn = list[FaceFactors]


def verb(folder: Path, *overrides: str) -> None:
    """Run the verb without a process of its own."""
    register_resolvers()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        composed: DictConfig = compose("faces", [f"out={folder}", "workers=1", *overrides])
    generate(check(composed, Faces))


def plan_of(folder: Path) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads((folder / PLAN).read_text())["plan"]
    return plan


def test_both_have_the_same_defaults(tmp_path: Path, drawn: Drawn) -> None:
    generate_faces(tmp_path / "function", n=5, size=16, workers=1)
    verb(tmp_path / "verb", "n=5", "size=16")
    assert plan_of(tmp_path / "function") == plan_of(tmp_path / "verb")
    assert read_faces(tmp_path / "function").equals(read_faces(tmp_path / "verb"))
    assert drawn[:5] == drawn[5:]


@pytest.mark.parametrize("verb_first", [True, False])
def test_a_folder_begun_by_one_is_gone_on_with_by_the_other(
    tmp_path: Path, drawn: Drawn, verb_first: bool
) -> None:
    folder = tmp_path / "faces"
    asked = {"n": 6, "size": 16, "population": "realistic", "equal_by": "valence"}
    words = [f"{name}={value}" for name, value in asked.items()]
    twins = {"factor": "skin_ita", "values": [47.0, -50.0]}

    def by_function() -> None:
        generate_faces(folder, seed=3, workers=1, **asked, **twins)  # type: ignore[arg-type]

    def by_verb() -> None:
        verb(folder, *words, "data.seed=3", "twins.factor=skin_ita", "twins.values=[47,-50]")

    first, then = (by_verb, by_function) if verb_first else (by_function, by_verb)
    first()
    assert len(drawn) == 18
    whole = (folder / TABLE).read_bytes()
    (folder / "images" / "000001.png").unlink()  # of a batch of 4
    then()
    assert len(drawn) == 22
    assert (folder / TABLE).read_bytes() == whole
    then()
    assert len(drawn) == 22


def test_how_many_were_rendered_is_returned(tmp_path: Path, drawn: Drawn) -> None:
    def again() -> int:
        return generate_faces(tmp_path / "faces", n=5, size=16, workers=1)

    assert [again(), again()] == [5, 0]
    (tmp_path / "faces" / "images" / "000004.png").unlink()
    assert again() == 1
    assert len(drawn) == 6


def test_a_reader_finds_what_was_generated(tmp_path: Path, drawn: Drawn) -> None:
    generate_faces(tmp_path / "faces", n=30, size=16, workers=1, equal_by="valence")
    labels = read_generated_faces(str(tmp_path / "faces")).rows["label"]
    assert labels.value_counts().to_dict() == {"negative": 10, "neutral": 10, "positive": 10}


def test_twins_differ_in_their_factor(tmp_path: Path, drawn: Drawn) -> None:
    values = ("happy", "sad")
    folder = tmp_path / "faces"
    generate_faces(folder, n=4, size=16, workers=1, factor="expression", values=values)
    faces = read_faces(folder).set_index("id")
    twins = faces[faces["pair"] != faces.index]
    assert set(twins["pair_factor"]) == {"expression"}
    assert (twins["expression"] == twins["pair_value"]).all()
    same = ["gender", "age", "skin_tone", "identity", "factor_background"]
    assert (twins[same].to_numpy() == faces.loc[twins["pair"], same].to_numpy()).all()
    own = int(faces.loc[twins["pair"].unique(), "expression"].isin(values).sum())
    assert len(twins) == 4 * 2 - own
    assert (folder / PAIRS).is_file()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"n": 0}, "n is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"faces_per_identity": 0}, "faces_per_identity is 0"),
        ({"population": "crosed"}, "did you mean crossed"),
        ({"equal_by": "label"}, "one of expression, valence"),
        ({"size": 0}, "size is 0"),
        ({"supersampling": 0}, "supersampling is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"values": [47]}, "values of twins are given without a factor"),
        ({"factor": "skin_ita"}, "no values of skin_ita"),
        ({"factor": "skin_it", "values": [47]}, "did you mean skin_ita"),
        ({"factor": "age", "values": [1]}, "the factor age is 1.0"),
        ({"factor": "hair_style", "values": ["bold"]}, "did you mean bald"),
    ],
    ids=str,
)
def test_wrong_values_are_told_and_leave_nothing(
    tmp_path: Path, drawn: Drawn, wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        generate_faces(tmp_path / "faces", **{"n": 2, "size": 16, "workers": 1} | wrong)
    assert not drawn
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"n": 6}, "n=5, not with 6"),
        ({"seed": 1}, "data.seed=0, not with 1"),
        ({"size": 32}, "size=16, not with 32"),
        ({"supersampling": 1}, "supersampling=2, not with 1"),
        ({"factor": "age", "values": [70]}, "twins.factor=None, not with age"),
    ],
    ids=str,
)
def test_a_folder_of_other_faces_is_left_alone(
    tmp_path: Path, drawn: Drawn, other: dict[str, Any], says: str
) -> None:
    asked = {"n": 5, "size": 16, "workers": 1}
    generate_faces(tmp_path / "faces", **asked)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=says):
        generate_faces(tmp_path / "faces", **asked | other)
    assert len(drawn) == 5
