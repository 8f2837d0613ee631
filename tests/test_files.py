"""Files that are there whole or not at all."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias.errors import RunError
from facebias.files import _without_nan, whole_file, write_json, write_text


def test_a_file_gets_its_text_and_nothing_else_stays(tmp_path: Path) -> None:
    write_text(tmp_path / "made" / "name.txt", "ä\n")
    assert (tmp_path / "made" / "name.txt").read_bytes() == "ä\n".encode()
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["name.txt"]


def test_the_temporary_name_keeps_the_suffix(tmp_path: Path) -> None:
    with whole_file(tmp_path / "image.png") as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".png")
        assert not (tmp_path / "image.png").exists()
        temporary.touch()


def _write_half(path: Path) -> None:
    with whole_file(path) as temporary:
        temporary.write_text("half")
        raise ValueError("in between")


@pytest.mark.parametrize("before", [None, "old"])
def test_an_exception_leaves_what_was_there(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / "table.csv"
    if before is not None:
        path.write_text(before)
    with pytest.raises(ValueError, match="in between"):
        _write_half(path)
    left = {found.name: found.read_text() for found in tmp_path.iterdir()}
    assert left == ({} if before is None else {"table.csv": before})


def test_a_folder_in_the_way_is_a_run_error(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.mkdir()
    with pytest.raises(RunError, match=r"status\.json cannot be written"):
        write_json(path, {})
    assert [found.name for found in tmp_path.iterdir()] == ["status.json"]


@pytest.mark.parametrize("below", ["run", "run/deep"])
def test_a_file_in_place_of_its_folder_is_a_run_error(tmp_path: Path, below: str) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(RunError, match="cannot be written"):
        write_text(tmp_path / below / "name.txt", "text")
    assert (tmp_path / "run").read_text() == "a file"


def test_undefined_numbers_become_null(tmp_path: Path) -> None:
    content = {"gaps": [math.nan, 0.5], "pair": (math.inf, {"low": -math.inf}), 3: True}
    write_json(tmp_path / "fairness.json", content)
    text = (tmp_path / "fairness.json").read_text()
    assert json.loads(text) == {"gaps": [None, 0.5], "pair": [None, {"low": None}], "3": True}


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(
    st.recursive(
        _scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
    )
)
def test_every_content_is_strict_json_and_stays_the_same_otherwise(content: object) -> None:
    strict = _without_nan(content)
    assert json.loads(json.dumps(strict, allow_nan=False)) == strict
    if "nan" not in repr(content) and "inf" not in repr(content):
        assert strict == content
