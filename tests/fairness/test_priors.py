import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facebias.errors import DataError
from facebias.fairness.priors import prior_corrected

CLASSES = ("negative", "neutral", "positive")
FloatArray = npt.NDArray[np.float64]


def table(probabilities: FloatArray) -> pd.DataFrame:
    named = {f"p_{name}": probabilities[:, n] for n, name in enumerate(CLASSES)}
    predicted = np.array(CLASSES)[probabilities.argmax(1)]
    names = [f"face {number}" for number in range(len(probabilities))]
    return pd.DataFrame({"id": names, "label": "neutral", "predicted": predicted, **named})


def probabilities_of(predictions: pd.DataFrame) -> FloatArray:
    return np.asarray(predictions[[f"p_{name}" for name in CLASSES]], np.float64)


def shares(*values: float) -> dict[str, float]:
    return dict(zip(CLASSES, values, strict=True))


def normalised(values: FloatArray) -> FloatArray:
    return np.asarray(values / values.sum(axis=1, keepdims=True))


POSTERIORS = arrays(np.float64, (5, 3), elements=st.floats(1e-4, 1)).map(normalised)
SHARES = st.tuples(*[st.floats(0.01, 1)] * 3).map(lambda values: shares(*values))


def test_a_case_by_hand() -> None:
    """By hand: .2 / .1 = 2, .3 / .3 = 1 and .5 / .5 = 1 add up to 4."""
    corrected = prior_corrected(table(np.array([[0.2, 0.3, 0.5]])), CLASSES, shares(0.1, 0.3, 0.5))
    assert np.allclose(probabilities_of(corrected), [[0.5, 0.25, 0.25]])
    assert corrected["predicted"].tolist() == ["negative"]


def test_all_else_stays_and_the_given_table_too() -> None:
    given_table = table(np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]))
    before = given_table.copy()
    corrected = prior_corrected(given_table, CLASSES, shares(0.1, 0.3, 0.6))
    assert given_table.equals(before)
    assert corrected.columns.equals(before.columns)
    assert corrected[["id", "label"]].equals(before[["id", "label"]])


@given(POSTERIORS, st.floats(0.01, 1))
def test_equal_shares_change_nothing(posterior: FloatArray, share: float) -> None:
    before = table(posterior)
    after = prior_corrected(before, CLASSES, shares(share, share, share))
    assert np.allclose(probabilities_of(after), posterior, rtol=1e-12)
    # Where two are equal but for rounding, either may be said.
    clear = np.diff(np.sort(posterior), axis=1)[:, -1] > 1e-9
    assert (after["predicted"] == before["predicted"])[clear].all()


@given(POSTERIORS, SHARES)
def test_probabilities_add_up_to_1_and_the_largest_is_predicted(
    posterior: FloatArray, train: dict[str, float]
) -> None:
    after = prior_corrected(table(posterior), CLASSES, train)
    found = probabilities_of(after)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-12)
    assert ((found >= 0) & (found <= 1 + 1e-12)).all()
    assert after["predicted"].tolist() == [CLASSES[n] for n in found.argmax(1)]


@given(POSTERIORS, SHARES, st.permutations(range(5)), st.permutations(CLASSES))
def test_neither_the_order_of_rows_nor_that_of_classes_matters(
    posterior: FloatArray, train: dict[str, float], rows: list[int], classes: list[str]
) -> None:
    straight = prior_corrected(table(posterior), CLASSES, train).iloc[rows]
    other = prior_corrected(table(posterior).iloc[rows], classes, train)
    assert np.allclose(probabilities_of(straight), probabilities_of(other), rtol=1e-12)
    assert straight["id"].tolist() == other["id"].tolist()


@given(POSTERIORS, SHARES, st.floats(0.1, 10))
def test_shares_need_not_add_up_to_1(
    posterior: FloatArray, train: dict[str, float], factor: float
) -> None:
    scaled = {name: share * factor for name, share in train.items()}
    one, other = (prior_corrected(table(posterior), CLASSES, each) for each in (train, scaled))
    assert np.allclose(probabilities_of(one), probabilities_of(other), rtol=1e-9)


@pytest.mark.parametrize("prior", [(0.8, 0.1, 0.1), (1 / 3, 0.6, 1 / 15), (0.02, 0.03, 0.95)])
def test_an_exact_posterior_becomes_that_of_equal_priors(prior: tuple[float, ...]) -> None:
    """Bayes: with densities f(x | c), p(c | x) is f(x | c) prior(c) over its sum."""
    x = np.linspace(-4, 4.1, 101)[:, None]  # no two densities are equal
    densities = np.exp(-0.5 * (x - np.array([-1.0, 0.2, 1.5])) ** 2)
    shifted, equal = normalised(densities * np.array(prior)), normalised(densities)
    corrected = prior_corrected(table(shifted), CLASSES, shares(*prior))
    assert np.allclose(probabilities_of(corrected), equal, rtol=1e-12)
    assert corrected["predicted"].tolist() == table(equal)["predicted"].tolist()
    assert (table(shifted)["predicted"] != corrected["predicted"]).sum() > 5


@pytest.mark.parametrize(
    "train", [{"negative": 0.5, "positive": 0.5}, shares(0.5, 0, 0.5), shares(0.5, np.nan, 0.5)]
)
def test_a_class_that_was_never_seen_is_told(train: dict[str, float]) -> None:
    with pytest.raises(DataError, match="not trained on neutral"):
        prior_corrected(table(np.array([[0.2, 0.3, 0.5]])), CLASSES, train)
