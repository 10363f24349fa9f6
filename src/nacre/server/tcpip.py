"""Forwarded ports and agents, as the server has them (RFC 4254 section 7)."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from nacre.aio.dial import dial
from nacre.aio.waiting import ClosesAtOnce
from nacre.errors import ConnectFailed, MalformedMessage, NacreError
from nacre.protocol.asks import Answer, AskOpen, Denied, GlobalGranted, OpenRefused
from nacre.protocol.tcpip import (
    AGENT_CHANNEL,
    FORWARDED,
    LISTEN,
    PORTS,
    AllocatedPort,
    TCPIPChannel,
    TCPIPForward,
)
from nacre.tunnels.listeners import Listening, bind
from nacre.tunnels.relay import carry, grant
from nacre.wire.numbers import OpenFailure
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.server.peer import ServerConnection

_LOOKUPS = 8
_SOCKET = "agent"


@cache
def _lookups() -> ThreadPoolExecutor:
    """Threads of their own for names that clients ask for: slow ones hold up no login."""
    return ThreadPoolExecutor(_LOOKUPS, "forward")


class ServerForwards:
    """What one client has forwarded."""

    def __init__(self, connection: ServerConnection, listeners: int) -> None:
        self._connection = connection
        self._most = listeners
        self._listening: dict[tuple[str, int], Listening] = {}
        # Listening and cancelling happen in the order in which they were asked for.
        self._order = asyncio.Lock()

    # --- connections to elsewhere ---

    async def connect(self, ask: AskOpen) -> None:
        """Decide on a ``direct-tcpip`` channel, and carry it."""
        connection = self._connection
        try:
            asked = TCPIPChannel.decode(ask.data)
        except MalformedMessage:
            connection.answer(ask.ask_id, OpenRefused(description="malformed"))
            return
        granted = _is_host(asked.host) and asked.port in PORTS and await self._may_connect(asked)
        connection.record("forward", to=f"{safe(asked.host, 255)}:{asked.port}", granted=granted)
        if not granted:
            connection.answer(ask.ask_id, OpenRefused(description="not allowed"))
            return
        try:
            sock = await dial(asked.host, asked.port, wanted="anything", lookups=_lookups())
        except ConnectFailed as error:
            connection.answer(ask.ask_id, OpenRefused(OpenFailure.CONNECT_FAILED, str(error)))
            return
        await grant(connection, ask, sock)

    async def _may_connect(self, asked: TCPIPChannel) -> bool:
        connection = self._connection
        await connection.wait_welcomed()
        said = await connection.ask_policy(
            lambda policy: policy.direct_connection(asked.host, asked.port, connection)
        )
        return said is True

    # --- ports for the client ---

    async def decide(self, name: str, data: bytes) -> Answer:
        """Do what a global request says; it concerns a port to listen on."""
        try:
            asked = TCPIPForward.decode(data)
        except MalformedMessage:
            return Denied("malformed")
        async with self._order:
            if name == LISTEN:
                return await self._listen(asked)
            return await self._cancel(asked)

    async def _listen(self, asked: TCPIPForward) -> Answer:
        connection = self._connection
        await connection.wait_welcomed()
        host, reason = await self._where(asked)
        port = asked.port
        if host is not None:
            try:
                sockets = await bind(host, port, _lookups())
            except (NacreError, OSError) as error:
                reason = str(error)
            else:
                port = sockets[0].getsockname()[1]
                take = partial(self._take, asked.host, port)
                self._listening[asked.host, port] = Listening(connection, sockets, take)
        connection.record(
            "forward",
            listen=f"{safe(asked.host, 255)}:{port}",
            granted=not reason,
            **({"reason": safe(reason)} if reason else {}),
        )
        if reason:
            return Denied(reason)
        return GlobalGranted(b"" if asked.port else AllocatedPort(port).encode())

    async def _where(self, asked: TCPIPForward) -> tuple[str | None, str]:
        """Return where to listen, or None and why not."""
        connection = self._connection
        if asked.port and asked.port not in PORTS:
            return None, "no such port"
        if asked.host and not _is_host(asked.host):
            return None, "no such host"
        if len(self._listening) >= self._most:
            return None, "too many ports"
        host = await connection.ask_policy(
            lambda policy: policy.remote_listen(asked.host, asked.port, connection)
        )
        return (host, "") if isinstance(host, str) else (None, "not allowed")

    async def _cancel(self, asked: TCPIPForward) -> Answer:
        listening = self._listening.pop((asked.host, asked.port), None)
        if listening is None:
            return Denied("nobody listens there")
        listening.close()
        await listening.wait_closed()
        return GlobalGranted()

    async def _take(self, host: str, port: int, sock: socket.socket, originator: Any) -> None:
        """Offer the client a connection that came to one of its ports."""
        data = TCPIPChannel(host, port, str(originator[0]), int(originator[1])).encode()
        await self.offer(FORWARDED, data, sock)

    async def offer(self, channel_type: str, data: bytes, sock: socket.socket) -> None:
        """Offer the client a connection; one that it does not take is closed."""
        carried = False
        try:
            channel = self._connection.open_channel(channel_type, data)
            await carry(self._connection, channel, sock)
            carried = True
        except (NacreError, OSError) as error:
            if not self._connection.ended:
                self._connection.record("forward", channel=channel_type, refused=str(error))
        finally:
            if not carried:
                sock.close()


class AgentSocket(ClosesAtOnce):
    """A Unix socket that leads to the client's agent. ``async with`` removes it at the end.

    It lies in a directory of its own that nobody but its owner, and root, can enter.

    :ivar path: the socket's path.
    """

    def __init__(
        self, forwards: ServerForwards, connection: ServerConnection, owner: tuple[int, int] | None
    ) -> None:
        self._forwards = forwards
        directory = tempfile.mkdtemp(prefix="nacre-")  # with mode 0700
        self.path = os.path.join(directory, _SOCKET)
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(self.path)
            os.chmod(self.path, 0o600)
            sock.listen()
            if owner is not None:
                os.chown(self.path, *owner)
                os.fchown(self._directory, *owner)
        except BaseException:
            sock.close()
            self._remove()
            raise
        self._listening = Listening(connection, [sock], self._take)

    async def _take(self, sock: socket.socket, originator: Any) -> None:
        await self._forwards.offer(AGENT_CHANNEL, b"", sock)

    def _remove(self) -> None:
        # By its descriptor: whom the directory belongs to could have put another in its place.
        with suppress(OSError):
            os.unlink(_SOCKET, dir_fd=self._directory)
        os.close(self._directory)
        with suppress(OSError):
            os.rmdir(os.path.dirname(self.path))

    def close(self) -> None:
        """Remove the socket; connections that came through it go on."""
        self._listening.close()
        self._remove()


async def open_agent_socket(
    connection: ServerConnection, owner: tuple[int, int] | None
) -> AgentSocket:
    """See :meth:`Session.agent_socket`."""
    return AgentSocket(connection.forwards, connection, owner)


def _is_host(text: str) -> bool:
    """Tell whether a host could have that name: what is behind a NUL, the system would not see."""
    return 0 < len(text) <= 255 and text.isprintable() and " " not in text
