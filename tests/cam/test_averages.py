import numpy as np
import pytest
from scipy import stats

from facebias.cam.averages import average

VALUES = np.random.default_rng(0).normal(size=40)


def test_with_a_face_a_person_it_is_students_interval() -> None:
    found = average(VALUES)
    wanted = stats.t.interval(0.95, 39, VALUES.mean(), stats.sem(VALUES))
    assert (found.low, found.high) == pytest.approx(wanted)
    assert (found.n, found.units) == (40, 40)


def test_faces_that_are_copies_tell_no_more_than_one() -> None:
    once, twice = average(VALUES), average(np.repeat(VALUES, 2), np.repeat(np.arange(40), 2))
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))
    assert (twice.n, twice.units) == (80, 40)


def test_faces_of_nobody_known_are_persons_of_their_own() -> None:
    found = average([1.0, 2.0, 3.0, 4.0], ["a", "a", None, None])
    assert found.units == 3


def test_faces_without_a_value_are_left_out() -> None:
    found = average([1.0, np.nan, 3.0, np.nan], ["a", "b", "c", None])
    assert (found.value, found.n, found.units) == (2.0, 2, 2)


def test_without_two_units_there_is_no_interval() -> None:
    assert np.isnan(average([np.nan, np.nan]).value)
    one = average([1.0, 2.0], ["a", "a"])
    assert one.value == 1.5
    assert np.isnan([one.low, one.high]).all()
