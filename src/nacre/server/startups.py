"""How many connections may be logging in at once: MaxStartups of sshd_config(5)."""

from __future__ import annotations

import mmap
from dataclasses import dataclass

from nacre.errors import ConfigurationError

_COUNT = memoryview(b"").cast("I").itemsize


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
    """

    def __init__(self, processes: int = 1) -> None:
        # A mapping without a file is shared with children.
        self._counts = memoryview(mmap.mmap(-1, processes * _COUNT)).cast("I")
        self._own = 0

    @property
    def waiting(self) -> int:
        """How many connections are logging in, in all processes."""
        return sum(self._counts)

    def be(self, number: int) -> None:
        """Use count ``number`` in this process, and set it to 0."""
        self._own = number
        self.forget(number)

    def forget(self, number: int) -> None:
        """Set the count of a process that has ended to 0."""
        self._counts[number] = 0

    def enter(self) -> None:
        """Count one more."""
        self._counts[self._own] += 1

    def leave(self) -> None:
        """Count one fewer."""
        self._counts[self._own] -= 1
