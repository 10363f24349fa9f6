"""An app in its thread: how it ends, and what it is told."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable

import pytest

from nacre.apps.thread import AppThread
from parties import until


class App:
    """An app that does what a test says.

    :ivar fed: the input; ``sizes``: the sizes that it was told; ``ended``: the input is at its end.
    """

    def __init__(self, work: Callable[[App], Awaitable[int | None]]) -> None:
        self.fed: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        self.ended = asyncio.Event()
        self._work = work

    async def run(self) -> int | None:
        return await self._work(self)

    async def feed(self, text: str) -> None:
        if text == "raise":
            raise ValueError("as asked")
        self.fed.append(text)

    def end_input(self) -> None:
        self.ended.set()

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))


class Running:
    """An app's thread, the app, and the errors that it has reported."""

    def __init__(self, work: Callable[[App], Awaitable[int | None]]) -> None:
        self.errors: list[BaseException] = []
        self.apps: list[App] = []
        self.thread = AppThread(lambda: self._make(work), self.errors.append)
        self.thread.start()

    def _make(self, work: Callable[[App], Awaitable[int | None]]) -> App:
        self.apps.append(App(work))
        return self.apps[0]

    async def status(self) -> int:
        return await asyncio.wait_for(asyncio.shield(self.thread.done), 30)


async def to_end(app: App) -> int | None:
    await app.ended.wait()
    return 5


def ends_with(error: BaseException) -> Callable[[App], Awaitable[int | None]]:
    async def work(app: App) -> int | None:
        raise error

    return work


async def test_an_app_has_a_thread_and_a_loop_of_its_own() -> None:
    found: list[object] = []

    async def work(app: App) -> int | None:
        found.extend((threading.current_thread(), asyncio.get_running_loop()))
        return None

    assert await Running(work).status() == 0
    assert threading.main_thread() not in found
    assert asyncio.get_running_loop() not in found


async def test_input_sizes_and_the_end_are_told() -> None:
    running = Running(to_end)
    await running.thread.feed("a")
    await running.thread.feed("b")
    running.thread.resize(100, 40)
    await until(lambda: running.apps[0].sizes)
    await running.thread.end_input()
    assert await running.status() == 5
    assert running.apps[0].fed == ["a", "b"]
    assert running.apps[0].sizes == [(100, 40)]


async def test_of_many_sizes_a_busy_app_sees_the_last() -> None:
    busy, go = threading.Event(), threading.Event()

    async def work(app: App) -> int | None:
        busy.set()
        go.wait(30)
        await app.ended.wait()
        return 0

    running = Running(work)
    await until(busy.is_set)
    for columns in range(1000):
        running.thread.resize(columns, 24)
    go.set()
    await running.thread.end_input()
    assert await running.status() == 0
    assert running.apps[0].sizes == [(999, 24)]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyboardInterrupt(), 130),
        (EOFError(), 0),
        (SystemExit(4), 4),
        (SystemExit(), 0),
        (SystemExit("no"), 1),
    ],
    ids=repr,
)
async def test_what_ends_programs_ends_the_app_alone(error: BaseException, status: int) -> None:
    assert await Running(ends_with(error)).status() == status


@pytest.mark.parametrize("error", [ValueError("x"), StopIteration(), GeneratorExit()], ids=repr)
async def test_an_error_of_the_app_is_its_end(error: BaseException) -> None:
    with pytest.raises((ValueError, RuntimeError)):
        await Running(ends_with(error)).status()


@pytest.mark.parametrize(
    "error", [asyncio.IncompleteReadError(b"", 4), asyncio.CancelledError()], ids=repr
)
async def test_an_end_that_nobody_asked_for_is_an_error(error: BaseException) -> None:
    with pytest.raises((asyncio.IncompleteReadError, RuntimeError)):
        await Running(ends_with(error)).status()


async def test_an_error_of_an_end_that_was_asked_for_is_none() -> None:
    async def work(app: App) -> int | None:
        await app.ended.wait()
        raise asyncio.IncompleteReadError(b"", 4)

    running = Running(work)
    await running.thread.end_input()
    assert await running.status() == 0


async def test_an_app_that_can_t_be_made_has_ended() -> None:
    def make() -> App:
        raise OSError("no files")

    thread = AppThread(make, lambda error: None)
    thread.start()
    await asyncio.wait_for(thread.feed("x"), 30)
    await asyncio.wait_for(thread.end_input(), 30)
    with pytest.raises(OSError, match="no files"):
        await thread.done


async def test_errors_of_input_and_of_tasks_are_reported_and_the_app_goes_on() -> None:
    async def work(app: App) -> int | None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: sys.exit(9))
        loop.call_soon(int, "nonsense")
        await app.ended.wait()
        return 6

    running = Running(work)
    await running.thread.feed("raise")
    await until(lambda: len(running.errors) == 2)
    await running.thread.end_input()
    assert await running.status() == 6
    assert {str(error) for error in running.errors} >= {"as asked"}


async def test_an_app_that_waits_can_be_cancelled() -> None:
    async def work(app: App) -> int | None:
        await asyncio.Event().wait()
        return 7

    running = Running(work)
    await running.thread.feed("")
    running.thread.cancel()
    assert await running.status() == 0
    running.thread.cancel()
    running.thread.resize(1, 1)
    await asyncio.wait_for(running.thread.feed("late"), 30)
