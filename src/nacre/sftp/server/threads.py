"""A few threads for the blocking calls of one session: it waits for no other session's storage.

:class:`nacre.sftp.client.disk.Disk` is the same idea at the client, with the same words: a quick
call is tried on the loop (``attempt``), others go to threads (``submit``, ``run``), and after a
call that was slow the loop is avoided for a while (:data:`SLOW`, :data:`WARY`). They are two
classes because a server's threads make short calls for a peer that waits: the loop may wait for a
thread (:data:`PATIENCE`), each result is reported at once, threads end with the peer's pauses
(:data:`IDLE`), and a session that ends leaves a hanging call behind. A client's calls move large
pieces of files: results come in batches, and a cancelled call is waited for, so that its caller can
undo it.
"""

from __future__ import annotations

import asyncio
import errno
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
"""Seconds the loop waits for a thread that makes a quick call.

To be woken through a selector costs more than most calls. A storage that hangs can't make the wait
longer.
"""

SLOW = 0.005
"""Seconds after which a call on the loop was too slow.

Less than a disk with moving parts needs for one access, and more than any call served from memory.
"""

HURRIED = 100
"""Calls the loop does not wait for after one that took longer than :data:`PATIENCE`."""

WARY = 100
"""Calls made in threads after one that was too slow for the loop; then the loop is tried again."""


class Threads:
    """At most ``most`` threads. They start when there is work, and end after a time without any.

    They are daemon threads: a storage that hangs does not keep the process from ending.

    :ivar prompt: calls of this storage are quick as a rule: the loop may :meth:`attempt` them.
    :ivar wary: calls to be made in threads before the loop may attempt one again.
    """

    def __init__(self, most: int, *, prompt: bool = False) -> None:
        self.prompt = prompt
        self.wary = 0
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = 0
        self._jobs = 0
        self._hurried = 0
        self._timer: asyncio.TimerHandle | None = None

    def attempt(
        self, work: Callable[..., T], *arguments: Any
    ) -> tuple[T | None, Exception | None] | None:
        """Make a call on the loop; return its result and its error, or None: it needs a thread.

        For storages that are ``prompt``, while ``wary`` is 0. A call needs a thread if it raises
        BlockingIOError: it would have had to wait.
        """
        before = monotonic()
        try:
            return work(*arguments), None
        except BlockingIOError:
            self.wary = WARY
            return None
        except Exception as error:
            return None, error
        finally:
            if monotonic() - before > SLOW:
                self.wary = WARY

    def submit(
        self,
        work: Callable[[], T],
        done: Callable[[T | None, Exception | None], None],
        *,
        quick: bool = False,
    ) -> None:
        """Make a call in a thread, then call ``done`` on the loop with its result and its error.

        To be called on the loop. Where the system has no thread for it, the error is an OSError.

        :param quick: it is a quick one as a rule; ``done`` may be called before this returns.
        """
        job = _Job(self, work, done)
        self._jobs += 1
        self.wary = max(0, self.wary - 1)
        self._queue.put(job)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._jobs > self._threads and self._threads < self._most:
            thread = threading.Thread(target=_work, args=(self._queue,), name="files", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                if not self._threads:
                    self._queue = SimpleQueue()  # no thread takes the job out of the other one
                    job.error = OSError(errno.EAGAIN, str(error))
                    self._loop.call_soon(self.finish, job)
                    return
            else:
                self._threads += 1
        if self._hurried:
            self._hurried -= 1
        elif quick and self._jobs <= self._threads:
            if job.finished.acquire(timeout=PATIENCE) or not job.leave():
                self.finish(job)
                return
            self._hurried = HURRIED
            return
        if not job.leave():
            self.finish(job)

    async def run(self, work: Callable[[], T], *, last: bool = False) -> T:
        """Return the result of a call in a thread; if the caller is cancelled, it goes on there.

        :param last: make the call on the loop where the system has no thread for it.
        :raises OSError: there is no thread, or the call raised it.
        """
        begun = False

        def call() -> T:
            nonlocal begun
            begun = True
            return work()

        future: asyncio.Future[T] = self._loop.create_future()

        def done(result: T | None, error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)  # type: ignore[arg-type]
            else:
                future.set_exception(error)

        self.submit(call, done)
        try:
            return await future
        except OSError:
            if begun or not last:
                raise
            return work()

    def close(self) -> None:
        """End the threads after the work that was submitted; more may be submitted later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _ in range(self._threads):
            self._queue.put(None)
        self._threads = 0

    # --- for jobs ---

    def report(self, job: _Job) -> None:
        """Have the loop finish a job; called by the job's thread."""
        with suppress(RuntimeError):  # the loop is closed: no task waits for the result
            self._loop.call_soon_threadsafe(self.finish, job)

    def finish(self, job: _Job) -> None:
        """Hand over the result of a job."""
        self._jobs -= 1
        job.done(job.result, job.error)
        if not self._jobs and self._timer is None:
            self._timer = self._loop.call_later(IDLE, self.close)


class _Job:
    """A call for a thread, and its result.

    The job has one token. The loop takes it when it stops waiting, the thread when it is done. The
    first to take it decides how the loop learns of the end: if the thread was first, the loop still
    waits and finds the lock ``finished`` open; if the loop was first, the thread reports to it.

    :ivar finished: can be acquired when the call is done and the loop waits.
    """

    __slots__ = ("_threads", "_token", "_work", "done", "error", "finished", "result")

    def __init__(
        self, threads: Threads, work: Callable[[], Any], done: Callable[[Any, Any], None]
    ) -> None:
        self.done = done
        self.result: Any = None
        self.error: Exception | None = None
        self.finished = threading.Lock()
        self.finished.acquire()
        self._threads = threads
        self._token = [True]  # list.pop is atomic: one of two threads gets it
        self._work = work

    def leave(self) -> bool:
        """Stop waiting; return whether the thread will report the end."""
        try:
            self._token.pop()
        except IndexError:
            return False
        return True

    def run(self) -> None:
        """Make the call; in a thread."""
        try:
            self.result = self._work()
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
        del job  # what it refers to must not live until the next one comes
