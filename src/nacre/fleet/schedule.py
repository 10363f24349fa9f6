"""The run: which host has its turn when, what is tried again, and when all of it ends.

The schedule knows no connection. An attempt is a function that it is given, so hosts are worked on
by this process or by others with the same plan and the same verdicts.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Protocol

from nacre.fleet.attempts import Attempting
from nacre.fleet.hosts import FleetHost
from nacre.fleet.plan import FleetPlan, StartRate
from nacre.fleet.verdicts import RUN, WAITING, Ending, FleetReport, FleetVerdict
from nacre.value import replace

INTERRUPTED = "the run was interrupted"
OUT_OF_TIME = "the time of the run was over"


class RunJournal(Protocol):
    """Keeps what a run has done, so that another one can go on."""

    async def begin(self, host: str) -> None:
        """Note that the task begins at a host, before it does."""

    async def end(self, verdict: FleetVerdict) -> None:
        """Note a host's verdict."""


class FleetWatcher(Protocol):
    """Is told how a run goes on."""

    def started(self, host: str) -> None:
        """An attempt at a host begins."""

    def ended(self, verdict: FleetVerdict) -> None:
        """A host has its verdict, with all that the report may not keep."""


class _Turn:
    """A host whose turn it is.

    :ivar begun: whether the task has begun there.
    """

    __slots__ = ("attempt", "begun", "since")

    def __init__(self, attempt: int, since: float) -> None:
        self.attempt = attempt
        self.since = since
        self.begun = False


class FleetSchedule:
    """One run.

    :param attempt: makes one attempt at a host.
    :param idempotent: whether a task that has begun may begin again.
    :ivar report: the verdicts so far.
    :ivar parallel: hosts that are worked on at a time.
    """

    def __init__(
        self,
        attempt: Attempting,
        plan: FleetPlan,
        *,
        idempotent: bool = False,
        journal: RunJournal | None = None,
        watcher: FleetWatcher | None = None,
    ) -> None:
        self.report = FleetReport()
        self.parallel = plan.parallel
        self._attempt = attempt
        self._plan = plan
        self._idempotent = idempotent
        self._journal = journal
        self._watcher = watcher
        self._rate = StartRate(plan.rate)
        self._until: float | None = None
        self._failures = 0
        self._turns: dict[str, _Turn] = {}
        self._retried: dict[str, FleetVerdict] = {}

    async def run(self, hosts: Sequence[FleetHost]) -> FleetReport:
        """Give each host its turn, and return the report, in which each host has a verdict.

        A run that is cancelled gives those that were begun the verdict ``unknown``, and the others
        ``skipped``, before it raises.
        """
        plan, deadline = self._plan, asyncio.timeout(self._plan.deadline)
        try:
            async with deadline:
                self._until = deadline.when()
                for batch, canaries in plan.batches(hosts):
                    if self.report.stopped:
                        break
                    await _Batch(self, batch).run()
                    if canaries and self._failures:
                        self._stop("a canary has not ended well")
        except TimeoutError:
            if not deadline.expired():
                raise
            await self._settle(hosts, OUT_OF_TIME)
        except asyncio.CancelledError:
            await self._settle(hosts, INTERRUPTED)
            raise
        else:
            await self._settle(hosts, self.report.stopped)
        return self.report

    def _stop(self, why: str) -> None:
        self.report.stopped = self.report.stopped or why

    async def attempt(self, host: FleetHost, number: int) -> float | None:
        """Try a host; return the seconds to its next attempt, or None: it has its verdict."""
        loop = asyncio.get_running_loop()
        if delay := self._rate.wait(loop.time()):
            await asyncio.sleep(delay)
            if self.report.stopped:
                return None
        turn = self._turns[host.name] = _Turn(number, loop.time())
        if self._watcher is not None:
            self._watcher.started(host.name)

        async def begin() -> None:
            # Before the disk has it: an interrupted run must not say less than its file.
            turn.begun = True
            if self._journal is not None:
                await self._journal.begin(host.name)

        found = await self._attempt(host, self._seconds(loop.time()), begin)
        seconds = round(loop.time() - turn.since, 3)
        verdict = replace(found, attempts=number, seconds=seconds)
        del self._turns[host.name]
        if number <= self._plan.retries and self._may_retry(verdict) and not self.report.stopped:
            self._retried[host.name] = self.report.bounded(verdict)
            return self._plan.pause(number) * (1 + random.random() / 4)
        await self._end(verdict)
        return None

    def _seconds(self, now: float) -> float | None:
        left = None if self._until is None else max(0.001, self._until - now)
        return min((one for one in (left, self._plan.timeout) if one is not None), default=None)

    def _may_retry(self, verdict: FleetVerdict) -> bool:
        if verdict.ending == "refused":
            return verdict.phase in ("connect", "version", "kex", RUN)
        if verdict.ending == "timeout":
            return verdict.phase != RUN or self._idempotent
        return verdict.ending == "unknown" and self._idempotent

    async def _end(self, verdict: FleetVerdict) -> None:
        if self._journal is not None:
            await self._journal.end(verdict)
        self._keep(verdict)

    def _keep(self, verdict: FleetVerdict) -> None:
        self.report.add(verdict)
        self._retried.pop(verdict.host, None)
        self._failures += not verdict.ok
        most = self._plan.max_failures
        if most is not None and self._failures > most:
            self._stop(f"{self._failures} hosts have not ended well")
        if self._watcher is not None:
            self._watcher.ended(verdict)

    async def _settle(self, hosts: Sequence[FleetHost], why: str) -> None:
        """Give a verdict to each host that has none."""
        if why in (INTERRUPTED, OUT_OF_TIME):
            self._stop(why)
        now = asyncio.get_running_loop().time()
        for host in hosts:
            if host.name in self.report.verdicts:
                continue
            verdict = self._unfinished(host.name, why, now)
            if self._journal is not None and verdict.ending != "skipped":
                await asyncio.shield(self._journal.end(verdict))
            self._keep(verdict)

    def _unfinished(self, host: str, why: str, now: float) -> FleetVerdict:
        turn, earlier = self._turns.pop(host, None), self._retried.get(host)
        if turn is None or (not turn.begun and earlier is not None):
            return earlier or FleetVerdict(host, "skipped", WAITING, reason=why)
        ending: Ending = "timeout" if why == OUT_OF_TIME else "unknown" if turn.begun else "skipped"
        phase = RUN if turn.begun else WAITING
        seconds = round(now - turn.since, 3)
        return FleetVerdict(host, ending, phase, reason=why, attempts=turn.attempt, seconds=seconds)


class _Batch:
    """The hosts of a part of the run, and the tasks that take them from a queue."""

    def __init__(self, schedule: FleetSchedule, hosts: Sequence[FleetHost]) -> None:
        self._schedule = schedule
        self._left = len(hosts)
        self._queue: asyncio.Queue[tuple[FleetHost, int]] = asyncio.Queue()
        self._done = asyncio.Event()
        self._timers: set[asyncio.TimerHandle] = set()
        self._working = 0
        self._error: Exception | None = None
        for host in hosts:
            self._queue.put_nowait((host, 1))

    async def run(self) -> None:
        """Return when each host has its verdict, or the run is stopped and none is worked on."""
        count = min(self._schedule.parallel, self._left)
        lanes = [asyncio.create_task(self._lane()) for _ in range(count)]
        try:
            await self._done.wait()
        finally:
            for timer in self._timers:
                timer.cancel()
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
        if self._error is not None:
            raise self._error

    async def _lane(self) -> None:
        try:
            while True:
                host, number = await self._queue.get()
                if not self._schedule.report.stopped:
                    await self._work(host, number)
        except Exception as error:
            self._error = error
            self._done.set()

    async def _work(self, host: FleetHost, number: int) -> None:
        self._working += 1
        try:
            pause = await self._schedule.attempt(host, number)
        finally:
            self._working -= 1
        if pause is None:
            self._left -= 1
        else:
            self._later(pause, host, number + 1)
        if not self._left or (self._schedule.report.stopped and not self._working):
            self._done.set()

    def _later(self, pause: float, host: FleetHost, number: int) -> None:
        def put() -> None:
            self._timers.discard(timer)
            self._queue.put_nowait((host, number))

        timer = asyncio.get_running_loop().call_later(pause, put)
        self._timers.add(timer)
