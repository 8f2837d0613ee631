"""How the faces of a batch and of a split are shared out among the ranks of a training."""

from itertools import chain, zip_longest

from hypothesis import given
from hypothesis import strategies as st

from facebias.data.datamodule import TableOrder, TrainBatches, TrainOrder

worlds = st.integers(1, 5)
counts = st.integers(1, 300)
sizes = st.integers(1, 70)


def shares(count: int, size: int, world: int) -> list[list[list[int]]]:
    """Return the rows of each batch of each rank."""
    order = TrainOrder(count, 3, lambda: 2)
    ranks = [TrainBatches(order, size, rank=rank, world=world) for rank in range(world)]
    assert len({len(rank) for rank in ranks}) == 1
    return [[[row for _, row in batch] for batch in rank] for rank in ranks]


@given(counts, sizes, worlds)
def test_the_ranks_shares_of_a_batch_are_one_processs_batch(
    count: int, size: int, world: int
) -> None:
    alone = shares(count, size, 1)[0]
    ranks = shares(count, size, world)
    for number, batch in enumerate(zip(*ranks, strict=True)):
        put_together = [row for row in chain(*zip_longest(*batch)) if row is not None]
        if number < len(alone):
            assert put_together == alone[number]
        assert max(map(len, batch)) - min(map(len, batch)) <= 1


@given(counts, st.integers(2, 70), worlds)
def test_only_a_last_batch_that_leaves_a_rank_less_than_two_faces_is_dropped(
    count: int, size: int, world: int
) -> None:
    found = sum(len(batch) for rank in shares(count, size, world) for batch in rank)
    last = count % size
    assert found == (count - last if last < 2 * world else count)


@given(st.integers(0, 300), worlds)
def test_every_row_of_a_split_is_one_ranks(count: int, world: int) -> None:
    orders = [TableOrder(count, rank=rank, world=world) for rank in range(world)]
    rows = [[row for _, row in order] for order in orders]
    assert sorted(chain(*rows)) == list(range(count))
    assert [len(order) for order in orders] == [len(each) for each in rows]
    assert all(each == sorted(each) for each in rows)
