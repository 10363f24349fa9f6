"""Standard input and output of this process, for an event loop that must not stand still.

A pipe or terminal is waited for by the loop. Output to one is written by a thread of its own: it
may block for as long as it likes, and the descriptors, which other processes may share, are never
switched to non-blocking. Files keep nobody waiting for anybody else: the loop itself reads and
writes them, because a thread for them costs more time than their blocks do.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import stat
import threading
from queue import SimpleQueue

from nacre.aio.stream import write_chunks
from nacre.wire.codec import Buffer

READ = 1024 * 1024
"""Bytes read at a time: a filled pipe gives as many."""

FILE_READ = 512 * 1024
"""Bytes of a file read at a time: as many as are sealed at a time, while the processor's cache
holds them."""

_FASTER_PIPE = 1024 * 1024


class StandardInput:
    """Reads a descriptor that may be a pipe, a terminal, a socket or a file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waits = True
        self._block = memoryview(b"")
        _widen(descriptor)

    async def read(self) -> Buffer:
        """Return what is there, or wait for it; b"" at the end. One task reads at a time.

        What it returned may be overwritten by the next call.
        """
        if self._waits:
            try:
                return await self._when_ready()
            except PermissionError:
                # epoll takes no regular files, nor /dev/null.
                self._waits = False
                self._block = memoryview(bytearray(FILE_READ))
        await asyncio.sleep(0)
        return self._block[: os.readv(self._descriptor, [self._block])]

    async def _when_ready(self) -> bytes:
        loop = asyncio.get_running_loop()
        while True:
            ready: asyncio.Future[None] = loop.create_future()
            loop.add_reader(self._descriptor, _set, ready)
            try:
                await ready
            finally:
                loop.remove_reader(self._descriptor)
            try:
                return os.read(self._descriptor, READ)
            except BlockingIOError:
                # Whoever shares the descriptor made it non-blocking, and read what was there.
                continue


class StandardOutput:
    """Writes a descriptor: a file at once, others from a thread, which ends with the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_file = _is_file(descriptor)
        self._queue: SimpleQueue[tuple[list[Buffer], asyncio.Future[None]]] = SimpleQueue()
        # A daemon: a terminal stopped with Ctrl-S must not keep the process alive.
        self._thread = threading.Thread(target=self._run, daemon=True)
        _widen(descriptor)

    async def write(self, *chunks: Buffer) -> None:
        """Return when all ``chunks`` are written.

        :raises OSError: they can't be; :class:`BrokenPipeError` when nobody reads.
        """
        if self._is_file:
            _write(self._descriptor, list(chunks))
            return
        if not self._thread.is_alive():
            self._thread.start()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((list(chunks), done))
        await done

    def _run(self) -> None:
        while True:
            chunks, done = self._queue.get()
            error: OSError | None = None
            try:
                _write(self._descriptor, chunks)
            except OSError as caught:
                error = caught
            try:
                done.get_loop().call_soon_threadsafe(_finish, done, error)
            except RuntimeError:
                # The loop is closed: nobody waits any more.
                return


def _write(descriptor: int, chunks: list[Buffer]) -> None:
    while chunks:
        try:
            chunks = write_chunks(descriptor, chunks)
        except BlockingIOError:
            # Whoever shares the descriptor made it non-blocking.
            select.select([], [descriptor], [])


def _is_file(descriptor: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False  # closed: the first write says so


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _finish(done: asyncio.Future[None], error: OSError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def _widen(descriptor: int) -> None:
    """Let a pipe hold more, so that bulk data takes fewer turns; where it can't be, it can't."""
    set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if set_size is not None:
        try:
            fcntl.fcntl(descriptor, set_size, _FASTER_PIPE)
        except OSError:
            return
