"""A limit on the rate of transfers: ``scp -l``, ``sftp -l``."""

from __future__ import annotations


class Pace:
    """A number of bytes per second, of which a tenth may be sent in one burst."""

    def __init__(self, rate: float) -> None:
        """Allow ``rate`` bytes per second."""
        self._rate = rate
        self._free_at = 0.0

    def delay(self, now: float) -> float:
        """Return the seconds until more may be sent; 0 means now."""
        return max(0.0, self._free_at - now - 0.1)

    def spend(self, count: int, now: float) -> None:
        """Record that ``count`` bytes were requested or sent."""
        self._free_at = max(self._free_at, now) + count / self._rate
