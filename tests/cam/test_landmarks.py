from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from facebias.cam.landmarks import landmark_regions
from facebias.cam.regions import FEATURES, RegionMasks
from facebias.cam.template import CANONICAL, FIVE_POINTS, template_regions
from facebias.errors import ConfigError, DataError

SIZE = (120, 100)
FIVE = FIVE_POINTS * 30 + (50, 50)


def region_at(regions: RegionMasks, point: NDArray[np.float64], face: int = 0) -> str:
    column, row = point.astype(int)
    hit = regions.masks[face, :, row, column]
    return regions.names[int(hit.argmax())] if hit.any() else "outside"


def canonical_68() -> NDArray[np.float64]:
    """Return the canonical face in the layout of 68 points, roughly."""
    points = np.zeros((68, 2))
    jaw = CANONICAL.face[11:]  # from the right ear over the chin to the left one
    points[:17] = jaw[::-1][np.linspace(0, len(jaw) - 1, 17).round().astype(int)]
    points[17:27] = CANONICAL.brows[np.linspace(0, 7, 10).round().astype(int)] - (0, 0.06)
    points[27:31, 1] = np.linspace(0, 0.48, 4)
    points[31:36] = np.stack([np.linspace(-0.2, 0.2, 5), np.full(5, 0.7)], axis=1)
    points[36:42] = CANONICAL.eyes[0][[4, 3, 1, 0, 7, 5]]
    points[42:48] = CANONICAL.eyes[1][[0, 1, 3, 4, 5, 7]]
    points[48:60] = CANONICAL.lips[:12]
    points[60:] = (0, 1.1)
    return points * 30 + (50, 50)


def overlap(first: RegionMasks, second: RegionMasks) -> NDArray[np.float64]:
    """Return the intersection over the union of each region, the median over faces."""
    both = (first.masks & second.masks).sum(axis=(2, 3))
    either = (first.masks | second.masks).sum(axis=(2, 3))
    return np.asarray(np.median(both / either, axis=0))


@pytest.mark.parametrize("points", [FIVE, FIVE.ravel().tolist()])
def test_five_points_place_every_region(points: object) -> None:
    regions = landmark_regions([points], SIZE)  # type: ignore[list-item]
    assert (regions.names, regions.source) == (FEATURES, "landmarks")
    expected = ["eyes", "eyes", "nose", "mouth", "mouth"]
    assert [region_at(regions, point) for point in FIVE] == expected
    above, below, side = FIVE[0] - (0, 20), FIVE[3] + (10, 18), FIVE[2] - (20, 0)
    assert region_at(regions, FIVE[0] - (0, 8)) == "brows"
    assert [region_at(regions, point) for point in (above, below, side)] == [
        "forehead",
        "chin",
        "cheeks",
    ]
    assert region_at(regions, np.array([5.0, 5.0])) == "outside"


def test_the_regions_part_the_face_without_overlap() -> None:
    regions = landmark_regions([FIVE, canonical_68()], SIZE)
    assert (regions.masks.sum(axis=1) == regions.face).all()
    assert (regions.areas() > 0).all()


def test_either_eye_may_come_first() -> None:
    swapped = FIVE[[1, 0, 2, 4, 3]]
    first, second = landmark_regions([FIVE], SIZE), landmark_regions([swapped], SIZE)
    assert (first.masks == second.masks).all()


def test_68_points_give_about_the_regions_of_the_five() -> None:
    found = overlap(landmark_regions([canonical_68()], SIZE), landmark_regions([FIVE], SIZE))
    assert (found > 0.6).all(), dict(zip(FEATURES, found, strict=True))


def test_a_face_without_landmarks_has_no_regions() -> None:
    broken, one_place = np.full((5, 2), np.nan), np.ones((5, 2))
    regions = landmark_regions([None, broken, one_place, FIVE], SIZE)
    assert regions.masks.any(axis=(1, 2, 3)).tolist() == [False, False, False, True]
    assert regions.face.any(axis=(1, 2)).tolist() == [False, False, False, True]


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(DataError, match=r"7 landmarks(.|\n)*5, 68, 189"):
        landmark_regions([np.ones((7, 2))], SIZE)
    with pytest.raises(DataError, match="11 numbers"):
        landmark_regions([np.ones(11)], SIZE)


def test_the_template_puts_the_eyes_where_it_is_told() -> None:
    regions = template_regions((60, 50), eyes=((0.3, 0.4), (0.7, 0.4)))
    assert (regions.source, regions.masks.shape) == ("template", (1, 7, 60, 50))
    assert region_at(regions, np.array([15.0, 24.0])) == "eyes"
    assert region_at(regions, np.array([35.0, 24.0])) == "eyes"
    assert (regions.masks[..., ::-1] == regions.masks).mean() > 0.99


@pytest.mark.parametrize(
    "eyes", [((0.5, 0.5), (0.5, 0.5)), ((0.1, 0.2),), ((0.1, 0.2), (0, "nan"))]
)
def test_a_template_without_two_eyes_is_refused(eyes: object) -> None:
    with pytest.raises(ConfigError, match="The eyes are at"):
        template_regions((60, 50), eyes=eyes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def london(real_data: Callable[[str], Path]) -> NDArray[np.float64]:
    """The points of the London set, (people, 189, 2), pixels of images of 256 x 256."""
    table = pd.read_csv(real_data("london") / "landmarks.csv")
    return np.asarray(table.iloc[:, 1:].to_numpy(np.float64).reshape(len(table), 189, 2))


def five_of(london: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return pupils, tip of the nose and corners of the mouth."""
    tip = london[:, [54, 60]].mean(axis=1)
    places = [london[:, 0], london[:, 1], tip, london[:, 87], london[:, 93]]
    return np.stack(places, axis=1)


def test_the_points_of_london_lie_in_their_regions(london: NDArray[np.float64]) -> None:
    regions = landmark_regions(list(london), (256, 256))
    inside = {"eyes": (0, 1), "nose": (53, 59), "mouth": (88, 101, 106), "chin": (175,)}
    for name, places in inside.items():
        for place in places:
            found = [region_at(regions, points[place], i) for i, points in enumerate(london)]
            assert found.count(name) >= 100, (name, place)


def test_five_points_find_about_the_regions_of_189(london: NDArray[np.float64]) -> None:
    true = landmark_regions(list(london), (256, 256))
    placed = landmark_regions(list(five_of(london)), (256, 256))
    found = overlap(true, placed)
    assert (found > 0.65).all(), dict(zip(FEATURES, found, strict=True))
    both, either = true.face & placed.face, true.face | placed.face
    assert np.median(both.sum(axis=(1, 2)) / either.sum(axis=(1, 2))) > 0.9
