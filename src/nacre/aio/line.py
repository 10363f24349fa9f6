"""What carries a sub-protocol's bytes to the other end: a channel, or a program's pipes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from nacre.aio.channel import Channel
from nacre.aio.stream import SLICE, Writer
from nacre.limits import KIB
from nacre.protocol.engine import MAIN
from nacre.wire.codec import Buffer

_OWED = 8 * KIB
"""Bytes taken that the other end is not told of: little beside the smallest window."""


class Line(Protocol):
    """What carries the session's bytes to the server.

    What it has taken may change afterwards: memory is used again.
    """

    def before_write(self, collect: Callable[[], None], *, at_once: bool = False) -> None:
        """Call ``collect`` before what this turn of the loop sends is sent.

        :param at_once: as soon as all that came in was handed over, where that can be.
        """

    def try_write(self, data: Buffer) -> int:
        """Send what goes at once, and return how much that was."""

    async def write(self, data: Buffer) -> None:
        """Send all of ``data``."""

    def adjust_window(self, count: int) -> None:
        """Bytes that the server sent were taken."""

    def close(self) -> None:
        """End the line."""

    async def wait_closed(self) -> None:
        """Return when nothing of it is left here."""


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
        """See :class:`Line`; small requests and answers are credited together."""
        self._owed += count
        if self._owed >= _OWED:
            count, self._owed = self._owed, 0
            self._channel.adjust_window(count)

    def close(self) -> None:
        """See :class:`Line`."""
        self._channel.close()

    async def wait_closed(self) -> None:
        """See :class:`Line`: the channel is the connection's, which sees to its end."""
