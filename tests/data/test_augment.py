from typing import Any

import albumentations
import numpy as np
import pytest
from numpy.typing import NDArray

from facebias.data.augment import Augmentation
from facebias.errors import DataError

ROWS = np.arange(6)


def noise(channels: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (6, 16, 12, channels), dtype=np.uint8)


def transforms() -> dict[str, Any]:
    """Return one that moves pixels and two that change them, one within a choice."""
    dark = albumentations.RandomBrightnessContrast(p=1.0)
    return {
        "affine": albumentations.Affine(rotate=(-20, 20), translate_percent=(-0.1, 0.1), p=0.9),
        "one": albumentations.OneOf([dark, albumentations.GaussNoise(p=1.0)], p=0.9),
        "patch": albumentations.CoarseDropout(p=0.5),
    }


def augmented(
    faces: NDArray[np.uint8], epoch: int = 0, seed: int = 0, rows: NDArray[np.int64] = ROWS
) -> NDArray[np.uint8]:
    return Augmentation(transforms(), seed)(faces, np.full(len(rows), epoch), rows)


@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_type_stay_and_the_input_is_untouched(channels: int) -> None:
    faces = noise(channels)
    before = faces.copy()
    changed = augmented(faces)
    assert changed.shape == faces.shape
    assert changed.dtype == np.uint8
    assert not np.array_equal(changed, faces)
    np.testing.assert_array_equal(faces, before)


def test_the_draw_repeats() -> None:
    np.testing.assert_array_equal(augmented(noise()), augmented(noise()))


def test_the_draw_depends_on_seed_epoch_and_row() -> None:
    faces = np.repeat(noise()[:1], 6, axis=0)
    first = augmented(faces)
    assert len({face.tobytes() for face in first}) == 6
    assert not np.array_equal(augmented(faces, epoch=1), first)
    assert not np.array_equal(augmented(faces, seed=1), first)


def test_the_draw_depends_on_nothing_that_came_before() -> None:
    faces, augmentation = noise(), Augmentation(transforms(), 0)
    whole = augmented(faces)
    for position in (4, 1, 1, 5):
        one = np.array([position])
        alone = augmentation(faces[one], np.zeros(1, np.int64), one)
        np.testing.assert_array_equal(alone[0], whole[position])


def test_the_state_of_the_process_plays_no_part_and_is_left_alone() -> None:
    np.random.seed(3)
    state = np.random.get_state(legacy=False)["state"]["key"].tolist()
    first = augmented(noise())
    assert np.random.get_state(legacy=False)["state"]["key"].tolist() == state
    np.random.seed(4)
    np.testing.assert_array_equal(augmented(noise()), first)


def test_transforms_draw_independently_of_each_other() -> None:
    half = {
        "mirror": albumentations.HorizontalFlip(p=0.5),
        "turn": albumentations.VerticalFlip(p=0.5),
    }
    faces = np.repeat(noise()[:1], 200, axis=0)
    drawn = Augmentation(half, 0)(faces, np.zeros(200, np.int64), np.arange(200))
    same = [
        [np.array_equal(face, faces[0, ::down, ::right]) for down in (1, -1) for right in (1, -1)]
        for face in drawn
    ]
    assert (np.sum(same, axis=0) > 30).all()  # 50 of each way are expected


def test_transforms_are_applied_in_their_order() -> None:
    mirror, blank = albumentations.HorizontalFlip(p=1.0), albumentations.VerticalFlip(p=1.0)
    augmentation = Augmentation({"mirror": mirror, "turn": blank}, 0)
    assert augmentation.names == ("mirror", "turn")
    faces = noise()
    turned = augmentation(faces, np.zeros(6, np.int64), ROWS)
    np.testing.assert_array_equal(turned, faces[:, ::-1, ::-1])


def test_without_transforms_faces_stay_as_they_are() -> None:
    faces = noise()
    assert Augmentation({}, 0)(faces, np.zeros(6, np.int64), ROWS) is faces


@pytest.mark.parametrize(
    "transform",
    [
        albumentations.Normalize(mean=0.5, std=0.5),
        albumentations.ToFloat(),
        albumentations.Resize(8, 8),
        albumentations.Transpose(p=1.0),
    ],
)
def test_a_transform_that_changes_size_or_type_is_refused(transform: object) -> None:
    augmentation = Augmentation({"wrong": transform}, 0)
    with pytest.raises(DataError, match=r"augmentation wrong .* of uint8 \(16, 12, 1\)"):
        augmentation(noise(), np.zeros(6, np.int64), ROWS)
