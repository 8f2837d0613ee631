"""A training that goes on needs no first weights any more: its checkpoint holds all of them."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from facebias.models import backbones
from facebias.train import train
from tests.drawn_faces import write_class_folders
from tests.resumed import StopAt, Stopped, add_callback, assert_same_results
from tests.trained import compose_train

MODEL = ("model=timm", "model.name=test_convnext", "data.copies=report", "callbacks.cam=null")
create: Callable[..., torch.nn.Module] = timm.create_model


def from_hub(name: str, pretrained: bool = False, **options: Any) -> torch.nn.Module:  # noqa: ANN401
    """Make a network as if a hub had weights for it."""
    network = create(name, **options)
    if pretrained:
        torch.nn.init.constant_(network.get_classifier().bias, 0.25)  # type: ignore[operator]
    return network


def no_hub(name: str, pretrained: bool = False, **options: Any) -> torch.nn.Module:  # noqa: ANN401
    if pretrained:
        raise OSError("no hub")
    return create(name, **options)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["a hub", "a file"])
def test_a_training_goes_on_where_its_first_weights_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    faces = write_class_folders(tmp_path / "faces", train=12, test=4)
    monkeypatch.setattr(backbones, "hub_or_cache", nullcontext)
    monkeypatch.setattr(timm, "create_model", from_hub)
    file = tmp_path / "weights.pt"
    torch.save(from_hub("test_convnext", True, num_classes=4, in_chans=1).state_dict(), file)
    weights = {"a hub": "model.pretrained=true", "a file": f"model.weights={file}"}[source]
    undisturbed = train(compose_train(tmp_path / "undisturbed", faces, *MODEL, weights))
    config = compose_train(tmp_path, faces, *MODEL, weights)
    with monkeypatch.context() as patch:
        add_callback(patch, StopAt("on_train_epoch_start", epoch=1))
        with pytest.raises(Stopped):
            train(config)
    monkeypatch.setattr(timm, "create_model", no_hub)
    file.unlink()
    assert_same_results(train(config), undisturbed)
