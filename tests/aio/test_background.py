"""A loop in a thread: results, interruptions, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nacre.aio.background import Background
from nacre.aio.busy_poll import BusyPoll


@pytest.fixture
def loop() -> Iterator[Background]:
    background = Background("a test's loop")
    yield background
    background.stop()


async def thread_name() -> str:
    return threading.current_thread().name


def interrupt() -> None:
    """Do what Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


def test_a_call_returns_what_the_work_returns_and_raises_what_it_raises(loop: Background) -> None:
    async def fail() -> None:
        raise FileNotFoundError("as asked")

    assert loop.call(thread_name) == "a test's loop"
    with pytest.raises(FileNotFoundError, match="as asked"):
        loop.call(fail)


def test_a_coroutine_that_exists_can_be_run(loop: Background) -> None:
    work = thread_name()
    assert loop.call(lambda: work) == "a test's loop"


def test_an_interrupt_cancels_the_work_and_waits_for_its_end(loop: Background) -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            interrupt()
            await asyncio.Event().wait()
        finally:
            steps.append("cancelled")
            for _ in range(3):
                await asyncio.sleep(0.01)
            steps.append("tidied up")

    with pytest.raises(KeyboardInterrupt):
        loop.call(work)
    assert steps == ["cancelled", "tidied up"]
    assert loop.call(thread_name) == "a test's loop"


def test_an_interrupt_before_the_call_waits_cancels_the_work_too(
    loop: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    schedule = asyncio.run_coroutine_threadsafe

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    def interrupted(*args: Any) -> Any:
        monkeypatch.undo()
        schedule(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        loop.call(work)
    assert ended.is_set()


def test_an_error_of_the_cancelled_work_is_not_logged(
    loop: Background, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        try:
            interrupt()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("while it tidies up") from None

    with pytest.raises(KeyboardInterrupt):
        loop.call(work)
    loop.stop()
    assert caplog.text == ""


def test_a_second_interrupt_does_not_wait(loop: Background) -> None:
    ended = threading.Event()

    async def work() -> None:
        try:
            interrupt()
            await asyncio.Event().wait()
        finally:
            interrupt()
            await asyncio.sleep(1)
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        loop.call(work)
    assert not ended.is_set()


def test_the_loop_can_not_wait_for_itself(loop: Background) -> None:
    async def inside() -> None:
        loop.call(thread_name)

    with pytest.raises(RuntimeError, match="own loop"):
        loop.call(inside)


def test_a_stopped_loop_cancels_its_work_and_ends_its_thread(loop: Background) -> None:
    cancelled = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def begin() -> None:
        tasks.append(asyncio.ensure_future(wait()))
        await asyncio.sleep(0)

    tasks: list[asyncio.Future[None]] = []
    loop.call(begin)
    threads = threading.active_count()
    loop.stop()
    assert cancelled.is_set()
    assert threading.active_count() == threads - 1
    loop.stop()
    assert loop.call(thread_name) == "a test's loop"


def test_call_soon_does_nothing_without_a_loop(loop: Background) -> None:
    called: list[bool] = []
    loop.call_soon(lambda: called.append(True))
    loop.call(thread_name)
    loop.call_soon(lambda: called.append(False))
    loop.call(thread_name)
    assert called == [False]


def test_a_forgotten_loop_is_replaced(loop: Background) -> None:
    async def running() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    other = Background()
    first = other.call(running)
    ending: Callable[[], object] = first.stop
    other.forget()
    second = other.call(running)
    assert second is not first
    first.call_soon_threadsafe(ending)
    other.stop()


@pytest.mark.parametrize("allowed", [True, False])
def test_a_loop_stays_awake_only_if_it_may(allowed: bool) -> None:
    async def seconds() -> float:
        return BusyPoll.of(asyncio.get_running_loop()).seconds

    loop = Background(busy_poll=allowed)
    assert (loop.call(seconds) > 0) is allowed
    loop.stop()
