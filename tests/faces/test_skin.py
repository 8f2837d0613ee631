import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facebias.faces.arrays import Float64
from facebias.faces.factors import FaceFactors
from facebias.faces.regions import PARTS
from facebias.faces.render import render_face
from facebias.faces.skin import (
    lab_of_linear,
    linear_of_hex,
    linear_of_lab,
    linear_of_srgb,
    skin_lab,
    srgb_of_linear,
    typology_angle,
)

BARE = [PARTS.index(part) for part in ("forehead", "left cheek", "right cheek")]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(-65, 60))
def test_a_skin_has_the_angle_that_was_asked_for(ita: float) -> None:
    lab = skin_lab(ita)
    assert float(typology_angle(lab)) == pytest.approx(ita, abs=0.05)
    linear = linear_of_lab(lab)
    assert (linear > 0).all()
    assert (linear < 1).all()
    np.testing.assert_allclose(lab_of_linear(linear), lab, atol=1e-6)


def test_darker_skins_are_darker() -> None:
    light = [skin_lab(float(ita))[0] for ita in range(60, -66, -1)]
    assert (np.diff(light) < 0).all()


@pytest.mark.parametrize(
    ("lab", "angle"),
    [((60, 0, 10), 45), ((50, 3, 10), 0), ((40, 9, 10), -45), ((50 + 3**0.5, 0, 1), 60)],
)
def test_typology_angles_by_hand(lab: tuple[float, ...], angle: float) -> None:
    assert float(typology_angle(np.array(lab, np.float64))) == pytest.approx(angle)


# CIELAB under D65, 2 degrees, of the corners of sRGB: Lindbloom's calculator.
@pytest.mark.parametrize(
    ("colour", "lab"),
    [
        ("#ff0000", (53.24, 80.09, 67.20)),
        ("#00ff00", (87.73, -86.18, 83.18)),
        ("#0000ff", (32.30, 79.19, -107.86)),
        ("#ffffff", (100.0, 0.0, 0.0)),
        ("#000000", (0.0, 0.0, 0.0)),
        ("#777777", (50.03, 0.0, 0.0)),
    ],
)
def test_lab_of_known_colours(colour: str, lab: tuple[float, float, float]) -> None:
    linear = linear_of_hex(colour)
    np.testing.assert_allclose(lab_of_linear(linear), lab, atol=0.02)
    np.testing.assert_allclose(linear_of_lab(lab_of_linear(linear)), linear, atol=1e-9)


def test_srgb_by_its_standard() -> None:
    encoded = np.arange(256) / 255
    np.testing.assert_allclose(srgb_of_linear(linear_of_srgb(encoded)), encoded, atol=1e-7)
    assert float(linear_of_srgb(np.array(0.5))) == pytest.approx(0.21404, abs=1e-5)
    assert float(srgb_of_linear(np.array(0.002))) == pytest.approx(0.02584, abs=1e-7)
    assert srgb_of_linear(np.array([-1.0, 2.0])).tolist() == pytest.approx([0, 1])


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_lab_and_back(colour: list[float]) -> None:
    linear = np.array(colour)
    np.testing.assert_allclose(linear_of_lab(lab_of_linear(linear)), linear, atol=1e-6)


def angle_in_picture(factors: FaceFactors) -> float:
    """Return the angle of the median colour of forehead and cheeks."""
    face = render_face(factors, 64)
    skin: Float64 = linear_of_srgb(face.image[np.isin(face.regions, BARE)] / 255)
    return float(typology_angle(np.median(lab_of_linear(skin), axis=0)))


@pytest.mark.parametrize("ita", [55.0, 35.0, 0.0, -30.0, -60.0])
def test_a_rendered_face_has_its_skin(ita: float) -> None:
    usual = [angle_in_picture(FaceFactors(identity=i, skin_ita=ita)) - ita for i in range(8)]
    assert np.abs(usual).max() < 4
    lit = [
        angle_in_picture(FaceFactors(identity=i, skin_ita=ita, key_azimuth=azimuth)) - ita
        for i in range(4)
        for azimuth in (-50.0, -25.0, 0.0, 25.0, 50.0)
    ]
    assert abs(np.mean(lit)) < 3
    assert np.abs(lit).max() < 7  # light from the front makes it lighter, from a side darker
