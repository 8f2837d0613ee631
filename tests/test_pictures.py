from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from facebias.errors import DataError, RunError
from facebias.pictures import SIDE, Cell, Row, fit, font, scaled, wrapped, write_rows

UInt8 = npt.NDArray[np.uint8]
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def plain(colour: tuple[int, ...], height: int = 16, width: int = 16) -> UInt8:
    return np.full((height, width, len(colour)), colour, np.uint8)


def page_of(folder: Path, *rows: Row, columns: tuple[str, ...] = ()) -> UInt8:
    write_rows(folder / "page.png", rows, title="Faces", note="a few", columns=columns)
    with Image.open(folder / "page.png") as page:
        return np.asarray(page.convert("RGB"))


def box(page: UInt8, colour: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return left, top, width and height of what has a colour."""
    rows, columns = np.nonzero((page == colour).all(axis=-1))
    return (
        int(columns.min()),
        int(rows.min()),
        int(np.ptp(columns)) + 1,
        int(np.ptp(rows)) + 1,
    )


def test_pictures_stand_in_rows_and_columns(tmp_path: Path) -> None:
    first = Row("one", [Cell(plain(RED)), Cell(plain(GREEN), "a caption")])
    page = page_of(tmp_path, first, Row("two", [Cell(plain(BLUE))]))
    red, green, blue = (box(page, colour) for colour in (RED, GREEN, BLUE))
    assert red[2:] == green[2:] == blue[2:] == (SIDE, SIDE)
    assert red[0] + SIDE < green[0]
    assert red[1] == green[1]
    assert (red[0], red[1] + SIDE) < (blue[0] + 1, blue[1])
    assert green[0] + SIDE < page.shape[1]
    assert blue[1] + SIDE < page.shape[0]


def test_no_caption_is_covered_by_what_stands_around_it(tmp_path: Path) -> None:
    cell = Cell(plain(RED), "gg" * 40)
    page = page_of(tmp_path, Row("", [cell, Cell(plain(GREEN))]), Row("", [Cell(plain(BLUE))]))
    left, top, _, _ = box(page, RED)
    below = page[top + SIDE : box(page, BLUE)[1], left : left + SIDE]
    inked = np.nonzero((below < 255).any(axis=(1, 2)))[0]
    assert 0 < inked[0] <= inked[-1] < len(below) - 1


@pytest.mark.parametrize(("height", "width"), [(10, 40), (300, 100), (1, 500)])
def test_shapes_are_kept(tmp_path: Path, height: int, width: int) -> None:
    found = box(page_of(tmp_path, Row("", [Cell(plain(RED, height, width))])), RED)
    larger = max(height, width)
    assert found[2:] == (
        max(1, round(SIDE * width / larger)),
        max(1, round(SIDE * height / larger)),
    )


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 3)])
def test_gray_is_drawn_gray(shape: tuple[int, ...]) -> None:
    picture = scaled(np.full(shape, 90, np.uint8), 32)
    assert (picture.mode, picture.size) == ("RGB", (32, 32))
    assert set(picture.get_flattened_data()) == {(90, 90, 90)}


def test_pictures_that_cannot_be_written_to_are_drawn(tmp_path: Path) -> None:
    view = np.broadcast_to(np.array([[[255]], [[255]]], np.uint8), (2, 2, 1))
    assert page_of(tmp_path, Row("", [Cell(view)])).shape[2] == 3


def test_names_above_the_columns_are_wrapped_and_stay_above(tmp_path: Path) -> None:
    row = Row("", [Cell(plain(RED)), Cell(plain(GREEN))])
    without = box(page_of(tmp_path, row), RED)[1]
    one = box(page_of(tmp_path, row, columns=("one", "two")), RED)[1]
    two = box(page_of(tmp_path, row, columns=("one", "a variant of a long name (2)")), RED)[1]
    assert without < one < two
    lines = wrapped("a variant of a long name (2)", font(13, bold=True), SIDE)
    assert " ".join(lines) == "a variant of a long name (2)"


def test_there_is_room_for_all_columns(tmp_path: Path) -> None:
    row = Row("", [Cell(plain(RED))])
    widths = [page_of(tmp_path, row, columns=names).shape[1] for names in (("a",), ("a", "b"))]
    assert widths[1] - widths[0] >= SIDE


def test_text_is_cut_to_its_room() -> None:
    lettering = font(11)
    assert fit("short", lettering, 100) == "short"
    cut = fit("a sentence that is much too long", lettering, 60)
    assert cut.endswith("…")
    assert "a sentence".startswith(cut.removesuffix("…")[:5])
    assert 30 < lettering.getlength(cut) <= 60
    assert fit("anything", lettering, 0) == ""
    assert fit("two\nlines -> one", lettering, 200) == "two lines → one"


def test_words_too_long_for_a_line_are_cut() -> None:
    lettering = font(11)
    lines = wrapped("of " + "x" * 99, lettering, 80)
    assert (lines[0], lines[1][-1]) == ("of", "…")
    assert all(lettering.getlength(line) <= 80 for line in lines)
    assert wrapped("", lettering, 80) == []


def test_signs_have_pictures_of_their_own() -> None:
    masks = {bytes(font(16).getmask(sign)) for sign in "✓✗→…\uffff"}
    assert len(masks) == 5


def test_no_pictures_and_no_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures"):
        write_rows(tmp_path / "page.png", [], title="nothing")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"):
        write_rows(tmp_path / "file" / "page.png", [Row("", [Cell(plain(RED))])], title="")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
