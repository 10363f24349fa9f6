"""Standard input and output of this process, without blocking the event loop.

The loop waits until a pipe or terminal is readable. A thread writes to pipes and terminals, because
such a write may block for any time, and other processes may share the descriptors, so they must not
be made non-blocking. The loop itself reads and writes regular files: handing a block to a thread
takes longer than its read or write.
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
"""Bytes read at a time: the capacity of a pipe after :func:`_widen`."""

FILE_READ = 512 * 1024
"""Bytes of a file read at a time: as many as are encrypted at a time, so that they are still in the
processor's cache."""

_FASTER_PIPE = 1024 * 1024


class StandardInput:
    """Reads a descriptor that may be a pipe, a terminal, a socket or a file.

    :param contended: whether other tasks of this process may read the same pipe or terminal, so
        that what was there when the loop looked may be gone.
    """

    def __init__(self, descriptor: int, *, contended: bool = False) -> None:
        self._descriptor = descriptor
        self._contended = contended
        self._waits = True
        self._block = memoryview(b"")
        _widen(descriptor)

    async def read(self) -> Buffer:
        """Return the bytes that are available, or wait for some; b"" at the end.

        One task may read at a time. The next call may overwrite the returned buffer.
        """
        if self._waits:
            try:
                return await self._when_ready()
            except PermissionError:
                # epoll rejects regular files and /dev/null.
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
            if self._contended and not _readable(self._descriptor):
                continue
            try:
                return os.read(self._descriptor, READ)
            except BlockingIOError:
                # Another process made the shared descriptor non-blocking and read the bytes.
                continue


class StandardOutput:
    """Writes a descriptor: a regular file at once, others in a daemon thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_file = _is_file(descriptor)
        self._queue: SimpleQueue[tuple[list[Buffer], asyncio.Future[None]] | None] = SimpleQueue()
        # A daemon thread: a terminal stopped by Ctrl-S must not keep the process alive.
        self._thread = threading.Thread(target=self._run, daemon=True)
        _widen(descriptor)

    async def write(self, *chunks: Buffer) -> None:
        """Write all ``chunks``.

        :raises OSError: the write fails; :class:`BrokenPipeError` if the reader is gone.
        """
        if self._is_file:
            _write(self._descriptor, list(chunks))
            return
        if not self._thread.is_alive():
            # A child that ~& has forked has no threads.
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((list(chunks), done))
        await done

    def close(self) -> None:
        """Close the descriptor, once a write that is under way has ended."""
        if self._thread.is_alive():
            # Not here: the number may be another descriptor's before the thread writes its rest.
            self._queue.put(None)
        else:
            os.close(self._descriptor)

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            chunks, done = work
            error: OSError | None = None
            try:
                _write(self._descriptor, chunks)
            except OSError as caught:
                error = caught
            try:
                done.get_loop().call_soon_threadsafe(_finish, done, error)
            except RuntimeError:
                # The loop is closed: no task waits for the result.
                return
        os.close(self._descriptor)


def _write(descriptor: int, chunks: list[Buffer]) -> None:
    while chunks:
        try:
            chunks = write_chunks(descriptor, chunks)
        except BlockingIOError:
            # Another process made the shared descriptor non-blocking.
            select.select([], [descriptor], [])


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _is_file(descriptor: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False  # closed: the first write raises


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
    """Enlarge a pipe's buffer where the system can, so that bulk data takes fewer reads."""
    set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if set_size is not None:
        try:
            fcntl.fcntl(descriptor, set_size, _FASTER_PIPE)
        except OSError:
            return
