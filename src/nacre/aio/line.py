"""A line carries a sub-protocol's bytes to the other end: a channel, or a program's pipes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from nacre.aio.channel import Channel
from nacre.aio.stream import SLICE, Writer
from nacre.limits import KIB
from nacre.wire.codec import Buffer
from nacre.wire.numbers import MAIN

_OWED = 8 * KIB
"""Consumed bytes without a window adjust yet; small compared with the smallest window."""


class Line(Protocol):
    """Carries a session's bytes to the other end, and grants it window for what was consumed.

    The caller may reuse the memory of data that a write has taken.
    """

    def before_write(self, collect: Callable[[], None], *, at_once: bool = False) -> None:
        """Call ``collect``, which may write, before this turn of the loop sends its bytes.

        :param at_once: do so as soon as all received data was handed over, where that is possible.
        """

    def try_write(self, data: Buffer) -> int:
        """Send what can be sent without waiting, and return how many bytes that was."""

    async def write(self, data: Buffer) -> None:
        """Send all of ``data``."""

    def adjust_window(self, count: int) -> None:
        """Let the other end send ``count`` more: as many bytes of it were consumed."""

    def close(self) -> None:
        """End the line."""

    async def wait_closed(self) -> None:
        """Return when its resources here are released."""


class ChannelLine:
    """A channel as a line."""

    def __init__(self, channel: Channel) -> None:
        self.before_write = channel.before_write
        self._channel = channel
        self._writer = Writer(channel)
        self._owed = 0

    def try_write(self, data: Buffer) -> int:
        """See :class:`Line`."""
        return self._channel.send(data if len(data) <= SLICE else memoryview(data)[:SLICE], MAIN)

    async def write(self, data: Buffer) -> None:
        """See :class:`Line`."""
        await self._writer.write(data)

    def adjust_window(self, count: int) -> None:
        """See :class:`Line`; one window adjust serves many small requests and answers."""
        self._owed += count
        if self._owed >= _OWED:
            count, self._owed = self._owed, 0
            self._channel.adjust_window(count)

    def close(self) -> None:
        """See :class:`Line`."""
        self._channel.close()

    async def wait_closed(self) -> None:
        """See :class:`Line`: the connection releases its channels itself."""
