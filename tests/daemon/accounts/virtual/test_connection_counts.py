"""Connections of users are counted, in one process and in several."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from nacre.daemon.accounts.virtual import connection_counts
from nacre.daemon.accounts.virtual.connection_counts import ConnectionCounts


def in_child(work: Callable[[], bool]) -> bool:
    """Return what ``work`` returns in a process of its own, which then ends."""
    pid = os.fork()
    if pid == 0:
        os._exit(int(work()))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


@pytest.mark.parametrize("processes", [1, 3])
def test_one_too_many_is_not_counted(processes: int) -> None:
    counts = ConnectionCounts(processes)
    counts.be(0)
    places = [counts.enter("alice", 2) for _ in range(4)]
    first, second = places[:2]
    assert places[2:] == [None, None]
    assert counts.enter("bob", 1) is not None
    assert counts.enter("alice", None) is not None  # as many as may be
    assert first is not None
    assert second is not None
    counts.leave("alice", first)
    counts.leave("alice", second)
    assert counts.enter("alice", 2) is not None
    assert counts.enter("alice", 2) is None


def test_processes_count_together_and_a_dead_one_counts_nothing() -> None:
    counts = ConnectionCounts(2)
    counts.be(0)
    assert counts.enter("alice", 2) is not None

    def be_second() -> bool:
        counts.be(1)
        return counts.enter("alice", 2) is not None and counts.enter("alice", 2) is None

    assert in_child(be_second)
    assert counts.enter("alice", 2) is None
    counts.forget(1)
    assert counts.enter("alice", 2) is not None


def test_many_processes_at_once_let_in_exactly_as_many_as_may_be() -> None:
    counts = ConnectionCounts(8)

    def be(number: int) -> int:
        counts.be(number)
        return sum(counts.enter("alice", 5) is not None for _ in range(4))

    children = []
    for number in range(8):
        pid = os.fork()
        if pid == 0:
            os._exit(be(number))
        children.append(pid)
    got_in = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert sum(got_in) == 5


def test_a_process_that_was_stopped_with_the_lock_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = ConnectionCounts(2)
    counts.be(0)
    reads, writes = os.pipe()
    ends, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(end)
        with counts._alone():
            os.write(writes, b"!")
            os.read(ends, 1)
        os._exit(0)
    os.read(reads, 1)
    assert counts.enter("alice", 1) is not None
    assert counts.enter("alice", 1) is None
    os.close(end)
    os.waitpid(pid, 0)
    for one in (reads, writes, ends):
        os.close(one)


def test_places_that_are_full_count_in_their_own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_counts, "_PLACES", 3)
    counts = ConnectionCounts(2)
    counts.be(0)
    places = [counts.enter("alice", None) for _ in range(4)]
    assert places == [1, 2, 0, 0]
    assert counts.enter("alice", 4) is None
    counts.leave("alice", 1)
    assert counts.enter("alice", 4) == 1


def test_a_server_that_follows_counts_with_the_one_before() -> None:
    before = ConnectionCounts(2)
    before.be(1)
    place = before.enter("alice", 2)
    assert place is not None
    after = ConnectionCounts(3, os.dup(before.descriptor), before.used)
    assert after.used == ((0, 2), (2, 3))
    after.be(2)
    assert after.enter("alice", 2) is not None
    assert before.enter("alice", 2) is None  # it sees parts that were added later
    before.leave("alice", place)
    assert after.enter("alice", 2) is not None
    after.forget_others()
    assert after.used == ((2, 3),)


def test_a_server_that_was_killed_is_forgotten_and_its_parts_are_used_again() -> None:
    first = ConnectionCounts()
    assert first.enter("alice", 1) is not None
    second = ConnectionCounts(1, os.dup(first.descriptor), first.used)
    assert second.enter("alice", 1) is None
    second.forget_others()
    third = ConnectionCounts(1, os.dup(second.descriptor), second.used)
    assert third.used == ((1, 1), (0, 1))
    assert third.enter("alice", 1) is not None
