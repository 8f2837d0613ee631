from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from facebias.data.split import draw_splits, seeded_order
from facebias.data.table import FaceTable
from facebias.errors import DataError
from tests.data.made_tables import face_rows, face_table, random_table, shuffled

FACES = st.lists(
    st.tuples(
        st.sampled_from(["happy", "neutral"]),
        st.sampled_from(["female", "male", "unknown"]),
        st.integers(0, 12),
        st.sampled_from(["train", "test"]),
    ),
    min_size=1,
    max_size=60,
)


def table_of(faces: list[tuple[str, str, int, str]], official_test: bool) -> FaceTable:
    """Return faces with persons; a person has one label and gender, as their first face."""
    labels, genders, persons, splits = zip(*faces, strict=True)
    first = {person: (labels[n], genders[n]) for n, person in reversed(list(enumerate(persons)))}
    return face_table(
        face_rows(
            [first[person][0] for person in persons],
            genders=[first[person][1] for person in persons],
            identities=[f"person{person}" for person in persons],
            splits=list(splits) if official_test else None,
        )
    )


def drawn(table: FaceTable, fold: int = 0, folds: int = 4, seed: int = 0) -> pd.Series:
    stratify = ("gender",)
    result = draw_splits(table, folds=folds, fold=fold, stratify=stratify, seed=seed)
    return result.rows.set_index("id")["split"].sort_index()


def folds_of(table: FaceTable, folds: int, seed: int = 0) -> pd.Series:
    """Return the fold that validates each face, -1 for test, given no official splits."""
    splits = pd.DataFrame({fold: drawn(table, fold, folds, seed) for fold in range(folds)})
    tested, validated = splits == "test", splits == "validation"
    assert (tested.all(axis=1) == tested.any(axis=1)).all(), "no fold has other test faces"
    assert (validated.sum(axis=1) + tested[0] == 1).all(), "a face validates one fold, or is test"
    return validated.idxmax(axis=1).where(~tested[0], -1)


@given(FACES, st.integers(2, 4), st.integers(0, 3))
def test_folds_part_the_faces_and_keep_persons_whole(
    faces: list[tuple[str, str, int, str]], folds: int, seed: int
) -> None:
    table = table_of(faces, official_test=False)
    rows = table.rows.set_index("id").sort_index()
    rows["fold"] = folds_of(table, folds, seed)
    assert (rows.groupby("identity")["fold"].nunique() == 1).all()
    fullest = (rows["fold"] == -1).sum()
    assert fullest <= len(rows) / folds + 2 * rows["identity"].value_counts().max() + 6


@given(FACES, st.integers(2, 4), st.integers(0, 3))
def test_folds_part_single_faces_to_within_one(
    faces: list[tuple[str, str, int, str]], folds: int, seed: int
) -> None:
    labels, genders, _, _ = zip(*faces, strict=True)
    rows = face_rows(labels, genders=genders)
    fold = folds_of(face_table(rows), folds, seed)
    rows = rows.set_index("id").sort_index().assign(fold=fold)
    for part in (rows, *(stratum for _, stratum in rows.groupby(["label", "gender"]))):
        assert abs((part["fold"] == -1).sum() - len(part) / folds) < 1
        sizes = part["fold"].value_counts().reindex(range(folds), fill_value=0)
        assert sizes.max() - sizes.min() <= 1


def uneven_people(seed: int, people: int, sizes: tuple[int, ...]) -> FaceTable:
    """Return train faces of persons who have few or many, each with a leaning to one label."""
    random = np.random.default_rng(seed)
    counts = random.choice(sizes, people)
    leaning, gender = random.beta(0.5, 0.5, people), random.choice(["female", "male"], people)
    person = np.repeat(np.arange(people), counts)
    labels = np.where(random.random(len(person)) < leaning[person], "happy", "neutral")
    rows = face_rows(
        labels.tolist(),
        genders=gender[person].tolist(),
        identities=[f"person{number}" for number in person],
        splits=["train"] * len(person),
    )
    test = face_rows(["happy"], splits=["test"]).assign(id="test.png", identity="test.png")
    return face_table(pd.concat([rows, test], ignore_index=True))


def deviations(rows: pd.DataFrame, fold: pd.Series) -> npt.NDArray[np.float64]:
    """Return the largest deviation of a fold's size, relative, and of its shares of the cells."""
    counts = rows.groupby([fold, "label", "gender"]).size().unstack([1, 2], fill_value=0)
    sizes, even = counts.sum(axis=1), counts.sum() / len(rows)
    shares = counts.div(sizes, axis=0) - even
    return np.array([abs(sizes / sizes.mean() - 1).max(), shares.abs().to_numpy().max()])


@pytest.mark.parametrize(
    ("people", "sizes"), [(80, (3, 5, 10, 60, 120)), (300, (1, 2, 3, 8)), (200, (1, 1, 1, 60))]
)
def test_persons_of_uneven_size_are_dealt_as_evenly_as_scikit_learn_does(
    people: int, sizes: tuple[int, ...]
) -> None:
    ours, theirs = [], []
    for seed in range(4):
        table = uneven_people(seed, people, sizes)
        rows = table.rows[table.rows["split"] == "train"].set_index("id").sort_index()
        splits = pd.DataFrame({fold: drawn(table, fold, 5, seed) for fold in range(5)})
        ours.append(deviations(rows, (splits == "validation").loc[rows.index].idxmax(axis=1)))
        peer = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        fold = pd.Series(0, index=rows.index)
        for number, (_, part) in enumerate(
            peer.split(rows, rows["label"] + rows["gender"], rows["identity"])
        ):
            fold.iloc[part] = number
        theirs.append(deviations(rows, fold))
    assert (np.max(ours, axis=0) <= 1.5 * np.max(theirs, axis=0)).all()


def test_single_faces_fill_up_what_large_persons_leave() -> None:
    identities = [*["anna"] * 30, *["bea"] * 10, *[f"single{number}" for number in range(120)]]
    table = face_table(face_rows(["happy"] * 160, identities=identities))
    assert folds_of(table, 4).value_counts().to_dict() == {-1: 40, 0: 30, 1: 30, 2: 30, 3: 30}


def test_the_largest_person_is_not_always_in_test() -> None:
    identities = ["anna"] * 9 + ["bea"] * 6 + ["cleo"] * 3
    table = face_table(face_rows(["happy", "neutral"] * 9, identities=identities))
    tested = {drawn(table, seed=seed)["face0.png"] == "test" for seed in range(12)}
    assert tested == {True, False}


def test_people_dealt_in_batches_are_whole_and_even(monkeypatch: pytest.MonkeyPatch) -> None:
    table = uneven_people(0, 300, (1, 2, 3, 8))
    rows = table.rows.set_index("id").sort_index()
    monkeypatch.setattr("facebias.data.split._BATCHES", 50)
    splits = drawn(table, folds=5)
    assert (splits.groupby(rows["identity"]).nunique() == 1).all()
    assert abs((splits == "validation").sum() - len(rows) / 5) < len(rows) / 50


@given(FACES, st.booleans(), st.integers(0, 3))
def test_order_of_rows_plays_no_part(
    faces: list[tuple[str, str, int, str]], official_test: bool, seed: int
) -> None:
    table = table_of(faces, official_test)
    pd.testing.assert_series_equal(drawn(shuffled(table, seed), 1), drawn(table, 1))


@given(FACES)
def test_official_test_faces_stay_and_validation_folds_part_the_train_split(
    faces: list[tuple[str, str, int, str]],
) -> None:
    table = table_of(faces, official_test=True)
    official = table.rows.set_index("id")["split"].sort_index()
    if (official == "train").all():
        return
    validated = pd.Series(0, index=official.index)
    for fold in range(4):
        splits = drawn(table, fold)
        assert ((splits == "test") == (official == "test")).all()
        validated += splits == "validation"
    assert (validated == (official == "train")).all()


def test_without_official_splits_test_stays_while_validation_rotates() -> None:
    table = random_table(160)
    tested = drawn(table) == "test"
    assert tested.sum() == 40
    validated = pd.Series(0, index=tested.index)
    for fold in range(4):
        splits = drawn(table, fold)
        assert ((splits == "test") == tested).all()
        assert splits.value_counts().to_dict() == {"train": 90, "test": 40, "validation": 30}
        validated += splits == "validation"
    assert (validated == ~tested).all()


def test_an_official_validation_split_stays_and_test_is_drawn() -> None:
    official = ["train"] * 30 + ["validation"] * 10
    table = face_table(face_rows(["happy", "neutral"] * 20, splits=official))
    splits = drawn(table).reindex(table.rows["id"]).to_numpy()
    assert (splits[30:] == "validation").all()
    assert pd.Series(splits[:30]).value_counts().to_dict() == {"train": 22, "test": 8}


def test_nothing_is_drawn_where_both_official_splits_are_there() -> None:
    official = ["train"] * 8 + ["validation", "test"]
    table = face_table(face_rows(["happy"] * 10, splits=official))
    assert drawn(table).reindex(table.rows["id"]).tolist() == official


def test_faces_left_out_and_unlabelled_faces_are_not_drawn() -> None:
    rows = face_rows(["happy"] * 6 + [None])
    rows.loc[0, "left_out"] = "bad image"
    splits = drawn(face_table(rows))
    assert splits[splits.isna()].index.tolist() == ["face0.png", "face6.png"]


def test_seeds_draw_differently_and_repeat() -> None:
    table = random_table(100)
    pd.testing.assert_series_equal(drawn(table, seed=3), drawn(table, seed=3))
    assert not drawn(table, seed=3).equals(drawn(table, seed=4))


def test_a_face_that_is_left_out_or_in_test_moves_no_other() -> None:
    table = random_table(100, split="train")
    more = face_rows(["happy", "neutral"], splits=["test", "train"]).assign(
        id=["x.png", "y.png"], source=["x.png", "y.png"], identity=["x.png", "y.png"],
        left_out=["", "bad image"],
    )  # fmt: skip
    test = face_rows(["happy"], splits=["test"]).assign(id="z.png", identity="z.png")
    before = face_table(pd.concat([table.rows, test], ignore_index=True))
    after = face_table(pd.concat([before.rows, more], ignore_index=True))
    pd.testing.assert_series_equal(drawn(after).reindex(drawn(before).index), drawn(before))


@pytest.mark.parametrize(
    ("fold", "folds", "official"),
    [(4, 4, False), (-1, 4, False), (0, 1, False), (0, 1, True), (2, 2, True)],
)
def test_a_fold_that_does_not_exist_is_refused(fold: int, folds: int, official: bool) -> None:
    splits = ["train", "test"] if official else None
    table = face_table(face_rows(["happy", "neutral"], splits=splits))
    with pytest.raises(DataError, match=f"fold={fold} of data.folds={folds}"):
        drawn(table, fold, folds)


def test_an_attribute_that_is_absent_is_named() -> None:
    with pytest.raises(DataError, match=r"data\.stratify names age") as caught:
        draw_splits(random_table(9), folds=3, fold=0, stratify=("age",), seed=0)
    assert "gender" in caught.value.expected


@given(st.lists(st.text(), unique=True, max_size=20), st.integers(0, 10**20))
def test_the_order_of_a_name_depends_on_name_and_seed_alone(names: list[str], seed: int) -> None:
    values = [name.encode("utf-8", "replace").decode() for name in names]
    whole = seeded_order(pd.Series(values, dtype=object), seed)
    for name, number in zip(values, whole, strict=True):
        assert seeded_order(pd.Series([name], dtype=object), seed)[0] == number


def test_the_order_of_names_is_spread_evenly() -> None:
    names = pd.Series([f"face{number}" for number in range(4000)])
    orders = [seeded_order(names, seed).argsort() for seed in (0, 1)]
    for first, second in product(orders, orders):
        agreement = float(np.corrcoef(first, second)[0, 1])
        assert agreement > 0.99 if first is second else abs(agreement) < 0.06
    assert abs(float(np.corrcoef(orders[0], range(4000))[0, 1])) < 0.06
