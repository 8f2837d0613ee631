from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facebias.cam.sheet import FaceCell, contact_sheet
from facebias.errors import DataError

GREEN, ORANGE = (0, 158, 115), (213, 94, 0)


def cell(row: str, correct: bool, side: int = 48, title: str = "happy -> neutral 0.61") -> FaceCell:
    image = np.full((side, side, 1), 120, np.uint8)
    return FaceCell(image, np.full((side, side, 3), 80, np.uint8), title, correct, row)


def colours(path: Path) -> set[object]:
    with Image.open(path) as page:
        return {colour for _, colour in page.convert("RGB").getcolors(1 << 20) or []}


def test_frames_tell_right_from_wrong(tmp_path: Path) -> None:
    right = contact_sheet([cell("a", True)] * 2, tmp_path / "right.png")
    wrong = contact_sheet([cell("a", False)] * 2, tmp_path / "wrong.png")
    both = contact_sheet(
        [cell("a", True), cell("a", False)], tmp_path / "both.png", note="LayerCAM"
    )
    assert both == tmp_path / "both.png"
    assert {GREEN, ORANGE} <= colours(both)
    assert GREEN in colours(right)
    assert ORANGE in colours(wrong)


def test_each_group_adds_a_row_and_many_faces_a_line(tmp_path: Path) -> None:
    def height(*cells: FaceCell) -> int:
        with Image.open(contact_sheet(cells, tmp_path / "sheet.png")) as page:
            return page.height

    one = height(cell("a", True))
    assert height(cell("a", True), cell("a", False)) == one
    assert height(cell("a", True), cell("b", True)) > one
    assert height(*[cell("a", True)] * 3) == one
    assert height(*[cell("a", True)] * 4) > one


def test_long_names_and_mixed_sizes_fit(tmp_path: Path) -> None:
    cells = [
        cell("a very long name of a group of many words indeed", True, 224, "surprise " * 20),
        cell("x" * 200, False, 12, ""),
        cell("", False, 48),
    ]
    assert contact_sheet(cells, tmp_path / "new" / "sheet.png", title="long " * 99).exists()


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    contact_sheet([cell("a", True)], tmp_path / "sheet.png")
    contact_sheet([cell("a", True)], tmp_path / "sheet.png")
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_no_faces_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 faces"):
        contact_sheet([], tmp_path / "sheet.png")
