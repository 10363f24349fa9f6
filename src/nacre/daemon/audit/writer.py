"""Writes events to the table, in one thread: many of them in one transaction.

An event that somebody waits for is written at once, with all that came before it; the events that
come meanwhile are the next transaction. Those that nobody waits for do not wake the thread: they
are handed to it with the next that somebody waits for, or after a moment. When the table can't be
written, the receipts say so, no event is kept until it works again, and how many were not is an
event of its own then.

Processes of files tell the thread by sockets of their own (:mod:`nacre.daemon.audit.sources`), and
have their receipts from it: the loop has no part in that.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import NamedTuple

from nacre.daemon.audit.chain import Position
from nacre.daemon.audit.connections import ConnectionBound
from nacre.daemon.audit.durable import AGAIN, DurableTable
from nacre.daemon.audit.events import SYNCED, AuditEvent, AuditPlan, Teller, written
from nacre.daemon.audit.sources import EventSource, EventSources
from nacre.daemon.audit.table import now
from nacre.sftp.server.receipts import Receipt, settle_all
from nacre.wire.text import safe

_logger = logging.getLogger("nacre.server")

Report = Callable[[Mapping[str, object]], None]

MOST_WAITING = 65536
"""Events that wait to be written."""

TOGETHER = 1000
"""Events of a transaction."""

LATER = 0.02
"""Seconds that an event nobody waits for may wait for others."""

PATIENCE = 10.0
"""Seconds after which a disk that does not answer is a failure."""

PINNED = 600.0
"""Seconds between the lines of the log that have the end of the chain."""

_PATIENCE_AT_END = 5.0


class _WaitingEvent(NamedTuple):
    at: int
    since: float
    event: AuditEvent
    waits: bool
    teller: Receipt | EventSource


class AuditWriter:
    """Keeps the events of a server.

    :ivar problem: why no event can be kept now; or empty.
    :ivar behind: whether too many events wait.
    :ivar hashes: whether the contents of transfers are hashed.
    :ivar watchers: called with the problem when it changes.
    """

    def __init__(self, path: Path, report: Report, plan: AuditPlan) -> None:
        """Open the table and start the thread; call this on the loop.

        :raises StateError: the table can't be used.
        """
        self.hashes = plan.mode == "hashes"
        self.problem = ""
        self.watchers: set[Callable[[str], object]] = set()
        self._path = path
        self._report = report
        self._table = DurableTable(path, plan)
        self._sync_all = plan.sync
        self._connections = ConnectionBound(partial(self._add, waits=False))
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[list[_WaitingEvent] | None] = SimpleQueue()
        self._sources = EventSources()
        self._busy_since: float | None = None
        self._held: list[_WaitingEvent] = []
        self._handing: asyncio.TimerHandle | None = None
        self._outstanding: deque[_WaitingEvent] = deque()
        self._lost = 0
        self._pinned = float("-inf")
        self._check: asyncio.TimerHandle | None = None
        self._failed = ""
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()
        self._keep_own("start")

    @property
    def run(self) -> int:
        """The number of this server among those that have written the table."""
        return self._table.run

    @property
    def behind(self) -> bool:
        """Whether so many events wait that no further request should be taken."""
        return len(self._outstanding) > MOST_WAITING // 2

    def keep(self, event: AuditEvent, *, waits: bool) -> Receipt:
        """Have an event kept; call this on the loop.

        :param waits: somebody waits for the receipt.
        """
        if event.event == "connect" and not self._connections.take(event):
            receipt = Receipt()
            receipt.settle("")
            return receipt
        return self._add(event, waits=waits)

    def _add(self, event: AuditEvent, *, waits: bool) -> Receipt:
        receipt = Receipt()
        if self._failed or len(self._outstanding) >= MOST_WAITING:
            self._lost += 1
            behind = "the audit is behind: too many events wait for the disk"
            receipt.settle(self._failed or self.problem or behind)
            return receipt
        waiting = _WaitingEvent(now(), monotonic(), event, waits, receipt)
        self._outstanding.append(waiting)
        self._held.append(waiting)
        if waits or len(self._held) >= TOGETHER:
            self._hand()
        elif self._handing is None:
            self._handing = self._loop.call_later(LATER, self._hand)
        self._attend()
        return receipt

    async def open(self, teller: Teller, report: Callable[[str], object]) -> socket.socket:
        """Return a socket on which a process of files has its operations kept.

        :param report: called on the loop with the reason when the process says what it may not.
        :raises StateError: there are too many of them.
        """

        def later(reason: str) -> None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(report, reason)

        sock = self._sources.open(teller, later, self.problem)
        self._attend()
        return sock

    def _hand(self) -> None:
        """Give the thread what is held."""
        if self._handing is not None:
            self._handing.cancel()
            self._handing = None
        if self._held:
            held, self._held = self._held, []
            self._put(held)

    def _put(self, held: list[_WaitingEvent] | None) -> None:
        self._queue.put(held)
        self._sources.wake()

    def _keep_own(self, op: str, **more: object) -> None:
        fields = written({"op": op, **more})
        self.keep(AuditEvent("", "", "", "audit", "success", fields), waits=True)

    def close(self) -> None:
        """Write what waits, for some seconds at most, and end the thread."""
        if self._check is not None:
            self._check.cancel()
        self._connections.tell()
        self._keep_own("stop")
        self._put(None)
        self._thread.join(_PATIENCE_AT_END)
        hangs = self._thread.is_alive()
        if problem := "the disk does not answer" if hangs else self._failed:
            what = "the audit may lack its last events"
            self._report({"event": "error", "what": what, "error": problem})
        if not hangs:
            self._sources.close()

    # --- on the loop ---

    def _attend(self) -> None:
        """Look after the disk as long as somebody may wait for it."""
        if self._check is None and not self._failed:
            self._check = self._loop.call_later(PATIENCE, self._look)

    def _look(self) -> None:
        """Give up what has waited for too long: the disk hangs."""
        self._check = None
        if self._failed:
            return
        since = [self._outstanding[0].since] if self._outstanding else []
        if (busy := self._busy_since) is not None:
            since.append(busy)
        left = min(since, default=monotonic()) + PATIENCE - monotonic()
        if left > 0:
            if since or self._sources:
                self._check = self._loop.call_later(left, self._look)
            return
        self._change(f"the disk of {self._path} does not answer")
        settle_all(_receipts(self._outstanding), self.problem)
        self._put([])  # so that the thread tells when it goes on
        self._check = self._loop.call_later(AGAIN, self._look)

    def _on_written(
        self, batch: Sequence[_WaitingEvent], problem: str, head: Position | None
    ) -> None:
        for _ in batch:
            self._outstanding.popleft()
        self._change(problem)
        settle_all(_receipts(batch), problem)
        if head is not None and self._is_due:
            self._pinned = monotonic()
            self._report({"event": "audit", "head": str(head)})

    def _on_failed(self, error: Exception) -> None:
        """Give up all events, and those to come: a fault of this program has ended the thread."""
        what = "the thread of the audit has ended"
        _logger.error("%s", what, exc_info=error)
        self._report({"event": "error", "what": what, "error": safe(repr(error))})
        self._change(self._failed)
        self._sources.close()
        outstanding, self._outstanding = self._outstanding, deque()
        settle_all(_receipts(outstanding), self._failed)

    @property
    def _is_due(self) -> bool:
        """Whether the log should have the end of the chain."""
        return monotonic() - self._pinned >= PINNED

    def _change(self, problem: str) -> None:
        if bool(problem) != bool(self.problem):
            if problem:
                self._report({"event": "error", "what": "the audit fails", "error": problem})
            else:
                self._report({"event": "audit", "outcome": "works again"})
        if problem != self.problem:
            self.problem = problem
            self._sources.tell_state(problem)
            for watcher in list(self.watchers):
                watcher(problem)

    # --- in the thread ---

    def _run(self) -> None:
        try:
            with closing(self._table) as table:
                self._keep_all(table)
        except Exception as error:
            self._failed = f"its thread has ended: restart the server ({safe(repr(error))})"
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._on_failed, error)

    def _keep_all(self, table: DurableTable) -> None:
        going = True
        while going:
            batch, going, told = self._gather()
            self._busy_since = monotonic()
            if batch or table.problem:
                self._write(table, batch)
            if batch or told or table.problem != self.problem:
                self._tell(batch, always=told)
            self._busy_since = monotonic()
            if not table.sync_in_time():
                self._tell([], always=True)
            self._busy_since = None

    def _write(self, table: DurableTable, batch: Sequence[_WaitingEvent]) -> None:
        if table.problem:  # the event of its end tells of these, too
            lost, self._lost = self._lost, 0
            table.dropped += lost
        events = [(one.at, one.event) for one in batch]
        table.write(events, syncs=any(one.waits and self._syncs(one) for one in batch))

    def _syncs(self, waiting: _WaitingEvent) -> bool:
        return self._sync_all or waiting.event.event in SYNCED

    def _gather(self) -> tuple[list[_WaitingEvent], bool, bool]:
        """Return the events of the next transaction, whether more may come, and if the loop waits.

        What processes of files have told stands before what the loop hands over afterwards, such as
        the end of their connection.
        """
        batch: list[_WaitingEvent] = []
        until = self._table.patience
        while True:
            told = self._sources.take(until)
            own, going = self._handed()
            if own is not None or not going:
                told += self._sources.take(0.0)
                if not self._queue.empty():  # what was put since may have woken that call
                    self._sources.wake()
            at, since = now(), monotonic()
            batch += [_WaitingEvent(at, since, one.event, one.waits, one.source) for one in told]
            batch += own or []
            if not batch or own is not None or not going:
                return batch, going, own is not None
            left = batch[0].since + LATER - since
            if left <= 0 or len(batch) >= TOGETHER or any(one.waits for one in batch):
                return batch, True, False
            until = left

    def _handed(self) -> tuple[list[_WaitingEvent] | None, bool]:
        """Return what the loop has handed over, if anything, and whether more may come."""
        found: list[_WaitingEvent] | None = None
        with suppress(Empty):
            while found is None or len(found) < TOGETHER:
                some = self._queue.get_nowait()
                if some is None:
                    return found, False
                found = (found or []) + some
        return found, True

    def _tell(self, batch: Sequence[_WaitingEvent], *, always: bool) -> None:
        """Tell what has become of events; the loop only if it has to know."""
        table = self._table
        sources = Counter(one.teller for one in batch if isinstance(one.teller, EventSource))
        for source, count in sources.items():
            source.answer(count, table.problem)
        pins = table.synced is not None and self._is_due
        if always or pins or table.problem != self.problem:
            own = [one for one in batch if isinstance(one.teller, Receipt)]
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._on_written, own, table.problem, table.synced)


def _receipts(events: Iterable[_WaitingEvent]) -> list[Receipt]:
    return [one.teller for one in events if isinstance(one.teller, Receipt)]
