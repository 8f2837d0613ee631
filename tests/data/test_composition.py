import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from facebias.data.composition import (
    VALENCES,
    VARIANTS,
    association_counts,
    attribute_counts,
    cell_counts,
    even_sequence,
    largest_remainder,
    under_representation_counts,
    valence_counts,
)
from facebias.data.readers.folders import read_class_folders
from facebias.errors import CompositionError
from tests.drawn_faces import ATTRIBUTES, CLASSES

GROUPS = ["female", "male", "other"]
SHARE = st.integers(0, 20)
WEIGHTS = st.lists(SHARE, min_size=1, max_size=6).filter(any)
TABLES = st.lists(st.lists(st.integers(1, 40), min_size=3, max_size=3), min_size=1, max_size=4)
SHARES = st.fixed_dictionaries(dict.fromkeys(GROUPS, SHARE)).filter(lambda each: any(each.values()))
ONES = {"female": 1, "male": 1, "other": 1}


def frame(cells: list[list[int]]) -> pd.DataFrame:
    classes = [f"class{number}" for number in range(len(cells))]
    return pd.DataFrame(cells, index=classes, columns=GROUPS)


def exact_apportionment(total: int, weights: list[Fraction]) -> list[int]:
    """Apportion with whole fractions, one seat after the other."""
    quotas = [total * weight / sum(weights) for weight in weights]
    counts = [int(quota) for quota in quotas]
    for _ in range(total - sum(counts)):
        remainders = [quota - count for quota, count in zip(quotas, counts, strict=True)]
        counts[remainders.index(max(remainders))] += 1
    return counts


# Largest remainder


@given(st.integers(0, 5000), WEIGHTS)
def test_apportionment_is_that_of_whole_fractions(total: int, weights: list[int]) -> None:
    expected = exact_apportionment(total, [Fraction(weight) for weight in weights])
    assert largest_remainder(total, weights).tolist() == expected
    assert largest_remainder(total, [weight / 10 for weight in weights]).tolist() == expected


@given(st.integers(0, 100_000), st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_apportionment_adds_up_and_is_within_one(total: int, shares: list[float]) -> None:
    assume(sum(shares) > 1e-3)
    counts = largest_remainder(total, shares)
    exact = total * np.array(shares) / sum(shares)
    assert counts.sum() == total
    assert (np.abs(counts - exact) < 1 + 1e-6).all()
    assert (counts >= 0).all()


def test_noise_of_floats_decides_no_tie() -> None:
    assert largest_remainder(10, [0.1 + 0.2, 0.7]).tolist() == [3, 7]
    assert largest_remainder(5, [0.5, 0.5]).tolist() == [3, 2]
    assert largest_remainder(10, [1 / 3] * 3).tolist() == [4, 3, 3]
    assert largest_remainder(3, [0, 1, 1]).tolist() == [0, 2, 1]


# Compositions by an attribute


@given(TABLES, SHARES, SHARES)
def test_twins_have_equal_label_counts_and_the_asked_shares(
    cells: list[list[int]], shares: dict[str, float], other: dict[str, float]
) -> None:
    available = frame(cells)
    try:
        first = attribute_counts(available, shares, [other])
        second = attribute_counts(available, other, [shares])
    except CompositionError:
        return
    assert (first.sum(axis=1) == second.sum(axis=1)).all()
    assert (first.sum(axis=1) > 0).all()
    for composed, asked in ((first, shares), (second, other)):
        assert (composed <= available).to_numpy().all()
        for count, row in zip(composed.sum(axis=1), composed.to_numpy(), strict=True):
            weights = [Fraction(asked[group]) for group in GROUPS]
            assert row.tolist() == exact_apportionment(int(count), weights)


@given(TABLES, SHARES)
def test_the_largest_total_of_a_label_is_that_of_trying_every_one(
    cells: list[list[int]], shares: dict[str, float]
) -> None:
    weights = [Fraction(shares[group]) for group in GROUPS]
    largest = [
        max(
            total
            for total in range(sum(row) + 1)
            if np.all(np.array(exact_apportionment(total, weights)) <= row)
        )
        for row in cells
    ]
    assume(all(largest))
    assert attribute_counts(frame(cells), shares).sum(axis=1).tolist() == largest


@given(TABLES, SHARES, SHARES, st.integers(1, 200))
def test_a_refusal_names_short_cells_and_a_total_that_works(
    cells: list[list[int]], shares: dict[str, float], other: dict[str, float], total: int
) -> None:
    available = frame(cells)
    error = refusal(available, shares, other, total)
    if error is None:
        return
    named = re.findall(r"(class\d), (\w+): (\d+) of (\d+)", error.found)
    assert named or "leave a class without any" in error.found
    for label, group, have, need in named:
        assert available.loc[label, group] == int(have) < int(need)
    works = re.search(r"bias\.total=(\d+)", error.todo)
    if works and named:
        composed = attribute_counts(available, shares, [other], int(works[1]))
        assert composed.to_numpy().sum() == int(works[1])
        assert refusal(available, shares, other, int(works[1]) + 1) is not None


def refusal(
    available: pd.DataFrame, shares: dict[str, float], other: dict[str, float], total: int
) -> CompositionError | None:
    try:
        composed = attribute_counts(available, shares, [other], total)
    except CompositionError as error:
        return error
    assert composed.to_numpy().sum() == total
    return None


def test_a_refusal_in_full() -> None:
    available = frame([[10, 4, 0], [6, 9, 0]])
    twins = [{"male": 1}]
    with pytest.raises(CompositionError) as caught:
        attribute_counts(available, {"female": 1}, twins, total=20)
    assert "cannot supply 20 faces" in caught.value.found
    assert "class0, male: 4 of 8; class1, female: 6 of 12; class1, male: 9 of 12" in (
        caught.value.found
    )
    assert caught.value.expected.startswith("at most 10 faces")
    assert caught.value.todo == "set bias.total=10"
    assert attribute_counts(available, {"female": 1}, twins)["female"].tolist() == [4, 6]


def test_a_cell_that_is_empty_is_named_and_no_total_is_offered() -> None:
    with pytest.raises(CompositionError, match="class1, other: 0 of ") as caught:
        attribute_counts(frame([[5, 5, 5], [5, 5, 0]]), {"other": 1})
    assert caught.value.todo == "choose shares that the data has"


@pytest.mark.parametrize("total", [0, 1, -3])
def test_a_total_that_leaves_a_class_empty_is_refused(total: int) -> None:
    with pytest.raises(CompositionError, match="leave a class without any") as caught:
        attribute_counts(frame([[5, 5, 5], [5, 5, 5]]), ONES, total=total)
    assert "2 to 30 faces" in caught.value.expected


@pytest.mark.parametrize(
    "shares",
    [
        {"women": 1.0},
        {"female": -0.5, "male": 1.5},
        {"female": 0.0},
        {},
        {"female": float("nan")},
        {"female": float("inf")},
        {"female": "half"},
        {"female": None},
    ],
)
def test_shares_that_are_none_are_refused(shares: dict[str, Any]) -> None:
    with pytest.raises(CompositionError, match="the shares") as caught:
        attribute_counts(frame([[5, 5, 5]]), shares)
    assert "female, male, other" in caught.value.expected
    with pytest.raises(CompositionError, match="the shares"):
        attribute_counts(frame([[5, 5, 5]]), ONES, [shares])


def test_real_emotions_give_496_faces_to_each_gender(real_data: Callable[[str], Path]) -> None:
    table = read_class_folders(
        str(real_data("emotions")), CLASSES, ATTRIBUTES, {"train": "train", "test": "test"}
    )
    upright = ~table.rows["id"].str.endswith("_flipped.png")
    available = table.with_rows(table.rows[upright]).cells("train", "gender")
    known = available.drop(columns="unknown")
    assert known.to_numpy().sum() == 1196
    women = attribute_counts(known, {"female": 1}, [{"male": 1}])
    men = attribute_counts(known, {"male": 1}, [{"female": 1}])
    assert women["female"].sum() == men["male"].sum() == 496
    assert women["male"].sum() == men["female"].sum() == 0
    assert (women.sum(axis=1) == men.sum(axis=1)).all()


# Even sequences


@given(st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_every_beginning_of_an_even_sequence_has_the_mix_of_the_whole(sizes: list[int]) -> None:
    sequence = even_sequence(sizes)
    assert np.bincount(sequence, minlength=len(sizes)).tolist() == sizes
    so_far = [0] * len(sizes)
    for length, kind in enumerate(sequence, start=1):
        so_far[kind] += 1
        for count, size in zip(so_far, sizes, strict=True):
            assert abs(count - Fraction(size * length, sum(sizes))) < 1


def test_one_large_kind_and_many_small_ones_stay_even() -> None:
    sequence = even_sequence([1000, 1, 1, 1, 1, 1])
    small = np.flatnonzero(sequence)
    assert np.diff(small).min() > 100


# Associations of label and attribute

BY_LABEL = st.dictionaries(st.sampled_from(["class0", "class1", "class2"]), SHARES, max_size=3)


@given(TABLES.filter(lambda cells: len(cells) >= 3), BY_LABEL, BY_LABEL)
def test_an_association_has_exact_shares_and_the_labels_of_its_twins(
    cells: list[list[int]], shares: dict[str, dict[str, float]], other: dict[str, dict[str, float]]
) -> None:
    available = frame(cells)
    try:
        first = association_counts(available, shares, [other])
        second = association_counts(available, other, [shares])
    except CompositionError:
        return
    total = int(first.to_numpy().sum())
    labels = exact_apportionment(total, [Fraction(sum(row)) for row in cells])
    for composed, asked in ((first, shares), (second, other)):
        assert (composed <= available).to_numpy().all()
        assert composed.sum(axis=1).tolist() == labels
        for label, row in composed.iterrows():
            weights = [Fraction(asked.get(str(label), ONES)[group]) for group in GROUPS]
            assert row.tolist() == exact_apportionment(int(row.sum()), weights)


def test_an_association_in_full() -> None:
    available = frame([[60, 60, 60], [60, 60, 60]])
    shares = {"class0": {"female": 0.9, "male": 0.1}}
    composed = association_counts(available, shares, [{}])
    assert composed.to_numpy().tolist() == [[60, 7, 0], [23, 22, 22]]
    twin = association_counts(available, {}, [shares])
    assert (twin.sum(axis=1) == composed.sum(axis=1)).all()
    assert twin.loc["class0"].tolist() == twin.loc["class1"].tolist() == [23, 22, 22]


def test_an_association_that_cannot_be_names_its_cells_and_the_largest_total() -> None:
    available = frame([[9, 10, 10], [10, 10, 10]])
    with pytest.raises(CompositionError, match="class0, female: 9 of 18") as caught:
        association_counts(available, {"class0": {"female": 0.9, "male": 0.1}}, total=40)
    largest = int(caught.value.todo.rpartition("=")[2])
    shares = {"class0": {"female": 0.9, "male": 0.1}}
    assert association_counts(available, shares, total=largest).to_numpy().sum() == largest
    with pytest.raises(CompositionError):
        association_counts(available, shares, total=largest + 1)


def test_an_association_names_labels_and_groups_that_there_are() -> None:
    available = frame([[9, 9, 9]])
    with pytest.raises(CompositionError, match="name the labels joy") as caught:
        association_counts(available, {"joy": {"female": 1}})
    assert "class0" in caught.value.expected
    with pytest.raises(CompositionError, match="women"):
        association_counts(available, {"class0": {"women": 1}})


# Variants by valence

AVAILABLE = st.fixed_dictionaries(dict.fromkeys(VALENCES, st.integers(1, 5000)))
DOSE = st.integers(0, 99)  # hundredths


def exact_valences(variant: str, dose: Fraction) -> list[Fraction]:
    """Return the shares of positive, neutral and negative as the table of doses gives them."""
    third, rest = Fraction(1, 3), Fraction(2, 3)
    if variant == "neutral":
        neutral = (1 + 2 * dose) / 3
        return [(1 - neutral) / 2, neutral, (1 - neutral) / 2]
    positive = {"balanced": Fraction(1), "positive": 1 + dose, "negative": 1 - dose}[variant] / 2
    return [rest * positive, third, rest * (1 - positive)]


@given(AVAILABLE, DOSE, DOSE)
def test_variants_by_valence_have_one_total_and_exact_shares(
    available: dict[str, int], dose: int, other: int
) -> None:
    dose, largest = sorted((dose, other))
    have = pd.Series(available)
    totals = set()
    for variant in VARIANTS:
        for each in (0, dose, largest):
            try:
                counts = valence_counts(have, variant, each / 100, largest / 100)
            except CompositionError:
                totals.add(0)
                continue
            totals.add(total := int(counts.sum()))
            assert (counts <= have.reindex(counts.index)).all()
            weights = exact_valences(variant, Fraction(each, 100))
            assert counts.tolist() == exact_apportionment(total, weights)
    assert len(totals) == 1


@settings(deadline=None)
@given(AVAILABLE, DOSE)
def test_no_larger_total_would_do_for_all_four(available: dict[str, int], dose: int) -> None:
    largest = next(
        total
        for total in range(3 * min(available.values()), -1, -1)
        if all(
            share * total <= available[valence]
            for variant in VARIANTS
            for valence, share in zip(
                VALENCES, exact_valences(variant, Fraction(dose, 100)), strict=True
            )
        )
    )
    try:
        counts = valence_counts(pd.Series(available), "balanced", 0, dose / 100)
    except CompositionError:
        assert largest == 0
    else:
        assert counts.sum() == largest


def test_the_shares_of_the_table_of_doses() -> None:
    have = pd.Series(dict.fromkeys(VALENCES, 1100))
    counts = {name: valence_counts(have, name, 0.6, 0.6).tolist() for name in VARIANTS}
    assert counts == {
        "balanced": [500, 500, 500],
        "positive": [800, 500, 200],
        "negative": [200, 500, 800],
        "neutral": [200, 1100, 200],
    }
    six_to_four = valence_counts(have, "positive", 0.2, 0.6)
    assert six_to_four.tolist() == [600, 500, 400]


def test_too_large_a_total_by_valence_names_what_lacks_and_what_works() -> None:
    have = pd.Series({"positive": 800, "neutral": 1100, "negative": 100})
    for variant in VARIANTS:  # refused for all alike
        with pytest.raises(CompositionError, match="negative: 100 of 160") as caught:
            valence_counts(have, variant, 0.6, 0.6, total=300)
        assert "bias.total=187" in caught.value.todo
        assert valence_counts(have, variant, 0.6, 0.6, total=187).sum() == 187
    with pytest.raises(CompositionError, match="negative: 0 of 1"):
        valence_counts(have.drop("negative"), "balanced", 0.6, 0.6)


# Shares of cells, and under-representation

NESTED = st.dictionaries(st.sampled_from(["class0", "class1"]), SHARES, min_size=1)


@given(TABLES.filter(lambda cells: len(cells) >= 2), NESTED, NESTED)
def test_shares_of_cells_are_exact_and_twins_have_one_total(
    cells: list[list[int]], shares: dict[str, dict[str, float]], other: dict[str, dict[str, float]]
) -> None:
    available = frame(cells)
    totals = set()
    for asked, twin in ((shares, other), (other, shares)):
        counts = cell_counts(available, asked, [twin])
        totals.add(total := int(counts.to_numpy().sum()))
        assert (counts <= available).to_numpy().all()
        named = [asked.get(label, {}).get(group, 0) for label in counts.index for group in GROUPS]
        weights = [Fraction(share) for share in named]
        assert counts.to_numpy().ravel().tolist() == exact_apportionment(total, weights)
    assert len(totals) == 1
    with pytest.raises(CompositionError):
        cell_counts(available, shares, [other], total + 1)


def test_shares_of_labels_alone() -> None:
    available = pd.DataFrame({"all": [100, 300]}, index=["female", "male"])
    counts = cell_counts(available, {"female": 0.2, "male": 0.8}, [{"female": 1, "male": 1}])
    assert counts["all"].tolist() == [40, 160]
    assert cell_counts(available, None, [{"female": 2, "male": 8}])["all"].tolist() == [100, 100]
    with pytest.raises(CompositionError, match="female: 100 of 101") as caught:
        cell_counts(available, None, total=202)
    assert caught.value.todo == "set bias.total=200"


def test_an_empty_cell_is_named() -> None:
    with pytest.raises(CompositionError, match="class1, other: 0 of 1") as caught:
        cell_counts(frame([[5, 5, 5], [5, 5, 0]]), None)
    assert caught.value.todo == "choose shares that the data has"


@pytest.mark.parametrize(
    "shares",
    [
        {"joy": {"female": 1}},
        {"class0": {"women": 1}},
        {"class0": 1},
        {"class0": {"female": -1}},
        {"class0": {"female": 0}},
        {"class0": {"female": "half"}},
        {"class0": {"female": [1]}},
        {},
    ],
)
def test_shares_of_cells_that_are_none_are_refused(shares: dict[str, Any]) -> None:
    with pytest.raises(CompositionError, match="the shares") as caught:
        cell_counts(frame([[5, 5, 5]]), shares)
    assert "female, male, other" in caught.value.expected


@given(TABLES, st.lists(st.integers(0, 20), min_size=2, max_size=4, unique=True))
def test_factors_have_one_total_and_are_nested(
    cells: list[list[int]], twentieths: list[int]
) -> None:
    available, factors = frame(cells), sorted(Fraction(n, 20) for n in twentieths)
    smallest = float(factors[0])
    made = [
        under_representation_counts(available, "female", float(factor), smallest)
        for factor in factors
    ]
    for counts in made:
        assert (counts <= available).to_numpy().all()
        assert counts.sum(axis=1).tolist() == made[0].sum(axis=1).tolist()
    for smaller, larger in pairwise(made):
        assert (smaller["female"] <= larger["female"]).all()
    for factor, counts in zip(factors, made, strict=True):
        for row, have in zip(counts.to_numpy(), cells, strict=True):
            weights = [have[0] * factor, Fraction(have[1]), Fraction(have[2])]
            assert row.tolist() == exact_apportionment(int(row.sum()), weights)
    least = available["female"] * smallest
    assert (abs(made[0]["female"] - least) < 1 + 1e-9).all()


def test_under_representation_in_full() -> None:
    available = frame([[100, 60, 40], [50, 30, 20]])
    cut = under_representation_counts(available, "female", 0.1, 0.1)
    assert cut.to_numpy().tolist() == [[10, 60, 40], [5, 30, 20]]
    twin = under_representation_counts(available, "female", 1, 0.1)
    assert twin.to_numpy().tolist() == [[55, 33, 22], [28, 16, 11]]
    half = under_representation_counts(available, "female", 0.1, 0.1, total=55)
    assert half.sum(axis=1).tolist() == [37, 18]
    with pytest.raises(CompositionError, match="class0: 110 of 133") as caught:
        under_representation_counts(available, "female", 0.1, 0.1, total=200)
    assert caught.value.todo == "set bias.total=165"
    with pytest.raises(CompositionError, match=r"bias\.group is 'women'"):
        under_representation_counts(available, "women", 0.1, 0.1)
