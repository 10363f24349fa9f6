"""TCP/IP forwarding at the server: ``direct-tcpip`` and ``tcpip-forward`` (RFC 4254 section 7)."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

from nacre.aio.dial import dial
from nacre.errors import ConnectFailed, MalformedMessage, NacreError
from nacre.protocol.asks import Answer, AskOpen, Denied, GlobalGranted, OpenRefused
from nacre.protocol.tcpip import (
    FORWARDED,
    LISTEN,
    PORTS,
    AllocatedPort,
    TCPIPChannel,
    TCPIPForward,
)
from nacre.server.offer import offer
from nacre.server.peer import ServerConnection
from nacre.server.questions import Questions
from nacre.tunnels.listeners import Listening, bind
from nacre.tunnels.relay import grant
from nacre.wire.numbers import OpenFailure
from nacre.wire.text import safe

_LOOKUPS = 8


@cache
def _lookups() -> ThreadPoolExecutor:
    """Return threads for the names in clients' requests: a slow lookup must not delay a login."""
    return ThreadPoolExecutor(_LOOKUPS, "forward")


class ServerForwards:
    """The TCP/IP forwarding of one connection.

    :param listeners: how many ports the client may have open at once.
    """

    def __init__(self, connection: ServerConnection, questions: Questions, listeners: int) -> None:
        self._connection = connection
        self._questions = questions
        self._most = listeners
        self._listening: dict[tuple[str, int], Listening] = {}
        # Requests to listen and to cancel are carried out in the order of their arrival.
        self._order = asyncio.Lock()

    # --- connections that the client opens through this server ---

    async def connect(self, ask: AskOpen) -> None:
        """Answer a request for a ``direct-tcpip`` channel and relay its data."""
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
        await self._questions.wait_welcomed()
        answer = await self._questions.ask(
            lambda policy: policy.direct_connection(asked.host, asked.port, self._connection)
        )
        return answer is True

    # --- ports that this server listens on for the client ---

    async def decide(self, name: str, data: bytes) -> Answer:
        """Carry out ``tcpip-forward`` or ``cancel-tcpip-forward`` and return the answer."""
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
        await self._questions.wait_welcomed()
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
        """Return the address to listen on, or None and the reason of the refusal."""
        if asked.port and asked.port not in PORTS:
            return None, "no such port"
        if asked.host and not _is_host(asked.host):
            return None, "no such host"
        if len(self._listening) >= self._most:
            return None, "too many ports"
        host = await self._questions.ask(
            lambda policy: policy.remote_listen(asked.host, asked.port, self._connection)
        )
        return (host, "") if isinstance(host, str) else (None, "not allowed")

    async def _cancel(self, asked: TCPIPForward) -> Answer:
        listening = self._listening.pop((asked.host, asked.port), None)
        if listening is None:
            return Denied("no such listener")
        listening.close()
        await listening.wait_closed()
        return GlobalGranted()

    async def _take(self, host: str, port: int, sock: socket.socket, originator: Any) -> None:
        """Offer the client a connection that one of its ports has accepted."""
        data = TCPIPChannel(host, port, str(originator[0]), int(originator[1])).encode()
        await offer(self._connection, FORWARDED, data, sock)


def _is_host(text: str) -> bool:
    """Tell whether this can be a host's name; the system would ignore what follows a NUL."""
    return 0 < len(text) <= 255 and text.isprintable() and " " not in text
