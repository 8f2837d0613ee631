from __future__ import annotations

import numpy as np
import pytest

from facebias.fairness.counts import PersonPatterns, count_patterns
from facebias.fairness.metrics import accuracy
from facebias.fairness.resampling import bootstrap_counts, bootstrap_person_counts


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_bootstrap_keeps_the_rows_of_each_group_and_empty_cells() -> None:
    counts = np.array([[[5, 1], [0, 4]], [[0, 0], [0, 0]], [[1, 0], [0, 0]]])
    drawn = bootstrap_counts(counts, 200, generator())
    assert drawn.shape == (200, 3, 2, 2)
    assert (drawn.sum(axis=(2, 3)) == [10, 0, 1]).all()
    assert (drawn[:, counts == 0] == 0).all()


def test_bootstrap_of_counts_is_the_bootstrap_of_rows() -> None:
    right = np.repeat([1, 0], [30, 20])
    rows = generator().choice(right, size=(4000, 50)).mean(axis=1)
    drawn = bootstrap_counts(np.array([[[30, 20], [0, 0]]]), 4000, generator(1))
    from_counts = accuracy(drawn)[:, 0]
    assert from_counts.mean() == pytest.approx(rows.mean(), abs=0.005)
    assert from_counts.std() == pytest.approx(rows.std(), rel=0.06)


def patterns_of(rows: list[tuple[int, int, int, int]], n_groups: int = 1) -> PersonPatterns:
    """Count rows of (person, group, label, predicted) in two classes."""
    columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    return count_patterns(*columns, n_groups=n_groups, n_classes=2)


def random_patterns(persons: int, rows: int = 400, n_groups: int = 3) -> PersonPatterns:
    sizes = (persons, n_groups, 2, 2)
    columns = [generator(each).integers(size, size=rows) for each, size in enumerate(sizes)]
    return count_patterns(*columns, n_groups=n_groups, n_classes=2)


def test_person_bootstrap_with_one_row_a_person_is_the_row_bootstrap() -> None:
    patterns = patterns_of([(person, 0, 0, int(person >= 30)) for person in range(50)])
    drawn = bootstrap_person_counts(patterns, 4000, generator())
    assert (drawn.sum(axis=(1, 2, 3)) == 50).all()
    assert accuracy(drawn).std() == pytest.approx((0.6 * 0.4 / 50) ** 0.5, rel=0.06)


def test_person_bootstrap_is_wider_when_rows_of_a_person_agree() -> None:
    patterns = patterns_of([(row // 20, 0, 0, int(row >= 120)) for row in range(200)])
    by_person = accuracy(bootstrap_person_counts(patterns, 4000, generator())).std()
    assert by_person == pytest.approx((0.6 * 0.4 / 10) ** 0.5, rel=0.06)


@pytest.mark.parametrize("few_persons", [0, 1000])
def test_person_bootstrap_has_the_moments_of_persons_drawn_one_by_one(
    monkeypatch: pytest.MonkeyPatch, few_persons: int
) -> None:
    monkeypatch.setattr("facebias.fairness.resampling._FEW_PERSONS", few_persons)
    rows = [(person, person % 2, 0, int(person < 4)) for person in range(12)]
    rows += [(12, 0, 0, 0), (12, 1, 0, 1), (12, 1, 0, 1), (13, 0, 0, 1), (13, 0, 0, 1)]
    counts = np.zeros((14, 2, 2, 2))
    np.add.at(counts, tuple(np.array(rows).T), 1)
    persons = counts.reshape(14, 8)
    drawn = bootstrap_person_counts(patterns_of(rows, 2), 20_000, generator()).reshape(-1, 8)
    np.testing.assert_allclose(drawn.mean(axis=0), persons.sum(axis=0), atol=0.08)
    # A sum of 14 independent persons has 14 times the covariance of one.
    covariance = 14 * np.cov(persons, rowvar=False, ddof=0)
    np.testing.assert_allclose(np.cov(drawn, rowvar=False), covariance, atol=0.2)


@pytest.mark.parametrize("persons", [20, 150, 400])
def test_person_bootstrap_in_chunks_and_sparse_is_the_same(
    monkeypatch: pytest.MonkeyPatch, persons: int
) -> None:
    patterns = random_patterns(persons)
    whole = bootstrap_person_counts(patterns, 10, generator())
    for name, value in (("_CHUNK_NUMBERS", 1000), ("_DENSE_NUMBERS", 0)):
        monkeypatch.setattr(f"facebias.fairness.resampling.{name}", value)
        drawn = bootstrap_person_counts(patterns, 10, generator())
        np.testing.assert_array_equal(drawn, whole)


def test_person_bootstrap_of_one_pattern_never_varies_and_of_nobody_is_nothing() -> None:
    patterns = patterns_of([(person, 0, label, 1) for person in range(3) for label in (0, 1)])
    drawn = bootstrap_person_counts(patterns, 10, generator())
    np.testing.assert_array_equal(drawn, np.tile([[0, 3], [0, 3]], (10, 1, 1, 1)))
    nobody = bootstrap_person_counts(patterns_of([]), 4, generator())
    assert (nobody.shape, nobody.sum()) == ((4, 1, 2, 2), 0)
