"""The log of connections that are refused at once: a flood of them must not flood the log."""

from __future__ import annotations

import asyncio

from nacre.server.peer import ServerConnection

QUIET = 1.0
"""Seconds after a line in which further refusals are only counted."""


class Refusals:
    """Logs the first refused connection, and then a count of those of each second."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._counted = 0
        self._last: tuple[ServerConnection, str] | None = None

    def note(self, connection: ServerConnection, reason: str) -> None:
        """Log that a connection was refused, or count it."""
        if self._timer is None:
            connection.record("dropped", reason=reason)
            self._timer = connection.loop.call_later(QUIET, self._on_quiet)
        else:
            self._counted += 1
            self._last = connection, reason

    def _on_quiet(self) -> None:
        self._timer = None
        if self._last is not None:
            (connection, reason), count = self._last, self._counted
            self._last, self._counted = None, 0
            connection.record("dropped", reason=reason, connections=count)
            self._timer = connection.loop.call_later(QUIET, self._on_quiet)

    def close(self) -> None:
        """Log what was counted, and stop."""
        if self._timer is not None:
            self._timer.cancel()
            self._on_quiet()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
