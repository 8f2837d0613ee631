import math

import numpy as np
import pytest

from facebias.errors import DataError
from facebias.fairness.paired import paired_difference


def made(faces: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return answers of two models that fail on much the same faces."""
    random = np.random.default_rng(seed)
    hard = random.random(faces) < 0.3
    right = ~hard | (random.random(faces) < 0.3)
    reference = ~hard | (random.random(faces) < 0.1)
    return right, reference


def test_the_difference_is_that_of_the_accuracies() -> None:
    right, reference = made()
    found = paired_difference(right, reference)
    assert found.difference == pytest.approx(right.mean() - reference.mean())
    assert found.low < found.difference < found.high


def test_the_interval_is_about_that_of_the_normal_approximation() -> None:
    right, reference = made(2000)
    found = paired_difference(right, reference, replicates=4000)
    differences = right.astype(float) - reference
    half = 1.96 * differences.std(ddof=1) / math.sqrt(len(differences))
    assert found.high - found.low == pytest.approx(2 * half, rel=0.05)
    # Two samples of other faces each would tell much less.
    apart = math.sqrt(right.var() / len(right) + reference.var() / len(reference))
    assert half < 0.75 * 1.96 * apart


def test_the_other_way_round_is_the_negative() -> None:
    right, reference = made()
    one, two = paired_difference(right, reference), paired_difference(reference, right)
    assert two.difference == -one.difference
    assert (two.low, two.high) == pytest.approx((-one.high, -one.low))


def test_a_reference_may_be_a_share_of_several_models() -> None:
    right, reference = made()
    share = (right.astype(float) + reference) / 2
    found = paired_difference(right, share)
    assert found.difference == pytest.approx((right.mean() - reference.mean()) / 2)


def test_persons_with_many_faces_widen_the_interval() -> None:
    right, reference = (np.repeat(each, 4) for each in made(200))
    alone = paired_difference(right, reference)
    together = paired_difference(right, reference, persons=np.repeat(np.arange(200), 4))
    assert together.difference == alone.difference
    assert together.high - together.low > 1.6 * (alone.high - alone.low)
    each = np.arange(len(right))
    assert paired_difference(right, reference, persons=each) == alone


def test_equal_answers_have_no_interval() -> None:
    right, _ = made()
    found = paired_difference(right, right)
    assert found.difference == 0
    assert math.isnan(found.low)
    assert math.isnan(found.high)


@pytest.mark.parametrize("faces", [0, 3])
def test_faces_that_do_not_fit_are_refused(faces: int) -> None:
    with pytest.raises(DataError, match="same faces"):
        paired_difference(np.ones(faces), np.ones(2 * faces))
