"""What a connection through a master forwards from the server: the master does it.

OpenSSH's master keeps the replies to its clients' global requests to itself, so a client could not
learn whether the server listens, and where. A request of the mux protocol has an answer, and the
connections that follow from it are made on this host too.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from nacre.client.forwarding.forwards import Forwards, Serves
from nacre.client.forwarding.listener import Listener, RemoteListening
from nacre.client.sharing.messages import (
    REMOTE,
    SOCKS,
    UNIX_SOCKET,
    CloseForward,
    Done,
    OpenForward,
    PortChosen,
    encode,
)
from nacre.client.sharing.talk import asked, greeted, receive
from nacre.errors import LocalProtocolError, MalformedMessage, RequestFailed
from nacre.protocol.tcpip import Endpoint
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.aio.connection import BaseConnection

_Fields: TypeAlias = tuple[int, str, int, str, int]
"""Those of a forwarding: its kind, where to listen, where to connect to."""


class SharedForwards(Forwards):
    """The forwarding of a connection that a master carries.

    :param path: the master's socket.
    """

    def __init__(self, connection: BaseConnection, path: str) -> None:
        super().__init__(connection)
        self._path = path

    async def remote(self, leads: Endpoint | Serves, listen: Endpoint) -> Listener:
        """See :meth:`Connection.forward_remote`."""
        if not isinstance(leads, Endpoint):
            raise LocalProtocolError("a master connects to one destination, or is a SOCKS proxy")
        return await self._have_forwarded(listen, *_place(leads))

    async def remote_dynamic(
        self, permitted: Sequence[tuple[str, int | None]] | None, listen: Endpoint
    ) -> Listener:
        """See :meth:`Connection.forward_remote_dynamic`."""
        if permitted is not None:
            raise LocalProtocolError(
                "the master decides what SOCKS clients may connect to (PermitRemoteOpen): leave "
                "permitted out, or make a connection without control"
            )
        return await self._have_forwarded(listen, SOCKS, 0)

    async def _have_forwarded(self, listen: Endpoint, host: str, port: int) -> Listener:
        self._connection.check()
        at = _place(listen) if listen.path or listen.host else ("*", listen.port)
        fields: _Fields = (REMOTE, *at, host, port)
        sock = await greeted(self._path)
        try:
            answer = await asked(sock, OpenForward(0, *fields))
            if not isinstance(answer, (Done, PortChosen)):
                why = safe(getattr(answer, "reason", "it has another answer"), 200)
                raise RequestFailed(f"the master does not have the server listen: {why}")
            if isinstance(answer, PortChosen):
                listen = Endpoint(listen.host, answer.port)
            return Listener(listen, _Listening(self._connection, sock, fields))
        except BaseException:
            sock.close()
            raise


def _place(place: Endpoint) -> tuple[str, int]:
    if place.path:
        return os.path.abspath(place.path), UNIX_SOCKET
    return place.host, place.port


class _Listening(RemoteListening):
    """A place on which the server listens for a master, until it is cancelled there."""

    def __init__(self, connection: BaseConnection, sock: socket.socket, fields: _Fields) -> None:
        self._sock = sock
        self._fields = fields
        super().__init__(connection, self._confirmed)

    async def _hold(self) -> None:
        with self._sock:
            try:
                await self._closing.wait()
            finally:
                # Also when the connection ends: the master's goes on.
                with suppress(OSError):
                    self._sock.send(encode(CloseForward(1, *self._fields)))
            await self._cancel()

    async def _confirmed(self) -> None:
        with suppress(OSError, MalformedMessage):
            await receive(self._sock)
