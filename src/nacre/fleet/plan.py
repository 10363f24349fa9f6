"""How a run goes about its hosts: how many at a time, how fast, in which parts, how long."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from nacre.errors import ConfigurationError
from nacre.fleet.hosts import FleetHost
from nacre.value import value

LONGEST_PAUSE = 60.0
"""Seconds between two attempts at most, however many there were."""


@value(kw_only=True)
class FleetPlan:
    """How a run goes about its hosts.

    :ivar parallel: hosts that are worked on at a time.
    :ivar rate: attempts that begin in a second, or None for any number.
    :ivar canaries: the first hosts, which come alone: if one of them does not end well, no other
        host has its turn.
    :ivar batch: hosts of a batch, or None for all: the next batch begins when one has ended.
    :ivar max_failures: how many hosts may not end well; after one more, no other host has its turn.
        None for any number.
    :ivar login: seconds for each login.
    :ivar timeout: seconds for each attempt at a host, the login included, or None.
    :ivar deadline: seconds for the whole run, or None.
    :ivar retries: further attempts at a host, where nothing was done or the task is idempotent. A
        login that the host has refused is not tried again: attempts may lock an account.
    :ivar backoff: seconds before the second attempt; each further pause is twice as long.
    """

    parallel: int = 64
    rate: float | None = None
    canaries: int = 0
    batch: int | None = None
    max_failures: int | None = None
    login: float = 30.0
    timeout: float | None = None
    deadline: float | None = None
    retries: int = 0
    backoff: float = 1.0

    def check(self) -> None:
        """Check the figures.

        :raises ConfigurationError: one is not possible.
        """
        for name, lowest in _LOWEST.items():
            figure = getattr(self, name)
            if figure is not None and not (figure >= lowest and math.isfinite(figure)):
                raise ConfigurationError(f"{name}={figure!r}: give a number of at least {lowest:g}")

    def figures(self) -> dict[str, float | None]:
        """Return the figures by name, as the plan takes them."""
        return {name: getattr(self, name) for name in _LOWEST}

    def batches(self, hosts: Sequence[FleetHost]) -> Iterator[tuple[Sequence[FleetHost], bool]]:
        """Return the parts in which the hosts have their turn, and whether they are canaries."""
        if self.canaries and hosts:
            yield hosts[: self.canaries], True
        rest = hosts[self.canaries :]
        size = self.batch or max(len(rest), 1)
        for first in range(0, len(rest), size):
            yield rest[first : first + size], False

    def pause(self, attempts: int) -> float:
        """Return the seconds to wait after so many attempts, without the random part."""
        return min(self.backoff * 2.0 ** min(attempts - 1, 32), LONGEST_PAUSE)


_LOWEST = {
    "parallel": 1,
    "rate": 0.001,
    "canaries": 0,
    "batch": 1,
    "max_failures": 0,
    "login": 0.001,
    "timeout": 0.001,
    "deadline": 0.001,
    "retries": 0,
    "backoff": 0,
}


class StartRate:
    """Says when the next attempt may begin, so that no more begin in a second than are wanted.

    :param rate: attempts in a second, or None.
    """

    def __init__(self, rate: float | None) -> None:
        self._between = 0.0 if rate is None else 1.0 / rate
        self._next = -math.inf

    def wait(self, now: float) -> float:
        """Take the next turn, and return the seconds until then."""
        turn = max(now, self._next)
        self._next = turn + self._between
        return turn - now
