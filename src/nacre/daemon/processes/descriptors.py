"""Descriptors of pipes and terminals on the event loop, and the pumps between them and a session.

Backpressure goes both ways: nothing is read from a process before what was read is taken by the
peer's window, and nothing is taken from the peer before the process took what came.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from collections.abc import Callable
from contextlib import suppress

from nacre.aio.stream import Reader, Writer, write_chunks
from nacre.errors import NacreError
from nacre.limits import KIB, MIB
from nacre.wire.codec import Buffer

SOME = 64 * KIB
"""Bytes read at first: as many as a pipe holds, unless it is told to hold more."""

CHUNK = 256 * KIB
"""Bytes read at a time where there is much."""

GIVEN = 1 * MIB
"""Bytes given to a process at a time: all that one read of the connection brought."""

TURN = 1 * MIB
"""Bytes one pump moves before other tasks get their turn."""

_PIPE_BULK = 1 * MIB
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", None)


class Descriptor:
    """A descriptor of ours that never blocks. Two tasks may use it: one reads, one writes.

    :ivar ended: everything was read.
    :ivar waits: how often somebody began to wait for something to read.
    :ivar waiting: whether somebody does.
    """

    def __init__(self, number: int) -> None:
        os.set_blocking(number, False)
        self.number = number
        self._loop = asyncio.get_running_loop()
        self._bulk = False
        self._block: memoryview | None = None
        self._watched = False
        self.ended = False
        self.waits = 0
        self.waiting = False

    def read(self) -> Buffer | None:
        """Return what there is, at most ``CHUNK`` bytes: None when nothing is, b"" at the end.

        The next call may write over it.
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
            data = b""  # EIO: nobody has the terminal's other side open any more
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

    async def readable(self) -> None:
        """Wait until a read would not block."""
        ready = self._loop.create_future()
        self._watched = True
        self._loop.add_reader(self.number, _done, ready)
        self.waits += 1
        self.waiting = True
        try:
            await ready
        finally:
            self.waiting = False
            if self.number >= 0:
                self._loop.remove_reader(self.number)

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
        """Let a pipe hold more. Only for one that was full: an account's pipes have a common bound.

        See the section /proc/sys/fs/pipe-user-pages-soft in pipe(7).
        """
        if not self._bulk and _F_SETPIPE_SZ is not None:
            with suppress(OSError):  # no pipe, or the bound is reached
                fcntl.fcntl(self.number, _F_SETPIPE_SZ, _PIPE_BULK)
        self._bulk = True

    def read_much(self) -> None:
        """Read more at a time from now on, into memory that stays in the processor's cache."""
        if self._block is None:
            self.widen()
            self._block = memoryview(bytearray(CHUNK))

    def close(self) -> None:
        """Close it; a second call does nothing. Who waits must have been cancelled."""
        if self.number >= 0:
            if self._watched:
                self._loop.remove_reader(self.number)
                self._loop.remove_writer(self.number)
            os.close(self.number)
            self.number = -1


class Printed(Descriptor):
    """Our end of the pair of sockets that a process prints to."""

    def close(self) -> None:
        """See :meth:`Descriptor.close`; who prints on gets EPIPE and SIGPIPE, as with a pipe."""
        if self.number >= 0 and not self.ended:
            with socket.socket(fileno=os.dup(self.number)) as end, suppress(OSError):
                end.shutdown(socket.SHUT_RD)
                # What is left unread would be told to the process as a reset.
                while end.recv(CHUNK):
                    pass
        super().close()


def _done(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def pump_out(source: Descriptor, sink: Writer, data: Buffer | None = None) -> None:
    """Send what a process prints, until it prints no more or nobody takes it.

    :param data: what was read already.
    """
    turn = 0
    while data != b"":
        if data is None:
            await source.readable()
            turn = 0
        else:
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
    """What a process prints on one stream. No task is at work before the first byte is there.

    Most commands print on one stream, or on none.
    """

    def __init__(self, source: Descriptor, sink: Writer, on_end: Callable[[], None]) -> None:
        """Begin to send it; ``on_end`` is called when ``ended``."""
        self._source = source
        self._sink = sink
        self._on_end = on_end
        self._pump: asyncio.Task[None] | None = None
        source.call_when_readable(self._begin)

    @property
    def ended(self) -> bool:
        """Whether nothing more is printed, or nobody takes it: the descriptor is closed."""
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
        """Send no more.

        :raises Exception: what made it end that should not have.
        """
        if self._pump is not None:
            await stop(self._pump)


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel a task unless it is done, and return when it is.

    :raises Exception: what it raised.
    """
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()


async def pump_in(source: Reader, sink: Descriptor) -> None:
    """Give a process what the peer sends, until one of them ends it."""
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


async def drop(source: Reader) -> None:
    """Read and forget: a peer must not wait for a window that would never open again."""
    with suppress(NacreError):
        while await source.read(CHUNK):
            pass
