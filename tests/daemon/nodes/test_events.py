"""Copies of events in the database: written once, found as in the table of one server."""

from __future__ import annotations

import time
from ipaddress import ip_network
from typing import Any

import pytest

from nacre.daemon.audit.chain import Kept, Position
from nacre.daemon.audit.search import Search
from nacre.daemon.nodes.events import find_events, last_event, put_events, remove_events
from nacre.daemon.nodes.tables import DatabaseConnection

pytestmark = pytest.mark.interop


def kept(number: int, **changes: Any) -> Kept:
    usual = Kept(
        id=number,
        time=number * 10,
        connection=f"1.{number}",
        user="alice",
        peer="192.0.2.1:40000",
        event="file",
        outcome="success",
        fields='{"op":"rename","path":"/in/a.txt","to":"/out/b.txt"}',
        previous="0" * 64,
        hash=f"{number:064}",
    )
    return usual._replace(**changes)


def found(connection: DatabaseConnection, limit: int | None = None, **search: Any) -> list[str]:
    wanted = Search(**search)
    return [f"{node} {one.id}" for node, one in find_events(connection, wanted, limit)]


def test_an_event_is_there_once_with_its_columns(connection: DatabaseConnection) -> None:
    assert last_event(connection, "web1") is None
    events = [kept(1), kept(2)]
    for _ in range(2):
        put_events(connection, "web1", events)
    put_events(connection, "web2", [kept(1)])
    assert last_event(connection, "web1") == Position(2, events[1].hash)
    assert [one for node, one in find_events(connection, Search()) if node == "web1"] == events
    # A table that was begun anew has the numbers again.
    put_events(connection, "web1", [kept(1, hash="f" * 64, time=99)])
    assert last_event(connection, "web1") == Position(1, "f" * 64)
    assert found(connection) == ["web1 1", "web2 1", "web1 2", "web1 1"]


def test_what_is_wanted_is_found(connection: DatabaseConnection) -> None:
    put_events(
        connection,
        "web1",
        [
            kept(1),
            kept(2, user="bob", peer="2001:db8::7:1"),
            kept(3, event="login", fields="{}", outcome="failure"),
            kept(4, fields="no JSON"),
        ],
    )
    put_events(connection, "web2", [kept(2), kept(9)])
    assert found(connection) == ["web1 1", "web1 2", "web2 2", "web1 3", "web1 4", "web2 9"]
    assert found(connection, limit=2) == ["web1 4", "web2 9"]
    assert found(connection, user="bob") == ["web1 2"]
    assert found(connection, event="login", outcome="failure") == ["web1 3"]
    assert found(connection, since=20, until=40) == ["web1 2", "web2 2", "web1 3"]
    assert found(connection, network=ip_network("2001:db8::/32")) == ["web1 2"]
    assert found(connection, path="/in/*", user="alice") == ["web1 1", "web2 2", "web2 9"]
    assert found(connection, path="/out/[^a]*", limit=1) == ["web2 9"]
    assert found(connection, path="/IN/*") == []


def test_who_reads_them_may_pause(connection: DatabaseConnection) -> None:
    put_events(connection, "web1", [kept(number) for number in (1, 2)])
    connection.execute("SET idle_in_transaction_session_timeout = '50ms'")
    events = find_events(connection, Search())
    assert next(events).event.id == 1
    time.sleep(0.2)
    assert [one.event.id for one in events] == [2]


def test_old_ones_are_removed(connection: DatabaseConnection) -> None:
    put_events(connection, "web1", [kept(number) for number in range(1, 6)])
    assert remove_events(connection, 30) == 2
    assert found(connection) == ["web1 3", "web1 4", "web1 5"]
