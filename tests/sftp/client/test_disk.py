"""What blocks, in threads; what is quick, in the loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from nacre.sftp.client.disk import Disk


async def test_results_and_errors_come_back() -> None:
    disk = Disk()
    found = await asyncio.gather(*[disk.run(lambda n=n: n * n) for n in range(100)])  # type: ignore[misc]
    assert found == [n * n for n in range(100)]

    def fail() -> None:
        raise FileNotFoundError("as asked")

    with pytest.raises(FileNotFoundError, match="as asked"):
        await disk.run(fail)
    assert await disk.run(threading.get_ident) != threading.get_ident()
    disk.close()


async def test_what_is_quick_is_done_in_the_loop_until_it_was_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = Disk()
    here = threading.get_ident()
    assert disk.attempt(threading.get_ident) == (here, None)
    assert await disk.run_quick(threading.get_ident) == here

    def fail() -> None:
        raise FileNotFoundError("as asked")

    with pytest.raises(FileNotFoundError, match="as asked"):
        await disk.run_quick(fail)
    now = 0.0
    monkeypatch.setattr(disk._loop, "time", lambda: now)

    def dawdle() -> None:
        nonlocal now
        now += 1

    await disk.run_quick(dawdle)
    monkeypatch.undo()
    found = [await disk.run_quick(threading.get_ident) for _ in range(201)]
    assert here not in found[:200]
    assert found[200] == here
    disk.close()


async def test_a_cancelled_call_waits_for_its_work() -> None:
    disk = Disk()
    go, over = threading.Event(), []

    def work() -> None:
        go.wait(30)
        over.append(True)

    task = asyncio.create_task(disk.run(work))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert over
    disk.close()


async def test_after_the_end_there_is_still_a_thread_to_tidy_up() -> None:
    disk = Disk()
    assert await disk.run(lambda: 1) == 1
    disk.close()
    async with asyncio.timeout(30):
        for number in range(10):
            assert await disk.run(lambda number=number: number) == number  # type: ignore[misc]
    for thread in threading.enumerate():
        if thread.name == "nacre.disk":
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()
