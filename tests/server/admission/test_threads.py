from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from nacre.server.admission import threads
from nacre.server.admission.threads import FairThreads

A, B, C = b"\x0a\0\0\x01", b"\x0a\0\0\x02", b"\x0a\0\0\x03"


class Clock:
    """A clock that only tests move; ``work`` takes processor's time by it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.used = 0.0
        monkeypatch.setattr(threads, "monotonic", lambda: self.now)
        monkeypatch.setattr(threads, "thread_time", lambda: self.used)

    def work(self, seconds: float) -> Callable[[], None]:
        def work() -> None:
            self.used += seconds

        return work


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def test_a_result_and_an_error_reach_the_caller() -> None:
    made = FairThreads()
    assert await made.run(A, lambda: 6 * 7, 1.0) == 42
    with pytest.raises(ZeroDivisionError):
        await made.run(A, lambda: 1 / 0, 1.0)
    assert await made.run(A, lambda: threading.current_thread(), 1.0) is not (
        threading.current_thread()
    )
    made.close()


async def test_a_network_has_one_thread_and_others_pass_what_it_has_queued() -> None:
    made, gate, begun = FairThreads(4), threading.Event(), threading.Event()
    order: list[str] = []

    def stuck() -> None:
        begun.set()
        gate.wait(30)
        order.append("a")

    many = [asyncio.ensure_future(made.run(A, stuck, 0.0)) for _ in range(40)]
    await asyncio.to_thread(begun.wait, 10)
    for network in (B, C):
        await made.run(network, lambda: order.append("other"), 0.0)
    assert order == ["other", "other"]
    assert len(made._running) == 1
    gate.set()
    await asyncio.gather(*many)
    made.close()


async def test_networks_take_turns() -> None:
    made, order = FairThreads(1), list[str]()
    queued = [
        made.run(network, partial(order.append, name), 0.0)
        for network, name in [*[(A, "a")] * 5, *[(B, "b")] * 2, (C, "c")]
    ]
    await asyncio.gather(*queued)
    assert order == ["a", "b", "c", "a", "b", "a", "a", "a"]
    made.close()


async def test_a_network_that_used_its_time_waits_until_it_has_faded(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, timers = FairThreads(), list[tuple[float, Callable[[], None]]]()
    loop = asyncio.get_running_loop()

    def call_later(seconds: float, work: Any, *arguments: Any) -> None:
        timers.append((seconds, lambda: work(*arguments)))

    monkeypatch.setattr(loop, "call_later", call_later)
    await made.run(A, clock.work(6.0), 6.0)
    assert made.overdrawn(A) == 0.0
    await made.run(A, clock.work(3.0), 6.0)
    # Six seconds a minute: a second fades in ten.
    assert made.overdrawn(A) == pytest.approx(30.0)
    assert made.overdrawn(B) == 0.0
    timers.clear()
    waiting = asyncio.ensure_future(made.run(A, lambda: "done", 6.0))
    assert await made.run(B, lambda: "at once", 6.0) == "at once"
    assert not waiting.done()
    clock.now += 30.0
    assert made.overdrawn(A) == pytest.approx(0.0)
    while timers:
        timers.pop()[1]()
    assert await waiting == "done"
    await made.run(A, clock.work(1000.0), 0.0)
    assert made.overdrawn(A) == 0.0, "without a budget"
    made.close()


async def test_what_is_cancelled_before_its_turn_is_not_computed() -> None:
    made, gate, begun = FairThreads(), threading.Event(), threading.Event()

    def stuck() -> None:
        begun.set()
        gate.wait(30)

    order: list[int] = []
    first = asyncio.ensure_future(made.run(A, stuck, 0.0))
    others = [asyncio.ensure_future(made.run(A, partial(order.append, n), 0.0)) for n in range(3)]
    await asyncio.to_thread(begun.wait, 10)
    for gone in (first, others[0], others[2]):
        gone.cancel()
    gate.set()
    await others[1]
    assert order == [1]
    assert await made.run(A, lambda: 1, 0.0) == 1
    made.close()


async def test_a_system_without_threads_fails_the_computation_and_not_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = FairThreads()

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            await made.run(A, lambda: 1, 0.0)
    assert await made.run(A, lambda: 1, 0.0) == 1
    made.close()


async def test_so_many_networks_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_SOURCES", 3)
    made = FairThreads()
    for number in range(10):
        await made.run(bytes([number]), lambda: None, 1.0)
    assert list(made._sources) == [b"\x07", b"\x08", b"\x09"]
    made.close()


async def test_a_network_may_have_a_share_of_several_threads() -> None:
    made, gate, order = FairThreads(4, share=2), threading.Event(), list[str]()
    begun = threading.Semaphore(0)

    def stuck() -> None:
        begun.release()
        gate.wait(30)

    many = [asyncio.ensure_future(made.run(A, stuck)) for _ in range(9)]
    for _ in range(2):
        assert await asyncio.to_thread(begun.acquire, True, 10)
    await made.run(B, partial(order.append, "other"))
    assert order == ["other"]
    assert len(made._running) == 2
    gate.set()
    await asyncio.gather(*many)
    assert made._sources[A].turns == 0
    made.close()


async def test_what_is_at_work_when_it_closes_is_not_waited_for() -> None:
    made, gate, begun = FairThreads(), threading.Event(), threading.Event()

    def stuck() -> None:
        begun.set()
        gate.wait(30)

    waiting = asyncio.ensure_future(made.run(A, stuck))
    await asyncio.to_thread(begun.wait, 10)
    made.close()
    await asyncio.sleep(0)
    assert not made._running
    gate.set()
    waiting.cancel()


async def test_without_more_threads_work_waits_for_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = FairThreads(2)
    assert await made.run(A, lambda: 1) == 1

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert await asyncio.gather(made.run(A, lambda: 2), made.run(B, lambda: 3)) == [2, 3]
    made.close()


async def test_a_result_for_which_nobody_waits_is_undone() -> None:
    made, gate, begun = FairThreads(1), threading.Event(), threading.Event()
    undone = list[str]()

    def slow() -> str:
        begun.set()
        gate.wait(30)
        return "opened"

    first = asyncio.ensure_future(made.run(A, slow, undo=undone.append))
    queued = asyncio.ensure_future(made.run(A, lambda: "never", undo=undone.append))
    await asyncio.to_thread(begun.wait, 10)
    for gone in (first, queued):
        gone.cancel()
    gate.set()
    assert await made.run(A, lambda: "next", undo=undone.append) == "next"
    assert undone == ["opened"]
    made.close()


async def test_idle_threads_end_with_what_they_worked_for() -> None:
    made = FairThreads(2)
    threads = await asyncio.gather(*(made.run(one, threading.current_thread) for one in (A, B)))
    del made
    gc.collect()
    for thread in threads:
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()


def test_work_that_never_returns_does_not_keep_a_process_from_ending() -> None:
    code = (
        "import asyncio, threading\n"
        "from nacre.server.admission.threads import FairThreads\n"
        "async def main():\n"
        "    made, begun = FairThreads(), threading.Event()\n"
        "    work = lambda: (begun.set(), threading.Event().wait())\n"
        "    task = asyncio.ensure_future(made.run(b'', work))\n"
        "    await asyncio.to_thread(begun.wait)\n"
        "    task.cancel()\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
