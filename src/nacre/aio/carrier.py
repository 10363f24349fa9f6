"""A pair of streams that carries a connection, where there is no socket.

:class:`Streams` are the two streams and how to end them. :class:`StreamTransport` makes of them the
transport that a :class:`~nacre.aio.driver.Driver` needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from copy import copy
from typing import Any, Protocol, TypeVar

from nacre.aio.maybe import Maybe, settled
from nacre.errors import NacreError
from nacre.limits import KIB
from nacre.wire.codec import Buffer

E = TypeVar("E", bound=NacreError)

READ = 256 * KIB
"""Bytes that are read at a time."""

UNWRITTEN = 256 * KIB
"""Bytes that wait for the writing stream, beyond which the connection counts as congested: they
stand for the buffer that a socket has."""


class ByteReader(Protocol):
    """A stream to read, such as :class:`asyncio.StreamReader` or :class:`nacre.Reader`."""

    async def read(self, n: int, /) -> bytes:
        """Return at least one and at most ``n`` bytes; b"" at the end."""


class ByteWriter(Protocol):
    """A stream to write, such as :class:`asyncio.StreamWriter` or :class:`nacre.Writer`."""

    def write(self, data: Any, /) -> Maybe[None]:
        """Write all of ``data``, or take it to be written soon."""

    async def drain(self) -> None:
        """Wait until more can be written."""

    def write_eof(self) -> None:
        """End the stream."""


class Named(Protocol):
    """A connection to a jump host.

    :ivar name: how errors name the host.
    """

    name: str


class Streams:
    """Two streams that lead to a server, and how to end them.

    :param close: ends what the streams belong to; acts at once, and the result may be awaited for
        the end. It is called once or more.
    :param abort: ends it without waiting for data to leave.
    :param via: the connection to the jump host that the streams lead through, or None.
    """

    def __init__(
        self,
        reader: ByteReader,
        writer: ByteWriter,
        *,
        close: Callable[[], Awaitable[None]],
        abort: Callable[[], object],
        via: Named | None = None,
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.close = close
        self.abort = abort
        self.via = via

    def blame(self, error: Exception | None) -> Exception | None:
        """Return an error of the streams as that of the jump host, if there is one."""
        if self.via is None or not isinstance(error, NacreError):
            return error
        return blame(error, self.via)


def blame(error: E, via: Named) -> E:
    """Return an error of a jump host's connection for the one it carries: it names the jump host.

    It is a copy, because the jump host's connection keeps the error; one that names an earlier jump
    host is returned as it is.
    """
    if error.hop:
        return error
    blamed = copy(error)
    blamed.hop = via.name
    blamed.__cause__ = error
    return blamed


class StreamTransport(asyncio.Transport):
    """The transport of a connection that a pair of streams carries.

    Each read and each write of the streams is a task. The protocol is called from callbacks of the
    loop and never from a task, because it resumes tasks (see :class:`nacre.aio.waiting.Reply`).

    :param protocol: gets the data, as from a transport of asyncio.
    """

    # _held      data that was read and not yet handed over; b"" is the end.
    # _queue     data to write; _unwritten: its size, with that of the write in progress.
    # _deaf      the writing stream failed: data is dropped, and the reading one says why.

    def __init__(self, protocol: asyncio.BufferedProtocol, streams: Streams) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._streams = streams
        self._reading: asyncio.Task[bytes] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._held: memoryview | None = None
        self._paused = False
        self._queue: list[Buffer] = []
        self._unwritten = 0
        self._full = False
        self._eof = False
        self._deaf = False
        self._closing = False
        self._gone = False
        self._ending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Report the transport to its protocol, and read from now on."""
        self._loop.call_soon(self._begin)
        await asyncio.sleep(0)

    def _begin(self) -> None:
        self._protocol.connection_made(self)
        self._read()

    # --- reading ---

    def _read(self) -> None:
        if self._reading is None and self._held is None and not (self._paused or self._closing):
            self._reading = self._spawn(self._streams.reader.read(READ), self._on_read)

    def _on_read(self, task: asyncio.Task[bytes]) -> None:
        self._reading = None
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._end(error)
            return
        self._held = memoryview(task.result())
        self._hand_over()

    def _hand_over(self) -> None:
        """Give the protocol what was read, unless it has paused."""
        protocol = self._protocol
        while (held := self._held) is not None and not (self._paused or self._closing):
            if not held:
                if not protocol.eof_received():
                    self.close()
                return
            memory = memoryview(protocol.get_buffer(len(held)))
            size = min(len(held), len(memory))
            memory[:size] = held[:size]
            self._held = held[size:] or None
            protocol.buffer_updated(size)
        self._read()

    def is_reading(self) -> bool:
        return not self._paused

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._loop.call_soon(self._hand_over)

    # --- writing ---

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: the limit is UNWRITTEN."""

    def get_write_buffer_size(self) -> int:
        return self._unwritten

    def can_write_eof(self) -> bool:
        return True

    def write(self, data: Buffer) -> None:
        if self._closing or self._deaf or not len(data):
            return
        self._queue.append(data)
        self._unwritten += len(data)
        self._write()
        if self._unwritten > UNWRITTEN and not self._full:
            self._full = True
            self._protocol.pause_writing()

    def write_eof(self) -> None:
        self._eof = True
        self._write()

    def _write(self) -> None:
        if self._writing is not None or self._ending is not None:
            return
        if self._queue:
            queue, self._queue = self._queue, []
            self._writing = self._spawn(self._send(queue), self._on_written)
        elif self._closing:
            self._end(None)
        elif self._eof and not self._deaf:
            self._deaf = True
            self._streams.writer.write_eof()

    async def _send(self, queue: list[Buffer]) -> None:
        writer = self._streams.writer
        for data in queue:
            await settled(writer.write(data))
            await writer.drain()
            self._unwritten -= len(data)

    def _on_written(self, task: asyncio.Task[None]) -> None:
        self._writing = None
        if task.cancelled():
            return
        if task.exception() is not None:
            self._deaf = True
            self._queue.clear()
            self._unwritten = 0
        if self._full and self._unwritten <= UNWRITTEN // 2:
            self._full = False
            self._protocol.resume_writing()
        self._write()

    # --- the end ---

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._stop_reading()
            self._write()

    def abort(self) -> None:
        if not self._gone:
            self._streams.abort()
            self._end(None)

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()

    def _end(self, error: BaseException | None) -> None:
        """End the streams, then report that the transport is gone."""
        if self._ending is not None:
            return
        self._closing = True
        self._stop_reading()
        if self._writing is not None:
            self._writing.cancel()
        self._queue.clear()
        lost = self._streams.blame(error if isinstance(error, Exception) else None)

        def report(task: asyncio.Task[None]) -> None:
            self._gone = True
            self._unwritten = 0
            self._protocol.connection_lost(lost)

        self._ending = self._spawn(self._close_streams(), report)

    async def _close_streams(self) -> None:
        with suppress(NacreError, OSError):
            await self._streams.close()

    def _spawn(
        self, work: Coroutine[Any, Any, Any], done: Callable[[asyncio.Task[Any]], None]
    ) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        task.add_done_callback(done)
        return task
