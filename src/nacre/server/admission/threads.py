"""Threads that the networks of clients share fairly: for key exchanges, and for lookups of names.

The users of a server share such threads as well, for what a user's files can hang.

Operations wanted: work for a connection, in a thread; tell whether a network has used up its time.

Goals:

- No network waits for all that another one has queued: those that wait take turns, one piece of
  work each, and a share of the threads is the most that one network has.
- A network's work may be bounded to a part of a processor. What is beyond it waits.
- Work that never returns costs its network a thread, and does not keep the process from ending.

Plan: a :class:`_Source` for each network has its queue, its turns and the seconds that it has used.
Those seconds fade at the rate at which they are granted. Measured is the processor's time of a
thread, so a busy machine costs nobody more. The threads are daemons, which those of the standard
library's executors are not: the end of a process waits for these.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic, thread_time
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

_MINUTE = 60.0

_PROCESSORS = max(2, os.cpu_count() or 1)

_SOURCES = 4096
"""Networks that are remembered; of more, those that worked longest ago are forgotten."""

_Outcome: TypeAlias = tuple[Any, Exception | None, float]
"""A result, or an error, and the seconds that it took."""


class _FairJob:
    """A piece of work, who waits for it, and what undoes a result for which nobody waits."""

    __slots__ = ("future", "undo", "work")

    def __init__(
        self, work: Callable[[], Any], future: asyncio.Future[Any], undo: Callable[[Any], object]
    ) -> None:
        self.work = work
        self.future = future
        self.undo = undo

    def conclude(self, result: Any, error: Exception | None) -> None:
        if self.future.done():
            if error is None:
                self.undo(result)
        elif error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


_Begun: TypeAlias = tuple[Callable[[], Any], Callable[[_Outcome], None]]
"""Work, and what is called with its outcome in the thread."""


def drop(result: object) -> None:
    """Let go of a result."""


class _Source:
    """One network.

    :ivar jobs: what it waits for.
    :ivar turns: how many turns it waits for, or has.
    :ivar used: the seconds that it had used at the time ``at``.
    :ivar budget: the seconds that it may use in a minute; 0 for any number.
    """

    __slots__ = ("at", "budget", "jobs", "turns", "used")

    def __init__(self) -> None:
        self.jobs: deque[_FairJob] = deque()
        self.turns = 0
        self.used = 0.0
        self.at = 0.0
        self.budget = 0.0

    def charge(self, seconds: float, now: float) -> None:
        self.used = max(0.0, self.used - (now - self.at) * self.budget / _MINUTE) + seconds
        self.at = now

    def overdrawn(self, now: float) -> float:
        """Return after how many seconds it is within its budget again; 0 if it is."""
        if not self.budget:
            return 0.0
        self.charge(0.0, now)
        return max(0.0, (self.used - self.budget) * _MINUTE / self.budget)


class FairThreads:
    """Works for the connections of one server; see the module.

    :param threads: how many there are; 0 for as many as there are processors, and at least two.
    :param share: how many of them may work for one network.
    """

    # _ready     networks whose turn comes next, in order.
    # _running   what threads work at now; _threads: how many have been started.
    # _work      what the threads take; None ends them all.

    def __init__(self, threads: int = 0, share: int = 1) -> None:
        self._most = threads or _PROCESSORS
        self._share = share
        self._threads = 0
        self._work: SimpleQueue[_Begun | None] = SimpleQueue()
        # Threads that wait for work do not keep this object.
        weakref.finalize(self, self._work.put, None)
        self._sources: dict[bytes, _Source] = {}
        self._ready: deque[_Source] = deque()
        self._running: set[_FairJob] = set()

    def overdrawn(self, network: bytes) -> float:
        """Return for how many seconds a network has to wait, as it has used up its time; or 0."""
        source = self._sources.get(network)
        return 0.0 if source is None else source.overdrawn(monotonic())

    async def run(
        self,
        network: bytes,
        work: Callable[[], T],
        budget: float = 0.0,
        undo: Callable[[T], object] = drop,
    ) -> T:
        """Call ``work`` in a thread when it is the network's turn; return or raise what it does.

        :param budget: seconds that all work of this network may take in a minute; 0 for no bound.
        :param undo: gets the result if this call was cancelled meanwhile.
        :raises RuntimeError: the system has no thread for it.
        """
        source = self._source(network)
        source.budget = budget
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = _FairJob(work, future, undo)
        source.jobs.append(job)
        if source.turns < self._share:
            source.turns += 1
            self._queue(source)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                undo(future.result())  # The work ended in the same turn of the loop.
            raise
        finally:
            if job in source.jobs:
                source.jobs.remove(job)

    def close(self) -> None:
        """Let the threads end with what they work at; its results are dropped."""
        self._running.clear()
        self._work.put(None)

    def _source(self, network: bytes) -> _Source:
        source = self._sources.pop(network, None) or _Source()
        if len(self._sources) >= _SOURCES:
            oldest = next((one for one, it in self._sources.items() if not it.turns), None)
            if oldest is not None:
                del self._sources[oldest]
        self._sources[network] = source
        return source

    def _queue(self, source: _Source) -> None:
        if seconds := source.overdrawn(monotonic()):
            asyncio.get_running_loop().call_later(seconds, self._take_turn, source)
        else:
            self._take_turn(source)

    def _take_turn(self, source: _Source) -> None:
        self._ready.append(source)
        self._start()

    def _start(self) -> None:
        while self._ready and len(self._running) < self._most:
            source = self._ready.popleft()
            while source.jobs and source.jobs[0].future.done():
                source.jobs.popleft()  # Its connection has ended.
            if not source.jobs:
                source.turns -= 1
                continue
            if not self._has_thread():
                if self._threads:
                    self._ready.appendleft(source)  # until one of them is free
                    return
                error = RuntimeError("the system has no more threads")
                source.jobs.popleft().future.set_exception(error)
                self._ready.append(source)
                continue
            self._begin(source, source.jobs.popleft())

    def _begin(self, source: _Source, job: _FairJob) -> None:
        loop = asyncio.get_running_loop()

        def done(outcome: _Outcome) -> None:
            loop.call_soon_threadsafe(self._done, source, job, outcome)

        self._running.add(job)
        self._work.put((job.work, done))

    def _has_thread(self) -> bool:
        """Tell whether a thread is free, or could be started."""
        if len(self._running) < self._threads:
            return True
        thread = threading.Thread(target=_serve, args=[self._work], name="fair", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._threads += 1
        return True

    def _done(self, source: _Source, job: _FairJob, outcome: _Outcome) -> None:
        self._running.discard(job)
        result, error, seconds = outcome
        source.charge(seconds, monotonic())
        job.conclude(result, error)
        if source.jobs:
            self._queue(source)
        else:
            source.turns -= 1
        self._start()


def _serve(work: SimpleQueue[_Begun | None]) -> None:
    """Work in a thread until None comes, which is left for the other threads."""
    while (begun := work.get()) is not None:
        call, done = begun
        with suppress(RuntimeError):  # the loop is closed
            done(_timed(call))
        del begun, call, done
    work.put(None)


def _timed(work: Callable[[], Any]) -> _Outcome:
    begin = thread_time()
    try:
        return work(), None, thread_time() - begin
    except Exception as error:
        return None, error, thread_time() - begin
