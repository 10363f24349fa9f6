"""What connections take from the ledgers of their user, and how long they wait for it."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections.abc import Callable
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from nacre.daemon.accounts.metering import Advances, LedgerMeter
from nacre.errors import AccountError, ConnectionLost
from nacre.limits import KIB, MIB
from nacre.server.admission.user_threads import UserThreads
from nacre.sftp.filesystems.quota.ledger import Ledger, open_ledger, read_ledger
from nacre.sftp.filesystems.quota.limits import QuotaLimits
from nacre.sftp.filesystems.quota.shared import open_shared
from nacre.sftp.protocol.status import ToldError
from parties import until


class Connections:
    """Makes meters of connections of one user, and notes what ends them.

    :ivar calls: how many were made in threads.
    :ivar slept: the seconds that were waited, which take no time.
    """

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.failed: list[str] = []
        self.calls = 0
        self.slept: list[float] = []
        self.files: list[FileIO] = []
        self.pause = asyncio.Event()
        self.pause.set()
        self.now = time.monotonic_ns()
        monkeypatch.setattr("time.monotonic_ns", lambda: self.now)
        monkeypatch.setattr("nacre.daemon.accounts.metering.sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.pause.wait()
        self.now += int(seconds * 1e9)

    async def _ledger(self, group: str | None) -> FileIO:
        if group is None:
            self.files.append(open_ledger(self.directory / "usage", "alice"))
        else:
            self.files.append(open_shared(self.directory / "groups", group, ()))
        return self.files[-1]

    async def in_thread(self, work: Callable[[], Any], undo: Callable[[Any], object], /) -> Any:
        self.calls += 1
        return await asyncio.to_thread(work)

    def meter(self, *limits: QuotaLimits) -> LedgerMeter:
        made = LedgerMeter(limits, self._ledger, self.in_thread, self.failed.append)
        made.enter()
        return made

    async def left(self, *meters: LedgerMeter) -> None:
        for meter in meters:
            meter.leave()
        await until(lambda: all(one.closed for one in self.files))

    def used(self) -> tuple[int, int]:
        found = read_ledger(self.directory / "usage", "alice")
        assert found is not None
        return found.up, found.down


@pytest.fixture
def connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connections:
    (tmp_path / "groups").mkdir()
    return Connections(tmp_path, monkeypatch)


async def test_the_rate_is_that_of_all_connections_together(connections: Connections) -> None:
    limits = QuotaLimits(rate_down=100 * KIB)
    meters = [connections.meter(limits) for _ in range(2)]
    start = connections.now
    for _ in range(50):
        for meter in meters:
            assert meter.take("up", 1 << 40), "it is not limited"
            if not meter.take("down", 10 * KIB):
                await meter.settle("down")
    # A mebibyte has passed, but for the last advances.
    assert 9.7 <= (connections.now - start) / 1e9 <= 10.1
    await connections.left(*meters)
    assert connections.used() == (0, 100 * 10 * KIB)


async def test_the_first_bytes_wait_for_those_of_earlier_connections(
    connections: Connections,
) -> None:
    limits = QuotaLimits(rate_up=100 * KIB)
    meter = connections.meter(limits)
    assert not meter.take("up", MIB)
    meter.leave()  # and has gone before it has waited
    meter = connections.meter(limits)
    assert not meter.take("up", MIB)
    await meter.settle("up")
    assert sum(connections.slept) == 0, "the other one has taken nothing from the ledger"
    await connections.left(meter)
    meter = connections.meter(limits)
    await meter.settle("up")
    assert sum(connections.slept) == pytest.approx(10.24, abs=0.01)
    await connections.left(meter)


async def test_an_advance_that_is_not_used_is_given_back(connections: Connections) -> None:
    meter = connections.meter(QuotaLimits(transfer_up=2 * MIB, transfer_down=100))
    for way, size in (("up", 7), ("down", 60), ("up", 1)):
        if not meter.take(way, size):  # type: ignore[arg-type]
            await meter.settle(way)  # type: ignore[arg-type]
    assert connections.used()[0] == MIB, "what the process has taken, should it be killed"
    await connections.left(meter)
    assert connections.used() == (8, 60)


async def test_more_than_may_be_transferred_ends_the_connection(connections: Connections) -> None:
    meter = connections.meter(QuotaLimits(transfer_down=100))
    await meter.settle("down")  # it has not begun to send
    assert not meter.take("down", 100)
    await meter.settle("down")
    assert not meter.take("down", 1)
    with pytest.raises(ConnectionLost, match="you may download 100 bytes a month"):
        await meter.settle("down")
    assert connections.failed == ["you may download 100 bytes a month, of which 0 bytes are left"]
    await connections.left(meter)
    assert connections.used() == (0, 100)


async def test_the_limits_of_a_group(connections: Connections) -> None:
    own, staff = QuotaLimits(rate_down=100 * MIB), QuotaLimits(group="staff", transfer_down=10)
    meter = connections.meter(own, staff)
    assert not meter.take("down", 11)
    with pytest.raises(ConnectionLost, match="the group staff may download 10 bytes a month"):
        await meter.settle("down")
    await connections.left(meter)


async def test_ledgers_are_closed_with_the_last_user_and_opened_again(
    connections: Connections,
) -> None:
    meter = connections.meter(QuotaLimits(rate_up=4 * KIB))
    meter.enter()
    await meter.settle("up")
    meter.leave()
    assert not connections.files[0].closed
    await connections.left(meter)
    meter.enter()
    assert not meter.take("up", 1)
    await meter.settle("up")
    assert len(connections.files) == 2
    await connections.left(meter)


async def test_a_ledger_that_can_not_be_opened_ends_the_connection(
    connections: Connections,
) -> None:
    async def ledger(group: str | None) -> FileIO:
        raise AccountError("alice was removed")

    failed: list[str] = []
    meter = LedgerMeter(
        [QuotaLimits(rate_up=4 * KIB)], ledger, connections.in_thread, failed.append
    )
    with pytest.raises(ConnectionLost, match="alice was removed"):
        await meter.settle("up")
    assert failed == ["alice was removed"]


async def test_a_ledger_that_is_locked_for_long_is_waited_for(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, locked = Advances.take, [ToldError(errno.EAGAIN, "try again")]

    def now_and_then(self: Advances, way: Any, need: int) -> tuple[int, float]:
        if locked:
            raise locked.pop()
        return take(self, way, need)

    monkeypatch.setattr(Advances, "take", now_and_then)
    meter = connections.meter(QuotaLimits(rate_up=4 * KIB))
    await meter.settle("up")
    assert (locked, connections.failed) == ([], [])
    await connections.left(meter)


async def test_what_was_taken_for_somebody_who_has_gone_is_given_back(
    connections: Connections,
) -> None:
    meter = connections.meter(QuotaLimits(transfer_up=MIB))
    connections.pause.clear()
    waiting = asyncio.ensure_future(meter.settle("up"))
    await until(lambda: bool(connections.slept))
    assert connections.used() == (MIB, 0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await connections.left(meter)
    assert connections.used() == (0, 0)


async def test_what_is_taken_for_a_connection_that_has_ended_is_given_back(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, taking, go = Advances.take, threading.Event(), threading.Event()

    def slow(self: Advances, way: Any, need: int) -> tuple[int, float]:
        taking.set()
        assert go.wait(30)
        return take(self, way, need)

    monkeypatch.setattr(Advances, "take", slow)
    threads = UserThreads()
    connections.in_thread = partial(threads.run, "alice")  # type: ignore[method-assign]
    # As at the end of a short command, whose standard input ends without a byte.
    meter = connections.meter(QuotaLimits(transfer_up=10 * MIB))
    assert not meter.take("up", 0)
    waiting = asyncio.ensure_future(meter.settle("up"))
    await until(taking.is_set)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    await connections.left(meter)
    assert connections.used() == (0, 0)
    threads.close()


async def test_both_ways_wait_for_a_ledger_that_others_hold(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nacre.daemon.accounts.metering._PATIENCE", 0.01)
    meter = connections.meter(QuotaLimits(rate_up=MIB, rate_down=MIB))
    other = open_ledger(connections.directory / "usage", "alice")
    with other, Ledger(other).held():
        waiting = [asyncio.ensure_future(meter.settle(way)) for way in ("up", "down")]
        await until(lambda: connections.calls > 6)
        assert not any(one.done() for one in waiting)
    await asyncio.gather(*waiting)
    assert connections.failed == []
    await connections.left(meter)
