"""A few threads for work that blocks, for one session alone: none waits for another's storage."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

IDLE = 5.0
"""Seconds after which threads without work end."""

PATIENCE = 0.0005
"""Seconds the loop waits for work that is most likely short.

To be woken through a selector costs more than most looks at a file; and a storage that hangs can't
make it longer.
"""

SLOW = 0.005
"""Seconds after which work on the loop was too long: what follows is done in threads for a while.

Less than a disk with moving parts needs for one access, and more than any work from memory.
"""

_HURRIED = 100
"""Jobs nobody waits for after one that was not short."""

_WARY = 100
"""Jobs done in threads after one that was not for the loop."""


class Threads:
    """At most ``most`` threads, which start when there is work and end when there was none long.

    They are daemons: a storage that hangs does not keep the process from ending.
    """

    def __init__(self, most: int, *, prompt: bool = False) -> None:
        self._most = most
        self._prompt = prompt
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = 0
        self._jobs = 0
        self._hurried = 0
        self._wary = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(
        self,
        work: Callable[[], T],
        done: Callable[[T | None, Exception | None], None],
        *,
        short: bool = False,
    ) -> None:
        """Do ``work`` in a thread, then call ``done`` on the loop: with its value or its failure.

        For the loop's thread alone.

        :param short: it most likely is; ``done`` may then be called before this returns.
        """
        job = _Job(self, work, done)
        self._jobs += 1
        self._wary = max(0, self._wary - 1)
        self._queue.put(job)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._jobs > self._threads and self._threads < self._most:
            self._threads += 1
            threading.Thread(target=_work, args=(self._queue,), name="files", daemon=True).start()
        if self._hurried:
            self._hurried -= 1
        elif short and self._jobs <= self._threads:
            if job.finished.acquire(timeout=PATIENCE) or not job.leave():
                self.finish(job)
                return
            self._hurried = _HURRIED
            return
        if not job.leave():
            self.finish(job)

    @property
    def prompt(self) -> bool:
        """Whether work that is short may be done on the loop: the storage is prompt, and was."""
        return self._prompt and not self._wary

    def now(self, work: Callable[..., T], *arguments: Any) -> T:
        """Return what ``work`` does, done here and now; not for a while again if it took its time.

        :raises BlockingIOError: it would have had to wait; it must be done in a thread.
        """
        before = monotonic()
        try:
            return work(*arguments)
        except BlockingIOError:
            self._wary = _WARY
            raise
        finally:
            if monotonic() - before > SLOW:
                self._wary = _WARY

    def report(self, job: _Job) -> None:
        """Let the loop know that a job is done; for a job's thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
            self._loop.call_soon_threadsafe(self.finish, job)

    def finish(self, job: _Job) -> None:
        """Give out what a job did."""
        self._jobs -= 1
        job.done(job.value, job.error)
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


class _Job:
    """Work, and what came of it.

    Whoever takes the only token first decides how the loop learns of the end: the thread, that it
    is done while the loop still waits; the loop, that it has left and wants to be told.

    :ivar finished: can be acquired when the work is done and the loop waits.
    """

    __slots__ = ("_threads", "_token", "_work", "done", "error", "finished", "value")

    def __init__(
        self, threads: Threads, work: Callable[[], Any], done: Callable[[Any, Any], None]
    ) -> None:
        self.done = done
        self.value: Any = None
        self.error: Exception | None = None
        self.finished = threading.Lock()
        self.finished.acquire()
        self._threads = threads
        self._token = [True]
        self._work = work

    def leave(self) -> bool:
        """Wait no longer; return whether the end will be reported."""
        try:
            self._token.pop()
        except IndexError:
            return False
        return True

    def run(self) -> None:
        """Do the work; in a thread."""
        try:
            self.value = self._work()
        except Exception as error:
            self.error = error
        try:
            self._token.pop()
        except IndexError:
            self._threads.report(self)
        else:
            self.finished.release()


def _work(queue: SimpleQueue[_Job | None]) -> None:
    while (job := queue.get()) is not None:
        job.run()
        del job  # what it holds must not live until the next one comes
