"""Pages of generated faces: who is on them, and how."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facebias.errors import DataError, RunError
from facebias.faces.arrays import UInt8
from facebias.faces.counterfactuals import with_counterfactuals
from facebias.faces.population import draw_faces
from facebias.faces.sheet import contact_sheet, counterfactual_row
from facebias.pictures import SIDE

FACES = draw_faces(400, seed=0)


class Album:
    """Pictures of one colour each; remembers whose were asked for."""

    def __init__(self, size: int = 32) -> None:
        self.size, self.shown = size, list[str]()

    def __call__(self, name: str) -> UInt8:
        self.shown.append(name)
        colour = (int(name[:6]) % 256, 128, len(name))
        return np.full((self.size, self.size, 3), colour, np.uint8)


def test_each_row_is_an_expression_and_each_face_is_shown_once(tmp_path: Path) -> None:
    album = Album()
    contact_sheet(FACES, album, tmp_path / "sheet.png", columns=9)
    shown = FACES.set_index("id").loc[album.shown]
    assert shown.index.is_unique
    assert shown["expression"].tolist() == [name for name in _order() for _ in range(9)]


def _order() -> list[str]:
    return ["neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt"]


def test_faces_are_spread_over_groups_and_people(tmp_path: Path) -> None:
    album, faces = Album(), draw_faces(3000, seed=0)
    contact_sheet(faces, album, tmp_path / "sheet.png", columns=18)
    shown = faces.set_index("id").loc[album.shown]
    for _, row in shown.groupby("expression"):
        assert len(row[["skin_tone", "gender", "age"]].drop_duplicates()) == 18
        assert row["identity"].is_unique


def test_the_page_shows_the_pictures(tmp_path: Path) -> None:
    album = Album(size=200)
    contact_sheet(FACES, album, tmp_path / "sheet.png", columns=3)
    page = Image.open(tmp_path / "sheet.png")
    colours = {colour for _, colour in page.convert("RGB").getcolors(2**20) or []}
    assert {tuple(int(c) for c in album(name)[0, 0]) for name in album.shown[:24]} <= colours
    assert page.width < 4 * (SIDE + 8) + 170


@pytest.mark.parametrize("n", [1, 6, 9])
def test_few_faces_leave_gaps(tmp_path: Path, n: int) -> None:
    album = Album()
    contact_sheet(FACES.head(n), album, tmp_path / "sheet.png")
    assert sorted(album.shown) == FACES["id"].head(n).tolist()


def test_twins_stand_beside_their_original(tmp_path: Path) -> None:
    faces = with_counterfactuals(FACES, "skin_ita", [47, -50])
    album = Album()
    counterfactual_row(faces, album, tmp_path / "pairs.png", rows=4)
    rows = np.reshape(album.shown, (4, 3))
    for own, light, dark in rows:
        assert (light, dark) == (f"{own}_skin_ita=47", f"{own}_skin_ita=-50")
    originals = FACES.set_index("id").loc[rows[:, 0]]
    assert originals["identity"].is_unique


def test_a_face_stands_for_its_own_twin(tmp_path: Path) -> None:
    faces = with_counterfactuals(FACES.head(4), "expression", ["happy", "contempt"])
    assert faces["expression"].iloc[0] == "contempt"
    album = Album()
    counterfactual_row(faces, album, tmp_path / "pairs.png")
    rows = {row[0]: row[1:] for row in np.reshape(album.shown, (4, 3)).tolist()}
    assert sorted(rows["000000"]) == ["000000", "000000_expression=happy"]
    assert sorted(rows["000001"]) == [f"000001_expression={name}" for name in ("contempt", "happy")]


def test_twins_are_not_on_the_contact_sheet(tmp_path: Path) -> None:
    album = Album()
    faces = with_counterfactuals(FACES.head(8), "skin_ita", [47, -50])
    contact_sheet(faces, album, tmp_path / "sheet.png")
    assert sorted(album.shown) == FACES["id"].head(8).tolist()


def test_nothing_to_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 faces in 9 columns"):
        contact_sheet(FACES.head(0), Album(), tmp_path / "sheet.png")
    with pytest.raises(DataError, match="400 faces in 0 columns"):
        contact_sheet(FACES, Album(), tmp_path / "sheet.png", columns=0)
    with pytest.raises(DataError, match="0 twins"):
        counterfactual_row(FACES, Album(), tmp_path / "pairs.png")
    lonely = with_counterfactuals(FACES, "age", [70]).tail(5)
    with pytest.raises(DataError, match="0 twins"):
        counterfactual_row(lonely, Album(), tmp_path / "pairs.png")
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"):
        contact_sheet(FACES, Album(), tmp_path / "file" / "sheet.png")
