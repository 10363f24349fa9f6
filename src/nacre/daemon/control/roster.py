"""The connections of a server, to be listed and ended; those of one process come from here."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

from nacre.daemon.control.values import (
    Begun,
    Connected,
    ControlError,
    Details,
    Killed,
    Rejected,
    Running,
    line_of,
)
from nacre.daemon.watching.frames import WatchOrder
from nacre.daemon.watching.shown import ShownSession, Watching
from nacre.errors import ConnectionLost, DisconnectCode
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.server.listen import Server
    from nacre.server.peer import Client
    from nacre.server.serving import Serving
    from nacre.server.session import Session

MOST_RUNNING = 32
"""Sessions of a connection that are described; the others are counted."""

MOST_SHOWN = 256
"""Characters of a command line."""

_BYTES = struct.Struct("=120xQQ")
"""The fields ``tcpi_bytes_acked`` and ``tcpi_bytes_received`` of TCP_INFO, since Linux 4.1."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The connections of a server.

    :ivar silent: how many processes did not answer in time.
    """

    connections: Sequence[Connected]
    silent: int = 0


class Roster(Protocol):
    """The connections of a server."""

    async def connections(self) -> Listing:
        """Return all, also those that log in."""

    async def end(self, ids: Collection[str], user: str | None, reason: str) -> list[Killed]:
        """End the connections with these numbers, and those of a user who is logged in.

        :param reason: what the clients are told.
        """

    async def watch(self, order: WatchOrder, sock: socket.socket) -> bool:
        """Have a session shown over a socket; tell whether its connection is here.

        If so, the socket is taken, and the one at its other end gets an answer.

        :raises ControlError: the connection has no sessions; the socket is the caller's.
        """


class OwnRoster(Roster, Protocol):
    """The connections of this process."""

    def number_of(self, client: Client) -> str:
        """Return the number of a connection that is served, as :meth:`connections` has it."""


class ServerRoster:
    """The connections of this process, where it does everything.

    :param prefix: in front of the numbers of connections, such as that of a worker and a dot.
    :param watching: the sessions that can be watched; None for none.
    """

    def __init__(self, prefix: str = "", watching: Watching | None = None) -> None:
        self._prefix = prefix
        self._watching = watching
        self._servers: WeakKeyDictionary[Server, str] = WeakKeyDictionary()

    def add(self, server: Server, listener: str = "") -> None:
        """List the connections of a server.

        :param listener: in front of the numbers of its connections.
        """
        self._servers[server] = self._prefix + listener

    def number_of(self, client: Client) -> str:
        """Return the number of a connection."""
        from nacre.server.serving import Serving

        prefix: str | None = None
        if isinstance(client, Serving):
            prefix = next(
                (text for one, text in self._servers.items() if one is client.server), None
            )
        return f"{self._prefix if prefix is None else prefix}{client.id}"

    def _all(self) -> Iterator[tuple[str, Serving]]:
        for server, prefix in list(self._servers.items()):
            for connection in server.connections:
                yield f"{prefix}{connection.id}", connection

    async def connections(self) -> Listing:
        """Return all, also those that log in."""
        return Listing([_connected(number, one) for number, one in self._all()])

    async def end(self, ids: Collection[str], user: str | None, reason: str) -> list[Killed]:
        """End the connections with these numbers, and those of a user who is logged in."""
        ended = []
        for number, one in self._all():
            if (number in ids or (user is not None and one.user == user)) and not one.ended:
                one.record("killed", reason=safe(reason))
                one.fail(ConnectionLost(reason), DisconnectCode.BY_APPLICATION, reason)
                ended.append(Killed(id=number, user=safe(one.user)))
        return ended

    async def watch(self, order: WatchOrder, sock: socket.socket) -> bool:
        """Have a session shown over a socket; tell whether its connection is here."""
        one = next((one for number, one in self._all() if number == order.id), None)
        if one is None:
            return False
        await note_watch(one, order)
        begin_watch(one, self._watching, order, sock)
        return True


async def note_watch(client: Client, order: WatchOrder) -> None:
    """Log that somebody watches a session, also as an event of the audit.

    :raises ControlError: the event can't be kept, so nobody may watch.
    """
    client.record(
        "watch",
        channel=order.channel,
        op="begins",
        by=order.by,
        joins=order.joins,
        quiet=order.quiet,
    )
    if not await client.record_is_kept():
        raise ControlError("the server can't keep its audit")


def begin_watch(
    one: Serving | None, watching: Watching | None, order: WatchOrder, sock: socket.socket
) -> None:
    """Answer who wants to watch a session of a connection, and show it, or close the socket."""
    session = None if one is None else one.in_use()[0].get(order.channel)
    if session is None or watching is None:
        _answer_watch(session, order, sock, None)
    else:
        watching.when_begun(session, partial(_answer_watch, session, order, sock))


def _answer_watch(
    session: Session | None, order: WatchOrder, sock: socket.socket, shown: ShownSession | None
) -> None:
    if shown is None:
        reason: str | None = (
            f"nothing on channel {order.channel} can be watched: commands and shells can"
        )
    else:
        reason = shown.refusal(order)
    sock.setblocking(False)
    try:
        if shown is None or reason is not None:
            sock.send(line_of(Rejected(reason=reason or "")))
            sock.close()
            return
        assert session is not None
        sock.send(line_of(Begun(terminal=session.terminal is not None)))
    except OSError:  # who has asked is gone
        sock.close()
        return
    shown.add(sock, order)


def _connected(number: str, one: Serving) -> Connected:
    host, port = one.peer
    return Connected(
        id=number,
        user=safe(one.user),
        state="open" if one.user else "login",
        peer=f"{host}:{port}",
        since=one.since,
        methods=one.methods,
        process=os.getpid(),
        details=details_of(one),
    )


def details_of(one: Serving) -> Details:
    """Return what the process that serves a connection knows of it."""
    sessions, listens = one.in_use()
    received, sent = _counted(one)
    return Details(
        idle=max(0.0, one.loop.time() - one.driver.received_at),
        received=received,
        sent=sent,
        sessions=len(sessions),
        forwards=max(0, len(one.channels) - len(sessions)),
        listens=listens,
        running=tuple(_running(one, *item) for item in list(sessions.items())[:MOST_RUNNING]),
    )


def _running(one: Serving, number: int, session: Session) -> Running:
    # The type of its channel tells what was granted: see kind_of in nacre.aio.channel.
    kinds = (channel.kind for channel in one.channels if channel.number == number)
    request = next(kinds, "").partition(":")[2].partition(":")[0]
    return Running(
        channel=number,
        request=request,
        what=safe(session.subsystem or session.command or "", MOST_SHOWN),
        terminal=session.terminal is not None,
    )


def _counted(one: Serving) -> tuple[int | None, int | None]:
    """Return the bytes that were received and sent, as the system counts them."""
    transport = one.driver.transport
    sock = None if transport is None else transport.get_extra_info("socket")
    with suppress(OSError, struct.error):
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            data = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES.size)
            acknowledged, received = _BYTES.unpack(data)
            return received, acknowledged
    return None, None
