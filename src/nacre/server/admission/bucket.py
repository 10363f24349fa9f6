"""A bound on how often something happens, which leaves room for some of it at once."""

from __future__ import annotations

from collections.abc import Callable


class Bucket:
    """A bucket of tokens: what may happen at a rate in the long run, and some of it at once.

    :param rate: tokens that come per second, ``burst`` those that there are at most.
    :param clock: returns seconds.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._has, self._at = burst, clock()

    def take(self) -> bool:
        """Take a token if there is one."""
        now = self._clock()
        self._has = min(self._burst, self._has + (now - self._at) * self._rate)
        self._at = now
        if self._has < 1:
            return False
        self._has -= 1
        return True
