"""The log of connections that are refused: a flood of them must not flood the log."""

from __future__ import annotations

import asyncio

from nacre.server.peer import Client

QUIET = 1.0
"""Seconds after a line in which further refusals are only counted."""


class Refusals:
    """Logs the first refused connection, and then a count of those of each second.

    :param event: of the records.
    :param counted: the field for the count: what is refused.
    """

    def __init__(self, event: str, counted: str) -> None:
        self._event = event
        self._counted_as = counted
        self._timer: asyncio.TimerHandle | None = None
        self._counted = 0
        self._last: tuple[Client, dict[str, object]] | None = None

    def note(self, connection: Client, **fields: object) -> None:
        """Log that a connection was refused, or count it.

        :param fields: of the record; a count has those of the last one that was counted.
        """
        if self._timer is None:
            connection.record(self._event, **fields)
            self._timer = asyncio.get_running_loop().call_later(QUIET, self._on_quiet)
        else:
            self._counted += 1
            self._last = connection, fields

    def _on_quiet(self) -> None:
        self._timer = None
        if self._last is not None:
            (connection, fields), count = self._last, self._counted
            self._last, self._counted = None, 0
            connection.record(self._event, **fields, **{self._counted_as: count})
            self._timer = asyncio.get_running_loop().call_later(QUIET, self._on_quiet)

    def close(self) -> None:
        """Log what was counted, and stop."""
        if self._timer is not None:
            self._timer.cancel()
            self._on_quiet()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
