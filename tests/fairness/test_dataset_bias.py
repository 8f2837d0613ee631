import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy
from scipy.stats.contingency import association
from sklearn.metrics import mutual_info_score, normalized_mutual_info_score

from facebias.fairness import dataset_bias as bias

COUNTS = arrays(np.int64, (4,), elements=st.integers(0, 30))
TABLES = arrays(np.int64, (3, 4), elements=st.integers(0, 9))
SMALL_TABLES = arrays(np.int64, (2, 2), elements=st.integers(0, 9))
# Of all functions of counts: the least and the largest value, apart from K and infinity.
RANGES: dict[str, tuple[float, float]] = {
    "effective_number": (1, 4),
    "shannon_evenness": (0, 1),
    "normalised_deviation": (0, 1),
    "imbalance_ratio": (1, math.inf),
    "berger_parker": (0.25, 1),
    "representational_similarity": (0.25, 1),
    "evenness_similarity": (0, 1),
}
ASSOCIATIONS = ("cramers_v", "theils_u", "normalised_information", "stereotypical_similarity")


def rows_of(table: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    groups, labels = np.indices(table.shape).reshape(2, -1)
    return np.repeat(groups, table.ravel()), np.repeat(labels, table.ravel())


def with_faces(table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.asarray(table[table.sum(1) > 0][:, table.sum(0) > 0])


@pytest.mark.parametrize("name", RANGES)
@given(counts=COUNTS)
def test_representation_lies_in_its_range_and_is_undefined_without_faces(
    name: str, counts: npt.NDArray[np.int64]
) -> None:
    value = getattr(bias, name)(counts)
    low, high = RANGES[name]
    assert np.isnan(value) if counts.sum() == 0 else low - 1e-9 <= value <= high + 1e-9


@pytest.mark.parametrize("name", RANGES)
@given(counts=COUNTS, order=st.permutations(range(4)))
def test_the_order_of_the_groups_does_not_matter(
    name: str, counts: npt.NDArray[np.int64], order: list[int]
) -> None:
    metric = getattr(bias, name)
    np.testing.assert_allclose(metric(counts[order]), metric(counts), atol=1e-12)


@pytest.mark.parametrize("name", RANGES)
@given(counts=COUNTS)
def test_ten_times_the_faces_in_the_same_shares_is_the_same_set(
    name: str, counts: npt.NDArray[np.int64]
) -> None:
    metric = getattr(bias, name)
    np.testing.assert_allclose(metric(10 * counts), metric(counts), atol=1e-12)


@pytest.mark.parametrize("name", ["shannon_evenness", "normalised_deviation", "imbalance_ratio"])
@given(counts=COUNTS)
def test_observed_groups_are_the_declared_ones_without_the_absent(
    name: str, counts: npt.NDArray[np.int64]
) -> None:
    metric = getattr(bias, name)
    seen = counts[counts > 0] if counts.any() else np.zeros(1, np.int64)
    np.testing.assert_allclose(metric(counts, observed=True), metric(seen), atol=1e-12)


@given(counts=COUNTS)
def test_entropy_is_that_of_scipy(counts: npt.NDArray[np.int64]) -> None:
    if counts.sum():
        assert bias.effective_number(counts) == pytest.approx(math.exp(entropy(counts)))
        assert bias.shannon_evenness(counts) == pytest.approx(entropy(counts) / math.log(4))


@given(counts=COUNTS)
def test_the_deviation_is_that_of_its_definition(counts: npt.NDArray[np.int64]) -> None:
    if counts.sum():
        expected = 4 / math.sqrt(3) * np.std(counts / counts.sum())
        assert bias.normalised_deviation(counts) == pytest.approx(expected, abs=1e-6)


def test_representation_by_hand() -> None:
    men_only = [0, 10]
    assert bias.effective_number(men_only) == 1
    assert bias.shannon_evenness(men_only) == 0
    assert np.isnan(bias.shannon_evenness(men_only, observed=True))
    assert bias.normalised_deviation(men_only) == 1
    assert bias.imbalance_ratio(men_only) == math.inf
    assert bias.imbalance_ratio(men_only, observed=True) == 1
    assert bias.berger_parker(men_only) == 1
    assert bias.representational_similarity(men_only) == 0.5
    assert bias.evenness_similarity(men_only) == 1
    assert bias.imbalance_ratio([6, 3, 2]) == 3
    assert bias.representational_similarity([6, 2, 0, 0]) == pytest.approx(0.5)
    assert bias.evenness_similarity([6, 2, 0, 0]) == pytest.approx(0.75)


def test_one_declared_group_has_no_evenness() -> None:
    assert np.isnan(bias.shannon_evenness([7]))
    assert np.isnan(bias.normalised_deviation([7]))


@given(table=TABLES | SMALL_TABLES)
def test_cramers_v_is_that_of_scipy(table: npt.NDArray[np.int64]) -> None:
    seen = with_faces(table)
    found = bias.cramers_v(table)
    if min(seen.shape) < 2:
        assert np.isnan(found)
    else:
        yates = seen.shape == (2, 2)
        assert found == pytest.approx(association(seen, "cramer", correction=yates), abs=1e-9)


@given(table=TABLES)
def test_information_is_that_of_scikit_learn(table: npt.NDArray[np.int64]) -> None:
    groups, labels = rows_of(table)
    seen = with_faces(table)
    if min(seen.shape, default=0) < 2:
        return
    information = mutual_info_score(groups, labels)
    assert bias.normalised_information(table) == pytest.approx(
        information / entropy(table.ravel()), abs=1e-9
    )
    assert bias.theils_u(table) == pytest.approx(information / entropy(table.sum(0)), abs=1e-9)
    assert bias.theils_u(table.T) == pytest.approx(information / entropy(table.sum(1)), abs=1e-9)
    # Their arithmetic normalisation is the harmonic mean of the two directions.
    both = normalized_mutual_info_score(groups, labels, average_method="arithmetic")
    one, other = bias.theils_u(table), bias.theils_u(table.T)
    if one + other > 1e-9:
        assert both == pytest.approx(2 * one * other / (one + other), abs=1e-9)


@given(table=TABLES)
def test_pointwise_information_averages_to_the_mutual_information(
    table: npt.NDArray[np.int64],
) -> None:
    groups, labels = rows_of(table)
    cells = bias.cell_information(table)
    seen = table > 0
    if seen.sum() < 2:
        return
    joint = table / table.sum()
    average = (joint * cells * -np.log(np.where(seen, joint, 1)))[seen].sum()
    assert average == pytest.approx(mutual_info_score(groups, labels), abs=1e-9)
    assert np.nanmin(cells) >= -1 - 1e-9
    assert np.nanmax(cells) <= 1 + 1e-9


def test_pointwise_information_by_hand() -> None:
    cells = bias.cell_information([[2, 0, 0], [0, 2, 0]])
    np.testing.assert_allclose(cells, [[1, -1, np.nan], [-1, 1, np.nan]])
    np.testing.assert_allclose(bias.cell_information([[1, 1], [1, 1]]), np.zeros((2, 2)))
    np.testing.assert_allclose(bias.cell_information([[4, 0]]), [[np.nan, np.nan]])


def test_association_by_hand() -> None:
    told, independent, half = [[5, 0], [0, 5]], [[4, 8], [2, 4]], [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert bias.cramers_v([[5, 0, 0], [0, 5, 0], [0, 0, 5]]) == pytest.approx(1)
    assert bias.cramers_v(told) == pytest.approx(0.8)  # chi2 = 10 * (2.5 - .5)^2 / 2.5^2 = 6.4
    assert bias.theils_u(told) == pytest.approx(1)
    for name in ("cramers_v", "theils_u", "normalised_information"):
        assert getattr(bias, name)(independent) == pytest.approx(0, abs=1e-12)
    assert bias.theils_u(half) == pytest.approx(0.5)  # four labels, told down to two
    assert bias.theils_u(np.transpose(half)) == pytest.approx(1)
    assert bias.normalised_information(half) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ASSOCIATIONS)
@given(table=TABLES)
def test_an_absent_group_says_nothing_of_an_association(
    name: str, table: npt.NDArray[np.int64]
) -> None:
    metric = getattr(bias, name)
    wider = np.pad(table, ((0, 1), (1, 0)))
    np.testing.assert_allclose(metric(wider), metric(table), atol=1e-12)


@pytest.mark.parametrize("name", ASSOCIATIONS)
def test_association_with_a_single_label_is_undefined(name: str) -> None:
    assert np.isnan(getattr(bias, name)([[3], [4]]))
    assert np.isnan(getattr(bias, name)([[0, 0], [0, 0]]))


def test_similarity_of_labels_by_hand() -> None:
    assert bias.stereotypical_similarity([[5, 0], [0, 5]]) == 0
    assert bias.stereotypical_similarity([[4, 8], [2, 4]]) == pytest.approx(1)
    # Shares of three labels: (1, 0), (0, 1), (.5, .5) against (.25, .75), (.75, .25), (.5, .5).
    assert bias.stereotypical_similarity([[2, 0, 1], [0, 2, 1]]) == pytest.approx(1.5 / 3)


@given(one=COUNTS, other=COUNTS)
def test_similarity_is_symmetric_and_1_only_of_equal_shares(
    one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]
) -> None:
    if one.sum() and other.sum():
        p, q = one / one.sum(), other / other.sum()
        found = bias.similarity(p, q)
        assert found == bias.similarity(q, p)
        assert (found == pytest.approx(1)) == bool(jensenshannon(p, q) < 1e-6)


@given(stack=arrays(np.int64, (3, 3, 4), elements=st.integers(0, 9)))
def test_a_stack_of_tables_is_worked_through_as_each_alone(stack: npt.NDArray[np.int64]) -> None:
    for name in (*RANGES, *ASSOCIATIONS, "cell_information"):
        metric = getattr(bias, name)
        alone = np.stack([metric(table) for table in stack])
        np.testing.assert_allclose(metric(stack), alone, atol=1e-12)


# Printed figures of the TPAMI paper: axis, ENS, SEI, NSD, BP, IR, V and NMI with the label.
PUBLISHED = {
    "fer2013": (
        33113,
        {
            "gender": ("2.000", "1.000", "0.000", "0.500", "1.001", "0.178", "0.0065"),
            "race": ("2.986", "0.562", "0.660", "0.706", "47.389", "0.086", "0.0075"),
            "age": ("5.586", "0.783", "0.397", "0.436", "34.173", "0.104", "0.0091"),
        },
    ),
    "raf-db2": (
        15126,
        {
            "gender": ("1.992", "0.994", "0.091", "0.545", "1.200", "0.131", "0.0037"),
            "race": ("3.683", "0.670", "0.568", "0.627", "19.156", "0.058", "0.0036"),
            "age": ("5.742", "0.795", "0.365", "0.400", "45.127", "0.144", "0.0179"),
        },
    ),
    "oulu-casia": (
        10379,
        {"gender": ("1.767", "0.821", "0.488", "0.744", "2.903", "0.026", "0.0001")},
    ),
}
FACTORS = {"age": 9, "race": 7, "gender": 2}  # the groups that FairFace's model knows


def published_set(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"{name}.csv")


def declared(counts: pd.Series, *axes: str) -> npt.NDArray[np.int64]:
    """Return the counts of observed groups, with a 0 for each that was declared beside them."""
    absent = math.prod(FACTORS[axis] for axis in axes) - len(counts)
    return np.pad(counts.to_numpy(np.int64), (0, absent))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_tables_are_reproduced_to_their_digits(
    name: str, reference_data: Callable[[str], Path]
) -> None:
    rows = published_set(reference_data("dataset_bias"), name)
    n, printed = PUBLISHED[name]
    assert len(rows) == n
    for axis, figures in printed.items():
        counts = rows[axis].value_counts().to_numpy()
        table = pd.crosstab(rows[axis], rows["label"]).to_numpy()
        found = [
            bias.effective_number(counts),
            bias.shannon_evenness(counts, observed=True),
            bias.normalised_deviation(counts, observed=True),
            bias.berger_parker(counts),
            bias.imbalance_ratio(counts, observed=True),
            bias.cramers_v(table),
            bias.normalised_information(table),
        ]
        digits = [len(figure.partition(".")[2]) for figure in figures]
        assert [f"{v:.{d}f}" for v, d in zip(found, digits, strict=True)] == list(figures), axis


def test_published_figures_with_all_their_digits(reference_data: Callable[[str], Path]) -> None:
    folder = reference_data("dataset_bias")
    sets = {name: published_set(folder, name) for name in ("adfes", "fer2013", "raf-db2", "jaffe")}
    adfes, jaffe = sets["adfes"], sets["jaffe"]
    assert bias.effective_number(adfes["race"].value_counts()) == pytest.approx(
        2.478206948646503, abs=1e-14
    )
    assert bias.effective_number(adfes.groupby(["age", "race"]).size()) == pytest.approx(
        3.0404964294246533, abs=1e-14
    )
    genders = pd.crosstab(sets["fer2013"]["gender"], sets["fer2013"]["label"]).to_numpy()
    assert bias.stereotypical_similarity(genders) == pytest.approx(0.9227884945405338, abs=1e-15)
    for name, expected in (("fer2013", ".361297"), ("raf-db2", ".426755")):
        joint = sets[name].groupby(list(FACTORS)).size()
        found = bias.representational_similarity(declared(joint, *FACTORS))
        assert f"{found:.6f}".lstrip("0") == expected
    races = declared(jaffe["race"].value_counts(), "race")
    assert f"{bias.representational_similarity(races):.6f}" == "0.285714"
    assert f"{bias.evenness_similarity(races):.6f}" == "0.713542"


def test_published_figures_of_small_sets_follow_from_their_counts() -> None:
    jaffe_races = [151, 41, 0, 0, 0, 0, 0]  # East Asian, Southeast Asian, five without faces
    assert f"{bias.representational_similarity(jaffe_races):.6f}" == "0.285714"
    assert f"{bias.evenness_similarity(jaffe_races):.6f}" == "0.713542"
    adfes_races = [84, 24, 24]  # White, Middle Eastern, Latino or Hispanic
    assert bias.effective_number(adfes_races) == pytest.approx(2.478206948646503, abs=1e-14)
    adfes_ages_and_races = [18, 18, 84, 6, 6]
    assert bias.effective_number(adfes_ages_and_races) == pytest.approx(
        3.0404964294246533, abs=1e-14
    )
    # Oulu-CASIA: women and men, angry to surprise.
    table = np.array([[498, 422, 437, 441, 424, 437], [1292, 1211, 1359, 1350, 1244, 1264]])
    genders = table.sum(1)
    assert f"{bias.effective_number(genders):.3f}" == "1.767"
    assert f"{bias.shannon_evenness(genders):.3f}" == "0.821"
    assert f"{bias.normalised_deviation(genders):.3f}" == "0.488"
    assert f"{bias.berger_parker(genders):.3f}" == "0.744"
    assert f"{bias.imbalance_ratio(genders):.3f}" == "2.903"
    assert f"{bias.cramers_v(table):.3f}" == "0.026"
    assert f"{bias.normalised_information(table):.4f}" == "0.0001"
