"""One who watches a session, at the session's end of the socket.

A watcher never slows the session: what its socket does not take waits up to a bound, and after that
output is left out until the socket has taken what waits. Then it gets the last output anew.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from nacre.daemon.recording.frames import LONGEST, FrameReader, frame, packed_json
from nacre.daemon.watching.frames import WatchFrame, WatchOrder
from nacre.errors import MalformedMessage
from nacre.limits import KIB
from nacre.wire.codec import Buffer

MOST_UNSENT = 256 * KIB
"""Bytes that may wait for a watcher."""

LINGER = 5.0
"""Seconds that a watcher has to read the last output when the session has ended, and the terminal
to take what was typed by a watcher who has left."""

_MOST_TYPED = 8
"""Frames that wait for the terminal to take them."""

_READ = 4 * KIB


class Picture(Protocol):
    """What a watcher is shown of a session."""

    @property
    def size(self) -> tuple[int, int] | None:
        """The columns and rows of its terminal, if it has one."""

    @property
    def last_output(self) -> bytes:
        """Its last output."""


Type = Callable[["Watcher", bytes], Coroutine[Any, Any, None]]
"""Types something at a session's terminal."""


class Watcher:
    """Sends a session's output to one who watches it, and takes what is typed.

    :param sock: the socket of the watcher, which is closed in the end.
    :param picture: the session.
    :param type_in: takes what is typed, if anything may be.
    :param on_gone: called once when the watcher has gone, or was cut off; not after :meth:`end`.
    """

    def __init__(
        self,
        sock: socket.socket,
        order: WatchOrder,
        picture: Picture,
        type_in: Type | None,
        on_gone: Callable[[Watcher], None],
    ) -> None:
        sock.setblocking(False)
        self.order = order
        self._sock = sock
        self._picture = picture
        self._on_gone: Callable[[Watcher], None] | None = on_gone
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._skipped = 0
        self._ending = False
        self._typed: asyncio.Queue[bytes] = asyncio.Queue(_MOST_TYPED)
        self._reading = self._loop.create_task(self._read())
        self._typing = None if type_in is None else self._loop.create_task(self._type(type_in))
        self._draw()

    def put(self, kind: WatchFrame, data: Buffer) -> None:
        """Send output, or leave it out where too much waits."""
        if self._skipped or (self._unsent and len(self._unsent) + len(data) > MOST_UNSENT):
            self._skipped += len(data)
            return
        view = memoryview(data)
        self._send(
            b"".join(
                frame(kind, bytes(view[start : start + LONGEST]))
                for start in range(0, len(view), LONGEST)
            )
        )

    def resize(self) -> None:
        """Tell the new size of the terminal; it is told later where output is left out."""
        if not self._skipped and self._picture.size is not None:
            self._send(frame(WatchFrame.SIZE, packed_json(self._picture.size)))

    def end(self, status: int | None) -> None:
        """Tell the end of the session, and close the socket when that is sent, or in vain."""
        if self._ending:
            return
        self._on_gone = None
        self._ending = True
        self._stop_reading()
        last = frame(WatchFrame.END, b"" if status is None else str(status).encode())
        self._send(self._told_skipped() + last)
        if self._unsent:
            self._loop.call_later(LINGER, self.close)

    def close(self) -> None:
        """Close the socket; a second call does nothing."""
        if self._sock.fileno() < 0:
            return
        self._ending = True
        self._loop.remove_writer(self._sock)
        self._stop_reading()
        self._sock.close()
        self._unsent.clear()
        on_gone, self._on_gone = self._on_gone, None
        if on_gone is not None:
            on_gone(self)

    def _draw(self) -> None:
        """Send what has the terminal show the last output."""
        told = self._told_skipped()
        if (size := self._picture.size) is not None:
            told += frame(WatchFrame.SIZE, packed_json(size))
        self._send(told + frame(WatchFrame.SCREEN, self._picture.last_output))

    def _told_skipped(self) -> bytes:
        if not self._skipped:
            return b""
        count, self._skipped = self._skipped, 0
        return frame(WatchFrame.SKIPPED, str(count).encode())

    def _send(self, data: bytes) -> None:
        if self._sock.fileno() < 0:
            return
        waits = bool(self._unsent)
        self._unsent += data
        if not waits:
            self._write()
            if self._unsent:
                self._loop.add_writer(self._sock, self._on_writable)

    def _write(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            # Not at once: who calls may be looking at all watchers.
            self._loop.call_soon(self.close)
            return
        del self._unsent[:sent]
        if self._ending and not self._unsent:
            self._loop.call_soon(self.close)

    def _on_writable(self) -> None:
        self._write()
        if self._unsent:
            return
        self._loop.remove_writer(self._sock)
        if self._skipped:
            self._draw()

    def _stop_reading(self) -> None:
        self._reading.cancel()
        if self._typing is not None:
            self._typing.cancel()

    async def _type(self, type_in: Type) -> None:
        """Type what has come, as fast as the terminal takes it."""
        with suppress(OSError):  # the terminal is closed
            while True:
                await type_in(self, await self._typed.get())
                self._typed.task_done()

    async def _read(self) -> None:
        """Take what is typed until the watcher goes away, also while the terminal takes nothing."""
        frames = FrameReader(WatchFrame)
        try:
            with suppress(OSError, MalformedMessage):
                while data := await self._loop.sock_recv(self._sock, _READ):
                    for kind, payload in frames.feed(data):
                        if kind is not WatchFrame.TYPED or self._typing is None:
                            return  # it may not say this
                        await self._typed.put(payload)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LINGER):
                        await self._typed.join()
        finally:
            if not self._ending:
                self.close()
