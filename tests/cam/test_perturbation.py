import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facebias.cam.attribution import infidelity, sensitivity
from facebias.cam.explain import class_maps
from facebias.cam.layers import find_pooled, find_stages
from facebias.cam.perturbation import ablation_drops, masked_scores
from facebias.errors import ConfigError, DataError, ModelError
from tests.cam.networks import Scaled, noise, small_cnn
from tests.cam.test_state import mixed_model, snapshot

EVERY = ("eigen_cam", "score_cam", "ablation_cam", "integrated_gradients", "occlusion")


class Averaged(nn.Module):
    """Two channels of the image, doubled and averaged, then a linear layer: all is known."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.ReLU()
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[1.0, -1.0], [0.0, 2.0]]))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layer(images).mean((2, 3)))  # type: ignore[no-any-return]


def two_channels() -> Tensor:
    image = torch.zeros(1, 2, 4, 4)
    image[0, 0, 0, 0], image[0, 1, 3, 3] = 16, 8
    return image


def test_drops_are_what_each_channel_gave_to_the_score() -> None:
    model, direction = Averaged().eval(), torch.tensor([[1.0, 0.0]])
    for batch_size in (1, 2, 5):
        drops = ablation_drops(model, model.layer, two_channels(), 2, direction, batch_size)
        assert drops.tolist() == [[1.0, -0.5]]


def test_masked_scores_see_the_image_through_each_channel() -> None:
    model, direction = Averaged().eval(), torch.tensor([[1.0, 0.0]])
    images = two_channels()
    found = masked_scores(model, images, images, direction, 1)
    # The corner that is seen keeps its value, 15 cells are each channel's mean, 1 and 0.5.
    first = (16 + 15 * 1) / 16 - (0 + 15 * 0.5) / 16
    second = (0 + 15 * 1) / 16 - (8 + 15 * 0.5) / 16
    torch.testing.assert_close(found, torch.tensor([[first, second]]))


def test_cam_is_exact_by_hand() -> None:
    maps = class_maps(Averaged().eval(), two_channels(), torch.tensor([0]), method="cam")
    assert maps.layer == "layer"
    assert np.argwhere(maps.values[0]).tolist() == [[0, 0]]
    contrast = (torch.tensor([1]), torch.tensor([0]))
    against = class_maps(Averaged().eval(), two_channels(), contrast, method="cam")
    assert np.argwhere(against.values[0]).tolist() == [[3, 3]]


def test_cam_of_a_head_that_averages_nothing_is_refused() -> None:
    with pytest.raises(ModelError, match="not the mean of each channel"):
        class_maps(small_cnn(), noise(1), torch.tensor([0]), method="cam")
    with pytest.raises(ModelError, match="linear"):
        find_pooled(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), noise(1))


@pytest.mark.parametrize("method", EVERY)
def test_every_method_gives_maps_and_leaves_the_model_as_found(method: str) -> None:
    model = mixed_model()
    before = snapshot(model)
    with torch.inference_mode():
        images = (noise(3) * 40 + 128).clamp(0, 255).to(torch.uint8)
        state = torch.get_rng_state()
        maps = class_maps(Scaled(model), images, torch.tensor([0, 1, 2]), method=method)
    assert torch.equal(torch.get_rng_state(), state)
    assert snapshot(model) == before
    assert maps.values.shape == ((3, 48, 48) if maps.layer == "image" else (3, 12, 12))
    assert maps.defined.all()
    assert maps.values.min() >= 0
    np.testing.assert_allclose(maps.values.max(axis=(1, 2)), 1)


@pytest.mark.parametrize("method", EVERY)
def test_chunks_of_any_size_give_the_same(method: str) -> None:
    model, targets = small_cnn(), torch.tensor([0, 1, 2])
    whole = class_maps(model, noise(3), targets, method=method)
    chunked = class_maps(model, noise(3), targets, method=method, batch_size=2)
    np.testing.assert_allclose(chunked.values, whole.values, atol=2e-4)


def test_stages_are_the_last_of_each_size() -> None:
    assert find_stages(small_cnn(), (1, 48, 48)) == ("0.2", "1.2", "2.2")
    maps = class_maps(small_cnn(), noise(2), torch.tensor([0, 1]), layer="stages")
    assert maps.layer == "0.2 + 1.2 + 2.2"
    assert maps.values.shape == (2, 48, 48)
    named = class_maps(small_cnn(), noise(2), torch.tensor([0, 1]), layer=["0.2", "1.2", "2.2"])
    np.testing.assert_array_equal(named.values, maps.values)


def test_layers_that_a_method_does_not_have_are_refused() -> None:
    model, images, targets = small_cnn(), noise(1), torch.tensor([0])
    with pytest.raises(ConfigError, match="only layer_cam"):
        class_maps(model, images, targets, layer="stages", method="grad_cam")
    with pytest.raises(ConfigError, match="looks at no layer"):
        class_maps(model, images, targets, layer="2.2", method="occlusion")
    with pytest.raises(ConfigError, match="No layer"):
        class_maps(model, images, targets, layer=[])


def test_a_perfect_map_of_a_linear_model_is_faithful_and_another_is_not() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=False)).eval()
    true = torch.rand(8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        model.get_parameter("1.weight").copy_(torch.stack([true.flatten(), -true.flatten()]))
    images, targets = noise(3, side=8), torch.tensor([0, 0, 0])
    maps = np.stack([true.numpy(), true.numpy().T, np.full((8, 8), np.nan)]).astype(np.float32)
    found = infidelity(model, images, targets, maps)
    assert found[0] < 1e-6 < found[1]
    assert np.isnan(found[2])
    np.testing.assert_array_equal(infidelity(model, images, targets, maps), found)
    with pytest.raises(DataError, match="resize_maps"):
        infidelity(model, images, targets, maps[:, :4])


def test_a_map_that_never_changes_is_not_sensitive_and_one_of_the_image_is() -> None:
    images = noise(2, side=8)
    constant = sensitivity(lambda given: np.ones((len(given), 2, 2), np.float32), images)
    assert constant.tolist() == [0, 0]
    near = sensitivity(lambda given: given[:, 0].numpy(), images, radius=0.1)
    far = sensitivity(lambda given: given[:, 0].numpy(), images, radius=0.2)
    np.testing.assert_allclose(far, 2 * near, rtol=1e-4)
    assert (near > 0).all()
