"""How many connections may be logging in at once: MaxStartups of sshd_config(5)."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from heapq import heappop, heappush

from nacre.errors import ConfigurationError
from nacre.server.sources import Penalties

_SIZE = 8
_WAITING, _END, _HEAD = 0, 1, 2
_PART = 4096
"""Numbers in shared memory for each process. Connections beyond that many are counted together
with all others, but not for their network."""


@dataclass(frozen=True, slots=True)
class MaxStartups:
    """``start:rate:full``: random early drop of connections that are not logged in.

    Below ``start`` every connection is accepted. From ``start`` on, ``rate`` percent are dropped,
    rising linearly to all of them at ``full``. So a flood leaves other users a chance.
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


class Startups:
    """Counts the connections that are logging in, for all servers that share one limit.

    The servers may be in several processes, forked after this was made. Each process has a count
    of its own in shared memory that no other process writes, so no lock is needed. Two processes
    that accept a connection at the same moment may each miss the other's; then there is one too
    many.

    :param processes: how many processes there will be.
    :ivar penalties: the networks that are refused for a while; they are shared, too.
    """

    # Of each process: how many connections wait, how many places are in use up to the last one,
    # and in each place a hash of the network that a connection came from, or 0. A hash of bytes is
    # the same in forked processes.

    def __init__(self, processes: int = 1) -> None:
        # A mapping without a file is shared with children.
        self._shared = memoryview(mmap.mmap(-1, processes * _PART * _SIZE)).cast("Q")
        self._parts = [self._shared[n * _PART : (n + 1) * _PART] for n in range(processes)]
        self._own = self._parts[0]
        self._free = list(range(_HEAD, _PART))
        self.penalties = Penalties(processes)

    @property
    def waiting(self) -> int:
        """How many connections are logging in, in all processes."""
        return sum(part[_WAITING] for part in self._parts)

    def waiting_from(self, network: bytes) -> int:
        """Return how many connections from a network are logging in, in all processes."""
        wanted = _hash(network)
        return sum(part[_HEAD : part[_END]].tolist().count(wanted) for part in self._parts)

    def be(self, number: int) -> None:
        """Use count ``number`` in this process, and set it to 0."""
        self._own = self._parts[number]
        self._free = list(range(_HEAD, _PART))
        self.forget(number)
        self.penalties.be(number)

    def forget(self, number: int) -> None:
        """Set the count of a process that has ended to 0."""
        part = self._parts[number]
        part[_WAITING], part[_END] = 0, _HEAD

    def enter(self, network: bytes = b"") -> int:
        """Count one more, from a network; return its place, for :meth:`leave`."""
        self._own[_WAITING] += 1
        if not self._free:
            return 0
        place = heappop(self._free)
        self._own[place] = _hash(network)
        self._own[_END] = max(self._own[_END], place + 1)
        return place

    def leave(self, place: int = 0) -> None:
        """Count one fewer.

        :param place: what :meth:`enter` returned.
        """
        own = self._own
        own[_WAITING] -= 1
        if place:
            own[place] = 0
            heappush(self._free, place)
            while own[_END] > _HEAD and not own[own[_END] - 1]:
                own[_END] -= 1


def _hash(network: bytes) -> int:
    return hash(network) & 0xFFFFFFFFFFFFFFFF or 1
