"""What a map explains: a class of each image, or the contrast of two."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from facebias.errors import ConfigError, DataError, ModelError

Targets: TypeAlias = Tensor | tuple[Tensor, Tensor] | Literal["predicted"]
"""Classes (N,), a pair of such (for the first, against the second), or "predicted"."""

_WORDS = ("predicted", "label")


def named_targets(
    choice: str | Sequence[str], classes: Sequence[str], labels: Sequence[str]
) -> Targets:
    """Turn names into targets.

    Maps of different models are compared for one named class; the predicted class differs between
    models, and so would what their maps explain.

    Args:
        choice: a class, "predicted", "label" (each face's own), or a pair for a contrast: the
            first (a class or "label") against the second.
        classes: the names of the classes, in the order of the logits.
        labels: the true class of each image, (N,).

    Returns:
        Targets as `class_maps` takes them.

    Raises:
        ConfigError: a name that is no class, a class against itself, "predicted" within a pair,
            or a class that is called "predicted" or "label".
        DataError: a label that is no class, where labels are asked for.

    >>> named_targets("sad", ["happy", "sad"], ["happy", "happy"])
    tensor([1, 1])
    >>> named_targets("label", ["happy", "sad"], ["happy", "sad"])
    tensor([0, 1])
    >>> named_targets(["sad", "happy"], ["happy", "sad"], ["happy"])
    (tensor([1]), tensor([0]))
    """
    if taken := [word for word in _WORDS if word in classes]:
        raise ConfigError(
            f"A class is named {taken[0]!r}.", "this word means something else as a target"
        )
    if choice == "predicted":
        return "predicted"
    if isinstance(choice, str):
        return _one(choice, classes, labels)
    if len(choice) != 2 or choice[0] == choice[1]:
        raise ConfigError(f"The target {list(choice)}.", "a name, or a pair of different classes")
    return _one(choice[0], classes, labels), _one(choice[1], classes, labels)


def _one(name: str, classes: Sequence[str], labels: Sequence[str]) -> Tensor:
    index = {each: number for number, each in enumerate(classes)}
    if name == "label":
        if strange := sorted(set(labels) - set(index)):
            raise DataError(f"The label {strange[0]!r}.", f"one of {', '.join(classes)}")
        return torch.tensor([index[label] for label in labels], dtype=torch.int64)
    if name not in index:
        raise ConfigError(f"The target {name!r}.", f"predicted, label, {', '.join(classes)}")
    return torch.full((len(labels),), index[name], dtype=torch.int64)


def check_targets(targets: Targets, count: int) -> None:
    """Refuse targets that do not fit the images.

    Args:
        targets: to be checked.
        count: of the images.

    Raises:
        DataError: neither "predicted" nor integers (count,) or a pair of such.
    """
    if isinstance(targets, str):
        if targets != "predicted":
            raise DataError(f"The targets {targets!r}.", '"predicted", or integers')
        return
    for each in targets if isinstance(targets, tuple) else (targets,):
        if each.shape != (count,) or each.is_floating_point():
            raise DataError(
                f"Targets of shape {tuple(each.shape)} and {each.dtype}.",
                f"({count},) integers: one class for each image",
            )


def part(targets: Targets, rows: slice) -> Targets:
    """Return the targets of some of the images."""
    if isinstance(targets, str):
        return targets
    if isinstance(targets, tuple):
        return targets[0][rows], targets[1][rows]
    return targets[rows]


def directions(targets: Targets, logits: Tensor) -> Tensor:
    """Return what a score takes from each logit: 1 of the class, -1 of the one it is against.

    Args:
        targets: of N images.
        logits: (N, C); they settle what "predicted" is.

    Returns:
        (N, C), in the dtype of the logits. A class against itself has 0 throughout, so that its
        map is undefined.

    Raises:
        ModelError: logits that are not (N, C), or a target that is not among the C classes.

    >>> directions((torch.tensor([1]), torch.tensor([0])), torch.tensor([[5.0, 2.0, 3.0]]))
    tensor([[-1.,  1.,  0.]])
    """
    positive, negative = settled(targets, logits)
    direction = functional.one_hot(positive, logits.shape[1])
    if negative is not None:
        direction = direction - functional.one_hot(negative, logits.shape[1])
    return direction.to(logits.dtype)


def settled(targets: Targets, logits: object) -> tuple[Tensor, Tensor | None]:
    """Return the classes that are explained, (N,), and those they are set against, if any.

    Args:
        targets: of N images.
        logits: (N, C).

    Raises:
        ModelError: logits that are not (N, C), or a target that is not among the C classes.
    """
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(f"The model gave {found}.", "logits (N, classes)")
    if isinstance(targets, str):
        return logits.detach().argmax(dim=1), None
    pair = targets if isinstance(targets, tuple) else (targets,)
    chosen = [each.to(logits.device, torch.int64, copy=True) for each in pair]
    for each in chosen:
        if each.min() < 0 or each.max() >= logits.shape[1]:
            raise ModelError(
                f"Targets from {int(each.min())} to {int(each.max())}.",
                f"0 to {logits.shape[1] - 1}, as the model has {logits.shape[1]} classes",
            )
    return chosen[0], chosen[1] if len(chosen) > 1 else None


def scores(logits: Tensor, direction: Tensor) -> Tensor:
    """Return the score that a map explains, (N,): the class logit, or the difference of two.

    Args:
        logits: (N, C).
        direction: as `directions` gives it, (N, C).
    """
    return (logits * direction).sum(dim=1)
