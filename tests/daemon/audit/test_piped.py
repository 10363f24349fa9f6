"""The trail of a process of files, without the thread of the audit."""

from __future__ import annotations

import socket

import pytest

from nacre.daemon.audit import piped
from nacre.daemon.audit.frames import AuditState, Recorded, framed
from nacre.daemon.audit.piped import PipedTrail
from nacre.sftp.server.opened import carried_out
from nacre.sftp.server.receipts import UNKEPT


def test_a_server_that_is_gone_keeps_nothing() -> None:
    ours, theirs = socket.socketpair()
    trail = PipedTrail(ours, hashes=True)
    first = trail.add({"op": "open", "outcome": "success"}, waits=True)
    theirs.close()
    assert carried_out(trail.settled()) == UNKEPT
    assert first.problem == UNKEPT
    assert trail.add({"op": "open", "outcome": "success"}, waits=True).problem == UNKEPT
    ours.close()


def test_rubbish_is_the_end() -> None:
    ours, theirs = socket.socketpair()
    trail = PipedTrail(ours, hashes=True)
    trail.add({"op": "open", "outcome": "success"}, waits=True)
    theirs.sendall(b"\0\0\0\1\x3d")
    assert carried_out(trail.settled()) == UNKEPT
    ours.close()
    theirs.close()


def test_so_many_events_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piped, "ENOUGH", 16)
    ours, theirs = socket.socketpair()
    trail = PipedTrail(ours, hashes=False)
    # The answers are there before the questions.
    theirs.sendall(framed(Recorded(1, "")) * 3)
    receipts = [trail.add({"op": "stat", "outcome": "x"}, waits=False) for _ in range(16)]
    assert receipts[0].problem == ""
    assert receipts[-1].problem is None
    ours.close()
    theirs.close()


def test_a_disk_that_hangs_is_waited_for_until_the_server_gives_up() -> None:
    ours, theirs = socket.socketpair()
    trail = PipedTrail(ours, hashes=False)
    waiting = trail.add({"op": "mkdir", "outcome": "success"}, waits=True)
    theirs.sendall(framed(AuditState(UNKEPT)))
    assert carried_out(trail.settled()) == UNKEPT
    assert (waiting.problem, trail.problem) == (UNKEPT, UNKEPT)
    closed = trail.add({"op": "close", "outcome": "success"}, waits=True)
    assert carried_out(trail.settled()) == closed.problem == UNKEPT
    # The disk answers after all: two receipts come that nobody waits for, and then it works.
    theirs.sendall(framed(Recorded(2, "")) + framed(AuditState("")))
    assert trail.problem == ""
    last = trail.add({"op": "rmdir", "outcome": "success"}, waits=True)
    assert last.problem is None
    theirs.sendall(framed(Recorded(1, "")))
    assert carried_out(trail.settled()) == ""
    ours.close()
    theirs.close()


def test_nobody_waits_for_a_server_that_reads_nothing_and_keeps_nothing() -> None:
    ours, theirs = socket.socketpair()
    trail = PipedTrail(ours, hashes=False)
    theirs.sendall(framed(AuditState(UNKEPT)))
    assert trail.problem == UNKEPT
    for _ in range(20_000):  # more than a socket holds
        assert trail.add({"op": "close", "outcome": "success"}, waits=True).problem == UNKEPT
    ours.close()
    theirs.close()


def test_after_an_event_that_is_not_kept_nothing_is_done_until_it_works_again() -> None:
    ours, theirs = socket.socketpair()
    trail = PipedTrail(ours, hashes=False)
    trail.add({"op": "mkdir", "outcome": "success"}, waits=True)
    theirs.sendall(framed(Recorded(1, UNKEPT)))
    assert carried_out(trail.settled()) == UNKEPT
    assert trail.problem == UNKEPT  # the server's loop has not said so yet
    theirs.sendall(framed(AuditState(UNKEPT)) + framed(AuditState("")))
    assert trail.problem == ""
    ours.close()
    theirs.close()
