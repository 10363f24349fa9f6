"""A rate that transfers are held to."""

from __future__ import annotations


class Pace:
    """Bytes per second, with a tenth of a second's worth at once."""

    def __init__(self, rate: float) -> None:
        """Allow ``rate`` bytes per second."""
        self._rate = rate
        self._free_at = 0.0

    def delay(self, now: float) -> float:
        """Return the seconds until something may be sent; 0 is now."""
        return max(0.0, self._free_at - now - 0.1)

    def spend(self, count: int, now: float) -> None:
        """Note that ``count`` were asked for or sent."""
        self._free_at = max(self._free_at, now) + count / self._rate
