"""The HTTP of the API within bounds: uvicorn's protocol, with a clock for each connection.

uvicorn waits for the first request of a connection as long as it takes, and for the last bytes of
an answer. Here a connection that is behind is dropped, and so is one that is too many.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from nacre.cli.api.pipe import LONGEST_MESSAGE
from nacre.daemon.control.place import peer_of
from nacre.limits import KIB

MOST_CONNECTIONS = 128
"""Connections at once, where nothing else is said."""

LONGEST_HEAD = 16 * KIB
"""Bytes of a request's line and headers."""

PATIENCE = 10.0
"""Seconds for a request's head, for its body, and for reading some of an answer."""

_IDLE = 5
"""Seconds that a connection may wait for its next request."""

_PING = 20.0
"""Seconds from one ping of a WebSocket to the next, and for its answer."""


Serves: TypeAlias = Callable[[socket.socket], bool]


class BoundedHTTP(H11Protocol):
    """A connection.

    In ``state`` of ASGI's scope, ``drop`` is a function that drops the connection.

    :param serves: tells of the socket of a client whether it is served here.
    :param most: connections at once.
    """

    _late: asyncio.TimerHandle | None = None
    _counted = False

    def __init__(self, *, serves: Serves | None, most: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._serves = serves
        self._most = most

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are too many."""
        sock = transport.get_extra_info("socket")
        full = len(self.connections) >= self._most
        if full or (self._serves is not None and not self._serves(sock)):
            transport.abort()
            return
        self._counted = True
        self.app_state = {"drop": transport.abort}
        super().connection_made(transport)
        if sock.family == socket.AF_UNIX:
            self.client = f"uid {peer_of(sock)[1]}", 0
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what has begun."""
        if self._late is not None:
            self._late.cancel()
        if self._counted:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read, unless the connection was dropped."""
        if self._counted:
            super().data_received(data)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Leave the connection to a WebSocket, which has pings in place of this clock."""
        if self._late is not None:
            self._late.cancel()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Wait for the next request, and for this answer to be read, but not for long."""
        self._watch()
        super().on_response_complete()

    def _watch(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = self.loop.call_later(PATIENCE, self._on_late)

    def _on_late(self) -> None:
        # While there is an answer to come, the application keeps time.
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A connection that has become a WebSocket."""

    def connection_made(self, transport: Any) -> None:
        """Begin; the client of a Unix socket is named by its account."""
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        if sock.family == socket.AF_UNIX:
            self.client = f"uid {peer_of(sock)[1]}", 0


class Patient:
    """Drops a connection whose client does not read, or has gone.

    :param app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_soon(message: Message) -> None:
            try:
                async with asyncio.timeout(PATIENCE):
                    await send(message)
            except TimeoutError:
                scope["state"]["drop"]()
                raise ClientDisconnect from None

        with suppress(ClientDisconnect, OSError):
            await self._app(scope, receive, send_soon)


def config_of(app: Any) -> Config:
    """Return uvicorn's configuration, with all modules that it needs loaded."""
    # What clients send wrong is no matter for the server's log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = Config(
        app,
        http=BoundedHTTP,
        ws=BoundedWebSocket,
        ws_max_size=LONGEST_MESSAGE,
        ws_ping_interval=_PING,
        ws_ping_timeout=_PING,
        ws_per_message_deflate=False,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_IDLE,
        h11_max_incomplete_event_size=LONGEST_HEAD,
    )
    config.load()
    return config


def protocols(
    config: Config,
    serves: Serves | None = None,
    state: ServerState | None = None,
    most: int = MOST_CONNECTIONS,
) -> Any:
    """Return what makes the protocol of each connection of a server.

    :param serves: tells of the socket of a client whether it is served here; None serves all.
    :param state: gets the connections, for :func:`drop_all`.
    :param most: connections at once; a further one is dropped.
    """
    state = state or ServerState()
    return lambda: BoundedHTTP(
        serves=serves, most=most, config=config, server_state=state, app_state={}
    )


async def drop_all(state: ServerState, seconds: float) -> None:
    """Drop the connections of a server, and wait for what answers them, but not for long."""
    for connection in list(state.connections):
        transport: asyncio.Transport | None = connection.transport
        if transport is not None:
            transport.abort()
    if state.tasks:
        await asyncio.wait(list(state.tasks), timeout=seconds)


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """Return a context for TLS 1.2 and 1.3.

    :raises OSError: a file can't be read, or is none (``ssl.SSLError``).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # Without a password: nobody is there to type it.
    context.load_cert_chain(certificate, key, password=lambda: b"")
    return context
