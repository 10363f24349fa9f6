"""The thread that writes events."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from daemon.audit.told import event
from nacre.daemon.audit import durable, table
from nacre.daemon.audit import writer as module
from nacre.daemon.audit.chain import Kept, faults
from nacre.daemon.audit.durable import DurableTable
from nacre.daemon.audit.events import AuditEvent, AuditPlan, Teller
from nacre.daemon.audit.piped import PipedTrail
from nacre.daemon.audit.search import Search
from nacre.daemon.audit.sources import EventSources, FileEvent
from nacre.daemon.audit.table import FILE, AuditTable, Timed
from nacre.daemon.audit.writer import AuditWriter
from nacre.errors import StateError
from nacre.sftp.server.opened import carried_out
from nacre.sftp.server.receipts import UNKEPT
from nacre.value import replace


class Audited:
    """A writer, and what it has logged."""

    def __init__(self, path: Path, **plan: Any) -> None:
        self.path = path
        self.records: list[Mapping[str, object]] = []
        self.problems: list[str] = []
        self.socks: list[socket.socket] = []
        self.writer = AuditWriter(path, self.records.append, AuditPlan("on", **plan))

    def close(self) -> None:
        self.writer.close()
        for sock in self.socks:
            sock.close()

    async def opened(self) -> PipedTrail:
        """Return the trail of a process of files of alice's."""
        await self.until(lambda: not self.writer._outstanding)  # the start is an event, too
        teller = Teller("1.1", "alice", "192.0.2.1:7")
        self.socks.append(await self.writer.open(teller, self.problems.append))
        return PipedTrail(self.socks[-1], hashes=False)

    def events(self, **wanted: Any) -> list[Kept]:
        with closing(AuditTable(self.path, create=False)) as table:
            return list(Search(**wanted).events(table))

    def ops(self) -> list[str]:
        return [json.loads(one.fields)["op"] for one in self.events()]

    async def keep(self, **fields: Any) -> str:
        async with asyncio.timeout(20):
            return await self.writer.keep(event(**fields), waits=True).settled()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.fixture
async def audited(tmp_path: Path) -> AsyncIterator[Audited]:
    made = Audited(tmp_path / FILE)
    yield made
    made.close()


async def test_what_has_a_receipt_is_in_the_table(audited: Audited) -> None:
    assert await audited.keep(op="a") == ""
    assert audited.ops() == ["start", "a"]
    assert audited.events(user="alice")[0].time > 0


async def test_events_that_come_together_are_few_transactions(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    await audited.keep(op="first")
    sizes = []
    add = AuditTable.add

    def noted(self: AuditTable, events: list[Timed]) -> Any:
        sizes.append(len(events))
        return add(self, events)

    monkeypatch.setattr(AuditTable, "add", noted)
    receipts = [audited.writer.keep(event(op=str(one)), waits=False) for one in range(500)]
    receipts.append(audited.writer.keep(event(op="last"), waits=True))
    assert {await one.settled() for one in receipts} == {""}
    assert sum(sizes) == 501
    assert len(sizes) < 50


async def test_an_event_that_nobody_waits_for_is_kept_soon(audited: Audited) -> None:
    receipt = audited.writer.keep(event(op="later"), waits=False)
    async with asyncio.timeout(20):
        assert await receipt.settled() == ""


async def test_an_event_that_nobody_waits_for_does_not_wake_the_thread(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LATER", 3600.0)
    await audited.keep(op="before")
    receipt = audited.writer.keep(event(op="open"), waits=False)
    assert audited.writer._queue.empty()
    assert await audited.keep(op="close") == ""
    assert receipt.problem == ""
    assert audited.ops() == ["start", "before", "open", "close"]


async def test_an_event_that_comes_while_others_are_gathered_is_kept_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited = Audited(tmp_path / FILE, sync=True)  # so the thread waits for events alone
    await audited.keep(op="before")
    gathers, go_on, take = Event(), Event(), EventSources.take

    def held(self: EventSources, seconds: float | None) -> list[FileEvent]:
        if seconds == 0.0 and not gathers.is_set():  # the queue has been looked at
            gathers.set()
            assert go_on.wait(20)
        return take(self, seconds)

    monkeypatch.setattr(EventSources, "take", held)
    receipts = [audited.writer.keep(event(op="first"), waits=True)]
    assert await asyncio.to_thread(gathers.wait, 20)
    receipts.append(audited.writer.keep(event(op="between"), waits=True))
    go_on.set()
    async with asyncio.timeout(20):
        assert [await one.settled() for one in receipts] == ["", ""]
    audited.close()


async def test_events_beyond_those_of_a_transaction_are_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited = Audited(tmp_path / FILE, sync=True)
    await audited.keep(op="before")
    monkeypatch.setattr(module, "TOGETHER", 1)
    writes, go_on, add = Event(), Event(), AuditTable.add

    def held(self: AuditTable, events: list[Timed]) -> Any:
        writes.set()
        assert go_on.wait(20)
        return add(self, events)

    monkeypatch.setattr(AuditTable, "add", held)
    receipts = [audited.writer.keep(event(op=str(one)), waits=True) for one in range(4)]
    assert await asyncio.to_thread(writes.wait, 20)
    go_on.set()
    async with asyncio.timeout(20):
        assert [await one.settled() for one in receipts] == [""] * 4
    audited.close()


async def noted_syncs(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of events in the table when the disk has confirmed it."""
    monkeypatch.setattr(durable, "SYNC_AFTER", 0.0)
    await audited.until(
        lambda: audited.writer._table.synced and not audited.writer._table._unsynced
    )
    syncs: list[int] = []
    sync = AuditTable.sync

    def noted(self: AuditTable) -> None:
        sync(self)
        syncs.append(self.head().id)

    monkeypatch.setattr(AuditTable, "sync", noted)
    return syncs


async def test_the_disk_confirms_a_login_before_it_is_served(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = await noted_syncs(audited, monkeypatch)
    login = AuditEvent("1", "alice", "192.0.2.7:50000", "login", "success", "{}")
    assert await audited.writer.keep(login, waits=True).settled() == ""
    assert syncs == [2]


async def test_the_disk_confirms_what_was_done_to_files_soon(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = await noted_syncs(audited, monkeypatch)
    monkeypatch.setattr(durable, "SYNC_AFTER", 3600.0)
    assert await audited.keep(op="close") == ""
    assert (syncs, audited.ops()) == ([], ["start", "close"])
    # The thread may still be looking at the time when it changes: it may confirm the first alone.
    monkeypatch.setattr(durable, "SYNC_AFTER", 0.0)
    assert await audited.keep(op="remove") == ""
    await audited.until(lambda: syncs and syncs[-1] == 3)


async def test_with_sync_the_disk_confirms_all_that_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited = Audited(tmp_path / FILE, sync=True)
    syncs = await noted_syncs(audited, monkeypatch)
    assert await audited.keep(op="close") == ""
    assert syncs == [2]
    audited.writer.close()


async def test_a_disk_that_does_not_confirm_is_a_failure(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "AGAIN", 0.05)
    await noted_syncs(audited, monkeypatch)
    works, sync = Event(), AuditTable.sync

    def fail(self: AuditTable) -> None:
        if not works.is_set():
            raise OSError(errno.EIO, "Input/output error")
        sync(self)

    monkeypatch.setattr(AuditTable, "sync", fail)
    # It was written, so it is answered; the next ones are not.
    assert await audited.keep(op="close") == ""
    await audited.until(lambda: "Input/output error" in audited.writer.problem)
    works.set()
    await audited.until(lambda: not audited.writer.problem)
    assert json.loads(audited.events(event="audit")[-1].fields)["op"] == "resume"


async def test_a_table_that_fails_is_told_and_then_goes_on(audited: Audited) -> None:
    told: list[str] = []
    audited.writer.watchers.add(told.append)
    await audited.keep(op="before")
    with closing(sqlite3.connect(audited.path)) as other, other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON events"
            " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    assert "disk full" in await audited.keep(op="lost")
    assert "disk full" in await audited.keep(op="lost, too")
    assert "disk full" in audited.writer.problem
    errors = [one for one in audited.records if one["event"] == "error"]
    assert [one["what"] for one in errors] == ["the audit fails"]
    with closing(sqlite3.connect(audited.path)) as other, other:
        other.execute("DROP TRIGGER full")
    # It tries again by itself.
    await audited.until(lambda: not audited.writer.problem)
    assert await audited.keep(op="after") == ""
    assert audited.ops() == ["start", "before", "resume", "after"]
    resumed = json.loads(audited.events(event="audit")[-1].fields)
    assert resumed["lost"] == 2
    assert "disk full" in resumed["reason"]
    assert (bool(told[0]), told[-1]) == (True, "")


async def test_a_file_that_is_locked_for_long_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "AUDIT_FORMAT", replace(table.AUDIT_FORMAT, busy=0.05))
    audited = Audited(tmp_path / FILE)
    with closing(sqlite3.connect(audited.path)) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in await audited.keep(op="lost")
        other.execute("ROLLBACK")
    await audited.until(lambda: not audited.writer.problem)
    assert await audited.keep(op="after") == ""
    audited.writer.close()


async def test_a_disk_that_hangs_hangs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    audited = Audited(tmp_path / FILE)
    await audited.until(lambda: not audited.writer._outstanding)
    answers, add = Event(), AuditTable.add

    def hang(self: AuditTable, events: list[Timed]) -> Any:
        answers.wait(20)
        return add(self, events)

    monkeypatch.setattr(AuditTable, "add", hang)
    assert "does not answer" in await audited.keep(op="slow")
    assert audited.writer.problem
    answers.set()
    await audited.until(lambda: not audited.writer.problem)
    # It was kept after all.
    assert "slow" in audited.ops()
    audited.writer.close()


async def test_a_fault_of_the_thread_is_told_and_fails_all_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    audited = Audited(tmp_path / FILE)
    trail = await audited.opened()
    told: list[str] = []
    audited.writer.watchers.add(told.append)
    go_on = Event()

    def fault(self: DurableTable, events: object, *, syncs: bool) -> None:
        assert go_on.wait(20)
        raise KeyError(7)

    monkeypatch.setattr(DurableTable, "write", fault)
    trail.add({"op": "remove", "outcome": "success"}, waits=True)
    receipts = [audited.writer.keep(event(op=str(one)), waits=True) for one in range(3)]
    go_on.set()
    async with asyncio.timeout(20):
        problems = {await one.settled() for one in receipts}
    assert problems == {audited.writer.problem} == set(told)
    assert "restart the server (KeyError(7))" in audited.writer.problem
    assert await asyncio.to_thread(carried_out, trail.settled()) == UNKEPT
    # So it is with all that follows.
    assert await audited.keep(op="late") == audited.writer.problem
    assert not audited.writer.behind
    with pytest.raises(StateError, match=UNKEPT):
        await audited.opened()
    audited.close()
    errors = [one["what"] for one in audited.records if one["event"] == "error"]
    assert errors == [
        "the thread of the audit has ended",
        "the audit fails",
        "the audit may lack its last events",
    ]
    assert "Traceback" in caplog.text


async def test_a_process_of_files_has_its_receipts_while_the_loop_does_something_else(
    audited: Audited,
) -> None:
    trail = await audited.opened()
    trail.add({"op": "open", "outcome": "success"}, waits=False)
    trail.add({"op": "close", "outcome": "success"}, waits=True)
    assert carried_out(trail.settled()) == ""  # blocks this loop
    assert audited.ops() == ["start", "open", "close"]
    trail.add({"op": "stat", "outcome": "success"}, waits=False)
    assert carried_out(trail.settled()) == ""  # after a moment
    assert len(audited.events(user="alice")) == 3


async def test_what_was_done_to_files_stands_before_the_end_of_its_connection(
    audited: Audited,
) -> None:
    for number in range(20):
        trail = await audited.opened()
        for _ in range(50):
            trail.add({"op": f"stat {number}", "outcome": "success"}, waits=False)
        assert await audited.keep(op=f"closed {number}") == ""
    wanted = [op for one in range(20) for op in [*[f"stat {one}"] * 50, f"closed {one}"]]
    assert audited.ops() == ["start", *wanted]


async def test_a_process_of_files_learns_of_a_disk_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    audited = Audited(tmp_path / FILE)
    await audited.until(lambda: not audited.writer._outstanding)
    answers, add = Event(), AuditTable.add

    def hang(self: AuditTable, events: list[Timed]) -> Any:
        answers.wait(20)
        return add(self, events)

    monkeypatch.setattr(AuditTable, "add", hang)
    trail = await audited.opened()
    trail.add({"op": "remove", "outcome": "success"}, waits=True)
    assert await asyncio.to_thread(carried_out, trail.settled()) == UNKEPT
    assert "does not answer" in audited.writer.problem
    assert trail.problem == UNKEPT
    answers.set()
    await audited.until(lambda: not audited.writer.problem)
    await audited.until(lambda: not trail.problem)
    trail.add({"op": "rmdir", "outcome": "success"}, waits=True)
    assert await asyncio.to_thread(carried_out, trail.settled()) == ""
    assert audited.ops() == ["start", "remove", "rmdir"]  # it was kept after all
    audited.close()


async def test_a_process_of_files_learns_of_a_disk_that_hangs_as_it_confirms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    audited = Audited(tmp_path / FILE)
    await noted_syncs(audited, monkeypatch)
    hangs, answers, sync = Event(), Event(), AuditTable.sync

    def hang(self: AuditTable) -> None:
        hangs.set()
        answers.wait(20)
        sync(self)

    monkeypatch.setattr(AuditTable, "sync", hang)
    trail = await audited.opened()
    trail.add({"op": "open", "outcome": "success"}, waits=False)
    assert await asyncio.to_thread(hangs.wait, 20)
    trail.add({"op": "remove", "outcome": "success"}, waits=True)
    assert await asyncio.to_thread(carried_out, trail.settled()) == UNKEPT
    assert "does not answer" in audited.writer.problem
    answers.set()
    await audited.until(lambda: not audited.writer.problem)
    await audited.until(lambda: "remove" in audited.ops())  # it was kept after all
    audited.close()


async def test_what_a_process_of_files_may_not_say_is_told_on_the_loop(audited: Audited) -> None:
    await audited.opened()
    audited.socks[0].sendall(b"\xff\xff\xff\xff")
    await audited.until(lambda: audited.problems)
    assert audited.problems == ["a message is too long, or empty"]


async def test_what_waits_is_bounded(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    await audited.keep(op="before")
    monkeypatch.setattr(module, "MOST_WAITING", 4)
    receipts = [audited.writer.keep(event(op=str(one)), waits=True) for one in range(6)]
    assert audited.writer.behind
    problems = [await one.settled() for one in receipts]
    assert [bool(one) for one in problems] == [False] * 4 + [True] * 2


async def test_the_end_of_the_chain_is_in_the_log(audited: Audited) -> None:
    await audited.keep(op="a")
    pinned = [one["head"] for one in audited.records if one["event"] == "audit"]
    assert len(pinned) == 1
    assert str(pinned[0]).partition(":")[0] in {"1", "2"}


async def test_all_is_written_at_the_end(tmp_path: Path) -> None:
    audited = Audited(tmp_path / FILE)
    for one in range(100):
        audited.writer.keep(event(op=str(one)), waits=False)
    audited.writer.close()
    assert audited.ops() == ["start", *map(str, range(100)), "stop"]
    with closing(AuditTable(audited.path, create=False)) as table:
        anchor, head, events = table.chain()
        assert list(faults(events, anchor, head)) == []
