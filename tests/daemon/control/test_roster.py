"""The connections of one process, listed and ended."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

import nacre
from nacre.daemon.control.roster import MOST_RUNNING, ServerRoster
from nacre.daemon.control.values import Connected, Running
from nacre.testing import host_key

KEY = nacre.generate("ssh-ed25519")


async def hold(session: nacre.Session) -> int:
    await session.stdin.read()
    return 0


@pytest.fixture
async def server() -> AsyncIterator[nacre.Server]:
    policy = nacre.Users({"alice": [KEY.public]})
    async with nacre.listen(host_keys=[host_key()], policy=policy, handler=hold) as server:
        yield server


def connect(server: nacre.Server) -> Any:
    return nacre.connect(
        "127.0.0.1", server.port, user="alice", keys=[KEY], agent=False, trust=nacre.AnyHostKey()
    )


async def listed(roster: ServerRoster) -> list[Connected]:
    listing = await roster.connections()
    assert listing.silent == 0
    return list(listing.connections)


async def test_what_a_connection_does_is_listed(server: nacre.Server) -> None:
    roster = ServerRoster("2.")
    roster.add(server, "1.")
    assert await listed(roster) == []
    async with connect(server) as ssh:
        (one,) = await listed(roster)
        assert (one.id, one.user, one.state) == ("2.1.1", "alice", "open")
        assert (one.methods, one.process) == (("publickey",), os.getpid())
        assert one.details is not None
        assert one.details.running == ()
        assert one.details.received
        assert one.details.sent
        async with ssh.process("a\x1b[1mb" + "c" * 1000), ssh.shell():
            ((first, second),) = [each.details.running for each in await listed(roster)]  # type: ignore[union-attr]
            assert first.request == "command"
            assert first.what.startswith("a\\x1b[1mbccc")
            assert len(first.what) < 300
            assert second == Running(channel=1, request="shell", what="", terminal=False)


async def test_those_that_log_in_are_listed_and_ended_too(server: nacre.Server) -> None:
    roster = ServerRoster()
    roster.add(server)
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.setblocking(False)
        while not (found := await listed(roster)):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
        assert [(one.id, one.user, one.state) for one in found] == [("1", "", "login")]
        (ended,) = await roster.end({"1"}, None, "go away")
        assert (ended.id, ended.user) == ("1", "")


async def test_a_client_is_told_why_it_is_ended(server: nacre.Server) -> None:
    roster = ServerRoster()
    roster.add(server)
    async with connect(server) as one, connect(server) as two:
        assert await roster.end({"7"}, "bob", "why not") == []
        assert len(await roster.end((), "alice", "at noon")) == 2
        for ssh in (one, two):
            with pytest.raises(nacre.ConnectionLost, match="at noon"):
                await ssh.run("true")
        assert await roster.end((), "alice", "again") == []


async def test_no_more_than_some_sessions_are_described(server: nacre.Server) -> None:
    roster = ServerRoster()
    roster.add(server)
    server.reload(limits=nacre.Limits(sessions=MOST_RUNNING + 10))
    async with connect(server) as ssh:
        for _ in range(MOST_RUNNING + 2):
            await ssh.process("x")
        (one,) = await listed(roster)
        assert one.details is not None
        assert one.details.sessions == MOST_RUNNING + 2
        assert len(one.details.running) == MOST_RUNNING


async def test_a_connection_has_the_number_that_is_listed(server: nacre.Server) -> None:
    roster = ServerRoster("2.")
    roster.add(server, "1.")
    async with connect(server):
        (one,) = await listed(roster)
        assert roster.number_of(server.connections[0]) == one.id == "2.1.1"
