import errno
import json
import logging
import multiprocessing
import os
import pickle
import shutil
import sys
import tempfile
import time
from collections import namedtuple
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facebias.data import store as store_module
from facebias.data.images import Box, FaceFormat, decode_face
from facebias.data.store import FaceStore, estimate_bytes, open_store, store_key
from facebias.errors import DataError

SMALL = FaceFormat(6, 5, 3)


def write_images(folder: Path, count: int, size: tuple[int, int] = (9, 12)) -> list[Path]:
    """Write noise, a different one for each file."""
    dice = np.random.default_rng(count)
    sources = [folder / f"{row}.png" for row in range(count)]
    for source in sources:
        Image.fromarray(dice.integers(0, 256, (*size, 3), dtype=np.uint8)).save(source)
    return sources


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "images"
    folder.mkdir()
    return write_images(folder, 7)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "faces"


def one_by_one(sources: Sequence[Path], face_format: FaceFormat) -> list[list[int]]:
    return [decode_face(source, face_format).pixels.tolist() for source in sources]


# The same faces, on disk or not


@pytest.mark.parametrize("on_disk", [True, False])
def test_faces_are_those_decoded_one_by_one(
    sources: list[Path], cache: Path, on_disk: bool
) -> None:
    store = open_store(sources, SMALL, folder=cache if on_disk else None, workers=3)
    assert store.faces.shape == (7, 6, 5, 3)
    assert store.faces.dtype == np.uint8
    assert len(store) == len(store.faces) == 7
    assert store.bad == {}
    assert store.read(np.arange(7)).tolist() == one_by_one(sources, SMALL)
    assert store.faces[2].tolist() == one_by_one(sources, SMALL)[2]
    assert store.faces[1:3].tolist() == one_by_one(sources, SMALL)[1:3]
    assert store.nbytes == (7 * 90 if on_disk else 0)
    assert store.crops.dtype == np.float32
    for source, crop in zip(sources, store.crops, strict=True):
        assert crop.tolist() == pytest.approx(decode_face(source, SMALL).crop)


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(1, 6),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    target=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    channels=st.sampled_from([1, 3]),
    data=st.data(),
)
def test_any_shape_any_order(
    count: int,
    size: tuple[int, int],
    target: tuple[int, int],
    channels: int,
    data: st.DataObject,
) -> None:
    rows = data.draw(st.lists(st.integers(0, count - 1), max_size=8))
    face_format = FaceFormat(*target, channels)
    with tempfile.TemporaryDirectory() as name:
        sources = write_images(Path(name), count, size)
        expected = np.array(one_by_one(sources, face_format), np.uint8)
        for folder in (Path(name) / "cache", None):
            faces = open_store(sources, face_format, folder=folder, workers=2).read(np.array(rows))
            assert faces.shape == (len(rows), *target, channels)
            assert np.array_equal(faces, expected[np.array(rows, int)])


def test_order_of_sources_is_order_of_rows(sources: list[Path], cache: Path) -> None:
    forward = open_store(sources, SMALL, folder=cache)
    backward = open_store(sources[::-1], SMALL, folder=cache)
    assert np.array_equal(forward.faces[::-1], backward.faces[:])
    assert forward.path != backward.path


def test_more_rows_than_a_chunk(sources: list[Path], cache: Path) -> None:
    many = (sources * 100)[:600]
    store = open_store(many, SMALL, folder=cache)
    assert np.array_equal(store.faces[:7], store.faces[7 * 80 : 7 * 81])
    assert store.faces[599].tolist() == one_by_one(many[599:], SMALL)[0]


def test_boxes(sources: list[Path], cache: Path) -> None:
    boxes: list[Box | None] = [None, (1, 1, 6, 7), (50, 50, 60, 60), *[None] * 4]
    for folder in (cache, None):
        store = open_store(sources, SMALL, folder=folder, boxes=boxes)
        boxed = decode_face(sources[1], SMALL, (1, 1, 6, 7))
        assert np.array_equal(store.faces[1], boxed.pixels)
        assert store.crops[1].tolist() == [1, 1, 6, 7]
        assert "no pixel" in store.bad[2]
    with pytest.raises(DataError, match="2 boxes for 7 images"):
        open_store(sources, SMALL, folder=cache, boxes=[None, None])


@pytest.mark.parametrize("on_disk", [True, False])
def test_read_refuses_wrong_rows(sources: list[Path], cache: Path, on_disk: bool) -> None:
    store = open_store(sources, SMALL, folder=cache if on_disk else None)
    for rows in ([7], [-1], [True], [0.0], [[0]]):
        with pytest.raises(IndexError):
            store.read(np.array(rows))


def test_faces_are_read_only(sources: list[Path], cache: Path) -> None:
    store = open_store(sources, SMALL, folder=cache)
    assert isinstance(store.faces, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        store.faces[0] = 1
    store.read(np.array([0]))[:] = 1  # a copy is the reader's own


@pytest.mark.parametrize("on_disk", [True, False])
def test_store_travels_without_its_pixels(sources: list[Path], cache: Path, on_disk: bool) -> None:
    store = open_store(sources, FaceFormat(64, 64, 3), folder=cache if on_disk else None)
    sent = pickle.dumps(store)
    assert len(sent) < 64 * 64 * 3
    copy: FaceStore = pickle.loads(sent)  # noqa: S301
    assert np.array_equal(copy.read(np.arange(7)), store.read(np.arange(7)))


# Bad images


@pytest.mark.parametrize("on_disk", [True, False])
def test_bad_images_are_listed_and_zero(sources: list[Path], cache: Path, on_disk: bool) -> None:
    sources[0].write_bytes(b"")
    sources[3].unlink()
    for _ in range(2):  # built, then found
        store = open_store(sources, SMALL, folder=cache if on_disk else None)
        assert store.bad == {0: "zero bytes", 3: "no such file"}
        assert not store.read(np.array([0, 3])).any()
        assert np.isnan(store.crops[[0, 3]]).all()
        good = [1, 2, 4, 5, 6]
        expected = one_by_one([sources[row] for row in good], SMALL)
        assert store.read(np.array(good)).tolist() == expected


@pytest.mark.parametrize("on_disk", [True, False])
def test_too_many_bad_images(tmp_path: Path, cache: Path, on_disk: bool) -> None:
    missing = [tmp_path / f"missing{row:02}.png" for row in range(12)]
    folder = cache if on_disk else None
    with pytest.raises(DataError) as caught:
        open_store(missing, SMALL, folder=folder, max_bad=11)
    message = str(caught.value)
    assert "12 of the first 12 images are bad" in message
    assert "missing09.png: no such file\n  and 2 more" in message
    assert "missing10" not in message
    assert "at most 11 (max_bad)" in message
    if on_disk:
        assert not [path for path in cache.iterdir() if path.suffix != ".lock"]
    assert len(open_store(missing, SMALL, folder=folder, max_bad=12).bad) == 12
    with pytest.raises(DataError, match="max_bad"):  # a store that is there is checked as well
        open_store(missing, SMALL, folder=folder, max_bad=0)


def test_file_that_goes_bad_later(sources: list[Path]) -> None:
    store = open_store(sources, SMALL, folder=None)
    sources[2].unlink()
    with pytest.raises(DataError, match=r"2\.png cannot be decoded any more: no such file"):
        store.read(np.array([2]))


def test_no_sources(cache: Path) -> None:
    with pytest.raises(DataError, match="no images"):
        open_store([], SMALL, folder=cache)


# The key


def test_key_follows_sources_and_settings(sources: list[Path]) -> None:
    boxes: list[Box | None] = [(0, 0, 3, 3), *[None] * 6]
    keys = [
        store_key(sources, SMALL),
        store_key(sources[::-1], SMALL),
        store_key(sources[:-1], SMALL),
        store_key(sources, FaceFormat(5, 6, 3)),
        store_key(sources, FaceFormat(6, 5, 1)),
        store_key(sources, FaceFormat(6, 5, 3, margin=0.1)),
        store_key(sources, SMALL, boxes),
    ]
    assert keys[0] == store_key(sources, SMALL, [None] * 7)
    os.utime(sources[0], ns=(0, 1))
    keys.append(store_key(sources, SMALL))
    with sources[0].open("ab") as file:
        file.write(b"\0")
    os.utime(sources[0], ns=(0, 1))
    keys.append(store_key(sources, SMALL))
    sources[0].unlink()
    keys.append(store_key(sources, SMALL))
    assert len(set(keys)) == len(keys)


def test_key_does_not_depend_on_the_working_folder(
    sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sources[0].parent)
    assert store_key([Path(source.name) for source in sources], SMALL) == store_key(sources, SMALL)


def test_changed_image_is_decoded_again(sources: list[Path], cache: Path) -> None:
    before = open_store(sources, SMALL, folder=cache)
    Image.new("RGB", (9, 9), (1, 2, 3)).save(sources[4])
    os.utime(sources[4], ns=(0, 1))
    after = open_store(sources, SMALL, folder=cache)
    assert after.built
    assert after.faces[4, 0, 0].tolist() == [1, 2, 3]
    assert np.array_equal(before.faces[:4], after.faces[:4])


# On disk


def test_found_store_is_not_decoded_again(
    sources: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = open_store(sources, SMALL, folder=cache)
    monkeypatch.setattr(store_module, "decode_face", None)
    monkeypatch.setattr(store_module, "FileLock", None)  # and needs no lock, so no write access
    found = open_store(sources, SMALL, folder=cache)
    assert (built.built, found.built) == (True, False)
    assert np.array_equal(built.faces[:], found.faces[:])
    assert np.array_equal(built.crops, found.crops)


def test_size_is_logged(sources: list[Path], cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="facebias.data.store"):
        store = open_store(sources * 200, FaceFormat(16, 16, 3), folder=cache)
    assert caplog.messages == [f"store: 1,400 faces, 1.1 MB, {store.path}"]


def test_estimate_is_what_is_written(sources: list[Path], cache: Path) -> None:
    store = open_store(sources, SMALL, folder=cache)
    assert store.path is not None
    written = sum((store.path / name).stat().st_size for name in ("faces.npy", "crops.npy"))
    assert estimate_bytes(7, SMALL) == written


def _cut_faces(folder: Path) -> None:
    os.truncate(folder / "faces.npy", (folder / "faces.npy").stat().st_size - 1)


def _spoil_header(folder: Path) -> None:
    content = (folder / "faces.npy").read_bytes()
    (folder / "faces.npy").write_bytes(b"x" + content[1:])


def _other_shape(folder: Path) -> None:
    content = (folder / "faces.npy").read_bytes()
    (folder / "faces.npy").write_bytes(content.replace(b"(7, 6, 5, 3)", b"(7, 5, 6, 3)"))


def _spoil_crops(folder: Path) -> None:
    content = (folder / "crops.npy").read_bytes()
    (folder / "crops.npy").write_bytes(content[:-1] + b"\x7f")


def _spoil_index(folder: Path) -> None:
    (folder / "index.json").write_text("[]")


def _impossible_bad_row(folder: Path) -> None:
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**index, "bad": {"7": "?"}}))


def _remove_faces(folder: Path) -> None:
    (folder / "faces.npy").unlink()


def _empty_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        _cut_faces,
        _spoil_header,
        _other_shape,
        _spoil_crops,
        _spoil_index,
        _impossible_bad_row,
        _remove_faces,
        _empty_folder,
    ],
)
def test_damaged_store_is_built_again(
    sources: list[Path], cache: Path, damage: Callable[[Path], None]
) -> None:
    path = open_store(sources, SMALL, folder=cache).path
    assert path is not None
    damage(path)
    again = open_store(sources, SMALL, folder=cache)
    assert again.built
    assert again.read(np.arange(7)).tolist() == one_by_one(sources, SMALL)
    assert not open_store(sources, SMALL, folder=cache).built


def test_no_room(sources: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(9, 9, 500))
    with pytest.raises(DataError, match="needs 998 bytes, and 500 bytes are free") as caught:
        open_store(sources, SMALL, folder=cache)
    assert "choose another cache folder, or no store" in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system has no fallocate")
def test_disk_that_fills_up(
    sources: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match="No space left"):
        open_store(sources, SMALL, folder=cache)
    assert not list(cache.glob("*.partial"))


def test_folder_that_cannot_be_written(
    sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        open_store(sources, SMALL, folder=tmp_path / "file" / "cache")

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    with pytest.raises(DataError, match="Permission denied") as caught:
        open_store(sources, SMALL, folder=tmp_path / "cache")
    assert "another cache folder" in str(caught.value)


def test_bar_is_shown_on_a_terminal_only(
    sources: list[Path],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    open_store(sources * 100, SMALL, folder=cache / "quiet")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    open_store(sources * 100, SMALL, folder=cache / "off", progress=False)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("TERM", "xterm")
    open_store(sources * 100, SMALL, folder=cache / "on")
    assert "decoding faces" in capsys.readouterr().err


# Several processes


SPAWN = multiprocessing.get_context("spawn")


def test_two_processes_decode_once(sources: list[Path], cache: Path) -> None:
    cache.mkdir(parents=True)
    lock = FileLock(cache / f"{store_key(sources, SMALL)}.lock")
    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        with lock:  # both must wait for us, and then for one another
            futures = [pool.submit(open_store, sources, SMALL, folder=cache) for _ in range(2)]
            while not all(future.running() for future in futures):
                time.sleep(0.01)
            time.sleep(1.0)
            assert not any(future.done() for future in futures)
        stores = [future.result(timeout=30) for future in futures]
    assert sorted(store.built for store in stores) == [False, True]
    assert stores[0].path == stores[1].path
    for store in stores:
        assert store.read(np.arange(7)).tolist() == one_by_one(sources, SMALL)


def test_killed_build_leaves_nothing_that_is_read(tmp_path: Path, cache: Path) -> None:
    source = tmp_path / "large.png"
    pixels = np.random.default_rng(0).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(source)
    arguments = {"folder": cache, "workers": 1}
    builder = SPAWN.Process(target=open_store, args=([source] * 3000, SMALL), kwargs=arguments)
    builder.start()
    deadline = time.monotonic() + 15
    while not list(cache.glob("*.partial/faces.npy")) and time.monotonic() < deadline:
        time.sleep(0.01)
    builder.kill()
    builder.join()
    (partial,) = cache.glob("*.partial")
    assert not (cache / partial.name.split(".")[0]).exists()
    # The next build, though of another key, removes what the killed one left.
    assert open_store([source], SMALL, folder=cache).built
    assert not list(cache.glob("*.partial"))


def test_leftovers_of_the_same_key_are_removed_and_living_builds_are_not(
    sources: list[Path], cache: Path
) -> None:
    own, other = cache / f"{store_key(sources, SMALL)}.old.partial", cache / "other.new.partial"
    own.mkdir(parents=True)
    other.mkdir()
    (own / "faces.npy").write_bytes(b"half")
    with FileLock(cache / "other.lock"):
        assert open_store(sources, SMALL, folder=cache).built
    assert other.exists()
    assert not own.exists()
