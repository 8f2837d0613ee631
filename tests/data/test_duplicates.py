from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facebias.data.clusters import clusters
from facebias.data.duplicates import find_links, inverse_turns, joined_turns
from facebias.data.fingerprints import TURNS, VERSION, fingerprints, turned
from tests.data.planted_copies import CHANGES

Pixels = npt.NDArray[np.uint8]


def blobs(count: int, side: int = 48, channels: int = 1, seed: int = 0) -> Pixels:
    """Return pictures of soft spots at random places, each its own."""
    random = np.random.default_rng(seed)
    line = np.arange(side)
    pictures = np.full((count, side, side, channels), 60.0)
    for _ in range(14):
        down, right = random.uniform(0, side, (2, count, 1, 1))
        size = random.uniform(0.05, 0.16, (count, 1, 1)) * side
        distance = (line[:, None] - down) ** 2 + (line - right) ** 2
        spot = np.exp(-distance / (2 * size**2))[..., None]
        pictures += spot * random.uniform(-60, 90, (count, 1, 1, channels))
    drawn: Pixels = np.clip(pictures, 0, 255).astype(np.uint8)
    return drawn


def linked(pictures: Pixels) -> pd.DataFrame:
    prints = fingerprints(lambda rows: pictures[rows], len(pictures))
    return find_links(prints, lambda rows: pictures[rows], np.arange(len(pictures)))


def cluster_of(pictures: Pixels) -> list[int]:
    """Return for each picture the first of its copies."""
    count = len(pictures)
    first: list[int] = clusters(linked(pictures), np.arange(count), count).first.tolist()
    return first


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("channels", [1, 3])
def test_planted_copies_are_found_and_nothing_else(name: str, channels: int) -> None:
    random, faces = np.random.default_rng(1), blobs(60, channels=channels)
    copies = np.stack([CHANGES[name](face, random) for face in faces[:20]])
    assert cluster_of(np.concatenate([faces, copies])) == [*range(60), *range(20)]


def test_a_picture_that_differs_in_one_place_is_no_copy() -> None:
    faces = blobs(40)
    others = faces[:10].copy()
    others[:, 28:36, 18:30] = 255 - others[:, 28:36, 18:30]
    assert cluster_of(np.concatenate([faces, others])) == list(range(50))


def test_the_kind_of_a_flipped_and_compressed_copy_is_told() -> None:
    random, faces = np.random.default_rng(1), blobs(30)
    copy = CHANGES["upside down, re-encoded"](faces[3], random)
    (link,) = linked(np.concatenate([faces, copy[None]])).itertuples()
    assert {link.first, link.second} == {3, 30}
    assert link.turn == 2
    assert 0.5 <= link.score < 1


@settings(max_examples=5, deadline=None)
@given(st.randoms(use_true_random=False))
def test_links_do_not_depend_on_the_order_of_rows(random: Random) -> None:
    faces, changed = blobs(40), np.random.default_rng(0)
    copies = [CHANGES[name](face, changed) for name, face in zip(CHANGES, faces, strict=False)]
    pictures = np.concatenate([faces, np.stack(copies)])
    order = list(range(len(pictures)))
    random.shuffle(order)
    moved = linked(pictures[order])
    names = np.array(order)
    assert _as_set(moved, names) == _as_set(linked(pictures), np.arange(len(pictures)))


def _as_set(links: pd.DataFrame, names: npt.NDArray[np.int64]) -> set[tuple[frozenset[int], float]]:
    first, second = names[links["first"]].tolist(), names[links["second"]].tolist()
    scores = links["score"].round(4).tolist()
    return {(frozenset(pair[:2]), pair[2]) for pair in zip(first, second, scores, strict=True)}


def test_rows_that_are_not_asked_for_are_not_linked() -> None:
    pictures = np.concatenate([blobs(20)] * 2)
    prints = fingerprints(lambda rows: pictures[rows], 40)
    rows = np.array([*range(20), 25])
    links = find_links(prints, lambda wanted: pictures[wanted], rows)
    assert links[["first", "second"]].values.tolist() == [[5, 25]]


def test_constant_pictures_have_only_equal_ones_as_copies() -> None:
    dark = np.zeros((3, 48, 48, 1), np.uint8)
    dark[2, 5, 5] = 9
    assert cluster_of(np.concatenate([dark, blobs(20)])) == [0, 0, *range(2, 23)]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("shape", [(8, 8, 1), (48, 64, 3)])
def test_a_few_pictures_of_any_shape_are_compared(count: int, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (count, *shape), dtype=np.uint8)
    assert cluster_of(pictures) == list(range(count))


@pytest.mark.parametrize("first", range(TURNS))
@pytest.mark.parametrize("second", range(TURNS))
def test_turns_join_as_pictures_turn(first: int, second: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 5, 1), dtype=np.uint8)
    both = turned(turned(picture, first), second)
    np.testing.assert_array_equal(turned(picture, int(joined_turns()[first, second])), both)
    back = turned(turned(picture, first), int(inverse_turns()[first]))
    np.testing.assert_array_equal(back, picture)


@pytest.mark.parametrize("turn", range(1, TURNS))
@pytest.mark.parametrize("channels", [1, 3])
def test_equal_pixels_in_any_form_are_linked_with_that_form(turn: int, channels: int) -> None:
    faces = blobs(3, side=8, channels=channels)
    pictures = np.concatenate([faces, turned(faces[1], turn)[None]])
    (link,) = linked(pictures).itertuples()
    one, other = pictures[link.first], pictures[link.second]
    np.testing.assert_array_equal(turned(one, link.turn), other)
    assert link.score == 1


def test_pictures_that_are_not_square_are_mirrored_and_inverted_only() -> None:
    face = blobs(1, side=12)[0, :8]
    pictures = np.stack([face, face[::-1], face[:, ::-1], face[::-1, ::-1]])
    assert cluster_of(pictures) == [0, 0, 0, 0]


def test_one_pixel_makes_another_fingerprint() -> None:
    faces = np.repeat(blobs(1), 2, axis=0)
    faces[1, 3, 3] ^= 1
    prints = fingerprints(lambda rows: faces[rows], 2)
    assert prints.exact[0] != prints.exact[1]
    assert prints.unoriented[0] != prints.unoriented[1]


def test_fingerprints_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = blobs(7)
    whole = fingerprints(lambda rows: faces[rows], 7)
    monkeypatch.setattr("facebias.data.fingerprints._CHUNK", 3)
    parts = fingerprints(lambda rows: faces[rows], 7)
    for name in whole.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def refused(rows: npt.NDArray[np.int64]) -> Pixels:
    raise AssertionError("the faces were read again")


def test_fingerprints_are_kept_beside_the_store(tmp_path: Path) -> None:
    faces = blobs(5)
    made = fingerprints(lambda rows: faces[rows], 5, tmp_path)
    kept = fingerprints(refused, 5, tmp_path)
    for name in made.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(kept, name), getattr(made, name))


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "of another store"])
def test_damaged_fingerprints_are_made_again(damage: str, tmp_path: Path) -> None:
    faces = blobs(5)
    made = fingerprints(lambda rows: faces[rows], 5, tmp_path)
    file = tmp_path / f"fingerprints_v{VERSION}.npz"
    content = file.read_bytes()
    if damage == "of another store":
        file.unlink()
        fingerprints(lambda rows: faces[rows], 4, tmp_path)
    else:
        file.write_bytes({"empty": b"", "cut": content[:-99], "noise": b"noise"}[damage])
    again = fingerprints(lambda rows: faces[rows], 5, tmp_path)
    np.testing.assert_array_equal(again.thumbnails, made.thumbnails)
    assert file.read_bytes()[:2] == b"PK"


def test_fingerprints_that_cannot_be_kept_are_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    faces = blobs(2)
    assert len(fingerprints(lambda rows: faces[rows], 2, tmp_path / "file").exact) == 2
