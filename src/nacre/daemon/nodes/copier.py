"""Copies the events of a server's audit to the database of all nodes, in one thread.

The table of the audit is what counts: an event that somebody waits for is there, and is copied a
moment later. While the database gives no answer events are not copied, and later all are.
"""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy import select

from nacre.daemon.audit.chain import Kept
from nacre.daemon.audit.table import EVENTS, AuditTable
from nacre.daemon.nodes.events import last_event, put_events
from nacre.daemon.nodes.tables import DatabaseConnection, reason_of
from nacre.daemon.nodes.values import NodeIdentity
from nacre.errors import StateError
from nacre.server.peer import Log
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.store.postgres.store_url import StoreURL

EVERY = 0.5
"""Seconds between two looks at the table, when it had nothing more."""

_TOGETHER = 500
"""Events of a transaction: each has at most 64 KiB."""

_PAUSE = 1.0
"""Seconds from an attempt that fails to the next one."""

_LAST = 3.0
"""Seconds at the end of the server to copy its last events."""


class AuditCopier:
    """Copies events from the end of the last copy on.

    :param path: the file of the audit.
    """

    def __init__(self, path: Path, url: StoreURL, node: NodeIdentity) -> None:
        self._path = path
        self._url = url
        self._node = node
        self._over = threading.Event()
        self._failed = False
        self._thread: threading.Thread | None = None

    def begin(self, report: Log) -> None:
        """Copy from now on; the audit is open. Call this on the loop."""
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="audit-copies", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Copy the last events, for some seconds at most; the audit is closed."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(_LAST)

    # --- in the thread ---

    def _run(self) -> None:
        ends = False
        while not ends:
            ends = self._over.is_set()
            try:
                with closing(AuditTable(self._path, create=False)) as table:
                    with self._url.connect(autocommit=True) as connection:
                        self._copy(table, connection)
                    return
            except Exception as error:  # whatever it is, the thread goes on
                if not self._failed:
                    with suppress(RuntimeError):  # the loop is closed
                        self._loop.call_soon_threadsafe(self._tell, reason_of(error))
                    if not isinstance(error, psycopg.Error | StateError | OSError):
                        traceback.print_exception(error)
                self._failed = True
                self._over.wait(_PAUSE)

    def _copy(self, table: AuditTable, connection: DatabaseConnection) -> None:
        """Copy all events until the server ends."""
        position, ends = self._position(table, connection), False
        while not ends:
            ends = self._over.is_set()  # what was kept before is copied
            while events := _next(table, position):
                put_events(connection, self._node.name, events)
                position = events[-1].id
            self._failed = False
            self._over.wait(EVERY)

    def _position(self, table: AuditTable, connection: DatabaseConnection) -> int:
        """Return the number of the last event that was copied, or 0 to copy all once more.

        The audit may be another file now, whose numbers begin again.
        """
        last = last_event(connection, self._node.name)
        if last is None:
            return 0
        chosen = select(EVENTS).where(EVENTS.c.id == last.id, EVENTS.c.hash == last.hash)
        return last.id if any(table.read(chosen)) else 0

    def _tell(self, error: str) -> None:
        what = "the events of the audit are not copied to the store"
        self._report({"event": "error", "what": what, "error": safe(error)})


def _next(table: AuditTable, position: int) -> Sequence[Kept]:
    chosen = select(EVENTS).where(EVENTS.c.id > position).order_by(EVENTS.c.id).limit(_TOGETHER)
    return list(table.read(chosen))
