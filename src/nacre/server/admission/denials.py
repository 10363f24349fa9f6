"""How long the denial of a login takes: a time that does not tell whether the user exists.

What a policy does for an unknown user and for a known one differs by fractions of a millisecond,
which shows over a local network. As in sshd, a denial takes a few milliseconds that are drawn for
each user name, or that time doubled until the policy is done. They are counted from the arrival of
the request, not from the end of what may differ. Where a policy looks a user up in a thread, the
methods that the user has to pass are told after a fifth of that time.

A loop's own timers do not do: an event loop waits whole milliseconds from the moment at which it
begins to wait (epoll_wait(2)), so a policy that took 0.1 ms longer would be answered 0.1 ms later.
A thread waits for the exact time.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from heapq import heappop, heappush
from itertools import count

from nacre.protocol.asks import (
    Answer,
    Ask,
    AskHostBased,
    AskKeyboardInteractive,
    AskPassword,
    AskPrincipal,
    AskPublicKey,
    AskRSAKey,
    AskUser,
    Denied,
)

LEAST = 0.005
"""Seconds that every denial takes."""

DRAWN = 0.004
"""The most seconds that are added, by the user's name."""

LOOKUP = 0.2
"""The part of a denial's time after which the methods are told: every login waits for that."""

_SECRET = os.urandom(32)


def padded(elapsed: float, user: str, part: float = 1.0) -> float:
    """Return the seconds after the question at which a denial is answered.

    :param elapsed: seconds that the policy has taken.
    :param part: :data:`LOOKUP` for the answer to which methods there are.
    """
    digest = hmac.digest(_SECRET, user.encode("utf-8", "surrogateescape"), "sha256")
    seconds = part * (LEAST + DRAWN * digest[0] / 255)
    while seconds < elapsed:
        seconds *= 2
    return seconds


_OF_USERS = (
    AskHostBased,
    AskKeyboardInteractive,
    AskPassword,
    AskPrincipal,
    AskPublicKey,
    AskRSAKey,
    AskUser,
)


class LoginPace:
    """When the answers to one client's questions are sent, of which one is open at a time.

    The first question of a request is about its user, unless the one before had the same; the
    next one of the same request counts from its arrival, too.
    """

    __slots__ = ("_arrived", "_ask", "_taking")

    def __init__(self) -> None:
        self._ask: Ask | None = None
        self._arrived: float | None = None
        self._taking = False

    def take(self, ask: Ask, judge: Callable[[Ask], None]) -> None:
        """Have a question judged that has just arrived."""
        if self._arrived is None:
            self._arrived = time.monotonic()
        self._ask = ask
        with self.judging(at_once=True):
            judge(ask)

    @contextmanager
    def judging(self, at_once: bool) -> Iterator[None]:
        """Take what is answered meanwhile as answered at once, without a lookup in a thread."""
        self._taking = at_once
        yield
        self._taking = False

    def due(self, ask_id: int, answer: Answer) -> float | None:
        """Return when an answer is sent, on the clock ``time.monotonic``; None for at once."""
        ask, arrived = self._ask, self._arrived
        if ask is None or ask.ask_id != ask_id or arrived is None:
            return None
        self._ask = None
        looked_up = isinstance(ask, AskUser)
        if not looked_up:
            self._arrived = None
        # What was answered at once needed no lookup in a thread.
        late = not self._taking if looked_up else isinstance(answer, Denied)
        if not late or not isinstance(ask, _OF_USERS):
            return None
        part = LOOKUP if looked_up else 1.0
        return arrived + padded(time.monotonic() - arrived, ask.user, part)

    def attempted(self) -> None:
        """Take note that a request is over: no further question belongs to it."""
        self._arrived = None


class ExactTimer:
    """Wakes tasks at exact times, from a thread that starts with the first of them."""

    def __init__(self) -> None:
        self._waiting = _Waiting()
        self._started = False
        # The thread does not keep this object.
        weakref.finalize(self, self._waiting.end)

    async def sleep_until(self, when: float) -> None:
        """Return at a time on the clock ``time.monotonic``.

        :raises RuntimeError: the system has no thread for it.
        """
        if not self._started:
            threading.Thread(target=self._waiting.serve, name="timer", daemon=True).start()
            self._started = True
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.add(when, future, loop)
        await future

    def close(self) -> None:
        """End the thread; what still waits is not woken."""
        self._waiting.end()


class _Waiting:
    """The tasks that wait, in the order of their times, and the thread that wakes them."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, asyncio.Future[None], asyncio.AbstractEventLoop]] = []
        self._numbers = count()
        self._changed = threading.Condition()
        self._ended = False

    def add(
        self, when: float, future: asyncio.Future[None], loop: asyncio.AbstractEventLoop
    ) -> None:
        with self._changed:
            heappush(self._heap, (when, next(self._numbers), future, loop))
            if self._heap[0][2] is future:
                self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def serve(self) -> None:
        with self._changed:
            while not self._ended:
                left = self._heap[0][0] - time.monotonic() if self._heap else None
                if left is None or left > 0:
                    self._changed.wait(left)
                    continue
                _, _, future, loop = heappop(self._heap)
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(_wake, future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
