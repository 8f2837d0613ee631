from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from facebias.errors import DataError
from facebias.fairness.estimated import (
    Misclassification,
    corrected_counts,
    estimated_gaps,
    estimated_measures,
)
from facebias.fairness.predictions import GroupCodes, ScoredRows
from facebias.fairness.resampling import CountedGroups, count_groups
from facebias.fairness.settings import Settings

GROUPS = ("a", "b")
MATRIX = np.array([[0.9, 0.1], [0.2, 0.8]])
TRUE = np.array([0.9, 0.7])  # accuracy of each true group
SETTINGS = Settings(replicates=300)


def estimated_groups(
    n: int, seed: int, persons: npt.NDArray[np.int64] | None = None
) -> CountedGroups:
    """Return groups estimated with MATRIX's errors, of which 60 % are truly a."""
    rng = np.random.default_rng(seed)
    of_unit = np.arange(n) if persons is None else persons
    true = (rng.random(n) < 0.4)[of_unit].astype(np.int64)
    labels = rng.integers(2, size=n)
    right = rng.random(n)[of_unit] < TRUE[true]
    predicted = np.where(right, labels, 1 - labels)
    said = (rng.random(n)[of_unit] < MATRIX[true, 1]).astype(np.int64)
    rows = ScoredRows(pd.DataFrame({"label": labels}), labels, predicted, persons, None, 0)
    settings = Settings(replicates=2, seed=seed)
    return count_groups(rows, GroupCodes("race", GROUPS, said), 2, settings)


def accuracy(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["metric"] == "accuracy"]


def matrix_of(values: Any = MATRIX, rows: Any = None) -> Misclassification:  # noqa: ANN401
    return Misclassification("race", GROUPS, values, rows)


def test_expected_counts_are_taken_back_exactly() -> None:
    true = np.array([[[30, 10], [5, 15]], [[20, 0], [10, 10]]])
    estimated = np.einsum("te,tij->eij", MATRIX, true)
    np.testing.assert_allclose(corrected_counts(estimated, MATRIX), true, atol=1e-9)


def test_many_rows_recover_the_truth_that_estimated_groups_hide() -> None:
    counted = estimated_groups(200_000, 0)
    found = estimated_measures(counted, matrix_of(), SETTINGS)
    np.testing.assert_allclose(accuracy(found)["value"], TRUE, atol=0.005)
    shares = found[found["metric"] == "share"]["value"]
    np.testing.assert_allclose(shares, [0.6, 0.4], atol=0.005)
    raw = counted.counts[:2].trace(axis1=1, axis2=2) / counted.counts[:2].sum(axis=(1, 2))
    assert raw[0] - raw[1] < 0.16  # of a true gap of .2


@pytest.mark.parametrize("validated", [None, 150])
def test_its_interval_covers_the_truth_by_simulation(validated: int | None) -> None:
    rng = np.random.default_rng(1)
    hits = []
    for seed in range(150):
        matrix, rows = MATRIX, None
        if validated:
            matrix = np.stack([rng.multinomial(validated, row) / validated for row in MATRIX])
            rows = (validated, validated)
        counted = estimated_groups(1500, seed)
        settings = Settings(replicates=200, seed=seed)
        found = accuracy(estimated_measures(counted, matrix_of(matrix, rows), settings))
        hits.append((found["low"] <= TRUE) & (found["high"] >= TRUE))
    assert 0.91 < np.mean(hits) < 0.985


def test_the_gap_is_that_of_the_true_groups() -> None:
    counted = estimated_groups(20_000, 0)
    found = estimated_gaps(counted, matrix_of(), SETTINGS).set_index("metric").loc["accuracy"]
    assert (found["first"], found["second"], found["reason"]) == ("a", "b", "")
    assert found["low"] < 0.2 < found["high"]
    assert found["low"] > 0.16  # what estimated groups show is below
    assert (found["method"], found["eligible"]) == ("misclassification, max-t", 2)
    assert 0 < found["expected"] < 0.05


def test_a_gap_needs_two_groups_that_are_large_enough() -> None:
    settings = Settings(replicates=50, min_group=6000)
    found = estimated_gaps(estimated_groups(8000, 0), matrix_of(), settings)
    assert found["eligible"].tolist() == [0, 0, 0]
    assert set(found["reason"]) == {"fewer than two groups can be compared"}
    assert found["difference"].isna().all()


def test_a_matrix_that_is_itself_uncertain_widens_the_interval() -> None:
    counted = estimated_groups(5000, 0)
    known = accuracy(estimated_measures(counted, matrix_of(), SETTINGS))
    found = accuracy(estimated_measures(counted, matrix_of(rows=(40, 40)), SETTINGS))
    widths = [(each["high"] - each["low"]).to_numpy() for each in (known, found)]
    assert (widths[1] > 1.3 * widths[0]).all()
    np.testing.assert_array_equal(known["value"], found["value"])


def test_persons_are_resampled() -> None:
    persons = np.arange(2000) // 4
    table = estimated_measures(estimated_groups(2000, 0, persons), matrix_of(), SETTINGS)
    alone = estimated_measures(estimated_groups(2000, 0), matrix_of(), SETTINGS)
    assert set(table["method"]) == {"misclassification, percentiles, by person"}
    widths = [
        (accuracy(each)["high"] - accuracy(each)["low"]).to_numpy() for each in (table, alone)
    ]
    assert (widths[0] > 1.5 * widths[1]).all()


def test_an_estimator_without_errors_changes_no_value() -> None:
    counted = estimated_groups(600, 0)
    found = accuracy(estimated_measures(counted, matrix_of(np.eye(2)), SETTINGS))
    counts = counted.counts[:2]
    expected = counts.trace(axis1=1, axis2=2) / counts.sum(axis=(1, 2))
    np.testing.assert_allclose(found["value"], expected)


def test_a_matrix_that_cannot_be_right_leaves_values_undefined() -> None:
    # All are said to be b, though one in ten a is never taken for b.
    labels = np.zeros(100, dtype=np.int64)
    rows = ScoredRows(pd.DataFrame({"label": labels}), labels, labels, None, None, 0)
    codes = GroupCodes("race", GROUPS, np.ones(100, dtype=np.int64))
    found = estimated_measures(
        count_groups(rows, codes, 2, Settings(replicates=2)), matrix_of(), SETTINGS
    )
    assert found["value"].isna().all()
    of_b = found[(found["group"] == "b") & (found["metric"] == "share")]
    assert (
        of_b["status"].item() == "undefined: the misclassification matrix does not fit these rows"
    )


@pytest.mark.parametrize(
    ("matrix", "rows", "says"),
    [
        ([[0.5, 0.5], [0.5, 0.5]], None, "cannot be inverted"),
        ([[0.9, 0.1]], None, "has the shape"),
        ([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]], None, "has the shape"),
        ([[0.9, 0.2], [0.2, 0.8]], None, "add up to 1.1, 1"),
        ([[1.1, -0.1], [0.2, 0.8]], None, "shares of 0 to 1"),
        ([[0.9, "x"], [0.2, 0.8]], None, "no table of numbers"),
        ([[0.9, 0.1], [0.2]], None, "no table of numbers"),
        (MATRIX, (100,), "was found on"),
        (MATRIX, (100, 0), "was found on"),
    ],
)
def test_wrong_matrices_are_refused(matrix: Any, rows: Any, says: str) -> None:  # noqa: ANN401
    with pytest.raises(DataError, match=says):
        matrix_of(matrix, rows)


def test_a_matrix_of_other_groups_is_refused() -> None:
    other = Misclassification("race", ("b", "a"), MATRIX)
    with pytest.raises(DataError, match="one of race"):
        estimated_measures(estimated_groups(100, 0), other, SETTINGS)
