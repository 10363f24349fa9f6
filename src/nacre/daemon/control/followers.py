"""Those who follow the log: each has a queue, and loses records when it does not read them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from nacre.daemon.control.values import Logged, Lost

MOST_WAITING = 1000
"""Records that wait for one reader."""


class Follower:
    """One who follows the log.

    :param users: the users whose records count; empty for all records. ``events`` likewise.
    """

    def __init__(self, users: tuple[str, ...] = (), events: tuple[str, ...] = ()) -> None:
        self._users = frozenset(users)
        self._events = frozenset(events)
        self._waiting: deque[Mapping[str, object]] = deque()
        self._lost = 0
        self._changed = asyncio.Event()

    def take(self, record: Mapping[str, object]) -> None:
        """Take a record, or count it as lost."""
        # Before the login, records have the name under which the client wants in.
        who = record.get("user", record.get("name"))
        if (self._users and who not in self._users) or (
            self._events and record.get("event") not in self._events
        ):
            return
        if len(self._waiting) < MOST_WAITING and not self._lost:
            self._waiting.append(record)
        else:
            self._lost += 1
        self._changed.set()

    def lose(self, lines: int) -> None:
        """Count records that were lost on their way here."""
        self._lost += lines
        self._changed.set()

    async def values(self) -> AsyncIterator[Logged | Lost]:
        """Yield the records as they come, and how many were lost behind them."""
        while True:
            while self._waiting:
                yield Logged(record=self._waiting.popleft())
            if self._lost:
                lines, self._lost = self._lost, 0
                yield Lost(lines=lines)
                continue
            self._changed.clear()
            await self._changed.wait()


class Followers:
    """All who follow the log of this process.

    :param changed: called when there is a first one, with True, and when there is none, with False.
    """

    def __init__(self, changed: Callable[[bool], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = changed
        self._all: set[Follower] = set()

    @property
    def any(self) -> bool:
        """Whether somebody follows."""
        return bool(self._all)

    @contextmanager
    def joined(self, follower: Follower) -> Iterator[Follower]:
        """Have somebody follow meanwhile."""
        self._all.add(follower)
        self._tell(len(self._all) == 1)
        try:
            yield follower
        finally:
            self._all.discard(follower)
            self._tell(not self._all)

    def _tell(self, changes: bool) -> None:
        if changes and self._changed is not None:
            self._changed(self.any)

    def take(self, record: Mapping[str, object]) -> None:
        """Take a record of the log; any thread may call this."""
        if self._all:
            self._loop.call_soon_threadsafe(self.give, stamped(record))

    def give(self, record: Mapping[str, object]) -> None:
        """Give a record that has its time to all."""
        for follower in self._all:
            follower.take(record)

    def lose(self, lines: int) -> None:
        """Tell all that records were lost on their way here."""
        for follower in self._all:
            follower.lose(lines)


def stamped(record: Mapping[str, object]) -> dict[str, object]:
    """Return a record with the time in front, as the log has it."""
    return {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **record}
