"""A process answers on the control socket while it serves."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from daemon.control.answering import MadeUp, Nowhere, connection
from nacre.config.values import LogLevel
from nacre.daemon.control.caller import ControlCaller
from nacre.daemon.control.controlled import ControlledHere
from nacre.daemon.control.elder import ElderRoster
from nacre.daemon.control.place import NAME, ControlPlace
from nacre.daemon.control.requests import Who
from nacre.daemon.control.roster import Listing, Roster
from nacre.daemon.log.server_log import ServerLog


async def test_at_its_end_nothing_is_left(state: Path) -> None:
    log = ServerLog(LogLevel.INFO, Nowhere())
    controlled = ControlledHere(ControlPlace(state))
    controlled.begin(MadeUp(), log)
    assert log.follow is not None
    for _ in range(2):
        controlled.end()
        assert log.follow is None
        assert not (state / NAME).exists()


def test_a_process_that_never_served_leaves_nothing(state: Path) -> None:
    ControlledHere(ControlPlace(state)).end()
    assert not (state / NAME).exists()


def with_another(own: Roster) -> Roster:
    """Return the connections of a server, and one of another server."""
    assert isinstance(own, MadeUp)
    return MadeUp(*own.all, connection("web2:1.1", "bob"))


async def ids(roster: ElderRoster) -> list[str]:
    listing: Listing = await roster.connections()
    return [one.id for one in listing.connections]


async def test_a_successor_asks_other_servers_itself(state: Path) -> None:
    controlled = ControlledHere(ControlPlace(state), everywhere=with_another)
    controlled.begin(MadeUp(connection("1.1")), ServerLog(LogLevel.INFO, Nowhere()))
    with ControlCaller(state) as caller:
        listed = await asyncio.to_thread(lambda: list(caller.ask("who", Who())))
    assert [one.id for one in listed] == ["1.1", "web2:1.1"]
    ours, theirs = socket.socketpair()
    controlled.hand_over(ours)
    elder = ElderRoster(theirs.detach())
    assert await ids(elder) == ["1.1"]
    controlled.end()
    await asyncio.sleep(0)
    assert await ids(elder) == []
