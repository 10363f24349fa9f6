"""Hears of changes of the database on a connection of its own, in a thread."""

from __future__ import annotations

import os
import select
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg

from nacre.daemon.store.postgres.changes import ALL, CHANNEL

if TYPE_CHECKING:
    from nacre.daemon.store.postgres.store_url import StoreURL

EVERY = 0.3
"""Seconds between two questions on the connection that are there to know that it lives."""

TRUSTED = 1.0
"""Seconds after the last answer for which nothing that was told is nothing that has changed."""

_PAUSE = 0.5
"""Seconds from a connection that was lost to the next one."""


class ChangeListener:
    """Calls ``changed`` with each notification, and with ``all`` when some may have been missed.

    The thread ends with :meth:`close`.
    """

    def __init__(self, url: StoreURL, changed: Callable[[str], None]) -> None:
        self._url = url
        self._changed = changed
        self._heard = float("-inf")
        self._over, self._end = os.pipe()
        self._closed = False
        self._reported = ""
        self._thread = threading.Thread(target=self._run, name="store-changes", daemon=True)
        self._thread.start()

    def is_up(self) -> bool:
        """Tell whether every change that is older than :data:`TRUSTED` seconds was told."""
        return time.monotonic() - self._heard < TRUSTED

    def close(self) -> None:
        """End the thread, or leave it to end when the server answers."""
        if self._closed:
            return
        self._closed = True
        os.close(self._end)
        self._thread.join(1.0)

    def _run(self) -> None:
        try:
            while not self._ends(0):
                try:
                    self._listen()
                except (psycopg.Error, OSError):
                    pass  # the database is gone a while
                except Exception as error:
                    self._report(error)
                self._ends(_PAUSE)
        finally:
            os.close(self._over)

    def _ends(self, seconds: float, *also: int) -> bool:
        """Wait until one of ``also`` can be read; tell whether the listener was closed."""
        poll = select.poll()  # not select(), which takes no descriptor beyond 1023
        for descriptor in (self._over, *also):
            poll.register(descriptor, select.POLLIN)
        return self._over in (descriptor for descriptor, _ in poll.poll(seconds * 1000))

    def _report(self, error: Exception) -> None:
        """Report what nobody has foreseen, once as long as it is the same."""
        what = f"{type(error)} {error}"
        if what != self._reported:
            self._reported = what
            traceback.print_exception(error)

    def _listen(self) -> None:
        with self._url.connect(autocommit=True) as connection:
            connection.add_notify_handler(self._on_notify)
            connection.execute(f"LISTEN {CHANNEL}")
            self._changed(ALL)  # what was told while nobody listened
            while True:
                # The answer comes behind what was told before: nothing older is missing then.
                asked = time.monotonic()
                connection.execute("SELECT 1")
                self._heard = asked
                if self._ends(EVERY, connection.fileno()):
                    return

    def _on_notify(self, notification: Any) -> None:
        self._changed(notification.payload)
