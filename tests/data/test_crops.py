"""Face sets from photos: what is cropped, what is missed, and what is written of both."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facebias.data.crops import Crops, crop_photos, read_photos
from facebias.data.found_faces import crop_box
from facebias.data.images import FaceFormat, decode_face
from facebias.data.readers.pixel_csv import read_pixel_csv
from facebias.data.readers.tables import read_table
from facebias.errors import ConfigError, DataError, RunError
from tests.portraits import SIZE, landmark, photo

GRAY = FaceFormat(height=110, width=75, channels=1, margin=0.1)
EMPTY = Image.new("RGB", (300, 200), (92, 118, 140))


def save(image: Image.Image, path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def cropped(root: Path, out: Path, face_format: FaceFormat = GRAY, **options: str | int) -> Crops:
    return crop_photos(read_photos(root), out, face_format, **options)  # type: ignore[arg-type]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes: three faces, and one photo without."""
    root = tmp_path / "photos"
    save(photo(), root / "joy" / "a.jpg", quality=95)
    save(photo([(20, 40, SIZE)]), root / "joy" / "b.png")
    save(photo([(200, 90, SIZE)]), root / "peace" / "a.jpg", quality=95)
    save(EMPTY, root / "peace" / "nobody.png")
    return root


sides = st.integers(1, 400)
edges = st.floats(-200, 600, allow_nan=False)


@given(
    st.tuples(edges, edges, st.floats(0.5, 500), st.floats(0.5, 500)),
    st.tuples(sides, sides),
    st.tuples(st.integers(8, 300), st.integers(8, 300)),
    st.floats(0, 1),
)
def test_a_crop_has_the_shape_of_the_face_and_lies_in_the_photo(
    face: tuple[float, float, float, float],
    size: tuple[int, int],
    shape: tuple[int, int],
    margin: float,
) -> None:
    left, top, wide, high = face
    face_format = FaceFormat(shape[1], shape[0], 1, margin)
    crop = crop_box((left, top, left + wide, top + high), size, face_format)
    assert (crop[2] - crop[0]) * shape[1] == pytest.approx((crop[3] - crop[1]) * shape[0])
    assert min(crop[:2]) >= 0
    assert crop[2] <= size[0] + 1e-9
    assert crop[3] <= size[1] + 1e-9


@given(st.floats(100, 200), st.floats(100, 200), st.floats(10, 30), st.floats(0, 0.5))
def test_a_crop_with_room_around_it_holds_the_face_in_its_middle(
    x: float, y: float, half: float, margin: float
) -> None:
    face_format = FaceFormat(110, 75, 1, margin)
    left, top, right, bottom = crop_box(
        (x - half, y - half, x + half, y + half), (300, 300), face_format
    )
    assert (left + right, top + bottom) == pytest.approx((2 * x, 2 * y))
    assert right - left == pytest.approx(2 * half * (1 + 2 * margin))
    assert bottom - top == pytest.approx((right - left) * 110 / 75)


def test_faces_keep_their_folders_and_are_of_the_wanted_size(photos: Path, tmp_path: Path) -> None:
    crops = cropped(photos, tmp_path / "out")
    files = ["images/joy/a.png", "images/joy/b.png", "images/peace/a.png"]
    assert crops.found["file"].tolist() == files
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "crops.png",
        "faces.csv",
        "found.csv",
        "images",
        "misses.csv",
        "misses.png",
    ]
    for file in files:
        with Image.open(tmp_path / "out" / file) as face:
            assert (face.format, face.mode, face.size) == ("PNG", "L", (75, 110))


def test_the_eyes_lie_where_the_table_says(photos: Path, tmp_path: Path) -> None:
    row = cropped(photos, tmp_path / "out").found.iloc[0]
    for eye in ("right", "left"):
        found = [row[f"{eye}_eye_x"], row[f"{eye}_eye_y"]]
        assert np.hypot(*(found - landmark(f"{eye} eye"))) < 0.08 * SIZE
        assert row["crop_left"] < found[0] < row["crop_right"]
        assert row["crop_top"] < found[1] < row["crop_bottom"]


def test_a_face_is_the_part_of_the_photo_that_the_table_names(photos: Path, tmp_path: Path) -> None:
    for row in cropped(photos, tmp_path / "out").found.itertuples():
        part = (row.crop_left, row.crop_top, row.crop_right, row.crop_bottom)
        expected = decode_face(photos / row.photo, FaceFormat(110, 75, 1), part).pixels[..., 0]
        with Image.open(tmp_path / "out" / row.file) as face:
            off = np.asarray(face).astype(int) - expected
        assert np.abs(off).max() <= 2  # the table's hundredths of a pixel


def test_faces_in_colour_are_of_three_channels(photos: Path, tmp_path: Path) -> None:
    cropped(photos, tmp_path / "out", FaceFormat(64, 64, 3))
    with Image.open(tmp_path / "out" / "images" / "joy" / "a.png") as face:
        assert (face.mode, face.size) == ("RGB", (64, 64))


def test_a_photo_without_a_face_is_a_miss_and_never_cropped(photos: Path, tmp_path: Path) -> None:
    crops = cropped(photos, tmp_path / "out")
    missed = pd.read_csv(tmp_path / "out" / "misses.csv")
    assert missed.to_dict(orient="records") == [
        {"photo": "peace/nobody.png", "label": "peace", "split": pytest.approx(np.nan, nan_ok=True),
         "reason": "no face found"}
    ]  # fmt: skip
    assert not list((tmp_path / "out").rglob("nobody*"))
    shares = crops.shares().set_index(["by", "group"])["share"]
    assert shares.to_dict() == {("all", "all"): 0.75, ("label", "joy"): 1, ("label", "peace"): 0.5}


def test_misses_are_counted_by_group_and_bad_images_apart(photos: Path, tmp_path: Path) -> None:
    (photos / "joy" / "c.jpg").write_bytes(b"\xff\xd8\xff\xe0 damaged")
    (photos / "groups.csv").write_text(
        "filename,sex\njoy/a.jpg,female\njoy/b.png,male\npeace/a.jpg,male\n"
        "peace/nobody.png,female\njoy/c.jpg,female\ngone.jpg,male\n"
    )
    table = read_photos(photos, {"gender": ["female", "male", "other"]}, {"gender": "sex"})
    crops = crop_photos(table, tmp_path / "out", GRAY)
    counts = crops.shares().query("by == 'gender'").set_index("group").drop(columns="by")
    assert counts.loc["female"].tolist() == [3, 1, 1, 1, 0.5]
    assert counts.loc["male"].tolist() == [2, 0, 0, 2, 1]
    assert np.isnan(counts.loc["other", "share"])  # nobody: undefined, not 0
    reasons = crops.missed.set_index("photo")["reason"]
    assert reasons["joy/c.jpg"].startswith("bad image: ")
    assert reasons["gone.jpg"].startswith("no image: named in groups.csv, line 7")
    read = read_table(
        str(tmp_path / "out" / "faces.csv"),
        str(tmp_path / "out"),
        ["joy", "peace"],
        {"gender": ["female", "male"]},
    )
    assert read.rows["gender"].tolist() == ["female", "male", "male"]


def test_the_table_of_faces_is_one_that_the_reader_of_tables_reads(
    photos: Path, tmp_path: Path
) -> None:
    cropped(photos, tmp_path / "out")
    out = tmp_path / "out"
    table = read_table(str(out / "faces.csv"), str(out), ["joy", "peace"])
    assert table.rows["label"].tolist() == ["joy", "joy", "peace"]
    assert "left" not in table.rows  # the boxes are those of the photos
    for source in table.rows["source"]:
        assert decode_face(out / source, FaceFormat(110, 75, 1)).crop == (0, 0, 75, 110)


def test_a_pixel_csv_holds_the_same_pixels_row_by_row(photos: Path, tmp_path: Path) -> None:
    crops = cropped(photos, tmp_path / "images")
    cropped(photos, tmp_path / "csv", form="pixel_csv")
    lines = pd.read_csv(tmp_path / "csv" / "pixels.csv")
    assert list(lines) == ["emotion", "pixels"]
    assert lines["emotion"].tolist() == ["joy", "joy", "peace"]
    for text, file in zip(lines["pixels"], crops.found["file"], strict=True):
        with Image.open(tmp_path / "images" / file) as face:
            expected = np.asarray(face)
        assert expected.shape == (110, 75)  # 110 rows of 75
        assert np.array_equal(np.array(text.split(), int).reshape(110, 75), expected)


def test_a_pixel_csv_is_read_back(photos: Path, tmp_path: Path) -> None:
    save(photo(), photos / "joy" / 'c, "d" ज़.png')
    crops = cropped(photos, tmp_path / "csv", form="pixel_csv")
    out = tmp_path / "csv"
    by_table = read_table(str(out / "faces.csv"), str(out), ["joy", "peace"])
    whole = read_pixel_csv(str(out), 75, 110, ["joy", "peace"], file="pixels.csv")
    assert by_table.rows["label"].tolist() == whole.rows["label"].tolist()
    assert len(whole.rows) == len(crops.found) == 4
    cropped(photos, tmp_path / "images")
    for source, other, file in zip(
        by_table.rows["source"],
        whole.rows["source"],
        cropped(photos, tmp_path / "again").found["file"],
        strict=True,
    ):
        face = decode_face(tmp_path / "images" / file, FaceFormat(110, 75, 1)).pixels
        assert np.array_equal(decode_face(out / source, FaceFormat(110, 75, 1)).pixels, face)
        assert np.array_equal(decode_face(out / other, FaceFormat(110, 75, 1)).pixels, face)


def test_a_pixel_csv_says_splits_and_groups_where_they_are_known(tmp_path: Path) -> None:
    for split, person in (("train", "a"), ("val", "b")):
        save(photo(), tmp_path / "photos" / split / "joy" / f"{person}.png")
    (tmp_path / "photos" / "groups.csv").write_text("file,gender\na.png,female\n")
    table = read_photos(tmp_path / "photos", {"gender": []})
    crop_photos(table, tmp_path / "out", GRAY, form="pixel_csv")
    lines = pd.read_csv(tmp_path / "out" / "pixels.csv")
    assert list(lines) == ["emotion", "pixels", "split", "gender"]
    assert lines["split"].tolist() == ["train", "validation"]
    assert lines["gender"].tolist() == ["female", "unknown"]


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_photo_is_turned_upright_first(tmp_path: Path, orientation: int) -> None:
    turns = {
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(photo(), tmp_path / "photos" / "a.png")
    save(photo().transpose(turns[orientation]), tmp_path / "photos" / "b.png", exif=exif)
    crops = cropped(tmp_path / "photos", tmp_path / "out")
    one, other = (tmp_path / "out" / "images" / name for name in ("a.png", "b.png"))
    assert one.read_bytes() == other.read_bytes()
    assert crops.found["face_left"].nunique() == 1


def test_gray_and_sixteen_bit_photos_are_cropped(tmp_path: Path) -> None:
    gray = photo().convert("L")
    save(gray, tmp_path / "photos" / "a.png")
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    save(deep, tmp_path / "photos" / "b.png")
    cropped(tmp_path / "photos", tmp_path / "out")
    one, other = (tmp_path / "out" / "images" / name for name in ("a.png", "b.png"))
    assert one.read_bytes() == other.read_bytes()


def test_of_several_faces_the_largest_is_taken_and_counted(tmp_path: Path) -> None:
    save(photo([(10, 30, 160), (200, 60, 260)]), tmp_path / "photos" / "a.png")
    row = cropped(tmp_path / "photos", tmp_path / "out").found.iloc[0]
    assert row["faces"] == 2
    assert row["face_left"] > 200


@pytest.mark.parametrize("size", [(1, 1), (2, 500)])
def test_tiny_photos_are_misses(photos: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    save(Image.new("RGB", size), photos / "joy" / "tiny.png")
    missed = cropped(photos, tmp_path / "out").missed.set_index("photo")["reason"]
    assert missed["joy/tiny.png"] == "no face found"
    assert (tmp_path / "out" / "misses.png").is_file()


def test_a_small_photo_of_a_face_is_enlarged(tmp_path: Path) -> None:
    save(photo().resize((60, 45)), tmp_path / "photos" / "a.png")
    assert len(cropped(tmp_path / "photos", tmp_path / "out").found) == 1
    with Image.open(tmp_path / "out" / "images" / "a.png") as face:
        assert face.size == (75, 110)


def test_names_of_any_script_are_kept(tmp_path: Path) -> None:
    for name in ("हास्य", '=1+1, "x"', "<b>é"):
        save(photo(), tmp_path / "photos" / name / "नाम 1.png")
    crops = cropped(tmp_path / "photos", tmp_path / "out")
    out = tmp_path / "out"
    read = read_table(str(out / "faces.csv"), str(out), sorted(crops.found["label"]))
    assert sorted(read.rows["label"]) == sorted(["हास्य", '=1+1, "x"', "<b>é"])
    assert all((out / source).is_file() for source in read.rows["source"])


@pytest.mark.parametrize("name", ["two\nlines/a.png", " blank/a.png", "joy/a\tb.png"])
def test_names_that_a_table_cannot_hold_are_refused(tmp_path: Path, name: str) -> None:
    save(EMPTY, tmp_path / name)
    with pytest.raises(DataError, match="names without control characters"):
        read_photos(tmp_path)


def test_splits_are_folders_of_that_name(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for label in ("joy", "peace"):
            save(EMPTY, tmp_path / split / label / "a.png")
    table = read_photos(tmp_path)
    assert table.classes == ("joy", "peace")
    assert set(table.rows["split"]) == {"train", "validation", "test"}


def test_loose_photos_have_no_label(tmp_path: Path) -> None:
    save(EMPTY, tmp_path / "a.png")
    table = read_photos(tmp_path)
    assert table.rows["label"].tolist() == [None]


@pytest.mark.parametrize("place", ["one/two/a.png", "train/joy/deep/a.png"])
def test_photos_in_deeper_folders_are_not_passed_over(tmp_path: Path, place: str) -> None:
    save(EMPTY, tmp_path / place)
    with pytest.raises(DataError, match="holds photos"):
        read_photos(tmp_path)


def test_links_that_lead_out_of_the_folder_are_refused(photos: Path, tmp_path: Path) -> None:
    secret = save(photo(), tmp_path / "secret" / "face.png")
    (photos / "joy" / "within.png").symlink_to(photos / "joy" / "b.png")
    (tmp_path / "link").symlink_to(photos)
    assert len(read_photos(tmp_path / "link").rows) == 5
    (photos / "joy" / "link.png").symlink_to(secret)
    with pytest.raises(DataError, match=r"joy/link\.png is a link that leads out"):
        read_photos(photos)


def test_a_folder_beside_splits_is_not_passed_over(tmp_path: Path) -> None:
    save(EMPTY, tmp_path / "train" / "joy" / "a.png")
    save(EMPTY, tmp_path / "joy" / "a.png")
    with pytest.raises(DataError, match="as train are splits"):
        read_photos(tmp_path)


def test_folders_without_photos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no photos"):
        read_photos(tmp_path)
    with pytest.raises(DataError, match="there is no folder"):
        read_photos(tmp_path / "nowhere")


def test_two_photos_that_would_become_one_file_are_refused(photos: Path, tmp_path: Path) -> None:
    save(photo(), photos / "joy" / "a.png")
    with pytest.raises(DataError, match=r"joy/a\.jpg and joy/a\.png would both be"):
        cropped(photos, tmp_path / "out")
    assert len(cropped(photos, tmp_path / "out", form="pixel_csv").found) == 4


def test_photos_without_a_single_face_leave_nothing_behind(tmp_path: Path) -> None:
    save(EMPTY, tmp_path / "photos" / "a.png")
    with pytest.raises(
        DataError, match=r"no face was found in 1 photos.*\n.*a\.png: no face found"
    ):
        cropped(tmp_path / "photos", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_crop_that_breaks_off_leaves_nothing_behind(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("facebias.data.crops._draw_sheets", stop)
    with pytest.raises(KeyboardInterrupt):
        cropped(photos, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_folder_that_is_in_use_is_left_alone(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is not empty"):
        cropped(photos, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    (tmp_path / "out" / "mine.txt").unlink()
    assert len(cropped(photos, tmp_path / "out").found) == 3


def test_faces_are_not_written_among_the_photos(photos: Path) -> None:
    with pytest.raises(DataError, match="lies in the folder of the photos"):
        cropped(photos, photos / "faces")


def test_a_folder_that_cannot_be_written_is_said(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        cropped(photos, tmp_path / "file" / "out")


def test_a_pixel_csv_is_gray_and_labelled(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gray is false"):
        cropped(photos, tmp_path / "out", FaceFormat(8, 8, 3), form="pixel_csv")
    save(photo(), tmp_path / "loose" / "a.png")
    with pytest.raises(DataError, match=r"a\.png has no label"):
        cropped(tmp_path / "loose", tmp_path / "out", form="pixel_csv")


@pytest.mark.parametrize("form", ["images", "pixel_csv"])
def test_the_result_does_not_depend_on_the_workers(photos: Path, tmp_path: Path, form: str) -> None:
    contents = []
    for workers in (1, 3):
        out = tmp_path / str(workers)
        cropped(photos, out, form=form, workers=workers)
        files = sorted(path for path in out.rglob("*") if path.is_file())
        contents.append({path.relative_to(out): path.read_bytes() for path in files})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 6 + 2 * (form == "images")
