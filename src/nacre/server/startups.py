"""How many clients may wait to log in at once."""

from __future__ import annotations

import mmap
from dataclasses import dataclass

from nacre.errors import ConfigurationError

_COUNT = memoryview(b"").cast("I").itemsize


@dataclass(frozen=True, slots=True)
class MaxStartups:
    """``start:rate:full``: random early drop of connections that are not logged in.

    Below ``start`` every connection is taken. From there ``rate`` percent are dropped, and more
    the more there are, up to all of them at ``full``. So a flood leaves a chance to honest users.
    """

    start: int
    rate: int
    full: int

    @classmethod
    def parse(cls, text: str) -> MaxStartups:
        """Return what ``10:30:100``, or a plain number for a hard limit, says.

        :raises ConfigurationError: it says nothing that makes sense.
        """
        words = text.split(":")
        if all(word.isascii() and word.isdigit() for word in words):
            numbers = [int(word) for word in words]
            if len(numbers) == 1 and numbers[0] >= 1:
                return cls(numbers[0], 100, numbers[0])
            if len(numbers) == 3 and 1 <= numbers[0] <= numbers[2] and 1 <= numbers[1] <= 100:
                return cls(*numbers)
        raise ConfigurationError(
            f"MaxStartups is start:rate:full, such as 10:30:100, or one number, not {text!r}"
        )

    def admits(self, waiting: int, draw: float) -> bool:
        """Tell whether one more may come in.

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
    """Counts the clients that wait to log in, for all servers that are to share one limit.

    They may be in several processes that were forked after this was made: each has a number of its
    own in memory that all share, and no other process writes it, so there is nothing to lock. Two
    that take a client at the same moment may not see each other's: then there is one too many.
    """

    def __init__(self, processes: int = 1) -> None:
        # A mapping without a file is shared with children.
        self._counts = memoryview(mmap.mmap(-1, processes * _COUNT)).cast("I")
        self._own = 0

    @property
    def waiting(self) -> int:
        """How many wait, in all processes."""
        return sum(self._counts)

    def be(self, number: int) -> None:
        """Count as this process from now on; what one before it left counted is forgotten."""
        self._own = number
        self.forget(number)

    def forget(self, number: int) -> None:
        """Say that a process is gone, and its clients with it."""
        self._counts[number] = 0

    def enter(self) -> None:
        """One more waits."""
        self._counts[self._own] += 1

    def leave(self) -> None:
        """One waits no longer."""
        self._counts[self._own] -= 1
