"""The thread that reads the table for the hooks."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from daemon.hooks.made import add_events, hook, make_audit, upload
from daemon.hooks.receiver import SECRET
from nacre.daemon.hooks import feed as feed_module
from nacre.daemon.hooks.feed import HookFeed
from nacre.daemon.hooks.table import HookTable
from nacre.daemon.hooks.values import HookPlan, Progress
from nacre.daemon.separate.messages import HooksAre, HookTold, TellHook, unpacked
from nacre.wire.message import Message


class Fed:
    """What a process would have got."""

    def __init__(self, path: Path) -> None:
        self.plans: list[list[HookPlan]] = []
        self.events: list[TellHook] = []
        self.records: list[Mapping[str, object]] = []
        self._changed = asyncio.Event()
        self.feed = HookFeed(path, self._passed)

    def _passed(
        self, process: int, messages: Sequence[Message], records: Sequence[Mapping[str, object]]
    ) -> None:
        self.plans += [unpacked(one.hooks) for one in messages if isinstance(one, HooksAre)]
        self.events += [one for one in messages if isinstance(one, TellHook)]
        self.records += records
        self._changed.set()

    async def until(self, found: Callable[[], Any]) -> None:
        async with asyncio.timeout(30):
            while not found():
                await self._changed.wait()
                self._changed.clear()

    def tell(self, event: TellHook, outcome: str = "done", process: int = 1) -> bool:
        return self.feed.told(process, HookTold(event.hook, event.number, outcome, 1, "ill"))


@asynccontextmanager
async def feeding(path: Path) -> AsyncIterator[Fed]:
    fed = Fed(path)
    fed.feed.begin(1)
    try:
        yield fed
    finally:
        await asyncio.to_thread(fed.feed.close)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_audit(tmp_path)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "READ_AGAIN", 0.05)
    monkeypatch.setattr(feed_module, "EVERY", 0.05)


def add(path: Path, **more: Any) -> None:
    with closing(HookTable(path)) as table:
        table.add(hook(**more))


def progress(path: Path, name: str = "one") -> Progress:
    with closing(HookTable(path)) as table:
        return table.one(name).progress


async def test_what_was_told_is_behind_a_hook(path: Path) -> None:
    add(path)
    add_events(path, upload("/a"), upload("/b"))
    async with feeding(path) as fed:
        await fed.until(lambda: len(fed.events) == 2)
        assert [json.loads(one.body)["fields"]["path"] for one in fed.events] == ["/a", "/b"]
        fed.tell(fed.events[0])
        fed.tell(fed.events[1], "failing")
    assert progress(path).position == 1
    assert (progress(path).delivered, progress(path).problem) == (1, "ill")
    async with feeding(path) as fed:
        await fed.until(lambda: fed.events)
        assert [one.number for one in fed.events] == [2]
        fed.tell(fed.events[0], "dead")
    assert (progress(path).position, progress(path).dead) == (2, 1)


async def test_hooks_come_and_go_while_it_runs(path: Path) -> None:
    async with feeding(path) as fed:
        await fed.until(lambda: fed.plans)
        assert fed.plans == [[]]
        add(path)
        await fed.until(lambda: len(fed.plans) == 2)
        add_events(path, upload("/a"))
        await fed.until(lambda: fed.events)
        with closing(HookTable(path)) as table:
            table.remove("one")
        await fed.until(lambda: len(fed.plans) == 3)
        assert fed.plans[2] == []
        assert fed.tell(fed.events[0])


async def test_another_process_is_told_what_none_has_said_is_done(path: Path) -> None:
    add(path)
    add_events(path, upload("/a"), upload("/b"))
    async with feeding(path) as fed:
        await fed.until(lambda: len(fed.events) == 2)
        fed.feed.begin(2)
        # What the former one says late does not count.
        fed.tell(fed.events[0], process=1)
        await fed.until(lambda: len(fed.events) == 4)
        assert [one.number for one in fed.events] == [1, 2, 1, 2]
        assert len(fed.plans) == 2
    assert progress(path).position == 0


async def test_many_events_are_told_in_their_order(path: Path) -> None:
    add(path, events=("upload",))
    add(path, name="none", events=("login",))
    for _ in range(3):
        add_events(path, *(upload(f"/{number}") for number in range(300)))
    async with feeding(path) as fed:
        for number in range(900):
            await fed.until(lambda number=number: len(fed.events) > number)  # type: ignore[misc]
            fed.tell(fed.events[number])
    assert [one.number for one in fed.events] == list(range(1, 901))
    assert progress(path).position == progress(path, "none").position == 900
    assert progress(path).delivered == 900


async def test_a_key_that_can_not_be_read_holds_up_its_hook_alone(path: Path) -> None:
    secret = path.with_name("key")
    add(path, name="url", kind="url", target="https://localhost/", secret_file=str(secret))
    add(path)
    add_events(path, upload("/a"))
    async with feeding(path) as fed:
        await fed.until(lambda: fed.records and fed.events)
        assert "can't read" in str(fed.records[0]["error"])
        assert [one.hook for one in fed.events] == [2]
        secret.touch(0o600)
        secret.write_bytes(SECRET)
        await fed.until(lambda: len(fed.events) == 2)
        assert next(one for one in fed.plans[-1] if one.name == "url").secret == SECRET
    assert "key" not in repr(fed.plans)
    assert SECRET.decode() not in repr(fed.plans)


async def test_a_table_that_can_not_be_read_is_told_once(path: Path) -> None:
    add(path)
    add_events(path, upload("/a"))
    async with feeding(path) as fed:
        await fed.until(lambda: fed.events)
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("ALTER TABLE hooks RENAME TO away")
        await fed.until(lambda: fed.records)
        assert fed.records[0]["what"] == "hooks wait"
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("ALTER TABLE away RENAME TO hooks")
        add_events(path, upload("/b"))
        await fed.until(lambda: len(fed.events) == 2)
        assert len(fed.records) == 1


async def test_there_is_a_bound_of_what_waits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MOST_WAITING", 0)
    async with feeding(path) as fed:
        assert not fed.tell(TellHook(1, 1, b""))
