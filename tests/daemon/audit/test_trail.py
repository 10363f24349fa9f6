"""What a connection tells: records of its log, and operations on files."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nacre.daemon.audit.events import OF_SESSIONS, AuditEvent, Teller
from nacre.daemon.audit.trail import AuditLog
from nacre.errors import StateError
from nacre.server.peer import Client
from nacre.sftp.server.receipts import Receipt

CLIENT = cast(Client, SimpleNamespace(id=7, user="alice", peer=("192.0.2.1", 9)))
RECORD = {"connection": 7, "peer": "192.0.2.1:9", "user": "alice"}


class Keeper:
    """Keeps events here."""

    problem, behind, hashes = "", False, True

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.tellers: list[Teller] = []
        self.reports: list[Callable[[str], object]] = []
        self.events: list[tuple[AuditEvent, bool]] = []
        self.receipts: list[Receipt] = []

    def keep(self, event: AuditEvent, *, waits: bool) -> Receipt:
        self.events.append((event, waits))
        self.receipts.append(Receipt())
        return self.receipts[-1]

    async def open(self, teller: Teller, report: Callable[[str], object]) -> socket.socket:
        self.tellers.append(teller)
        self.reports.append(report)
        if self.socket is None:
            raise StateError("no socket is left")
        return self.socket


def make(**options: Any) -> tuple[Keeper, list[Mapping[str, object]], AuditLog]:
    keeper, records = Keeper(), cast(list[Mapping[str, object]], [])
    return keeper, records, AuditLog(records.append, keeper, "3.1.", **options)


def test_a_record_that_is_an_event_is_logged_and_kept() -> None:
    keeper, records, log = make()
    forward = {**RECORD, "event": "forward", "to": "host:80", "granted": True}
    log(forward)
    log({**RECORD, "event": "rekey"})
    assert [one["event"] for one in records] == ["forward", "rekey"]
    ((event, waits),) = keeper.events
    told = AuditEvent("3.1.7", "alice", "192.0.2.1:9", "forward", "success", '{"to":"host:80"}')
    assert (event, waits) == (told, True)
    assert log.last is keeper.receipts[0]


def test_the_name_of_who_is_not_logged_in_is_the_one_that_was_given() -> None:
    keeper, records, log = make()
    given = {"event": "auth", "method": "password", "outcome": "failure", "name": "eve"}
    log.note({"connection": 1, "peer": "192.0.2.1:9", **given})
    assert records == []
    assert [one.user for one, _ in keeper.events] == ["eve"]


def test_a_session_process_leaves_logins_to_the_monitor() -> None:
    keeper, _, log = make(only=OF_SESSIONS)
    log({**RECORD, "event": "auth", "method": "password", "outcome": "success"})
    assert keeper.events == []


async def test_operations_on_files_are_events_of_their_connection() -> None:
    keeper, _, log = make()
    trail = log.trail(CLIENT)
    trail.add({"op": "open", "path": "/a", "outcome": "success"}, waits=False)
    receipt = trail.add({"op": "remove", "path": "/a", "outcome": "no such file"}, waits=True)
    told = [(one.connection, one.user, one.event, one.outcome) for one, _ in keeper.events]
    assert told == [
        ("3.1.7", "alice", "file", "success"),
        ("3.1.7", "alice", "file", "failure"),
    ]
    assert [waits for _, waits in keeper.events] == [False, True]
    assert trail.last is receipt
    receipt.settle("full")
    assert await trail.settled() == "full"
    assert (trail.hashes, trail.behind, trail.problem) == (True, False, "")


async def test_a_process_of_files_gets_a_socket_that_is_its_connection_s() -> None:
    keeper, _, log = make()
    told: list[tuple[str, object]] = []
    client = SimpleNamespace(
        **vars(CLIENT), record=lambda event, **more: told.append((event, more))
    )
    trail = log.trail(cast(Client, client))
    with pytest.raises(StateError, match="no socket is left"):
        await trail.open()
    keeper.socket, other = socket.socketpair()
    with other, await trail.open() as opened:
        assert opened is keeper.socket
    assert keeper.tellers[-1] == Teller("3.1.7", "alice", "192.0.2.1:9")
    keeper.reports[-1]("it says\nwhat it may not")
    what = "a process of files tells no events"
    assert told == [("error", {"what": what, "error": "it says\\x0awhat it may not"})]


def test_details_are_those_of_the_log_below() -> None:
    class Plain:
        detailed = False

        def __call__(self, record: Mapping[str, object]) -> None:
            pass

    assert not AuditLog(Plain(), Keeper()).detailed
