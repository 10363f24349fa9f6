"""Descriptors of pipes and terminals on the event loop, and the pumps between them and a session.

Operations wanted: output to the peer, input from the peer, an end of either, cancellation.
Goals: backpressure both ways, few system calls per byte, no task for a stream without output.
Plan: nothing is read from a process before the peer's window has taken what was read, and nothing
from the peer before the process has taken its input. The first read waits in a callback; a pump
task starts with the first byte. A pipe that was full gets larger, and larger reads.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from nacre.aio.stream import Reader, write_chunks
from nacre.errors import NacreError
from nacre.limits import KIB, MIB
from nacre.wire.codec import Buffer

SOME = 64 * KIB
"""Bytes read at first: the default capacity of a pipe."""

CHUNK = 256 * KIB
"""Bytes read at a time after a read has returned :data:`SOME`."""

GIVEN = 1 * MIB
"""Bytes written to a process at a time: what one read of the connection can bring."""

TURN = 1 * MIB
"""Bytes one pump moves before it yields to other tasks."""

_PIPE_BULK = 1 * MIB
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", None)


class Descriptor:
    """A non-blocking descriptor of this process. Two tasks may use it: one reads, one writes.

    :ivar ended: whether the end was read.
    :ivar waits: how often a task began to wait in :meth:`arrived`.
    :ivar waiting: whether a task waits there.
    """

    def __init__(self, number: int) -> None:
        os.set_blocking(number, False)
        self.number = number
        self._loop = asyncio.get_running_loop()
        self._bulk = False
        self._block: memoryview | None = None
        self._watched = False
        # What arrived() waits for, whether the loop watches for it, and what has come.
        self._wanted: asyncio.Future[None] | None = None
        self._listens = False
        self._data: Buffer | None = None
        self.ended = False
        self.waits = 0
        self.waiting = False

    def read(self) -> Buffer | None:
        """Return up to ``CHUNK`` bytes, None when there are none now, or b"" at the end.

        The next call may overwrite them.
        """
        block = self._block
        try:
            if block is None:
                data: Buffer = os.read(self.number, SOME)
            else:
                data = block[: os.readv(self.number, [block])]
        except BlockingIOError:
            return None
        except OSError:
            data = b""  # EIO: the other side of the terminal is closed
        self.ended = not data
        return data

    def call_when_readable(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` as soon as a read would not block, once."""

        def ready() -> None:
            self._watched = False
            self._loop.remove_reader(self.number)
            callback()

        self._watched = True
        self._loop.add_reader(self.number, ready)

    async def arrived(self) -> Buffer:
        """Wait until there is something to read, and return it as :meth:`read` does.

        The loop goes on watching between two calls: to begin and to end that for each key that is
        echoed at a terminal takes as long as to read the echo.
        """
        self._wanted = self._loop.create_future()
        if not self._listens:
            self._loop.add_reader(self.number, self._on_readable)
            self._listens = self._watched = True
        self.waits += 1
        self.waiting = True
        try:
            await self._wanted
        finally:
            self.waiting = False
            self._wanted = None
        data, self._data = self._data, None
        assert data is not None, "the loop has read"
        return data

    def _on_readable(self) -> None:
        if not self.waiting or self._wanted is None:
            # Nobody takes it: what is there waits in the pipe.
            self._loop.remove_reader(self.number)
            self._listens = False
        elif (data := self.read()) is not None:
            self._data = data
            self.waiting = False
            _done(self._wanted)

    async def writable(self) -> None:
        """Wait until a write would not block."""
        ready = self._loop.create_future()
        self._watched = True
        self._loop.add_writer(self.number, _done, ready)
        try:
            await ready
        finally:
            if self.number >= 0:
                self._loop.remove_writer(self.number)

    def widen(self) -> None:
        """Raise a pipe's capacity. Only after it was full: an account's pipes share one bound.

        See the section /proc/sys/fs/pipe-user-pages-soft in pipe(7).
        """
        if not self._bulk and _F_SETPIPE_SZ is not None:
            with suppress(OSError):  # no pipe, or the bound is reached
                fcntl.fcntl(self.number, _F_SETPIPE_SZ, _PIPE_BULK)
        self._bulk = True

    def read_much(self) -> None:
        """Read more at a time from now on, into one block that stays in the processor's cache."""
        if self._block is None:
            self.widen()
            self._block = memoryview(bytearray(CHUNK))

    def close(self) -> None:
        """Close it; a second call does nothing. No task may wait for it."""
        if self.number >= 0:
            if self._watched:
                self._loop.remove_reader(self.number)
                self._loop.remove_writer(self.number)
            os.close(self.number)
            self.number = -1


class Printed(Descriptor):
    """This process's end of the socket pair that is a child's standard output."""

    def close(self) -> None:
        """See :meth:`Descriptor.close`; later writes get EPIPE and SIGPIPE, as with a pipe."""
        if self.number >= 0 and not self.ended:
            with socket.socket(fileno=os.dup(self.number)) as end, suppress(OSError):
                end.shutdown(socket.SHUT_RD)
                # Unread data would make the process's next write fail with ECONNRESET.
                while end.recv(CHUNK):
                    pass
        super().close()


def _done(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class Taker(Protocol):
    """What the output of a process is written to: a stream of the session, or the log."""

    async def write(self, data: Buffer, /) -> None:
        """Take all of ``data``."""


async def pump_out(source: Descriptor, sink: Taker, data: Buffer | None = None) -> None:
    """Send the output of a process, until it ends or the peer takes no more.

    :param data: bytes that were read already.
    """
    turn = 0
    while data != b"":
        if data is None:
            data = await source.arrived()
            turn = 0
            continue
        if len(data) == SOME:
            source.read_much()
        try:
            await sink.write(data)
        except NacreError:
            return
        turn += len(data)
        if turn >= TURN:
            await asyncio.sleep(0)
            turn = 0
        data = source.read()


class ProgramOutput:
    """The output of a process on one stream. Its task starts with the first byte.

    Most commands write to one stream, or to none.
    """

    def __init__(self, source: Descriptor, sink: Taker, on_end: Callable[[], None]) -> None:
        """Begin to send it; ``on_end`` is called when it has ended."""
        self._source = source
        self._sink = sink
        self._on_end = on_end
        self._pump: asyncio.Task[None] | None = None
        source.call_when_readable(self._begin)

    @property
    def ended(self) -> bool:
        """Whether the descriptor is closed: at the end of the output, or of the channel."""
        return self._source.number < 0

    def _begin(self) -> None:
        if data := self._source.read():
            loop = asyncio.get_running_loop()
            self._pump = loop.create_task(pump_out(self._source, self._sink, data))
            self._pump.add_done_callback(lambda _: self._end())
        elif data is None:
            self._source.call_when_readable(self._begin)
        else:
            self._end()

    def _end(self) -> None:
        self._source.close()
        self._on_end()

    async def stop(self) -> None:
        """Stop sending.

        :raises Exception: the error that ended the task.
        """
        if self._pump is not None:
            await stop(self._pump)


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel a task unless it is done, and return when it is done.

    :raises Exception: what it raised.
    """
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()


async def pump_in(source: Reader, sink: Descriptor) -> None:
    """Write the peer's data to a process, until the data ends or the process takes no more."""
    with suppress(NacreError):
        while chunks := await source.read_chunks(GIVEN):
            while chunks:
                try:
                    chunks = write_chunks(sink.number, chunks)
                except BlockingIOError:
                    sink.widen()
                    await sink.writable()
                except OSError:
                    return  # EPIPE, or EIO of a terminal


async def pump_in_noted(
    source: Reader,
    sink: Descriptor,
    note: Callable[[bytes], Awaitable[None]],
    shown: Callable[[], bool],
) -> None:
    """Do what :func:`pump_in` does, and note what the process has taken.

    :param shown: whether what is written now may be noted. It is asked immediately before each
        write: a secret is typed after its program has switched the echo off.
    """
    with suppress(NacreError):
        while data := await source.read(SOME):
            view = memoryview(data)
            while view:
                may_note = shown()
                try:
                    size = os.write(sink.number, view)
                except BlockingIOError:
                    await sink.writable()
                    continue
                except OSError:
                    return
                if may_note:
                    await note(bytes(view[:size]))
                view = view[size:]


async def drop(source: Reader) -> None:
    """Read and discard: otherwise the peer would wait forever for a window adjust."""
    with suppress(NacreError):
        while await source.read(CHUNK):
            pass
