"""The streams of a channel: what users read, write and collect."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from io import BytesIO
from typing import TYPE_CHECKING

from nacre.aio.home import check_loop, own
from nacre.errors import NacreError, NotUsableHere, StreamClosed
from nacre.limits import KIB, MIB
from nacre.wire import given
from nacre.wire.codec import Buffer
from nacre.wire.numbers import MAIN

if TYPE_CHECKING:
    from nacre.aio.channel import Channel, Sink

LINE = 1 * MIB
"""The default limit of a line, in bytes."""

SLICE = 512 * KIB
"""Bytes offered to the engine at a time: a block of the outbox holds them sealed, and they are many
for the fixed cost of one turn of the loop."""

TURN = 1 * MIB
"""Bytes a writer sends before it lets other tasks run."""

_running_loop = asyncio._get_running_loop

_VECTOR = 1024  # IOV_MAX of Linux and the BSDs


class Reader:
    """Reads what the peer sends on one stream of a channel.

    The window grows only by what was read, so the data buffered here stays below the channel's
    window, however slow the reader. One task reads at a time. A cancelled call loses no data.

    When the connection ends before the peer's EOF or close, ``read(n)`` first returns what was
    received. After that, and in every call that needs more, it raises what ended the connection
    (:class:`~nacre.errors.ConnectionLost` or another error). So truncated data never looks whole.
    """

    __slots__ = (
        "__weakref__",
        "_changed",
        "_channel",
        "_chunks",
        "_consumed",
        "_eof",
        "_error",
        "_loop",
        "_offset",
        "_size",
    )

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[Buffer] = deque()
        self._offset = 0
        self._size = 0
        self._consumed = 0
        self._eof = False
        self._error: NacreError | None = None
        self._changed: asyncio.Future[None] | None = None
        own(self)

    def disown(self, error: NotUsableHere) -> None:
        """Give the stream up in a forked child; see :mod:`nacre.aio.home`."""
        if not self._eof:
            self._eof, self._error = True, error

    # --- called by the channel ---

    def feed(self, data: Buffer) -> None:
        """Take data from the peer; the reader owns ``data`` from now on."""
        self._chunks.append(data)
        self._size += len(data)
        self._consumed += len(data)
        if self._changed is not None:
            self._wake()

    def end(self, error: NacreError | None = None) -> None:
        """Note the end of the data; only the first call counts."""
        if not self._eof:
            self._eof = True
            self._error = error
            self._wake()

    def move_to(self, sink: Sink) -> None:
        """Give ``sink`` what was not read, and the end if there was one: it replaces this reader.

        :raises RuntimeError: a ``read()`` to the end has let the peer send more than was read.
        """
        unread = self._size
        if self._consumed < unread:
            raise RuntimeError("this stream is being read up to its end")
        self._adjust_beyond(unread)
        chunks, offset = self._chunks, self._offset
        self._chunks, self._offset, self._size, self._consumed = deque(), 0, 0, 0
        for chunk in chunks:
            sink.feed(memoryview(chunk)[offset:])
            offset = 0
        if self._eof:
            sink.end(self._error)

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    # --- called by the user ---

    def at_eof(self) -> bool:
        """Return whether everything was read and no more data will be received."""
        return self._eof and not self._size

    async def read(self, n: int = -1) -> bytes:
        """Return the data that is available, at least one and at most ``n`` bytes; b"" at the end.

        :param n: -1 for everything up to the end; only use that where the peer sends a bounded
            amount, for it is all kept in memory.
        """
        if n < 0:
            while not self._eof:
                await self._more()
            self._check()
            return self._take(self._size)
        if n == 0:
            return b""
        while not self._size:
            if self._eof:
                self._check()
                return b""
            await self._more()
        return self._take(min(n, self._size))

    async def read_chunks(self, n: int) -> list[Buffer]:
        """Return the pieces of data as they were received, without a copy; see :meth:`read`.

        :returns: at least one and at most ``n`` bytes, or an empty list at the end.
        """
        while not self._size:
            if self._eof:
                self._check()
                return []
            await self._more()
        return self._take_chunks(min(n, self._size))

    async def readexactly(self, n: int) -> bytes:
        """Return ``n`` bytes.

        :raises asyncio.IncompleteReadError: the stream ended before; holds the bytes up to there.
        """
        while self._size < n:
            if self._eof:
                self._check()
                raise asyncio.IncompleteReadError(self._take(self._size), n)
            await self._more()
        return self._take(n)

    async def readline(self, limit: int = LINE) -> bytes:
        """Return a line with its LF, or the rest before the end of the stream; b"" at the end.

        :param limit: bytes the line may have.
        :raises ValueError: the line is longer; nothing was consumed.
        """
        searched = 0
        while (end := self._find_line_end(searched)) is None:
            searched = self._size
            if searched > limit:
                raise ValueError(f"no line ends within {limit} bytes; use read() instead")
            if self._eof:
                self._check()
                return self._take(self._size)
            await self._more()
        if end > limit:
            raise ValueError(f"the line has {end} bytes, and {limit} are allowed; use read()")
        return self._take(end)

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> bytes:
        if line := await self.readline():
            return line
        raise StopAsyncIteration

    def _check(self) -> None:
        if self._error is not None:
            raise self._error.with_traceback(None)

    async def _more(self) -> None:
        """Wait for more than is buffered, and let the peer fill the window again meanwhile."""
        if self._changed is not None:
            raise RuntimeError("another task is reading this stream")
        check_loop(self._loop)
        self._adjust_beyond(0)
        self._changed = self._loop.create_future()
        try:
            await self._changed
        finally:
            self._changed = None

    def _find_line_end(self, start: int) -> int | None:
        chunks = self._chunks
        position = -self._offset
        for index, chunk in enumerate(chunks):
            after = position + len(chunk)
            if after > start:
                if not isinstance(chunk, bytes):
                    chunk = chunks[index] = bytes(chunk)
                at = chunk.find(b"\n", max(0, start - position, -position))
                if at >= 0:
                    return position + at + 1
            position = after
        return None

    def _take(self, n: int) -> bytes:
        chunks = self._take_chunks(n)
        return bytes(chunks[0]) if len(chunks) == 1 else b"".join(chunks)

    def _take_chunks(self, n: int) -> list[Buffer]:
        chunks, taken, left = self._chunks, [], n
        while left:
            chunk = chunks[0]
            if self._offset or len(chunk) > left:
                chunk = memoryview(chunk)[self._offset : self._offset + left]
            taken.append(chunk)
            left -= len(chunk)
            self._offset += len(chunk)
            if self._offset == len(chunks[0]):
                chunks.popleft()
                self._offset = 0
        self._size -= n
        self._adjust_beyond(self._size)
        return taken

    def _adjust_beyond(self, held: int) -> None:
        """Adjust the window by what was received, except for ``held`` bytes."""
        if self._consumed > held:
            self._channel.adjust_window(self._consumed - held)
            self._consumed = held


def write_chunks(descriptor: int, chunks: list[Buffer]) -> list[Buffer]:
    """Write to a descriptor once, and return what it did not take.

    :raises OSError: from the write; :class:`BlockingIOError` if it takes nothing now.
    """
    written = os.writev(descriptor, chunks[:_VECTOR])
    for index, chunk in enumerate(chunks):
        if written < len(chunk):
            return [memoryview(chunk)[written:], *chunks[index + 1 :]]
        written -= len(chunk)
    return []


class Writer:
    """Sends data to the peer on one stream of a channel.

    There is no buffer here: ``write`` returns when the peer's window and the bounded queue in
    front of the socket have taken everything.
    """

    __slots__ = ("_channel", "_ended", "_lock", "_loop", "_stream", "_writing")

    def __init__(self, channel: Channel, stream: int = MAIN) -> None:
        self._channel = channel
        self._loop = _running_loop()
        self._stream = stream
        self._lock = asyncio.Lock()
        self._writing = 0
        self._ended = False

    @property
    def closed(self) -> bool:
        """Whether nothing more can be written."""
        return self._ended or self._channel.takes_no_data

    async def write(self, data: Buffer) -> None:
        """Send ``data``, in the order of the calls; a task that is cancelled may have sent a part.

        :raises StreamClosed: after :meth:`write_eof`, or when the peer takes no more data.
        :raises ConnectionLost: or another error: what ended the connection.
        """
        if self._ended:
            raise StreamClosed("nothing can be written after write_eof()")
        view = given.binary(data, "what is written to a stream")
        if _running_loop() is not self._loop:
            self._channel.check()
            if self._loop is not None:
                check_loop(self._loop)
        self._writing += 1
        try:
            async with self._lock:
                await self._send(view)
        finally:
            self._writing -= 1
            self._send_eof_when_due()

    async def _send(self, view: memoryview) -> None:
        channel = self._channel
        turn = 0
        while True:
            channel.check_writable()
            if channel.congested:
                await channel.wait_uncongested()
                turn = 0
                continue
            taken = channel.send(view[:SLICE], self._stream)
            view = view[taken:]
            if not view:
                return
            turn += taken
            if taken == 0:
                await channel.wait_writable()
                turn = 0
            elif turn >= TURN:
                await asyncio.sleep(0)
                turn = 0

    async def drain(self) -> None:
        """Return when the socket has taken all that was written on this connection.

        :raises ConnectionLost: or another error: what ended the connection.
        """
        await self._channel.drain()

    def write_eof(self) -> None:
        """Send EOF once every write in progress is done; later writes raise StreamClosed."""
        self._ended = True
        self._send_eof_when_due()

    def _send_eof_when_due(self) -> None:
        if self._ended and not self._writing:
            self._channel.send_eof(self._stream)


class Collector:
    """Keeps what the peer sends, up to a limit that several collectors may share."""

    __slots__ = ("_allowance", "_channel", "_kept")

    def __init__(self, channel: Channel, allowance: Allowance) -> None:
        # Not a bytearray: getvalue() hands its bytes over without a copy.
        self._kept = BytesIO()
        self._channel = channel
        self._allowance = allowance

    @property
    def data(self) -> bytes:
        """The data received so far."""
        return self._kept.getvalue()

    def feed(self, data: Buffer) -> None:
        """Keep data from the peer; beyond the limit, drop it and wake the tasks of the channel."""
        if self._allowance.take(len(data)):
            self._kept.write(data)
            self._channel.adjust_window(len(data))
        else:
            self._channel.stop_writing()
            self._channel.changed.wake()

    def end(self, error: NacreError | None = None) -> None:
        """Do nothing: the channel itself reports the end."""


class Allowance:
    """The number of bytes that may still be kept.

    :ivar exceeded: whether more was asked for; from then on every ``take`` is refused.
    """

    __slots__ = ("_left", "exceeded")

    def __init__(self, count: int) -> None:
        self._left = count
        self.exceeded = False

    def take(self, count: int) -> bool:
        """Take ``count`` and return True, or note that they are too many."""
        if count > self._left or self.exceeded:
            self.exceeded = True
            return False
        self._left -= count
        return True
