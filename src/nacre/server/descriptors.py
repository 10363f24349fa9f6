"""Descriptors of pipes and terminals on the event loop, and the pumps between them and a session.

Backpressure goes both ways: nothing is read from a process before what was read is taken by the
peer's window, and nothing is taken from the peer before the process took what came.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from contextlib import suppress

from nacre.errors import NacreError
from nacre.limits import KIB, MIB
from nacre.runtime.stream import Reader, Writer, write_chunks

CHUNK = 256 * KIB
"""Octets moved at a time."""

TURN = 1 * MIB
"""Octets one pump moves before other tasks get their turn."""

_PIPE_DEFAULT = 64 * KIB
_PIPE_BULK = 1 * MIB
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", None)


class Descriptor:
    """A descriptor of ours that never blocks. Two tasks may use it: one reads, one writes.

    :ivar waits: how often somebody began to wait for something to read.
    :ivar waiting: whether somebody does.
    """

    def __init__(self, number: int) -> None:
        os.set_blocking(number, False)
        self.number = number
        self._loop = asyncio.get_running_loop()
        self._bulk = False
        self.waits = 0
        self.waiting = False

    async def readable(self) -> None:
        """Wait until a read would not block."""
        ready = self._loop.create_future()
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

    def close(self) -> None:
        """Close it; a second call does nothing. Who waits must have been cancelled."""
        if self.number >= 0:
            self._loop.remove_reader(self.number)
            self._loop.remove_writer(self.number)
            os.close(self.number)
            self.number = -1


class Printed(Descriptor):
    """Our end of the pair of sockets that a process prints to."""

    def close(self) -> None:
        """See :meth:`Descriptor.close`; who prints on gets SIGPIPE, as with a pipe."""
        if self.number >= 0:
            with socket.socket(fileno=os.dup(self.number)) as end, suppress(OSError):
                end.shutdown(socket.SHUT_RD)
                # What is left unread would be told to the process as a reset.
                while end.recv(CHUNK):
                    pass
        super().close()


def _done(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def pump_out(source: Descriptor, sink: Writer) -> None:
    """Send what a process prints, until it prints no more or nobody takes it."""
    turn = 0
    while True:
        try:
            data = os.read(source.number, CHUNK)
        except BlockingIOError:
            await source.readable()
            turn = 0
            continue
        except OSError:
            return  # EIO: nobody has the terminal's other side open any more
        if not data:
            return
        if len(data) >= _PIPE_DEFAULT:
            source.widen()
        try:
            await sink.write(data)
        except NacreError:
            return
        turn += len(data)
        if turn >= TURN:
            await asyncio.sleep(0)
            turn = 0


async def pump_in(source: Reader, sink: Descriptor) -> None:
    """Give a process what the peer sends, until one of them ends it."""
    with suppress(NacreError):
        while chunks := await source.read_chunks(CHUNK):
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
