from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facebias.data.images import BadImageError, FaceFormat, decode_face
from facebias.data.pixel_rows import PixelRow, find_pixel_row, parse_pixels
from facebias.data.store import open_store, store_key


def written(folder: Path, *pixels: str) -> Path:
    file = folder / "faces.csv"
    lines = ["emotion, pixels,Usage", *(f"0,{text},Training" for text in pixels)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def source(file: Path, row: int, size: tuple[int, int] = (3, 2)) -> Path:
    return Path(PixelRow(str(file), "pixels", *size, row).source)


def test_a_row_is_a_face_of_its_width_and_height(tmp_path: Path) -> None:
    file = written(tmp_path, "0 1 2 3 4 5", "250 251 252 253 254 255")
    face = decode_face(source(file, 1), FaceFormat(2, 3, 1))
    assert face.pixels[..., 0].tolist() == [[250, 251, 252], [253, 254, 255]]


@pytest.mark.parametrize("text", ["1 2 3", "1 2 3 4 5 256", "1 2 3 4 5 x", "", "-1 2 3 4 5 6"])
def test_a_row_of_anything_else_is_a_bad_image(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, "0 1 2 3 4 5", text)
    with pytest.raises(BadImageError, match="row 1"):
        decode_face(source(file, 1), FaceFormat(2, 3, 1))


def test_a_row_with_other_columns_than_the_header_is_a_bad_image(tmp_path: Path) -> None:
    file = written(tmp_path, "0 1 2 3 4 5", "0 1 2 3 4 5,6")
    with pytest.raises(BadImageError, match=r"row 1 .* has 4 columns"):
        decode_face(source(file, 1), FaceFormat(2, 3, 1))


def test_pixels_may_have_a_column_each(tmp_path: Path) -> None:
    file = tmp_path / "faces.csv"
    file.write_text('emotion,p0,p1,p2,p3\n0,1,2,3,4\n1,"5",6,7,8\n')
    row = PixelRow(str(file), "p0..p3", 2, 2, 1)
    assert decode_face(Path(row.source), FaceFormat(2, 2, 1)).pixels.ravel().tolist() == [
        5,
        6,
        7,
        8,
    ]


@settings(deadline=None)
@given(st.lists(st.integers(0, 255)), st.sampled_from([" ", "  ", "\t"]))
def test_all_numbers_are_read(numbers: list[int], between: str) -> None:
    values = parse_pixels(between.join(map(str, numbers)))
    assert values is not None
    assert values.tolist() == numbers


@pytest.mark.parametrize("text", ["256", "1000", "0001", "1 -2", "1.0", "x", "1 ٣", "1,2"])
def test_anything_else_is_no_pixels(text: str) -> None:
    assert parse_pixels(text) is None


def test_a_missing_row_and_a_missing_file_are_bad_images(tmp_path: Path) -> None:
    file = written(tmp_path, "0 1 2 3 4 5")
    with pytest.raises(BadImageError, match="1 rows"):
        decode_face(source(file, 1), FaceFormat(2, 3, 1))
    with pytest.raises(BadImageError, match="No such file"):
        decode_face(source(tmp_path / "none.csv", 0), FaceFormat(2, 3, 1))


def test_a_changed_file_is_another_store(tmp_path: Path) -> None:
    file = written(tmp_path, "0 1 2 3 4 5")
    before = store_key([source(file, 0)], FaceFormat(2, 3, 1))
    written(tmp_path, "0 1 2 3 4 5", "0 1 2 3 4 5")
    assert store_key([source(file, 0)], FaceFormat(2, 3, 1)) != before


def test_a_store_holds_rows_and_says_which_are_bad(tmp_path: Path) -> None:
    file = written(tmp_path, "0 1 2 3 4 5", "1 2", "9 9 9 9 9 9")
    store = open_store(
        [source(file, row) for row in range(3)], FaceFormat(2, 3, 1), folder=tmp_path / "cache"
    )
    assert list(store.bad) == [1]
    assert store.read(np.array([2])).tolist() == [[[[9]] * 3] * 2]


@given(
    st.builds(
        PixelRow,
        st.text(min_size=1).map(lambda name: f"{name}.csv"),
        st.text(min_size=1),
        st.integers(1, 999),
        st.integers(1, 999),
        st.integers(0, 10**6),
    )
)
def test_every_row_is_found_by_its_source(face: PixelRow) -> None:
    found = find_pixel_row(face.source)
    assert found is not None
    assert found.source == face.source


@pytest.mark.parametrize("name", ["a.png", "a.csv", "a#1.png", "a.csv#1"])
def test_a_file_is_no_row(name: str) -> None:
    assert find_pixel_row(name) is None
