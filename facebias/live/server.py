"""The server on this machine: one page, and a websocket that takes a frame and gives an answer.

A frame is one byte, the number of the class that the map is for (255: the predicted one), and the
bytes of an image file. An answer is JSON: what `FrameReader.read` returns, or `problem`, which is
said on the page. Nothing is stored.
"""

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from facebias.errors import ConfigError, FacebiasError
from facebias.live.access import Gate, Pace
from facebias.live.frames import FrameReader
from facebias.live.page import PREDICTED, new_nonce, page_headers, render_page
from facebias.runs.trained import TrainedRun

logger = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"
MAX_FRAME_BYTES = 2_000_000

_HARD_LIMIT = 2 * MAX_FRAME_BYTES  # beyond which the connection ends before the frame is read
_GRACE = 2  # seconds that open pages have when the server stops


class LiveApp:
    """The server as an ASGI application.

    Attributes:
        link: the page's address, with the token.

    Args:
        run: whose model answers.
        reader: that answers the frames, one at a time.
        port: that is served.
        rate: frames a second that are taken, over all pages.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        run: TrainedRun,
        reader: FrameReader,
        port: int,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._reader = run, reader
        self._rate, self._pace = rate, Pace(rate, clock)
        self._host, token = f"{ADDRESS}:{port}", secrets.token_urlsafe(32)
        self.link = f"http://{self._host}/?token={token}"
        self._worker: ThreadPoolExecutor | None = None
        routes = [Route("/", self._page), WebSocketRoute("/frames", self._frames)]
        app = Starlette(routes=routes, lifespan=self._lifespan)
        self._gate = Gate(app, self._host, token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._gate(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        # One thread, so that one frame is worked on at a time, whoever asks.
        with ThreadPoolExecutor(1, thread_name_prefix="frames") as self._worker:
            yield

    async def _page(self, _request: Request) -> Response:
        nonce = new_nonce()
        page = render_page(
            self._run, self._reader, rate=self._rate, largest=MAX_FRAME_BYTES, nonce=nonce
        )
        return HTMLResponse(page, headers=page_headers(nonce, self._host))

    async def _frames(self, page: WebSocket) -> None:
        await page.accept()
        try:
            while True:  # the next frame is read when this one is answered
                frame = await page.receive()
                if frame["type"] == "websocket.disconnect":
                    return
                await page.send_json(await self._answer(frame.get("bytes") or b""))
        except WebSocketDisconnect:
            return

    async def _answer(self, frame: bytes) -> dict[str, Any]:
        """Answer a frame; whatever goes wrong is said to the page."""
        if not self._pace.admits():
            return {"problem": f"More than {self._rate:g} frames a second came in."}
        if len(frame) > MAX_FRAME_BYTES:
            many = f"{len(frame):,} bytes; at most {MAX_FRAME_BYTES:,} are taken"
            return {"problem": f"The picture has {many}."}
        if not frame:
            return {"problem": "An empty message came in instead of a picture."}
        explained = None if frame[0] == PREDICTED else frame[0]
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._worker, self._reader.read, frame[1:], explained)
        except FacebiasError as error:
            return {"problem": f"The picture was not answered: {error}"}
        except Exception as error:  # the page would wait for an answer that never comes
            logger.exception("a frame could not be answered")
            return {
                "problem": f"The server failed on this picture: {error!r}. Its terminal says where."
            }


def listen(port: int | None) -> socket.socket:
    """Return a socket on this machine's own address.

    Args:
        port: None: any that is free.

    Raises:
        ConfigError: if the port cannot be had.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((ADDRESS, port or 0))
        listening.listen()
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"port {port} cannot be used: {error.strerror}",
            "a port that is free",
            "choose another with port=NUMBER, or leave it out for any that is free",
        ) from error
    return listening


def make_server(app: LiveApp) -> uvicorn.Server:
    """Return what serves an app, `run(sockets=[...])`, until the process is stopped.

    Args:
        app: the page and its frames.
    """
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_max_size=_HARD_LIMIT,
        ws_max_queue=1,
        ws_per_message_deflate=False,  # pictures are compressed already
        log_config=None,
        log_level="warning",
        access_log=False,  # it would show the token
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
    )
    return uvicorn.Server(config)
