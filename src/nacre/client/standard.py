"""Standard input and output of this process, for an event loop that must not stand still.

A pipe or terminal is waited for by the loop; a file, which no loop can wait for, is read in a
thread. Output is written by a thread of its own: it may block for as long as it likes, and the
descriptors, which other processes may share, are never switched to non-blocking.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import threading
from queue import SimpleQueue

READ = 1024 * 1024
"""Octets read at a time: a file or a filled pipe gives as many."""

_FASTER_PIPE = 1024 * 1024


class Input:
    """Reads a descriptor that may be a pipe, a terminal, a socket or a file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waits = True
        _widen(descriptor)

    async def read(self) -> bytes:
        """Return what is there, or wait for it; b"" at the end. One task reads at a time."""
        if self._waits:
            try:
                return await self._when_ready()
            except PermissionError:
                # epoll takes no regular files, nor /dev/null.
                self._waits = False
        return await asyncio.to_thread(os.read, self._descriptor, READ)

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


class Output:
    """Writes a descriptor from a thread, which lives as long as the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._queue: SimpleQueue[tuple[bytes, asyncio.Future[None]]] = SimpleQueue()
        # A daemon: a terminal stopped with Ctrl-S must not keep the process alive.
        self._thread = threading.Thread(target=self._run, daemon=True)
        _widen(descriptor)

    async def write(self, data: bytes) -> None:
        """Return when all of ``data`` is written.

        :raises OSError: it can't be; :class:`BrokenPipeError` when nobody reads.
        """
        if not self._thread.is_alive():
            self._thread.start()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((data, done))
        await done

    def _run(self) -> None:
        while True:
            data, done = self._queue.get()
            error: OSError | None = None
            try:
                _write(self._descriptor, data)
            except OSError as caught:
                error = caught
            try:
                done.get_loop().call_soon_threadsafe(_finish, done, error)
            except RuntimeError:
                # The loop is closed: nobody waits any more.
                return


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            # Whoever shares the descriptor made it non-blocking.
            select.select([], [descriptor], [])


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
