"""A few threads for work that blocks, for one session alone: none waits for another's storage."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

IDLE = 5.0
"""Seconds after which threads without work end."""


class Threads:
    """At most ``most`` threads, which start when there is work and end when there was none long.

    They are daemons: a storage that hangs does not keep the process from ending.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = 0
        self._jobs = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(
        self, work: Callable[[], T], done: Callable[[T | None, Exception | None], None]
    ) -> None:
        """Do ``work`` in a thread, then call ``done`` on the loop: with its value or its failure.

        For the loop's thread alone.
        """

        def job() -> None:
            value: T | None = None
            error: Exception | None = None
            try:
                value = work()
            except Exception as raised:
                error = raised
            with suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
                self._loop.call_soon_threadsafe(self._done, done, value, error)

        self._jobs += 1
        self._queue.put(job)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._jobs > self._threads and self._threads < self._most:
            self._threads += 1
            threading.Thread(target=_work, args=(self._queue,), name="files", daemon=True).start()

    def _done(self, done: Callable[..., None], value: Any, error: Exception | None) -> None:
        self._jobs -= 1
        done(value, error)
        if not self._jobs and self._timer is None:
            self._timer = self._loop.call_later(IDLE, self.end)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` does in a thread; it goes on there when the caller is cancelled."""
        future: asyncio.Future[T] = self._loop.create_future()

        def done(value: T | None, error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(value)  # type: ignore[arg-type]
            else:
                future.set_exception(error)

        self.start(work, done)
        return await future

    def end(self) -> None:
        """Let every thread end after the work that is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _ in range(self._threads):
            self._queue.put(None)
        self._threads = 0


def _work(queue: SimpleQueue[Callable[[], None] | None]) -> None:
    while (job := queue.get()) is not None:
        job()
        del job  # what it holds must not live until the next one comes
