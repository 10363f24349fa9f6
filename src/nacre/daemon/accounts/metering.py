"""What the shells, commands and forwards of a connection are held to: rates and transfers.

They share the ledgers of the user's files (:mod:`nacre.sftp.filesystems.quota`). A ledger is a file
with a lock, so the connection takes an advance from it, of a tenth of a second, and passes data on
until that is used up. What is left of the advance is given back at the end.
"""

from __future__ import annotations

import asyncio
import errno
import threading
from asyncio import sleep
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from io import FileIO
from typing import Any, Protocol, TypeVar

from nacre.errors import ConnectionLost, NacreError
from nacre.limits import KIB, MIB
from nacre.sftp.filesystems.quota.limits import QuotaLimits
from nacre.sftp.filesystems.quota.quota import Quota
from nacre.sftp.filesystems.quota.shared import quota_of
from nacre.sftp.protocol.status import ToldError
from nacre.tunnels.metered import Way

T = TypeVar("T")

_LEAST, _MOST = 4 * KIB, 1 * MIB
"""The bounds of an advance, in bytes."""

_PATIENCE = 10.0
"""Seconds that a call waits for a ledger, and for the other way's call, before it is made again: a
call of :class:`~nacre.server.admission.user_threads.UserThreads` must not take a minute.
"""

_PART = 10
"""An advance is what may be transferred in this part of a second."""


class CallsInThread(Protocol):
    """Calls functions in threads; see :meth:`nacre.server.admission.user_threads.UserThreads`."""

    def __call__(self, work: Callable[[], T], undo: Callable[[T], object], /) -> Awaitable[T]:
        """Call ``work``; ``undo`` gets the result if this call is cancelled."""


class Advances:
    """What is taken from ledgers in advance. Its methods block."""

    def __init__(self, quota: Quota, advance: dict[Way, int]) -> None:
        """Take from the ledgers of ``quota``, which are closed at the :meth:`end`.

        :param advance: how many bytes to take at a time, for each way that is limited.
        """
        self._quota = quota
        self._advance = advance
        self._taken = dict.fromkeys(advance, 0)
        self._alone = threading.Lock()
        self._ended = False

    def take(self, way: Way, need: int) -> tuple[int, float]:
        """Return how many bytes were taken, ``need`` at least, and after how many seconds they may
        be passed on.

        :raises ToldError: so many may not be transferred in this period, or a ledger is locked.
        """
        if not self._alone.acquire(timeout=_PATIENCE):
            raise ToldError(errno.EAGAIN, "the ledger is waited for")
        try:
            if self._ended:
                return need, 0.0  # whoever wanted them is gone
            got = max(need, self._advance[way])
            try:
                delay = self._quota.lease(way, got, patience=_PATIENCE)
            except ToldError as error:
                if error.errno != errno.EDQUOT:
                    raise
                got, delay = need, self._quota.lease(way, need, patience=_PATIENCE)
            self._taken[way] += got
            return got, delay
        finally:
            self._alone.release()

    def end(self, counted: dict[Way, int]) -> None:
        """Give back what was taken beyond what was counted, or take what was owed, and close the
        ledgers.

        What a :meth:`take` has got that nobody waits for any more is given back, too.
        """
        with self._alone:
            self._ended = True
            for way, taken in self._taken.items():
                if more := counted[way] - taken:
                    with suppress(OSError):
                        self._quota.lease(way, more)
            self._quota.close()


class LedgerMeter:
    """The :class:`~nacre.tunnels.metered.TransferMeter` of one connection.

    :param limits: those that limit transfers or rates.
    :param ledger: opens the ledger of the user (None) or of a group; raises NacreError, OSError.
    :param in_thread: calls what blocks.
    :param fail: ends the connection; gets the reason.
    """

    def __init__(
        self,
        limits: Sequence[QuotaLimits],
        ledger: Callable[[str | None], Awaitable[FileIO]],
        in_thread: CallsInThread,
        fail: Callable[[str], None],
    ) -> None:
        self._limits = limits
        self._ledger = ledger
        self._in_thread = in_thread
        self._fail = fail
        self._advance: dict[Way, int] = {}
        if any(one.up for one in limits):
            self._advance["up"] = _advance(one.rate_up for one in limits)
        if any(one.down for one in limits):
            self._advance["down"] = _advance(one.rate_down for one in limits)
        self._locks = {way: asyncio.Lock() for way in self._advance}
        self._opening = asyncio.Lock()
        self._users = 0
        self._ends: set[asyncio.Future[None]] = set()
        self._begin()

    def _begin(self) -> None:
        self._advances: Advances | None = None
        self._left: dict[Way, int] = dict.fromkeys(self._advance, 0)
        self._counted: dict[Way, int] = dict.fromkeys(self._advance, 0)
        self._begun: set[Way] = set()

    def take(self, way: Way, size: int) -> bool:
        """Count bytes; the first ones wait for what earlier connections have transferred."""
        if way not in self._left:
            return True
        self._counted[way] += size
        left = self._left[way] = self._left[way] - size
        return left >= 0 and way in self._begun

    async def settle(self, way: Way) -> None:
        """Wait until the bytes that were counted may be passed on.

        :raises NacreError: they may not: the connection ends.
        """
        if way not in self._left:
            return
        async with self._locks[way]:
            while self._left[way] < 0 or way not in self._begun:
                try:
                    await self._take_more(way, max(0, -self._left[way]))
                except (NacreError, OSError, RuntimeError) as error:
                    if isinstance(error, OSError) and error.errno == errno.EAGAIN:
                        continue  # the ledger was locked for long
                    told = error.strerror if isinstance(error, ToldError) else None
                    self._fail(reason := told or str(error))
                    raise ConnectionLost(reason) from None

    async def _take_more(self, way: Way, need: int) -> None:
        advances = await self._opened()
        got, delay = await self._in_thread(
            partial(advances.take, way, need), lambda taken: self._add(advances, way, taken[0])
        )
        try:
            await sleep(delay)
        finally:
            self._add(advances, way, got)

    def _add(self, advances: Advances, way: Way, got: int) -> None:
        if advances is self._advances:
            self._left[way] += got
            self._begun.add(way)

    async def _opened(self) -> Advances:
        async with self._opening:
            if self._advances is None:
                with ExitStack() as stack:
                    files = [
                        stack.enter_context(await self._ledger(one.group)) for one in self._limits
                    ]
                    self._advances = Advances(quota_of(self._limits, files), self._advance)
                    stack.pop_all()
            return self._advances

    def enter(self) -> None:
        """Begin to use the ledgers for one more channel or session."""
        self._users += 1

    def leave(self) -> None:
        """End what :meth:`enter` has begun; with the last one the ledgers are closed."""
        self._users -= 1
        if self._users or self._advances is None:
            return
        work: Callable[[], None] = partial(self._advances.end, self._counted)
        self._begin()
        ending = asyncio.ensure_future(self._in_thread(work, _nothing))
        self._ends.add(ending)
        ending.add_done_callback(self._ends.discard)


def _advance(rates: Any) -> int:
    """Return how many bytes to take in advance, at the slowest of these rates."""
    slowest = min((rate for rate in rates if rate is not None), default=_PART * _MOST)
    return int(min(max(slowest // _PART, _LEAST), _MOST))


def _nothing(_: object) -> None:
    """Undo nothing."""
