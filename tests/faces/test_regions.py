from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facebias.faces.arrays import UInt8
from facebias.faces.factors import EXPRESSIONS, FaceFactors
from facebias.faces.regions import PARTS, ZONE_CODES, ZONES, zones
from facebias.faces.render import render_face
from tests.faces.made_factors import any_factors

CODE = {part: code for code, part in enumerate(PARTS)}
OTHER_SIDE = np.array(
    [
        CODE[" ".join({"left": "right", "right": "left"}.get(w, w) for w in part.split())]
        for part in PARTS
    ],
    np.uint8,
)


def regions_of(size: int = 64, **factors: Any) -> UInt8:  # noqa: ANN401
    return render_face(FaceFactors(**factors), size).regions


def rows_of(regions: UInt8, part: str) -> np.ndarray:
    rows = np.nonzero(regions == CODE[part])[0]
    assert len(rows), part
    return rows


def test_every_part_has_a_zone_and_every_zone_a_part() -> None:
    assert len(set(PARTS)) == len(PARTS) == len(ZONE_CODES)
    assert set(ZONE_CODES.tolist()) == set(range(len(ZONES)))
    parts = np.arange(len(PARTS), dtype=np.uint8).reshape(2, -1)
    merged = zones(parts)
    assert merged.shape == parts.shape
    assert merged.dtype == np.uint8
    named = dict(zip(PARTS, (ZONES[code] for code in merged.ravel()), strict=True))
    assert named["left brow"] == named["right brow"] == "brows"
    assert named["inner mouth"] == "mouth"
    assert named["background"] == ZONES[0] == "background"


@pytest.mark.parametrize("identity", range(4))
def test_an_ordinary_face_has_all_its_parts(identity: int) -> None:
    regions = regions_of(128, identity=identity, expression={"surprise": 1.0}, glasses="round")
    found = {PARTS[code] for code in np.unique(regions)}
    assert found == set(PARTS)
    chin, neck = rows_of(regions, "chin and jaw"), rows_of(regions, "neck")
    assert chin.mean() < neck.mean()
    assert rows_of(regions, "forehead").mean() < rows_of(regions, "nose").mean() < chin.mean()
    assert rows_of(regions, "upper lip").mean() < rows_of(regions, "lower lip").mean()
    assert rows_of(regions, "clothes").min() > neck.mean()
    assert rows_of(regions, "clothes").max() == 127


def test_the_persons_left_is_at_the_pictures_right() -> None:
    regions = regions_of(64, identity=2)
    for part in ("brow", "eye", "cheek", "ear"):
        columns = [np.nonzero(regions == CODE[f"{side} {part}"])[1] for side in ("left", "right")]
        assert columns[0].min() > columns[1].max()


def test_hair_and_glasses_are_there_when_worn() -> None:
    bare = regions_of(hair_style="bald", glasses="none")
    assert not np.isin(bare, [CODE["hair"], CODE["glasses"]]).any()
    sizes = [(regions_of(hair_style=s) == CODE["hair"]).sum() for s in ("buzz", "short", "afro")]
    assert 50 < sizes[0] < sizes[1] < sizes[2]
    for style in ("round", "square"):
        assert (regions_of(glasses=style) == CODE["glasses"]).sum() > 20
    assert (regions_of(hair_style="long")[48:] == CODE["hair"]).sum() > 50
    assert not (regions_of(hair_style="short")[56:] == CODE["hair"]).any()


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("age", [6.0, 30.0, 75.0])
def test_small_pictures_have_all_zones_of_expression(expression: str, age: float) -> None:
    found = zones(regions_of(48, expression={expression: 1.0}, age=age, identity=int(age)))
    for zone in ("brows", "eyes", "nose", "mouth"):
        assert (found == ZONES.index(zone)).sum() >= 4, zone


@settings(max_examples=25, deadline=None, derandomize=True)
@given(any_factors(), any_factors())
def test_regions_do_not_depend_on_colours_and_light(one: FaceFactors, other: FaceFactors) -> None:
    names = (
        *("skin_ita", "hair_colour", "grey", "eye_colour", "make_up", "stubble"),
        *("key_light", "key_azimuth", "key_elevation", "warmth", "ambient"),
        *("background", "clothes"),
    )
    twin = replace(one, **{name: getattr(other, name) for name in names})
    faces = [render_face(factors, 32) for factors in (one, twin)]
    assert np.array_equal(faces[0].regions, faces[1].regions)
    assert np.array_equal(faces[0].landmarks, faces[1].landmarks)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 2**63 - 1), st.floats(-65, 60), st.floats(-65, 60))
def test_regions_of_skin_tone_twins_are_the_same(identity: int, one: float, other: float) -> None:
    light, dark = (regions_of(identity=identity, skin_ita=ita) for ita in (one, other))
    assert np.array_equal(light, dark)


@pytest.mark.parametrize("identity", range(3))
def test_turning_the_other_way_is_roughly_a_mirror(identity: int) -> None:
    one, other = (regions_of(identity=identity, yaw=yaw) for yaw in (20.0, -20.0))
    assert (one == OTHER_SIDE[other[:, ::-1]]).mean() > 0.95
    assert (one == OTHER_SIDE[one[:, ::-1]]).mean() < 0.90
