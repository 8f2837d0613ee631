from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from facebias.data.bias import AllFaces
from facebias.data.images import FaceFormat
from facebias.data.leakage import gate, orientation_hashes
from facebias.data.prepare import prepare_faces, store_faces
from facebias.data.readers.folders import read_class_folders
from facebias.data.split import draw_splits
from facebias.data.table import FaceTable
from tests.data.made_tables import face_rows, face_table, shuffled
from tests.drawn_faces import ATTRIBUTES, CLASSES

Pixels = npt.NDArray[np.uint8]
LEAKED = {f"train/surprised/im{number}.png" for number in (342, 128, 302, 359)}


def picture(seed: int, shape: tuple[int, int, int] = (6, 6, 1)) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def hashes(pictures: list[Pixels]) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    stacked = np.stack(pictures)
    return orientation_hashes(lambda rows: stacked[rows], len(pictures))


def gated(
    pictures: list[Pixels], splits: list[str | None], identities: list[str] | None = None
) -> pd.DataFrame:
    """Return the gated rows by id; the same when the rows stand in another order."""
    table = face_table(face_rows(["happy"] * len(pictures), splits=splits, identities=identities))
    columns = pd.DataFrame(dict(zip(("exact", "unoriented"), hashes(pictures), strict=True)))
    forward = gate(table, columns["exact"].to_numpy(), columns["unoriented"].to_numpy()).rows
    other = shuffled(table)
    moved = columns.loc[other.rows.index]
    again = gate(other, moved["exact"].to_numpy(), moved["unoriented"].to_numpy()).rows
    pd.testing.assert_frame_equal(again.sort_index(), forward)
    return forward


TURNS: dict[str, Callable[[Pixels], Pixels]] = {
    "mirrored": lambda face: face[:, ::-1],
    "upside down": lambda face: face[::-1],
    "half turn": lambda face: np.rot90(face, 2),
    "quarter turn": lambda face: np.rot90(face),
    "three quarters": lambda face: np.rot90(face, 3),
    "transposed": lambda face: face.transpose(1, 0, 2),
}


@pytest.mark.parametrize("name", TURNS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_turned_copy_has_its_own_exact_and_a_shared_unoriented_hash(
    name: str, channels: int
) -> None:
    face = picture(0, (6, 6, channels))
    exact, unoriented = hashes([face, TURNS[name](face), picture(1, (6, 6, channels))])
    assert len(set(exact)) == 3
    assert unoriented[0] == unoriented[1] != unoriented[2]


def test_pictures_that_are_not_square_are_mirrored_only() -> None:
    face = picture(0, (4, 6, 1))
    _, unoriented = hashes([face, face[::-1], face[:, ::-1], face[::-1, ::-1]])
    assert len(set(unoriented)) == 1


def test_one_pixel_makes_another_picture() -> None:
    face = picture(0)
    other = face.copy()
    other[3, 3] ^= 1
    exact, unoriented = hashes([face, other])
    assert exact[0] != exact[1]
    assert unoriented[0] != unoriented[1]


def test_hashes_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [picture(number) for number in range(7)]
    whole = hashes(pictures)
    monkeypatch.setattr("facebias.data.leakage._CHUNK", 3)
    np.testing.assert_array_equal(hashes(pictures), whole)


@pytest.mark.parametrize("name", TURNS)
def test_a_turned_copy_in_train_is_left_out(name: str) -> None:
    face = picture(0)
    rows = gated([face, TURNS[name](face), picture(1)], ["train"] * 3)
    assert rows["left_out"].tolist() == ["", "flipped copy of face0.png", ""]
    assert rows["identity"].tolist() == ["face0.png", "face0.png", "face2.png"]


def test_exact_copies_within_a_split_stay_and_share_their_identity() -> None:
    rows = gated([picture(0), picture(1), picture(0)], ["train"] * 3)
    assert rows["left_out"].tolist() == ["", "", ""]
    assert rows["identity"].tolist() == ["face0.png", "face1.png", "face0.png"]


@pytest.mark.parametrize(
    ("splits", "left_out"),
    [
        (["train", "test"], [True, False]),
        (["test", "train"], [False, True]),
        (["train", "validation"], [True, False]),
        (["validation", "test"], [True, False]),
        (["test", "test"], [False, False]),
        ([None, None], [False, False]),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_of_a_picture_in_two_splits_the_one_in_test_is_kept(
    splits: list[str | None], left_out: list[bool], turned: bool
) -> None:
    face = picture(0)
    rows = gated([face, face[::-1] if turned else face], splits)
    dropped = (rows["left_out"] != "").tolist()
    drawn_by_us = turned and splits == [None, None]
    assert dropped == ([False, True] if drawn_by_us else left_out)
    assert rows["identity"].nunique() == 1


def test_test_faces_are_never_left_out() -> None:
    face = picture(0)
    forms = [face, face, face[::-1], face[:, ::-1], face]
    rows = gated(forms, ["train", "test", "test", "test", "validation"])
    assert (rows["left_out"] == "").tolist() == [False, True, True, True, False]


def test_persons_who_share_a_picture_become_one_with_all_their_pictures() -> None:
    rows = gated(
        [picture(0), picture(1), picture(1), picture(2), picture(2), picture(3), picture(4)],
        ["train"] * 7,
        ["anna", "anna", "bea", "bea", "cleo", "cleo", "dora"],
    )
    assert rows["identity"].tolist() == ["anna"] * 6 + ["dora"]
    assert (rows["left_out"] == "").all()


def test_faces_that_were_left_out_before_play_no_part() -> None:
    rows = face_rows(["happy"] * 2, splits=["test", "train"])
    rows.loc[0, "left_out"] = "bad image"
    result = gate(face_table(rows), *hashes([picture(0), picture(0)])).rows
    assert result["left_out"].tolist() == ["bad image", ""]
    assert result["identity"].tolist() == ["face0.png", "face1.png"]


# Whole data sets


def test_flipped_copies_of_drawn_faces_are_left_out(faces_root: Path) -> None:
    table = read_class_folders(
        str(faces_root), CLASSES, ATTRIBUTES, {"train": "train", "test": "test"}
    )
    table, store = store_faces(table, FaceFormat(48, 48, 1), None, 0)
    rows = gate(table, *orientation_hashes(store.read, len(store))).rows
    flipped = rows["id"].str.contains("_flipped")
    assert (rows["left_out"].str.startswith("flipped copy of") == flipped).all()
    assert (rows.loc[~flipped, "left_out"] == "").all()


@pytest.fixture(scope="module")
def real_gated(real_data: Callable[[str], Path]) -> FaceTable:
    table = read_class_folders(
        str(real_data("emotions")), CLASSES, ATTRIBUTES, {"train": "train", "test": "test"}
    )
    prepared = prepare_faces(
        table,
        AllFaces(),
        face_format=FaceFormat(48, 48, 1),
        cache=None,
        seed=0,
        folds=10,
        fold=0,
        stratify=("gender", "age"),
    )
    return prepared.table


def test_real_emotions_lose_flipped_copies_and_four_leaked_faces(real_gated: FaceTable) -> None:
    rows = real_gated.rows[real_gated.rows["left_out"] != ""]
    flipped = rows["left_out"].str.startswith("flipped copy of")
    assert flipped.sum() == 1196
    assert rows.loc[flipped, "id"].str.endswith("_flipped.png").all()
    assert set(rows.loc[~flipped, "id"]) == LEAKED
    assert rows.loc[~flipped, "left_out"].str.match("the same picture as test/").all()
    assert len(real_gated.used("test")) == 404


@pytest.mark.parametrize("fold", range(5))
def test_real_copies_within_train_stay_together(real_gated: FaceTable, fold: int) -> None:
    rows = real_gated.used()
    pool = real_gated.with_rows(
        rows.assign(split=rows["split"].where(rows["split"] == "test", "train"))
    )
    table = draw_splits(pool, folds=5, fold=fold, stratify=("gender",), seed=fold)
    train = table.used()[table.used()["split"] != "test"]
    pairs = train[train.duplicated("identity", keep=False)].groupby("identity")
    assert sorted(pairs.size()) == [2] * 5
    assert (pairs["split"].nunique() == 1).all()
