from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.multiprocessing.spawn import spawn

from facebias.errors import DataError
from facebias.fairness.accumulate import DecisionCounts
from facebias.fairness.counts import count_decisions

Row = tuple[int, int, int]
BATCHES = st.lists(
    st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 3), st.integers(0, 3)), max_size=8),
    max_size=5,
)


def accumulate(batches: list[list[Row]]) -> DecisionCounts:
    metric = DecisionCounts(n_groups=3, n_classes=4)
    for batch in batches:
        metric.update(*torch.tensor(batch, dtype=torch.int64).reshape(-1, 3).T)
    return metric


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")  # no batch yet
@settings(max_examples=50, deadline=None)
@given(batches=BATCHES)
def test_any_batches_equal_all_rows_at_once(batches: list[list[Row]]) -> None:
    kept = [row for batch in batches for row in batch if row[0] >= 0]
    columns = torch.tensor(kept, dtype=torch.int64).reshape(-1, 3).T.numpy()
    expected = count_decisions(*columns, n_groups=3, n_classes=4)
    counts = accumulate(batches).compute()
    assert counts.dtype == torch.int64
    assert torch.equal(counts, torch.from_numpy(expected))


def test_two_processes_add_up() -> None:
    one, other = [(0, 1, 1), (2, 0, 3)], [(1, 1, 1)]
    first, second = accumulate([one]), accumulate([other])
    first.merge_state(second)
    assert torch.equal(first.compute(), accumulate([one, other]).compute())


def count_share(rank: int, world: int, folder: str) -> None:
    """Count every so many batches in one process, and write what all processes have."""
    store = f"file://{folder}/meeting-{world}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    metric = accumulate(made_batches()[rank::world])
    torch.save(metric.compute(), Path(folder) / f"{world}-{rank}.pt")
    dist.destroy_process_group()


def made_batches() -> list[list[Row]]:
    """Return 7 batches of different lengths, one of them empty: no share is like another."""
    random = torch.Generator().manual_seed(0)
    sizes = torch.tensor([[4], [4], [4]])
    found = [torch.rand(3, n, generator=random) * sizes for n in (5, 0, 8, 1, 3, 13, 2)]
    return [[(int(g) - 1, int(a), int(b)) for g, a, b in each.T.tolist()] for each in found]


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_processes_together_count_what_one_counts(world: int, tmp_path: Path) -> None:
    spawn(count_share, (world, str(tmp_path)), nprocs=world)  # type: ignore[no-untyped-call]
    alone = accumulate(made_batches()).compute()
    for rank in range(world):
        counts = torch.load(tmp_path / f"{world}-{rank}.pt", weights_only=True)
        assert torch.equal(counts, alone)


def test_reset_and_earlier_results() -> None:
    metric = accumulate([[(0, 0, 0)]])
    before = metric.compute()
    metric.update(*torch.tensor([[0, 0, 0]]).T)
    assert before.sum() == 1
    assert metric.compute().sum() == 2
    metric.reset()
    metric.update(*torch.tensor([[1, 0, 0]]).T)
    assert metric.compute().sum() == 1


def test_half_precision_keeps_integers() -> None:
    assert accumulate([[(0, 0, 0)]]).half().compute().dtype == torch.int64


def test_a_row_that_is_not_counted_may_hold_anything() -> None:
    assert accumulate([[(-1, -1, 99), (0, 0, 0)]]).compute().sum() == 1


@pytest.mark.parametrize("row", [(3, 0, 0), (-2, 0, 0), (0, 4, 0), (0, -1, 0), (0, 0, 4)])
def test_refuses_values_out_of_range(row: Row) -> None:
    with pytest.raises(DataError, match="runs from"):
        accumulate([[row]])


def test_refuses_floats_and_other_shapes() -> None:
    metric = DecisionCounts(n_groups=3, n_classes=4)
    zeros = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(DataError, match="float32"):
        metric.update(zeros, zeros.float(), zeros)
    with pytest.raises(DataError, match="Shapes"):
        metric.update(zeros, zeros[:1], zeros)
