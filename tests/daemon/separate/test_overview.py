"""All connections of a separated server: listed, and ended where they are."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from daemon.control.answering import DETAILS
from nacre.daemon.control.values import ControlError, Details
from nacre.daemon.separate import overview
from nacre.daemon.separate.overview import MonitorRoster
from nacre.daemon.separate.users import UserProcesses
from nacre.daemon.separate.visit import Visit
from nacre.daemon.watching.frames import WatchOrder


class FakeVisitor:
    """A client; it notes why it is ended."""

    def __init__(self, gate: int, number: int, user: str = "", named: str = "") -> None:
        self.gate, self.id, self.user, self.named = gate, number, user, named
        self.peer, self.since, self.methods = ("192.0.2.1", 5), 7.0, ("password",)
        self.reasons: list[str] = []
        self.kept = True

    def record(self, event: str, **fields: object) -> None:
        self.reasons.append(event)

    async def record_is_kept(self) -> bool:
        return self.kept

    def end(self, reason: str) -> None:
        self.reasons.append(reason)


class FakeProcess:
    """A session process that serves some clients, and perhaps says nothing."""

    pid = 4711

    def __init__(self, *visits: FakeVisitor, details: Details | None = DETAILS) -> None:
        self.visits, self.details = visits, details
        self.stuck = self.killed = False
        self.shown: list[object] = []

    async def describe(self) -> dict[Visit, Details | None]:
        return {cast(Visit, visit): self.details for visit in self.visits}

    def show(self, visit: Visit, order: WatchOrder, sock: socket.socket) -> bool:
        if visit not in self.visits:
            return False
        self.shown.append(order)
        return True

    def keeps(self, visit: Visit) -> bool:
        return self.stuck and visit in self.visits

    def kill(self) -> None:
        self.killed = True


def roster_of(processes: list[FakeProcess], resting: list[FakeVisitor], *login: Any) -> Any:
    served = [visit for process in processes for visit in process.visits]
    users = SimpleNamespace(
        running=tuple(processes), visits=(*served, *resting), rests=lambda visit: visit in resting
    )
    gate = SimpleNamespace(pid=12, visits=login)
    return MonitorRoster(cast(UserProcesses, users), lambda: cast(Any, [gate]))


ALICE = FakeVisitor(2, 1, "alice")


async def test_each_connection_is_listed_with_who_has_it() -> None:
    one, two, silent = FakeVisitor(1, 9, "a\x1bb"), FakeVisitor(1, 2, "bob"), FakeVisitor(3, 1, "c")
    handed_over = FakeVisitor(1, 7, "bob")  # the gate has not told yet that it has left
    roster = roster_of(
        [FakeProcess(one), FakeProcess(silent, details=None)],
        [two],
        FakeVisitor(1, 10, named="dave"),
        handed_over,
    )
    listing = await roster.connections()
    assert listing.silent == 1
    assert [(each.id, each.user, each.state, each.process) for each in listing.connections] == [
        ("1.2", "bob", "rest", None),
        ("1.9", "a\\x1bb", "open", 4711),
        ("3.1", "c", "open", 4711),
        ("1.10", "dave", "login", 12),
    ]
    assert [each.details for each in listing.connections] == [None, DETAILS, None, None]
    assert listing.connections[0].peer == "192.0.2.1:5"


async def test_what_is_named_is_ended_and_nothing_else() -> None:
    one, two, login = FakeVisitor(1, 1, "alice"), FakeVisitor(1, 2, "bob"), FakeVisitor(1, 3)
    other = FakeVisitor(2, 1, "carol")
    roster = roster_of([FakeProcess(one, two, other)], [], login)
    ended = await roster.end({"1.3", "1.2", "5.5"}, "alice", "why")
    assert {(each.id, each.user) for each in ended} == {
        ("1.1", "alice"),
        ("1.2", "bob"),
        ("1.3", ""),
    }
    assert [each.reasons for each in (one, two, login)] == [["killed", "why"]] * 3
    assert other.reasons == []


@pytest.mark.parametrize("stuck", [True, False])
async def test_a_process_that_does_not_end_a_connection_is_killed(
    stuck: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "_STUCK", 0.0)
    one = FakeVisitor(1, 1, "alice")
    process, other = FakeProcess(one), FakeProcess(FakeVisitor(1, 2, "bob"))
    process.stuck = stuck
    other.stuck = True  # with a connection that nobody has ended
    await roster_of([process, other], []).end({"1.1"}, None, "why")
    await asyncio.sleep(0.01)
    assert (process.killed, other.killed) == (stuck, False)


async def test_a_session_is_shown_by_the_process_that_has_it_and_logged_before() -> None:
    one, two, resting = (FakeVisitor(1, number, "alice") for number in (1, 2, 3))
    first, second = FakeProcess(one), FakeProcess(two)
    roster = roster_of([first, second], [resting], FakeVisitor(1, 4))
    order = WatchOrder(id="1.2", channel=0, by="root")
    ours, theirs = socket.socketpair()
    with theirs:
        assert await roster.watch(order, ours)
        assert ours.fileno() < 0
    assert (first.shown, second.shown, two.reasons) == ([], [order], ["watch"])
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for number in ("1.4", "7.7"):  # nobody has logged in there
            assert not await roster.watch(WatchOrder(id=number, channel=0), ours)
        with pytest.raises(ControlError, match="at rest"):
            await roster.watch(WatchOrder(id="1.3", channel=0), ours)
        assert resting.reasons == []
        two.kept = False
        with pytest.raises(ControlError, match="can't keep its audit"):
            await roster.watch(order, ours)
        assert ours.fileno() >= 0
    assert second.shown == [order]
