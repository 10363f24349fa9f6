"""A session's threads: who waits for whom, and for how long."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from unittest.mock import Mock

import pytest

from nacre.sftp.server import threads as threads_module
from nacre.sftp.server.threads import Threads
from parties import until


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    made = Threads(2)
    yield made
    made.close()


def alive() -> int:
    return sum(thread.name == "files" for thread in threading.enumerate())


async def test_short_work_is_done_at_once(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads_module, "PATIENCE", 10.0)
    seen: list[object] = []
    threads.submit(lambda: 5, lambda value, error: seen.append(value), quick=True)
    assert seen == [5]
    failed = ValueError("as asked")

    def fail() -> None:
        raise failed

    threads.submit(fail, lambda value, error: seen.append(error), quick=True)
    assert seen == [5, failed]


async def test_the_loop_does_not_wait_for_what_hangs(threads: Threads) -> None:
    gate = threading.Event()
    seen: asyncio.Queue[object] = asyncio.Queue()

    def hang() -> str:
        gate.wait(20)
        return "late"

    before = time.monotonic()
    for _ in range(4):
        threads.submit(hang, lambda value, error: seen.put_nowait(value), quick=True)
    assert time.monotonic() - before < 5
    assert seen.empty()
    gate.set()
    async with asyncio.timeout(30):
        assert [await seen.get() for _ in range(4)] == ["late"] * 4


async def test_many_jobs_of_both_kinds(threads: Threads) -> None:
    seen: list[int | None] = []
    for number in range(500):
        threads.submit(partial(int, number), lambda v, _: seen.append(v), quick=number % 3 == 0)
    await until(lambda: len(seen) == 500)
    assert sorted(seen) == list(range(500))  # type: ignore[type-var]
    assert alive() <= 2


async def test_run(threads: Threads) -> None:
    assert await threads.run(lambda: threading.current_thread().name) == "files"
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    gate = threading.Event()
    task = asyncio.ensure_future(threads.run(lambda: gate.wait(30)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    assert await threads.run(lambda: 1) == 1


async def test_threads_end_when_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads_module, "IDLE", 0.01)
    threads = Threads(2)
    await threads.run(lambda: None)
    await until(lambda: not alive())
    assert await threads.run(lambda: "again") == "again"
    threads.close()


@pytest.fixture
def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)


async def test_without_a_thread_a_call_fails_and_the_last_one_is_made(
    threads: Threads, no_thread: None
) -> None:
    def fail() -> None:
        raise FileNotFoundError

    made: list[int] = []
    for _ in range(3):
        made.clear()
        with pytest.raises(OSError, match="can't start new thread"):
            await threads.run(lambda: made.append(1))
        assert made == []
        await threads.run(lambda: made.append(2), last=True)
        assert made == [2]
        with pytest.raises(FileNotFoundError):
            await threads.run(fail, last=True)


async def test_a_thread_that_is_there_does_the_work_of_one_that_is_not(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = threading.Event()
    first = asyncio.ensure_future(threads.run(open_.wait))
    await asyncio.sleep(0)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", Mock(side_effect=RuntimeError("no")))
        second = asyncio.ensure_future(threads.run(lambda: 2))
        await asyncio.sleep(0)
    open_.set()
    assert (await first, await second) == (True, 2)
