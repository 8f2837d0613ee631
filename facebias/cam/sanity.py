"""Do maps depend on what was learnt? Weights at random, and other seeds.

A map that stays as it is when the network's weights are dealt out at random shows the image, not
the network.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain, combinations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facebias.cam.averages import Persons, average
from facebias.cam.explain import class_maps
from facebias.cam.similarity import rank_correlation
from facebias.cam.state import explaining
from facebias.errors import ConfigError, ModelError

STAGES = 8
"""Stages in which the layers of a network are randomised."""


def cascade(
    model: nn.Module,
    images: Tensor,
    targets: Tensor | tuple[Tensor, Tensor],
    *,
    layer: str | Sequence[str] = "auto",
    method: str = "layer_cam",
    stages: int = STAGES,
    batch_size: int = 64,
    persons: Persons = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Randomise a network from its last layer to its first, and see how far its maps stay.

    In each stage some more layers lose what they learnt: each tensor of weights is dealt out anew
    among its own places, so that sizes stay what they were, whatever the kind of layer. Statistics
    of batch norms stay. The maps of each stage are held against those of the trained network by
    rank correlation.

    Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018 (cascading randomisation, there
    with weights drawn as before the training).

    Args:
        model: maps images to logits; only a copy is randomised.
        images: (N, C, H, W).
        targets: the class to explain, (N,), or a pair for a contrast.
        layer: as `class_maps` takes it.
        method: as `class_maps` takes it.
        stages: at most so many; the layers are parted evenly.
        batch_size: images in one forward.
        persons: who each face is, (N,); None where each is a person of its own.
        seed: of the dealing out; torch's own state is left as found.

    Returns:
        One row a stage, the trained network first: stage (0, 1, ...), layer (the one nearest the
        image that is random by then; empty in the first), correlation (mean over faces, -1..1; 1 in
        the first), low, high (its interval at 95 %, see `average`), n (faces with a map before and
        after), units (persons), undefined (faces with a map before and none after). A map that
        means something is near 0 at the end.

    Raises:
        ConfigError: no stages, or as of `class_maps`.
        DataError: as of `class_maps`.
        ModelError: as of `class_maps`, or a model without weights.
    """
    if stages < 1:
        raise ConfigError(f"{stages} stages.", "1 or more")

    def explain(network: nn.Module) -> NDArray[np.float32]:
        maps = class_maps(
            network, images, targets, layer=layer, method=method, batch_size=batch_size
        )
        return maps.values

    rows = []
    trained = explain(model)
    networks = chain([("", model)], _randomised(model, images, stages, seed))
    for stage, (name, network) in enumerate(networks):
        maps = explain(network) if stage else trained
        found = average(rank_correlation(trained, maps), persons)
        lost = np.isfinite(trained).all(axis=(1, 2)) & np.isnan(maps).any(axis=(1, 2))
        rows.append(
            {"stage": stage, "layer": name, "correlation": found.value, "low": found.low}
            | {"high": found.high, "n": found.n, "units": found.units, "undefined": int(lost.sum())}
        )
    return pd.DataFrame(rows)


def stability(maps: Mapping[str, NDArray[np.floating]], persons: Persons = None) -> pd.DataFrame:
    """Hold the maps of models against each other that differ in their seed only.

    What two seeds of one variant have in common is the most that one may read into a map of one of
    them.

    Args:
        maps: of each seed's run (N, h, w), all of the same faces and the same named classes.
        persons: who each face is, (N,); None where each is a person of its own.

    Returns:
        One row a pair of runs: first, second, correlation (Spearman's over cells, mean over the
        faces, -1..1), low, high (its interval at 95 %, see `average`), n (faces with both maps),
        units (persons).

    Raises:
        DataError: maps of different shapes.
    """
    rows = []
    for first, second in combinations(maps, 2):
        found = average(rank_correlation(maps[first], maps[second]), persons)
        rows.append(
            {"first": first, "second": second, "correlation": found.value}
            | {"low": found.low, "high": found.high, "n": found.n, "units": found.units}
        )
    return pd.DataFrame(
        rows, columns=["first", "second", "correlation", "low", "high", "n", "units"]
    )


def _randomised(
    model: nn.Module, images: Tensor, stages: int, seed: int
) -> Iterator[tuple[str, nn.Module]]:
    """Yield a copy that is ever more random, and the name of the last layer reached."""
    network, generator = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    layers = _layers(network, images[:1])
    if not layers:
        raise ModelError("The model has no weights.", "layers with weights, which can be random")
    for some in reversed(np.array_split(np.arange(len(layers)), min(stages, len(layers)))):
        for place in some[::-1]:
            for module in layers[place]:
                _deal_out(network.get_submodule(module), generator)
        yield layers[some[0]][0], network


def _layers(model: nn.Module, example: Tensor) -> list[list[str]]:
    """Return the modules with weights in the order in which they run, norms with what they follow.

    A module that never runs has no part in any map.
    """
    ran: dict[str, nn.Module] = {}
    with ExitStack() as stack:
        stack.enter_context(explaining(model))
        for name, module in model.named_modules():
            if any(True for _ in module.parameters(recurse=False)):
                note = partial(_note, ran, name)
                stack.callback(module.register_forward_hook(note).remove)
        device = next((parameter.device for parameter in model.parameters()), example.device)
        with torch.no_grad():
            model(example.to(device, copy=True))
    layers: list[list[str]] = []
    for name, module in ran.items():
        if layers and all(each.ndim < 2 for each in module.parameters(recurse=False)):
            layers[-1].append(name)
        else:
            layers.append([name])
    return layers


def _note(
    ran: dict[str, nn.Module], name: str, module: nn.Module, _inputs: object, _output: object
) -> None:
    ran.setdefault(name, module)


def _deal_out(module: nn.Module, generator: torch.Generator) -> None:
    """Give the module's own weights other places within their tensor."""
    for parameter in module.parameters(recurse=False):
        order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
        parameter.data = parameter.data.flatten()[order].view(parameter.shape)
