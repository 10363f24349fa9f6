"""When the transfers of a session may send, and how many of them: rate, number, silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from nacre.aio.waiting import Gate
from nacre.sftp.protocol.client import SFTPClientProtocol


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


class Turns:
    """How many files are open at once, and how fast their bytes go.

    :ivar handles: files that may be open at once, as the server announced; 0 is unknown.
    :ivar pace: the rate that transfers are limited to (``-l``), or None.
    """

    def __init__(self, client: SFTPClientProtocol, settled: Callable[[], Awaitable[None]]) -> None:
        """Let several files be open at once.

        :param settled: returns when the server has answered every OPEN and CLOSE.
        """
        self.handles = 0
        self.pace: Pace | None = None
        self._client = client
        self._settled = settled
        self._taken = 0
        self._given = Gate()

    @property
    def alone(self) -> bool:
        """Whether one file is open at a time: the server gave several of them one handle."""
        return self._client.reuses_handles

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        """Wait until a file may be opened, which is closed at the end."""
        while self.alone and self._taken:
            await self._given.wait()
        self._taken += 1
        try:
            if self.alone:
                await self._settled()
            yield
        finally:
            self._taken -= 1
            self._given.wake()


class Watch:
    """Looks once a second whether the server answers, as long as requests wait for it.

    :ivar timeout: seconds without a byte from a server that should answer; None is no bound.
    :ivar received: bytes that the server sent; the session counts them.
    :ivar running: whether it looks.
    """

    def __init__(self, client: SFTPClientProtocol, look: Callable[[], bool]) -> None:
        """Look at nothing yet.

        :param look: called once a second after :meth:`start`; returns whether to go on.
        """
        self.timeout: float | None = None
        self.received = 0
        self.running = False
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._look = look
        self._timer: asyncio.TimerHandle | None = None
        self._seen = 0
        self._since = 0.0
        self._oldest: int | None = None
        self._oldest_since = 0.0
        self._answered = 0

    def start(self) -> None:
        """Look from now on."""
        self.running = True
        self._seen, self._since = self.received, self._loop.time()
        self._oldest = None
        self._timer = self._loop.call_later(1.0, self._call)

    def stop(self) -> None:
        """Look no more."""
        self.running = False
        if self._timer is not None:
            self._timer.cancel()

    def silent(self) -> bool:
        """Tell whether an answer is overdue: nothing came for as long as the timeout.

        Or other requests were answered meanwhile, and the oldest one was not.
        """
        now, client = self._loop.time(), self._client
        if self._seen != self.received:
            self._seen, self._since = self.received, now
        if self._oldest != client.oldest:
            self._oldest, self._oldest_since = client.oldest, now
            self._answered = client.answered
        since = self._since
        if client.answered != self._answered:
            since = min(since, self._oldest_since)
        return self.timeout is not None and now - since >= self.timeout

    def _call(self) -> None:
        if self._look():
            self._timer = self._loop.call_later(1.0, self._call)
        else:
            self.running = False
