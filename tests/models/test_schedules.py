from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from facebias.models import schedules


def rates(make: str, steps: int = 20, **options: float) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler: LRScheduler = getattr(schedules, make)(optimizer, total_steps=steps, **options)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(found) < steps:
            scheduler.step()
    return found


def test_one_cycle_peaks_at_the_rate_of_the_optimizer_and_ends_near_0() -> None:
    found = rates("one_cycle", warm_up=0.25)
    assert max(found) == pytest.approx(0.5)
    assert found.index(max(found)) == 4
    assert found[-1] < 1e-4 * 0.5


def test_cosine_falls_from_the_rate_of_the_optimizer() -> None:
    found = rates("cosine")
    assert found[0] == 0.5
    assert found[10] == pytest.approx(0.25)
    assert all(later < earlier for earlier, later in pairwise(found))


def test_constant_stays() -> None:
    assert set(rates("constant")) == {0.5}


@pytest.mark.parametrize(("momentum", "moves"), [(0.9, True), (0.0, False)])
def test_one_cycle_moves_momentum_only_where_there_is_any(momentum: float, moves: bool) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5, momentum=momentum)
    scheduler = schedules.one_cycle(optimizer, total_steps=10)
    optimizer.step()
    scheduler.step()
    assert (optimizer.param_groups[0]["momentum"] != momentum) is moves
