import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance
from scipy.stats import spearmanr

from facebias.cam import similarity
from facebias.cam.similarity import jensen_shannon, rank_correlation
from facebias.errors import DataError


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_both_agree_with_scipy(seed: int, digits: int) -> None:
    rng = np.random.default_rng(seed)
    # Rounded and cut off, so that values tie and are 0, as in true maps.
    first, second = np.maximum(rng.normal(size=(2, 3, 4, 5)).round(digits), 0)
    for n, found in enumerate(rank_correlation(first, second)):
        assert found == pytest.approx(spearmanr(first[n].ravel(), second[n].ravel())[0])
    for n, found in enumerate(jensen_shannon(first, second)):
        wanted = distance.jensenshannon(first[n].ravel(), second[n].ravel(), base=2)
        assert found == pytest.approx(wanted, abs=1e-7)


def test_cases_worked_out_by_hand() -> None:
    first = np.array([[[1.0, 2.0, 3.0, 4.0]]])
    second = np.array([[[1.0, 3.0, 2.0, 4.0]]])
    assert rank_correlation(first, second).tolist() == pytest.approx([1 - 6 * 2 / (4 * 15)])
    half, whole = np.array([[[3.0, 3.0]]]), np.array([[[1.0, 0.0]]])
    # m = (3/4, 1/4): half of log2(2/3) / 2 + log2(2) / 2, and half of log2(4/3).
    divergence = 0.5 * (0.5 * np.log2(2 / 3) + 0.5) + 0.5 * np.log2(4 / 3)
    assert jensen_shannon(half, whole).tolist() == pytest.approx([divergence**0.5])


def test_the_scale_of_a_map_does_not_matter() -> None:
    first, second = np.random.default_rng(0).random((2, 5, 4, 4))
    assert rank_correlation(first, 7 * second).tolist() == pytest.approx(
        rank_correlation(first, second).tolist()
    )
    assert jensen_shannon(first, 7 * second).tolist() == pytest.approx(
        jensen_shannon(first, second).tolist()
    )


def test_images_in_parts_are_the_same_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = np.random.default_rng(0).random((2, 5, 4, 4))
    whole = rank_correlation(first, second)
    monkeypatch.setattr(similarity, "_NUMBERS", 2 * 16)
    np.testing.assert_array_equal(rank_correlation(first, second), whole)


def test_an_undefined_map_is_like_no_other() -> None:
    maps = np.random.default_rng(0).random((4, 2, 2)).astype(np.float32)
    other = maps.copy()
    other[1], other[2], other[3] = np.nan, 0, 5
    assert np.isnan(rank_correlation(maps, other)).tolist() == [False, True, True, True]
    # A map that is even has no ranks, but it is a distribution.
    assert np.isnan(jensen_shannon(maps, other)).tolist() == [False, True, True, False]
    assert jensen_shannon(maps, other)[0] == pytest.approx(0, abs=1e-6)


def test_maps_of_other_sizes_are_refused() -> None:
    with pytest.raises(DataError, match="resize_maps"):
        rank_correlation(np.ones((2, 7, 7)), np.ones((2, 8, 8)))
    with pytest.raises(DataError, match=r"\(3, 4, 4\)"):
        jensen_shannon(np.ones((2, 4, 4)), np.ones((3, 4, 4)))
