from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from facebias.errors import ModelError
from facebias.models.backbones import TimmBackbone

SMALL = "mobilenetv3_small_100"
SHAPE: dict[str, Any] = {"classes": 4, "height": 48, "width": 48}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["resnet18", SMALL, "tf_efficientnet_lite0"])
def test_logits_of_gray_and_colour_faces(name: str, channels: int) -> None:
    network = TimmBackbone(name, channels=channels, **SHAPE).eval()
    assert network(torch.zeros(2, channels, 64, 64)).shape == (2, 4)


def test_frozen_trains_the_classifier_only() -> None:
    network = TimmBackbone("resnet18", frozen=True, channels=3, **SHAPE)
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert trained == {"network.fc.weight", "network.fc.bias"}


def test_frozen_keeps_its_batch_norm_statistics_in_training() -> None:
    network = TimmBackbone("resnet18", frozen=True, channels=3, **SHAPE).train()
    before = network.network.bn1.running_mean.clone()
    network(torch.rand(4, 3, 64, 64))
    assert torch.equal(network.network.bn1.running_mean, before)
    free = TimmBackbone("resnet18", channels=3, **SHAPE).train()
    before = free.network.bn1.running_mean.clone()
    free(torch.rand(4, 3, 64, 64))
    assert not torch.equal(free.network.bn1.running_mean, before)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_a_file_are_used_whatever_its_classifier(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(1)
    donor: Any = timm.create_model("resnet18", num_classes=10)
    file = tmp_path / f"donor{suffix}"
    if suffix == ".pth":
        torch.save(donor.state_dict(), file)
    else:
        from safetensors.torch import save_file

        save_file(donor.state_dict(), file)
    network = TimmBackbone("resnet18", weights=str(file), channels=3, **SHAPE)
    images = torch.rand(2, 3, 64, 64)
    donor.eval()
    network.eval()
    features = network.network.forward_features(images)
    assert torch.equal(features, donor.forward_features(images))


def test_gray_weights_answer_as_colour_weights_do_on_a_gray_image(tmp_path: Path) -> None:
    donor = timm.create_model("resnet18", num_classes=4)
    torch.save(donor.state_dict(), tmp_path / "donor.pth")
    gray = TimmBackbone("resnet18", weights=str(tmp_path / "donor.pth"), channels=1, **SHAPE).eval()
    image = torch.rand(2, 1, 64, 64)
    expected = donor.eval()(image.expand(-1, 3, -1, -1))
    assert torch.allclose(gray(image), expected, atol=1e-4)


def test_a_weights_file_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "run",))

    torch.save({"conv1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="cannot be read as weights"):
        TimmBackbone("resnet18", weights=str(tmp_path / "evil.pth"), channels=3, **SHAPE)
    assert not (tmp_path / "run").exists()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(timm.create_model(SMALL).state_dict(), tmp_path / "other.pth")
    with pytest.raises(ModelError, match="lacks"):
        TimmBackbone("resnet18", weights=str(tmp_path / "other.pth"), channels=3, **SHAPE)


def test_missing_weights_and_unknown_names_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no weights file"):
        TimmBackbone("resnet18", weights=str(tmp_path / "no.pth"), channels=3, **SHAPE)
    with pytest.raises(ModelError, match="resnet18"):
        TimmBackbone("resnet_18", channels=3, **SHAPE)


def test_offline_is_told_clearly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"model\.weights=FILE") as caught:
        TimmBackbone(SMALL, pretrained=True, channels=1, **SHAPE)
    assert "could not be had" in str(caught.value)
