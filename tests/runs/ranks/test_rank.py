import threading
from collections.abc import Callable

import pytest
from torch.distributed import HashStore  # type: ignore[attr-defined]

from facebias.runs.ranks.rank import ALONE, Rank


def run_together(count: int, work: Callable[[Rank], None]) -> None:
    """Run a function as every rank at once, each in a thread; the last rank starts first."""
    store = HashStore()
    threads = [
        threading.Thread(target=work, args=(Rank(number, count, store),), daemon=True)
        for number in reversed(range(count))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_the_first_rank_works_before_the_others() -> None:
    done: list[int] = []

    def work(rank: Rank) -> None:
        with rank.first_before_others("faces"):
            done.append(rank.number)

    run_together(3, work)
    assert done[0] == 0
    assert sorted(done) == [0, 1, 2]


def test_nobody_leaves_before_all_have_come() -> None:
    come: list[int] = []
    seen: list[int] = []

    def work(rank: Rank) -> None:
        come.append(rank.number)
        rank.wait_for_all("the end")
        seen.append(len(come))

    run_together(4, work)
    assert seen == [4, 4, 4, 4]


@pytest.mark.parametrize("knows", [0, 1])
def test_what_one_rank_knows_all_get(knows: int) -> None:
    got: list[str] = []

    def work(rank: Rank) -> None:
        got.append(rank.share("config", "run/config.yaml" if rank.number == knows else None))

    run_together(2, work)
    assert got == ["run/config.yaml"] * 2


def test_a_process_alone_waits_for_nobody() -> None:
    with ALONE.first_before_others("faces"):
        ALONE.wait_for_all("the end")
    assert ALONE.first
    assert ALONE.share("config", "x") == "x"
