"""The connections of all nodes: listed, ended, and not watched."""

from __future__ import annotations

import asyncio
import socket

import pytest

from daemon.control.answering import MadeUp, connection
from daemon.nodes.served import MadeUpClient, leased
from nacre.daemon.control.values import ControlError, Killed
from nacre.daemon.nodes import tables
from nacre.daemon.nodes.roster import NodesRoster
from nacre.daemon.nodes.values import NodeIdentity
from nacre.daemon.store.postgres.store_url import StoreURL
from nacre.daemon.watching.frames import WatchOrder
from parties import until

pytestmark = pytest.mark.interop

HERE = NodeIdentity("web1", "server-of-web1")
GONE = StoreURL("postgresql:///none?host=/nowhere")


async def test_all_are_listed_and_ended(url: StoreURL) -> None:
    own = MadeUp(connection("1.1"), silent=1)
    roster = NodesRoster(own, url, HERE)
    async with leased(url) as (here, _), leased(url, "web2") as (there, server):
        here.note(MadeUpClient(1), "alice", ())
        there.note(MadeUpClient(1), "alice", ("password", "publickey"))
        there.note(MadeUpClient(2), "bob", ())
        with tables.node_tables(url, seconds=30) as database:
            await until(lambda: len(tables.others(database, "")) == 3)
        listing = await roster.connections()
        assert listing.silent == 1
        first, second, third = listing.connections
        assert (first.node, first.id) == ("web1", "1.1")
        assert (second.node, second.id, second.user) == ("web2", "web2:1.1", "alice")
        assert (second.methods, second.details) == (("password", "publickey"), None)
        assert (third.id, third.user, third.state) == ("web2:1.2", "bob", "open")
        ended = await roster.end(["web1:1.1", "web2:1.2", "web3:1.1"], None, "why")
        assert ended == [Killed(id="web1:1.1", user="alice"), Killed(id="web2:1.2", user="bob")]
        assert own.reasons == ["why"]
        async with asyncio.timeout(30):
            await server.heard.wait()
        assert server.ended == [({"1.2"}, "why")]
        ended = await roster.end([], "alice", "all")
        assert {one.id for one in ended} == {"1.1", "web2:1.1"}


async def test_without_the_database_those_of_this_server_are_there() -> None:
    own = MadeUp(connection("1.1"))
    roster = NodesRoster(own, GONE, HERE)
    listing = await roster.connections()
    assert [one.id for one in listing.connections] == ["1.1"]
    assert listing.silent == 1
    assert await roster.end(["1.1"], None, "why") == [Killed(id="1.1", user="alice")]
    with pytest.raises(ControlError, match="not those of others: can't use the store"):
        await roster.end(["1.1"], "alice", "why")


async def test_a_session_is_watched_on_its_own_node() -> None:
    own = MadeUp(connection("1.1"))
    roster = NodesRoster(own, GONE, HERE)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert await roster.watch(WatchOrder(id="web1:1.1", channel=0), theirs)
        with pytest.raises(ControlError, match="use nacre watch on web2"):
            await roster.watch(WatchOrder(id="web2:1.1", channel=0), theirs)
        assert not await roster.watch(WatchOrder(id="web1:1.9", channel=0), theirs)
        assert not await roster.watch(WatchOrder(id="1.9", channel=0), theirs)
    assert [order.id for order in own.orders] == ["1.1"]
