"""The statements about nodes: leases by the database's clock, and what counts."""

from __future__ import annotations

import threading

import pytest

from nacre._version import __version__
from nacre.daemon.nodes import tables
from nacre.daemon.nodes.tables import CHANNEL, DatabaseConnection, node_tables
from nacre.daemon.nodes.values import NodeConnection, NodeIdentity
from nacre.daemon.store.postgres.store_url import StoreURL
from nacre.errors import StateError

pytestmark = pytest.mark.interop

ONE, TWO = NodeIdentity("web1", "s1"), NodeIdentity("web2", "s2")


def row(number: str, user: str = "alice") -> NodeConnection:
    return NodeConnection(
        id=number, user=user, peer="192.0.2.1:5", since=1_800_000_000.5, methods=("publickey",)
    )


def expire(connection: DatabaseConnection, number: int, seconds: int = 1) -> None:
    connection.execute("UPDATE nodes SET until = until - %s", [10_000 + seconds * 1000])
    assert not tables.renew(connection, number, "serving")


def test_a_lease_is_renewed_and_ends(connection: DatabaseConnection) -> None:
    number = tables.register(connection, ONE, 4711, "serving", None)
    assert tables.renew(connection, number, "stopping")
    (found,) = tables.nodes(connection)
    assert (found.name, found.process, found.version) == ("web1", 4711, __version__)
    assert found.state == "stopping"
    assert 5 < found.left <= 10
    assert found.began > 1_700_000_000
    expire(connection, number)
    (found,) = tables.nodes(connection)
    assert found.state == "gone"
    assert found.left < 0
    second = tables.register(connection, ONE, 4711, "serving", number)
    assert second != number
    assert [one.state for one in tables.nodes(connection)] == ["serving"]
    tables.leave(connection, second)
    assert tables.nodes(connection) == []


def test_connections_count_as_long_as_the_lease_holds(connection: DatabaseConnection) -> None:
    one = tables.register(connection, ONE, 1, "serving", None)
    two = tables.register(connection, TWO, 2, "serving", None)
    tables.put(connection, one, [row("1.1"), row("1.2", "bob")])
    tables.put(connection, two, [row("1.1")])
    assert tables.held(connection, ["alice", "carol"]) == {"alice": 2}
    tables.remove(connection, one, {"1.2", "9.9"})
    assert tables.held(connection, ["bob"]) == {}
    connection.execute("UPDATE nodes SET until = 0 WHERE number = %s", [two])
    assert tables.held(connection, ["alice"]) == {"alice": 1}
    # A restart of the node that has died does not wait for the others to notice it.
    tables.register(connection, NodeIdentity(TWO.name, "s3"), 3, "serving", None)
    assert [one.process for one in tables.nodes(connection)] == [1, 3]
    # A process of the same server may be cut off, and has to see what is to end.
    connection.execute("UPDATE nodes SET until = until - 20000 WHERE number = %s", [one])
    tables.register(connection, ONE, 4, "serving", None)
    assert [one.process for one in tables.nodes(connection)] == [1, 4, 3]


def test_who_is_gone_for_long_is_forgotten(connection: DatabaseConnection) -> None:
    tables.register(connection, ONE, 1, "serving", None)
    connection.execute("UPDATE nodes SET until = until - 300000")
    tables.sweep(connection, TWO)
    assert len(tables.nodes(connection)) == 1
    connection.execute("UPDATE nodes SET until = until - 400000")
    tables.sweep(connection, TWO)
    assert tables.nodes(connection) == []


def test_those_of_other_servers_are_listed_and_ended(connection: DatabaseConnection) -> None:
    one = tables.register(connection, ONE, 1, "serving", None)
    two = tables.register(connection, TWO, 2, "serving", None)
    tables.put(connection, one, [row("1.1")])
    tables.put(connection, two, [row("1.1"), row("1.2", "bob"), row("1.3", "bob")])
    listed = tables.others(connection, "s1")
    assert [(name, process, each.id) for name, process, each in listed] == [
        ("web2", 2, "1.1"),
        ("web2", 2, "1.2"),
        ("web2", 2, "1.3"),
    ]
    assert listed[0][2] == row("1.1")
    connection.execute(f"LISTEN {CHANNEL}")
    ended = tables.end_others(connection, "s1", ["web2:1.1", "web1:1.1"], "bob", "at noon")
    assert sorted(ended) == [("web2:1.1", "alice"), ("web2:1.2", "bob"), ("web2:1.3", "bob")]
    assert [one.channel for one in connection.notifies(timeout=10, stop_after=1)] == [CHANNEL]
    assert tables.endings(connection, two) == dict.fromkeys(("1.1", "1.2", "1.3"), "at noon")
    assert tables.endings(connection, one) == {}
    assert tables.end_others(connection, "s1", [], None, "nobody") == []


def test_a_user_is_counted_by_one_process_at_a_time(
    connection: DatabaseConnection, url: StoreURL
) -> None:
    done = threading.Event()

    def count() -> None:
        with node_tables(url, seconds=30) as other, other.transaction():
            tables.lock_users(other, ["bob", "alice"])
            done.set()

    thread = threading.Thread(target=count)
    with connection.transaction():
        tables.lock_users(connection, ["alice"])
        thread.start()
        assert not done.wait(0.1)
        with node_tables(url, seconds=30) as third, third.transaction():
            tables.lock_users(third, ["carol"])  # others do not wait
    assert done.wait(30)
    thread.join(30)


def test_a_database_that_is_gone_has_a_message(url: StoreURL) -> None:
    with (
        pytest.raises(StateError, match=r"can't use the store postgresql://.*canceling statement"),
        node_tables(url, seconds=0.01) as connection,
    ):
        connection.execute("SELECT pg_sleep(20)")
    with (
        pytest.raises(StateError, match="can't use the store postgresql:///none"),
        node_tables(StoreURL("postgresql:///none?host=/nowhere"), seconds=1),
    ):
        pass
