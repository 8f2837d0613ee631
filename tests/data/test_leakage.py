from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facebias.data.bias import AllFaces
from facebias.data.duplicates import find_links, inverse_turns, joined_turns
from facebias.data.fingerprints import fingerprints
from facebias.data.images import FaceFormat
from facebias.data.leakage import gate, guard, with_all_faces
from facebias.data.leaks import (
    count_kinds,
    inflated_groups,
    inflation_lines,
    leaked_lines,
    no_pairs,
    pair_columns,
    read_leaks,
    refuse_leaks,
    write_leaks,
)
from facebias.data.prepare import PreparedFaces, prepare_faces, store_faces
from facebias.data.readers.folders import read_class_folders
from facebias.data.split import draw_splits
from facebias.data.table import FaceTable
from facebias.errors import DataError
from tests.data.made_tables import face_rows, face_table, shuffled
from tests.drawn_faces import ATTRIBUTES, CLASSES

Pixels = npt.NDArray[np.uint8]
EXACT = {f"train/surprised/im{number}.png" for number in (342, 128, 302, 359)}
# Looked at: each is another crop of a photo in test.
NEAR = {f"train/surprised/im{number}.png" for number in (139, 166, 229, 279)} | {
    f"train/{name}.png"
    for name in ("focused/im1997", "focused/im597", "focused/im872", "neutral/im617")
}


def picture(seed: int, shape: tuple[int, int, int] = (6, 6, 1)) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def linked(pictures: list[Pixels]) -> pd.DataFrame:
    stacked = np.stack(pictures)
    prints = fingerprints(lambda rows: stacked[rows], len(pictures))
    return find_links(prints, lambda rows: stacked[rows], np.arange(len(pictures)))


def passed(
    table: FaceTable, pictures: list[Pixels], blank: Sequence[int] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows and the pairs; the same when the rows stand in another order."""
    constant = np.isin(np.arange(len(pictures)), blank)
    gated, pairs = gate(table, linked(pictures), constant)
    other = shuffled(table)
    order = other.rows.index.to_numpy()
    again, same = gate(other, linked([pictures[row] for row in order]), constant[order])
    pd.testing.assert_frame_equal(again.rows.sort_index(), gated.rows)
    pd.testing.assert_frame_equal(same, pairs)
    return gated.rows, pairs


def gated(
    pictures: list[Pixels], splits: list[str | None], identities: list[str] | None = None
) -> pd.DataFrame:
    """Return the gated rows of happy faces."""
    rows = face_rows(["happy"] * len(pictures), splits=splits, identities=identities)
    return passed(face_table(rows), pictures)[0]


TURNS: dict[str, Callable[[Pixels], Pixels]] = {
    "mirrored": lambda face: face[:, ::-1],
    "upside down": lambda face: face[::-1],
    "half turn": lambda face: np.rot90(face, 2),
    "quarter turn": lambda face: np.rot90(face),
    "three quarters": lambda face: np.rot90(face, 3),
    "transposed": lambda face: face.transpose(1, 0, 2),
}


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
    result, _ = passed(face_table(rows), [picture(0), picture(0)])
    assert result["left_out"].tolist() == ["bad image", ""]
    assert result["identity"].tolist() == ["face0.png", "face1.png"]


@pytest.mark.parametrize("splits", [["test", "train"], ["validation", "train"], ["train"] * 2])
def test_a_picture_under_two_labels_is_used_in_test_only(splits: list[str]) -> None:
    rows = face_rows(["happy", "neutral"], splits=splits)
    result, pairs = passed(face_table(rows), [picture(0), picture(0)])
    dropped = (result["left_out"] == "one picture under two labels").tolist()
    assert dropped == [splits[0] != "test", True]
    assert pairs["kind"].tolist() == ["label_conflict", "exact"]
    assert pairs["left_out"].tolist() == ["second" if splits[0] == "test" else "both"] * 2


def test_a_picture_under_two_labels_in_test_is_reported() -> None:
    rows = face_rows(["happy", "neutral"], splits=["test"] * 2)
    result, pairs = passed(face_table(rows), [picture(0), picture(0)])
    assert (result["left_out"] == "").all()
    assert pairs["kind"].tolist() == ["label_conflict", "exact"]
    with pytest.raises(DataError, match="1 label_conflict"):
        refuse_leaks(pairs)


def test_a_person_in_two_official_splits_stays_in_the_later_one() -> None:
    people = ["anna", "anna", "anna", "bea", "bea"]
    rows = face_rows(
        ["happy"] * 5,
        splits=["train", "validation", "test", "train", "validation"],
        identities=people,
    )
    result, pairs = passed(face_table(rows), [picture(row) for row in range(5)])
    kept = "the same person as face"
    assert result["left_out"].tolist() == [f"{kept}2.png", f"{kept}2.png", "", f"{kept}4.png", ""]
    assert pairs["kind"].tolist() == ["identity"] * 3
    assert pairs["left_out"].tolist() == ["second"] * 3
    assert result["identity"].tolist() == people


@pytest.mark.parametrize("later", ["test", "validation"])
def test_a_person_without_a_split_counts_as_of_train(later: str) -> None:
    splits: list[str | None] = [later, None, "train", None]
    rows = face_rows(["happy"] * 4, splits=splits, identities=["anna", "anna", "bea", "bea"])
    result, pairs = passed(face_table(rows), [picture(row) for row in range(4)])
    assert result["left_out"].tolist() == ["", "the same person as face0.png", "", ""]
    assert pairs[["first", "second", "kind"]].values.tolist() == [
        ["face0.png", "face1.png", "identity"]
    ]
    with pytest.raises(DataError, match=r"1 identity \(1 across splits\)"):
        refuse_leaks(pairs)


def test_copies_in_train_and_without_a_split_stay() -> None:
    rows = gated([picture(0)] * 3, ["train", None, None])
    assert (rows["left_out"] == "").all()
    assert rows["identity"].nunique() == 1


def test_a_copy_without_a_split_of_a_test_face_is_left_out() -> None:
    rows = face_rows(["happy"] * 2, splits=["test", None])
    result, pairs = passed(face_table(rows), [picture(0)] * 2)
    assert result["left_out"].tolist() == ["", "the same picture as face0.png"]
    assert count_kinds(pairs) == "1 exact (1 across splits)"
    result["split"] = ["test", "train"]
    assert inflated_groups(pairs, result, "test").loc[0, "copied"] == 1


@pytest.mark.parametrize("person", ["face0.png", "face1.png"])
def test_a_person_may_be_named_by_a_photo(person: str) -> None:
    rows = face_rows(["happy"] * 3, splits=["test", "train", "train"], identities=[person] * 3)
    result, pairs = passed(face_table(rows), [picture(row) for row in range(3)])
    assert result["left_out"].tolist() == ["", *["the same person as face0.png"] * 2]
    assert pairs["kind"].tolist() == ["identity"] * 2


def test_persons_who_share_a_picture_do_not_cross_official_splits() -> None:
    people = ["quentin", "paula", "paula"]
    rows = face_rows(["happy"] * 3, splits=["test", "train", "train"], identities=people)
    result, pairs = passed(face_table(rows), [picture(0), picture(0), picture(1)])
    assert result["left_out"].tolist() == [
        "",
        "the same picture as face0.png",
        "the same person as face0.png",
    ]
    assert pairs[["second", "kind"]].values.tolist() == [
        ["face2.png", "identity"],
        ["face1.png", "exact"],
    ]


def test_a_person_across_splits_is_told_of_where_another_reason_leaves_them_out() -> None:
    rows = face_rows(
        ["happy", "happy", "neutral"],
        splits=["test", "train", "train"],
        identities=["anna", "anna", "bea"],
    )
    result, pairs = passed(face_table(rows), [picture(0), picture(1), picture(1)])
    assert result["left_out"].tolist() == ["", *["one picture under two labels"] * 2]
    assert pairs["kind"].tolist() == ["label_conflict", "identity", "identity", "exact"]
    assert inflated_groups(pairs, result, "test").loc[0, "copied"] == 1


def test_all_test_faces_of_a_person_in_train_are_inflated() -> None:
    splits = ["test", "test", "test", "train"]
    people = ["anna", "anna", "bea", "anna"]
    rows = face_rows(["happy"] * 4, splits=splits, identities=people)
    result, pairs = passed(face_table(rows), [picture(row) for row in range(4)])
    assert inflated_groups(pairs, result, "test").loc[0, ["n", "copied"]].tolist() == [3, 2]


def test_people_are_not_parted_where_nobody_says_who_is_who_or_we_split() -> None:
    splits: list[str | None] = ["train", "test", None, None]
    rows = face_rows(["happy"] * 4, splits=splits)
    rows.loc[2:, "identity"] = "anna"
    result, pairs = passed(face_table(rows), [picture(row) for row in range(4)])
    assert (result["left_out"] == "").all()
    assert pairs.empty
    refuse_leaks(pairs)


PEOPLE = st.lists(
    st.tuples(
        st.integers(0, 9),  # the picture
        st.sampled_from(["anna", "bea", "cleo", "face0.png", "face3.png", "face7.png", None]),
        st.sampled_from(["train", "validation", "test", None]),
        st.integers(0, 7),  # the form of the picture
        st.sampled_from(["happy", "neutral"]),
    ),
    min_size=1,
    max_size=12,
)


def copies_of(shown: Sequence[int], turns: Sequence[int]) -> pd.DataFrame:
    """Return links between pictures that are equal but for their turns."""
    links = [
        (shown.index(face), place, joined_turns()[inverse_turns()[turns[shown.index(face)]], turn])
        for place, (face, turn) in enumerate(zip(shown, turns, strict=True))
        if shown.index(face) < place
    ]
    return pd.DataFrame(links, columns=["first", "second", "turn"]).assign(score=1.0, shift=0.0)


@given(PEOPLE, st.sets(st.integers(0, 9), max_size=2))
def test_identities_never_cross(
    faces: list[tuple[int, str | None, str | None, int, str]], blank: set[int]
) -> None:
    shown, people, splits, turns, labels = zip(*faces, strict=True)
    names = [person or f"face{number}.png" for number, person in enumerate(people)]
    table = face_table(face_rows(labels, splits=splits, identities=names))
    gated, _ = gate(table, copies_of(shown, turns), np.isin(shown, list(blank)))
    rows = drawn(gated).rows
    official = table.rows["split"].isin(["validation", "test"])
    assert rows["split"][official].equals(table.rows["split"][official])
    assert not crossing(rows[rows["left_out"] == ""], table, shown)

    everyone = drawn(with_all_faces(gated, table)).rows
    assert (everyone["left_out"] == "").all()
    ours = everyone[~official & ~np.isin(shown, list(blank))]
    assert not crossing(ours, table, shown), "splits of ours part nobody, whatever the policy"


def drawn(table: FaceTable) -> FaceTable:
    return draw_splits(table, folds=3, fold=1, stratify=("gender",), seed=0)


def crossing(rows: pd.DataFrame, table: FaceTable, shown: Sequence[int]) -> bool:
    """Tell whether an identity, a person as named or a picture is in two splits."""
    ways = (rows["identity"], table.rows["identity"][rows.index], np.array(shown)[rows.index])
    return any((rows["split"].groupby(way).nunique() > 1).any() for way in ways)


def test_constant_pictures_are_left_out_and_are_no_copies() -> None:
    black = np.zeros((6, 6, 1), np.uint8)
    rows = face_rows(["happy", "neutral", "happy"], splits=["test", "train", "train"])
    result, pairs = passed(face_table(rows), [black, black, picture(0)], blank=(0, 1))
    assert result["left_out"].tolist() == ["constant image", "constant image", ""]
    assert result["identity"].nunique() == 3
    assert pairs["kind"].tolist() == ["constant"] * 2


def test_a_pair_says_who_where_and_what_of_both() -> None:
    rows = face_rows(["happy", "happy"], splits=["train", "test"], genders=["female", "male"])
    _, pairs = passed(face_table(rows), [picture(0)[::-1], picture(0)])
    assert pairs.columns.tolist() == pair_columns(["gender"])
    assert pairs.to_dict("records") == [
        {
            "first": "face1.png",
            "second": "face0.png",
            "kind": "upside_down",
            "score": 1.0,
            "first_split": "test",
            "second_split": "train",
            "first_label": "happy",
            "second_label": "happy",
            "first_gender": "male",
            "second_gender": "female",
            "left_out": "second",
        }
    ]


def test_a_large_cluster_is_not_paired_each_with_each() -> None:
    rows = face_rows(["happy"] * 50)
    _, pairs = passed(face_table(rows), [picture(0)] * 50)
    assert len(pairs) == 49
    assert set(pairs["first"]) == {"face0.png"}


def test_an_error_says_how_many_across_splits_and_which_first() -> None:
    rows = face_rows(["happy"] * 3, splits=["train", "test", "train"])
    _, pairs = passed(face_table(rows), [picture(0)] * 3)
    with pytest.raises(DataError, match=r"2 exact \(2 across splits\)") as caught:
        refuse_leaks(pairs)
    assert "face1.png (test, happy) and face0.png (train, happy)" in str(caught.value)


def test_inflated_groups_count_measured_faces_with_a_copy_in_train() -> None:
    rows = face_rows(
        ["happy"] * 5,
        splits=["train", "test", "test", "test", "test"],
        genders=["male", "male", "male", "male", "female"],
    )
    pictures = [picture(0), picture(0), picture(0), picture(1), picture(2)]
    result, pairs = passed(face_table(rows), pictures)
    groups = inflated_groups(pairs, result, "test").set_index("group")
    assert groups["n"].to_dict() == {"all": 4, "female": 1, "male": 3}
    assert groups["copied"].to_dict() == {"all": 2, "female": 0, "male": 2}
    (line,) = inflation_lines(pairs, result, "test")
    assert line.startswith("leaks: 2 of 4 test faces")
    assert line.endswith("gender female 0.0 %, male 66.7 %")
    assert inflation_lines(pairs, result, "validation") == []


def test_pairs_are_written_and_read_and_shown(tmp_path: Path) -> None:
    rows = face_rows(["happy"] * 3, splits=["train", "test", "train"]).assign(row=range(3))
    pictures = np.stack([picture(0), picture(0), picture(1)])
    _, pairs = passed(face_table(rows), list(pictures))
    write_leaks(tmp_path, pairs, rows, lambda wanted: pictures[wanted])
    read = read_leaks(tmp_path)
    assert read is not None
    assert read[["first", "second", "kind"]].values.tolist() == [
        ["face1.png", "face0.png", "exact"]
    ]
    with Image.open(tmp_path / "leaks.png") as sheet:
        assert sheet.width > 2 * 128


def test_names_of_figures_are_read_back_as_they_are(tmp_path: Path) -> None:
    rows = face_rows(["happy"] * 2, splits=["test", "train"]).assign(id=["007", "NA"], row=[0, 1])
    pictures = np.stack([picture(0)] * 2)
    result, pairs = passed(face_table(rows), list(pictures))
    write_leaks(tmp_path, pairs, rows, lambda wanted: pictures[wanted])
    read = read_leaks(tmp_path)
    assert read is not None
    assert inflated_groups(read, result, "test").loc[0, "copied"] == 1


def test_without_pairs_there_is_a_header_and_no_sheet(tmp_path: Path) -> None:
    write_leaks(tmp_path, no_pairs(["gender"]), face_rows(["happy"]), lambda rows: picture(0)[None])
    assert [path.name for path in tmp_path.iterdir()] == ["leaks.csv"]
    read = read_leaks(tmp_path)
    assert read is not None
    assert read.empty
    assert read.columns.tolist() == pair_columns(["gender"])
    assert inflation_lines(read, face_rows(["happy"], splits=["test"]), "test") == []
    assert read_leaks(tmp_path / "elsewhere") is None


# Whole data sets


def test_flipped_copies_of_drawn_faces_are_left_out(faces_root: Path) -> None:
    table = read_class_folders(
        str(faces_root), CLASSES, ATTRIBUTES, {"train": "train", "test": "test"}
    )
    table, store = store_faces(table, FaceFormat(48, 48, 1), None, 0)
    rows = guard(table, store, "drop")[0].rows
    flipped = rows["id"].str.contains("_flipped")
    assert (rows["left_out"].str.startswith("flipped copy of") == flipped).all()
    assert (rows.loc[~flipped, "left_out"] == "").all()


def test_reported_copies_share_an_identity_and_are_warned_of(
    faces_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = read_class_folders(
        str(faces_root), CLASSES, ATTRIBUTES, {"train": "train", "test": "test"}
    )
    table, store = store_faces(table, FaceFormat(48, 48, 1), None, 0)
    gated, pairs = guard(table, store, "report")
    assert (gated.rows["left_out"] == "").all()
    assert (pairs["left_out"] == "").all()
    identity = gated.rows.set_index("id")["identity"]
    equal = pairs[pairs["score"] == 1]
    assert (identity[equal["first"]].to_numpy() == identity[equal["second"]].to_numpy()).all()
    (warning,) = [line for line in caplog.messages if "data.copies=report" in line]
    assert f"{len(pairs):,} upside_down (0 across splits)" in warning
    assert len(equal) == len(pairs) > 0


def without_official_splits(faces_root: Path, copies: str) -> PreparedFaces:
    """Prepare the drawn train faces and their flipped copies, split by chance."""
    table = read_class_folders(str(faces_root / "train"), CLASSES, ATTRIBUTES)
    return prepare_faces(
        table,
        AllFaces(),
        face_format=FaceFormat(48, 48, 1),
        cache=None,
        seed=0,
        folds=4,
        fold=0,
        copies=copies,
    )


def test_a_leak_on_purpose_parts_copies_and_is_said_loudly(
    faces_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faces = without_official_splits(faces_root, "leak")
    assert faces.leaks is not None
    assert len(faces.table.used()) == 320
    split = faces.table.rows.set_index("id")["split"]
    copied = faces.leaks.set_index("second")["first"]
    assert split.loc[copied].tolist() != split.loc[copied.index].tolist()
    original = pd.Series(split.index, split.index).replace(copied.to_dict())
    trained = set(original[split == "train"])
    for line, name in zip(faces.says(), ("validation", "test"), strict=True):
        leaked = int(original[split == name].isin(trained).sum())
        assert leaked > 0
        assert line.startswith(f"LEAK: {leaked} of {(split == name).sum()} {name} faces")
        assert ("WARNING", line) in [(each.levelname, each.message) for each in caplog.records]
    assert any("data.copies=leak" in line for line in caplog.messages)


@pytest.mark.parametrize("copies", ["drop", "report"])
def test_without_a_leak_nothing_is_said_of_one(faces_root: Path, copies: str) -> None:
    faces = without_official_splits(faces_root, copies)
    assert len(faces.table.used()) == (160 if copies == "drop" else 320)
    assert faces.says() == []


def test_a_leak_that_no_one_asked_for_is_said_too() -> None:
    pictures = [picture(1), picture(1), picture(2)]
    table = face_table(face_rows(["happy"] * 3, splits=["train", "test", "test"]))
    _, pairs = gate(table, linked(pictures), np.zeros(3, bool))
    (line,) = leaked_lines(pairs, table.rows)
    assert line.startswith("LEAK: 1 of 2 test faces have a copy among the train faces")
    gated, _ = gate(table, linked(pictures), np.zeros(3, bool))
    assert leaked_lines(pairs, gated.rows) == []


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


def test_real_emotions_lose_flipped_copies_and_twelve_leaked_faces(real_gated: FaceTable) -> None:
    rows = real_gated.rows[real_gated.rows["left_out"] != ""]
    flipped = rows["left_out"].str.startswith("flipped copy of")
    assert flipped.sum() == 1196
    assert rows.loc[flipped, "id"].str.endswith("_flipped.png").all()
    assert set(rows.loc[~flipped, "id"]) == EXACT | NEAR
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
    assert sorted(pairs.size()) == [2] * 12 + [3]
    assert (pairs["split"].nunique() == 1).all()
