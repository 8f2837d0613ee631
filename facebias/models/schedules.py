"""Learning rate schedules over a known number of steps; the peak is the optimizer's own rate."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR


def one_cycle(optimizer: Optimizer, total_steps: int, warm_up: float = 0.3) -> LRScheduler:
    """Rise to the optimizer's rate and fall to nearly 0 (Smith & Topin 2019).

    Momentum falls while the rate rises, where the optimizer has any.

    Args:
        optimizer: its rates are the peaks.
        total_steps: steps of the whole training.
        warm_up: share of the steps that rise, 0..1.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    has_momentum = all(
        "betas" in group or group.get("momentum", 0) > 0 for group in optimizer.param_groups
    )
    return OneCycleLR(optimizer, rates, total_steps, pct_start=warm_up, cycle_momentum=has_momentum)


def cosine(optimizer: Optimizer, total_steps: int) -> LRScheduler:
    """Fall from the optimizer's rate to 0 along a half cosine (Loshchilov & Hutter 2017)."""
    return CosineAnnealingLR(optimizer, total_steps)


def constant(optimizer: Optimizer, total_steps: int) -> LRScheduler:
    """Keep the optimizer's rate."""
    return ConstantLR(optimizer, factor=1.0, total_iters=total_steps)
