from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias.data.bias import (
    NOT_COMPOSED,
    AllFaces,
    Association,
    AttributeShares,
    Bias,
    CellShares,
    UnderRepresentation,
    ValenceShares,
    compose,
)
from facebias.data.cells import cramers_v
from facebias.data.composition import VARIANTS
from facebias.data.table import FaceTable
from facebias.errors import CompositionError, DataError
from tests.data.made_tables import face_rows, face_table, random_table, shuffled, with_age

EVEN = {"female": 0.5, "male": 0.5}


def split_table(count: int = 600) -> FaceTable:
    table = random_table(count)
    splits = ["train", "train", "train", "validation", "test"] * (count // 5)
    return table.with_rows(table.rows.assign(split=splits))


def dose(share: float, total: int | None = 60) -> AttributeShares:
    shares = {"female": share, "male": 1 - share}
    return AttributeShares("dose", "gender", shares, [EVEN], total)


def taken(table: FaceTable, bias: Bias, seed: int = 0) -> pd.DataFrame:
    return compose(table, bias, seed).used("train").set_index("id")


def test_the_counts_are_those_of_the_bias() -> None:
    table = split_table()
    bias = dose(0.8, None)
    composed = compose(table, bias, 0)
    wanted = bias.counts(table.cells("train", "gender"))
    pd.testing.assert_frame_equal(
        composed.cells("train", "gender"), wanted, check_names=False, check_dtype=False
    )
    assert wanted.to_numpy().sum() > 0


def test_twins_have_the_same_label_counts() -> None:
    women = AttributeShares("women", "gender", {"female": 1}, [{"male": 1}])
    men = AttributeShares("men", "gender", {"male": 1}, [{"female": 1}])
    first, second = (taken(split_table(), bias) for bias in (women, men))
    assert first["label"].value_counts().to_dict() == second["label"].value_counts().to_dict()
    assert set(first["gender"]) == {"female"}
    assert set(second["gender"]) == {"male"}


def test_doses_are_nested() -> None:
    faces = [taken(split_table(), dose(share)) for share in (0.5, 0.6, 0.7, 0.8, 0.9)]
    for smaller, larger in pairwise(faces):
        women = {name for name in smaller.index if smaller.loc[name, "gender"] == "female"}
        men = {name for name in larger.index if larger.loc[name, "gender"] == "male"}
        assert women < set(larger.index)
        assert men < set(smaller.index)


def test_totals_are_nested() -> None:
    sizes = [set(taken(split_table(), dose(0.5, total)).index) for total in (20, 40, 60)]
    assert sizes[0] < sizes[1] < sizes[2]
    assert [len(size) for size in sizes] == [20, 40, 60]


def test_no_face_is_taken_twice_and_every_row_stays_in_the_table() -> None:
    table = split_table()
    composed = compose(table, dose(0.8), 0)
    assert composed.rows["id"].tolist() == table.rows["id"].tolist()
    assert composed.used("train")["id"].is_unique
    assert set(composed.rows["left_out"]) == {"", NOT_COMPOSED}


def test_validation_and_test_are_untouched() -> None:
    table = split_table()
    composed = compose(table, dose(0.9, 20), 0)
    for split in ("validation", "test"):
        pd.testing.assert_frame_equal(composed.used(split), table.used(split))


def test_faces_of_unknown_group_are_never_taken() -> None:
    table = split_table()
    assert (table.used("train")["gender"] == "unknown").any()
    assert (taken(table, dose(0.6, None))["gender"] != "unknown").all()


def test_all_faces_takes_all_with_unknown_ones() -> None:
    table = split_table()
    pd.testing.assert_frame_equal(compose(table, AllFaces(), 0).rows, table.rows)


def test_order_of_rows_plays_no_part_and_the_seed_does() -> None:
    table = split_table()
    assert set(taken(shuffled(table), dose(0.8)).index) == set(taken(table, dose(0.8)).index)
    assert set(taken(table, dose(0.8), seed=1).index) != set(taken(table, dose(0.8)).index)


def test_a_face_of_another_cell_moves_no_face_of_this_one() -> None:
    table = split_table()
    more = face_rows(["neutral"], genders=["male"], splits=["train"])
    more = more.assign(id="more.png", identity="more.png")
    larger = table.with_rows(pd.concat([table.rows, more], ignore_index=True))
    names = {
        frozenset(faces.index[faces["gender"] == "female"])
        for faces in (taken(table, dose(0.5)), taken(larger, dose(0.5, 60)))
    }
    assert len(names) == 1


def test_an_attribute_that_is_absent_is_named() -> None:
    with pytest.raises(DataError, match=r"bias\.attribute is 'age'") as caught:
        compose(split_table(), AttributeShares("old", "age", {"old": 1}), 0)
    assert "gender" in caught.value.expected


def test_too_large_a_total_is_refused_with_the_largest_that_works() -> None:
    with pytest.raises(CompositionError) as caught:
        compose(split_table(), dose(0.8, 600), 0)
    largest = int(caught.value.todo.rpartition("=")[2])
    assert len(taken(split_table(), dose(0.8, largest))) == largest


def test_unknown_faces_do_not_fill_a_cell() -> None:
    table = face_table(
        face_rows(
            ["happy", "happy", "neutral", "neutral"],
            genders=["female", "unknown", "female", "male"],
            splits=["train"] * 4,
        )
    )
    with pytest.raises(CompositionError, match="happy, male: 0 of 1"):
        compose(table, AttributeShares("men", "gender", {"male": 1}), 0)


# Variants by valence

VALENCE = {
    "happy": "positive",
    "surprise": "positive",
    "neutral": "neutral",
    "sad": "negative",
    "fear": "negative",
    "anger": "negative",
}
CLASSES = {"expression": tuple(VALENCE), "valence": ("positive", "neutral", "negative")}


def expressions_table(count: int, seed: int = 0, target: str = "valence") -> FaceTable:
    """Return faces of six expressions, some of them rare, four in five of them train faces."""
    shown = np.random.default_rng(seed).choice(
        list(VALENCE), count, p=[0.2, 0.1, 0.3, 0.25, 0.13, 0.02]
    )
    splits = (["train"] * 4 + ["test"]) * (count // 5)
    rows = face_rows(shown.tolist(), splits=splits)
    rows = rows.assign(expression=shown, valence=[VALENCE[name] for name in shown])
    rows = rows.assign(label=rows[target])
    return FaceTable(rows, Path("faces"), CLASSES[target], {"gender": ("female",)})


def by_valence(variant: str, dose: float = 0.6, within: str = "expression") -> ValenceShares:
    """Return a bias of labels that are valences, or that are finer where they are the mix."""
    return ValenceShares(
        variant,
        dose,
        largest_dose=0.8,
        valences=VALENCE if within == "label" else None,
        within=within,
        allow_absent=[name for name in VALENCE if within == "label"],
    )


@given(
    st.integers(20, 40),
    st.integers(0, 1000),
    st.sampled_from(list(CLASSES)),
    st.sampled_from(VARIANTS[1:]),
)
def test_variants_by_valence_differ_in_the_chosen_cells_alone(
    fifths: int, seed: int, target: str, biased: str
) -> None:
    within = "expression" if target == "valence" else "label"
    table = expressions_table(5 * fifths, seed, target)
    train = table.used("train")
    faces = {}
    for variant, dose in (("balanced", 0.8), (biased, 0.2), (biased, 0.8)):
        composed = compose(table, by_valence(variant, dose, within), seed)
        faces[variant, dose] = composed.used("train")
        pd.testing.assert_frame_equal(composed.used("test"), table.used("test"))
    assert len({len(rows) for rows in faces.values()}) == 1
    for rows in faces.values():
        assert rows["id"].is_unique
        for valence, part in rows.groupby("valence"):
            source = train[train["valence"] == valence]["expression"].value_counts()
            exact = source / source.sum() * len(part)
            counts = part["expression"].value_counts().reindex(source.index, fill_value=0)
            assert (abs(counts - exact) < 1).all()
    for valence in ("positive", "neutral", "negative"):
        nested = sorted(
            (set(rows["id"][rows["valence"] == valence]) for rows in faces.values()), key=len
        )
        assert all(fewer <= more for fewer, more in pairwise(nested))


def test_by_valence_the_order_of_rows_plays_no_part_and_the_seed_does() -> None:
    table, bias = expressions_table(600), by_valence("negative")
    assert set(taken(shuffled(table), bias).index) == set(taken(table, bias).index)
    assert set(taken(table, bias, seed=1).index) != set(taken(table, bias).index)


def test_labels_that_nobody_gave_a_valence_are_told() -> None:
    bias = ValenceShares("positive", valences={"happy": "positive", "neutral": "good"})
    with pytest.raises(DataError, match="the valence of neutral"):
        compose(split_table(), bias, 0)


def test_a_mix_of_a_column_that_is_absent_is_told() -> None:
    with pytest.raises(DataError, match=r"bias\.within is 'mood'"):
        compose(expressions_table(100), by_valence("positive", 0.6, "mood"), 0)


@pytest.mark.parametrize(
    ("variant", "dose", "largest"),
    [("happy", 0.6, None), ("positive", 0.9, 0.5), ("neutral", 2, 2)],
)
def test_variants_and_doses_that_do_not_exist_are_told(
    variant: str, dose: float, largest: float | None
) -> None:
    with pytest.raises(DataError, match=rf"bias\.variant={variant}"):
        ValenceShares(variant, dose, largest)


def test_a_label_is_left_out_only_if_it_was_asked_for_by_name() -> None:
    table = expressions_table(600)
    with pytest.raises(CompositionError, match="no train face of negative") as caught:
        compose(table, ValenceShares("positive", 1.0), 0)
    assert "bias.allow_absent=[negative]" in caught.value.todo
    faces = taken(table, ValenceShares("positive", 1.0, allow_absent=["negative"]))
    assert set(faces["label"]) == {"positive", "neutral"}


# Associations


def test_an_association_ties_a_label_to_a_group_and_keeps_the_labels_of_its_twin() -> None:
    shares = {"happy": {"female": 0.9, "male": 0.1}}
    tied = taken(split_table(), Association("tied", "gender", shares, [{}]))
    free = taken(split_table(), Association("free", "gender", None, [shares]))
    counts = [faces["label"].value_counts().to_dict() for faces in (tied, free)]
    assert counts[0] == counts[1]
    happy = tied[tied["label"] == "happy"]["gender"].value_counts(normalize=True)
    assert happy["female"] == pytest.approx(0.9, abs=1 / len(tied))
    for _, faces in free.groupby("label"):
        women = (faces["gender"] == "female").sum()
        assert abs(women - len(faces) / 2) < 1


def test_an_association_by_strength_is_taken_at_the_total_of_its_twins() -> None:
    def tied(v: float) -> Association:
        return Association(
            "tied", "gender", cramers_v=v, largest_cramers_v=0.5, pairs={"happy": "female"}
        )

    faces = {v: taken(split_table(), tied(v)) for v in (0.0, 0.25, 0.5)}
    for v, rows in faces.items():
        cells = pd.crosstab(rows["label"], rows["gender"])
        assert cramers_v(cells) == pytest.approx(v, abs=0.02)
        for column in ("label", "gender"):
            counts = rows[column].value_counts().to_dict()
            assert counts == faces[0.0][column].value_counts().to_dict()
    for smaller, larger in pairwise(faces.values()):
        sets = [set(rows.index[(rows["label"] == "happy") & (rows["gender"] == "female")])
                for rows in (smaller, larger)]  # fmt: skip
        assert sets[0] < sets[1]


@pytest.mark.parametrize(
    "options",
    [
        {"cramers_v": 0.5},
        {"pairs": {"happy": "female"}},
        {"largest_cramers_v": 0.5},
        {"cramers_v": 0.5, "pairs": {"happy": "female"}, "largest_cramers_v": 0.4},
        {"cramers_v": 0.5, "pairs": {"happy": "female"}, "twins": [{}]},
        {"cramers_v": 0.5, "pairs": {"happy": "female"}, "shares": {"happy": {"male": 1}}},
    ],
)
def test_a_strength_needs_one_direction_and_a_direction_a_strength(options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"bias\.cramers_v"):
        Association("tied", "gender", **options)


# Cells, and under-representation


def test_joint_cells_have_their_shares() -> None:
    table = with_age(600)
    shares = {"happy": {"female": {"old": 0.5}}, "neutral": {"male": {"old": 0.1, "young": 0.4}}}
    faces = taken(table, CellShares("cells", ["gender", "age"], shares, [None], 40))
    counts = faces.groupby(["label", "gender", "age"]).size().to_dict()
    assert counts == {
        ("happy", "female", "old"): 20,
        ("neutral", "male", "old"): 4,
        ("neutral", "male", "young"): 16,
    }


def test_label_shares_keep_the_mix_of_a_column_and_one_total() -> None:
    table = expressions_table(1000)
    shares = {"positive": 0.1, "neutral": 0.1, "negative": 0.8}
    biased = taken(table, CellShares("biased", (), shares, [None], within="expression"))
    even = taken(table, CellShares("even", (), None, [shares], within="expression"))
    assert len(biased) == len(even)
    assert set(even["label"].value_counts()) <= {len(even) // 3, len(even) // 3 + 1}
    source = table.used("train")
    for faces in (biased, even):
        for label, part in faces.groupby("label"):
            mix = source[source["label"] == label]["expression"].value_counts(normalize=True)
            found = part["expression"].value_counts().reindex(mix.index, fill_value=0)
            assert (abs(found - mix * len(part)) < 1).all()


def test_a_label_without_share_is_refused_unless_allowed() -> None:
    with pytest.raises(CompositionError, match="no train face of neutral"):
        taken(split_table(), CellShares("happy", (), {"happy": 1}))
    only = taken(split_table(), CellShares("happy", (), {"happy": 1}, allow_absent=["neutral"]))
    assert set(only["label"]) == {"happy"}


BIASES: list[Bias] = [
    dose(0.7, None),
    CellShares("cells", ["gender"], {"happy": {"female": 3, "male": 1}, "neutral": {"male": 2}}),
    CellShares("labels", (), {"happy": 1, "neutral": 2}),
    UnderRepresentation("few", "gender", "female", 0.2),
    Association("tied", "gender", cramers_v=0.2, pairs={"happy": "female"}),
]


@given(st.integers(8, 24), st.integers(0, 1000), st.sampled_from(BIASES))
def test_no_bias_takes_a_face_twice_or_minds_the_order_of_rows(
    fifths: int, seed: int, bias: Bias
) -> None:
    table = random_table(5 * fifths, seed)
    table = table.with_rows(table.rows.assign(split=["train"] * (4 * fifths) + ["test"] * fifths))
    try:
        composed = compose(table, bias, seed)
    except CompositionError:
        return
    assert composed.used("train")["id"].is_unique
    pd.testing.assert_frame_equal(composed.used("test"), table.used("test"))
    again = compose(shuffled(table, seed), bias, seed).used("train")
    assert set(again["id"]) == set(composed.used("train")["id"])


@given(st.integers(10, 25), st.integers(0, 1000), st.sampled_from([(1, 3), (2, 5), (4, 9)]))
def test_factors_are_nested_and_others_make_up_for_the_group(
    fifths: int, seed: int, tenths: tuple[int, int]
) -> None:
    table = random_table(5 * fifths, seed, split="train")
    faces = [
        taken(table, UnderRepresentation("few", "gender", "female", n / 10, tenths[0] / 10), seed)
        for n in (*tenths, 10)
    ]
    for smaller, larger in pairwise(faces):
        of_group = [set(each.index[each["gender"] == "female"]) for each in (smaller, larger)]
        assert of_group[0] <= of_group[1]
        counts = [each["label"].value_counts().to_dict() for each in (smaller, larger)]
        assert counts[0] == counts[1]


@pytest.mark.parametrize(("factor", "smallest"), [(1.5, None), (0.1, 0.2), (-0.1, None)])
def test_factors_that_are_none_are_told(factor: float, smallest: float | None) -> None:
    with pytest.raises(DataError, match=rf"bias\.factor={factor}"):
        UnderRepresentation("few", "gender", "female", factor, smallest)
