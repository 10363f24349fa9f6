"""All connections of a separated server, as the monitor and its processes know them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection, Iterable

from nacre.daemon.control.roster import Listing, note_watch
from nacre.daemon.control.values import Connected, ControlError, Details, Killed, State
from nacre.daemon.separate.monitor import GateProcess
from nacre.daemon.separate.users import UserProcess, UserProcesses
from nacre.daemon.separate.visit import Visit
from nacre.daemon.watching.frames import WatchOrder
from nacre.server.peer import Client
from nacre.wire.text import safe

_STUCK = 30.0
"""Seconds after which a session process is killed that does not end a connection."""


class MonitorRoster:
    """The connections that log in, those that are served, and those at rest.

    What session processes say of their connections is shown and not believed: nothing is decided by
    it.

    :param gates: returns the gates.
    """

    def __init__(self, users: UserProcesses, gates: Callable[[], Iterable[GateProcess]]) -> None:
        self._users = users
        self._gates = gates

    async def connections(self) -> Listing:
        """Return all, also those that log in."""
        running = self._users.running
        answers = await asyncio.gather(*(one.describe() for one in running))
        known: dict[Visit, tuple[UserProcess, Details | None]] = {
            visit: (process, details)
            for process, answer in zip(running, answers, strict=True)
            for visit, details in answer.items()
        }
        silent = sum(None in answer.values() for answer in answers)
        found = [self._served(visit, *known.get(visit, (None, None))) for visit in self._in()]
        found += [
            _connected(visit, "login", gate.pid, None)
            for gate in self._gates()
            for visit in gate.visits
            if not visit.user
        ]
        return Listing(found, silent)

    def number_of(self, client: Client) -> str:
        """Return the number of a connection."""
        assert isinstance(client, Visit)
        return _id(client)

    def _in(self) -> list[Visit]:
        return sorted(self._users.visits, key=lambda visit: (visit.gate, visit.id))

    def _served(
        self, visit: Visit, process: UserProcess | None, details: Details | None
    ) -> Connected:
        if self._users.rests(visit):
            return _connected(visit, "rest", None, None)
        return _connected(visit, "open", None if process is None else process.pid, details)

    async def end(self, ids: Collection[str], user: str | None, reason: str) -> list[Killed]:
        """End the connections with these numbers, and those of a user who is logged in."""
        visits = [one for gate in self._gates() for one in gate.visits if not one.user]
        visits += self._in()
        ended, told = [], []
        for visit in visits:
            if _id(visit) in ids or (user is not None and visit.user == user):
                visit.record("killed", reason=safe(reason))
                visit.end(reason)
                ended.append(Killed(id=_id(visit), user=safe(visit.user or visit.named)))
                told.append(visit)
        asyncio.get_running_loop().call_later(_STUCK, self._end_stuck, told)
        return ended

    async def watch(self, order: WatchOrder, sock: socket.socket) -> bool:
        """Have a session shown over a socket; tell whether its connection is here.

        The process that serves it answers who has asked, who is told what the user's process says.
        """
        visit = next((one for one in self._in() if _id(one) == order.id), None)
        if visit is None:
            return False
        if self._users.rests(visit):
            raise ControlError("the connection is at rest: it has no session")
        await note_watch(visit, order)
        if not any(process.show(visit, order, sock) for process in self._users.running):
            raise ControlError("the connection ends")
        sock.close()
        return True

    def _end_stuck(self, visits: list[Visit]) -> None:
        """Kill the processes that have not ended what they were to end."""
        for process in self._users.running:
            if any(process.keeps(visit) for visit in visits):
                process.kill()


def _id(visit: Visit) -> str:
    return f"{visit.gate}.{visit.id}"


def _connected(
    visit: Visit, state: State, process: int | None, details: Details | None
) -> Connected:
    host, port = visit.peer
    return Connected(
        id=_id(visit),
        user=safe(visit.user or visit.named),
        state=state,
        peer=f"{host}:{port}",
        since=visit.since,
        methods=visit.methods,
        process=process,
        details=details,
    )
