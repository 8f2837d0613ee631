import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facebias.cam.regions import (
    FEATURES,
    RegionMasks,
    fill_polygon,
    merge_regions,
    merging,
    paint,
    regions_of_codes,
)
from facebias.cam.template import FIVE_POINTS, place_template
from facebias.errors import DataError


def blocks(**sides: int) -> RegionMasks:
    """Return square regions of these sides in an image of 40 x 40, one beside the other."""
    codes = np.full((1, 40, 40), 255)
    left = 0
    for place, side in enumerate(sides.values()):
        codes[0, :side, left : left + side] = place
        left += side
    return regions_of_codes(codes, tuple(sides))


def test_codes_become_masks_and_the_face() -> None:
    regions = regions_of_codes(np.array([[[0, 1], [2, 9]]]), ("background", "eyes", "ears"))
    assert regions.masks[0].reshape(3, -1).argmax(axis=1).tolist() == [0, 1, 2]
    assert regions.masks.sum() == 3
    assert regions.face.tolist() == [[[False, True], [False, False]]]
    assert regions.areas().tolist() == [[0.25, 0.25, 0.25]]


def test_masks_that_do_not_fit_are_refused() -> None:
    masks = np.zeros((1, 2, 4, 4), bool)
    with pytest.raises(DataError, match="eyes, eyes"):
        RegionMasks(("eyes", "eyes"), masks, "masks", masks[:, 0])
    with pytest.raises(DataError, match="a face of shape"):
        RegionMasks(("eyes", "nose"), masks, "masks", masks)


def test_a_region_of_one_cell_stays_and_a_smaller_one_joins_its_neighbour() -> None:
    regions = blocks(brows=9, eyes=10, mouth=10)
    assert merging(regions, (4, 4)) == {
        "brows": "brows_and_eyes",
        "eyes": "brows_and_eyes",
        "mouth": "mouth",
    }
    assert merging(blocks(brows=10, eyes=10), (4, 4)) == {"brows": "brows", "eyes": "eyes"}


def test_merging_goes_on_until_nothing_is_too_small() -> None:
    names = merging(blocks(forehead=3, brows=4, eyes=9, mouth=20), (4, 4))
    assert set(names.values()) == {"forehead_and_brows_and_eyes", "mouth"}
    with pytest.raises(DataError, match=r"smaller than a cell of the map(.|\n)*2 x 2"):
        merging(blocks(forehead=3, brows=4, eyes=5), (2, 2))


def test_a_region_without_a_neighbour_is_refused() -> None:
    with pytest.raises(DataError, match="The region nose is smaller than a cell"):
        merging(blocks(nose=5, eyes=20), (4, 4))


def test_the_size_is_the_median_of_those_who_have_the_region() -> None:
    codes = np.zeros((4, 8, 8), int)
    codes[0, :4, :4] = 1
    names = merging(regions_of_codes(codes, ("eyes", "glasses", "hair")), (2, 2))
    assert names == {"eyes": "eyes", "glasses": "glasses", "hair": "hair"}


def test_merged_masks_are_the_union_and_the_face_stays() -> None:
    regions = blocks(brows=9, eyes=10, mouth=10)
    merged = merge_regions(regions, merging(regions, (4, 4)))
    assert merged.names == ("brows_and_eyes", "mouth")
    assert merged.masks.sum(axis=(2, 3)).tolist() == [[181, 100]]
    assert (merged.face == regions.face).all()
    with pytest.raises(DataError, match="becomes of the region nose"):
        merge_regions(blocks(nose=5), {"eyes": "eyes"})


@given(st.lists(st.tuples(*[st.integers(-40, 100)] * 2), min_size=3, max_size=8))
def test_a_polygon_holds_the_pixels_whose_middle_it_holds(corners: list[tuple[int, int]]) -> None:
    polygon = np.array(corners, np.float64) / 4 + 0.13
    y, x = np.mgrid[:12, :16] + 0.5
    middles = np.stack([x, y], axis=2).reshape(-1, 2)
    filled = fill_polygon(polygon, (12, 16)).ravel()
    # The parity of the winding number, from the angles at which the edges are seen.
    turns = np.zeros(len(middles))
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        a, b = start - middles, end - middles
        cross, dot = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], (a * b).sum(axis=1)
        turns += np.arctan2(cross, dot)
    odd = np.rint(turns / (2 * np.pi)).astype(int) % 2 == 1
    assert _touches(polygon, middles[filled != odd])


def _touches(polygon: NDArray[np.float64], points: NDArray[np.float64]) -> bool:
    """Say whether all points lie on an edge."""
    on = np.zeros(len(points), bool)
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        along, there = end - start, points - start
        on |= np.abs(along[0] * there[:, 1] - along[1] * there[:, 0]) < 1e-9
    return bool(on.all())


@pytest.mark.parametrize("turn", [0, 30, 90, 180, -120])
def test_a_turned_face_has_the_same_regions_turned(turn: float) -> None:
    angle = np.deg2rad(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = FIVE_POINTS * 30
    upright = paint(place_template(points + 100), (200, 200))
    turned = paint(place_template(points @ rotation.T + 100), (200, 200))
    for place in range(len(FEATURES)):
        rows, columns = np.nonzero(upright == place)
        middles = np.stack([columns, rows], axis=1) + 0.5 - 100
        x, y = np.floor(middles @ rotation.T + 100).astype(int).T
        assert (turned[y, x] == place).mean() > 0.85
