"""Events of the audit on the link between a session process and the monitor."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from daemon.audit.test_trail import Keeper, make
from nacre.daemon.audit.events import AuditEvent, Teller
from nacre.daemon.audit.frames import (
    ENOUGH,
    MOST_UNANSWERED,
    AuditedEvent,
    AuditState,
    Recorded,
)
from nacre.daemon.separate import kept as module
from nacre.daemon.separate.kept import LinkKeeper, SessionKeeper, ToldEvents
from nacre.daemon.separate.link import Link, LinkError
from nacre.daemon.separate.visit import Visit
from nacre.errors import StateError
from nacre.sftp.server.receipts import UNKEPT, settle_all
from nacre.wire.message import Message

EVENT = AuditEvent("7", "mallory", "203.0.113.1:9", "file", "success", '{"op":"remove"}')


class Sent:
    """A link that keeps what is sent, and which of it may wait for others."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.later: list[Message] = []

    def send(self, data: bytes) -> None:
        self.messages.append(AuditedEvent.decode(data))

    def send_later(self, data: bytes) -> None:
        self.send(data)
        self.later.append(self.messages[-1])


async def no_socket(_session: bytes) -> socket.socket:
    raise StateError("there is no socket")


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def keeper(sent: Sent) -> LinkKeeper:
    return LinkKeeper(cast(Link, sent))


def test_the_process_tells_no_more_than_it_has_done(sent: Sent, keeper: LinkKeeper) -> None:
    one = SessionKeeper(keeper, b"session", "hashes", no_socket)
    receipt = one.keep(EVENT, waits=True)
    assert sent.messages == [AuditedEvent(b"session", "file", "success", True, b'{"op":"remove"}')]
    assert (receipt.problem, one.hashes, one.behind, one.problem) == (None, True, False, "")


def test_an_event_that_nobody_waits_for_wakes_nobody(sent: Sent, keeper: LinkKeeper) -> None:
    for waits in (False, True):
        keeper.keep(b"session", EVENT, waits=waits)
    assert len(sent.messages) == 2
    assert sent.later == sent.messages[:1]


def test_answers_count_in_the_order_of_the_events(keeper: LinkKeeper) -> None:
    receipts = [keeper.keep(b"session", EVENT, waits=True) for _ in range(4)]
    keeper.take(Recorded(2, ""))
    keeper.take(Recorded(1, "why"))
    assert [one.problem for one in receipts] == ["", "", "why", None]
    keeper.end()
    assert receipts[3].problem == UNKEPT
    assert keeper.keep(b"session", EVENT, waits=True).problem == UNKEPT


def test_whether_events_can_be_kept_the_monitor_says(keeper: LinkKeeper) -> None:
    keeper.take(AuditState("why"))
    assert SessionKeeper(keeper, b"session", "on", no_socket).problem == "why"
    keeper.take(AuditState(""))
    assert keeper.problem == ""


async def test_a_process_of_files_gets_the_socket_that_the_monitor_opens(
    keeper: LinkKeeper,
) -> None:
    ours, theirs = socket.socketpair()

    async def opens(session: bytes) -> socket.socket:
        assert session == b"session"
        return ours

    one = SessionKeeper(keeper, b"session", "on", opens)
    with ours, theirs:
        # Whose it is, the monitor knows.
        assert await one.open(Teller("7", "mallory", "203.0.113.1:9"), print) is ours


def test_the_process_is_behind_before_the_monitor_would_end_it(keeper: LinkKeeper) -> None:
    for _ in range(ENOUGH):
        keeper.keep(b"session", EVENT, waits=False)
    assert keeper.behind
    for _ in range(MOST_UNANSWERED - ENOUGH):
        keeper.keep(b"session", EVENT, waits=False)
    assert keeper.keep(b"session", EVENT, waits=False).problem == UNKEPT


class Monitor:
    """The monitor's end, and a connection of alice's."""

    def __init__(self) -> None:
        self.answers: list[Message] = []
        self.told = ToldEvents(self.answers.append)
        self.keeper: Keeper
        self.keeper, _, log = make()
        peer: Any = ("192.0.2.1", 9)
        self.visit = cast(Visit, SimpleNamespace(id=4, user="alice", peer=peer, audit=log))

    def tell(self, event: str = "file", fields: bytes = b'{"op":"remove"}') -> None:
        self.told.take(AuditedEvent(b"session", event, "success", True, fields), self.visit)


@pytest.fixture
def monitor() -> Monitor:
    return Monitor()


async def test_who_it_was_and_from_where_the_monitor_says(monitor: Monitor) -> None:
    monitor.tell()
    ((event, waits),) = monitor.keeper.events
    told = AuditEvent("3.1.4", "alice", "192.0.2.1:9", "file", "success", '{"op":"remove"}')
    assert (event, waits) == (told, True)
    monitor.tell()
    settle_all(monitor.keeper.receipts, "disk full of /var/lib/nacre/audit.db")
    # The reason is for the log.
    assert monitor.answers == [Recorded(2, UNKEPT)]


@pytest.mark.parametrize(
    ("event", "fields"),
    [("login", b"{}"), ("audit", b"{}"), ("file", b'{"user":"root"}'), ("file", b"[]")],
)
async def test_what_the_process_may_not_tell_ends_it(
    monitor: Monitor, event: str, fields: bytes
) -> None:
    with pytest.raises(LinkError):
        monitor.tell(event, fields)
    assert monitor.keeper.events == []


async def test_an_event_without_an_audit_or_one_too_many_ends_the_process(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_UNANSWERED", 3)
    for _ in range(3):
        monitor.tell()
    with pytest.raises(LinkError, match="one too many"):
        monitor.tell()
    monitor.visit = cast(Visit, SimpleNamespace(audit=None))
    with pytest.raises(LinkError, match="no audit"):
        monitor.tell()
