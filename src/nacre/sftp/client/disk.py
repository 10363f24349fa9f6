"""Calls on this machine's files, and hashes: slow ones in threads, quick ones on the loop.

:mod:`nacre.sftp.server.threads` is the same idea at the server, with the same words; its docstring
says what differs.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")

SLOW = 0.01
"""Seconds after which a call on the loop was too slow. A client has fewer others to keep waiting
than a server, and moves larger pieces."""

WARY = 200
"""Calls made in threads after one that was too slow for the loop; then the loop is tried again."""

_Done = Callable[[Any, BaseException | None], None]
_Job = tuple[Callable[[], Any], _Done]


class Disk:
    """A few threads that start when they are needed and end with :meth:`close`.

    Results reach the loop in batches: one wake-up for all results at hand.

    To read or write a piece of a file takes less time than to wake a thread, as long as the system
    has memory for it. So such a call is made on the loop, until one turns out to be slow.
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
        """Make a call on the loop; return its result and its error, or None: it needs a thread.

        :param work: a call that is quick as a rule, on regular files.
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
            if self._loop.time() - begin > SLOW:
                self._wary = WARY

    def submit(self, work: Callable[[], Any], done: _Done) -> None:
        """Make a call in a thread, then call ``done`` on the loop with its result and its error."""
        self._open += 1
        if self._open > self._threads and self._threads < self._room:
            self._threads += 1
            threading.Thread(target=self._work, name="nacre.disk", daemon=True).start()
        self._jobs.put((work, done))
        if self._closed:
            # A session that broke is tidied up after it was closed: a thread for this call alone.
            self.close()

    async def run_quick(self, work: Callable[[], T]) -> T:
        """Return the result of a call that is fit for :meth:`attempt`, made there if possible."""
        made = self.attempt(work)
        if made is None:
            return await self.run(work)
        result, error = made
        if error is not None:
            raise error
        return cast(T, result)

    async def run(self, work: Callable[[], T]) -> T:
        """Return the result of a call in a thread.

        If the caller is cancelled, it first waits for the call to end, so that it can undo it.
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
        """End the threads after the work that was submitted; more may be submitted later."""
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
            # The loop clears this before it takes results, so none is left behind.
            if not self._woken:
                self._woken = True
                try:
                    self._loop.call_soon_threadsafe(self._hand_over)
                except RuntimeError:  # the loop is closed: no task waits for the result
                    return
            del job, work, done, result, failure

    def _hand_over(self) -> None:
        self._woken = False
        while self._results:
            done, result, error = self._results.popleft()
            self._open -= 1
            done(result, error)
