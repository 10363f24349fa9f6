"""A server's control socket in a thread, with connections that a test makes up."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nacre.daemon.control.controlled import ControlledHere
from nacre.daemon.control.place import ControlPlace
from nacre.daemon.control.roster import Listing
from nacre.daemon.control.values import (
    Begun,
    Connected,
    ControlError,
    Details,
    Killed,
    Running,
    line_of,
)
from nacre.daemon.log.server_log import ServerLog
from nacre.daemon.watching.frames import WatchOrder

DETAILS = Details(
    idle=75.0,
    received=2_500_000,
    sent=900,
    sessions=2,
    forwards=1,
    listens=2,
    running=(Running(channel=0, request="command", what="make all", terminal=True),),
)


def connection(number: str = "1.1", user: str = "alice", **changes: Any) -> Connected:
    usual: dict[str, Any] = {
        "state": "open",
        "peer": "192.0.2.1:50000",
        "since": 1_800_000_000.5,
        "methods": ("publickey",),
        "process": 4711,
        "details": DETAILS,
    }
    return Connected(id=number, user=user, **(usual | changes))


class MadeUp:
    """Connections that a test has made up; it notes what was ended."""

    def __init__(self, *all_of_them: Connected, silent: int = 0) -> None:
        self.all = list(all_of_them)
        self.silent = silent
        self.reasons: list[str] = []
        self.orders: list[WatchOrder] = []
        self.refuses = ""

    async def connections(self) -> Listing:
        return Listing(self.all, self.silent)

    async def end(self, ids: Collection[str], user: str | None, reason: str) -> list[Killed]:
        self.reasons.append(reason)
        chosen = [one for one in self.all if one.id in ids or one.user == user]
        return [Killed(id=one.id, user=one.user) for one in chosen]

    async def watch(self, order: WatchOrder, sock: socket.socket) -> bool:
        """Answer who watches with a byte of output; there are reasons not to in ``refuses``."""
        if self.refuses:
            raise ControlError(self.refuses)
        if order.id not in {one.id for one in self.all}:
            return False
        self.orders.append(order)
        with sock:
            sock.send(line_of(Begun(terminal=True)) + b"frames")
        return True


class Answering:
    """A control socket that answers, and a log to follow."""

    def __init__(self, log: ServerLog, loop: asyncio.AbstractEventLoop) -> None:
        self._log = log
        self._loop = loop

    def record(self, record: Mapping[str, object]) -> None:
        """Have the server log something."""
        self._loop.call_soon_threadsafe(self._log, record)


class Nowhere:
    """A destination whose lines nobody reads."""

    def line(self, level: object, record: object) -> str:
        return ""

    def part_of_traceback(self, text: str) -> str:
        return text

    def ready(self) -> bool:
        return True

    def write(self, data: bytes) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Close nothing."""


@contextmanager
def answering(state: Path, roster: MadeUp) -> Iterator[Answering]:
    """Answer on the control socket of a state directory meanwhile."""
    from nacre.config.values import LogLevel

    log = ServerLog(LogLevel.INFO, Nowhere())
    begun: list[Answering] = []
    ready = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        controlled = ControlledHere(ControlPlace(state), "told")
        controlled.begin(roster, log)
        loops.append((loop, over))
        begun.append(Answering(log, loop))
        ready.set()
        await over.wait()
        controlled.end()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    try:
        yield begun[0]
    finally:
        ((loop, over),) = loops
        loop.call_soon_threadsafe(over.set)
        thread.join(20)
