import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facebias.cam.attention import attention
from facebias.cam.regions import RegionMasks, regions_of_codes
from facebias.errors import DataError

NAMES = ("eyes", "mouth", "hair")


def halves(faces: int = 1) -> RegionMasks:
    """Return eyes above, mouth below left, hair below right, in images of 4 x 4."""
    codes = np.zeros((faces, 4, 4), int)
    codes[:, 2:, :2], codes[:, 2:, 2:] = 1, 2
    return regions_of_codes(codes, NAMES)


def one(map_: object, masks: RegionMasks | None = None) -> "pd.Series[float]":
    return attention(np.array([map_], np.float32), masks or halves()).iloc[0]


def test_a_map_worked_out_by_hand() -> None:
    row = one(
        [[0, 0, 0, 0], [0, 6, 0, 0], [0, 0, 0, 2], [0, 0, 0, 0]],
    )
    assert row[["share_eyes", "share_mouth", "share_hair"]].tolist() == [0.75, 0, 0.25]
    assert row[["density_eyes", "density_mouth", "density_hair"]].tolist() == [1.5, 0, 1]
    assert row["pointing"] == "eyes"
    assert row["outside"] == pytest.approx(0.25)
    assert row["centre_x"] == pytest.approx((6 * 0.375 + 2 * 0.875) / 8)
    assert row["centre_y"] == pytest.approx((6 * 0.375 + 2 * 0.625) / 8)
    distances = 0.75 * (0.125**2 + 0.0625**2) + 0.25 * (0.375**2 + 0.1875**2)
    assert row["spread"] == pytest.approx(distances**0.5)
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / np.log(16)
    assert row["entropy"] == pytest.approx(entropy)
    # Three pixels are a fifth, but only two are positive.
    assert row[["top20_eyes", "top20_mouth", "top20_hair"]].tolist() == [0.5, 0, 0.5]


def test_pixels_that_tie_at_the_limit_count_in_equal_parts() -> None:
    row = one([[9, 0, 0, 0], [0, 0, 0, 0], [3, 3, 3, 3], [0, 0, 0, 0]])
    wanted = [1 / 3, 1 / 3, 1 / 3]  # one above the limit, two parts of the four at it
    assert row[["top20_eyes", "top20_mouth", "top20_hair"]].tolist() == pytest.approx(wanted)


def test_an_even_map_has_density_one_and_entropy_one() -> None:
    row = one(np.full((4, 4), 3.0))
    values = row[["density_eyes", "density_mouth", "density_hair", "entropy"]].tolist()
    assert values == pytest.approx([1] * 4)
    assert row["spread"] == pytest.approx((2 / 12 * (1 - 1 / 16)) ** 0.5)


@pytest.mark.parametrize("value", [0, np.nan])
def test_a_map_that_points_nowhere_is_undefined_throughout(value: float) -> None:
    maps = np.stack([np.full((4, 4), value), np.eye(4)]).astype(np.float32)
    table = attention(maps, halves(2))
    assert table.iloc[0].isna().all()
    assert table.iloc[1].notna().all()


def test_a_region_that_a_face_does_not_have_is_undefined_there() -> None:
    masks = halves(2)
    masks.masks[1, 1] = False
    table = attention(np.ones((2, 4, 4), np.float32), masks)
    columns = ["share_mouth", "density_mouth", "top20_mouth"]
    assert table.loc[1, columns].isna().all()
    assert table.loc[0, columns].notna().all()
    assert table.loc[1, "share_eyes"] == pytest.approx(0.5)


def test_without_a_known_face_pointing_and_outside_are_undefined() -> None:
    nothing = regions_of_codes(np.full((1, 4, 4), 9), NAMES)
    row = one(np.eye(4), nothing)
    assert row["pointing"] is None or pd.isna(row["pointing"])
    assert np.isnan(row["outside"])
    assert row["entropy"] == pytest.approx(0.5)


def test_one_set_of_masks_serves_all_faces() -> None:
    maps = np.random.default_rng(0).random((150, 2, 2)).astype(np.float32)
    pd.testing.assert_frame_equal(attention(maps, halves()), attention(maps, halves(150)))


def test_pointing_is_the_middle_of_the_highest_cell() -> None:
    maps = np.array([[[0, 0], [5, 4]], [[0, 0], [4, 5]], [[7, 7], [0, 0]]], np.float32)
    assert attention(maps, halves())["pointing"].tolist() == ["mouth", "hair", "eyes"]
    outside = regions_of_codes(np.array([[[9, 9], [0, 0]]]), NAMES)
    assert attention(maps[2:], outside)["pointing"].tolist() == ["outside"]


@given(st.integers(0, 10_000), st.floats(0.001, 1000))
def test_shares_add_up_and_do_not_depend_on_the_scale(seed: int, scale: float) -> None:
    maps = np.random.default_rng(seed).random((2, 2, 4)).astype(np.float32)
    table = attention(maps, halves(2))
    for title in ("share", "top20"):
        values = table[[f"{title}_{name}" for name in NAMES]].sum(axis=1)
        assert values.tolist() == pytest.approx([1, 1], abs=1e-5)
    scaled = attention(maps * np.float32(scale), halves(2))
    pd.testing.assert_frame_equal(table, scaled, rtol=1e-3, atol=1e-5)
    mirrored = attention(maps[..., ::-1], regions_of_codes(_codes()[..., ::-1], NAMES))
    assert mirrored["centre_x"].tolist() == pytest.approx((1 - table["centre_x"]).tolist())
    assert mirrored["share_mouth"].tolist() == pytest.approx(
        table["share_mouth"].tolist(), abs=1e-5
    )


def _codes() -> NDArray[np.intp]:
    return np.asarray(halves().masks.argmax(axis=1))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="regions of 2 faces"):
        attention(np.ones((3, 4, 4)), halves(2))
    with pytest.raises(DataError, match="or finer"):
        attention(np.ones((1, 8, 4)), halves())
    with pytest.raises(DataError, match="negative"):
        attention(np.full((1, 4, 4), -1.0), halves())
