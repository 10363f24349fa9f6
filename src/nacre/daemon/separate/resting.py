"""Connections at rest: their clients have nothing open, and no process serves them.

A session process takes some megabytes. So it gives a connection on which nothing happens back to
the monitor, which keeps its frozen state and looks for nothing but that the client sends something.
Then the connection is handed over again, to a process that goes on where the other one stood. The
monitor neither reads what the client sends nor looks into the state.
"""

from __future__ import annotations

import asyncio
import select
import socket
from functools import partial

from nacre.daemon.separate.visit import Visit
from nacre.errors import ConnectionLost, DisconnectCode
from nacre.limits import KIB

MOST_STATE = 64 * KIB
"""Bytes of a state at rest: the names of the algorithms, the limits and the keys."""

_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class RestingVisits:
    """The connections at rest of all users."""

    def __init__(self) -> None:
        self._closed = False
        self._waiting: dict[Visit, tuple[bytes, float, asyncio.TimerHandle | None]] = {}

    def add(self, visit: Visit, sock: socket.socket, state: bytes) -> None:
        """Wait for a client; its socket is closed here when it leaves."""
        visit.sock = sock
        if self._closed:
            visit.leave()
            return
        loop = asyncio.get_running_loop()
        # A client that is to answer keepalives is asked by a process of its user.
        interval, _ = visit.keepalive
        timer = loop.call_later(interval, self._wake, visit) if interval else None
        self._waiting[visit] = state, loop.time(), timer
        visit.drop = partial(self._refuse, visit)
        loop.add_reader(sock, self._on_readable, visit)

    def has(self, visit: Visit) -> bool:
        """Tell whether a connection rests."""
        return visit in self._waiting

    def close(self) -> None:
        """Close all connections, and those to come."""
        self._closed = True
        for visit in list(self._waiting):
            self._end(visit, "the server stops")

    def _on_readable(self, visit: Visit) -> None:
        if _is_gone(visit.sock):
            self._end(visit, "the client has closed the connection")
        else:
            self._wake(visit)

    def _take(self, visit: Visit) -> tuple[bytes, float]:
        state, since, timer = self._waiting.pop(visit)
        loop = asyncio.get_running_loop()
        loop.remove_reader(visit.sock)
        if timer is not None:
            timer.cancel()
        visit.drop = None
        return state, loop.time() - since

    def _wake(self, visit: Visit) -> None:
        state, seconds = self._take(visit)
        visit.move(state, seconds)

    def _refuse(self, visit: Visit, reason: str) -> None:
        """Have a process tell the client why its connection ends."""
        state, seconds = self._take(visit)
        visit.fail(ConnectionLost(reason), DisconnectCode.BY_APPLICATION, reason)
        visit.move(state, seconds)

    def _end(self, visit: Visit, reason: str) -> None:
        self._take(visit)
        visit.record("closed", reason=reason)
        visit.leave()


def _is_gone(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, _GONE)
    return bool(poll.poll(0))
