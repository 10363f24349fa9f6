"""The files of this machine, and hashes: what blocks, in threads; what is quick, in the loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")

_SLOW = 0.01
"""Seconds: a call that takes longer was no quick one."""

_WARY = 200
"""Calls that go to a thread after a quick one was slow; then it is tried again."""

_Done = Callable[[Any, BaseException | None], None]
_Job = tuple[Callable[[], Any], _Done]


class Disk:
    """A few threads that start when they are needed and end with :meth:`close`.

    What they have done is told to the loop in batches: one wake-up for all results at hand.

    To read or write a piece of a file takes less time than to wake a thread, as long as the system
    has memory for it. So such a call is made in the loop, until one turns out to be slow.
    """

    def __init__(self, threads: int = 4) -> None:
        """Use at most ``threads`` threads."""
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._results: deque[tuple[_Done, Any, BaseException | None]] = deque()
        self._room = threads
        self._threads = 0
        self._open = 0
        self._woken = False
        self._closed = False
        self._wary = 0

    def attempt(self, work: Callable[[], T]) -> tuple[T | None, Exception | None] | None:
        """Call ``work`` here and return its result and its error; None when it is for a thread.

        :param work: something that is quick as a rule, on regular files.
        """
        if self._wary:
            self._wary -= 1
            return None
        begin = self._loop.time()
        try:
            return work(), None
        except Exception as error:
            return None, error
        finally:
            if self._loop.time() - begin > _SLOW:
                self._wary = _WARY

    def submit(self, work: Callable[[], Any], done: _Done) -> None:
        """Call ``work`` in a thread, then ``done`` in the loop, with its result or its error."""
        self._open += 1
        if self._open > self._threads and self._threads < self._room:
            self._threads += 1
            threading.Thread(target=self._work, name="nacre.disk", daemon=True).start()
        self._jobs.put((work, done))
        if self._closed:
            # Whoever tidies up behind a session that broke gets a thread for just that.
            self.close()

    async def run_quick(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns or raises: something for :meth:`attempt`."""
        made = self.attempt(work)
        if made is None:
            return await self.run(work)
        result, error = made
        if error is not None:
            raise error
        return cast(T, result)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns or raises.

        A call that is cancelled first waits until ``work`` is over, so that its caller can undo it.
        """
        future: asyncio.Future[T] = self._loop.create_future()

        def done(result: T, error: BaseException | None) -> None:
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self.submit(work, done)
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.shield(future)
            except asyncio.CancelledError as error:
                cancelled = error
            except BaseException:
                break
        if cancelled is not None:
            future.exception()
            raise cancelled
        return future.result()

    def close(self) -> None:
        """End the threads when they have done what they were given."""
        self._closed = True
        for _ in range(self._threads):
            self._jobs.put(None)
        self._threads = 0

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, done = job
            result, failure = None, None
            try:
                result = work()
            except BaseException as error:
                failure = error
            self._results.append((done, result, failure))
            # Whoever takes the results sets this back before it looks, so none is left behind.
            if not self._woken:
                self._woken = True
                try:
                    self._loop.call_soon_threadsafe(self._tell)
                except RuntimeError:  # The loop has ended: nobody waits any more.
                    return
            del job, work, done, result, failure

    def _tell(self) -> None:
        self._woken = False
        while self._results:
            done, result, error = self._results.popleft()
            self._open -= 1
            done(result, error)
