"""How the REST API is reached: calls and WebSockets, at an address or over a Unix socket."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from nacre.console.web.calls import (
    APIRefused,
    APISocket,
    ConsoleAPI,
    Dial,
    authorization,
    refused_with,
)
from nacre.errors import ConfigurationError
from nacre.limits import MIB

_CALLS = httpx.Timeout(60.0, connect=10.0)
"""Seconds for each step of a call: the API answers within 30, and a stream has something to say
more often."""

_MOST_CONNECTIONS = 96
"""Connections to the API, which takes 128: with those of streams."""

_LONGEST = 1 * MIB
"""Bytes of a message of the API."""

_PATIENCE = 30.0
"""Seconds for the API to answer, and for it to answer a ping."""


_HOST = "http://localhost"
"""What is named where the API is a Unix socket."""


class _OpenedSocket:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def __aiter__(self) -> AsyncIterator[str]:
        try:
            while True:
                message = await self._connection.recv()
                if isinstance(message, str):
                    yield message
        except ConnectionClosed:
            return

    async def send(self, message: Mapping[str, Any]) -> None:
        try:
            await self._connection.send(json.dumps(message))
        except ConnectionClosed:
            return


def _dialled(base: str, uds: str | None, verify: ssl.SSLContext | bool) -> Dial:
    """Return what opens WebSockets of the API at an address, or at the path of a Unix socket.

    :param base: the URL of the API; ``uds`` the path, if it is one.
    :param verify: by what its TLS is trusted.
    """

    @asynccontextmanager
    async def dial(token: str, path: str) -> AsyncIterator[APISocket]:
        url = "ws" + base.removeprefix("http").rstrip("/") + path
        options: dict[str, Any] = {
            "additional_headers": authorization(token),
            "compression": None,
            "max_size": _LONGEST,
            "open_timeout": _PATIENCE,
            "ping_timeout": _PATIENCE,
            "user_agent_header": None,
        }
        if uds is not None:
            opening = unix_connect(uds, url, **options)
        else:
            if url.startswith("wss:"):
                options["ssl"] = verify if isinstance(verify, ssl.SSLContext) else None
            opening = connect(url, proxy=None, **options)
        try:
            connection = await opening
        except InvalidStatus as error:
            status, body = error.response.status_code, bytes(error.response.body or b"")
            raise refused_with(status, body) from None
        except (OSError, WebSocketException) as error:
            text = str(error) or type(error).__name__
            raise APIRefused(503, f"the API does not answer: {text}") from None
        async with connection:
            yield _OpenedSocket(connection)

    return dial


def api_at(place: str, key: str, authority: str | None = None) -> ConsoleAPI:
    """Return the API at an address, or at the path of a Unix socket.

    :param authority: the file with the certificates that its TLS is trusted by; None for those of
        the system.
    :raises ConfigurationError: the file can't be read.
    """
    limits = httpx.Limits(max_connections=_MOST_CONNECTIONS)
    verify: ssl.SSLContext | bool = True
    if authority is not None:
        try:
            verify = ssl.create_default_context(cafile=authority)
        except OSError as error:
            raise ConfigurationError(f"can't use {authority}: {error}") from error
    uds = place if "://" not in place else None
    transport = httpx.AsyncHTTPTransport(uds=uds, limits=limits, verify=verify)
    base = _HOST if uds else place
    http = httpx.AsyncClient(base_url=base, transport=transport, timeout=_CALLS, trust_env=False)
    return ConsoleAPI(key, http, _dialled(base, uds, verify))
