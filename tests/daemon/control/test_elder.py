"""The connections of the server before, asked for over a stream."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from daemon.control.answering import MadeUp, Nowhere, connection
from nacre.config.values import LogLevel
from nacre.daemon.control.controlled import ControlledHere
from nacre.daemon.control.elder import ElderRoster, JoinedRoster
from nacre.daemon.control.place import ControlPlace
from nacre.daemon.control.values import Finished, Killed, Rejected, line_of
from nacre.daemon.log.server_log import ServerLog


def pair() -> tuple[socket.socket, int]:
    ours, theirs = socket.socketpair()
    return ours, theirs.detach()


async def test_both_servers_connections_are_listed_and_ended(
    state: Path,
) -> None:
    server_log = ServerLog(LogLevel.INFO, Nowhere())
    elder_made = MadeUp(connection("1.1"), silent=1)
    with ControlPlace(state) as place:
        controlled = ControlledHere(place)
        controlled.begin(elder_made, server_log)
        ours, theirs = pair()
        controlled.hand_over(ours)
        assert place.listener.fileno() == -1
        assert (state / "control").exists()  # it is another server's
        elder = ElderRoster(theirs)
        joined = JoinedRoster(MadeUp(connection("101.1", "bob")), elder)
        listing = await joined.connections()
        assert [one.id for one in listing.connections] == ["1.1", "101.1"]
        assert listing.silent == 1
        ended = await joined.end(["1.1"], "bob", "why")
        assert ended == [Killed(id="1.1", user="alice"), Killed(id="101.1", user="bob")]
        assert elder_made.reasons == ["why"]
        controlled.end()
        await asyncio.sleep(0)
        listing = await joined.connections()
        assert [one.id for one in listing.connections] == ["101.1"]
        assert listing.silent == 0


@pytest.mark.parametrize(
    "said", [line_of(Rejected(reason="no")), b"rubbish\n", line_of(Killed(id="1", user="a"))]
)
async def test_one_that_answers_something_else_is_not_asked_again(said: bytes) -> None:
    ours, theirs = pair()
    with ours:
        elder = ElderRoster(theirs)
        ours.sendall(said)
        listing = await elder.connections()
        assert (listing.connections, listing.silent) == ([], 1)
        listing = await elder.connections()
        assert (listing.connections, listing.silent) == ([], 0)


async def test_one_that_has_ended_has_no_connections() -> None:
    ours, theirs = pair()
    ours.sendall(line_of(connection()))
    ours.close()
    elder = ElderRoster(theirs)
    assert (await elder.connections()).connections == []
    assert await elder.end(["1.1"], None, "why") == []


async def test_answers_are_not_mixed_up() -> None:
    ours, theirs = pair()
    with ours:
        elder = ElderRoster(theirs)
        ours.sendall(line_of(connection()) + line_of(Finished()) + line_of(Finished(silent=2)))
        first, second = await asyncio.gather(elder.connections(), elder.connections())
        assert [one.id for one in first.connections] == ["1.1"]
        assert (second.connections, second.silent) == ([], 2)
        ours.shutdown(socket.SHUT_WR)
        assert (await elder.connections()).silent == 0
