"""Who may ask: the page of this server, opened by its own link, and nobody else."""

import secrets
from collections.abc import Callable

from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

_REFUSED = 1008  # the websocket code for a breach of the server's rules


class Gate:
    """Lets requests through that name this server and carry its token.

    The `Host` header must be the address that is served, so that no foreign name that resolves to
    127.0.0.1 reaches the server (DNS rebinding); an `Origin` must be this server's own, and a
    websocket must have one: browsers always send it, and let any page open a websocket.

    Args:
        app: what is guarded.
        host: address and port, as browsers name them in `Host`.
        token: that the link carries.
    """

    def __init__(self, app: ASGIApp, host: str, token: str) -> None:
        self._app, self._host, self._token = app, host, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        why = self._why_refused(scope)
        if not why:
            return await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            return await WebSocket(scope, receive, send).close(_REFUSED)
        await PlainTextResponse(f"{why}\n", status_code=403)(scope, receive, send)

    def _why_refused(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        # A header that is sent twice could be read differently by others.
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        own = f"http://{self._host}"
        if hosts != [self._host]:
            return f"This server answers to {own} only."
        if origins != [own] and (origins or scope["type"] == "websocket"):
            return "This server answers to its own page only."
        given = QueryParams(scope["query_string"]).getlist("token")
        # In constant time, so that how long it takes tells nothing.
        if len(given) != 1 or not secrets.compare_digest(given[0].encode(), self._token.encode()):
            return "Open the link that python -m facebias.live has printed: it carries a token."
        return ""


class Pace:
    """Lets at most so many frames through in a second, those of a second at once if need be.

    Args:
        rate: frames a second.
        clock: seconds that only grow.
    """

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate, self._clock = rate, clock
        self._left, self._before = max(rate, 1.0), clock()

    def admits(self) -> bool:
        """Say whether one more frame may pass now."""
        now = self._clock()
        self._left += (now - self._before) * self._rate
        self._left, self._before = min(self._left, max(self._rate, 1.0)), now
        if self._left < 1:
            return False
        self._left -= 1
        return True
