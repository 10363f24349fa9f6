"""Busy polling: a loop that stays awake for the next message of a quick exchange.

A process that waits in the system's poll has to be woken for each message, and where the peer is
near that takes longer than the answer itself. One that asks again and again whether something came
is there when it comes. It takes the processor from nobody: each time that nothing is there, others
go first.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

AWAKE = 300e-6
"""Seconds a loop stays awake after a message, if that came as soon after ours.

About what it takes two processes that sleep to wake each other: so an exchange between two that
sleep begins to keep both awake, and who stays awake after a quick message seldom does so in vain.
"""

BRIEF = 4096
"""Bytes, between two writes, up to which what came is a question or an answer.

More of them are a part of many, which come without being asked for: who stays awake for those reads
little at a time, often.
"""

_give_way: Callable[[], None] = getattr(os, "sched_yield", lambda: time.sleep(0))

_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, BusyPoll] = WeakKeyDictionary()


class BusyPoll:
    """Keeps one loop awake, for all of its connections.

    :ivar seconds: for how long.
    """

    __slots__ = ("_loop", "_until", "_watching", "seconds")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.seconds = seconds
        self._loop = loop
        self._until = 0.0
        self._watching = False

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> BusyPoll:
        """Return the loop's own."""
        if (poll := _shared.get(loop)) is None:
            poll = _shared[loop] = cls(loop, AWAKE)
        return poll

    @classmethod
    def forbid(cls, loop: asyncio.AbstractEventLoop) -> None:
        """Let the loop sleep at once: another thread goes on with what came, and needs the GIL."""
        _shared[loop] = cls(loop, 0.0)

    def stay_awake(self, now: float) -> None:
        """Begin anew to stay awake."""
        self._until = now + self.seconds
        if not self._watching:
            self._watching = True
            self._loop.call_soon(self._watch)

    def _watch(self) -> None:
        if self._loop.time() < self._until:
            _give_way()
            # While something is to be called, a loop asks what came and does not wait for it.
            self._loop.call_soon(self._watch)
        else:
            self._watching = False
