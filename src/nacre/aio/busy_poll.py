"""Busy polling: keep a loop awake for the next message of a quick exchange.

A process that sleeps in the system's poll has to be woken for each message. Where the peer is near,
that takes longer than the answer itself. A loop that polls without sleeping has the message as soon
as it arrives. It yields the processor after each empty poll, so other processes are not starved.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary, ref

AWAKE = 300e-6
"""Seconds a loop stays awake after a message, if that came as soon after ours.

About the time that two sleeping processes take to wake each other. So an exchange between two that
sleep begins to keep both awake, and a loop that stays awake after a quick message seldom does so in
vain.
"""

BRIEF = 4096
"""Bytes, between two writes, up to which input counts as a question or an answer.

Larger input belongs to a bulk transfer; polling for that only means many small reads.
"""

_yield_processor: Callable[[], None] = getattr(os, "sched_yield", lambda: time.sleep(0))

_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, BusyPoll] = WeakKeyDictionary()


class BusyPoll:
    """Keeps one loop awake, for all of its connections.

    Its reference to the loop is weak: it is a value of ``_shared``, and would keep its own key.

    :ivar seconds: for how long.
    :ivar awake: whether the loop stays awake now.
    """

    __slots__ = ("_loop", "_until", "awake", "seconds")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.seconds = seconds
        self._loop = ref(loop)
        self._until = 0.0
        self.awake = False

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> BusyPoll:
        """Return the loop's own."""
        if (poll := _shared.get(loop)) is None:
            poll = _shared[loop] = cls(loop, AWAKE)
        return poll

    @classmethod
    def forbid(cls, loop: asyncio.AbstractEventLoop) -> None:
        """Let the loop sleep at once: another thread acts on its messages, and needs the GIL."""
        _shared[loop] = cls(loop, 0.0)

    def stay_awake(self, now: float) -> None:
        """Stay awake for ``seconds`` from now on."""
        self._until = now + self.seconds
        if not self.awake and (loop := self._loop()) is not None:
            self.awake = True
            loop.call_soon(self._watch)

    def _watch(self) -> None:
        loop = self._loop()
        if loop is not None and loop.time() < self._until:
            _yield_processor()
            # A loop with a callback to run polls without sleeping.
            loop.call_soon(self._watch)
        else:
            self.awake = False


class QuickExchange:
    """One connection's exchange of short messages, as its driver notes it.

    :ivar poll: keeps the connection's loop awake.
    :ivar received: bytes received since the last write.
    :ivar sent_at: the time of the last write; 0 if that, or what was received before it, was longer
        than BRIEF.
    """

    __slots__ = ("poll", "received", "sent_at")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.poll = BusyPoll.of(loop)
        self.received = 0
        self.sent_at = 0.0
