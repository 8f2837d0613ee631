"""The model hub, where it answers; its local cache alone, and at once, where it does not."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

PATIENCE = 10.0  # seconds, what the hub's own client allows one request


@contextmanager
def hub_or_cache(patience: float = PATIENCE) -> Iterator[None]:
    """While the block lasts, use only the local cache of the hub if the hub does not answer.

    The hub's client asks six times, with pauses, for each file that it does not have: most of a
    minute without a network, several minutes where packets vanish.

    Args:
        patience: for the hub's answer, in seconds.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _answers(patience)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _answers(patience: float) -> bool:
    """Tell whether the hub answers a question; in a thread, as looking up a name has no limit."""
    from huggingface_hub import constants, get_session

    statuses: list[int] = []

    def ask() -> None:
        with suppress(Exception):  # which ones, depends on the client's HTTP library
            statuses.append(get_session().head(constants.ENDPOINT, timeout=patience).status_code)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(patience)
    return any(status < 500 for status in statuses)
