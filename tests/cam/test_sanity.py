import numpy as np
import pytest
import torch

from facebias.cam.explain import class_maps
from facebias.cam.sanity import _randomised, cascade, stability
from facebias.cam.similarity import rank_correlation
from facebias.errors import ConfigError, ModelError
from tests.cam.networks import noise, small_cnn

TARGETS = torch.tensor([0, 2, 1, 1, 0, 2, 2])


def test_layers_are_randomised_from_the_last_to_the_first() -> None:
    found = cascade(small_cnn(), noise(7), TARGETS)
    assert found["layer"].tolist() == ["", "4", "2.0", "1.0", "0.0"]
    assert found["stage"].tolist() == [0, 1, 2, 3, 4]
    assert found.loc[0, ["correlation", "low", "high"]].tolist() == pytest.approx([1, 1, 1])
    assert (found["correlation"][1:] < 0.9).all()
    assert (found["n"] + found["undefined"]).tolist() == [7] * 5


def test_stages_part_the_layers_evenly() -> None:
    found = cascade(small_cnn(), noise(7), TARGETS, stages=2)
    assert found["layer"].tolist() == ["", "2.0", "0.0"]


def test_each_stage_keeps_what_the_ones_before_it_made_random() -> None:
    model = small_cnn()
    trained = dict(model.named_parameters())
    for name, network in _randomised(model, noise(1), 8, seed=0):
        changed = [
            key for key, value in network.named_parameters() if not torch.equal(value, trained[key])
        ]
        weights = [key for key in trained if key.endswith("weight") and trained[key].ndim > 1]
        assert [key for key in weights if key in changed] == weights[
            weights.index(f"{name}.weight") :
        ]
        for key, value in network.named_parameters():
            assert torch.equal(value.flatten().sort()[0], trained[key].flatten().sort()[0])


def test_the_model_and_the_dice_are_left_as_found() -> None:
    model = small_cnn().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    dice = torch.get_rng_state()
    cascade(model, noise(2), TARGETS[:2])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), dice)
    seeded = [cascade(model, noise(2), TARGETS[:2], seed=seed) for seed in (0, 0, 1)]
    assert seeded[0].equals(seeded[1])
    assert not seeded[0].equals(seeded[2])


def test_a_map_that_does_not_ask_the_head_stays_without_it() -> None:
    found = cascade(small_cnn(), noise(7), TARGETS, method="eigen_cam")
    assert found["correlation"][1] == pytest.approx(1)
    assert found["correlation"][2] < 0.9


def test_a_network_without_weights_or_stages_is_refused() -> None:
    with pytest.raises(ModelError, match="no weights"):
        list(_randomised(torch.nn.ReLU(), noise(1), 8, seed=0))
    with pytest.raises(ConfigError, match="0 stages"):
        cascade(small_cnn(), noise(2), TARGETS[:2], stages=0)


def test_seeds_are_held_against_each_other_pair_by_pair() -> None:
    maps = class_maps(small_cnn(), noise(7), TARGETS).values
    broken = maps.copy()
    broken[0] = np.nan
    other = np.random.default_rng(0).random(maps.shape)
    found = stability({"one": maps, "same": broken, "other": other}, list("aabbccd"))
    assert found[["first", "second"]].to_numpy().tolist() == [
        ["one", "same"],
        ["one", "other"],
        ["same", "other"],
    ]
    assert found["correlation"][0] == pytest.approx(1)
    assert found["correlation"][1] == pytest.approx(rank_correlation(maps, other).mean())
    assert (found["n"].tolist(), found["units"].tolist()) == ([6, 7, 6], [4, 4, 4])
    assert stability({"one": maps}).empty
