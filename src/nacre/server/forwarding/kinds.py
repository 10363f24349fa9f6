"""The kinds of places that a server connects to and listens on: ports of hosts, and Unix sockets.

Each says how such a place is named on the wire, who decides about it, and how it is opened.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from nacre.aio.dial import Lookups, dial
from nacre.protocol.tcpip import (
    FORWARDED,
    FORWARDED_STREAMLOCAL,
    PORTS,
    AllocatedPort,
    Endpoint,
    ForwardedStreamlocalChannel,
    StreamlocalChannel,
    StreamlocalForward,
    TCPIPChannel,
    TCPIPForward,
)
from nacre.server.peer import ServerConnection
from nacre.server.questions import Questions
from nacre.tunnels.listeners import bind
from nacre.tunnels.unix import UnixSockets


class Listened(NamedTuple):
    """What is listened on.

    :ivar sockets: bound and listening.
    :ivar place: where, with the port that was chosen.
    :ivar release: called when the sockets are closed, or None.
    """

    sockets: Sequence[socket.socket]
    place: Endpoint
    release: Callable[[], None] | None = None


Connect: TypeAlias = Callable[[], Awaitable[socket.socket]]
"""Makes a connection that was allowed; raises ConnectFailed."""

Listen: TypeAlias = Callable[[], Awaitable[Listened]]
"""Listens where that was allowed; raises NacreError or OSError."""


class PlaceKind:
    """One kind of places.

    :ivar OFFERED: the type of the channel for a connection that was accepted.
    :param lookups: where names are looked up.
    """

    OFFERED: str

    def __init__(
        self, connection: ServerConnection, questions: Questions, lookups: Lookups
    ) -> None:
        self._connection = connection
        self._questions = questions
        self._lookups = lookups

    def destination(self, data: bytes) -> Endpoint:
        """Return where a channel is to lead; raises MalformedMessage."""
        raise NotImplementedError

    def place(self, data: bytes) -> Endpoint:
        """Return where a request is to listen; raises MalformedMessage."""
        raise NotImplementedError

    def impossible(self, place: Endpoint) -> str:
        """Return why nothing can be listened on at ``place``, or ""."""
        raise NotImplementedError

    async def may_connect(self, place: Endpoint) -> Connect | None:
        """Ask the policy; None refuses."""
        raise NotImplementedError

    async def may_listen(self, place: Endpoint) -> Listen | None:
        """Ask the policy; None refuses."""
        raise NotImplementedError

    def offer(self, place: Endpoint, originator: Any) -> bytes:
        """Return the data of the channel for an accepted connection."""
        raise NotImplementedError

    def reply(self, asked: Endpoint, place: Endpoint) -> bytes:
        """Return the data of the reply to a request that was granted."""
        return b""


class Ports(PlaceKind):
    """Ports of hosts (RFC 4254 section 7)."""

    OFFERED = FORWARDED

    def destination(self, data: bytes) -> Endpoint:
        """Return the host and port of a ``direct-tcpip``."""
        asked = TCPIPChannel.decode(data)
        return Endpoint(asked.host, asked.port)

    def place(self, data: bytes) -> Endpoint:
        """Return the address and port of a ``tcpip-forward``."""
        asked = TCPIPForward.decode(data)
        return Endpoint(asked.host, asked.port)

    def impossible(self, place: Endpoint) -> str:
        """Check the numbers and characters."""
        if place.port and place.port not in PORTS:
            return "no such port"
        return "" if not place.host or _is_host(place.host) else "no such host"

    async def may_connect(self, place: Endpoint) -> Connect | None:
        """Ask about a destination; its name is looked up afterwards."""
        host, port = place.host, place.port
        if not _is_host(host) or port not in PORTS:
            return None
        answer = await self._questions.ask(
            lambda policy: policy.direct_connection(host, port, self._connection)
        )
        if answer is not True:
            return None
        return lambda: dial(host, port, wanted="anything", lookups=self._lookups)

    async def may_listen(self, place: Endpoint) -> Listen | None:
        """Ask on which address to listen."""
        host = await self._questions.ask(
            lambda policy: policy.remote_listen(place.host, place.port, self._connection)
        )
        if not isinstance(host, str):
            return None
        address = host

        async def listen() -> Listened:
            sockets = await bind(address, place.port, self._lookups)
            return Listened(sockets, Endpoint(place.host, sockets[0].getsockname()[1]))

        return listen

    def offer(self, place: Endpoint, originator: Any) -> bytes:
        """Name the address as the client requested it, and the port."""
        return TCPIPChannel(place.host, place.port, str(originator[0]), int(originator[1])).encode()

    def reply(self, asked: Endpoint, place: Endpoint) -> bytes:
        """Name a port that was chosen here."""
        return b"" if asked.port else AllocatedPort(place.port).encode()


class UnixPaths(PlaceKind):
    """Unix sockets (OpenSSH's PROTOCOL, section 2.4)."""

    OFFERED = FORWARDED_STREAMLOCAL

    def destination(self, data: bytes) -> Endpoint:
        """Return the path of a ``direct-streamlocal@openssh.com``."""
        return Endpoint(path=StreamlocalChannel.decode(data).path)

    def place(self, data: bytes) -> Endpoint:
        """Return the path of a ``streamlocal-forward@openssh.com``."""
        return Endpoint(path=StreamlocalForward.decode(data).path)

    def impossible(self, place: Endpoint) -> str:
        """Take absolute paths only: this process's directory means nothing to the client."""
        return "" if _is_path(place.path) else "no absolute path"

    async def may_connect(self, place: Endpoint) -> Connect | None:
        """Ask about a path, and who connects to it."""
        if not _is_path(place.path):
            return None
        answer = await self._questions.ask(
            lambda policy: policy.direct_unix_connection(place.path, self._connection)
        )
        unix = _sockets(answer)
        return None if unix is None else lambda: unix.connect(place.path)

    async def may_listen(self, place: Endpoint) -> Listen | None:
        """Ask about a path, and who listens there."""
        answer = await self._questions.ask(
            lambda policy: policy.remote_unix_listen(place.path, self._connection)
        )
        if (unix := _sockets(answer)) is None:
            return None
        makes = unix

        async def listen() -> Listened:
            sock, release = await makes.listen(place.path)
            return Listened([sock], place, release)

        return listen

    def offer(self, place: Endpoint, originator: Any) -> bytes:
        """Name the path."""
        return ForwardedStreamlocalChannel(place.path, "").encode()


def _sockets(answer: object) -> UnixSockets | None:
    if answer is True:
        return UnixSockets()
    return answer if isinstance(answer, UnixSockets) else None


def _is_host(text: str) -> bool:
    """Tell whether this can be a host's name; the system would ignore what follows a NUL."""
    return 0 < len(text) <= 255 and text.isprintable() and " " not in text


def _is_path(text: str) -> bool:
    return text.startswith("/") and "\0" not in text
