"""Folders of faces: whole, resumable, the same bytes however they came about."""

import json
import os
import shutil
import signal
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from PIL import Image

from facebias.errors import DataError, RunError
from facebias.faces.counterfactuals import with_counterfactuals
from facebias.faces.factors import FaceFactors
from facebias.faces.landmarks import FIVE_POINTS, landmark_names
from facebias.faces.population import draw_faces, factors_of
from facebias.faces.regions import PARTS
from facebias.faces.render import RenderedFace
from facebias.faces.writer import read_faces, read_regions, size_of, write_faces
from tests.faces.stand_in import draw

FACES = draw_faces(10, seed=0)
PLAN = {"n": 10, "seed": 0}


def write(folder: Path, faces: pd.DataFrame = FACES, **changed: Any) -> int:  # noqa: ANN401
    choices: dict[str, Any] = {"size": 16, "workers": 1, "plan": PLAN}
    return write_faces(folder, faces, **(choices | changed))


def content(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def whole(tmp_path: Path, drawn: list[FaceFactors]) -> Path:
    """Return a finished folder."""
    write(tmp_path / "whole")
    drawn.clear()
    return tmp_path / "whole"


def test_a_folder_holds_pictures_regions_sheet_plan_and_table(whole: Path) -> None:
    names = {f"images/{name}.png" for name in FACES["id"]}
    names |= {f"regions/{batch:06d}.png" for batch in range(3)}
    assert set(content(whole)) == names | {"faces.json", "faces.parquet", "sheet.png"}


def test_the_table_has_the_rows_and_where_their_pictures_are(whole: Path) -> None:
    table = read_faces(whole)
    pd.testing.assert_frame_equal(table[list(FACES)], FACES)
    assert table["source"].tolist()[0] == "images/000000.png"
    for row in table.to_dict("records"):
        face = draw(factors_of(row), 16)
        image = Image.open(whole / row["source"])
        strip = Image.open(whole / row["regions"])
        assert (image.mode, strip.mode) == ("RGB", "P")
        assert np.array_equal(np.asarray(image), face.image)
        top = row["regions_top"]
        assert np.array_equal(np.asarray(strip)[top : top + 16], face.regions)
        expected = zlib.crc32(face.regions.tobytes(), zlib.crc32(face.image.tobytes()))
        assert row["checksum"] == expected


def test_the_table_has_the_landmarks_in_pixels(whole: Path) -> None:
    table = read_faces(whole)
    assert table.attrs["landmarks"] == list(landmark_names())
    for row in table.to_dict("records"):
        expected = draw(factors_of(row), 16).landmarks
        assert np.array_equal(np.reshape(row["landmarks"], (-1, 2)), expected)
        for name, point in zip(FIVE_POINTS, expected, strict=False):
            column = f"landmark_{name.replace(' ', '_')}"
            assert [row[f"{column}_x"], row[f"{column}_y"]] == point.tolist()
    assert table["landmarks"].iloc[0].dtype == np.float32


def test_region_maps_are_read_in_the_order_of_the_faces(whole: Path) -> None:
    faces = read_faces(whole).sample(frac=1, random_state=0)
    maps = read_regions(whole, faces)
    assert maps.shape == (10, 16, 16)
    for found, row in zip(maps, faces.to_dict("records"), strict=True):
        assert np.array_equal(found, draw(factors_of(row), 16).regions)


def test_regions_can_be_told_apart_by_eye(whole: Path) -> None:
    palette = Image.open(whole / "regions" / "000000.png").getpalette() or []
    colours = np.reshape(palette[: 3 * len(PARTS)], (-1, 3)).astype(int)
    distances = np.abs(colours[:, None] - colours).sum(-1)[np.triu_indices(len(PARTS), 1)]
    assert colours[0].tolist() == [0, 0, 0]
    assert distances.min() > 20


def test_the_plan_says_what_was_asked_and_what_was_written(whole: Path) -> None:
    found = json.loads((whole / "faces.json").read_text())
    assert list(found) == ["plan", "written"]
    assert {name: found["plan"][name] for name in (*PLAN, "size", "supersampling")} == {
        **PLAN,
        "size": 16,
        "supersampling": 2,
    }
    assert size_of(whole) == 16
    assert found["written"]["faces"] == 10
    assert found["written"]["landmarks"] == list(landmark_names())


def test_the_same_plan_again_touches_nothing(whole: Path, drawn: list[FaceFactors]) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    assert write(whole) == 0
    assert not drawn
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def _stop_after(monkeypatch: pytest.MonkeyPatch, count: int, error: BaseException) -> None:
    """Let the renderer fail after some faces."""
    done = []

    def fails(factors: FaceFactors, size: int, supersampling: int) -> RenderedFace:
        done.append(factors)
        if len(done) > count:
            raise error
        return draw(factors, size, supersampling)

    monkeypatch.setattr("facebias.faces.render.render_face", fails)


@pytest.mark.parametrize("count", [0, 3, 4, 9])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError()])
def test_what_was_interrupted_goes_on_to_the_same_bytes(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, error: BaseException
) -> None:
    with monkeypatch.context() as context:
        _stop_after(context, count, error)
        with pytest.raises(type(error)):
            write(tmp_path / "broken")
    assert not (tmp_path / "broken" / "faces.parquet").exists()
    with pytest.raises(DataError, match="not finished"):
        read_faces(tmp_path / "broken")
    assert write(tmp_path / "broken") == 10 - count // 4 * 4
    assert content(tmp_path / "broken") == content(whole)


@pytest.mark.parametrize(
    ("lost", "again"),
    [
        (["faces.parquet"], 10),  # its parts are gone, too
        (["images/000005.png"], 4),
        (["regions/000002.png", "images/000001.png"], 6),
        (["faces.parquet", "sheet.png", "images/000005.png"], 10),
    ],
    ids=str,
)
def test_what_was_lost_is_made_again(whole: Path, lost: list[str], again: int) -> None:
    before = content(whole)
    for name in lost:
        (whole / name).unlink()
    assert write(whole) == again
    assert content(whole) == before


@pytest.mark.parametrize("name", ["images/000005.png", "regions/000001.png"])
def test_a_file_without_a_byte_is_made_again(whole: Path, name: str) -> None:
    before = content(whole)
    (whole / name).write_bytes(b"")
    assert write(whole) == 4
    assert content(whole) == before
    assert write(whole) == 0


def test_sigterm_unwinds_and_leaves_a_folder_to_go_on_with(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as context:
        context.setattr(
            "facebias.faces.render.render_face",
            lambda *_: os.kill(os.getpid(), signal.SIGTERM),
        )
        with pytest.raises(SystemExit, match="143"):
            write(tmp_path / "broken")
    assert signal.getsignal(signal.SIGTERM) is handler
    write(tmp_path / "broken")
    assert content(tmp_path / "broken") == content(whole)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"size": 17}, "size=16, not with 17"),
        ({"supersampling": 1}, "supersampling=2, not with 1"),
        ({"plan": {"n": 10, "seed": 1}}, "seed=0, not with 1"),
        ({"plan": {**PLAN, "population": "realistic"}}, "population=None, not with realistic"),
        ({"faces": FACES.head(9)}, "rows="),
    ],
    ids=str,
)
def test_another_plan_is_refused(whole: Path, changed: dict[str, Any], says: str) -> None:
    before = content(whole)
    with pytest.raises(DataError, match=says):
        write(whole, **changed)
    assert content(whole) == before


@pytest.mark.parametrize("name", ["holiday.jpg", "images/me.png", "faces.parquet"])
def test_a_folder_with_something_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(DataError, match="holds other things"):
        write(tmp_path)
    assert content(tmp_path) == {name: b"mine"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"plan": 3}'])
def test_a_plan_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "faces.json").write_text(text)
    with pytest.raises(DataError, match=r"faces\.json"):
        write(tmp_path)
    with pytest.raises(DataError, match=r"faces\.json"):
        read_faces(tmp_path)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "faces").write_text("mine")
    with pytest.raises(DataError, match="is a file"):
        write(tmp_path / "faces")
    with pytest.raises(RunError, match="cannot be written") as caught:
        write(tmp_path / "faces" / "below")
    assert "out=FOLDER" in caught.value.todo


def test_a_full_disk_is_told_and_can_be_gone_on_with(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        _stop_after(context, 5, OSError(28, "No space left on device"))
        with pytest.raises(RunError, match="No space left on device") as caught:
            write(tmp_path / "full")
    assert "make room" in caught.value.todo
    write(tmp_path / "full")
    assert content(tmp_path / "full") == content(whole)


def test_two_processes_do_not_write_into_one_folder(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(RunError, match="another process"),
    ):
        write(tmp_path)


def test_twins_get_a_page_of_their_own(tmp_path: Path, drawn: list[FaceFactors]) -> None:
    faces = with_counterfactuals(FACES.head(3), "skin_ita", [47, -50])
    assert write(tmp_path / "twins", faces) == 9
    assert (tmp_path / "twins" / "pairs.png").is_file()
    assert read_faces(tmp_path / "twins")["pair"].tolist()[3:5] == ["000000", "000000"]


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder of generated faces"):
        read_faces(tmp_path)


def test_a_broken_or_short_table_is_refused(whole: Path) -> None:
    read_faces(whole).head(9).to_parquet(whole / "faces.parquet")
    with pytest.raises(DataError, match="has 9 faces"):
        read_faces(whole)
    (whole / "faces.parquet").write_text("no table")
    with pytest.raises(DataError, match="cannot be read"):
        read_faces(whole)


def test_the_bytes_do_not_depend_on_the_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facebias.faces.writer._BATCH", 3)
    for workers in (1, 2):
        write(tmp_path / str(workers), workers=workers, supersampling=1)
    assert content(tmp_path / "1") == content(tmp_path / "2")
    shutil.rmtree(tmp_path / "2" / "images")
    write(tmp_path / "2", workers=2, supersampling=1)
    assert content(tmp_path / "1") == content(tmp_path / "2")


def test_what_a_process_cannot_write_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facebias.faces.writer._BATCH", 5)
    (tmp_path / "parts").write_text("in the way")
    (tmp_path / "parts").rename(tmp_path / ".parts")  # hidden files are nobody's business
    monkeypatch.setattr("facebias.faces.writer._PARTS", ".parts")
    with pytest.raises(RunError, match="cannot be written"):
        write(tmp_path, workers=2, supersampling=1)
