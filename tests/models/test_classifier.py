from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score
from torch import nn

from facebias.data.datamodule import FaceBatch
from facebias.errors import ConfigError
from facebias.models.classifier import FaceClassifier
from facebias.models.cnn import CNN
from facebias.models.normalise import Normalise
from facebias.models.schedules import constant

COUNTS = torch.tensor([30, 10, 20])


def classifier(**options: Any) -> FaceClassifier:  # noqa: ANN401 - as its own
    torch.manual_seed(0)
    network = CNN([4, 5], [3, 3], classes=3, channels=1, height=16, width=16)
    half = np.full((1, 1, 1), 0.5, np.float32)
    return FaceClassifier(
        network=network,
        normalise=Normalise(half, half, by_image=False),
        class_counts=COUNTS,
        scheduler=constant,
        **options,
    )


def batch(count: int = 12, seed: int = 0) -> FaceBatch:
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 16, 16), dtype=torch.uint8, generator=random)
    labels = torch.arange(count) % 3
    return FaceBatch(images, labels, torch.arange(count), torch.ones(count))


def logged(model: FaceClassifier, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    found: dict[str, float] = {}
    monkeypatch.setattr(
        model, "log_dict", lambda values: found.update({k: float(v) for k, v in values.items()})
    )
    monkeypatch.setattr(model, "log", lambda *_, **__: None)
    return found


def test_loss_is_cross_entropy_with_label_smoothing() -> None:
    model, faces = classifier(label_smoothing=0.1).eval(), batch()
    logits = model(faces.images)
    expected = nn.functional.cross_entropy(logits, faces.labels, label_smoothing=0.1)
    assert torch.allclose(model.training_step(faces, 0), expected)


def test_balanced_weights_make_every_class_weigh_the_same() -> None:
    weights = classifier(class_weights="balanced").loss.weight
    assert weights is not None
    assert torch.allclose(weights * COUNTS, torch.full((3,), 20.0))
    assert classifier().loss.weight is None


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_weights_of_faces_make_a_weighted_mean_and_multiply_with_those_of_classes(
    class_weights: str,
) -> None:
    model, faces = classifier(class_weights=class_weights).eval(), batch()
    weights = torch.linspace(0, 2, len(faces.labels))
    of_class = model.loss.weight
    logits = model(faces.images)
    plain = nn.functional.cross_entropy(logits, faces.labels, of_class)
    assert torch.allclose(model.training_step(faces, 0), plain)
    found = model.training_step(faces._replace(weights=weights), 0)
    singly = nn.functional.cross_entropy(logits, faces.labels, reduction="none")
    each = weights if of_class is None else weights * of_class[faces.labels]
    assert torch.allclose(found, (singly * each).sum() / each.sum(), atol=1e-6)
    assert not torch.allclose(found, plain)


def test_validation_metrics_equal_scikit_learn_over_uneven_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, parts = classifier().eval(), [batch(12, 1), batch(5, 2), batch(30, 3)]
    found = logged(model, monkeypatch)
    predicted = np.concatenate([model.validation_step(part, 0).numpy() for part in parts])
    model.on_validation_epoch_end()
    labels = np.concatenate([part.labels.numpy() for part in parts])
    scores = np.concatenate([model.predict_step(part, 0).detach().numpy() for part in parts])
    losses = [model.loss(model(part.images), part.labels, part.weights).item() for part in parts]
    expected = {
        "loss": np.average(losses, weights=[12, 5, 30]),
        "accuracy": accuracy_score(labels, predicted),
        "auroc": roc_auc_score(labels, scores, multi_class="ovr"),
    }
    averaged: dict[str, Callable[..., float]] = {
        "precision": precision_score,
        "recall": recall_score,
        "f1": f1_score,
    }
    for name, score in averaged.items():
        for average in ("macro", "micro"):
            expected[f"{average}_{name}"] = score(
                labels, predicted, average=average, zero_division=0
            )
    assert found == pytest.approx(
        {f"validation/{name}": value for name, value in expected.items()}, abs=1e-5
    )


def test_metrics_begin_anew_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier().eval()
    found = logged(model, monkeypatch)
    model.validation_step(batch(12, 1), 0)
    model.on_validation_epoch_end()
    first = dict(found)
    model.validation_step(batch(30, 2), 0)
    model.on_validation_epoch_end()
    assert found != first
    model.validation_step(batch(12, 1), 0)
    model.on_validation_epoch_end()
    assert found == first


def test_probabilities_are_float32_and_add_up_to_1() -> None:
    probabilities = classifier().eval().predict_step(batch(), 0)
    assert probabilities.dtype == torch.float32
    assert torch.allclose(probabilities.sum(1), torch.ones(12))


@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_format_reaches_the_network_and_changes_no_answer(channels_last: bool) -> None:
    model = classifier(channels_last=channels_last).eval()
    weight = model.network.get_parameter("blocks.1.convolution.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last) is channels_last
    other = classifier(channels_last=not channels_last).eval()
    assert torch.allclose(model(batch().images), other(batch().images), atol=1e-5)


def step_twice(momentum: float) -> torch.Tensor:
    model = classifier(optimizer=partial(torch.optim.SGD, lr=0.1, momentum=momentum))
    model._scheduler = None
    optimizer = model.configure_optimizers()
    model.eval()
    for _ in range(2):
        optimizer.zero_grad()
        model.loss(model(batch().images), batch().labels, batch().weights).backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_momentum_acts() -> None:
    assert not torch.allclose(step_twice(0.9), step_twice(0.0))


def test_frozen_parameters_are_not_given_to_the_optimizer() -> None:
    model = classifier(optimizer=partial(torch.optim.SGD, lr=0.1))
    model._scheduler = None
    model.network.blocks.requires_grad_(False)
    groups = model.configure_optimizers().param_groups
    assert sum(len(group["params"]) for group in groups) == 2


def test_a_model_for_prediction_refuses_to_train() -> None:
    with pytest.raises(ConfigError, match="predict"):
        classifier().configure_optimizers()
