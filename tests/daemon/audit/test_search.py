"""Which events are found, and how times are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from nacre.daemon.audit.events import AuditEvent, written
from nacre.daemon.audit.search import Search, as_object, as_record, shown_time
from nacre.daemon.audit.table import FILE, AuditTable

ROWS = (
    (100, "alice", "192.0.2.1:7", "login", "success", {"method": "publickey"}),
    (200, "alice", "192.0.2.1:7", "file", "success", {"op": "open", "path": "/in/a/b"}),
    (300, "bob", "2001:db8::1:9", "file", "failure", {"op": "remove", "path": "/out/[c]"}),
    (
        400,
        "bob",
        "fe80::1%eth0:9",
        "file",
        "success",
        {"op": "rename", "path": "/x", "to": "/in/y"},
    ),
    (500, "", "", "audit", "success", {"op": "stop"}),
)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[AuditTable]:
    with closing(AuditTable(tmp_path / FILE, create=True)) as made:
        made.add(
            [
                (at, AuditEvent("1.1", user, peer, event, outcome, written(fields)))
                for at, user, peer, event, outcome, fields in ROWS
            ]
        )
        yield made


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"user": "alice"}, [1, 2]),
        ({"event": "file", "outcome": "success"}, [2, 4]),
        ({"since": 200, "until": 400}, [2, 3]),
        ({"path": "/in/*"}, [2, 4]),
        ({"path": "/out/[[]c]"}, [3]),
        ({"path": "/in"}, []),
        ({"network": ip_network("192.0.2.0/24")}, [1, 2]),
        ({"network": ip_network("2001:db8::/32")}, [3]),
        ({"network": ip_network("fe80::/10")}, [4]),
        ({"user": "alice' OR 1=1 --"}, []),
    ],
)
def test_what_is_wanted_is_found(
    table: AuditTable, wanted: dict[str, Any], found: list[int]
) -> None:
    assert [one.id for one in Search(**wanted).events(table)] == found


def test_the_newest_are_found_and_those_after_one(table: AuditTable) -> None:
    assert [one.id for one in Search().events(table, 2)] == [4, 5]
    network = ip_network("192.0.2.0/24")
    assert [one.id for one in Search(network=network).events(table, 1)] == [2]
    assert [one.id for one in Search().events(table, after=3)] == [4, 5]


def test_an_event_is_shown_as_a_line_of_the_log_and_as_a_whole(table: AuditTable) -> None:
    found = next(Search(user="bob").events(table))
    assert as_record(found) == {
        "time": "1970-01-01T00:00:00.000300Z",
        "id": 3,
        "connection": "1.1",
        "user": "bob",
        "peer": "2001:db8::1:9",
        "event": "file",
        "outcome": "failure",
        "op": "remove",
        "path": "/out/[c]",
    }
    whole = as_object(found)
    assert whole["fields"] == {"op": "remove", "path": "/out/[c]"}
    assert re.fullmatch("[0-9a-f]{64}", str(whole["hash"]))


def test_a_time_is_shown_in_utc() -> None:
    assert shown_time(1_924_948_800_000_001) == "2030-12-31T12:00:00.000001Z"
