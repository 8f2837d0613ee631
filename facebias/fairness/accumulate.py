"""The counts of decisions, added up over batches and processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from facebias.errors import DataError


class DecisionCounts(Metric):
    """Add up `counts[group, label, predicted]`; what `count_decisions` gives for all rows at once.

    It computes no metric: a metric of each batch, averaged, is not the metric of all rows, but
    counts add up exactly, and a group absent from a batch adds zeros in its own place.

    Args:
        n_groups: G, how many groups were declared.
        n_classes: C, how many classes were declared.
        **kwargs: of `torchmetrics.Metric`.

    Shapes: `update` takes three integer tensors of shape (N,); `compute` gives int64 (G, C, C).
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    counts: Tensor

    def __init__(self, n_groups: int, n_classes: int, **kwargs: Any) -> None:  # noqa: ANN401
        """Start at zero everywhere."""
        super().__init__(**kwargs)
        self.n_groups, self.n_classes = n_groups, n_classes
        zeros = torch.zeros(n_groups, n_classes, n_classes, dtype=torch.int64)
        self.add_state("counts", default=zeros, dist_reduce_fx="sum")

    def update(self, groups: Tensor, labels: Tensor, predicted: Tensor) -> None:
        """Add the rows of one batch.

        Args:
            groups: shape (N,), integers in [-1, G); rows of group -1 (unknown) are not counted.
            labels: shape (N,), integers in [0, C) where the row counts.
            predicted: shape (N,), integers in [0, C) where the row counts.

        Raises:
            DataError: shapes that differ, values out of range, or tensors not of integers.
        """
        if not groups.shape == labels.shape == predicted.shape or groups.ndim != 1:
            raise DataError(
                f"Shapes {tuple(groups.shape)}, {tuple(labels.shape)}, {tuple(predicted.shape)}.",
                "three vectors of one length",
            )
        kept = groups != -1
        group = _checked_codes("groups", groups[kept], self.n_groups)
        label = _checked_codes("labels", labels[kept], self.n_classes)
        answer = _checked_codes("predicted", predicted[kept], self.n_classes)
        cells = (group * self.n_classes + label) * self.n_classes + answer
        added = torch.bincount(cells, minlength=self.counts.numel())
        # Not in place: a tensor that `compute` gave out earlier must keep its values.
        self.counts = self.counts + added.reshape(self.counts.shape)

    def compute(self) -> Tensor:
        """Return the counts of all rows so far, int64 of shape (G, C, C)."""
        return self.counts


def _checked_codes(name: str, codes: Tensor, size: int) -> Tensor:
    """Return `codes` as int64 after checking kind and range."""
    if codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool:
        raise DataError(f"{name} is of type {codes.dtype}.", "integers")
    if ((codes < 0) | (codes >= size)).any():
        raise DataError(
            f"{name} runs from {int(codes.min())} to {int(codes.max())}.",
            f"integers from 0 to {size - 1}" + (", or -1" if name == "groups" else ""),
        )
    return codes.to(torch.int64)
