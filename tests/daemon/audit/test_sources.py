"""Processes of files, and the thread that their sockets lead to."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Iterator

import pytest

from nacre.daemon.audit import sources as module
from nacre.daemon.audit.events import Teller
from nacre.daemon.audit.frames import MOST_UNANSWERED, AuditedEvent, framed
from nacre.daemon.audit.piped import PipedTrail
from nacre.daemon.audit.sources import EventSources, FileEvent
from nacre.errors import StateError
from nacre.sftp.server.opened import carried_out
from nacre.sftp.server.receipts import UNKEPT

ALICE = Teller("3.1.7", "alice", "192.0.2.1:9")
SECONDS = 20.0


class Told:
    """The sources, and the trail of one process of files."""

    def __init__(self) -> None:
        self.sources = EventSources()
        self.problems: list[str] = []
        self.sock = self.sources.open(ALICE, self.problems.append)
        self.trail = PipedTrail(self.sock, hashes=False)

    def add(self, op: str, *, waits: bool = False) -> None:
        self.trail.add({"op": op, "outcome": "success"}, waits=waits)


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.sources.close()
    made.sock.close()


def ops(events: list[FileEvent]) -> list[tuple[str, bool]]:
    return [(json.loads(one.event.fields)["op"], one.waits) for one in events]


def test_events_go_up_and_answers_come_back(told: Told) -> None:
    told.add("open")
    told.add("remove", waits=True)
    found = told.sources.take(SECONDS)
    assert ops(found) == [("open", False), ("remove", True)]
    # Who it was is known from the socket.
    assert {(one.event.connection, one.event.user, one.event.peer) for one in found} == {
        ("3.1.7", "alice", "192.0.2.1:9")
    }
    found[0].source.answer(1, "")
    found[0].source.answer(1, "disk full of /var/lib/nacre/audit.db")
    assert carried_out(told.trail.settled()) == UNKEPT  # the reason is for the log


def test_the_process_learns_whether_anything_can_be_kept(told: Told) -> None:
    assert told.trail.problem == ""
    told.sources.tell_state("full")
    assert told.trail.problem == UNKEPT
    with told.sources.open(ALICE, print, "full") as late:
        assert PipedTrail(late, hashes=False).problem == UNKEPT
    told.sources.tell_state("")
    assert told.trail.problem == ""


def test_what_the_process_told_before_its_end_is_taken(told: Told) -> None:
    told.add("close")
    told.sock.close()
    found = told.sources.take(SECONDS)
    while told.sources:
        found += told.sources.take(SECONDS)
    assert ops(found) == [("close", False)]
    found[0].source.answer(1, "")  # nobody is there any more


def test_the_thread_is_woken_once_by_what_is_not_read(told: Told) -> None:
    told.sources.wake()
    told.sources.wake()
    assert told.sources.take(SECONDS) == []
    told.add("open")
    assert ops(told.sources.take(SECONDS)) == [("open", False)]


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        framed(AuditedEvent(b"", "session", "success", False, b"{}")),
        framed(AuditedEvent(b"", "file", "success", False, b'{"user":"root"}')),
        b"\0\0\0\1\x3c",
    ],
    ids=["too long", "no file", "a field", "cut off"],
)
def test_what_the_process_may_not_say_ends_its_events(told: Told, data: bytes) -> None:
    told.sock.sendall(data)
    assert told.sources.take(SECONDS) == []
    assert len(told.problems) == 1
    assert not told.sources
    told.add("remove", waits=True)
    assert carried_out(told.trail.settled()) == UNKEPT
    assert told.trail.problem == UNKEPT


def test_a_process_that_tells_more_than_it_waits_for_is_ended(told: Told) -> None:
    event = framed(AuditedEvent(b"", "file", "success", False, b"{}"))
    found: list[FileEvent] = []
    for _ in range(MOST_UNANSWERED // 64):
        told.sock.sendall(event * 64)
        found += told.sources.take(SECONDS)
    assert (len(found), told.problems) == (MOST_UNANSWERED, [])
    told.sock.sendall(event)
    assert told.sources.take(SECONDS) == []
    assert told.problems == ["one event too many"]


def test_receipts_wait_for_a_process_that_reads_slowly(told: Told) -> None:
    told.add("open")
    (event,) = told.sources.take(SECONDS)
    for _ in range(2000):  # more than a socket holds
        event.source.answer(0, "full")
    event.source.answer(1, "")
    ready = select.poll()
    ready.register(told.sock, select.POLLIN)
    while told.trail.last.problem is None:
        assert ready.poll(SECONDS * 1000)
        assert told.trail.problem is not None  # it reads what was told
        assert told.sources.take(0.0) == []
    assert told.trail.last.problem == ""


def test_the_processes_of_a_user_and_of_all_are_bounded(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_OF_USER", 1)
    with pytest.raises(StateError, match="too many"):
        told.sources.open(ALICE, print)
    bob = Teller("3.1.8", "bob", "192.0.2.1:9")
    with told.sources.open(bob, print):
        monkeypatch.setattr(module, "MOST", 2)
        with pytest.raises(StateError, match="too many"):
            told.sources.open(Teller("3.1.9", "carol", "192.0.2.1:9"), print)


def test_after_the_end_nothing_is_opened_or_woken() -> None:
    sources = EventSources()
    sources.close()
    sources.wake()
    with pytest.raises(StateError, match="ends"):
        sources.open(ALICE, print)


def test_a_copy_of_a_socket_that_is_closed_is_not_reported(told: Told) -> None:
    """As a process has one that is being started just then."""
    (ours,) = told.sources._sources
    with socket.socket(fileno=os.dup(ours)):
        told.sock.close()
        assert told.sources.take(SECONDS) == []
        assert not told.sources
        assert told.sources._ready.poll(0.0) == []


def test_a_socket_that_nobody_knows_is_passed_over(told: Told) -> None:
    told.add("open")
    (source,) = told.sources._sources.values()
    told.sources._sources.clear()
    assert told.sources.take(SECONDS) == []
    source.close()


def test_a_socket_that_is_closed_makes_place_for_another(told: Told) -> None:
    socks: list[socket.socket] = [told.sock]
    for number in range(3):
        socks[-1].close()
        assert told.sources.take(SECONDS) == []
        socks.append(told.sources.open(Teller(str(number), "alice", ""), print))
        PipedTrail(socks[-1], hashes=False).add({"op": "stat", "outcome": "x"}, waits=False)
        (found,) = told.sources.take(SECONDS)
        assert found.event.connection == str(number)
    socks[-1].close()
