"""The lease of a process: kept, taken anew, and what other nodes know of its connections."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from daemon.nodes.served import MadeUpClient, leased
from nacre.daemon.nodes import lease as module
from nacre.daemon.nodes import tables
from nacre.daemon.nodes.tables import DatabaseConnection
from nacre.daemon.store.postgres.store_url import StoreURL
from nacre.errors import StateError
from parties import until

pytestmark = pytest.mark.interop

END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
)
LOOKED = (
    "SELECT 1 FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state = 'idle' "
    "AND datname = current_database() AND query ~ 'SELECT id, ending|DELETE FROM nodes'"
)
"""Whether a process has looked what is to end, after the transaction before."""
KEY = ("publickey",)


def stored(connection: DatabaseConnection) -> list[tuple[str, str]]:
    """Return which connections are in the database, and whose."""
    return sorted((one.id, one.user) for _, _, one in tables.others(connection, ""))


async def has(connection: DatabaseConnection, *rows: tuple[str, str]) -> None:
    await until(lambda: stored(connection) == sorted(rows))


async def test_connections_are_there_from_the_login_to_the_end(
    url: StoreURL, connection: DatabaseConnection
) -> None:
    async with leased(url) as (lease, _):
        clients = [MadeUpClient(number) for number in (1, 2, 3)]
        for client in clients:
            lease.note(client, "alice", KEY)
        await has(connection, *((f"1.{number}", "alice") for number in (1, 2, 3)))
        await clients[1].leave()
        await has(connection, ("1.1", "alice"), ("1.3", "alice"))
        ((name, _, first), _) = tables.others(connection, "")
        assert (name, first.peer, first.methods) == ("web1", "192.0.2.1:40000", KEY)
    await until(lambda: tables.nodes(connection) == [])
    for client in clients:
        await client.leave()


async def test_a_user_has_so_many_on_all_nodes_together(
    url: StoreURL, connection: DatabaseConnection
) -> None:
    async with leased(url) as (one, _), leased(url, "web2") as (two, _):
        clients = [MadeUpClient(number) for number in range(8)]
        entering = [
            (one, two)[number % 2].enter(client, "alice", KEY, 3)
            for number, client in enumerate(clients)
        ]
        answers = await asyncio.gather(*entering)
        assert sorted(answers) == [False] * 5 + [True] * 3
        assert len(stored(connection)) == 3
        inside = [client for client, answer in zip(clients, answers, strict=True) if answer]
        assert await one.enter(MadeUpClient(9, "bob"), "bob", KEY, 1)
        await inside[0].leave()
        again = MadeUpClient(10)
        await until(lambda: len(stored(connection)) == 3)
        assert await two.enter(again, "alice", KEY, 3)
        # It is noted once more when its policy has gone on.
        two.note(again, "alice", KEY)
        assert not await one.enter(MadeUpClient(11), "alice", KEY, 3)


async def test_who_leaves_while_it_waits_counts_for_nothing(
    url: StoreURL, connection: DatabaseConnection
) -> None:
    async with leased(url) as (lease, _):
        client = MadeUpClient(1)
        waiting = client.spawn(lease.enter(client, "alice", KEY, 1))
        await asyncio.sleep(0)
        await client.leave()
        assert waiting.cancelled()
        # Where a task of its own waits, that is told.
        third = MadeUpClient(3)
        entering = asyncio.create_task(lease.enter(third, "alice", KEY, 1))
        await asyncio.sleep(0)
        await third.leave()
        with pytest.raises(StateError, match="the client has left"):
            await entering
        second = MadeUpClient(2)
        await has(connection)
        assert await lease.enter(second, "alice", KEY, 1)
        assert stored(connection) == [("1.2", "alice")]


async def test_a_lease_that_has_ended_is_taken_anew_with_all_connections(
    url: StoreURL, connection: DatabaseConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.05)
    async with leased(url) as (lease, _):
        clients = [MadeUpClient(number) for number in (1, 2)]
        for client in clients:
            lease.note(client, "alice", KEY)
        await has(connection, ("1.1", "alice"), ("1.2", "alice"))
        await clients[0].leave()
        await has(connection, ("1.2", "alice"))
        number = connection.execute("SELECT number FROM nodes").fetchone()
        connection.execute("UPDATE nodes SET until = 0")
        await has(connection, ("1.2", "alice"))
        assert connection.execute("SELECT number FROM nodes").fetchone() != number
        # Also one that somebody has removed.
        connection.execute("DELETE FROM nodes")
        await has(connection, ("1.2", "alice"))


async def test_a_connection_of_the_database_that_breaks_is_made_anew(
    url: StoreURL, connection: DatabaseConnection
) -> None:
    async with leased(url) as (lease, server):
        client = MadeUpClient(1)
        lease.note(client, "alice", KEY)
        await has(connection, ("1.1", "alice"))
        connection.execute(END_ALL)
        await until(lambda: bool(server.log))
        lease.note(MadeUpClient(2), "bob", KEY)
        await has(connection, ("1.1", "alice"), ("1.2", "bob"))
        (record,) = server.log
        assert record["what"] == "the other nodes can't be told of this one"


async def test_no_user_with_a_maximum_enters_without_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    async with leased(StoreURL("postgresql:///none?host=/nowhere")) as (lease, server):
        client = MadeUpClient(1)
        with pytest.raises(StateError, match="the store of all nodes gives no answer"):
            await lease.enter(client, "alice", KEY, 1)
        await client.leave()
        lease.note(MadeUpClient(2), "bob", KEY)  # others do not wait
        await until(lambda: bool(server.log))


async def test_other_nodes_end_connections_here_once(
    url: StoreURL, connection: DatabaseConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", 600.0)  # it is a notification that wakes it
    async with leased(url) as (lease, server):
        clients = [MadeUpClient(number) for number in (1, 2)]
        for client in clients:
            lease.note(client, "alice", KEY)
        await has(connection, ("1.1", "alice"), ("1.2", "alice"))
        end = partial(tables.end_others, connection, "other")
        assert end(["web1:1.1"], None, "at noon") == [("web1:1.1", "alice")]
        async with asyncio.timeout(30):
            await server.heard.wait()
        server.heard.clear()
        end([], "alice", "at one")
        async with asyncio.timeout(30):
            await server.heard.wait()
        assert server.ended == [({"1.1"}, "at noon"), ({"1.2"}, "at one")]


async def test_what_is_to_end_is_heard_after_the_lease_has_ended(
    url: StoreURL, connection: DatabaseConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", 600.0)
    async with leased(url) as (lease, server):
        lease.note(MadeUpClient(1), "alice", KEY)
        await has(connection, ("1.1", "alice"))
        await until(lambda: connection.execute(LOOKED).fetchone() is not None)
        # As a node that is cut off: it hears no notification, and comes back after its lease.
        connection.execute("UPDATE connections SET ending = 'at noon'")
        connection.execute("UPDATE nodes SET until = until - 20000")
        lease.note(MadeUpClient(2), "bob", KEY)
        async with asyncio.timeout(30):
            await server.heard.wait()
        await has(connection, ("1.1", "alice"), ("1.2", "bob"))
        assert server.ended == [({"1.1"}, "at noon")]


async def test_a_process_that_is_stopped_while_it_counts_holds_up_no_other(
    url: StoreURL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STUCK", "100ms")
    async with leased(url) as (stopped, _), leased(url, "web2") as (other, server):
        counting, goes_on = threading.Event(), threading.Event()

        def count(*_: object) -> None:
            counting.set()
            goes_on.wait(60)

        with monkeypatch.context() as patched:
            patched.setattr(tables, "held", count)  # the locks are held then
            client = MadeUpClient(1)
            waiting = client.spawn(stopped.enter(client, "alice", KEY, 1))
            assert await asyncio.to_thread(counting.wait, 30)
        try:
            assert await other.enter(MadeUpClient(2), "alice", KEY, 1)
            assert server.log == []
        finally:
            goes_on.set()
        waiting.cancel()


async def test_a_node_that_stops_says_so_at_once(
    url: StoreURL, connection: DatabaseConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", 600.0)
    async with leased(url) as (lease, _):
        await until(lambda: [one.state for one in tables.nodes(connection)] == ["serving"])
        lease.stop()
        await until(lambda: [one.state for one in tables.nodes(connection)] == ["stopping"])
        lease.close()
        lease.close()
        assert tables.nodes(connection) == []


async def test_a_name_that_the_database_can_not_have_holds_up_nobody(
    url: StoreURL, connection: DatabaseConnection
) -> None:
    async with leased(url) as (lease, server):
        lease.note(MadeUpClient(1), "a\0b\udcff", KEY)
        assert await lease.enter(MadeUpClient(2), "c\0d", KEY, 1)
        lease.note(MadeUpClient(3), "alice", KEY)
        await until(lambda: ("1.3", "alice") in stored(connection))
        assert len(stored(connection)) == 3
        assert server.log == []
