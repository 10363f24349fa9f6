"""An event loop in a thread of its own, for callers that do not run one.

``nacre.blocking`` has one for the process; a program whose main thread reads a terminal has one
of its own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from nacre.aio.busy_poll import BusyPoll

T = TypeVar("T")

_SHORT = 0.1
"""Seconds after which a second interrupt is noticed at the latest."""

_GRACE = 5.0
"""Seconds that a cancelled call has to end, and the loop's thread after :meth:`Background.stop`."""


class Background:
    """An event loop in a daemon thread: started by the first call, ended by :meth:`stop`.

    :ivar ended: whether :meth:`end` was called: the program ends.

    Threads may share it. Ctrl-C reaches the main thread, which may be in :meth:`call`: that call is
    cancelled, and the loop runs on for the next one::

        loop = Background("nacre.sftp", busy_poll=True)
        try:
            loop.call(lambda: sftp.get("large"))
        except KeyboardInterrupt:
            ...  # The transfer has ended; the session can be used.
        finally:
            loop.stop()
    """

    def __init__(self, name: str = "nacre.blocking", *, busy_poll: bool = False) -> None:
        """Start nothing yet.

        :param name: the thread's name.
        :param busy_poll: whether the loop may stay awake between messages. That helps calls that
            exchange many messages; it delays callers that exchange few, as they need the GIL.
        """
        self._name = name
        self._busy_poll = busy_poll
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.ended = False

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Call ``work`` in the loop, await its result, and return or raise what that does.

        An exception in the calling thread (KeyboardInterrupt on Ctrl-C) cancels the work. It is
        raised when the work has ended, after 5 seconds at the latest; a second one at once.

        :raises RuntimeError: the caller is in the loop's thread, and would wait for itself; or
            the program has ended.
        :raises SystemExit: the program ends, and the caller is a daemon thread. It ends the thread
            without a message.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("the blocking API can't be used in its own loop's thread")
        self._check_ended()

        async def awaited() -> T:
            return await work()

        coroutine, loop = awaited(), self._running()
        future: concurrent.futures.Future[T] | None = None
        try:
            # An interrupt may come at once, when the work runs and its future has no name yet.
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
            return future.result()
        except BaseException:
            if future is None or not future.done():
                ending = asyncio.run_coroutine_threadsafe(_cancel(coroutine), loop)
                # Not without a bound: a loop that was stopped meanwhile does not answer. In short
                # waits: Python may miss a signal that comes just before a wait begins.
                for _ in range(int(_GRACE / _SHORT)):
                    if concurrent.futures.wait([ending], _SHORT).done:
                        break
            self._check_ended()
            raise

    def _check_ended(self) -> None:
        if not self.ended:
            return
        if threading.current_thread().daemon:
            raise SystemExit
        raise RuntimeError("the program has ended: close files and connections before its end")

    def call_soon(self, work: Callable[[], object]) -> None:
        """Let the loop call ``work``, without waiting; nothing happens if no loop runs."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(work)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                started = threading.Event()
                self._thread = threading.Thread(
                    target=self._main, args=(started,), name=self._name, daemon=True
                )
                self._thread.start()
                started.wait()
                assert self._loop is not None
            return self._loop

    def _main(self, started: threading.Event) -> None:
        # Handlers of signals run in the main thread, which does not wake up if another thread gets
        # the signal. The system prefers the main thread, except for SIGCONT.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCONT])
        # Not asyncio.Runner: it starts a thread that waits for the executor's threads, and at the
        # end of a program no thread can be started any more.
        self._loop = loop = asyncio.new_event_loop()
        try:
            if not self._busy_poll:
                BusyPoll.forbid(loop)
            loop.call_soon(started.set)
            loop.run_forever()
            loop.run_until_complete(_cancel_all())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def stop(self) -> None:
        """End the loop and cancel what still runs in it. The next call starts another loop."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_GRACE)

    def end(self) -> None:
        """End the loop for good, at the end of the program: no call starts another one."""
        self.ended = True
        self.stop()

    def forget(self) -> None:
        """Drop the loop without ending it: after a fork, the child has no such thread."""
        self._lock = threading.Lock()
        self._loop = self._thread = None


async def _cancel(coroutine: Coroutine[Any, Any, object]) -> None:
    """Cancel the task that runs ``coroutine``, and return when it has ended."""
    tasks = [task for task in asyncio.all_tasks() if task.get_coro() is coroutine]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def _cancel_all() -> None:
    """Cancel all other tasks, and return when they have ended."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
