"""How many connections may be logging in at once: MaxStartups of sshd_config(5).

Whom a source keeps out with its connections is itself alone: where one more connection would be
dropped, but its source has at least two fewer than another one, the oldest of the source that has
most gives its place up.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import time
from collections import Counter
from dataclasses import dataclass
from heapq import heappop, heappush

from nacre.errors import ConfigurationError
from nacre.server.admission.sources import Penalties, penalties_size

_SIZE = 8
_PLACES = 4096
"""Places in shared memory for each process, of which the first is unused. Connections beyond that
many are counted together with all others, but not for their network and their source."""

_NUMBERS = 2 + 4 * _PLACES


@dataclass(frozen=True, slots=True)
class MaxStartups:
    """``start:rate:full``: random early drop of connections that are not logged in.

    Below ``start`` every connection is accepted. From ``start`` on, ``rate`` percent are dropped,
    rising linearly to all of them at ``full``. So a flood leaves other users a chance. A connection
    that would be dropped may take the place of another one: see :meth:`Startups.displace`.
    """

    start: int
    rate: int
    full: int

    @classmethod
    def parse(cls, text: str) -> MaxStartups:
        """Parse ``10:30:100``, or a plain number for a hard limit.

        :raises ConfigurationError: it is neither, or a number is out of range.
        """
        words = text.split(":")
        if all(word.isascii() and word.isdigit() for word in words):
            numbers = [int(word) for word in words]
            if len(numbers) == 1 and numbers[0] >= 1:
                return cls(numbers[0], 100, numbers[0])
            if len(numbers) == 3 and 1 <= numbers[0] <= numbers[2] and 1 <= numbers[1] <= 100:
                return cls(*numbers)
        raise ConfigurationError(
            f"MaxStartups must be start:rate:full, such as 10:30:100, or one number, not {text!r}"
        )

    def admits(self, waiting: int, draw: float) -> bool:
        """Tell whether one more connection may log in.

        :param waiting: connections that are not logged in, without the new one.
        :param draw: a random number, at least 0 and below 1.
        """
        if waiting < self.start:
            return True
        if waiting >= self.full or self.rate == 100:
            return False
        above = (waiting - self.start) / (self.full - self.start)
        return draw >= (self.rate + (100 - self.rate) * above) / 100


class _Part:
    """What one process has in shared memory. Other processes write into ``asked`` only.

    :ivar head: how many connections wait, and how many places are in use up to the last one.
    :ivar networks: in each place a hash of the network that a connection came from, or 0.
    :ivar sources: a hash of the source that a connection counts for, or 0.
    :ivar since: when the connection came, in nanoseconds of the clock ``time.monotonic``.
    :ivar asked: the same number when the connection is to give its place up.
    """

    def __init__(self, numbers: memoryview) -> None:
        self.head = numbers[:2]
        self.networks, self.sources, self.since, self.asked = (
            numbers[2 + n * _PLACES : 2 + (n + 1) * _PLACES] for n in range(4)
        )

    def waiting(self) -> list[tuple[int, int, int]]:
        """Return source, ``since`` and place of each connection that was not asked to give up."""
        used = self.head[1]
        columns = (column[:used] for column in (self.sources, self.since, self.asked))
        return [
            (source, since, place)
            for place, (source, since, asked) in enumerate(zip(*columns, strict=True))
            if source and asked != since
        ]


class Startups:
    """Counts the connections that are logging in, for all servers that share one limit.

    The servers may be in several processes, forked after this was made. Each process has a count
    of its own in shared memory that no other process writes, so no lock is needed. Two processes
    that accept a connection at the same moment may each miss the other's; then there is one too
    many. So there is where a connection of another process is to give its place up, until that
    process looks.

    :param processes: how many processes there will be.
    :param descriptor: :func:`startups_memory` for as many, for processes that are not forked after
        this was made; None for some that children alone share.
    :ivar penalties: the networks that are refused for a while; they are shared, too.
    """

    def __init__(self, processes: int = 1, descriptor: int | None = None) -> None:
        own = processes * _NUMBERS * _SIZE
        size = own + penalties_size(processes)
        shared = memoryview(mmap.mmap(-1 if descriptor is None else descriptor, size))
        numbers = shared[:own].cast("Q")
        self._parts = [_Part(numbers[n * _NUMBERS : (n + 1) * _NUMBERS]) for n in range(processes)]
        self.penalties = Penalties(processes, shared[own:])
        self._own = self._parts[0]
        # Places that were left, and the first of those that nobody had so far.
        self._free: list[int] = []
        self._next = 1
        if descriptor is None:
            self.forget(0)

    @property
    def waiting(self) -> int:
        """How many connections are logging in, in all processes."""
        return sum(part.head[0] for part in self._parts)

    def waiting_from(self, network: bytes) -> int:
        """Return how many connections from a network are logging in, in all processes."""
        wanted = _hash(network)
        return sum(part.networks[: part.head[1]].tolist().count(wanted) for part in self._parts)

    def be(self, number: int) -> None:
        """Use count ``number`` in this process, and set it to 0."""
        self._own = self._parts[number]
        self._free, self._next = [], 1
        self.forget(number)
        self.penalties.be(number)

    def forget(self, number: int) -> None:
        """Set the count of a process that has ended to 0."""
        head = self._parts[number].head
        head[0], head[1] = 0, 1

    def enter(self, network: bytes = b"", source: bytes = b"") -> int:
        """Count one more connection; return its place, for the methods that take one.

        :param network: as PerSourceNetBlockSize has it, for :meth:`waiting_from`.
        :param source: what the connection counts for in :meth:`displace`.
        """
        own = self._own
        own.head[0] += 1
        if self._free:
            place = heappop(self._free)
        elif self._next < _PLACES:
            place, self._next = self._next, self._next + 1
        else:
            return 0
        own.since[place] = time.monotonic_ns()
        own.networks[place], own.sources[place] = _hash(network), _hash(source)
        own.head[1] = max(own.head[1], place + 1)
        return place

    def leave(self, place: int = 0) -> None:
        """Count one fewer.

        :param place: what :meth:`enter` returned.
        """
        own = self._own
        own.head[0] -= 1
        if place:
            own.networks[place] = own.sources[place] = 0
            heappush(self._free, place)
            while own.head[1] > 1 and not own.sources[own.head[1] - 1]:
                own.head[1] -= 1

    def displace(self, source: bytes, most: int) -> bool:
        """Ask the oldest connection of the source that has most of them to give its place up.

        The process that has it sees that in :meth:`displaced`. Nothing is asked, and the result is
        False, unless that source has at least two more than ``source``: with one more the two
        would change parts, take each other's places in turn, and never log in.

        :param most: how many connections may wait, with those that have not yet given up.
        """
        waiting = [(*entry, part) for part in self._parts for entry in part.waiting()]
        held = Counter(entry[0] for entry in waiting)
        largest = max(held.values(), default=0)
        if held[_hash(source)] + 1 >= largest or self.waiting >= most:
            return False
        _, since, place, part = min(
            (entry for entry in waiting if held[entry[0]] == largest), key=lambda entry: entry[1]
        )
        part.asked[place] = since
        return True

    def displaced(self, place: int) -> bool:
        """Tell whether a connection of this process is to give its place up."""
        return place > 0 and self._own.asked[place] == self._own.since[place]


def startups_memory(processes: int) -> int:
    """Return a descriptor of memory for :class:`Startups` of so many processes.

    :raises OSError: the system has none.
    """
    descriptor = os.memfd_create("nacre-startups")
    os.ftruncate(descriptor, processes * _NUMBERS * _SIZE + penalties_size(processes))
    return descriptor


def _hash(network: bytes) -> int:
    # That of Python differs between processes that are not forked from one.
    return int.from_bytes(hashlib.blake2b(network, digest_size=_SIZE).digest()) or 1
