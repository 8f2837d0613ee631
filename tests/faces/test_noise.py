import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from facebias.faces.noise import noise_at, value_noise

PLACE = st.floats(-1000, 1000)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(PLACE, PLACE, PLACE, st.integers(0, 20_000))
def test_noise_is_a_smooth_function_of_the_place(x: float, y: float, z: float, seed: int) -> None:
    value = value_noise(x, y, z, seed)
    assert 0 <= value <= 1
    assert value == value_noise(x, y, z, seed)
    # Its steepest slope is 1.5 along an axis.
    for step in ((1e-3, 0, 0), (0, 1e-3, 0), (0, 0, 1e-3)):
        moved = value_noise(x + step[0], y + step[1], z + step[2], seed)
        assert abs(moved - value) <= 1.5001e-3


def test_noise_has_no_edges_at_the_corners_of_its_lattice() -> None:
    for x in range(-20, 20):
        there = value_noise(x, 0.3, 0.6, 1)
        # The slope is 0 there, from both sides.
        for step in (-1e-3, 1e-3):
            assert abs(value_noise(x + step, 0.3, 0.6, 1) - there) < 4e-6


def test_seeds_and_places_differ() -> None:
    places = np.random.default_rng(0).uniform(-50, 50, (5000, 3)).astype(np.float32)
    one, other = noise_at(places, 3.0, 1), noise_at(places, 3.0, 2)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.05
    assert abs(one.mean() - 0.5) < 0.02
    assert one.std() > 0.1


def test_frequency_scales_places() -> None:
    places = np.random.default_rng(1).uniform(-5, 5, (100, 3)).astype(np.float32)
    assert np.array_equal(noise_at(places, 4.0, 3), noise_at(places * np.float32(4), 1.0, 3))
    expected = [value_noise(x, y, z, 3) for x, y, z in places.tolist()]
    np.testing.assert_allclose(noise_at(places, 1.0, 3), expected, atol=1e-6)
