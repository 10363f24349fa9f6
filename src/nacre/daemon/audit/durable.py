"""The table as the thread of the audit writes it: tried again after failures, and made durable.

What was written outlasts all processes. The disk is waited for where what follows can't be undone
by a loss of power, as a change of a file can: before a login is served and a command is run. What
was done to files it has to confirm soon afterwards, and many events together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic

from nacre.daemon.audit.chain import Position
from nacre.daemon.audit.events import NO_AUDIT, AuditEvent, AuditPlan, written
from nacre.daemon.audit.table import AuditTable, Timed, now
from nacre.errors import StateError
from nacre.wire.text import safe

AGAIN = 1.0
"""Seconds after which a table that could not be written is tried again."""

SYNC_AFTER = 0.1
"""Seconds between two times that the disk has to confirm what nobody waits for it with."""


class DurableTable:
    """The file of the audit, for one thread.

    :ivar run: the number of this server among those that have written the table.
    :ivar problem: why nothing can be written now; or empty.
    :ivar dropped: how many events were not kept since that began.
    :ivar synced: the end of the chain that the disk has confirmed; None before.
    """

    def __init__(self, path: Path, plan: AuditPlan = NO_AUDIT) -> None:
        """Open the file, and make it if there is none.

        :param plan: says when connections are events.
        :raises StateError: it can't be used.
        """
        self.problem = ""
        self.dropped = 0
        self.synced: Position | None = None
        self._path = path
        self._plan = plan
        self._wanted, self._asked_at = False, float("-inf")
        self._table: AuditTable | None = AuditTable(path, create=True)
        self.run = self._table.begin_run()
        self._tried = 0.0
        self._unsynced: Position | None = None
        self._synced_at = 0.0

    @property
    def patience(self) -> float | None:
        """How many seconds the thread may wait for events; None for any time."""
        if self.problem:
            return AGAIN
        if self._unsynced:
            return max(0.0, self._synced_at + SYNC_AFTER - monotonic())
        return None

    def write(self, events: Sequence[Timed], *, syncs: bool) -> None:
        """Write events, and note in ``problem`` why they can't be written.

        :param syncs: wait until the disk has confirmed them.
        """
        events = self._without_unwanted(events)
        if self.problem and monotonic() - self._tried < AGAIN:
            self.dropped += len(events)
            return
        if not events and not self.problem:
            return
        count = len(events)
        if self.problem:
            syncs = True  # that may be what has failed
            fields = {"op": "resume", "lost": self.dropped, "reason": safe(self.problem)}
            own = AuditEvent("", "", "", "audit", "success", written(fields))
            events = [(now(), own), *events]
        self._tried = monotonic()
        if not self._try(partial(self._add, events)):
            self.dropped += count
            return
        self.problem, self.dropped = "", 0
        if syncs:
            self._try(self._sync)

    def _without_unwanted(self, events: Sequence[Timed]) -> Sequence[Timed]:
        """Leave connections out, unless the operator wants them in the table, or a hook does."""
        if self._plan.connections or all(one.event != "connect" for _, one in events):
            return events
        if self._plan.hooks and monotonic() - self._asked_at >= AGAIN and self._table is not None:
            self._asked_at = monotonic()
            with suppress(StateError):  # what comes next tells that the table can't be used
                self._wanted = self._table.is_wanted("connect")
        if self._wanted:
            return events
        return [(at, one) for at, one in events if one.event != "connect"]

    def sync_in_time(self) -> bool:
        """Have the disk confirm what it has not, if the last time is long enough ago.

        :returns: False if it fails.
        """
        if self._unsynced and monotonic() - self._synced_at >= SYNC_AFTER:
            return self._try(self._sync)
        return True

    def close(self) -> None:
        """Close the file."""
        table, self._table = self._table, None
        if table is not None:
            table.close()

    def _add(self, events: Sequence[Timed]) -> None:
        if self._table is None:
            self._table = AuditTable(self._path, create=False)
        self._unsynced = self._table.add(events)

    def _sync(self) -> None:
        assert self._table is not None, "it has what is not confirmed"
        self._table.sync()
        self.synced, self._unsynced, self._synced_at = self._unsynced, None, monotonic()

    def _try(self, work: Callable[[], object]) -> bool:
        """Use the file; tell whether it works."""
        try:
            work()
        except Exception as error:
            self.problem, self._unsynced = _reason(error), None
            # It is opened again at the next attempt: it may have been replaced.
            with suppress(Exception):
                self.close()
            return False
        return True


def _reason(error: Exception) -> str:
    return safe(str(error) if isinstance(error, StateError) else repr(error))
