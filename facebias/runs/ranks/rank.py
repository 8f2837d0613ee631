"""One of the processes that train together: which it is, and how it waits for the others."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

_LOOK = 0.05  # seconds between two looks at what the others have done
_CONNECT = timedelta(minutes=5)


@dataclass(frozen=True)
class Rank:
    """A process and its place among those of one training.

    It waits without a time limit: whoever started the ranks ends them all when one fails.

    Attributes:
        number: of this process, from 0.
        count: of processes.
        store: what all of them can read and write; None for a process alone.
    """

    number: int = 0
    count: int = 1
    store: Store | None = None

    @property
    def first(self) -> bool:
        """Whether this process writes the files that are there once."""
        return self.number == 0

    @contextmanager
    def first_before_others(self, work: str) -> Iterator[None]:
        """Let the first rank do the block alone, and the others after it: they find it done.

        Args:
            work: a name that no other block has.
        """
        if not self.first:
            self._wait(work, 1)
        yield
        if self.first:
            self._say(work)

    def wait_for_all(self, work: str) -> None:
        """Return when all ranks have come here.

        Args:
            work: a name that no other place has.
        """
        self._say(work)
        self._wait(work, self.count)

    def share(self, key: str, value: str | None) -> str:
        """Give all ranks the value that some of them know.

        Args:
            key: a name that nothing else has.
            value: the same on all ranks that know it; None on the others.
        """
        if self.store is None:
            return value or ""
        if value is not None:
            self.store.set(key, value)
            self._say(f"{key} is there")
        self._wait(f"{key} is there", 1)
        return self.store.get(key).decode()

    def _say(self, work: str) -> None:
        if self.store is not None:
            self.store.add(work, 1)

    def _wait(self, work: str, count: int) -> None:
        # Not `store.wait`, during which Python takes no signal.
        while self.store is not None and self.store.add(work, 0) < count:
            time.sleep(_LOOK)


ALONE = Rank()


def join() -> Rank:
    """Return the rank that torchrun started this process as, from its environment."""
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    # torchrun's own store, which is there before a process group is.
    store = TCPStore(address, port, is_master=False, timeout=_CONNECT)
    number, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    return Rank(number, count, PrefixStore("facebias", store))
