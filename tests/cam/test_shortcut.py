"""Maps of trained networks: what they must find, and how they must fail."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from torch import nn

from facebias.cam.between import compare_attention
from tests.simulations import shortcut
from tests.simulations.shortcut import (
    MODELS,
    Explained,
    Shortcut,
    attention_of,
    auc,
    explained,
    meaning,
    shares,
    trained,
)

pytestmark = pytest.mark.slow


@cache
def clean(kind: Shortcut) -> list[nn.Module]:
    """Networks whose train faces had the patch, or glasses, as often with either label."""
    return [trained(kind, 0.5, seed) for seed in range(MODELS)]


def all_explained(models: list[nn.Module], kind: Shortcut) -> list[Explained]:
    return [explained(model, kind) for model in models]


@pytest.mark.parametrize("kind", shortcut.SHORTCUTS)
def test_a_planted_shortcut_is_found(kind: Shortcut) -> None:
    others = all_explained(clean(kind), kind)
    found = all_explained([trained(kind, 1.0, seed) for seed in range(MODELS)], kind)
    # It is there: networks with the shortcut take it for happy, the others read the face.
    assert min(each.fooled for each in found) > max(each.fooled for each in others)
    assert np.mean([each.accuracy for each in others]) > 0.75  # half would be chance
    table = pd.concat([attention_of(found, kind, "shortcut"), attention_of(others, kind, "clean")])
    first, second = (shares(rows, kind) for _, rows in table.groupby("variant", sort=False))
    assert len(first) == len(second) == MODELS
    assert auc(first, second) >= 0.95
    row = compare_attention(table).iloc[0]
    assert (row["verdict"], row["n"]) == ("different", 2 * shortcut.TEST_PERSONS)


def test_seeds_of_one_variant_are_not_told_apart() -> None:
    found = all_explained(clean("patch"), "patch")
    table = attention_of(found, "patch", "clean")
    half = table["seed"] < MODELS // 2
    table["variant"] = np.where(half, "one half", "the other")
    assert compare_attention(table).iloc[0]["verdict"] == "not told apart"


def test_maps_of_networks_that_learnt_mean_something() -> None:
    found = meaning(clean("patch")[:3])
    assert (found.gains["low"] > 0).all()
    # The more of the network is random, the less is left of its maps.
    left = found.cascade["correlation"]
    assert left.iloc[0] == pytest.approx(1)
    assert left.iloc[1:].max() < 0.6
    assert abs(left.iloc[-1]) < 0.3
    assert found.agreement["density_changed"].mean() > 1.2
    assert (found.stability["low"] > 0).all()
