"""A server in a thread, as the command runs it in its process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from facebias.live.frames import FrameReader
from facebias.live.server import LiveApp, listen, make_server
from facebias.runs.trained import TrainedRun


@contextmanager
def served(run: TrainedRun, reader: FrameReader) -> Iterator[tuple[str, Callable[[], None]]]:
    """Serve in a thread; gives the link and what stops it."""
    with listen(None) as listening:
        app = LiveApp(run, reader, listening.getsockname()[1], 30)
        server = make_server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()

        def stop() -> None:
            server.should_exit = True
            thread.join()

        try:
            yield app.link, stop
        finally:
            stop()
