"""The control process and the workers: questions, answers, and what is dropped."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from daemon.control.answering import MadeUp, Nowhere, connection
from nacre.config.values import LogLevel
from nacre.daemon.control import workers
from nacre.daemon.control.followers import Follower, Followers
from nacre.daemon.control.roster import Listing
from nacre.daemon.control.values import (
    Begun,
    ControlError,
    Finished,
    Killed,
    Logged,
    Lost,
    line_of,
)
from nacre.daemon.control.workers import WorkerEnd, WorkersRoster
from nacre.daemon.log.server_log import ServerLog
from nacre.daemon.watching.frames import WatchOrder


@dataclass
class Worker:
    """A worker in this process.

    :ivar ours: the control process's end of the link.
    """

    ours: socket.socket
    theirs: socket.socket
    roster: MadeUp
    log: ServerLog

    def begin(self) -> None:
        self.end = WorkerEnd(self.theirs)
        self.end.begin(self.roster, self.log)


@pytest.fixture
async def two() -> AsyncIterator[tuple[Worker, Worker]]:
    made = []
    for number in (1, 2):
        kind = socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
        log = ServerLog(LogLevel.INFO, Nowhere())
        made.append(Worker(ours, theirs, MadeUp(connection(f"{number}.1")), log))
    yield made[0], made[1]
    loop = asyncio.get_running_loop()
    for one in made:
        for sock in (one.ours, one.theirs):
            loop.remove_reader(sock)
            sock.close()


async def heard(follower: Follower) -> object:
    async with asyncio.timeout(30):
        async for value in follower.values():
            return value
    raise AssertionError


def test_the_numbers_are_those_of_the_format() -> None:
    assert workers._NUMBER.size == 4


async def test_all_workers_are_asked_and_told(two: tuple[Worker, Worker]) -> None:
    for one in two:
        one.begin()
    roster = WorkersRoster([one.ours for one in two], Followers())
    listing = await roster.connections()
    assert listing == Listing([connection("1.1"), connection("2.1")])
    assert await roster.end({"2.1"}, None, "why") == [Killed(id="2.1", user="alice")]
    assert [one.roster.reasons for one in two] == [["why"], ["why"]]


async def test_one_that_is_stopped_is_counted_and_what_it_says_later_is_dropped(
    two: tuple[Worker, Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_PATIENCE", 0.3)
    first, second = two
    first.begin()
    roster = WorkersRoster([one.ours for one in two], Followers())
    assert await roster.connections() == Listing([connection("1.1")], 1)
    second.begin()  # and answers what nobody waits for any more
    monkeypatch.setattr(workers, "_PATIENCE", 10.0)
    assert await roster.connections() == Listing([connection("1.1"), connection("2.1")])


async def test_rubbish_on_a_link_is_ignored(two: tuple[Worker, Worker]) -> None:
    for one in two:
        one.begin()
    roster = WorkersRoster([one.ours for one in two], Followers())
    for data in (b"x", b"\0" * 4, b"\1\0\0\0{", b"\7\0\0\0" + line_of(Finished())):
        two[0].theirs.send(data)
    assert (await roster.connections()).silent == 0


async def test_a_worker_that_begins_hears_whether_its_log_is_followed(
    two: tuple[Worker, Worker],
) -> None:
    first, second = two
    first.begin()
    followers = Followers(lambda on: roster.tell(on))
    roster = WorkersRoster([one.ours for one in two], followers)
    assert first.log.follow is None
    with followers.joined(Follower()) as follower:
        second.begin()
        for one in two:
            while one.log.follow is None:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
            one.log({"event": "x", "user": "alice"})
            value = await heard(follower)
            assert isinstance(value, Logged)
            assert (value.record["event"], value.record["level"]) == ("x", "info")
    while first.log.follow is not None or second.log.follow is not None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_records_that_a_link_does_not_take_are_counted(two: tuple[Worker, Worker]) -> None:
    first, _ = two
    first.begin()
    for number in range(5000):  # more than a link takes that nobody reads
        first.end._tell({"event": "x", "number": number})
    followers = Followers()
    with followers.joined(Follower()) as follower:
        roster = WorkersRoster([first.ours], followers)
        await roster.connections()
        while not isinstance(value := await heard(follower), Lost):
            first.end._tell({"event": "more"})
        assert value.lines > 0


async def test_the_worker_that_has_the_connection_answers_who_watches(
    two: tuple[Worker, Worker],
) -> None:
    for one in two:
        one.begin()
    roster = WorkersRoster([one.ours for one in two], Followers())
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    order = WatchOrder(id="2.1", channel=0, by="root")
    with theirs:
        assert await roster.watch(order, ours)
        assert ours.fileno() < 0
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(30):
            found = b""
            while data := await loop.sock_recv(theirs, 1000):  # up to the end: nobody has it
                found += data
        assert found == line_of(Begun(terminal=True)) + b"frames"
    assert [one.roster.orders for one in two] == [[], [order]]


async def test_a_watcher_whom_no_worker_takes_keeps_the_socket(
    two: tuple[Worker, Worker],
) -> None:
    for one in two:
        one.begin()
    roster = WorkersRoster([one.ours for one in two], Followers())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not await roster.watch(WatchOrder(id="9.9", channel=0), ours)
        two[1].roster.refuses = "the audit is full"
        with pytest.raises(ControlError, match="the audit is full"):
            await roster.watch(WatchOrder(id="2.1", channel=0), ours)
        assert ours.fileno() >= 0
