"""What a program gets for a forwarding: a place that is listened on, here or at the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from nacre.aio.waiting import Closes, Later
from nacre.protocol.tcpip import Endpoint
from nacre.tunnels.listeners import Listening

if TYPE_CHECKING:
    from nacre.aio.connection import BaseConnection


class RemoteListening:
    """A place on which the server listens, until it is cancelled or the connection ends.

    :param cancel: cancels it.
    """

    def __init__(
        self, connection: BaseConnection, cancel: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._connection = connection
        self._cancel = cancel
        self._closing = asyncio.Event()
        self._task = connection.spawn(self._hold())

    async def _hold(self) -> None:
        await self._closing.wait()
        await self._cancel()

    @property
    def closed(self) -> bool:
        """Whether the server no longer listens."""
        return self._connection.ended or self._task.done()

    def close(self) -> None:
        """Start the request that cancels it."""
        self._closing.set()

    async def wait_closed(self) -> None:
        """Return when the server no longer listens."""
        if not self.closed:
            await asyncio.wait({self._task})


class Listener(Closes):
    """A forwarded port or Unix socket. ``async with`` closes it at the end.

    Its connections stay open until they end, or the SSH connection does.

    :ivar host: where it listens, as it was requested; "" with a Unix socket.
    :ivar port: its port, which the system may have chosen; 0 with a Unix socket.
    :ivar path: its Unix socket's path; "" with a port.
    """

    def __init__(self, endpoint: Endpoint, listening: Listening | RemoteListening) -> None:
        self.host = endpoint.host
        self.port = endpoint.port
        self.path = endpoint.path
        self._listening = listening

    @property
    def closed(self) -> bool:
        """Whether it no longer listens."""
        return self._listening.closed

    def close(self) -> Later[None]:
        """Stop listening. It acts at once; await the result to wait for the end."""
        self._listening.close()
        return Later(self.wait_closed)

    async def wait_closed(self) -> None:
        """Return when it no longer listens."""
        await self._listening.wait_closed()
