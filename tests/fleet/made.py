"""Attempts of a fleet that end as a test says, without a connection, and hosts for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from nacre.fleet.attempts import Begin
from nacre.fleet.hosts import FleetHost
from nacre.fleet.verdicts import FleetVerdict

Answer = Callable[[str, int], "FleetVerdict | None"]
"""Returns the verdict of a host's attempt of a number, or None for one that hangs when begun."""


def hosts(*names: str) -> list[FleetHost]:
    return [FleetHost(name, name) for name in names]


def ok(name: str, number: int) -> FleetVerdict:
    return FleetVerdict(name, "ok")


class MadeAttempts:
    """Makes attempts up.

    :ivar begun: the hosts that were begun, in order.
    :ivar most: how many were worked on at a time at most.
    """

    def __init__(
        self, answer: Answer = ok, *, before: Callable[[str], Awaitable[None]] | None = None
    ) -> None:
        self.begun: list[str] = []
        self.most = 0
        self._answer = answer
        self._before = before
        self._now = 0

    async def __call__(self, host: FleetHost, seconds: float | None, begin: Begin) -> FleetVerdict:
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            if self._before is not None:
                await self._before(host.name)
            await asyncio.sleep(0)
            await begin()
            self.begun.append(host.name)
            found = self._answer(host.name, self.begun.count(host.name))
            if found is None:
                await asyncio.Event().wait()
                raise AssertionError
            return found
        finally:
            self._now -= 1
