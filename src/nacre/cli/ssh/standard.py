"""Standard input and output of this process, without blocking the event loop.

The loop waits until a pipe or terminal is readable. A thread writes to pipes and terminals, because
such a write may block for any time, and other processes may share the descriptors, so they must not
be made non-blocking. The loop itself reads and writes regular files, and writes a few bytes to a
pipe or terminal that has room for them: handing them to a thread takes longer than to write them.
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

SHORT = 256
"""Bytes that the loop writes to a pipe or terminal that polls as writable. Such a pipe has room
for 4,096 (pipe(7)), such a terminal of Linux for 256: the write does not block."""

_FASTER_PIPE = 1024 * 1024


class StandardInput:
    """Reads a descriptor that may be a pipe, a terminal, a socket or a file.

    The loop goes on watching it between two reads: to begin and to end that for each key that is
    typed takes as long as to read the key.

    :param contended: whether other tasks of this process may read the same pipe or terminal, so
        that what was there when the loop looked may be gone.
    """

    def __init__(self, descriptor: int, *, contended: bool = False) -> None:
        self._descriptor = descriptor
        self._contended = contended
        self._waits = True
        self._block = memoryview(b"")
        self._loop = asyncio.get_running_loop()
        self._watched = False
        self._wanted: asyncio.Future[None] | None = None
        # What was read and not yet returned: a cancelled read loses nothing.
        self._data: bytes | None = None
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

    def close(self) -> None:
        """Watch the descriptor no longer; it stays open. A later read watches it again."""
        if self._watched:
            self._loop.remove_reader(self._descriptor)
            self._watched = False

    async def _when_ready(self) -> bytes:
        if self._data is None:
            if not self._watched:
                self._loop.add_reader(self._descriptor, self._on_readable)
                self._watched = True
            self._wanted = self._loop.create_future()
            try:
                await self._wanted
            finally:
                self._wanted = None
        data, self._data = self._data, None
        assert data is not None, "the loop has read"
        return data

    def _on_readable(self) -> None:
        wanted = self._wanted
        if wanted is None or wanted.done():
            # Nobody waits: what is there stays there.
            self.close()
            return
        if self._contended and not _polls(self._descriptor, select.POLLIN):
            return
        try:
            self._data = os.read(self._descriptor, READ)
        except BlockingIOError:
            # Another process made the shared descriptor non-blocking and read the bytes.
            return
        except OSError as error:
            wanted.set_exception(error)
            return
        wanted.set_result(None)


class StandardOutput:
    """Writes a descriptor: a regular file and what is short at once, else in a daemon thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_file = _is_file(descriptor)
        self._queued = 0
        self._queue: SimpleQueue[tuple[list[Buffer], asyncio.Future[None]] | None] = SimpleQueue()
        # A daemon thread: a terminal stopped by Ctrl-S must not keep the process alive.
        self._thread = threading.Thread(target=self._run, daemon=True)
        _widen(descriptor)

    async def write(self, *chunks: Buffer) -> None:
        """Write all ``chunks``.

        :raises OSError: the write fails; :class:`BrokenPipeError` if the reader is gone.
        """
        if self._is_file or self._has_room(chunks):
            _write(self._descriptor, list(chunks))
            return
        if not self._thread.is_alive():
            # A child that ~& has forked has no threads.
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((list(chunks), done))
        self._queued += 1
        await done

    def _has_room(self, chunks: tuple[Buffer, ...]) -> bool:
        """Tell whether the chunks can be written now, and are next."""
        return (
            not self._queued
            and sum(map(len, chunks)) <= SHORT
            and _polls(self._descriptor, select.POLLOUT)
        )

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
                done.get_loop().call_soon_threadsafe(self._finish, done, error)
            except RuntimeError:
                # The loop is closed: no task waits for the result.
                return
        os.close(self._descriptor)

    def _finish(self, done: asyncio.Future[None], error: OSError | None) -> None:
        self._queued -= 1  # also where nobody waits any more
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _write(descriptor: int, chunks: list[Buffer]) -> None:
    while chunks:
        try:
            chunks = write_chunks(descriptor, chunks)
        except BlockingIOError:
            # Another process made the shared descriptor non-blocking.
            select.select([], [descriptor], [])


def _polls(descriptor: int, event: int) -> bool:
    """Tell whether a descriptor is ready for reading or writing."""
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(0))


def _is_file(descriptor: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False  # closed: the first write raises


def _widen(descriptor: int) -> None:
    """Enlarge a pipe's buffer where the system can, so that bulk data takes fewer reads."""
    set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if set_size is not None:
        try:
            fcntl.fcntl(descriptor, set_size, _FASTER_PIPE)
        except OSError:
            return
