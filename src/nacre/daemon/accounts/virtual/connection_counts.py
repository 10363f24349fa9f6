"""How many connections each user has: ``max_sessions`` of users and groups.

A connection is counted from the login to its end. The processes of a server with workers share
memory, and so do a server that is restarted and the one that follows it. Each process writes its
own part only, so the count of one that was killed is set to 0 with its part, and no connection is
counted that nobody has.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from tempfile import TemporaryFile

_SIZE = 8
_PLACES = 65536
"""Places of each process, of which the first is unused. Connections beyond that many are counted by
their own process alone."""

_PART = _PLACES * _SIZE
"""Bytes of a part."""

_TRIES = 1000
"""Attempts to get the lock, which is held for less than a millisecond."""

Parts = Sequence[tuple[int, int]]
"""Groups of parts: the first of each group, and how many there are."""


class ConnectionCounts:
    """Counts the connections of users, for one process or for several.

    The processes are forked after this was made. Looking and counting is one step, under a lock
    that the system takes back from a process that dies.

    :param processes: how many processes there will be.
    :param inherited: the descriptor of the memory of a server that this one follows.
    :param used: the parts of it that are others'.
    """

    def __init__(self, processes: int = 1, inherited: int | None = None, used: Parts = ()) -> None:
        self._counted: Counter[str] = Counter()
        # A lock of the memory is a process's, and not of the descriptor, which all of them have.
        self._memory = _new_memory() if inherited is None else inherited
        self._used = tuple(used)
        self._start, self._many = _gap(processes, used), processes
        needed = (self._start + processes) * _PART
        if os.fstat(self._memory).st_size < needed:
            os.ftruncate(self._memory, needed)
        self._parts: list[memoryview] = []
        self._map()
        for number in range(processes):
            self.forget(number)
        self._own = self._start
        # Places that were left, and the first of those that nobody had so far.
        self._free: list[int] = []
        self._next = 1

    def _map(self) -> None:
        """Map the parts of all processes: a server that follows this one adds its own."""
        size = os.fstat(self._memory).st_size
        if size == len(self._parts) * _PART:
            return
        numbers = memoryview(mmap.mmap(self._memory, size)).cast("Q")
        count = size // _PART
        self._parts = [numbers[n * _PLACES : (n + 1) * _PLACES] for n in range(count)]

    @property
    def descriptor(self) -> int:
        """The descriptor of the memory, for a server that follows this one."""
        return self._memory

    @property
    def used(self) -> Parts:
        """The parts that are this server's, and those of the servers that it follows."""
        return (*self._used, (self._start, self._many))

    def forget_others(self) -> None:
        """Set the parts of the servers that this one follows to 0: they have ended."""
        for start, count in self._used:
            for number in range(start, start + count):
                _clear(self._parts[number])
        self._used = ()

    def be(self, number: int) -> None:
        """Use part ``number`` in this process, and set it to 0."""
        self._own = self._start + number
        self._counted.clear()
        self._free, self._next = [], 1
        self.forget(number)

    def forget(self, number: int) -> None:
        """Set the part of a process that has ended to 0."""
        _clear(self._parts[self._start + number])

    def enter(self, user: str, most: int | None) -> int | None:
        """Count one more connection of a user, unless that is more than ``most``.

        :param most: the most that the user may have at once; None for any number.
        :returns: what :meth:`leave` takes; None where the user has as many as may be.
        """
        with self._alone():
            # Without the lock two may each miss the other: then both are counted before they look.
            place = self._count(user)
            if most is not None and self._held(user) > most:
                self.leave(user, place)
                return None
            return place

    def leave(self, user: str, place: int) -> None:
        """Count one fewer.

        :param place: what :meth:`enter` returned.
        """
        self._counted[user] -= 1
        if not self._counted[user]:
            del self._counted[user]
        if place:
            self._parts[self._own][place] = 0
            heappush(self._free, place)

    def _count(self, user: str) -> int:
        self._counted[user] += 1
        part = self._parts[self._own]
        if self._free:
            place = heappop(self._free)
        elif self._next < _PLACES:
            place, self._next = self._next, self._next + 1
        else:
            return 0
        part[place] = _hash(user)
        # The first number tells up to which place others look.
        part[0] = max(part[0], place)
        return place

    def _held(self, user: str) -> int:
        """Return how many connections of a user are counted, in all processes."""
        self._map()
        found, wanted = self._counted[user], _hash(user)
        for number, part in enumerate(self._parts):
            if number != self._own:
                found += part[1 : part[0] + 1].tolist().count(wanted)
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from counting meanwhile, unless one of them was stopped in it."""
        locked = any(self._locks() for _ in range(_TRIES))
        try:
            yield
        finally:
            if locked:
                fcntl.lockf(self._memory, fcntl.LOCK_UN)

    def _locks(self) -> bool:
        try:
            fcntl.lockf(self._memory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.sched_yield()
            return False
        return True


def _new_memory() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("nacre-counts")
    with TemporaryFile() as file:
        return os.dup(file.fileno())


def _clear(part: memoryview) -> None:
    part[: part[0] + 1] = memoryview(bytes((part[0] + 1) * _SIZE)).cast("Q")


def _gap(count: int, used: Parts) -> int:
    """Return the first of so many parts in a row that nobody has."""
    ends = sorted((start + many) for start, many in used)
    return next(
        start
        for start in (0, *ends)
        if all(start + count <= first or start >= first + many for first, many in used)
    )


def _hash(user: str) -> int:
    # That of Python differs between processes that are not forked from one.
    data = user.encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(data, digest_size=_SIZE).digest()) or 1
