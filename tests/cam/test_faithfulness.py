import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from facebias.cam.explain import class_maps
from facebias.cam.faithfulness import (
    Baseline,
    Kind,
    against_random,
    agreement_with_change,
    area,
    deletion_curve,
    insertion_curve,
    random_maps,
)
from facebias.errors import ConfigError, DataError
from tests.cam.networks import Scaled, noise, small_cnn

TARGETS = torch.tensor([0, 2, 1, 1, 0, 2, 2])


class Corner(nn.Module):
    """Reads the upper left pixel: its logits are 0, the pixel, and the pixel's opposite."""

    def forward(self, images: Tensor) -> Tensor:
        pixel = images[:, 0, 0, 0].float()
        return torch.stack([torch.zeros_like(pixel), pixel, -pixel], dim=1)


FOUR = torch.tensor([[[[4.0, 0.0], [0.0, 0.0]]]])
POINTED = np.array([[[1.0, 0.0], [0.0, 0.0]]])
ONE = torch.tensor([1])


def probability(pixel: float) -> float:
    return float(torch.tensor([0.0, pixel, -pixel]).softmax(0)[1])


def test_a_pixel_taken_away_first_worked_out_by_hand() -> None:
    deleted = deletion_curve(Corner(), FOUR, POINTED, ONE, steps=4, baseline="mean")
    wanted = [probability(4), *[probability(1)] * 4]  # the mean of the image is 1
    np.testing.assert_allclose(deleted, [wanted], rtol=1e-6)
    inserted = insertion_curve(Corner(), FOUR, POINTED, ONE, steps=4, baseline="mean")
    np.testing.assert_allclose(inserted, [[probability(1), *[probability(4)] * 4]], rtol=1e-6)
    by_hand = (probability(4) / 2 + 3.5 * probability(1)) / 4
    assert area(deleted).tolist() == pytest.approx([by_hand])


def test_pixels_that_tie_go_in_equal_parts() -> None:
    even = deletion_curve(Corner(), FOUR, np.ones((1, 2, 2)), ONE, steps=4, baseline="mean")
    wanted = [probability(4 - 3 * step / 4) for step in range(5)]
    np.testing.assert_allclose(even, [wanted], rtol=1e-6)
    last = np.array([[[0.0, 0.5], [0.0, 0.0]]])  # one goes first, then three together
    found = deletion_curve(Corner(), FOUR, last, ONE, steps=4, baseline="mean")
    wanted = [probability(4 - share) for share in (0, 0, 1, 2, 3)]
    np.testing.assert_allclose(found, [wanted], rtol=1e-6)


def test_a_contrast_is_the_probability_among_the_two() -> None:
    targets = ONE, torch.tensor([2])
    found = deletion_curve(Corner(), FOUR, POINTED, targets, steps=1, baseline="mean")
    wanted = [1 / (1 + np.exp(-2 * pixel)) for pixel in (4, 1)]
    np.testing.assert_allclose(found, [wanted], rtol=1e-6)


def test_the_predicted_class_is_that_of_the_whole_image() -> None:
    images = torch.cat([FOUR, -FOUR])
    maps = np.concatenate([POINTED, POINTED])
    found = insertion_curve(Corner(), images, maps, "predicted", steps=2, baseline="mean")
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
    assert found[0, 0] == pytest.approx(probability(1))


@pytest.mark.parametrize("baseline", ["blur", "mean"])
def test_deletion_ends_where_insertion_begins(baseline: Baseline) -> None:
    model, images = small_cnn(), noise(7)
    maps = class_maps(model, images, TARGETS).values
    deleted = deletion_curve(model, images, maps, TARGETS, baseline=baseline)
    inserted = insertion_curve(model, images, maps, TARGETS, baseline=baseline)
    assert deleted.shape == inserted.shape == (7, 21)
    np.testing.assert_allclose(deleted[:, -1], inserted[:, 0], atol=1e-5)
    np.testing.assert_allclose(deleted[:, 0], inserted[:, -1], atol=1e-5)
    whole = model(images).softmax(1)[torch.arange(7), TARGETS].detach().numpy()
    np.testing.assert_allclose(deleted[:, 0], whole, atol=1e-5)
    base = gaussian_blur(images, [37, 37], [6.0, 6.0])
    if baseline == "mean":
        base = images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    nothing = model(base).softmax(1)[torch.arange(7), TARGETS].detach().numpy()
    np.testing.assert_allclose(deleted[:, -1], nothing, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batches_change_nothing_but_memory(batch_size: int) -> None:
    model, images, seen = small_cnn(), noise(7), []
    maps = class_maps(model, images, TARGETS).values
    whole = deletion_curve(model, images, maps, TARGETS, steps=3)
    model.register_forward_hook(lambda _module, inputs, _output: seen.append(len(inputs[0])))
    parted = deletion_curve(model, images, maps, TARGETS, steps=3, batch_size=batch_size)
    np.testing.assert_allclose(parted, whole, atol=1e-6)
    assert max(seen) == batch_size


def test_bytes_are_taken_as_they_are() -> None:
    model = Scaled(small_cnn())
    images = (noise(7) * 40 + 128).clamp(0, 255).to(torch.uint8)
    maps = class_maps(model, images, TARGETS).values
    found = insertion_curve(model, images, maps, TARGETS, steps=3)
    wanted = insertion_curve(model, images.float(), maps, TARGETS, steps=3)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_the_model_is_left_as_found_even_in_inference_mode() -> None:
    model = small_cnn().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    maps = class_maps(model, noise(7), TARGETS).values
    with torch.inference_mode():
        deletion_curve(model, noise(7), maps, TARGETS, steps=2)
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_without_a_map_there_is_no_curve() -> None:
    maps = class_maps(small_cnn(), noise(2), TARGETS[:2]).values
    maps[1] = np.nan
    found = deletion_curve(small_cnn(), noise(2), maps, TARGETS[:2], steps=2)
    assert np.isnan(found).all(axis=1).tolist() == [False, True]
    assert np.isnan(area(found)).tolist() == [False, True]


def test_the_scale_of_a_map_does_not_matter() -> None:
    model, images = small_cnn(), noise(7)
    maps = class_maps(model, images, TARGETS).values
    found = deletion_curve(model, images, maps * np.float32(0.001), TARGETS, steps=5)
    np.testing.assert_allclose(
        found, deletion_curve(model, images, maps, TARGETS, steps=5), atol=1e-4
    )


@given(st.integers(0, 10_000))
def test_random_maps_keep_values_and_neighbours(seed: int) -> None:
    maps = np.random.default_rng(seed).random((3, 4, 5))
    moved = random_maps(maps, seed=seed)
    for axis in (1, 2):
        steps = [np.abs(each - np.roll(each, 1, axis)) for each in (maps, moved)]
        ordered = [np.sort(each.reshape(3, -1)) for each in steps]
        np.testing.assert_allclose(ordered[0], ordered[1])
    np.testing.assert_array_equal(np.sort(maps.reshape(3, -1)), np.sort(moved.reshape(3, -1)))


def test_random_maps_put_a_cell_anywhere_equally_often() -> None:
    maps = np.zeros((6000, 2, 3))
    maps[:, 0, 1] = 1
    counts = random_maps(maps).sum(axis=0)
    assert np.abs(counts - 1000).max() < 4 * np.sqrt(1000)
    undefined = random_maps(np.full((1, 2, 2), np.nan))
    assert np.isnan(undefined).all()


def bright_corner(faces: int) -> tuple[Tensor, np.ndarray]:
    """Images whose corner decides, and maps that point there."""
    generator = torch.Generator().manual_seed(0)
    images = 0.1 * torch.randn(faces, 1, 8, 8, generator=generator)
    images[:, :, 0, 0] += 3
    maps = np.zeros((faces, 4, 4))
    maps[:, 0, 0] = 1
    return images, maps


def curves(images: Tensor, maps: np.ndarray) -> dict[Kind, np.ndarray]:
    targets = torch.ones(len(images), dtype=torch.int64)
    return {
        "deletion": deletion_curve(Corner(), images, maps, targets),
        "insertion": insertion_curve(Corner(), images, maps, targets),
    }


def test_a_true_map_beats_chance_and_chance_does_not() -> None:
    images, maps = bright_corner(40)
    true, chance, other = (
        curves(images, each) for each in (maps, random_maps(maps), random_maps(maps, seed=1))
    )
    found = against_random(true, chance)
    assert found["kind"].tolist() == ["deletion", "insertion"]
    assert (found["low"] > 0.1).all()
    assert found["area"][0] < found["random_area"][0]
    assert found["area"][1] > found["random_area"][1]
    gains = [found["random_area"][0] - found["area"][0], found["area"][1] - found["random_area"][1]]
    assert found["gain"].tolist() == pytest.approx(gains)
    assert found["n"].tolist() == found["units"].tolist() == [40, 40]
    nothing = against_random(other, chance)
    assert ((nothing["low"] < 0) & (nothing["high"] > 0)).all()


def test_gains_are_by_person_and_of_faces_with_a_map() -> None:
    images, maps = bright_corner(6)
    true, chance = curves(images, maps), curves(images, random_maps(maps))
    true["deletion"][5] = np.nan
    found = against_random(true, chance, ["a", "a", "b", "b", "c", "d"])
    assert found["n"].tolist() == [5, 6]
    assert found["units"].tolist() == [3, 4]
    whole = against_random({"insertion": true["insertion"]}, {"insertion": chance["insertion"]})
    assert whole["gain"].tolist() == pytest.approx([found["gain"][1]])
    assert whole["low"][0] != pytest.approx(found["low"][1])


def test_agreement_with_what_differs_worked_out_by_hand() -> None:
    image, twin = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    twin[0, :, 0, 0], twin[0, 0, 0, 1] = -1.0, 0.6  # the second changes by .2 in the mean
    twin[0, :, 3, 3] = 0.05  # too little to count
    maps = np.array([[[4.0, 3.0], [2.0, 1.0]]])
    found = agreement_with_change(maps, image, twin).iloc[0]
    # The changes of the cells are .3, 0, 0, .0125: ranks 4, 1.5, 1.5, 3 against 4, 3, 2, 1.
    assert found["correlation"] == pytest.approx(1.5 / np.sqrt(5 * 4.5))
    assert found["area_changed"] == 2 / 16
    # Bilinear from 2 to 4 pixels: 4 stays in the corner, and beside it is 3/4 of 4 and 1/4 of 3.
    assert found["share_changed"] == pytest.approx((4 + 3.75) / 40)
    assert found["density_changed"] == pytest.approx((4 + 3.75) / 40 * 8)


def test_an_even_map_has_the_density_one() -> None:
    images = noise(70, side=8)
    found = agreement_with_change(np.ones((70, 4, 4)), images, noise(71, side=8)[1:])
    assert found["density_changed"].tolist() == pytest.approx([1] * 70)
    assert found["correlation"].isna().all()


def test_nothing_is_said_where_nothing_differs_or_no_map_is() -> None:
    images, twins = noise(3, side=8), noise(4, side=8)[1:].clone()
    twins[0] = images[0]
    maps = np.random.default_rng(0).random((3, 4, 4))
    maps[1] = np.nan
    found = agreement_with_change(maps, images, twins)
    assert found["share_changed"].isna().tolist() == [True, True, False]
    assert found["density_changed"].isna().tolist() == [True, True, False]
    assert found["correlation"].isna().tolist() == [True, True, False]
    assert found["area_changed"].isna().tolist() == [True, False, False]


def test_wrong_arguments_say_what_was_found() -> None:
    model, images, maps = small_cnn(), noise(2), np.ones((2, 6, 6))
    with pytest.raises(ConfigError, match="0 steps"):
        deletion_curve(model, images, maps, TARGETS[:2], steps=0)
    with pytest.raises(ConfigError, match="batches of 0"):
        deletion_curve(model, images, maps, TARGETS[:2], batch_size=0)
    with pytest.raises(ConfigError, match="blur or mean"):
        deletion_curve(model, images, maps, TARGETS[:2], baseline="black")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"\(3,\)"):
        deletion_curve(model, images, maps, TARGETS[:3])
    with pytest.raises(DataError, match=r"\(1, 6, 6\)"):
        insertion_curve(model, images, maps[:1], TARGETS[:2])
    with pytest.raises(DataError, match="no finer"):
        insertion_curve(model, images, np.ones((2, 49, 49)), TARGETS[:2])
    with pytest.raises(DataError, match="same kinds"):
        against_random({"deletion": np.ones((2, 3))}, {"insertion": np.ones((2, 3))})
    with pytest.raises(DataError, match="same faces"):
        against_random({"deletion": np.ones((2, 3))}, {"deletion": np.ones((3, 3))})
    with pytest.raises(DataError, match="a twin for each"):
        agreement_with_change(maps, images, noise(2, side=24))
