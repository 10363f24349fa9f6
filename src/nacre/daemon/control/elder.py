"""The connections of the server that this one follows, which ends when the last of them does.

That server answers on a stream what a client of the control socket asks.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection
from typing import Any

from nacre.daemon.control.requests import Kill, Who, written
from nacre.daemon.control.roster import Listing, Roster
from nacre.daemon.control.values import (
    Connected,
    ControlError,
    Finished,
    Killed,
    Rejected,
    json_line,
    value_of,
)
from nacre.daemon.watching.frames import WatchOrder
from nacre.limits import MIB

_LONGEST = 1 * MIB
"""Bytes of a line."""

_MOST = 100_000
"""Values of an answer."""

_PATIENCE = 5.0
"""Seconds for an answer; that server asks its own processes meanwhile."""


class ElderRoster:
    """The connections of that server.

    :param descriptor: its stream.
    """

    def __init__(self, descriptor: int) -> None:
        self._sock: socket.socket | None = socket.socket(fileno=descriptor)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._asking = asyncio.Lock()

    async def connections(self) -> Listing:
        """Return all, also those that log in."""
        found, silent = await self._ask("who", Who(everyone=True), Connected)
        return Listing(found, silent)

    async def end(self, ids: Collection[str], user: str | None, reason: str) -> list[Killed]:
        """End the connections with these numbers, and those of a user who is logged in."""
        asked = Kill(ids=tuple(ids), user=user, reason=reason)
        return (await self._ask("kill", asked, Killed))[0]

    async def _ask(self, name: str, request: object, kind: type[Any]) -> tuple[list[Any], int]:
        """Return the values of an answer, and how many processes were silent."""
        found: list[Any] = []
        async with self._asking:
            if self._sock is None:
                return found, 0
            try:
                async with asyncio.timeout(_PATIENCE):
                    silent = await self._exchange(written(name, request), kind, found)
            except (ConnectionError, asyncio.IncompleteReadError):
                self._close()  # it has ended, and so have its connections
                return [], 0
            except (OSError, TimeoutError, asyncio.LimitOverrunError, ControlError):
                self._close()  # what it would say next is the answer to something else
                return found, 1
        return found, silent

    async def _exchange(self, asked: dict[str, Any], kind: type[Any], found: list[Any]) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(sock=self._sock, limit=_LONGEST)
        reader, writer = self._streams
        writer.write(json_line(asked))
        await writer.drain()
        for _ in range(_MOST):
            line = await reader.readuntil(b"\n")
            value = value_of(line)
            if isinstance(value, Finished):
                return value.silent
            if isinstance(value, Rejected) or not isinstance(value, kind):
                raise ControlError("the server before refuses, or answers something else")
            found.append(value)
        raise ControlError("the server before answers without an end")

    def _close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._sock = self._streams = None


class JoinedRoster:
    """The connections of this server and of the one that it follows."""

    def __init__(self, own: Roster, elder: ElderRoster) -> None:
        self._own, self._elder = own, elder

    async def connections(self) -> Listing:
        """Return all, also those that log in."""
        own, elder = await asyncio.gather(self._own.connections(), self._elder.connections())
        return Listing([*elder.connections, *own.connections], own.silent + elder.silent)

    async def end(self, ids: Collection[str], user: str | None, reason: str) -> list[Killed]:
        """End the connections with these numbers, and those of a user who is logged in."""
        own, elder = await asyncio.gather(
            self._own.end(ids, user, reason), self._elder.end(ids, user, reason)
        )
        return [*elder, *own]

    async def watch(self, order: WatchOrder, sock: socket.socket) -> bool:
        """Have a session of this server shown over a socket; tell whether its connection is here.

        :raises ControlError: the connection has no sessions, or is the other server's.
        """
        if await self._own.watch(order, sock):
            return True
        listing = await self._elder.connections()
        if any(one.id == order.id for one in listing.connections):
            raise ControlError(
                f"connection {order.id[:64]!r} is from before the server's restart: it can be "
                "ended, and not watched"
            )
        return False
